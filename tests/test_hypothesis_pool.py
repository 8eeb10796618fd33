"""Pooling over all hyperparameters, valid and invalid: the reference's numbers, or a clear refusal."""

from typing import Any

import hypotheses as h
import numpy as np
import pytest
from case import FORMATS, shape_to_format
from hypothesis import assume, given
from hypothesis import strategies as st

from pycnn import reference

DIMS = pytest.mark.parametrize("dims", [1, 2, 3])
KINDS = st.sampled_from(["small integers", "normal", "nan", "mixed", "-inf", "zeros"])
ANY_DTYPE = st.sampled_from([np.float32, np.float64, np.int8, np.uint8, np.int32, np.uint64])


@st.composite
def pool_calls(draw: h.Draw, dims: int, dtypes: Any = h.DTYPES) -> h.Call:
    data_format = draw(st.sampled_from(FORMATS[dims]))
    shape = (draw(st.sampled_from([0, 1, 1, 2])), draw(st.integers(1, 3)), *draw(h.sizes(dims, 8)))
    dtype = draw(dtypes)
    kind = draw(KINDS) if np.dtype(dtype).kind == "f" else "small integers"
    return {
        "x": h.numbers(draw(h.SEEDS), shape_to_format(shape, data_format), dtype, kind),
        "kernel_size": draw(h.counts(dims, 1, 4)),
        "stride": draw(st.one_of(st.none(), h.counts(dims, 1, 4))),
        "padding": draw(h.paddings(dims, 3)),
        "dilation": draw(h.counts(dims, 1, 3)),
        "ceil_mode": draw(st.booleans()),
        "data_format": data_format,
    }


def outcome(name: str, call: h.Call) -> Any:
    """What the reference returns, or None where it refuses; windows without a cell have no maximum to compare."""
    try:
        with np.errstate(all="ignore"):
            return getattr(reference, name)(**h.copy_call(call))
    except ValueError as error:
        assume("no largest cell" not in str(error))
        return None


def spoil_options(call: h.Call, dims: int) -> dict[str, list[Any]]:
    return {
        "kernel_size": [*h.NOT_A_COUNT, None, (1,) * (dims + 1)],
        "stride": [*h.NOT_A_COUNT, (1,) * (dims + 1)],
        "dilation": [*h.NOT_A_COUNT, None],
        "padding": [*h.NOT_A_PADDING, 99],
        "ceil_mode": ["yes", None, 1.5],
        "data_format": [*h.NOT_A_FORMAT, FORMATS[dims % 3 + 1][0]],
    }


def bad_shapes(shape: tuple[int, ...]) -> list[Any]:
    """What cannot be the shape that forward saw."""
    return [
        shape[1:],
        (*shape, 1),
        tuple(n + 9 for n in shape),
        tuple(-n - 1 for n in shape),
        None,
        3,
        "shape",
        tuple(float(n) for n in shape),
        (*shape[:1], 0, 0, 0, 0)[: len(shape)],
        tuple(2**40 for _ in shape),
    ]


def bad_grads(grad: np.ndarray) -> list[Any]:
    other = np.float64 if grad.dtype == np.float32 else np.float32
    return [*h.bad_arrays(grad), np.zeros((*grad.shape[:-1], grad.shape[-1] + 1), grad.dtype), grad.astype(other)][:-1]


@DIMS
@given(st.data())
def test_max_pool(dims: int, data: st.DataObject) -> None:
    call = data.draw(pool_calls(dims, ANY_DTYPE))
    call["return_indices"] = data.draw(st.sampled_from([False, True, "compact"]))
    call["ties"] = data.draw(st.sampled_from(["first", "split", "all"]))
    outcome(f"max_pool{dims}d", call)
    h.check(f"max_pool{dims}d", call, exact=True)


@DIMS
@given(st.data())
def test_max_pool_spoiled(dims: int, data: st.DataObject) -> None:
    call = data.draw(pool_calls(dims))
    spoilers = spoil_options(call, dims)
    spoilers["x"] = h.bad_arrays(call["x"], floats_only=False)
    spoilers["return_indices"] = ["both", None, "Compact"]
    spoilers["ties"] = ["last", None, 1]
    spoilers["out"] = h.bad_outs((2, 9, 9), call["x"].dtype)
    h.check_spoiled(f"max_pool{dims}d", call, *h.pick_spoiler(data.draw, spoilers))


@st.composite
def max_backward_calls(draw: h.Draw, dims: int) -> h.Call | None:
    call = draw(pool_calls(dims))
    ties = draw(st.sampled_from(["first", "first", "split", "all"]))
    how = draw(st.sampled_from([True, "compact"]))
    found = outcome(f"max_pool{dims}d", {**call, "return_indices": how})
    if found is None:
        return None
    y, indices = found
    x = call.pop("x")
    call |= {"grad_output": h.numbers(draw(h.SEEDS), y.shape, y.dtype), "indices": indices, "input_shape": x.shape}
    if ties != "first":
        call |= {"x": x, "ties": ties, "indices": indices if draw(st.booleans()) else None}
    return call


@DIMS
@given(st.data())
def test_max_pool_backward(dims: int, data: st.DataObject) -> None:
    call = data.draw(max_backward_calls(dims))
    if call is not None:
        order = ("grad_output", "indices", "input_shape")
        call = {**{key: call[key] for key in order}, **call}
        h.check(f"max_pool{dims}d_backward", call, exact=call.get("ties") != "split")


def bad_indices(indices: np.ndarray, cells: int) -> list[Any]:
    """An index outside the image, or an array that holds no indices of this output."""
    bad: list[Any] = [None, indices.tolist(), indices.astype(float), indices.astype(np.int32), indices.astype(bool)]
    bad.append(np.zeros((*indices.shape[:-1], indices.shape[-1] + 1), indices.dtype))
    if indices.size:
        for index in (-1, cells, 2**32 + 3, -(2**63)) if indices.dtype == np.int64 else (255,):
            wrong = indices.copy()
            wrong.flat[-1] = index
            bad.append(wrong)
    return bad


@DIMS
@given(st.data())
def test_max_pool_backward_spoiled(dims: int, data: st.DataObject) -> None:
    call = data.draw(max_backward_calls(dims))
    if call is None:
        return
    shape = call["input_shape"]
    spoilers = spoil_options(call, dims)
    spoilers["grad_output"] = bad_grads(call["grad_output"])
    spoilers["input_shape"] = bad_shapes(shape)
    if "ties" in call:
        spoilers["x"] = [*h.bad_arrays(call["x"]), np.zeros((1, *shape[1:-1], shape[-1] + 1), call["x"].dtype)]
        spoilers["ties"] = ["last", None]
    else:
        spoilers["indices"] = bad_indices(call["indices"], int(np.prod(shape)))
        spoilers["ties"] = ["split", "all", "last"]
    h.check_spoiled(f"max_pool{dims}d_backward", call, *h.pick_spoiler(data.draw, spoilers))


@st.composite
def avg_calls(draw: h.Draw, dims: int) -> h.Call:
    call = draw(pool_calls(dims))
    call["count_include_pad"] = draw(st.booleans())
    call["divisor_override"] = draw(st.sampled_from([None, None, 1, 3, np.int64(7)]))
    return call


def avg_backward(draw: h.Draw, call: h.Call, name: str) -> h.Call | None:
    y = outcome(name, call)
    if y is None:
        return None
    rest = {key: value for key, value in call.items() if key != "x"}
    return {"grad_output": h.numbers(draw(h.SEEDS), y.shape, y.dtype), "input_shape": call["x"].shape, **rest}


@DIMS
@given(st.data())
def test_avg_pool(dims: int, data: st.DataObject) -> None:
    call = data.draw(avg_calls(dims))
    h.check(f"avg_pool{dims}d", call)
    backward = avg_backward(data.draw, call, f"avg_pool{dims}d")
    if backward is not None:
        h.check(f"avg_pool{dims}d_backward", backward)


@DIMS
@given(st.data())
def test_avg_pool_spoiled(dims: int, data: st.DataObject) -> None:
    call = data.draw(avg_calls(dims))
    spoilers = spoil_options(call, dims)
    spoilers["divisor_override"] = [0, 1.5, True, "2", (1, 1)]
    spoilers["count_include_pad"] = ["yes", None, 1.5]
    backward = avg_backward(data.draw, call, f"avg_pool{dims}d") if data.draw(st.booleans()) else None
    if backward is None:
        spoilers["x"] = h.bad_arrays(call["x"])
        h.check_spoiled(f"avg_pool{dims}d", call, *h.pick_spoiler(data.draw, spoilers))
    else:
        spoilers["grad_output"] = bad_grads(backward["grad_output"])
        spoilers["input_shape"] = bad_shapes(call["x"].shape)
        h.check_spoiled(f"avg_pool{dims}d_backward", backward, *h.pick_spoiler(data.draw, spoilers))


@st.composite
def lp_calls(draw: h.Draw) -> h.Call:
    call = draw(pool_calls(2))
    call["x"] = np.nan_to_num(call["x"], posinf=1.0, neginf=-2.0)
    call["norm_type"] = draw(st.sampled_from([1, 2, 3, 1.5, 4, np.float64(2.5)]))
    return call


@given(st.data())
def test_lp_pool(data: st.DataObject) -> None:
    call = data.draw(lp_calls())
    h.check("lp_pool2d", call)
    y = outcome("lp_pool2d", call)
    if y is not None:
        h.check("lp_pool2d_backward", {"grad_output": h.numbers(data.draw(h.SEEDS), y.shape, y.dtype), **call})


@given(st.data())
def test_lp_pool_spoiled(data: st.DataObject) -> None:
    call = data.draw(lp_calls())
    spoilers = spoil_options(call, 2)
    spoilers["norm_type"] = [0, -1, np.inf, np.nan, "2", None, True]
    spoilers["x"] = h.bad_arrays(call["x"])
    y = outcome("lp_pool2d", call) if data.draw(st.booleans()) else None
    if y is None:
        h.check_spoiled("lp_pool2d", call, *h.pick_spoiler(data.draw, spoilers))
    else:
        spoilers["grad_output"] = bad_grads(np.ones_like(y))
        backward = {"grad_output": np.ones_like(y), **call}
        h.check_spoiled("lp_pool2d_backward", backward, *h.pick_spoiler(data.draw, spoilers))


@st.composite
def adaptive_calls(draw: h.Draw) -> h.Call:
    data_format = draw(st.sampled_from(FORMATS[2]))
    shape = (draw(st.sampled_from([0, 1, 2])), draw(st.integers(1, 3)), *draw(h.sizes(2, 9)))
    size = draw(st.one_of(h.counts(2, 1, 9), st.tuples(*[st.one_of(st.none(), st.integers(1, 9))] * 2)))
    x = h.numbers(draw(h.SEEDS), shape_to_format(shape, data_format), draw(h.DTYPES), draw(KINDS))
    return {"x": x, "output_size": size, "data_format": data_format}


@given(st.data())
def test_adaptive_pool(data: st.DataObject) -> None:
    call = data.draw(adaptive_calls())
    h.check("adaptive_max_pool2d", {**call, "return_indices": True}, exact=True)
    h.check("adaptive_avg_pool2d", call)
    y, indices = outcome("adaptive_max_pool2d", {**call, "return_indices": True})
    grad_output = h.numbers(data.draw(h.SEEDS), y.shape, y.dtype)
    shape, size, data_format = call["x"].shape, call["output_size"], call["data_format"]
    rest = {"input_shape": shape, "output_size": size, "data_format": data_format}
    h.check("adaptive_avg_pool2d_backward", {"grad_output": grad_output, **rest})
    h.check("adaptive_max_pool2d_backward", {"grad_output": grad_output, "indices": indices, **rest}, exact=True)


@given(st.data())
def test_adaptive_pool_spoiled(data: st.DataObject) -> None:
    call = data.draw(adaptive_calls())
    kind = data.draw(st.sampled_from(["avg", "max"]))
    spoilers: dict[str, list[Any]] = {
        "output_size": [0, -1, True, 1.5, "2", (1, 2, 3), (1,), (2, 0), (1.5, 2), 2**63],
        "data_format": h.NOT_A_FORMAT,
    }
    if data.draw(st.booleans()):
        spoilers["x"] = h.bad_arrays(call["x"], floats_only=kind == "avg")
        h.check_spoiled(f"adaptive_{kind}_pool2d", call, *h.pick_spoiler(data.draw, spoilers))
        return
    y, indices = outcome("adaptive_max_pool2d", {**call, "return_indices": True})
    shape = call.pop("x").shape
    backward = {"grad_output": np.ones_like(y), "input_shape": shape, **call}
    spoilers["grad_output"] = bad_grads(backward["grad_output"])
    spoilers["input_shape"] = bad_shapes(shape)[:3]
    if kind == "max":
        backward["indices"] = indices
        spoilers["indices"] = bad_indices(indices, int(np.prod(shape)))
    h.check_spoiled(f"adaptive_{kind}_pool2d_backward", backward, *h.pick_spoiler(data.draw, spoilers))


@st.composite
def unpool_calls(draw: h.Draw) -> h.Call:
    data_format = draw(st.sampled_from(FORMATS[2]))
    kernel, stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3))), draw(st.none() | h.counts(2, 1, 3))
    pooled = (
        draw(st.sampled_from([0, 1, 2])),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 4)),
        draw(st.integers(1, 9)),
    )
    steps = kernel if stride is None else tuple(np.broadcast_to(stride, 2).tolist())
    size = tuple(
        (n - 1) * s + k + draw(st.integers(0, s - 1)) for n, s, k in zip(pooled[2:], steps, kernel, strict=True)
    )
    rng = np.random.default_rng(draw(h.SEEDS))
    shape = shape_to_format(pooled, data_format)
    return {
        "x": h.numbers(draw(h.SEEDS), shape, draw(h.DTYPES), "normal"),
        "indices": rng.integers(0, size[0] * size[1], shape),
        "kernel_size": kernel,
        "stride": stride,
        "output_size": size,
        "data_format": data_format,
    }


@given(st.data())
def test_max_unpool(data: st.DataObject) -> None:
    call = data.draw(unpool_calls())
    h.check("max_unpool2d", call, exact=True)
    y = outcome("max_unpool2d", call)
    x = call.pop("x")
    h.check("max_unpool2d_backward", {"grad_output": h.numbers(1, y.shape, x.dtype), **call}, exact=True)


@given(st.data())
def test_max_unpool_spoiled(data: st.DataObject) -> None:
    call = data.draw(unpool_calls())
    size = call["output_size"]
    spoilers: dict[str, list[Any]] = {
        "kernel_size": [*h.NOT_A_COUNT, None],
        "stride": h.NOT_A_COUNT,
        "indices": bad_indices(call["indices"], size[0] * size[1]),
        "output_size": [(0, 0), (-1, 3), (size[0] + 99, size[1]), (1.5, 2), "2", (size[0],), (True, True)],
        "data_format": h.NOT_A_FORMAT,
    }
    if data.draw(st.booleans()):
        spoilers["x"] = h.bad_arrays(call["x"])
        h.check_spoiled("max_unpool2d", call, *h.pick_spoiler(data.draw, spoilers))
        return
    y = outcome("max_unpool2d", call)
    del call["x"]
    spoilers["grad_output"] = bad_grads(y)
    h.check_spoiled("max_unpool2d_backward", {"grad_output": y, **call}, *h.pick_spoiler(data.draw, spoilers))

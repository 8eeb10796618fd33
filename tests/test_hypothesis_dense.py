"""Linear, normalisation, activations, softmax, dropout and losses over all parameters, valid and invalid."""

from typing import Any

import hypotheses as h
import numpy as np
import pytest
from compare import identical
from hypothesis import given
from hypothesis import strategies as st

from pycnn import reference

SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple) | st.tuples(st.integers(1, 70))
BOTH = pytest.mark.parametrize("suffix", ["", "_backward"])


def bad_partners(good: np.ndarray) -> list[Any]:
    """What cannot stand beside an array of the same shape and dtype."""
    other = np.float64 if good.dtype == np.float32 else np.float32
    return [*h.bad_arrays(good)[:-2], np.zeros((*good.shape, 2), good.dtype), good.astype(other)]


def bad_floats(good: np.ndarray) -> list[Any]:
    """What is no float array at all."""
    return [None, good.tolist(), "array", 1.5, np.ma.masked_array(good), good.astype(np.float16), good.astype(complex),
            good.astype(np.int64), good.astype(bool), good.astype(object)]  # fmt: skip


@st.composite
def linear_calls(draw: h.Draw) -> h.Call:
    lead = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    inputs, outputs = draw(st.sampled_from([0, 1, 2, 3, 17, 33])), draw(st.sampled_from([1, 2, 5, 9, 24]))
    dtype, seed = draw(h.DTYPES), draw(h.SEEDS)
    return {
        "x": h.numbers(seed, (*lead, inputs), dtype),
        "weight": h.numbers(seed + 1, (outputs, inputs), dtype),
        "bias": h.numbers(seed + 2, (outputs,), dtype) if draw(st.booleans()) else None,
    }


def linear_backward(draw: h.Draw, call: h.Call) -> h.Call:
    y = reference.linear(**call)
    needs = draw(st.lists(st.sampled_from(["input", "weight", "bias"]), unique=True))
    grad_output = h.numbers(draw(h.SEEDS), y.shape, y.dtype)
    return {"grad_output": grad_output, "x": call["x"], "weight": call["weight"], "needs": tuple(needs)}


@given(st.data())
def test_linear(data: st.DataObject) -> None:
    call = data.draw(linear_calls())
    h.check("linear", call, exact=True)
    h.check("linear_backward", linear_backward(data.draw, call), exact=True)


@BOTH
@given(data=st.data())
def test_linear_spoiled(suffix: str, data: st.DataObject) -> None:
    call = data.draw(linear_calls())
    weight, dtype = call["weight"], call["x"].dtype
    wider = np.zeros((weight.shape[0], weight.shape[1] + 1), dtype)
    spoilers: dict[str, list[Any]] = {
        "x": [*bad_floats(call["x"]), np.zeros((), dtype), np.zeros((3, weight.shape[1] + 1), dtype)],
        "weight": [*bad_partners(weight), wider],
    }
    if suffix:
        call = linear_backward(data.draw, call)
        spoilers["grad_output"] = bad_partners(call["grad_output"])
        spoilers["needs"] = ["input", ("x",), ("input", 3)]
    else:
        spoilers["bias"] = [np.zeros(weight.shape[0] + 1, dtype), np.zeros((), dtype), [1.0], 2.0]
        spoilers["out"] = h.bad_outs((7, 3, 5), dtype)
    h.check_spoiled(f"linear{suffix}", call, *h.pick_spoiler(data.draw, spoilers))


@st.composite
def batch_norm_calls(draw: h.Draw) -> h.Call:
    data_format = draw(st.sampled_from(["NCHW", "NHWC", "HWCN"]))
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=2, max_size=5)))
    channels = shape[{"NCHW": 1, "NHWC": -1, "HWCN": -2}[data_format]]
    dtype, seed = draw(h.DTYPES), draw(h.SEEDS)
    training = draw(st.booleans())
    running = not training or draw(st.booleans())
    affine = draw(st.booleans())
    kind = draw(st.sampled_from(["normal", "small integers", "offset"]))
    return {
        "x": h.numbers(seed, shape, dtype, kind),
        "running_mean": h.numbers(seed + 1, (channels,), dtype, "normal") if running else None,
        "running_var": np.abs(h.numbers(seed + 2, (channels,), dtype, "normal")) + dtype(0.1) if running else None,
        "weight": h.numbers(seed + 3, (channels,), dtype, "normal") if affine else None,
        "bias": h.numbers(seed + 4, (channels,), dtype, "normal") if draw(st.booleans()) else None,
        "training": training,
        "momentum": draw(st.sampled_from([0.0, 0.1, 0.9, 1.0])),
        "eps": draw(st.sampled_from([1e-5, 1e-3, 0.1])),
        "data_format": data_format,
    }


def batch_norm_backward(draw: h.Draw, call: h.Call) -> h.Call:
    grad_output = h.numbers(draw(h.SEEDS), call["x"].shape, call["x"].dtype, "normal")
    return {"grad_output": grad_output, **{k: v for k, v in call.items() if k not in ("bias", "momentum")}}


@given(st.data())
def test_batch_norm(data: st.DataObject) -> None:
    call = data.draw(batch_norm_calls())
    h.check("batch_norm", {**call, "return_stats": data.draw(st.booleans())})
    h.check("batch_norm_backward", batch_norm_backward(data.draw, call))


@BOTH
@given(data=st.data())
def test_batch_norm_spoiled(suffix: str, data: st.DataObject) -> None:
    call = data.draw(batch_norm_calls())
    x = call["x"]
    channels = np.ones(x.shape[{"NCHW": 1, "NHWC": -1, "HWCN": -2}[call["data_format"]]], x.dtype)
    spoilers: dict[str, list[Any]] = {
        "x": [*bad_floats(x), np.zeros(3, x.dtype), np.zeros((), x.dtype)],
        "weight": bad_partners(channels)[1:],
        "training": ["yes", None],
        "eps": [0, -1e-5, np.nan, np.inf, "small", None, True],
        "data_format": [*h.NOT_A_FORMAT, "NCL"],
    }
    if not call["training"]:
        spoilers["running_mean"] = spoilers["running_var"] = bad_partners(channels)
    if suffix:
        call = batch_norm_backward(data.draw, call)
        spoilers["grad_output"] = bad_partners(x)
        spoilers["stats"] = [(channels,), 3, (channels, channels[:0]), (channels.tolist(), channels)]
    else:
        spoilers["bias"] = bad_partners(channels)[1:]
        spoilers["momentum"] = ["fast", None, np.nan]
    h.check_spoiled(f"batch_norm{suffix}", call, *h.pick_spoiler(data.draw, spoilers))


@st.composite
def lrn_calls(draw: h.Draw) -> h.Call:
    shape = (draw(st.integers(0, 2)), *(draw(st.integers(1, 9)) for _ in range(3)))
    return {
        "x": h.numbers(draw(h.SEEDS), shape, draw(h.DTYPES), "normal"),
        "size": draw(st.integers(1, 12)),
        "alpha": draw(st.sampled_from([1e-4, 0.5, 2.0])),
        "beta": draw(st.sampled_from([0.5, 0.75, 1.0, 1.3])),
        "k": draw(st.sampled_from([1, 1.5, 2.0])),
        "data_format": draw(st.sampled_from(["NCHW", "NHWC", "HWCN"])),
    }


@given(st.data())
def test_local_response_norm(data: st.DataObject) -> None:
    call = data.draw(lrn_calls())
    h.check("local_response_norm", call)
    grad_output = h.numbers(data.draw(h.SEEDS), call["x"].shape, call["x"].dtype)
    h.check("local_response_norm_backward", {"grad_output": grad_output, **call})


@BOTH
@given(data=st.data())
def test_local_response_norm_spoiled(suffix: str, data: st.DataObject) -> None:
    call = data.draw(lrn_calls())
    spoilers: dict[str, list[Any]] = {
        "x": bad_floats(call["x"]),
        "size": [0, -1, True, 1.5, "2", None, 2**63],
        "alpha": ["a", None, np.nan, np.inf, True],
        "beta": ["a", None, np.nan, np.inf],
        "k": ["a", None, np.nan, np.inf],
        "data_format": h.NOT_A_FORMAT,
    }
    if suffix:
        call = {"grad_output": np.ones_like(call["x"]), **call}
        spoilers["grad_output"] = bad_partners(call["x"])
    h.check_spoiled(f"local_response_norm{suffix}", call, *h.pick_spoiler(data.draw, spoilers))


ACTIVATIONS: list[tuple[str, dict[str, Any], dict[str, list[Any]]]] = [
    ("relu", {}, {}),
    ("leaky_relu", {"negative_slope": 0.1}, {"negative_slope": ["a", None, np.nan, np.inf, 1j]}),
    ("sigmoid", {}, {}),
    ("tanh", {}, {}),
    ("silu", {}, {}),
    ("gelu", {"approximate": "none"}, {"approximate": ["erf", None, 3, True]}),
    ("gelu", {"approximate": "tanh"}, {"approximate": ["Tanh", ""]}),
    ("hardswish", {}, {}),
]


@pytest.mark.parametrize(("name", "options", "_"), ACTIVATIONS, ids=lambda v: v if isinstance(v, str) else "")
@given(shape=SHAPES, dtype=h.DTYPES, seed=h.SEEDS)
def test_activation(name: str, options: Any, _: Any, shape: tuple[int, ...], dtype: Any, seed: int) -> None:
    x = h.numbers(seed, shape, dtype, "normal") * dtype(3)
    x = np.asarray(x, dtype)
    h.check(name, {"x": x, **options})
    grad_output = h.numbers(seed + 1, shape, dtype, "normal")
    h.check(f"{name}_backward", {"grad_output": grad_output, "x": x, **options})


@BOTH
@pytest.mark.parametrize(("name", "options", "bad"), ACTIVATIONS, ids=lambda v: v if isinstance(v, str) else "")
@given(data=st.data())
def test_activation_spoiled(suffix: str, name: str, options: Any, bad: Any, data: st.DataObject) -> None:
    x = h.numbers(0, data.draw(SHAPES), data.draw(h.DTYPES), "normal")
    call = {"x": x, **options}
    spoilers = {"x": bad_floats(x), **bad}
    if suffix:
        call = {"grad_output": np.ones_like(x), **call}
        spoilers["grad_output"] = [*bad_floats(x), np.ones((*x.shape, 2), x.dtype)]
    else:
        spoilers["out"] = h.bad_outs((*x.shape, 3), x.dtype)
    h.check_spoiled(f"{name}{suffix}", call, *h.pick_spoiler(data.draw, spoilers))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@given(data=st.data())
def test_softmax(name: str, data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = h.numbers(data.draw(h.SEEDS), shape, data.draw(h.DTYPES), "normal")
    h.check(name, {"x": x, "dim": dim})
    output = getattr(reference, name)(x, dim)
    grad_output = h.numbers(data.draw(h.SEEDS), shape, x.dtype)
    h.check(f"{name}_backward", {"grad_output": grad_output, "output": output, "dim": dim})
    spoilers: dict[str, list[Any]] = {
        "dim": [len(shape), -len(shape) - 1, True, 1.5, "0", None, (0,), 2**63],
        "x": [*bad_floats(x), np.zeros((), x.dtype)],
    }
    h.check_spoiled(name, {"x": x, "dim": dim}, *h.pick_spoiler(data.draw, spoilers))
    spoilers["grad_output"], spoilers["output"] = bad_partners(x), bad_floats(x)
    del spoilers["x"]
    backward = {"grad_output": grad_output, "output": output, "dim": dim}
    h.check_spoiled(f"{name}_backward", backward, *h.pick_spoiler(data.draw, spoilers))


@given(shape=SHAPES, dtype=h.DTYPES, seed=h.SEEDS, p=st.sampled_from([0, 0.1, 0.5, 0.9, 1, 1.0]))
def test_dropout(shape: tuple[int, ...], dtype: Any, seed: int, p: float) -> None:
    """One seed, one mask; the result is what the reference makes of that mask."""
    x = np.asarray(h.numbers(seed, shape, dtype, "normal"))
    run = h.function("dropout")
    y, mask = run(x, p, rng=seed, return_mask=True)
    again, same = run(x, p, rng=seed, return_mask=True)
    assert identical(y, again) and identical(mask, same) and mask.dtype == bool and mask.shape == x.shape
    assert (mask.all() or p > 0) and (not mask.any() or p < 1)
    h.check("dropout", {"x": x, "p": p, "mask": mask, "return_mask": True})
    h.check("dropout", {"x": x, "p": p, "training": False, "return_mask": True}, exact=True)
    h.check("dropout_backward", {"grad_output": x, "mask": mask, "p": p})


def test_dropout_keeps_the_share_it_should() -> None:
    """A mean of 10**5 coins lies within 5 of its own standard deviations."""
    run = h.function("dropout")
    generator = np.random.default_rng(1)
    x = np.ones(100_000, np.float32)
    masks = [run(x, 0.3, rng=generator, return_mask=True)[1] for _ in range(3)]
    for mask in masks:
        assert abs(mask.mean() - 0.7) < 5 * np.sqrt(0.3 * 0.7 / x.size)
    assert not identical(masks[0], masks[1])
    assert abs((masks[0] & masks[1]).mean() - 0.49) < 5 * np.sqrt(0.49 * 0.51 / x.size)
    assert abs((masks[0][1:] & masks[0][:-1]).mean() - 0.49) < 10 * np.sqrt(0.49 * 0.51 / x.size)


@BOTH
@given(data=st.data())
def test_dropout_spoiled(suffix: str, data: st.DataObject) -> None:
    x = np.asarray(h.numbers(0, data.draw(SHAPES), data.draw(h.DTYPES), "normal"))
    mask = np.ones(x.shape, bool)
    bad_masks = [mask.astype(np.float32), mask.astype(np.int64), np.ones((*x.shape, 2), bool), [True], "mask"]
    spoilers: dict[str, list[Any]] = {"p": [-0.1, 1.5, np.nan, "half", None, True], "mask": bad_masks}
    if suffix:
        call = {"grad_output": x, "mask": mask, "p": 0.5}
        spoilers["grad_output"] = bad_floats(x)
    else:
        call = {"x": x, "p": 0.5, "mask": mask}
        spoilers["x"] = bad_floats(x)
        spoilers["training"] = ["yes", None]
        spoilers["rng"] = ["seed", 1.5, True]
        spoilers["return_mask"] = ["yes", None]
    name, value = h.pick_spoiler(data.draw, spoilers)
    if name == "rng":
        del call["mask"]
    h.check_spoiled(f"dropout{suffix}", call, name, value)


@st.composite
def cross_entropy_calls(draw: h.Draw) -> h.Call:
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=2, max_size=4)))
    dtype, seed = draw(h.DTYPES), draw(h.SEEDS)
    rng = np.random.default_rng(seed)
    target = rng.integers(0, shape[1], (shape[0], *shape[2:])).astype(
        draw(st.sampled_from([np.int64, np.int32, np.uint8]))
    )
    ignore = draw(st.sampled_from([None, None, -100, 0, 1]))
    if ignore is not None and target.dtype.kind == "i" and target.size > 1:
        target.flat[: target.size // 2] = ignore
        target.flat[-1] = (ignore + 1) % shape[1] if 0 <= ignore < shape[1] else 0
    return {
        "x": h.numbers(seed, shape, dtype, "normal"),
        "target": target,
        "weight": np.abs(h.numbers(seed + 1, shape[1:2], dtype, "normal")) + dtype(0.1)
        if draw(st.booleans())
        else None,
        "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
        "label_smoothing": draw(st.sampled_from([0.0, 0.1, 1.0])),
        "ignore_index": ignore,
    }


def with_grad(call: h.Call, losses: Any) -> h.Call:
    """The call of a loss's backward."""
    shape = np.shape(losses)
    grad_output = h.numbers(7, shape, call["x"].dtype, "normal") if call["reduction"] == "none" else 1.5
    return {"grad_output": grad_output, **call}


@given(st.data())
def test_cross_entropy(data: st.DataObject) -> None:
    call = data.draw(cross_entropy_calls())
    h.check("cross_entropy", call)
    h.check("cross_entropy_backward", with_grad(call, call["target"]))


@BOTH
@given(data=st.data())
def test_cross_entropy_spoiled(suffix: str, data: st.DataObject) -> None:
    call = data.draw(cross_entropy_calls())
    classes, target, dtype = call["x"].shape[1], call["target"].astype(np.int64), call["x"].dtype
    outside = [np.full_like(target, label) for label in (classes, -1, -101, 2**40) if label != call["ignore_index"]]
    spoilers: dict[str, list[Any]] = {
        "x": [*bad_floats(call["x"]), np.zeros(3, dtype), np.zeros((), dtype)],
        "target": [*outside, target.astype(float), target.tolist(), None, target[..., None], target[:0], "label"],
        "weight": bad_partners(np.ones(classes, dtype))[1:],
        "reduction": ["avg", None, True],
        "label_smoothing": [-0.1, 1.1, np.nan, "much", None, True],
        "ignore_index": [1.5, "2", True],
    }
    if suffix:
        call = with_grad(call, target)
        none = call["reduction"] == "none"
        spoilers["grad_output"] = bad_partners(call["grad_output"])[:3] if none else [None, "1", [1.0, 2.0], 1j]
    h.check_spoiled(f"cross_entropy{suffix}", call, *h.pick_spoiler(data.draw, spoilers))


PAIRS = ["mse_loss", "binary_cross_entropy_with_logits"]


@st.composite
def pair_calls(draw: h.Draw, name: str) -> h.Call:
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    dtype, seed = draw(h.DTYPES), draw(h.SEEDS)
    target = np.random.default_rng(seed).random(shape).astype(dtype)
    call: h.Call = {"x": h.numbers(seed, shape, dtype, "normal"), "target": target}
    if name != "mse_loss" and draw(st.booleans()):
        part = shape[draw(st.integers(0, len(shape))) :]
        call["weight"] = np.asarray(np.abs(h.numbers(seed + 1, part, dtype, "normal")))
        call["pos_weight"] = np.abs(h.numbers(seed + 2, shape[-1:], dtype, "normal"))
    return {**call, "reduction": draw(st.sampled_from(["mean", "sum", "none"]))}


@pytest.mark.parametrize("name", PAIRS)
@given(data=st.data())
def test_loss_of_pairs(name: str, data: st.DataObject) -> None:
    call = data.draw(pair_calls(name))
    h.check(name, call)
    h.check(f"{name}_backward", with_grad(call, call["x"]))


@BOTH
@pytest.mark.parametrize("name", PAIRS)
@given(data=st.data())
def test_loss_of_pairs_spoiled(suffix: str, name: str, data: st.DataObject) -> None:
    call = data.draw(pair_calls(name))
    spoilers: dict[str, list[Any]] = {
        "x": bad_floats(call["x"]),
        "target": bad_partners(call["x"]),
        "reduction": ["avg", None, True],
    }
    if name != "mse_loss":
        alone = np.ones((7, 6, 5, 4, 3), call["x"].dtype)
        spoilers["weight"] = spoilers["pos_weight"] = [alone, *bad_floats(alone)[1:]]
    if suffix:
        call = with_grad(call, call["x"])
    h.check_spoiled(f"{name}{suffix}", call, *h.pick_spoiler(data.draw, spoilers))

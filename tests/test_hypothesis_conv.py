"""Convolution over all hyperparameters, valid and invalid: the reference's numbers, or a clear refusal."""

from typing import Any

import hypotheses as h
import numpy as np
import pytest
from case import FORMATS, to_format
from hypothesis import given
from hypothesis import strategies as st

from pycnn import reference

DIMS = pytest.mark.parametrize("dims", [1, 2, 3])


@st.composite
def conv_calls(draw: h.Draw, dims: int) -> h.Call:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels, filters = draw(st.integers(0 if groups == 1 else 1, 3)), draw(st.integers(1, 3))
    dtype, seed = draw(h.DTYPES), draw(h.SEEDS)
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(dims))
    batch = draw(st.sampled_from([0, 1, 1, 2]))
    x = h.numbers(seed, (batch, channels * groups, *draw(h.sizes(dims, 7))), dtype)
    data_format = draw(st.sampled_from(FORMATS[dims]))
    return {
        "x": to_format(x, data_format),
        "weight": h.numbers(seed + 1, (filters * groups, channels, *kernel), dtype),
        "bias": h.numbers(seed + 2, (filters * groups,), dtype) if draw(st.booleans()) else None,
        "stride": draw(h.counts(dims, 1, 4)),
        "padding": draw(h.paddings(dims, 4)),
        "dilation": draw(h.counts(dims, 1, 3)),
        "groups": groups,
        "data_format": data_format,
    }


def spoil_options(call: h.Call, dims: int) -> dict[str, list[Any]]:
    """Impossible values of each argument that convolutions share."""
    c = call["weight"].shape[0]
    other = np.float64 if call["x"].dtype == np.float32 else np.float32
    kernel_0 = np.zeros((*call["weight"].shape[:-1], 0), call["x"].dtype)
    wrong_channels = np.zeros((c, call["weight"].shape[1] + 1, *call["weight"].shape[2:]), call["x"].dtype)
    no_pixels = np.zeros((*call["x"].shape[:-3], 0, 0, 0)[-dims - 2 :], call["x"].dtype)
    return {
        "x": [*h.bad_arrays(call["x"]), no_pixels],
        "weight": [*h.bad_arrays(call["weight"]), call["weight"].astype(other), kernel_0, wrong_channels],
        "stride": [*h.NOT_A_COUNT, (1,) * (dims + 1)],
        "dilation": h.NOT_A_COUNT,
        "padding": h.NOT_A_PADDING,
        "groups": [0, -1, True, 1.5, "2", None, 2**63, c + 1, (1,)],
        "data_format": [*h.NOT_A_FORMAT, FORMATS[dims % 3 + 1][0]],
    }


@DIMS
@given(st.data())
def test_conv(dims: int, data: st.DataObject) -> None:
    h.check(f"conv{dims}d", data.draw(conv_calls(dims)), exact=True)


@DIMS
@given(st.data())
def test_conv_spoiled(dims: int, data: st.DataObject) -> None:
    call = data.draw(conv_calls(dims))
    spoilers = spoil_options(call, dims)
    filters = call["weight"].shape[0]
    bias = np.ones(filters, call["x"].dtype)
    spoilers["bias"] = [np.ones(filters + 1, bias.dtype), np.float64(1.0), *h.bad_arrays(bias)[1:]]
    spoilers["out"] = h.bad_outs((1, 2) + (9,) * dims, call["x"].dtype)
    h.check_spoiled(f"conv{dims}d", call, *h.pick_spoiler(data.draw, spoilers))


def backward_call(draw: h.Draw, call: h.Call, name: str) -> h.Call | None:
    """The call of a backward; None where forward refuses."""
    forward = {key: value for key, value in call.items() if key != "bias"}
    try:
        shape = getattr(reference, name)(**forward).shape
    except ValueError:
        return None
    needs = draw(st.lists(st.sampled_from(["input", "weight", "bias"]), unique=True))
    return {"grad_output": h.numbers(draw(h.SEEDS), shape, call["x"].dtype), **forward, "needs": tuple(needs)}


@DIMS
@given(st.data())
def test_conv_backward(dims: int, data: st.DataObject) -> None:
    call = backward_call(data.draw, data.draw(conv_calls(dims)), f"conv{dims}d")
    if call is not None:
        h.check(f"conv{dims}d_backward", call, exact=True)


def spoil_backward(draw: h.Draw, call: h.Call, dims: int) -> tuple[str, Any]:
    spoilers = spoil_options(call, dims)
    grad = call["grad_output"]
    longer = np.zeros((*grad.shape[:-1], grad.shape[-1] + 1), grad.dtype)
    other = np.float64 if grad.dtype == np.float32 else np.float32
    spoilers["grad_output"] = [*h.bad_arrays(grad), longer, grad.astype(other)]
    spoilers["needs"] = ["input", ("x",), ("input", 3), ("bias", None)]
    frozen = np.zeros(call["weight"].shape, grad.dtype)
    frozen.flags.writeable = False
    spoilers["out"] = [(None, frozen, None), (1, 2), np.zeros(grad.shape), (None, None, "bias")]
    name, value = h.pick_spoiler(draw, spoilers)
    if name == "out":
        call["needs"] = ("input", "weight", "bias")
    return name, value


@DIMS
@given(st.data())
def test_conv_backward_spoiled(dims: int, data: st.DataObject) -> None:
    call = backward_call(data.draw, data.draw(conv_calls(dims)), f"conv{dims}d")
    if call is not None:
        h.check_spoiled(f"conv{dims}d_backward", call, *spoil_backward(data.draw, call, dims))


@st.composite
def transposed_calls(draw: h.Draw) -> h.Call:
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    dtype, seed = draw(h.DTYPES), draw(h.SEEDS)
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(2))
    x = h.numbers(seed, (draw(st.sampled_from([0, 1, 2])), channels * groups, *draw(h.sizes(2, 5))), dtype)
    data_format = draw(st.sampled_from(FORMATS[2]))
    padding = draw(h.paddings(2, 3))
    return {
        "x": to_format(x, data_format),
        "weight": h.numbers(seed + 1, (channels * groups, filters, *kernel), dtype),
        "bias": h.numbers(seed + 2, (filters * groups,), dtype) if draw(st.booleans()) else None,
        "stride": draw(h.counts(2, 1, 4)),
        "padding": padding,
        "output_padding": draw(h.counts(2, 0, 3)) if not isinstance(padding, str) else 0,
        "dilation": draw(h.counts(2, 1, 3)),
        "groups": groups,
        "data_format": data_format,
    }


@given(st.data())
def test_conv_transpose(data: st.DataObject) -> None:
    h.check("conv_transpose2d", data.draw(transposed_calls()), exact=True)


@given(st.data())
def test_conv_transpose_backward(data: st.DataObject) -> None:
    call = backward_call(data.draw, data.draw(transposed_calls()), "conv_transpose2d")
    if call is not None:
        h.check("conv_transpose2d_backward", call, exact=True)


@given(st.data())
def test_conv_transpose_spoiled(data: st.DataObject) -> None:
    call = data.draw(transposed_calls())
    backward = backward_call(data.draw, call, "conv_transpose2d") if data.draw(st.booleans()) else None
    spoilers = spoil_options(call, 2)
    spoilers["output_padding"] = [-1, True, 1.5, "2", None, 2**63, (0, 0, 0), 12]
    del spoilers["groups"]
    wrong = np.zeros((call["weight"].shape[0] + 1, *call["weight"].shape[1:]), call["x"].dtype)
    spoilers["weight"] = [*h.bad_arrays(call["weight"]), wrong]
    name, value = h.pick_spoiler(data.draw, spoilers)
    target = "conv_transpose2d" if backward is None else "conv_transpose2d_backward"
    h.check_spoiled(target, backward or call, name, value)

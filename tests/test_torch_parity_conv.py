"""Convolution and transposed convolution against PyTorch, forward and all gradients."""

import zlib
from types import ModuleType
from typing import Any

import cases_conv
import numpy as np
import pytest
from case import fill
from parity import LIBRARIES, RUNS, array, assert_parity, each, explicit_pads, tensor, torch, torch_pad

SPECS = [spec for specs in cases_conv.SPECS.values() for spec in specs if spec.c > 0 and "inf" not in spec.kind]
TRANSPOSED = [spec for spec in cases_conv.TRANSPOSED if spec.c > 0]


def _generator(spec: Any) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(spec.label.encode()))


@RUNS
@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.dims}d-{s.label}")
def test_conv(library: ModuleType, dtype: Any, spec: cases_conv.Conv) -> None:
    rng = _generator(spec)
    x, weight, bias = cases_conv.arrays(rng, spec, dtype)
    tx, tw, tb = tensor(x), tensor(weight), tensor(bias)
    stride, dilation = (each(spec.options.get(key), spec.dims, 1) for key in ("stride", "dilation"))
    padded = torch_pad(tx, explicit_pads(spec, spec.kernel))
    run = getattr(torch.nn.functional, f"conv{spec.dims}d")
    y = run(padded, tw, tb, stride, 0, dilation, int(spec.options.get("groups", 1)))
    grad_output = fill(rng, tuple(y.shape), dtype)
    y.backward(torch.tensor(grad_output))
    name = f"conv{spec.dims}d"
    assert_parity(library, name, (x, weight, bias), spec.options, array(y))
    grads = (array(tx.grad), array(tw.grad), None if tb is None else array(tb.grad))
    assert_parity(library, f"{name}_backward", (grad_output, x, weight), spec.options, grads)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_named_padding_is_pytorchs(padding: str) -> None:
    """The one named padding that PyTorch has: "same" with stride 1, even kernels included."""
    rng = np.random.default_rng(1)
    x, weight = fill(rng, (2, 3, 7, 9), np.float64), fill(rng, (4, 3, 4, 3), np.float64)
    want = torch.nn.functional.conv2d(tensor(x), tensor(weight), padding=padding, dilation=(1, 2))
    for library in LIBRARIES.args[1]:
        if hasattr(library, "conv2d"):
            options = {"padding": padding, "dilation": (1, 2)}
            assert_parity(library, "conv2d", (x, weight), options, array(want))


def _transposed(spec: cases_conv.Transposed, tx: Any, tw: Any, tb: Any) -> Any:
    """PyTorch's result without padding, cropped by hand."""
    stride, dilation = (each(spec.options.get(key), 2, 1) for key in ("stride", "dilation"))
    extra = each(spec.options.get("output_padding"), 2, 0)
    padding = spec.options.get("padding", 0)
    if isinstance(padding, str):
        # the size of a "same" output is input * stride
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, spec.kernel, strict=True)]
        total = [max(span - s, 0) if padding != "valid" else 0 for span, s in zip(spans, stride, strict=True)]
        pads = [(t // 2, t - t // 2) if padding == "same" else (t - t // 2, t // 2) for t in total]
    else:
        pads = explicit_pads(spec, spec.kernel)
    groups = spec.options.get("groups", 1)
    full = torch.nn.functional.conv_transpose2d(tx, tw, None, stride, 0, 0, groups, dilation)
    full = torch_pad(full, [(0, e) for e in extra])
    (top, bottom), (left, right) = pads
    y = full[:, :, top : full.shape[2] - bottom, left : full.shape[3] - right]
    return y if tb is None else y + tb[:, None, None]


@RUNS
@pytest.mark.parametrize("spec", TRANSPOSED, ids=lambda s: s.label)
def test_conv_transpose(library: ModuleType, dtype: Any, spec: cases_conv.Transposed) -> None:
    rng = _generator(spec)
    x, weight, bias = cases_conv.transposed_arrays(rng, spec, dtype)
    tx, tw, tb = tensor(x), tensor(weight), tensor(bias)
    y = _transposed(spec, tx, tw, tb)
    grad_output = fill(rng, tuple(y.shape), dtype)
    y.backward(torch.tensor(grad_output))
    assert_parity(library, "conv_transpose2d", (x, weight, bias), spec.options, array(y))
    grads = (array(tx.grad), array(tw.grad), None if tb is None else array(tb.grad))
    assert_parity(library, "conv_transpose2d_backward", (grad_output, x, weight), spec.options, grads)


@LIBRARIES
def test_conv_transpose_takes_pytorchs_arguments(library: ModuleType) -> None:
    """Symmetric padding and output_padding together, straight through PyTorch."""
    rng = np.random.default_rng(2)
    x, weight = fill(rng, (2, 4, 5, 6), np.float64), fill(rng, (4, 3, 3, 4), np.float64)
    options = {"stride": (2, 3), "padding": (1, 2), "output_padding": (1, 2), "groups": 2, "dilation": (2, 1)}
    want = torch.nn.functional.conv_transpose2d(tensor(x), tensor(weight), **options)
    assert_parity(library, "conv_transpose2d", (x, weight), options, array(want))

"""Pooling against PyTorch, forward and gradients.

PyTorch lacks asymmetric and named padding, padding beyond half a kernel, dilated and Lp averages; there the same sum is
written with PyTorch's padding and a convolution with ones, which autograd differentiates.
"""

import zlib
from types import ModuleType
from typing import Any

import cases_pool
import numpy as np
import pytest
from case import fill
from parity import RUNS, array, assert_parity, each, explicit_pads, find, tensor, torch, torch_pad

SPECS = [spec for specs in cases_pool.SPECS.values() for spec in specs if spec.nc[1] > 0]
POOLS = pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.dims}d-{s.label}")
T = torch.nn.functional


def _generator(spec: Any) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(spec.label.encode()))


def _geometry(spec: cases_pool.Pool) -> tuple[Any, Any, Any, Any, bool]:
    kernel = each(spec.kernel, spec.dims, 1)
    stride = kernel if spec.options.get("stride") is None else each(spec.options["stride"], spec.dims, 1)
    dilation = each(spec.options.get("dilation"), spec.dims, 1)
    ceil = spec.options.get("ceil_mode", False) and not isinstance(spec.options.get("padding"), str)
    return kernel, stride, dilation, explicit_pads(spec, kernel), ceil


def _native(kernel: Any, pads: Any) -> bool:
    """Whether PyTorch takes the padding."""
    return all(a == b and a <= k // 2 for k, (a, b) in zip(kernel, pads, strict=True))


@RUNS
@POOLS
@pytest.mark.parametrize("kind", ["normal", "ties", "nan"])
def test_max_pool(library: ModuleType, dtype: Any, spec: cases_pool.Pool, kind: str) -> None:
    rng = _generator(spec)
    kernel, stride, dilation, pads, ceil = _geometry(spec)
    native = _native(kernel, pads)
    if ceil and not native:
        pytest.skip("PyTorch cannot pad so and round up")
    x = fill(rng, spec.shape, dtype, kind)
    tx = tensor(x)
    run = getattr(T, f"max_pool{spec.dims}d")
    padded = tx if native else torch_pad(tx, pads, -np.inf)
    padding = tuple(p for p, _ in pads) if native else 0
    y, places = run(padded, kernel, stride, padding, dilation, ceil, True)
    grad_output = fill(rng, tuple(y.shape), dtype, "small integers")
    name = f"max_pool{spec.dims}d"
    options = {"kernel_size": spec.kernel, **spec.options}
    got, indices = find(library, name)(x, return_indices=True, **options)
    np.testing.assert_array_equal(got, array(y))
    if kind != "nan" and native:  # of several NaN PyTorch names the last
        np.testing.assert_array_equal(indices, array(places))
    if kind != "nan":
        y.backward(torch.tensor(grad_output))
        back = find(library, f"{name}_backward")
        compact = find(library, name)(x, return_indices="compact", **options)[1]
        for chosen in (indices, compact):
            np.testing.assert_array_equal(back(grad_output, chosen, x.shape, **options), array(tx.grad))


def _sums(x: Any, kernel: Any, stride: Any, dilation: Any, pads: Any) -> Any:
    """Sum of each window: a convolution of each channel with ones."""
    flat = torch_pad(x, pads).reshape(-1, 1, *(n + sum(p) for n, p in zip(x.shape[2:], pads, strict=True)))
    ones = torch.ones((1, 1, *kernel), dtype=x.dtype)
    y = getattr(T, f"conv{len(kernel)}d")(flat, ones, None, stride, 0, dilation)
    return y.reshape(*x.shape[:2], *y.shape[2:])


def _average(tx: Any, spec: cases_pool.Pool, include: bool, divisor: int | None) -> Any:
    kernel, stride, dilation, pads, ceil = _geometry(spec)
    plain = _native(kernel, pads) and set(dilation) == {1}
    if ceil and spec.dims == 3 and any(n + sum(p) < k for n, p, k in zip(spec.size, pads, kernel, strict=True)):
        pytest.skip("PyTorch's average of volumes alone refuses windows larger than the padded input")
    if plain and (spec.dims != 1 or divisor is None):
        padding = tuple(p for p, _ in pads)
        more = () if spec.dims == 1 else (divisor,)
        return getattr(T, f"avg_pool{spec.dims}d")(tx, kernel, stride, padding, ceil, include, *more)
    if ceil:
        pytest.skip("PyTorch cannot pad so and round up")
    total = _sums(tx, kernel, stride, dilation, pads)
    if divisor is not None:
        return total / divisor
    if include:
        return total / np.prod(kernel)
    return total / _sums(torch.ones_like(tx), kernel, stride, dilation, pads)


@RUNS
@POOLS
@pytest.mark.parametrize("extra", [(True, None), (False, None), (True, 3)], ids=["include", "exclude", "override"])
def test_avg_pool(library: ModuleType, dtype: Any, spec: cases_pool.Pool, extra: tuple[bool, int | None]) -> None:
    if spec.nc[0] == 0:
        pytest.skip("PyTorch refuses empty batches in some of these")
    include, divisor = extra
    rng = _generator(spec)
    x = fill(rng, spec.shape, dtype)
    tx = tensor(x)
    y = _average(tx, spec, include, divisor)
    grad_output = fill(rng, tuple(y.shape), dtype)
    y.backward(torch.tensor(grad_output))
    name = f"avg_pool{spec.dims}d"
    options = {"kernel_size": spec.kernel, "count_include_pad": include, "divisor_override": divisor, **spec.options}
    assert_parity(library, name, (x,), options, array(y))
    assert_parity(library, f"{name}_backward", (grad_output, x.shape), options, array(tx.grad))


@RUNS
@pytest.mark.parametrize("spec", [s for s in SPECS if s.dims == 2 and s.nc[0]], ids=lambda s: s.label)
@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_lp_pool(library: ModuleType, dtype: Any, spec: cases_pool.Pool, p: float) -> None:
    kernel, stride, dilation, pads, ceil = _geometry(spec)
    if ceil and not _native(kernel, pads):
        pytest.skip("PyTorch cannot pad so and round up")
    rng = _generator(spec)
    x = fill(rng, spec.shape, dtype)
    tx = tensor(x)
    if ceil:  # PyTorch's own function scales the sum of a window that overhangs; ONNX adds what is there
        pads = _overhanging(tx, kernel, stride, dilation, pads)
    y = _sums(tx.abs() ** p, kernel, stride, dilation, pads) ** (1 / p)
    grad_output = fill(rng, tuple(y.shape), dtype)
    y.backward(torch.tensor(grad_output))
    options = {"norm_type": p, "kernel_size": spec.kernel, **spec.options}
    assert_parity(library, "lp_pool2d", (x,), options, array(y), loosen=4.0)
    if _all_windows_hold_something(y):
        assert_parity(library, "lp_pool2d_backward", (grad_output, x), options, array(tx.grad), loosen=4.0)


def _overhanging(tx: Any, kernel: Any, stride: Any, dilation: Any, pads: Any) -> list[tuple[int, int]]:
    """Padding with which the windows that PyTorch counts, rounding up, fit."""
    padding = tuple(p for p, _ in pads)
    counts = T.max_pool2d(tx, kernel, stride, padding, dilation, True).shape[2:]
    spans = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(counts, stride, dilation, kernel, strict=True)]
    return [(p, max(0, s - p - n)) for p, s, n in zip(padding, spans, tx.shape[2:], strict=True)]


def _all_windows_hold_something(y: Any) -> bool:
    """Autograd makes NaN of a norm that is 0."""
    return bool((y > 0).all())


@RUNS
@pytest.mark.parametrize(("shape", "size"), [c for c in cases_pool.ADAPTIVE if c[0][1] > 0], ids=str)
def test_adaptive_pool(library: ModuleType, dtype: Any, shape: Any, size: Any) -> None:
    rng = np.random.default_rng(len(str(size)))
    x = fill(rng, shape, dtype, "ties")
    size_of_torch = size if np.ndim(size) == 0 else tuple(None if s is None else int(s) for s in size)
    tx = tensor(x)
    y, places = T.adaptive_max_pool2d(tx, size_of_torch, return_indices=True)
    grad_output = fill(rng, tuple(y.shape), dtype, "small integers")
    y.backward(torch.tensor(grad_output))
    got, indices = find(library, "adaptive_max_pool2d")(x, size, True)
    np.testing.assert_array_equal(got, array(y))
    np.testing.assert_array_equal(indices, array(places))
    dx = find(library, "adaptive_max_pool2d_backward")(grad_output, indices, x.shape, size)
    np.testing.assert_array_equal(dx, array(tx.grad))
    tx = tensor(x)
    y = T.adaptive_avg_pool2d(tx, size_of_torch)
    y.backward(torch.tensor(grad_output))
    assert_parity(library, "adaptive_avg_pool2d", (x, size), {}, array(y))
    assert_parity(library, "adaptive_avg_pool2d_backward", (grad_output, x.shape, size), {}, array(tx.grad))


UNPOOL = [(s, size) for s, size in cases_pool.UNPOOL if _native(_geometry(s)[0], _geometry(s)[3]) and s.nc[0]]


@RUNS
@pytest.mark.parametrize(("spec", "size"), UNPOOL, ids=lambda v: getattr(v, "label", ""))
def test_max_unpool(library: ModuleType, dtype: Any, spec: cases_pool.Pool, size: Any) -> None:
    if spec.label == "overlapping":
        pytest.skip("where windows overlap an index repeats; PyTorch then picks either")
    rng = _generator(spec)
    kernel, stride, _, pads, _ = _geometry(spec)
    padding = tuple(p for p, _ in pads)
    y, places = T.max_pool2d(torch.tensor(fill(rng, spec.shape, dtype)), kernel, stride, padding, return_indices=True)
    x = fill(rng, tuple(y.shape), dtype)
    tx = tensor(x)
    up = T.max_unpool2d(tx, places, kernel, stride, padding, size)
    grad_output = fill(rng, tuple(up.shape), dtype)
    up.backward(torch.tensor(grad_output))
    options = {"kernel_size": spec.kernel, **spec.options, "output_size": size}
    np.testing.assert_array_equal(find(library, "max_unpool2d")(x, array(places), **options), array(up))
    back = find(library, "max_unpool2d_backward")(grad_output, array(places), **options)
    np.testing.assert_array_equal(back, array(tx.grad))

"""Whichever allocation of a call fails: a MemoryError, the arguments as they were, and the next call right."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compare import as_tuple, identical, image
from vectors import ACTIVATIONS, FLOATS

from pycnn import functional as F
from pycnn.kernels import _runtime

SHAPE = (3, 6, 40, 41)
FORMATS = {"NCHW": SHAPE, "NHWC": (3, 40, 41, 6), "HWCN": (40, 41, 6, 3)}
POOLS = {"plain": {}, "padded": {"padding": 1, "stride": 2}, "dilated": {"dilation": 2, "padding": 2, "stride": 1}}


def arrays(dtype: Any, shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape).astype(dtype)


def survives(call: Callable[..., Any], *args: Any, most: int = 200) -> int:
    """Let the first, the second, ... allocation fail until none is left; how many there were."""
    want, before = as_tuple(call(*args)), image(args)
    for n in range(1, most):
        _runtime.fail_after(n)
        try:
            got = call(*args)
        except MemoryError as error:
            assert image(args) == before, f"allocation {n} failed, and an argument changed"
            assert "no memory" in str(error)
            continue
        finally:
            _runtime.fail_after(0)
        for one, other in zip(as_tuple(got), want, strict=True):
            assert (one is None and other is None) or identical(one, other)
        return n - 1
    pytest.fail(f"still an allocation to fail after {most}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, dtype: Any) -> None:
    x, g = arrays(dtype)
    assert survives(getattr(F, name), x) == 1
    assert survives(getattr(F, f"{name}_backward"), g, x) == 1


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("options", POOLS.values(), ids=POOLS)
def test_pooling(options: dict[str, Any], data_format: str, dtype: Any) -> None:
    x, _ = arrays(dtype, FORMATS[data_format])
    options = {**options, "data_format": data_format}
    for indices in (False, True, "compact"):
        assert survives(lambda a, i=indices: F.max_pool2d(a, 3, return_indices=i, **options), x) >= 1
    assert survives(lambda a: F.avg_pool2d(a, 3, **options), x) >= 1
    assert survives(lambda a: F.avg_pool2d(a, 3, count_include_pad=False, **options), x) >= 1
    y, places = F.max_pool2d(x, 3, return_indices=True, **options)
    codes = F.max_pool2d(x, 3, return_indices="compact", **options)[1]
    for found in (places, codes):
        assert survives(lambda g, i: F.max_pool2d_backward(g, i, x.shape, 3, **options), y, found) >= 1
    for ties in ("split", "all"):
        call = lambda g, a, t=ties: F.max_pool2d_backward(g, None, x.shape, 3, x=a, ties=t, **options)  # noqa: E731
        assert survives(call, y, x) >= 1
    for counted in (True, False):
        call = lambda g, c=counted: F.avg_pool2d_backward(  # noqa: E731
            g, x.shape, 3, count_include_pad=c, **options
        )
        assert survives(call, y) >= 1


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("data_format", FORMATS)
def test_other_pooling(data_format: str, dtype: Any) -> None:
    x, _ = arrays(dtype, FORMATS[data_format])
    form = {"data_format": data_format}
    y, places = F.adaptive_max_pool2d(x, (20, 21), True, **form)
    assert survives(lambda a: F.adaptive_max_pool2d(a, (20, 21), **form), x) >= 1
    assert survives(lambda a: F.adaptive_avg_pool2d(a, (20, 21), **form), x) >= 1
    assert survives(lambda g, i: F.adaptive_max_pool2d_backward(g, i, x.shape, (20, 21), **form), y, places) >= 1
    assert survives(lambda g: F.adaptive_avg_pool2d_backward(g, x.shape, (20, 21), **form), y) >= 1
    y = F.lp_pool2d(x, 3.0, 2, **form)
    assert survives(lambda a: F.lp_pool2d(a, 3.0, 2, **form), x) >= 2
    assert survives(lambda g, a: F.lp_pool2d_backward(g, a, 3.0, 2, **form), y, x) >= 2
    y, places = F.max_pool2d(x, 2, return_indices=True, **form)
    assert survives(lambda a, i: F.max_unpool2d(a, i, 2, output_size=(40, 41), **form), y, places) >= 1
    assert survives(lambda g, i: F.max_unpool2d_backward(g, i, 2, output_size=(40, 41), **form), x, places) >= 1


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("data_format", FORMATS)
def test_normalisation(data_format: str, dtype: Any) -> None:
    x, g = arrays(dtype)
    channels = x.shape[{"NCHW": 1, "NHWC": 3, "HWCN": 2}[data_format]]
    mean, var = np.zeros(channels, dtype), np.ones(channels, dtype)
    form = {"data_format": data_format}
    assert survives(lambda a: F.batch_norm(a, None, None, var, mean, True, **form), x) >= 3
    assert survives(lambda a, m, v: F.batch_norm(a, m, v, v, m, **form), x, mean, var) >= 2
    assert survives(lambda d, a: F.batch_norm_backward(d, a, None, None, var, True, **form), g, x) >= 3
    assert survives(lambda d, a, m, v: F.batch_norm_backward(d, a, m, v, v, **form), g, x, mean, var) >= 2
    assert survives(lambda a: F.local_response_norm(a, 3, **form), x) >= 2
    assert survives(lambda d, a: F.local_response_norm_backward(d, a, 3, **form), g, x) >= 2


@pytest.mark.parametrize("dtype", FLOATS)
def test_running_statistics_move_only_in_a_call_that_succeeds(dtype: Any) -> None:
    x, _ = arrays(dtype)
    mean, var = np.full(6, 3, dtype), np.full(6, 5, dtype)
    failures = 0
    for n in range(1, 50):
        _runtime.fail_after(n)
        try:
            F.batch_norm(x, mean, var, training=True, momentum=0.5)
        except MemoryError:
            failures += 1
            assert (mean == 3).all() and (var == 5).all()
        else:
            break
        finally:
            _runtime.fail_after(0)
    assert failures >= 3
    np.testing.assert_allclose(mean, 1.5 + 0.5 * x.mean((0, 2, 3), dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(var, 2.5 + 0.5 * x.var((0, 2, 3), dtype=np.float64, ddof=1), rtol=1e-5)


@pytest.mark.parametrize("dtype", FLOATS)
def test_losses_and_softmax(dtype: Any) -> None:
    x, g = arrays(dtype, (3, 6, 200, 41))
    target = np.abs(g)
    labels = np.random.default_rng(2).integers(0, 6, (3, 200, 41))
    for name in ("softmax", "log_softmax"):
        for dim in (1, 3):
            y = getattr(F, name)(x, dim)
            assert survives(getattr(F, name), x, dim) >= 1
            assert survives(getattr(F, f"{name}_backward"), g, y, dim) >= 1
    logits = "binary_cross_entropy_with_logits"
    assert survives(F.cross_entropy_backward, 1.0, x, labels) >= 1
    assert survives(F.mse_loss, x, g) >= 1
    assert survives(F.mse_loss_backward, 1.0, x, g) >= 1
    assert survives(getattr(F, logits), x, target) >= 1
    assert survives(getattr(F, f"{logits}_backward"), 1.0, x, target) >= 1
    assert survives(F.dropout_backward, g, x > 0) == 1


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("groups", [1, 6])
@pytest.mark.parametrize("data_format", FORMATS)
def test_convolution(data_format: str, groups: int, dtype: Any) -> None:
    x, _ = arrays(dtype, FORMATS[data_format])
    w = np.random.default_rng(3).standard_normal((12, 6 // groups, 3, 3)).astype(dtype)
    options = {"padding": 1, "groups": groups, "data_format": data_format}
    y = F.conv2d(x, w, **options)
    assert survives(lambda a, b: F.conv2d(a, b, **options), x, w) >= 2
    assert survives(lambda g, a, b: F.conv2d_backward(g, a, b, **options), y, x, w) >= 2

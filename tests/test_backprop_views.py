"""The last statements of docs/backprop.md: im2col and its memory, batch normalisation, MATLAB's order."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import pycnn
from pycnn import functional as F

Array = npt.NDArray[Any]
exact = np.testing.assert_array_equal
close = np.testing.assert_allclose


def test_10_im2col_is_the_same_sum() -> None:
    x = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    w, dy = np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), np.array([[[[1.0, -1.0], [2.0, 3.0]]]])
    columns = np.stack([x[0, 0, i : i + 2, j : j + 2].ravel() for i, j in np.ndindex(2, 2)], axis=1)
    exact(columns, [[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]])
    exact(w.reshape(1, 4) @ columns, F.conv2d(x, w).reshape(1, 4))
    dx, dw, _ = F.conv2d_backward(dy, x, w)
    exact(dy.reshape(1, 4) @ columns.T, dw.reshape(1, 4))
    back, dcolumns = np.zeros((3, 3)), w.reshape(4, 1) @ dy.reshape(1, 4)
    for n, (i, j) in enumerate(np.ndindex(2, 2)):
        back[i : i + 2, j : j + 2] += dcolumns[:, n].reshape(2, 2)
    exact(dx[0, 0], back)


def test_10_the_kernels_need_a_fraction_of_the_im2col_matrix() -> None:
    shape = (16, 64, 56, 56)
    x, w = np.zeros(shape, np.float32), np.zeros((64, 64, 3, 3), np.float32)
    y, dx, dw = np.empty_like(x), np.empty_like(x), np.empty_like(w)
    matrix = 4 * 16 * 56 * 56 * 64 * 9
    assert matrix == 115_605_504 == 9 * x.nbytes

    def kept(run: Callable[[], object]) -> int:
        pycnn.empty_cache()
        run()
        return int(str(pycnn.config()["cached_bytes"]))

    def gradient(which: str, out: tuple[Array | None, ...]) -> object:
        return F.conv2d_backward(y, x, w, padding=1, needs=(which,), out=out)

    # Winograd's 36 weights for 9, a block of tiles and sums for each of the 36 points: at most 0.5 MB.
    transformed = 4 * 36 * 64 * 64
    for exact, workspace in ((True, matrix // 100), (False, transformed + 1_000_000)):
        pycnn.set_exact(exact)
        with pycnn.threads(1):
            assert kept(lambda: F.conv2d(x, w, padding=1, out=y)) < workspace
            assert kept(lambda: gradient("input", (dx, None, None))) < workspace
            assert kept(lambda: gradient("weight", (None, dw, None))) < matrix // 14
    pycnn.empty_cache()


X = np.array([1.0, 3.0, 4.0, 5.0, 7.0]).reshape(5, 1)
DY = np.array([0.0, 3.0, 2.0, 1.0, 4.0]).reshape(5, 1)
GAMMA, BETA = np.array([2.0]), np.array([10.0])
EPS = 1e-12


def central(loss: Callable[[Array], Any], x: Array, eps: float = 1e-4) -> Array:
    """Slopes of a scalar loss, cell by cell."""
    result = np.zeros_like(x)
    for cell in np.ndindex(x.shape):
        nudge = np.zeros_like(x)
        nudge[cell] = eps
        result[cell] = (loss(x + nudge) - loss(x - nudge)) / (2 * eps)
    return result


def test_10_batch_norm_forward_and_backward_in_numbers() -> None:
    y, mean, inv_std = F.batch_norm(X, None, None, GAMMA, BETA, training=True, eps=EPS, return_stats=True)
    close(mean, [4.0])
    close(inv_std, [0.5])
    close(y.ravel(), [7, 9, 10, 11, 13])
    dx, dgamma, dbeta = F.batch_norm_backward(DY, X, None, None, GAMMA, training=True, eps=EPS)
    close(dx.ravel(), [-0.5, 1.5, 0.0, -1.5, 0.5], atol=1e-9)
    close(dgamma, [5.0])
    close(dbeta, [10.0])
    fixed = F.batch_norm_backward(DY, X, np.array([4.0]), np.array([4.0]), GAMMA, training=False, eps=EPS)[0]
    close(fixed.ravel(), DY.ravel(), atol=1e-9)


def test_10_batch_norm_backward_is_the_three_roads_and_central_differences() -> None:
    rng = np.random.default_rng(10)
    x, dy = rng.normal(size=(3, 2, 4, 5)), rng.normal(size=(3, 2, 4, 5))
    gamma, beta = rng.normal(size=2), rng.normal(size=2)
    axes = (0, 2, 3)
    scale = gamma.reshape(1, 2, 1, 1)
    inv_std = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-5)
    xhat = (x - x.mean(axis=axes, keepdims=True)) * inv_std
    m1, m2 = dy.mean(axis=axes, keepdims=True), (dy * xhat).mean(axis=axes, keepdims=True)
    dx, dgamma, dbeta = F.batch_norm_backward(dy, x, None, None, gamma, training=True)
    close(dx, scale * inv_std * (dy - m1 - xhat * m2), rtol=1e-9, atol=1e-12)
    close(dgamma, (dy * xhat).sum(axis=axes), rtol=1e-10)
    close(dbeta, dy.sum(axis=axes), rtol=1e-10)

    def loss(x: Array, gamma: Array, beta: Array) -> Any:
        return np.sum(dy * F.batch_norm(x, None, None, gamma, beta, training=True))

    close(dx, central(lambda x: loss(x, gamma, beta), x), atol=1e-6)
    close(dgamma, central(lambda g: loss(x, g, beta), gamma), atol=1e-6)
    close(dbeta, central(lambda b: loss(x, gamma, b), beta), atol=1e-6)
    # Moving or stretching a channel changes nothing, so dx has no part in these two directions.
    close(dx.sum(axis=axes), 0, atol=1e-12)
    close((dx * xhat).sum(axis=axes), 0, atol=1e-3)  # eps keeps it from 0 exactly


# MATLAB's order ------------------------------------------------------------------------------------------------------


def hwcn(a: Array) -> Array:
    return a.transpose(2, 3, 1, 0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": "same"}])
def test_hwcn_convolution_gives_the_same_numbers(options: dict[str, Any], order: Any) -> None:
    rng = np.random.default_rng(11)
    x, w = (rng.integers(-8, 9, s).astype(np.float64) for s in ((2, 3, 7, 6), (4, 3, 3, 3)))
    b = rng.integers(-8, 9, 4).astype(np.float64)
    y = F.conv2d(x, w, b, **options)
    turned = np.array(hwcn(x), order=order)  # "F" is how MATLAB lays it out
    exact(F.conv2d(turned, w, b, data_format="HWCN", **options), hwcn(y))
    dy = rng.integers(-8, 9, y.shape).astype(np.float64)
    dx, dw, db = F.conv2d_backward(dy, x, w, **options)
    back = F.conv2d_backward(np.array(hwcn(dy), order=order), turned, w, data_format="HWCN", **options)
    exact(back[0], hwcn(dx))
    exact(back[1], dw)
    exact(back[2], db)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("ties", ["first", "split", "all"])
def test_hwcn_max_pooling_gives_the_same_numbers(ties: str, order: Any) -> None:
    rng = np.random.default_rng(12)
    x = rng.integers(0, 3, (2, 3, 6, 7)).astype(np.float64)  # many ties
    y, winners = F.max_pool2d(x, 2, stride=1, return_indices=True)
    turned = np.array(hwcn(x), order=order)
    y_hwcn, winners_hwcn = F.max_pool2d(turned, 2, stride=1, return_indices=True, data_format="HWCN")
    exact(y_hwcn, hwcn(y))
    exact(winners_hwcn, hwcn(winners))
    dy = 12.0 * rng.integers(-8, 9, y.shape)
    dx = F.max_pool2d_backward(dy, winners, x.shape, 2, stride=1, x=x, ties=ties)
    back = F.max_pool2d_backward(
        hwcn(dy), winners_hwcn, turned.shape, 2, stride=1, x=turned, ties=ties, data_format="HWCN"
    )
    exact(back, hwcn(dx))


@pytest.mark.parametrize("order", ["C", "F"])
def test_hwcn_average_pooling_gives_the_same_numbers(order: Any) -> None:
    rng = np.random.default_rng(13)
    x = rng.integers(-8, 9, (2, 3, 6, 7)).astype(np.float64)
    turned = np.array(hwcn(x), order=order)
    y = F.avg_pool2d(x, 2, stride=1, padding=1)
    exact(F.avg_pool2d(turned, 2, stride=1, padding=1, data_format="HWCN"), hwcn(y))
    dy = rng.integers(-8, 9, y.shape).astype(np.float64)
    dx = F.avg_pool2d_backward(dy, x.shape, 2, stride=1, padding=1)
    back = F.avg_pool2d_backward(
        np.array(hwcn(dy), order=order), turned.shape, 2, stride=1, padding=1, data_format="HWCN"
    )
    exact(back, hwcn(dx))

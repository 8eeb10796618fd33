"""Loops for 2x2 and 3x3 windows on contiguous images against the general ones, which strided images take, in bits."""

import itertools
from typing import Any

import numpy as np
import pytest
from pool_bits import same, strided

from pycnn import functional as F
from pycnn.kernels import _runtime

Array = np.ndarray[Any, Any]
WINDOWS = [(2, 2), (3, 2), (3, 1)]
PADDINGS = [((0, 0), (0, 0)), ((1, 1), (1, 1)), ((0, 1), (1, 0)), ((2, 0), (1, 2))]
# Below, at and above one and two vectors of every instruction set and type.
SIZES = [(2, 3), (5, 9), (7, 14), (4, 16), (9, 17), (33, 33), (3, 36), (6, 70)]
SPECIAL = [0.0, -0.0, 1.0, 3.0, -np.inf, np.inf, np.nan]


@pytest.fixture(params=_runtime.available_isas(), autouse=True)
def isa(request: pytest.FixtureRequest) -> Any:
    """Run on every instruction set."""
    before = _runtime.active_isa()
    _runtime.select_isa(request.param)
    yield request.param
    _runtime.select_isa(before)


def cases() -> list[Any]:
    """Return sizes, kernel, stride, padding and ceil_mode, as far as they go together."""
    found = []
    for size, (k, s), pads, ceil in itertools.product(SIZES, WINDOWS, PADDINGS, (False, True)):
        fits = all(i + sum(p) >= k and max(p) < k for i, p in zip(size, pads, strict=True))
        if fits:
            found.append((size, k, s, pads, ceil))
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("values", [SPECIAL[:-1], SPECIAL, [-np.inf]], ids=["numbers", "nan", "nothing"])
def test_max(values: list[float], dtype: Any) -> None:
    """Values, winners and gradients, with ties, zeros of both signs, infinities and NaNs."""
    rng = np.random.default_rng(1)
    for size, *window in cases():
        k, s, pads, ceil = window
        x = rng.choice(values, size=(2, 3, *size)).astype(dtype)
        options = (k, s, pads, 1, ceil)
        y, winners = F.max_pool2d(x, *options, "compact")
        expected, places = F.max_pool2d(strided(x), *options, "compact")
        same(y, expected)
        same(winners, places)
        same(F.max_pool2d(x, *options), expected)
        dy = rng.choice([-0.0, 0.5, -2.0, 3.25], size=y.shape).astype(dtype)
        want = F.max_pool2d_backward(strided(dy), winners, x.shape, *options)
        same(F.max_pool2d_backward(dy, winners, x.shape, *options), want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("divisor", [None, 4, 5])
@pytest.mark.parametrize("include", [False, True])
def test_mean(include: bool, divisor: int | None, dtype: Any) -> None:
    """Means and their gradients, with every way to count."""
    rng = np.random.default_rng(2)
    for size, *window in cases():
        x = rng.standard_normal((2, 3, *size)).astype(dtype)
        x[rng.random(x.shape) < 0.2] = -0.0
        options = (*window, include, divisor)
        y: Array = F.avg_pool2d(x, *options)
        same(y, F.avg_pool2d(strided(x), *options))
        dy = rng.choice([-0.0, 0.5, -2.1, 3.3], size=y.shape).astype(dtype)
        same(F.avg_pool2d_backward(dy, x.shape, *options), F.avg_pool2d_backward(strided(dy), x.shape, *options))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(301, 402), (620, 30), (7, 4500), (28, 28)], ids=str)
def test_bands(size: tuple[int, int], dtype: Any) -> None:
    """A plane that several threads share, or that is cut into bands, along its rows as well; one NaN."""
    x = np.random.default_rng(3).standard_normal((1, 1, *size)).astype(dtype)
    x[0, 0, size[0] // 2, -3] = np.nan
    for k, s in WINDOWS:
        y, winners = F.max_pool2d(x, k, s, k - 2, return_indices="compact")
        expected, places = F.max_pool2d(strided(x), k, s, k - 2, return_indices="compact")
        same(y, expected)
        same(winners, places)
        same(F.avg_pool2d(x, k, s, k - 2), F.avg_pool2d(strided(x), k, s, k - 2))
        window = (k, s, k - 2)
        want = F.max_pool2d_backward(strided(y), winners, x.shape, *window)
        same(F.max_pool2d_backward(y, winners, x.shape, *window), want)
        same(F.avg_pool2d_backward(y, x.shape, *window), F.avg_pool2d_backward(strided(y), x.shape, *window))


def test_codes_are_checked() -> None:
    """A code that names no tap, or one in the padding, is refused wherever it stands."""
    dy = np.zeros((2, 2, 5, 6), np.float32)
    shape = (2, 2, 9, 11)
    good = np.full(dy.shape, 4, np.uint8)
    F.max_pool2d_backward(dy, good, shape, 3, 2, 1)
    for place, code in [((1, 1, 2, 3), 9), ((0, 1, 0, 3), 2), ((1, 0, 4, 2), 6), ((0, 0, 2, 0), 3), ((1, 1, 2, 5), 8)]:
        bad = good.copy()
        bad[place] = code
        with pytest.raises(ValueError, match="compact index"):
            F.max_pool2d_backward(dy, bad, shape, 3, 2, 1)

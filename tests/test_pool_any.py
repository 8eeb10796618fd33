"""Windows of any size and stride, whose channels are turned into lanes and whose codes are scattered, in bits.

The other way is that of strided images, which are cut into phases and gathered.
"""

from typing import Any

import numpy as np
import pytest
from pool_bits import Array, same, strided
from vectors import poison, thread_count

from pycnn import functional as F
from pycnn.kernels import _runtime

# Channels, size, kernel, stride, padding. Below and above half a vector and a vector of channels of every instruction
# set and type; windows apart, side by side and overlapping, cut off at the end, one alone; planes in several bands.
CASES = [
    (9, (7, 11), 3, 3, 0),
    (20, (13, 13), 4, 4, 0),
    (16, (10, 17), (2, 5), (3, 4), (1, 2)),
    (35, (9, 14), 2, 5, 1),
    (8, (13, 6), 4, 2, 1),
    (17, (6, 7), 5, 2, 2),
    (33, (5, 5), 5, 1, 2),
    (24, (8, 8), 8, 8, 0),
    (18, (13, 13), 7, 7, 0),
    (21, (70, 41), 3, 3, 1),
    (11, (90, 64), (7, 4), (2, 3), (3, 0)),
    (3, (9, 9), 3, 3, 0),
    (5, (30, 25), 3, 2, 1),
    (6, (12, 20), 2, 2, 0),
    (4, (6, 100), 3, 1, 1),
    (16, (20, 30), 2, 1, 0),
    (9, (33, 40), (5, 7), 1, (2, 3)),
    (12, (16, 70), 4, 2, 1),
    (8, (9, 40), 3, (1, 2), 1),
    (10, (14, 12), 3, 9, 1),
]
SPECIAL = [0.0, -0.0, 1.0, 3.0, -np.inf, np.inf, np.nan]


@pytest.fixture(params=_runtime.available_isas(), autouse=True)
def isa(request: pytest.FixtureRequest) -> Any:
    """Run on every instruction set, with outputs poisoned before they are written."""
    before = _runtime.active_isa()
    _runtime.select_isa(request.param)
    with poison():
        yield request.param
    _runtime.select_isa(before)


def image(rng: Any, channels: int, size: tuple[int, int], dtype: Any, *, special: bool = False) -> Array:
    """Return two images; with `special` of few values, so that there are ties, zeros of both signs and NaNs."""
    shape = (2, channels, *size)
    return (rng.choice(SPECIAL, size=shape) if special else rng.standard_normal(shape)).astype(dtype)


def apart(x: Array) -> Array:
    """Return a copy of `x` whose images do not follow one another."""
    room = np.zeros((x.shape[0], x.shape[1] + 1, *x.shape[2:]), x.dtype)
    room[:, :-1] = x
    return room[:, :-1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_max(case: Any, dtype: Any) -> None:
    """Values, winners, places and gradients."""
    rng = np.random.default_rng(1)
    channels, size, *window = case
    for special in (False, True):
        x = image(rng, channels, size, dtype, special=special)
        y, winners = F.max_pool2d(strided(x), *window, return_indices="compact")
        places = F.max_pool2d(strided(x), *window, return_indices=True)[1]
        dy = rng.choice([-0.0, 0.5, -2.0, 3.25], size=y.shape).astype(dtype)
        dx = F.max_pool2d_backward(strided(dy), winners, x.shape, *window)
        for arranged in (x, apart(x)):
            same(F.max_pool2d(arranged, *window), y)
            got, codes = F.max_pool2d(arranged, *window, return_indices="compact")
            same(got, y)
            same(codes, winners)
            same(F.max_pool2d(arranged, *window, return_indices=True)[1], places)
            same(F.max_pool2d_backward(dy, codes, x.shape, *window), dx)
        same(F.max_pool2d_backward(apart(dy), winners, x.shape, *window), dx)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "options",
    [{"count_include_pad": True}, {"count_include_pad": False}, {"divisor_override": 7}, {"ceil_mode": True}],
    ids=str,
)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_mean(case: Any, options: dict[str, Any], dtype: Any) -> None:
    """Means and their gradients, with what they may be divided by."""
    rng = np.random.default_rng(2)
    channels, size, *window = case
    x = image(rng, channels, size, dtype)
    y = F.avg_pool2d(strided(x), *window, **options)
    dy = rng.standard_normal(y.shape).astype(dtype)
    dx = F.avg_pool2d_backward(strided(dy), x.shape, *window, **options)
    for arranged in (x, apart(x)):
        same(F.avg_pool2d(arranged, *window, **options), y)
    for arranged in (dy, apart(dy)):
        same(F.avg_pool2d_backward(arranged, x.shape, *window, **options), dx)


def test_out_and_threads() -> None:
    """An `out` with gaps between its images, and any number of threads: the same bits."""
    rng = np.random.default_rng(3)
    x = image(rng, 37, (33, 21), np.float32)
    y, winners = F.max_pool2d(x, 3, 3, return_indices="compact")
    dy = image(rng, 37, y.shape[2:], np.float32)
    dx = F.max_pool2d_backward(dy, winners, x.shape, 3, 3)
    mean, mean_dx = F.avg_pool2d(x, 5, 3), F.avg_pool2d_backward(dy, x.shape, 3, 3)
    out, dx_out = apart(np.full_like(y, np.nan)), apart(np.full_like(x, np.nan))
    for threads in (1, 2, 3, 8):
        with thread_count(threads):
            same(F.max_pool2d(x, 3, 3, out=out), y)
            same(F.max_pool2d_backward(dy, winners, x.shape, 3, 3, out=dx_out), dx)
            same(F.avg_pool2d(x, 5, 3), mean)
            same(F.avg_pool2d_backward(dy, x.shape, 3, 3, out=dx_out), mean_dx)

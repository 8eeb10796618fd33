"""How many units in the last place the vectorised functions are off, on every instruction set."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from vectors import FLOATS, ISAS, isa, ulps

from pycnn import functional as F
from pycnn.kernels import activation as kernels

LONG = np.longdouble
precise = pytest.mark.skipif(np.finfo(LONG).nmant < 63, reason="long double is no longer than double here")
RUNS = pytest.mark.parametrize(("name", "dtype"), [(i, d) for i in ISAS for d in FLOATS])


def kernel(op: int, x: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    kernels.forward(op, x, y, 0.0)
    return y


def every_exponent(dtype: Any, count: int = 200_000) -> np.ndarray:
    """Positive numbers spread evenly over the bit patterns: subnormals, normals, up to inf."""
    integer = np.uint32 if dtype is np.float32 else np.uint64
    infinity = int(np.array(np.inf, dtype).view(integer))
    patterns = np.random.default_rng(1).integers(1, infinity, count).astype(integer)
    return patterns.view(dtype)


def special(dtype: Any) -> np.ndarray:
    info = np.finfo(dtype)
    small = [info.smallest_subnormal, info.smallest_normal, info.eps, 0.0]
    values = [*small, 1.0, 0.5, 2.0, info.max, np.inf, math.sqrt(0.5), math.sqrt(2.0)]
    return np.array([*values, *(-v for v in values), np.nan], dtype)


@precise
@RUNS
def test_exp(name: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    low, high = (-110, 95) if dtype is np.float32 else (-760, 715)
    tiny = every_exponent(dtype, 50_000)
    x = np.concatenate([rng.uniform(low, high, 300_000), rng.standard_normal(100_000) * 0.3]).astype(dtype)
    x = np.concatenate([x, tiny, -tiny, special(dtype)])
    with isa(name), np.errstate(all="ignore"):
        assert ulps(kernel(kernels.EXP, x), np.exp(x.astype(LONG))).max() <= 2


@precise
@RUNS
def test_log(name: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    near_one = [1 + rng.standard_normal(50_000) * scale for scale in (0.3, 1e-3, 1e-6)]
    x = np.concatenate([every_exponent(dtype), np.concatenate(near_one).astype(dtype), special(dtype)])
    with isa(name), np.errstate(all="ignore"):
        assert ulps(kernel(kernels.LOG, x), np.log(x.astype(LONG))).max() <= 2


def one(x: np.ndarray) -> np.ndarray:
    return np.ones_like(x)


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


#: function, its long double twin, ulp it may be off: each operation adds half a unit, exp one.
ELEMENTARY: dict[str, tuple[Callable[..., Any], Callable[..., Any], float]] = {
    "sigmoid": (F.sigmoid, logistic, 3),
    "sigmoid_backward": (lambda x: F.sigmoid_backward(one(x), x), lambda x: logistic(x) * logistic(-x), 6),
    "tanh": (F.tanh, np.tanh, 3.5),
    "tanh_backward": (lambda x: F.tanh_backward(one(x), x), lambda x: 1 / np.cosh(x) ** 2, 6),
    "silu": (F.silu, lambda x: x * logistic(x), 4),
}


@precise
@RUNS
@pytest.mark.parametrize("function", list(ELEMENTARY))
def test_elementary(name: str, dtype: Any, function: str) -> None:
    run, exact, limit = ELEMENTARY[function]
    rng = np.random.default_rng(0)
    widths = (15, 1, 1e-4, np.finfo(dtype).tiny)
    x = np.concatenate([rng.standard_normal(50_000) * width for width in widths]).astype(dtype)
    with isa(name), np.errstate(all="ignore"):
        assert ulps(run(x), exact(x.astype(LONG))).max() <= limit


def phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


@RUNS
def test_gelu_is_right_in_its_lower_tail(name: str, dtype: Any) -> None:
    """0.5 * (1 + erf) would have no digit left below -6 in float32 and below -9 in float64."""
    x = np.linspace(-12.0, 6.0, 4001).astype(dtype)
    exact = np.array([v * phi(v) for v in x.tolist()])
    with isa(name):
        got = F.gelu(x)
    # rounding x / sqrt(2) costs math.erfc x**2 ulp
    limit = 12 if dtype is np.float32 else 200
    np.testing.assert_allclose(got, exact, rtol=limit * np.finfo(dtype).eps, atol=0)


@RUNS
def test_gelu_of_sixty_digits(name: str, dtype: Any) -> None:
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 60
    x = np.concatenate([np.linspace(-13.0, 9.0, 199), np.geomspace(1e-30, 1, 50)]).astype(dtype)
    exact = [mp.mpf(v) * mp.erfc(-mp.mpf(v) / mp.sqrt(2)) / 2 for v in x.tolist()]
    with isa(name):
        got = F.gelu(x)
    off = [abs(mp.mpf(float(g)) - e) / abs(e) if e else abs(g) for g, e in zip(got, exact)]
    assert max(off) <= 8 * np.finfo(dtype).eps


@RUNS
def test_gelu_gradient(name: str, dtype: Any) -> None:
    x = np.linspace(-9.0, 9.0, 2001).astype(dtype)
    density = [math.exp(-0.5 * v * v) / math.sqrt(2 * math.pi) for v in x.tolist()]
    exact = np.array([phi(v) + v * d for v, d in zip(x.tolist(), density)])
    with isa(name):
        np.testing.assert_allclose(F.gelu_backward(one(x), x), exact, rtol=0, atol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", FLOATS)
def test_results_do_not_depend_on_the_place_in_a_vector(dtype: Any) -> None:
    """The same value gives the same bits in a full vector, in a tail, and alone."""
    x = np.random.default_rng(0).standard_normal(67).astype(dtype)
    for run in (F.sigmoid, F.tanh, F.silu, F.gelu, F.hardswish, lambda v: F.gelu(v, "tanh")):
        whole = run(x)
        for n in (1, 2, 3, 5, 8, 15, 16, 31):
            assert run(x[:n].copy()).tobytes() == whole[:n].tobytes()
            assert run(x[-n:].copy()).tobytes() == whole[-n:].tobytes()

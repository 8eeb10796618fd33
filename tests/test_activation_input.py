"""Activations at special values, in place and over strides, and with arguments that are wrong."""

import warnings
from typing import Any

import numpy as np
import pytest
from vectors import ACTIVATIONS, FLOATS, ISAS, isa

from pycnn import functional as F

EACH = pytest.mark.parametrize("name", ACTIVATIONS)
NAN = float("nan")
INF = float("inf")

#: value -> result, for each function; -0.0 and 0.0 count as equal.
SPECIAL = {
    "relu": {NAN: NAN, INF: INF, -INF: 0.0, -0.0: 0.0, 1e-42: 1e-42, -1e-42: 0.0},
    "leaky_relu": {NAN: NAN, INF: INF, -INF: -INF, 0.0: 0.0, 1e-42: 1e-42},
    "sigmoid": {NAN: NAN, INF: 1.0, -INF: 0.0, 0.0: 0.5, 1e30: 1.0, -1e30: 0.0, 1e-42: 0.5},
    "tanh": {NAN: NAN, INF: 1.0, -INF: -1.0, 0.0: 0.0, 1e30: 1.0, -1e30: -1.0, 1e-42: 1e-42},
    "silu": {NAN: NAN, INF: INF, -INF: NAN, 0.0: 0.0, 1e30: 1e30, -1e30: 0.0},
    "gelu": {NAN: NAN, INF: INF, -INF: NAN, 0.0: 0.0, 1e30: 1e30, -1e30: 0.0},
    "hardswish": {NAN: NAN, INF: INF, -INF: NAN, 0.0: 0.0, 1e38: 1e38, -1e38: 0.0, 3.0: 3.0, -3.0: 0.0},
}
SLOPES = {
    "relu": {NAN: 1.0, INF: 1.0, -INF: 0.0, 0.0: 0.0, 1e-42: 1.0},
    "leaky_relu": {NAN: 0.01, INF: 1.0, -INF: 0.01, 0.0: 0.01},
    "sigmoid": {NAN: NAN, INF: 0.0, -INF: 0.0, 0.0: 0.25, 1e30: 0.0},
    "tanh": {NAN: NAN, INF: 0.0, -INF: 0.0, 0.0: 1.0, 1e30: 0.0},
    "silu": {NAN: NAN, 0.0: 0.5, 1e30: 1.0, -1e30: 0.0},
    "gelu": {NAN: NAN, 0.0: 0.5, 1e30: 1.0, -1e30: 0.0},
    "hardswish": {INF: 1.0, -INF: 0.0, 0.0: 0.5, 3.0: 1.0, -3.0: 0.0},
}


@EACH
@pytest.mark.parametrize("isa_name", ISAS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values(name: str, isa_name: str, dtype: Any) -> None:
    with isa(isa_name), warnings.catch_warnings():
        warnings.simplefilter("error")
        for width in (1, 17):  # alone, and in a full vector
            for value, want in SPECIAL[name].items():
                x = np.full(width, value, dtype)
                np.testing.assert_array_equal(getattr(F, name)(x), np.full(width, want, dtype))
            for value, want in SLOPES[name].items():
                x = np.full(width, value, dtype)
                got = getattr(F, f"{name}_backward")(np.ones(width, dtype), x)
                np.testing.assert_array_equal(got, np.full(width, want, dtype))


def test_signs_of_zero() -> None:
    x = np.array([-0.0, 0.0])
    for name in ("tanh", "leaky_relu", "silu", "gelu", "hardswish"):
        assert np.signbit(getattr(F, name)(x)).tolist() == [True, False]
    assert np.signbit(F.relu(x)).tolist() == [False, False]


@pytest.mark.parametrize("value", [1e19, 1e37, 3e38, -1e19, -3e38])
def test_tanh_gelu_of_huge_numbers(value: float) -> None:
    """x**3 overflows float32 from 7e12 on; the result must not."""
    x = np.array([value], np.float32)
    assert F.gelu(x, "tanh")[0] == max(x[0], 0)
    assert F.gelu_backward(np.ones_like(x), x, "tanh")[0] == (value > 0)


def test_relu_passes_the_gradient_as_it_is() -> None:
    """Nothing is multiplied: inf and NaN that arrive where x <= 0 are gone."""
    delta = np.array([INF, NAN, INF, NAN])
    np.testing.assert_array_equal(F.relu_backward(delta, np.array([-1.0, 0.0, 1.0, 1.0])), [0, 0, INF, NAN])


# ---- in place and over strides


@EACH
@pytest.mark.parametrize("dtype", FLOATS)
def test_in_place(name: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, delta = (rng.standard_normal((3, 5, 7)).astype(dtype) for _ in range(2))
    run, back = getattr(F, name), getattr(F, f"{name}_backward")
    want, want_back = run(x), back(delta, x)
    y = x.copy()
    assert run(y, out=y) is y
    np.testing.assert_array_equal(y, want)
    y = x.copy()
    assert back(delta, y, out=y) is y
    np.testing.assert_array_equal(y, want_back)
    y = delta.copy()
    assert back(y, x, out=y) is y
    np.testing.assert_array_equal(y, want_back)
    y = x.copy()
    assert run(y, out=y[...]) is not y  # another view of the same memory
    np.testing.assert_array_equal(y, want)


@EACH
def test_out_across_the_input(name: str) -> None:
    run = getattr(F, name)
    for shift in (-1, 1):
        room = np.random.default_rng(0).standard_normal(41)
        x, out = (room[1:], room[:-1]) if shift < 0 else (room[:-1], room[1:])
        want = run(x.copy())
        run(x, out=out)
        np.testing.assert_array_equal(out, want)
    square = np.random.default_rng(0).standard_normal((9, 9))
    want = run(square.copy())
    run(square, out=square.T)
    np.testing.assert_array_equal(square.T, want)


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_memory_order_is_kept_through_out(order: tuple[int, ...]) -> None:
    """x and out with the same permuted strides are walked in memory order; mixed ones are not confused."""
    rng = np.random.default_rng(0)
    shape = (2, 3, 4, 5)
    back = np.argsort(order)

    def permuted(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values.transpose(order)).transpose(back)

    plain, delta = rng.standard_normal((2, *shape))
    for x in (plain, permuted(plain), plain[:, ::-1][:, ::-1]):
        for d in (delta, permuted(delta), np.asfortranarray(delta)):
            for out in (None, np.empty(shape), permuted(np.empty(shape)), np.empty((*shape, 2))[..., 1]):
                np.testing.assert_array_equal(F.relu(x, out=out), np.maximum(plain, 0))
                np.testing.assert_array_equal(F.relu_backward(d, x, out=out), delta * (plain > 0))
    y = F.relu(permuted(plain))
    assert y.flags.c_contiguous


def test_broadcast_input() -> None:
    x = np.broadcast_to(np.array([[-1.0], [2.0]]), (2, 5))
    np.testing.assert_array_equal(F.relu(x), np.maximum(x, 0))
    np.testing.assert_array_equal(F.relu_backward(x, x), np.maximum(x, 0))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,)])
@EACH
def test_small_shapes(name: str, shape: tuple[int, ...]) -> None:
    x = np.ones(shape, np.float32)
    y = getattr(F, name)(x)
    assert type(y) is np.ndarray and y.shape == shape and y.dtype == np.float32
    assert getattr(F, f"{name}_backward")(x, x).shape == shape


# ---- wrong arguments


@EACH
def test_wrong_types(name: str) -> None:
    run, back = getattr(F, name), getattr(F, f"{name}_backward")
    good = np.ones(3)
    for bad in (np.ones(3, np.float16), np.ones(3, int), np.ones(3, bool), np.ones(3, complex), np.array(["a"] * 3)):
        with pytest.raises(TypeError, match=rf"^{name}: x must be float32 or float64, got {bad.dtype}"):
            run(bad)
        with pytest.raises(TypeError, match=rf"^{name}_backward: x must be float32"):
            back(good, bad)
        with pytest.raises(TypeError, match=rf"^{name}_backward: grad_output must be float32"):
            back(bad, good)
    for bad in (None, [1.0], (1.0,), 1.0, "x", np.ma.masked_array([1.0]), np.float64(1.0)):
        with pytest.raises(TypeError, match=rf"^{name}: x must be a "):
            run(bad)
    with pytest.raises(TypeError, match=rf"^{name}_backward: grad_output must have the dtype"):
        back(good.astype(np.float32), good)
    with pytest.raises(ValueError, match=rf"^{name}_backward: grad_output must have shape \(3,\), got \(4,\)"):
        back(np.ones(4), good)


@EACH
def test_wrong_out(name: str) -> None:
    run, x = getattr(F, name), np.ones(3)
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    cases = (
        (ValueError, np.zeros(4), r"out must have shape \(3,\), got \(4,\)"),
        (ValueError, np.zeros(3, np.float32), "out must have dtype float64, got float32"),
        (ValueError, np.zeros(3, ">f8"), "out must have dtype float64"),
        (ValueError, frozen, "out is read-only"),
        (TypeError, [0.0] * 3, "out must be a NumPy array, got list"),
    )
    for error, out, text in cases:
        with pytest.raises(error, match=f"^{name}: {text}"):
            run(x, out=out)
        assert not np.any(out)


@pytest.mark.parametrize("slope", ["0.1", None, True, [0.1]])
def test_slope_of_the_wrong_type(slope: Any) -> None:
    with pytest.raises(TypeError, match=r"^leaky_relu: negative_slope must be a number"):
        F.leaky_relu(np.ones(3), slope)


@pytest.mark.parametrize("slope", [NAN, INF])
def test_slope_not_finite(slope: float) -> None:
    with pytest.raises(ValueError, match=r"^leaky_relu_backward: negative_slope must be finite"):
        F.leaky_relu_backward(np.ones(3), np.ones(3), slope)


def test_unknown_gelu() -> None:
    for run in (F.gelu, lambda x, kind: F.gelu_backward(x, x, kind)):
        with pytest.raises(ValueError, match="approximate must be one of 'none', 'tanh', got 'erf'"):
            run(np.ones(3), "erf")

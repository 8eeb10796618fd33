"""Activations y = f(x), element by element, with dx = delta * f'(x); softmax over one axis."""

import math
from collections.abc import Callable

import numpy as np

from ._common import Array, finish

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _each(x: Array, f: Callable[[Array], Array], out: Array | None) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        return finish(f(np.asarray(x, dtype=np.float64)), x.dtype, out)


def _each_backward(grad_output: Array, x: Array, slope: Callable[[Array], Array], out: Array | None) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        delta = np.asarray(grad_output, dtype=np.float64)
        return finish(delta * slope(np.asarray(x, dtype=np.float64)), x.dtype, out)


def relu(x: Array, *, out: Array | None = None) -> Array:
    """max(x, 0); NaN stays NaN.

    >>> relu(np.array([-2.0, 3.0]))
    array([0., 3.])
    """
    return _each(x, lambda v: np.where(v <= 0, 0.0, v), out)


def relu_backward(grad_output: Array, x: Array, *, out: Array | None = None) -> Array:
    """Pass the delta where x > 0 or NaN, 0 elsewhere (also at 0).

    >>> relu_backward(np.array([5.0, 5.0]), np.array([-2.0, 3.0]))
    array([0., 5.])
    """
    values = np.where(np.asarray(x, dtype=np.float64) <= 0, 0.0, np.asarray(grad_output, dtype=np.float64))
    return finish(values, x.dtype, out)


def leaky_relu(x: Array, negative_slope: float = 0.01, *, out: Array | None = None) -> Array:
    """Keep x where it is positive, negative_slope * x elsewhere.

    >>> leaky_relu(np.array([-2.0, 3.0]), 0.5)
    array([-1.,  3.])
    """
    return _each(x, lambda v: np.where(v > 0, v, negative_slope * v), out)


def leaky_relu_backward(
    grad_output: Array, x: Array, negative_slope: float = 0.01, *, out: Array | None = None
) -> Array:
    """Pass the delta where x > 0, negative_slope times it elsewhere."""
    return _each_backward(grad_output, x, lambda v: np.where(v > 0, 1.0, negative_slope), out)


def _logistic(v: Array) -> Array:
    """1 / (1 + exp(-v)) without overflow: exp of a negative number only."""
    small = np.exp(-np.abs(v))
    return np.where(v >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def sigmoid(x: Array, *, out: Array | None = None) -> Array:
    """1 / (1 + exp(-x)).

    >>> sigmoid(np.array([0.0]))
    array([0.5])
    """
    return _each(x, _logistic, out)


def sigmoid_backward(grad_output: Array, x: Array, *, out: Array | None = None) -> Array:
    """Multiply the delta by s(x) * s(-x), s the sigmoid."""
    return _each_backward(grad_output, x, lambda v: _logistic(v) * _logistic(-v), out)


def tanh(x: Array, *, out: Array | None = None) -> Array:
    """Hyperbolic tangent.

    >>> tanh(np.array([0.0]))
    array([0.])
    """
    return _each(x, np.tanh, out)


def tanh_backward(grad_output: Array, x: Array, *, out: Array | None = None) -> Array:
    """tanh'(x) = 1 - tanh(x)**2, written as 1 / cosh(x)**2 so that nothing cancels."""
    return _each_backward(grad_output, x, lambda v: 1.0 / np.cosh(v) ** 2, out)


def silu(x: Array, *, out: Array | None = None) -> Array:
    """Sigmoid-weighted x: x * sigmoid(x).

    >>> silu(np.array([0.0]))
    array([0.])
    """
    return _each(x, lambda v: v * _logistic(v), out)


def silu_backward(grad_output: Array, x: Array, *, out: Array | None = None) -> Array:
    """s(x) + x s(x) s(-x) with s the sigmoid."""
    return _each_backward(grad_output, x, lambda v: _logistic(v) * (1.0 + v * _logistic(-v)), out)


def _gelu_inner(v: Array) -> Array:
    return math.sqrt(2.0 / math.pi) * (v + 0.044715 * v**3)


def gelu(x: Array, approximate: str = "none", *, out: Array | None = None) -> Array:
    """Gaussian-weighted x: x * Phi(x), Phi the normal distribution function or its "tanh" approximation.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.

    >>> gelu(np.array([0.0]))
    array([0.])
    """
    if approximate == "tanh":
        return _each(x, lambda v: v * _logistic(2.0 * _gelu_inner(v)), out)
    if approximate != "none":
        raise ValueError(f"unknown approximate {approximate!r}")
    return _each(x, lambda v: 0.5 * v * _erfc(-v / math.sqrt(2.0)), out)


def gelu_backward(grad_output: Array, x: Array, approximate: str = "none", *, out: Array | None = None) -> Array:
    """Phi(x) + x phi(x) with phi = Phi'; for "tanh" the product rule on the approximation."""

    def exact(v: Array) -> Array:
        density = np.exp(-0.5 * v**2) / math.sqrt(2.0 * math.pi)
        return np.asarray(0.5 * _erfc(-v / math.sqrt(2.0)) + v * density)

    def approximation(v: Array) -> Array:
        share, other = _logistic(2.0 * _gelu_inner(v)), _logistic(-2.0 * _gelu_inner(v))
        inner_slope = math.sqrt(2.0 / math.pi) * (1.0 + 3 * 0.044715 * v**2)
        return np.asarray(share + v * 2.0 * share * other * inner_slope)

    if approximate not in ("none", "tanh"):
        raise ValueError(f"unknown approximate {approximate!r}")
    return _each_backward(grad_output, x, exact if approximate == "none" else approximation, out)


def hardswish(x: Array, *, out: Array | None = None) -> Array:
    """Sigmoid-weighted x made of straight lines: x * min(max(x + 3, 0), 6) / 6.

    >>> hardswish(np.array([-4.0, 0.0, 3.0]))
    array([-0.,  0.,  3.])
    """
    return _each(x, lambda v: v * np.clip(v + 3.0, 0.0, 6.0) / 6.0, out)


def hardswish_backward(grad_output: Array, x: Array, *, out: Array | None = None) -> Array:
    """0 for x <= -3, 1 for x >= 3, x / 3 + 1 / 2 between."""
    return _each_backward(
        grad_output, x, lambda v: np.where(v <= -3.0, 0.0, np.where(v >= 3.0, 1.0, v / 3.0 + 0.5)), out
    )


def softmax(x: Array, dim: int = -1, *, out: Array | None = None) -> Array:
    """Exponentials divided by their sum over `dim`.

    The maximum is taken off first, which changes nothing but overflow.

    >>> softmax(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """

    def normalise(v: Array) -> Array:
        e = np.exp(v - v.max(axis=dim, keepdims=True))
        return np.asarray(e / e.sum(axis=dim, keepdims=True))

    return _each(x, normalise, out)


def softmax_backward(grad_output: Array, output: Array, dim: int = -1, *, out: Array | None = None) -> Array:
    """Gradient y * (delta - sum(delta * y)) with y the forward result."""
    y, delta = np.asarray(output, dtype=np.float64), np.asarray(grad_output, dtype=np.float64)
    return finish(y * (delta - (delta * y).sum(axis=dim, keepdims=True)), output.dtype, out)


def log_softmax(x: Array, dim: int = -1, *, out: Array | None = None) -> Array:
    """Logarithm of `softmax`: x - log(sum(exp(x))) over `dim`.

    >>> log_softmax(np.array([0.0, 0.0])).round(3)
    array([-0.693, -0.693])
    """

    def shift(v: Array) -> Array:
        v = v - v.max(axis=dim, keepdims=True)
        return np.asarray(v - np.log(np.exp(v).sum(axis=dim, keepdims=True)))

    return _each(x, shift, out)


def log_softmax_backward(grad_output: Array, output: Array, dim: int = -1, *, out: Array | None = None) -> Array:
    """Gradient delta - softmax * sum(delta); the softmax is exp of the forward result."""
    delta = np.asarray(grad_output, dtype=np.float64)
    probability = np.exp(np.asarray(output, dtype=np.float64))
    return finish(delta - probability * delta.sum(axis=dim, keepdims=True), output.dtype, out)

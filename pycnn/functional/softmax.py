"""Softmax and its logarithm over one axis, forward and backward."""

from math import prod
from typing import Any

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.functional._layout import c_order
from pycnn.kernels import softmax as _kernels


@_args.remembered
def _folded(fn: str, shape: tuple[int, ...], dim: Any) -> tuple[int, int, int]:
    """Return the shape (outer, n, inner) with axis `dim` in the middle."""
    axis = _args.index(fn, "dim", dim)
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"{fn}: dim must be an axis of x, got {axis} for shape {shape}")
    axis %= len(shape)
    return prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])


def _forward(fn: str, x: Any, dim: Any, out: Any, log: bool) -> Array:
    x = _args.float_array(fn, "x", x)
    folded = _folded(fn, x.shape, dim)
    y, target = _args.output(fn, out, x.shape, x.dtype, (x,), dense=True)
    _kernels.softmax(c_order(x, y), y, folded, log)
    return _args.finish(y, target)


def _backward(fn: str, grad_output: Any, output: Any, dim: Any, out: Any, log: bool) -> Array:
    output = _args.float_array(fn, "output", output)
    grad_output = _args.float_array(fn, "grad_output", grad_output, output.dtype)
    _args.check_shape(fn, "grad_output", grad_output, output.shape)
    folded = _folded(fn, output.shape, dim)
    dx, target = _args.output(fn, out, output.shape, output.dtype, (grad_output, output), dense=True)
    _kernels.softmax_backward(c_order(grad_output, dx), c_order(output), dx, folded, log)
    return _args.finish(dx, target)


def softmax(x: Any, dim: int = -1, *, out: Array | None = None) -> Array:
    """Exponentials over their sum: ``exp(x) / sum(exp(x))`` along one axis.

    The maximum is subtracted first, so nothing overflows. A NaN or +inf makes its whole line NaN, as does a line of
    nothing but -inf.

    Parameters
    ----------
    x : ndarray of float32 or float64
        At least one axis.
    dim : int
        The axis whose values add up to 1.
    out : ndarray, optional
        Where to write; shape and dtype of `x`.

    Returns
    -------
    ndarray
        Shape and dtype of `x`.

    Raises
    ------
    TypeError
        If `x` is not a float32 or float64 array, or `dim` not an integer.
    ValueError
        If `x` has no axis `dim` or `out` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.softmax(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return _forward("softmax", x, dim, out, False)


def softmax_backward(grad_output: Any, output: Any, dim: int = -1, *, out: Array | None = None) -> Array:
    """Gradient of `softmax`: ``y * (grad_output - sum(grad_output * y))`` along `dim`.

    Parameters
    ----------
    grad_output, output : ndarray of float32 or float64, one shape
        The gradient that arrives, and y, what the forward pass returned.
    dim : int
        The axis of the forward pass.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape and dtype of `output`.

    Raises
    ------
    TypeError, ValueError
        As `softmax`; also if the two arrays differ in shape or dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.softmax_backward(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    array([ 0.25, -0.25])
    """
    return _backward("softmax_backward", grad_output, output, dim, out, False)


def log_softmax(x: Any, dim: int = -1, *, out: Array | None = None) -> Array:
    """Logarithm of the softmax: ``x - log(sum(exp(x)))`` along one axis.

    Parameters, results and errors are those of `softmax`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.log_softmax(np.array([0.0, 0.0])).round(4)
    array([-0.6931, -0.6931])
    """
    return _forward("log_softmax", x, dim, out, True)


def log_softmax_backward(grad_output: Any, output: Any, dim: int = -1, *, out: Array | None = None) -> Array:
    """Gradient of `log_softmax`: ``grad_output - exp(output) * sum(grad_output)`` along `dim`.

    Parameters, results and errors are those of `softmax_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> y = F.log_softmax(np.array([0.0, 0.0]))
    >>> F.log_softmax_backward(np.array([1.0, 0.0]), y)
    array([ 0.5, -0.5])
    """
    return _backward("log_softmax_backward", grad_output, output, dim, out, True)

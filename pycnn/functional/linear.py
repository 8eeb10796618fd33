"""The fully connected layer's product and its gradients."""

from math import prod
from typing import Any

from pycnn.functional import _args
from pycnn.functional._args import NEEDS, Array
from pycnn.kernels import _runtime
from pycnn.kernels import conv_weight as _sums
from pycnn.kernels import gemm as _kernels


def _matrix(a: Array, columns: int) -> Array:
    """View x as a matrix whose rows or columns are contiguous; a copy only where neither is."""
    if a.ndim != 2:
        a = a.reshape(a.size // columns if columns else prod(a.shape[:-1]), columns)
    return a if a.flags.c_contiguous or a.itemsize in a.strides else a.copy()


def _check(fn: str, x: Any, weight: Any) -> tuple[Array, Array]:
    x, weight = _args.input_and_weight(fn, x, weight)
    if x.ndim < 1:
        raise ValueError(f"{fn}: x must have at least 1 axis, got shape {x.shape}")
    _args.check_ndim(fn, "weight", weight, 2)
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"{fn}: the last axis of x must have weight.shape[1] = {weight.shape[1]} features, got x {x.shape}"
        )
    return x, weight


def _product(a: Array, b: Array, bias: Array | None, out: Array) -> None:
    """Write a @ b + bias to `out`, which may have any strides and number of axes."""
    flat = out if out.ndim == 2 or out.flags.c_contiguous else _runtime.empty(out.shape, out.dtype)
    _kernels.gemm(a, b, bias, flat if flat.ndim == 2 else flat.reshape(a.shape[0], b.shape[1]))
    if flat is not out:
        out[...] = flat


def linear(x: Any, weight: Any, bias: Any = None, *, out: Array | None = None) -> Array:
    """Multiply each row of x with a weight matrix: ``y = x @ weight.T + bias``.

    Parameters
    ----------
    x : ndarray, shape (..., in)
        float32 or float64.
    weight : ndarray, shape (out, in)
        The dtype of `x`.
    bias : ndarray, shape (out,), optional
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray, shape (..., out)

    Raises
    ------
    TypeError
        If an array is not float32 or float64 or dtypes differ.
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([0.5, 0.0]))
    array([[11.5, 17. ]])
    """
    fn = "linear"
    x, weight = _check(fn, x, weight)
    bias = _args.vector(fn, "bias", bias, x.dtype, weight.shape[0])
    inputs = (x, weight) if bias is None else (x, weight, bias)
    y, target = _args.output(fn, out, (*x.shape[:-1], weight.shape[0]), x.dtype, inputs)
    if y.size:
        _product(_matrix(x, x.shape[-1]), weight.T, bias, y)
    return _args.finish(y, target)


def linear_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    *,
    needs: tuple[str, ...] = NEEDS,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> tuple[Array | None, Array | None, Array | None]:
    """Return the gradients of `linear`: ``dx = dy @ weight``, ``dweight = dy.T @ x``, ``dbias = sum of dy``.

    Parameters
    ----------
    grad_output : ndarray, shape (..., out)
    x : ndarray, shape (..., in)
    weight : ndarray, shape (out, in)
    needs : tuple of {"input", "weight", "bias"}
        The gradients to compute.
    out : tuple of three arrays or None, optional
        Where to write dx, dweight and dbias.

    Returns
    -------
    (dx, dweight, dbias) : tuple of ndarray
        None in the place of what `needs` leaves out.

    Raises
    ------
    TypeError, ValueError
        As `linear`, and ValueError if `grad_output` has another shape than the forward result.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> x, w = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]])
    >>> dx, dw, db = F.linear_backward(np.array([[1.0, 10.0]]), x, w)
    >>> dx, db
    (array([[53., 64.]]), array([ 1., 10.]))
    """
    fn = "linear_backward"
    x, weight = _check(fn, x, weight)
    dy = _args.float_array(fn, "grad_output", grad_output, x.dtype)
    _args.check_shape(fn, "grad_output", dy, (*x.shape[:-1], weight.shape[0]))
    shapes = (x.shape, weight.shape, weight.shape[:1])
    made = _args.gradient_outputs(fn, out, needs, shapes, x.dtype, (dy, x, weight), (False, False, True))
    (dx, _), (dw, _), (db, _) = made
    dy_rows = _matrix(dy, weight.shape[0])
    if dx is not None and dx.size:
        _product(dy_rows, weight, None, dx)
    if dw is not None and dw.size:
        _product(dy_rows.T, _matrix(x, x.shape[-1]), None, dw)
    if db is not None:
        _sums.channel_sums(dy_rows, db, (0, 1))
    return _args.finish_gradients(made)

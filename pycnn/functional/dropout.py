"""Dropout, forward and backward."""

# Annotations stay text: `np.random` is a fifth of the time of `import pycnn`, and only a dropout needs it.
from __future__ import annotations

from typing import Any

import numpy as np

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.functional._layout import c_order
from pycnn.kernels import activation as _kernels


def _probability(fn: str, p: Any) -> float:
    number = _args.number(fn, "p", p)
    if not 0 <= number <= 1:
        raise ValueError(f"{fn}: p must be between 0 and 1, got {p!r}")
    return number


def _mask(fn: str, mask: Any, x: Array) -> Array:
    kept = _args.array(fn, "mask", mask)
    if kept.dtype != np.bool_:
        raise TypeError(f"{fn}: mask must be of bool, got {kept.dtype}")
    _args.check_shape(fn, "mask", kept, x.shape)
    return kept


def _generator(fn: str, rng: Any) -> np.random.Generator:
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(None if rng is None else _args.index(fn, "rng", rng, 0))


def _roll(shape: tuple[int, ...], p: float, rng: np.random.Generator) -> Array:
    """Return a mask, True with probability 1 - p, from one draw of `rng`."""
    mask = np.empty(shape, np.bool_)
    key = int(rng.integers(0, 2**64, dtype=np.uint64))
    _kernels.roll(mask, key, round(p * 2**32))
    return mask


def _keep(fn: str, x: Array, mask: Array, p: float, out: Any) -> Array:
    y, target = _args.output(fn, out, x.shape, x.dtype, (x, mask), dense=True)
    scale = 1.0 / (1.0 - p) if p < 1 else float("inf")
    _kernels.keep(c_order(x, y), np.ascontiguousarray(mask), y, scale)
    return _args.finish(y, target)


def dropout(
    x: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    rng: np.random.Generator | int | None = None,
    mask: Any = None,
    return_mask: bool = False,
    out: Array | None = None,
) -> Any:
    """Set each value to 0 with probability `p`, and scale the others by ``1 / (1 - p)`` so that the mean stays.

    Parameters
    ----------
    x : ndarray of float32 or float64, any shape
    p : float
        0 to 1. What is used is the nearest multiple of 2**-32.
    training : bool
        False: return a copy of `x`.
    rng : numpy.random.Generator, int or None
        Source of the mask: a generator, from which one 64-bit integer is drawn; the seed of a new one; None for a new
        one from the system's entropy. The mask depends on that integer and the shape alone.
    mask : ndarray of bool, shape of `x`, optional
        True where a value is kept; replaces the dice.
    return_mask : bool
        Also return the mask, for `dropout_backward`.
    out : ndarray, optional
        Where to write; shape and dtype of `x`.

    Returns
    -------
    y : ndarray
        Shape and dtype of `x`. A value that is dropped is 0 even where x is NaN or inf.
    mask : ndarray of bool
        Only with `return_mask`. All True without `training`.

    Raises
    ------
    TypeError
        If `x` is not a float32 or float64 array, `mask` not of bool, or `rng` or a flag not what it should be.
    ValueError
        If `p` is outside 0 to 1, or `mask` or `out` does not fit.

    Notes
    -----
    Source: Srivastava et al., Dropout, Journal of Machine Learning Research 15 (2014).

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> y, mask = F.dropout(np.ones(1000), 0.25, rng=0, return_mask=True)
    >>> bool(np.all(y == np.where(mask, 4 / 3, 0.0))), int(mask.sum())
    (True, 749)
    """
    fn = "dropout"
    x = _args.float_array(fn, "x", x)
    p = _probability(fn, p)
    training = _args.flag(fn, "training", training)
    return_mask = _args.flag(fn, "return_mask", return_mask)
    mask = None if mask is None else _mask(fn, mask, x)
    if not training:
        y, target = _args.output(fn, out, x.shape, x.dtype, (x,))
        np.copyto(y, x)
        y = _args.finish(y, target)
        return (y, np.ones(x.shape, np.bool_)) if return_mask else y
    if out is not None:
        _args.output(fn, out, x.shape, x.dtype)  # before the generator moves on
    if mask is None:
        mask = _roll(x.shape, p, _generator(fn, rng))
    y = _keep(fn, x, mask, p, out)
    return (y, mask) if return_mask else y


def dropout_backward(grad_output: Any, mask: Any, p: float = 0.5, *, out: Array | None = None) -> Array:
    """Gradient of `dropout`: ``grad_output / (1 - p)`` where the mask is True, 0 elsewhere.

    Parameters
    ----------
    grad_output : ndarray of float32 or float64
        The gradient that arrives.
    mask : ndarray of bool, shape of `grad_output`
        What the forward pass returned.
    p : float
        That of the forward pass.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape and dtype of `grad_output`.

    Raises
    ------
    TypeError, ValueError
        As `dropout`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.dropout_backward(np.array([1.0, 1.0]), np.array([True, False]), 0.5)
    array([2., 0.])
    """
    fn = "dropout_backward"
    grad_output = _args.float_array(fn, "grad_output", grad_output)
    p = _probability(fn, p)
    return _keep(fn, grad_output, _mask(fn, mask, grad_output), p, out)

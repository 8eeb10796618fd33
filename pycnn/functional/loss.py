"""Losses and their gradients: cross entropy of logits and labels, squared error, binary cross entropy of logits.

All sums are taken in float64, in an order that depends on the shape alone. `reduction` is "mean", "sum" or "none". The
mean of nothing (an empty batch, or only ignored labels) is NaN, as in PyTorch.
"""

from math import prod
from typing import Any

import numpy as np

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.functional._layout import c_order
from pycnn.kernels import softmax as _kernels

_REDUCTIONS = ("mean", "sum", "none")
_INTEGERS = "iu"


def _mean(total: float, count: float) -> float:
    return total / count if count else float("nan")


def _delta(fn: str, grad_output: Any, reduction: str, x: Array, shape: tuple[int, ...]) -> tuple[Array | None, float]:
    """Return the gradient that arrives: an array for each loss of "none", or one number."""
    if reduction == "none":
        grad_output = _args.float_array(fn, "grad_output", grad_output, x.dtype)
        _args.check_shape(fn, "grad_output", grad_output, shape)
        return grad_output, 1.0
    if isinstance(grad_output, np.ndarray) and grad_output.shape:
        raise ValueError(f"{fn}: grad_output must be a number for {reduction!r}, got shape {grad_output.shape}")
    if isinstance(grad_output, (bool, np.bool_, str, bytes, complex, np.complexfloating)):
        raise TypeError(f"{fn}: grad_output must be a number, got {grad_output!r}")
    try:
        return None, float(grad_output)
    except (TypeError, ValueError):
        raise TypeError(f"{fn}: grad_output must be a number, got {type(grad_output).__name__}") from None


def _contiguous(x: Array | None) -> Array | None:
    return None if x is None else c_order(x)


class _Labelled:
    """The checked arguments of cross entropy: logits (N, C, *d) as (outer, classes, inner), labels as a flat array."""

    def __init__(
        self, fn: str, x: Any, target: Any, weight: Any, reduction: Any, label_smoothing: Any, ignore_index: Any
    ) -> None:
        self.x = x = _args.float_array(fn, "x", x)
        if x.ndim < 2 or x.shape[1] < 1:
            raise ValueError(f"{fn}: x must have shape (N, C) or (N, C, *d) with C >= 1, got {x.shape}")
        target = _args.array(fn, "target", target)
        if target.dtype.kind not in _INTEGERS:
            raise TypeError(f"{fn}: target must hold integer labels, got {target.dtype}")
        self.shape = (x.shape[0], *x.shape[2:])
        _args.check_shape(fn, "target", target, self.shape)
        _args.choice(fn, "reduction", reduction, _REDUCTIONS)
        self.weight = _args.vector(fn, "weight", weight, x.dtype, x.shape[1])
        self.smoothing = _args.number(fn, "label_smoothing", label_smoothing)
        if not 0 <= self.smoothing <= 1:
            raise ValueError(f"{fn}: label_smoothing must be between 0 and 1, got {label_smoothing!r}")
        self.ignored = 0 if ignore_index is None else _args.index(fn, "ignore_index", ignore_index)
        self.has_ignored = ignore_index is not None and self.ignored >= -(2**63)
        self.folded = (x.shape[0], x.shape[1], prod(x.shape[2:]))
        self.labels = self._labels(fn, target)

    def _labels(self, fn: str, target: Array) -> Array:
        if target.dtype == np.uint64 and target.size and int(target.max()) >= 2**63:
            raise ValueError(f"{fn}: labels must be >= 0 and < {self.x.shape[1]}, got {int(target.max())}")
        labels = np.ascontiguousarray(target, dtype=np.intp).reshape(-1)
        bad = _kernels.bad_label(labels, self.x.shape[1], self.has_ignored, self.ignored)
        if bad >= 0:
            exception = f" or the ignore_index {self.ignored}" if self.has_ignored else ""
            raise ValueError(f"{fn}: labels must be >= 0 and < {self.x.shape[1]}{exception}, got {labels[bad]}")
        return labels

    def losses(self) -> tuple[Array, float, float]:
        """Return the loss of each sample in float64, their sum, and the sum of the labels' weights."""
        losses = np.empty(self.labels.shape)
        total, count = _kernels.cross_entropy(
            c_order(self.x),
            self.labels,
            self.weight,
            self.folded,
            self.smoothing,
            self.has_ignored,
            self.ignored,
            losses,
        )
        return losses, total, count

    def count(self) -> float:
        """Return the sum of the labels' weights, what the mean is divided by."""
        kept = self.labels[self.labels != self.ignored] if self.has_ignored else self.labels
        return float(len(kept)) if self.weight is None else float(np.sum(self.weight[kept], dtype=np.float64))


def cross_entropy(
    x: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    ignore_index: int | None = None,
) -> Any:
    """Cross entropy of logits and labels: ``-log(softmax(x)[label])``.

    With class weights each loss is multiplied by its label's, and the mean is divided by their sum. Label smoothing
    moves the share `label_smoothing` of what is wanted from the label to all classes evenly.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (N, C) or (N, C, *d)
        Logits of C classes.
    target : ndarray of integers, shape (N,) or (N, *d)
        Labels, 0 to C - 1.
    weight : ndarray, shape (C,), optional
        Dtype of `x`.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        0 to 1.
    ignore_index : int, optional
        A label whose samples count for nothing. None, the default: there is no such label.

    Returns
    -------
    NumPy scalar, or ndarray of shape (N,) or (N, *d) for "none"
        Dtype of `x`.

    Raises
    ------
    TypeError
        If `x` or `weight` is not of one float dtype, or `target` not of integers.
    ValueError
        If shapes do not fit, or a label is neither a class nor `ignore_index`.

    Notes
    -----
    Source of the smoothing: Szegedy et al., arXiv 1512.00567.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> float(F.cross_entropy(np.zeros((2, 4)), np.array([0, 3])).round(4))
    1.3863
    """
    given = _Labelled("cross_entropy", x, target, weight, reduction, label_smoothing, ignore_index)
    losses, total, count = given.losses()
    with np.errstate(over="ignore"):
        if reduction == "none":
            return losses.reshape(given.shape).astype(given.x.dtype, copy=False)
        return given.x.dtype.type(_mean(total, count) if reduction == "mean" else total)


def cross_entropy_backward(
    grad_output: Any,
    x: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    ignore_index: int | None = None,
    out: Array | None = None,
) -> Array:
    """Gradient of `cross_entropy` for its logits.

    For one sample: ``grad_output * (softmax(x) * sum(q) - q)`` with q what is wanted of each class, 1 at the label and
    0 elsewhere if there are neither weights nor smoothing; divided by the sum of the labels' weights for "mean". An
    ignored sample gets 0.

    Parameters
    ----------
    grad_output : float, or ndarray of shape (N,) or (N, *d) for "none"
        The gradient that arrives.
    x, target, weight, reduction, label_smoothing, ignore_index
        Those of the forward pass.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        As `cross_entropy`; also if `grad_output` or `out` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.cross_entropy_backward(1.0, np.zeros((1, 4)), np.array([3]))
    array([[ 0.25,  0.25,  0.25, -0.75]])
    """
    fn = "cross_entropy_backward"
    given = _Labelled(fn, x, target, weight, reduction, label_smoothing, ignore_index)
    delta, scale = _delta(fn, grad_output, reduction, given.x, given.shape)
    if reduction == "mean":
        scale = _mean(scale, given.count())
    dx, out_target = _args.output(
        fn, out, given.x.shape, given.x.dtype, [a for a in (given.x, given.weight, delta) if a is not None], dense=True
    )
    _kernels.cross_entropy_backward(
        _contiguous(delta),
        c_order(given.x, dx),
        given.labels,
        given.weight,
        given.folded,
        given.smoothing,
        given.has_ignored,
        given.ignored,
        scale,
        dx,
    )
    return _args.finish(dx, out_target)


def _pair(fn: str, x: Any, target: Any, reduction: Any) -> tuple[Array, Array]:
    x = _args.float_array(fn, "x", x)
    target = _args.float_array(fn, "target", target, x.dtype)
    _args.check_shape(fn, "target", target, x.shape)
    _args.choice(fn, "reduction", reduction, _REDUCTIONS)
    return x, target


def _error(kind: int, x: Array, target: Array, weights: tuple[Array | None, ...], reduction: str) -> Any:
    w, p = map(_contiguous, weights)
    if reduction == "none":
        losses, _ = _args.output("", None, x.shape, x.dtype)
        _kernels.error(kind, c_order(x), c_order(target), w, p, losses)
        return losses
    total = _kernels.error(kind, c_order(x), c_order(target), w, p, None)
    with np.errstate(over="ignore"):
        return x.dtype.type(_mean(total, x.size) if reduction == "mean" else total)


def _error_backward(
    fn: str,
    kind: int,
    grad_output: Any,
    x: Array,
    target: Array,
    weights: tuple[Array | None, ...],
    reduction: str,
    out: Any,
) -> Array:
    delta, scale = _delta(fn, grad_output, reduction, x, x.shape)
    if reduction == "mean":
        scale = _mean(scale, x.size)
    inputs = [a for a in (delta, x, target, *weights) if a is not None]
    dx, out_target = _args.output(fn, out, x.shape, x.dtype, inputs, dense=True)
    w, p = map(_contiguous, weights)
    _kernels.error_backward(kind, _contiguous(delta), c_order(x, dx), c_order(target), w, p, scale, dx)
    return _args.finish(dx, out_target)


def mse_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Squared error: ``(x - target)**2``.

    Parameters
    ----------
    x, target : ndarray of float32 or float64, one shape
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    NumPy scalar, or ndarray with the shape of `x` for "none"
        Dtype of `x`.

    Raises
    ------
    TypeError
        If an argument is not a float32 or float64 array, or the dtypes differ.
    ValueError
        If the shapes differ (nothing is broadcast) or `reduction` is none of the three.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> float(F.mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    x, target = _pair("mse_loss", x, target, reduction)
    return _error(_kernels.SQUARE, x, target, (None, None), reduction)


def mse_loss_backward(
    grad_output: Any, x: Any, target: Any, reduction: str = "mean", *, out: Array | None = None
) -> Array:
    """Gradient of `mse_loss` for x: ``grad_output * 2 * (x - target)``, divided by the number of values for "mean".

    Parameters
    ----------
    grad_output : float, or ndarray with the shape of `x` for "none"
        The gradient that arrives.
    x, target, reduction
        Those of the forward pass.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        As `mse_loss`; also if `grad_output` or `out` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.mse_loss_backward(1.0, np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    array([ 0., -2.])
    """
    fn = "mse_loss_backward"
    x, target = _pair(fn, x, target, reduction)
    return _error_backward(fn, _kernels.SQUARE, grad_output, x, target, (None, None), reduction, out)


def _broadcast(fn: str, name: str, value: Any, x: Array) -> Array | None:
    if value is None:
        return None
    value = _args.float_array(fn, name, value, x.dtype)
    try:
        return np.broadcast_to(value, x.shape)
    except ValueError:
        raise ValueError(f"{fn}: {name} must broadcast to the shape {x.shape} of x, got {value.shape}") from None


def binary_cross_entropy_with_logits(
    x: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Cross entropy of logits and probabilities, each value a yes or no of its own.

    ``-weight * (pos_weight * target * log(s(x)) + (1 - target) * log(s(-x)))`` with s the sigmoid; the logarithms are
    computed as ``-log(1 + exp(-x))`` in a form that does not overflow.

    Parameters
    ----------
    x, target : ndarray of float32 or float64, one shape
        Logits, and the probabilities wanted, 0 to 1.
    weight, pos_weight : ndarray, optional
        Dtype of `x`; broadcast to its shape. 1 where not given.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    NumPy scalar, or ndarray with the shape of `x` for "none"
        Dtype of `x`.

    Raises
    ------
    TypeError
        If an array is not of one float dtype.
    ValueError
        If shapes do not fit or `reduction` is none of the three.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> float(F.binary_cross_entropy_with_logits(np.array([0.0]), np.array([1.0])).round(4))
    0.6931
    """
    fn = "binary_cross_entropy_with_logits"
    x, target = _pair(fn, x, target, reduction)
    weights = (_broadcast(fn, "weight", weight, x), _broadcast(fn, "pos_weight", pos_weight, x))
    return _error(_kernels.LOGIT, x, target, weights, reduction)


def binary_cross_entropy_with_logits_backward(
    grad_output: Any,
    x: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient of `binary_cross_entropy_with_logits` for x.

    ``grad_output * weight * ((1 - target) * s(x) - pos_weight * target * s(-x))``, divided by the number of values for
    "mean".

    Parameters
    ----------
    grad_output : float, or ndarray with the shape of `x` for "none"
        The gradient that arrives.
    x, target, weight, reduction, pos_weight
        Those of the forward pass.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        As `binary_cross_entropy_with_logits`; also if `grad_output` or `out` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.binary_cross_entropy_with_logits_backward(1.0, np.array([0.0]), np.array([1.0]))
    array([-0.5])
    """
    fn = "binary_cross_entropy_with_logits_backward"
    x, target = _pair(fn, x, target, reduction)
    weights = (_broadcast(fn, "weight", weight, x), _broadcast(fn, "pos_weight", pos_weight, x))
    return _error_backward(fn, _kernels.LOGIT, grad_output, x, target, weights, reduction, out)

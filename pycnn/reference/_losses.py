"""Losses: one number that says how wrong, and the delta that starts the way back."""

from typing import Any

import numpy as np

from ._activations import _logistic
from ._common import Array, finish


def _reduce(losses: Array, reduction: str, count: float, dtype: np.dtype[Any]) -> Any:
    """Return the losses themselves, their sum, or their sum divided by `count`, rounded to `dtype`."""
    if reduction == "none":
        return finish(losses, dtype)
    if reduction not in ("mean", "sum"):
        raise ValueError(f"unknown reduction {reduction!r}")
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.float64(losses.sum()) / np.float64(count if reduction == "mean" else 1.0)
    return dtype.type(total)


def _delta_for_each(grad_output: Any, reduction: str, count: float, shape: tuple[int, ...]) -> Array:
    """Delta that arrives at each loss: of a mean everyone gets 1 / count."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"unknown reduction {reduction!r}")
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = 1.0 / np.float64(count) if reduction == "mean" else np.float64(1.0)
    return np.broadcast_to(np.asarray(grad_output, dtype=np.float64) * scale, shape)


def _wanted(
    x: Array, target: Array, weight: Array | None, label_smoothing: float, ignore_index: int | None
) -> tuple[Array, float]:
    """How much the loss of each sample wants -log p of each class: q, shaped (M, C); divisor of the mean.

    Without smoothing q is the label's class weight at the label. Smoothing moves a share of it to all
    classes. Ignored samples want nothing and do not count.
    """
    classes = x.shape[1]
    class_weight = np.ones(classes) if weight is None else np.asarray(weight, dtype=np.float64)
    labels = np.asarray(target).reshape(-1)
    q = np.zeros((labels.size, classes))
    count = 0.0
    for sample, label in enumerate(labels.tolist()):
        if label == ignore_index:
            continue
        if not 0 <= label < classes:
            raise ValueError(f"label {label} is not one of {classes} classes")
        q[sample] = label_smoothing / classes * class_weight
        q[sample, label] += (1.0 - label_smoothing) * class_weight[label]
        count += class_weight[label]
    return q, count


def _samples(x: Array) -> Array:
    """(N, C, *d) -> (M, C) logits in float64."""
    moved = np.moveaxis(np.asarray(x, dtype=np.float64), 1, -1)
    return moved.reshape(int(np.prod(moved.shape[:-1])), x.shape[1])


def _log_probability(logits: Array) -> Array:
    with np.errstate(invalid="ignore"):
        shifted = logits - logits.max(axis=1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def cross_entropy(
    x: Array,
    target: Array,
    weight: Array | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    ignore_index: int | None = None,
) -> Any:
    """-log softmax(x) at the label, for logits x (N, C) or (N, C, *d) and integer target (N,) or (N, *d).

    "mean" divides by the sum of the labels' class weights.

    >>> float(cross_entropy(np.zeros((1, 4)), np.array([2])).round(4))
    1.3863
    """
    q, count = _wanted(x, target, weight, label_smoothing, ignore_index)
    log_p = _log_probability(_samples(x))
    losses = np.zeros(q.shape)
    losses[q != 0] = -(q[q != 0] * log_p[q != 0])
    return _reduce(losses.sum(axis=1).reshape(target.shape), reduction, count, x.dtype.newbyteorder("="))


def cross_entropy_backward(
    grad_output: Any,
    x: Array,
    target: Array,
    weight: Array | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    ignore_index: int | None = None,
    out: Array | None = None,
) -> Array:
    """Gradient for x of `cross_entropy`: delta * (softmax(x) * sum(q) - q), q what each class was wanted.

    >>> cross_entropy_backward(1.0, np.zeros((1, 4)), np.array([2]))
    array([[ 0.25,  0.25, -0.75,  0.25]])
    """
    q, count = _wanted(x, target, weight, label_smoothing, ignore_index)
    delta = _delta_for_each(grad_output, reduction, count, target.shape).reshape(-1, 1)
    wanted = q.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        dlogits = delta * (np.exp(_log_probability(_samples(x))) * wanted - q)
    dlogits[wanted[:, 0] == 0] = 0.0  # an ignored sample, even where a mean over nothing is NaN
    shape = (x.shape[0], *x.shape[2:], x.shape[1])
    return finish(np.moveaxis(dlogits.reshape(shape), -1, 1), x.dtype, out)


def mse_loss(x: Array, target: Array, reduction: str = "mean") -> Any:
    """(x - target)**2.

    >>> float(mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    losses = (np.asarray(x, dtype=np.float64) - np.asarray(target, dtype=np.float64)) ** 2
    return _reduce(losses, reduction, x.size, x.dtype.newbyteorder("="))


def mse_loss_backward(
    grad_output: Any, x: Array, target: Array, reduction: str = "mean", *, out: Array | None = None
) -> Array:
    """Gradient for x of `mse_loss`: delta * 2 (x - target).

    >>> mse_loss_backward(1.0, np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    array([ 0., -2.])
    """
    delta = _delta_for_each(grad_output, reduction, x.size, x.shape)
    return finish(delta * 2.0 * (np.asarray(x, dtype=np.float64) - np.asarray(target, dtype=np.float64)), x.dtype, out)


def _bce_weights(weight: Array | None, pos_weight: Array | None) -> tuple[Array, Array]:
    one = np.ones(())
    return (
        one if weight is None else np.asarray(weight, dtype=np.float64),
        one if pos_weight is None else np.asarray(pos_weight, dtype=np.float64),
    )


def binary_cross_entropy_with_logits(
    x: Array,
    target: Array,
    weight: Array | None = None,
    reduction: str = "mean",
    pos_weight: Array | None = None,
) -> Any:
    """-weight * (pos_weight * t * log s(x) + (1 - t) * log s(-x)), s the sigmoid; the weights broadcast to x.

    -log s(x) = log(1 + exp(-x)) = logaddexp(0, -x) does not overflow.

    >>> float(binary_cross_entropy_with_logits(np.array([0.0]), np.array([1.0])).round(4))
    0.6931
    """
    logits, t = np.asarray(x, dtype=np.float64), np.asarray(target, dtype=np.float64)
    w, positive = _bce_weights(weight, pos_weight)
    losses = w * (positive * t * np.logaddexp(0.0, -logits) + (1.0 - t) * np.logaddexp(0.0, logits))
    return _reduce(losses, reduction, x.size, x.dtype.newbyteorder("="))


def binary_cross_entropy_with_logits_backward(
    grad_output: Any,
    x: Array,
    target: Array,
    weight: Array | None = None,
    reduction: str = "mean",
    pos_weight: Array | None = None,
    *,
    out: Array | None = None,
) -> Array:
    """Gradient for x: delta * weight * ((1 - t) * s(x) - pos_weight * t * s(-x)).

    >>> binary_cross_entropy_with_logits_backward(1.0, np.array([0.0]), np.array([1.0]))
    array([-0.5])
    """
    logits, t = np.asarray(x, dtype=np.float64), np.asarray(target, dtype=np.float64)
    w, positive = _bce_weights(weight, pos_weight)
    delta = _delta_for_each(grad_output, reduction, x.size, x.shape)
    slope = w * ((1.0 - t) * _logistic(logits) - positive * t * _logistic(-logits))
    return finish(delta * slope, x.dtype, out)

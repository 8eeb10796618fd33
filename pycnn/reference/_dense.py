"""Fully connected layer, batch normalisation, local response normalisation, dropout."""

from collections.abc import Sequence

import numpy as np

from ._common import Array, finish
from ._convolution import NEEDS, Gradients, Outs


def linear(x: Array, weight: Array, bias: Array | None = None, *, out: Array | None = None) -> Array:
    """Fully connected layer y = x W^T + b for x (..., in), weight (out, in), bias (out,).

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.5]))
    array([[11.5]])
    """
    y = np.einsum("...i,oi->...o", np.asarray(x, dtype=np.float64), np.asarray(weight, dtype=np.float64))
    if bias is not None:
        y = y + np.asarray(bias, dtype=np.float64)
    return finish(y, x.dtype, out)


def linear_backward(
    grad_output: Array, x: Array, weight: Array, *, needs: Sequence[str] = NEEDS, out: Outs = None
) -> Gradients:
    """Gradients (dx, dweight, dbias) of `linear`: dx = delta W, dweight = delta^T x, dbias = sum of delta.

    Here two inputs feed the neurons with the deltas 2, 3 and 6; what reaches them differs as their weights
    do:

    >>> w = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> linear_backward(np.array([[2.0, 3.0, 6.0]]), np.ones((1, 2)), w)[0]
    array([[5., 9.]])
    """
    inputs, outputs = weight.shape[1], weight.shape[0]
    rows = int(np.prod(x.shape[:-1]))
    cells = np.asarray(x, dtype=np.float64).reshape(rows, inputs)
    delta = np.asarray(grad_output, dtype=np.float64).reshape(rows, outputs)
    dx = np.einsum("ro,oi->ri", delta, np.asarray(weight, dtype=np.float64)).reshape(x.shape)
    dweight = np.einsum("ro,ri->oi", delta, cells)
    out_dx, out_dweight, out_dbias = (None, None, None) if out is None else out
    return (
        finish(dx, x.dtype, out_dx) if "input" in needs else None,
        finish(dweight, x.dtype, out_dweight) if "weight" in needs else None,
        finish(delta.sum(axis=0), x.dtype, out_dbias) if "bias" in needs else None,
    )


def _channel_axis(x: Array, data_format: str) -> int:
    return {"NCHW": 1, "NHWC": x.ndim - 1, "HWCN": x.ndim - 2}[data_format]


def _rows_of_channels(x: Array, axis: int) -> Array:
    """(C, everything else) in float64."""
    moved = np.moveaxis(np.asarray(x, dtype=np.float64), axis, 0)
    return moved.reshape(moved.shape[0], int(np.prod(moved.shape[1:])))


def _back_in_place(rows: Array, x: Array, axis: int) -> Array:
    """Undo `_rows_of_channels`."""
    shape = (x.shape[axis], *tuple(n for a, n in enumerate(x.shape) if a != axis))
    return np.moveaxis(rows.reshape(shape), 0, axis)


def _column(values: Array | None, channels: int) -> Array:
    """One number a channel, standing upright; ones when there is none."""
    return np.ones((channels, 1)) if values is None else np.asarray(values, dtype=np.float64).reshape(channels, 1)


def batch_norm(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    return_stats: bool = False,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array | tuple[Array, Array, Array]:
    """Normalise each channel: y = (x - mean) / sqrt(var + eps) * weight + bias.

    In training, mean and (biased) variance are the batch's, and the running ones move towards them by
    `momentum` in place, with the unbiased variance; otherwise the running ones are used. `return_stats` adds
    mean and 1 / sqrt(var + eps). Source: Ioffe and Szegedy, Batch Normalization, 2015.

    >>> batch_norm(np.array([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    axis = _channel_axis(x, data_format)
    rows = _rows_of_channels(x, axis)
    channels, count = rows.shape
    if training:
        if count == 1:
            raise ValueError("training needs more than one value in each channel")
        mean, var = rows.mean(axis=1), rows.var(axis=1)
        if running_mean is not None:
            running_mean[...] = (1.0 - momentum) * running_mean.astype(np.float64) + momentum * mean
        if running_var is not None:
            unbiased = var * count / (count - 1)
            running_var[...] = (1.0 - momentum) * running_var.astype(np.float64) + momentum * unbiased
    else:
        if running_mean is None or running_var is None:
            raise ValueError("without training the running mean and variance are needed")
        mean, var = running_mean.astype(np.float64), running_var.astype(np.float64)
    inv_std = 1.0 / np.sqrt(var + eps)
    y = (rows - mean[:, None]) * inv_std[:, None] * _column(weight, channels)
    if bias is not None:
        y = y + _column(bias, channels)
    result = finish(_back_in_place(y, x, axis), x.dtype, out)
    return (result, finish(mean, x.dtype), finish(inv_std, x.dtype)) if return_stats else result


def batch_norm_backward(
    grad_output: Array,
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    training: bool = False,
    eps: float = 1e-5,
    *,
    stats: tuple[Array, Array] | None = None,
    data_format: str = "NCHW",
    needs: Sequence[str] = NEEDS,
    out: Outs = None,
) -> Gradients:
    """Gradients (dx, dweight, dbias) of `batch_norm`; `stats` are the (mean, inv_std) that forward returned.

    With x^ = (x - mean) * inv_std: dbias = sum(delta), dweight = sum(delta * x^). In training every x also
    moves the mean and the variance of its channel, which takes the part of the delta along 1 and along x^
    away again::

        dx = weight * inv_std * (delta - mean(delta) - x^ * mean(delta * x^))

    >>> batch_norm_backward(np.array([[5.0], [5.0]]), np.array([[1.0], [3.0]]), None, None, training=True)[0]
    array([[0.],
           [0.]])
    """
    axis = _channel_axis(x, data_format)
    rows, delta = _rows_of_channels(x, axis), _rows_of_channels(grad_output, axis)
    channels, count = rows.shape
    if training and count == 1:
        raise ValueError("training needs more than one value in each channel")
    if stats is not None:
        mean, inv_std = (_column(values, channels) for values in stats)
    elif training:
        mean = rows.mean(axis=1, keepdims=True)
        inv_std = 1.0 / np.sqrt(rows.var(axis=1, keepdims=True) + eps)
    else:
        if running_mean is None or running_var is None:
            raise ValueError("without training the running mean and variance are needed")
        mean = _column(running_mean, channels)
        inv_std = 1.0 / np.sqrt(_column(running_var, channels) + eps)
    normal = (rows - mean) * inv_std
    dx = delta
    if training:
        dx = dx - delta.mean(axis=1, keepdims=True) - normal * (delta * normal).mean(axis=1, keepdims=True)
    dx = dx * inv_std * _column(weight, channels)
    out_dx, out_dweight, out_dbias = (None, None, None) if out is None else out
    return (
        finish(_back_in_place(dx, x, axis), x.dtype, out_dx) if "input" in needs else None,
        finish((delta * normal).sum(axis=1), x.dtype, out_dweight) if "weight" in needs else None,
        finish(delta.sum(axis=1), x.dtype, out_dbias) if "bias" in needs else None,
    )


def _neighbours(channels: int, c: int, size: int) -> slice:
    """Channels that take part in the sum of channel c."""
    return slice(max(c - size // 2, 0), min(c + (size - 1) // 2 + 1, channels))


def _lrn_base(rows: Array, size: int, alpha: float, k: float) -> Array:
    base = np.empty_like(rows)
    for c in range(rows.shape[0]):
        base[c] = k + alpha / size * (rows[_neighbours(rows.shape[0], c, size)] ** 2).sum(axis=0)
    return base


def local_response_norm(
    x: Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Divide each value by a power of the squares around it: y_c = x_c / base_c**beta.

    base_c = k + alpha / size * (sum of x**2 over the channels c - size//2 to c + (size-1)//2, as far as they
    exist).

    Source: Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012; alpha / size as in
    ONNX.

    >>> local_response_norm(np.array([[[[2.0]], [[2.0]]]]), 1, alpha=1.0, beta=1.0, k=0.0).ravel()
    array([0.5, 0.5])
    """
    axis = _channel_axis(x, data_format)
    rows = _rows_of_channels(x, axis)
    y = rows / _lrn_base(rows, size, alpha, k) ** beta
    return finish(_back_in_place(y, x, axis), x.dtype, out)


def local_response_norm_backward(
    grad_output: Array,
    x: Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Gradient for x of `local_response_norm`.

    Channel c sends its delta to x_c directly, and through its base to every neighbour j in its sum:
    d y_c / d x_j = -2 alpha beta / size * x_c * base_c**(-beta - 1) * x_j.
    """
    axis = _channel_axis(x, data_format)
    rows, delta = _rows_of_channels(x, axis), _rows_of_channels(grad_output, axis)
    base = _lrn_base(rows, size, alpha, k)
    dx = delta * base**-beta
    through_base = -2.0 * alpha * beta / size * delta * rows * base ** (-beta - 1.0)
    for c in range(rows.shape[0]):
        near = _neighbours(rows.shape[0], c, size)
        dx[near] += through_base[c] * rows[near]
    return finish(_back_in_place(dx, x, axis), x.dtype, out)


def dropout(
    x: Array,
    p: float = 0.5,
    training: bool = True,
    *,
    rng: np.random.Generator | int | None = None,
    mask: Array | None = None,
    return_mask: bool = False,
    out: Array | None = None,
) -> Array | tuple[Array, Array]:
    """Keep each value with probability 1 - p, scaled by 1 / (1 - p) so that the mean stays; the rest is 0.

    `mask` (True = kept) overrides the dice. Without training x passes and the mask is all True.

    >>> dropout(np.array([1.0, 2.0]), 0.5, mask=np.array([True, False]))
    array([2., 0.])
    """
    if not training:
        kept = np.ones(x.shape, dtype=bool)
        y = finish(np.asarray(x, dtype=np.float64), x.dtype, out)
        return (y, kept) if return_mask else y
    kept = np.random.default_rng(rng).random(x.shape) >= p if mask is None else mask
    scaled = np.zeros(x.shape)
    scaled[kept] = np.asarray(x, dtype=np.float64)[kept] / (1.0 - p)
    y = finish(scaled, x.dtype, out)
    return (y, kept) if return_mask else y


def dropout_backward(grad_output: Array, mask: Array, p: float = 0.5, *, out: Array | None = None) -> Array:
    """Scale the delta of each kept value like the value; 0 elsewhere.

    >>> dropout_backward(np.array([1.0, 1.0]), np.array([True, False]))
    array([2., 0.])
    """
    scaled = np.zeros(grad_output.shape)
    scaled[mask] = np.asarray(grad_output, dtype=np.float64)[mask] / (1.0 - p)
    return finish(scaled, grad_output.dtype, out)

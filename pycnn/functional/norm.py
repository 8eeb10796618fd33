"""Normalisation: batch norm with running statistics, local response norm; forward and backward."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from pycnn.functional import _args
from pycnn.functional._args import NEEDS, Array
from pycnn.functional._layout import c_order, c_output
from pycnn.kernels import _runtime
from pycnn.kernels import norm as _kernels

_STATS = {4: _kernels.batch_stats["float"], 8: _kernels.batch_stats["double"]}
_MOVE = {4: _kernels.move["float"], 8: _kernels.move["double"]}
_SUMS = {4: _kernels.gradient_sums["float"], 8: _kernels.gradient_sums["double"]}
_NORMALISE = {4: _kernels.normalise["float"], 8: _kernels.normalise["double"]}
_GRADIENT = {4: _kernels.input_gradient["float"], 8: _kernels.input_gradient["double"]}
_RESPONSE = {4: _kernels.response_norm["float"], 8: _kernels.response_norm["double"]}

#: data_format -> the channel axis, counted from the end where the number of axes decides.
_CHANNEL_AXIS = {"NCHW": 1, "NHWC": -1, "HWCN": -2}

Folded = tuple[int, int, int]


def _fold(fn: str, x: Array, data_format: Any) -> Folded:
    """Return the shape (outer, channels, inner)."""
    _args.choice(fn, "data_format", data_format, tuple(_CHANNEL_AXIS))
    if x.ndim < 2:
        raise ValueError(f"{fn}: x must have at least 2 axes, got shape {x.shape}")
    axis = _CHANNEL_AXIS[data_format] % x.ndim
    return prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])


def _check_dtype(fn: str, x: Array, running_mean: Any, weight: Any) -> None:
    """Raise where x is not of the parameters' dtype."""
    name, parameter = ("weight", weight) if running_mean is None else ("running_mean", running_mean)
    _args.check_input_dtype(fn, x, name, parameter)


def _vector(fn: str, name: str, value: Any, x: Array, channels: int) -> Array | None:
    """Return an optional argument with one number a channel."""
    if value is None:
        return None
    value = _args.float_array(fn, name, value, x.dtype)
    _args.check_shape(fn, name, value, (channels,))
    return c_order(value)


def _running(fn: str, mean: Any, var: Any, x: Array, channels: int, written: bool) -> list[Any]:
    """Return the running statistics: the arrays themselves where the call will update them, in any case checked."""
    arrays = []
    for name, value in (("running_mean", mean), ("running_var", var)):
        if value is None or not written:
            arrays.append(_vector(fn, name, value, x, channels))
            continue
        if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"{fn}: {name} must be a NumPy array, got {type(value).__name__}")
        if value.dtype != x.dtype:
            raise TypeError(f"{fn}: {name} must have the dtype of the other arrays, {x.dtype}, got {value.dtype}")
        _args.check_shape(fn, name, value, (channels,))
        if not value.flags.writeable:
            raise ValueError(f"{fn}: {name} is read-only")
        arrays.append(value)
    return arrays


def _eps(fn: str, value: Any) -> float:
    eps = _args.number(fn, "eps", value)
    if eps <= 0:
        raise ValueError(f"{fn}: eps must be > 0, got {value!r}")
    return eps


def _batch_stats(cells: Array) -> tuple[Array, Array]:
    """Return mean and (biased) variance of the channels of (outer, channels, inner) in float64; NaN of no values."""
    mean, var = np.empty(cells.shape[1]), np.empty(cells.shape[1])
    _STATS[cells.itemsize](cells, mean, var)
    return mean, var


def _inv_std(var: Array, eps: float) -> Array:
    inv_std = np.empty(var.shape)
    _kernels.invert(var.astype(np.float64, copy=False), eps, inv_std)
    return inv_std


def _move(running: Array | None, batch: Array, momentum: float, factor: float) -> None:
    if running is None:
        return
    values = running if running.flags.aligned else running.copy()
    _MOVE[running.itemsize](values, batch, momentum, factor)
    if values is not running:
        running[...] = values


def batch_norm(
    x: Any,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    return_stats: bool = False,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Any:
    """Normalise each channel: ``y = (x - mean) / sqrt(var + eps) * weight + bias``.

    In training mean and variance (divided by the count) are the batch's, and the running ones, where given, move
    towards them in place: ``running = (1 - momentum) * running + momentum * batch``, with the variance divided by the
    count less one. Otherwise the running ones are used. The sums are taken in float64 about a value of the channel, so
    data far from zero keep their variance. An empty batch leaves the running statistics alone.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (N, C) or (N, C, *spatial)
    running_mean, running_var : ndarray, shape (C,), or None
        Dtype of `x`. None only in training.
    weight, bias : ndarray, shape (C,), optional
        1 and 0 where not given.
    training : bool
        Whose statistics to use.
    momentum : float
        Share of the batch in the running statistics, 0 to 1.
    eps : float
        Added to the variance; > 0.
    return_stats : bool
        Also return what `batch_norm_backward` takes as `stats`.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Where the channels are: axis 1, the last, the last but one.
    out : ndarray, optional
        Where to write; shape and dtype of `x`.

    Returns
    -------
    y : ndarray
        Shape and dtype of `x`.
    mean, inv_std : ndarray, shape (C,)
        Only with `return_stats`: the mean and 1 / sqrt(var + eps) that were used.

    Raises
    ------
    TypeError
        If an array is not of the float dtype of `x`, or a flag or number not what it should be.
    ValueError
        If a shape does not fit, `eps` <= 0, `momentum` is outside 0 to 1, running statistics are missing or read-only,
        or a channel has a single value in training.

    Notes
    -----
    Source: Ioffe and Szegedy, Batch Normalization, arXiv 1502.03167.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> F.batch_norm(x, None, None, training=True).round(3)
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    fn = "batch_norm"
    x = _args.float_array(fn, "x", x)
    folded = _fold(fn, x, data_format)
    _check_dtype(fn, x, running_mean, weight)
    training = _args.flag(fn, "training", training)
    return_stats = _args.flag(fn, "return_stats", return_stats)
    running = _running(fn, running_mean, running_var, x, folded[1], training)
    weight = _vector(fn, "weight", weight, x, folded[1])
    bias = _vector(fn, "bias", bias, x, folded[1])
    momentum = _args.number(fn, "momentum", momentum)
    if not 0 <= momentum <= 1:
        raise ValueError(f"{fn}: momentum must be between 0 and 1, got {momentum!r}")
    eps = _eps(fn, eps)
    count = _check_count(fn, x, folded, training, running)
    y, target = c_output(fn, out, x, [a for a in (x, weight, bias, *running) if a is not None])

    cells = c_order(x, y).reshape(folded)
    mean, var = _batch_stats(cells) if training else (running[0].astype(np.float64), running[1])
    inv_std = _inv_std(var, eps)
    _NORMALISE[x.itemsize](cells, mean, inv_std, weight, bias, y.reshape(folded))
    y = _args.finish(y, target)
    if training and count:
        _move(running[0], mean, momentum, 1.0)
        _move(running[1], var, momentum, count / (count - 1))
    if not return_stats:
        return y
    with np.errstate(over="ignore"):
        return y, mean.astype(x.dtype), inv_std.astype(x.dtype)


def _check_count(fn: str, x: Array, folded: Folded, training: bool, running: Sequence[Any]) -> int:
    """Return how many values a channel has; raise where that is too few, or statistics are missing."""
    count = folded[0] * folded[2]
    if training and count == 1:
        raise ValueError(f"{fn}: training needs more than 1 value in each channel, got shape {x.shape}")
    if not training and (running[0] is None or running[1] is None):
        raise ValueError(f"{fn}: running_mean and running_var must be given unless training=True")
    return count


def _backward_stats(
    fn: str, stats: Sequence[Array] | None, cells: Array, training: bool, running: Sequence[Any], eps: float
) -> tuple[Array, Array]:
    """Return mean and 1 / standard deviation in float64: saved, running, or of the batch once more."""
    if stats is not None:
        return stats[0].astype(np.float64), stats[1].astype(np.float64)
    mean, var = _batch_stats(cells) if training else running
    return mean.astype(np.float64), _inv_std(var, eps)


def _check_stats(fn: str, stats: Any, x: Array, channels: int) -> tuple[Array, Array] | None:
    if stats is None:
        return None
    if not isinstance(stats, (tuple, list)) or len(stats) != 2:
        raise ValueError(f"{fn}: stats must be the pair (mean, inv_std) of the forward pass, got {stats!r}")
    pair = []
    for part in stats:
        part = _args.float_array(fn, "stats", part, x.dtype)
        _args.check_shape(fn, "stats", part, (channels,))
        pair.append(part)
    return pair[0], pair[1]


def batch_norm_backward(
    grad_output: Any,
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    training: bool = False,
    eps: float = 1e-5,
    *,
    stats: tuple[Array, Array] | None = None,
    data_format: str = "NCHW",
    needs: Sequence[str] = NEEDS,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of `batch_norm` for input, weight and bias.

    With ``n = (x - mean) * inv_std``: ``dbias = sum(grad_output)``, ``dweight = sum(grad_output * n)``, and
    ``dx = weight * inv_std * (grad_output - mean(grad_output) - n * mean(grad_output * n))``; without `training` the
    last two terms are absent, as mean and variance do not depend on x.

    Parameters
    ----------
    grad_output, x : ndarray of float32 or float64, one shape
        The gradient that arrives, and what the forward pass was given.
    running_mean, running_var : ndarray, shape (C,), or None
        Used only without `training` and `stats`.
    weight : ndarray, shape (C,), optional
        That of the forward pass.
    training : bool
        That of the forward pass.
    eps : float
        That of the forward pass; > 0.
    stats : (mean, inv_std), optional
        What the forward pass returned with ``return_stats=True``; taken from x once more where not given.
    data_format : {"NCHW", "NHWC", "HWCN"}
        That of the forward pass.
    needs : sequence of {"input", "weight", "bias"}
        The gradients to compute; the others are None.
    out : (ndarray or None, ndarray or None, ndarray or None), optional
        Where to write dx, dweight and dbias.

    Returns
    -------
    dx, dweight, dbias : ndarray or None
        Shape of `x`, (C,) and (C,).

    Raises
    ------
    TypeError, ValueError
        As `batch_norm`; also if `grad_output` or `stats` do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> x = np.array([[1.0], [3.0]])
    >>> dx, dweight, dbias = F.batch_norm_backward(np.array([[1.0], [3.0]]), x, None, None, training=True)
    >>> dweight.round(4), dbias
    (array([2.]), array([4.]))
    """
    fn = "batch_norm_backward"
    x = _args.float_array(fn, "x", x)
    grad_output = _args.float_array(fn, "grad_output", grad_output, x.dtype)
    _args.check_shape(fn, "grad_output", grad_output, x.shape)
    folded = _fold(fn, x, data_format)
    _check_dtype(fn, x, running_mean, weight)
    training = _args.flag(fn, "training", training)
    running = _running(fn, running_mean, running_var, x, folded[1], False)
    weight = _vector(fn, "weight", weight, x, folded[1])
    eps = _eps(fn, eps)
    stats = _check_stats(fn, stats, x, folded[1])
    if stats is None:
        _check_count(fn, x, folded, training, running)
    inputs = [a for a in (grad_output, x, weight, *running, *(stats or ())) if a is not None]
    shapes = (x.shape, (folded[1],), (folded[1],))
    made = _args.gradient_outputs(fn, out, needs, shapes, x.dtype, inputs)
    dx, dweight, dbias = (pair[0] for pair in made)

    delta, cells = c_order(grad_output).reshape(folded), c_order(x).reshape(folded)
    mean, inv_std = _backward_stats(fn, stats, cells, training, running, eps)
    sums = np.zeros((2, folded[1]))
    if training or dweight is not None or dbias is not None:
        _SUMS[x.itemsize](delta, cells, mean, sums)
    if dx is not None:
        flat = dx if dx.flags.c_contiguous else _runtime.empty(x.shape, x.dtype)
        _GRADIENT[x.itemsize](delta, cells, mean, inv_std, weight, sums if training else None, flat.reshape(folded))
        if flat is not dx:
            np.copyto(dx, flat)
    with np.errstate(invalid="ignore", over="ignore"):
        if dweight is not None:
            dweight[...] = sums[1] * inv_std if x.size else 0.0
        if dbias is not None:
            dbias[...] = sums[0]
    return _args.finish_gradients(made)


def _window(fn: str, x: Array, size: Any, data_format: Any) -> tuple[Folded, int, int]:
    """Return the folded shape and how far the window reaches before and after its channel."""
    folded = _fold(fn, x, data_format)
    size = _args.index(fn, "size", size, 1)
    return folded, min(size // 2, folded[1]), min((size - 1) // 2, folded[1])


def _response_numbers(fn: str, size: int, alpha: Any, beta: Any, k: Any) -> tuple[float, float, float]:
    return (
        _args.number(fn, "alpha", alpha) / size,
        _args.number(fn, "beta", beta),
        _args.number(fn, "k", k),
    )


def local_response_norm(
    x: Any,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Divide each value by a power of the squares around it: ``y = x / (k + alpha / size * sum(x**2))**beta``.

    The sum goes over the channels c - size // 2 to c + (size - 1) // 2, as far as they exist.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (N, C) or (N, C, *spatial)
    size : int
        Channels in the window; >= 1.
    alpha, beta, k : float
        Finite.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Where the channels are: axis 1, the last, the last but one.
    out : ndarray, optional
        Where to write; shape and dtype of `x`.

    Returns
    -------
    ndarray
        Shape and dtype of `x`.

    Raises
    ------
    TypeError
        If `x` is not a float32 or float64 array or a number is not one.
    ValueError
        If `size` < 1, a number is not finite, `x` has fewer than two axes, or `out` does not fit.

    Notes
    -----
    Source: Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012;
    alpha is divided by `size` as in ONNX and PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.local_response_norm(np.full((1, 2, 1, 1), 2.0), 1, alpha=1.0, beta=1.0, k=0.0).ravel()
    array([0.5, 0.5])
    """
    fn = "local_response_norm"
    x = _args.float_array(fn, "x", x)
    folded, before, after = _window(fn, x, size, data_format)
    numbers = _response_numbers(fn, size, alpha, beta, k)
    y, target = c_output(fn, out, x, (x,))
    _RESPONSE[x.itemsize](None, c_order(x, y).reshape(folded), y.reshape(folded), before, after, *numbers)
    return _args.finish(y, target)


def local_response_norm_backward(
    grad_output: Any,
    x: Any,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Gradient of `local_response_norm` for its input.

    With b the base of the power, channel j gets ``grad_j * b_j**-beta - 2 * alpha * beta / size * x_j * s_j``, where
    s_j is the sum of ``grad_c * x_c * b_c**(-beta - 1)`` over the channels c whose window holds j.

    Parameters
    ----------
    grad_output, x : ndarray of float32 or float64, one shape
        The gradient that arrives, and what the forward pass was given.
    size, alpha, beta, k, data_format
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
        As `local_response_norm`; also if the two arrays differ in shape or dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> x = np.full((1, 1, 1, 1), 2.0)
    >>> F.local_response_norm_backward(np.ones_like(x), x, 1, alpha=1.0, beta=1.0, k=0.0).ravel()
    array([-0.25])
    """
    fn = "local_response_norm_backward"
    x = _args.float_array(fn, "x", x)
    grad_output = _args.float_array(fn, "grad_output", grad_output, x.dtype)
    _args.check_shape(fn, "grad_output", grad_output, x.shape)
    folded, before, after = _window(fn, x, size, data_format)
    numbers = _response_numbers(fn, size, alpha, beta, k)
    dx, target = c_output(fn, out, x, (grad_output, x))
    delta = c_order(grad_output)
    _RESPONSE[x.itemsize](
        delta.reshape(folded), c_order(x, dx).reshape(folded), dx.reshape(folded), before, after, *numbers
    )
    return _args.finish(dx, target)

"""Normalisation: batch norm with running statistics, local response norm; forward and backward."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from pycnn.functional import _args
from pycnn.functional._args import NEEDS, Array
from pycnn.functional._layout import c_order
from pycnn.kernels import _runtime
from pycnn.kernels import norm as _kernels

#: data_format -> the channel axis, counted from the end where the number of axes decides.
_CHANNEL_AXIS = {"NCHW": 1, "NHWC": -1, "HWCN": -2}

Folded = tuple[int, int, int]
Stats = tuple[Array | None, Array | None]
NO_STATS: Stats = (None, None)


@_args.remembered
def fold(fn: str, shape: tuple[int, ...], data_format: Any) -> Folded:
    """Return the shape (outer, channels, inner)."""
    _args.choice(fn, "data_format", data_format, tuple(_CHANNEL_AXIS))
    if len(shape) < 2:
        raise ValueError(f"{fn}: x must have at least 2 axes, got shape {shape}")
    axis = _CHANNEL_AXIS[data_format] % len(shape)
    return prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])


def _check_dtype(fn: str, x: Array, running_mean: Any, weight: Any) -> None:
    """Raise where x is not of the parameters' dtype."""
    name, parameter = ("weight", weight) if running_mean is None else ("running_mean", running_mean)
    _args.check_input_dtype(fn, x, name, parameter)


def _running(
    fn: str, name: str, value: Any, x: Array, channels: int, written: bool, out: Any = None
) -> tuple[Array | None, Any]:
    """Return running statistics, checked, and where to copy them afterwards or None, as the call will update them."""
    if value is None or not written:
        return _args.vector(fn, name, value, x.dtype, channels), None
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{fn}: {name} must be a NumPy array, got {type(value).__name__}")
    if value.dtype != x.dtype:
        raise TypeError(f"{fn}: {name} must have the dtype of the other arrays, {x.dtype}, got {value.dtype}")
    _args.check_shape(fn, name, value, (channels,))
    if not value.flags.writeable:
        raise ValueError(f"{fn}: {name} is read-only")
    if value.flags.c_contiguous and value.flags.aligned and out is None:  # what overlaps with `out` is written after it
        return value, None
    return value.astype(x.dtype), value


def _eps(fn: str, value: Any) -> float:
    eps = _args.number(fn, "eps", value)
    if eps <= 0:
        raise ValueError(f"{fn}: eps must be > 0, got {value!r}")
    return eps


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
    training = _args.flag("batch_norm", "training", training)
    return_stats = _args.flag("batch_norm", "return_stats", return_stats)
    y, stats, _ = normalise(
        x, running_mean, running_var, weight, bias, training, momentum, eps, return_stats, data_format, out
    )
    return (y, *stats) if return_stats else y


def normalise(
    x: Any,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: float,
    eps: float,
    return_stats: bool,
    data_format: str,
    out: Array | None = None,
    relu: bool = False,
) -> tuple[Array, Stats, Array | None]:
    """`batch_norm`, with `relu` the larger of its results and 0.

    Returns also what `slopes` takes as `stats` and, unless the channels are last or there is one value a channel and
    sample, as `gate`.
    """
    fn = "batch_norm"
    x = _args.float_array(fn, "x", x)
    folded = outer, channels, inner = fold(fn, x.shape, data_format)
    _check_dtype(fn, x, running_mean, weight)
    mean, mean_target = _running(fn, "running_mean", running_mean, x, channels, training, out)
    var, var_target = _running(fn, "running_var", running_var, x, channels, training, out)
    weight = _args.vector(fn, "weight", weight, x.dtype, channels)
    bias = _args.vector(fn, "bias", bias, x.dtype, channels)
    momentum = _args.number(fn, "momentum", momentum)
    if not 0 <= momentum <= 1:
        raise ValueError(f"{fn}: momentum must be between 0 and 1, got {momentum!r}")
    eps = _eps(fn, eps)
    _check_count(fn, x, outer * inner, training, mean, var)
    inputs = [a for a in (x, weight, bias, mean, var, mean_target, var_target) if a is not None]
    y, target = _args.output(fn, out, x.shape, x.dtype, inputs, dense=True)
    stats = (_runtime.empty((channels,), x.dtype), _runtime.empty((channels,), x.dtype)) if return_stats else NO_STATS
    gate = _runtime.empty((channels, 3), x.dtype) if return_stats and inner > 1 else None
    _kernels.forward(c_order(x, y), folded, mean, var, weight, bias, training, momentum, eps, y, *stats, relu, gate)
    y = _args.finish(y, target)
    if mean_target is not None:
        mean_target[...] = mean
    if var_target is not None:
        var_target[...] = var
    return y, stats, gate


def _check_count(fn: str, x: Array, count: int, training: bool, mean: Any, var: Any) -> None:
    """Raise where the `count` values of a channel are too few, or statistics are missing."""
    if training and count == 1:
        raise ValueError(f"{fn}: training needs more than 1 value in each channel, got shape {x.shape}")
    if not training and (mean is None or var is None):
        raise ValueError(f"{fn}: running_mean and running_var must be given unless training=True")


def _check_stats(fn: str, stats: Any, x: Array, channels: int) -> tuple[Array | None, ...]:
    if not isinstance(stats, (tuple, list)) or len(stats) != 2:
        raise ValueError(f"{fn}: stats must be the pair (mean, inv_std) of the forward pass, got {stats!r}")
    return tuple(
        [_args.vector(fn, "stats", _args.float_array(fn, "stats", s, x.dtype), x.dtype, channels) for s in stats]
    )


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
    return slopes(grad_output, x, running_mean, running_var, weight, training, eps, stats, data_format, needs, out)


def slopes(
    grad_output: Any,
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    training: bool,
    eps: float,
    stats: Any,
    data_format: str,
    needs: Sequence[str],
    out: tuple[Array | None, Array | None, Array | None] | None = None,
    gate: Array | None = None,
) -> tuple[Array | None, Array | None, Array | None]:
    """`batch_norm_backward`; with a `gate`, of a pass in training, also through the ReLU."""
    fn = "batch_norm_backward"
    x = _args.float_array(fn, "x", x)
    grad_output = _args.float_array(fn, "grad_output", grad_output, x.dtype)
    _args.check_shape(fn, "grad_output", grad_output, x.shape)
    folded = outer, channels, inner = fold(fn, x.shape, data_format)
    _check_dtype(fn, x, running_mean, weight)
    training = _args.flag(fn, "training", training)
    mean, _ = _running(fn, "running_mean", running_mean, x, channels, False)
    var, _ = _running(fn, "running_var", running_var, x, channels, False)
    weight = _args.vector(fn, "weight", weight, x.dtype, channels)
    eps = _eps(fn, eps)
    inv_std = None
    if stats is not None:
        mean, inv_std = _check_stats(fn, stats, x, channels)
    else:
        _check_count(fn, x, outer * inner, training, mean, var)
        if training:
            mean = var = None
    inputs = [a for a in (grad_output, x, weight, mean, var, inv_std) if a is not None]
    shapes = (x.shape, (channels,), (channels,))
    made = _args.gradient_outputs(fn, out, needs, shapes, x.dtype, inputs, (True, True, True))
    (dx, _), (dweight, _), (dbias, _) = made
    _kernels.backward(
        c_order(grad_output), c_order(x), folded, mean, var, inv_std, weight, training, eps, gate, dx, dweight, dbias
    )
    return _args.finish_gradients(made)


def _window(fn: str, x: Array, size: Any, data_format: Any) -> tuple[Folded, int, int]:
    """Return the folded shape and how far the window reaches before and after its channel."""
    folded = fold(fn, x.shape, data_format)
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
    y, target = _args.output(fn, out, x.shape, x.dtype, (x,), dense=True)
    _kernels.response_norm(None, c_order(x, y), y, folded, before, after, *numbers)
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
    dx, target = _args.output(fn, out, x.shape, x.dtype, (grad_output, x), dense=True)
    _kernels.response_norm(c_order(grad_output), c_order(x, dx), dx, folded, before, after, *numbers)
    return _args.finish(dx, target)

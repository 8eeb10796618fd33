"""Max unpooling: max pooling undone as far as its indices tell."""

from typing import Any

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.functional.pooling_geometry import BYTE, INT64, checked_indices, windows
from pycnn.kernels import _runtime
from pycnn.kernels import pooling_places as _places


def _unpooled(
    fn: str, sizes: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> tuple[int, ...]:
    """Return the size before pooling: (I - 1) * stride + kernel - pads, or what was asked for if close to it."""
    if min(sizes) < 1:
        raise ValueError(f"{fn}: every spatial size of the input must be >= 1, got {sizes}")
    kernel = _args.per_axis(fn, "kernel_size", kernel_size, 2)
    steps = kernel if stride is None else _args.per_axis(fn, "stride", stride, 2)
    pads = _args.pads(fn, padding, sizes, kernel, steps, (1, 1))
    usual = tuple([(i - 1) * s + k - before - after for i, s, k, (before, after) in zip(sizes, steps, kernel, pads)])
    if output_size is None:
        chosen = usual
    else:
        chosen = _args.per_axis(fn, "output_size", output_size, 2)
        if any(abs(c - u) >= s for c, u, s in zip(chosen, usual, steps)):
            raise ValueError(f"{fn}: output_size must be within a stride {steps} of {usual}, got {chosen}")
    if min(chosen) < 1:
        raise ValueError(f"{fn}: the output's size must be >= 1, got {chosen}")
    return chosen


def _places_in(
    fn: str,
    indices: Any,
    shape: tuple[int, ...],
    order: tuple[int, ...],
    sizes: tuple[int, ...],
    numbers: tuple[Any, Any, Any],
) -> Array:
    """Return int64 places in the H * W cells of the output; every index is checked."""
    found = None
    if indices is not None:
        indices = _args.array(fn, "indices", indices)
    if getattr(indices, "dtype", None) == BYTE:
        found = windows(fn, sizes, *numbers, 1, False, True)
        if _args.in_format((shape[order[0]], shape[order[1]], *found.out), order) != shape:
            raise ValueError(f"{fn}: an output of {sizes} has {found.out} windows, but the input has shape {shape}")
    places = checked_indices(fn, indices, shape, order, sizes, found)
    if places.dtype == INT64 or found is None:
        return places
    converted = _runtime.empty(shape, INT64)
    if places.size:
        _places.places_of(places, converted, order, found.numbers, (1, *sizes))
    return converted


def max_unpool2d(
    x: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Put each value where its index says, and zeros elsewhere.

    Where indices repeat, the last value in scan order stays.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (N, C, H, W)
        Any strides; never written.
    indices : ndarray of int64 or uint8, shape of `x`
        What `max_pool2d` returned: places in the cells of the output, or compact ones within its windows. All are
        checked before anything is written.
    kernel_size, stride, padding
        As given to `max_pool2d`.
    output_size : int or (int, int), optional
        Height and width of the result, less than a stride away from ``(H - 1) * stride + kernel - padding``, which is
        taken when None.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Names the axes of the arrays.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape (N, C, OH, OW), dtype of `x`.

    Raises
    ------
    TypeError
        If a dtype is not as above, or a size is not an integer.
    ValueError
        If a size or an index is out of range, or the shapes do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.max_unpool2d(np.array([[[[5.0, 7.0]]]]), np.array([[[[1, 2]]]]), (1, 2))
    array([[[[0., 5., 7., 0.]]]])
    """
    fn = "max_unpool2d"
    order = _args.axes(fn, data_format, 2)
    x = _args.float_array(fn, "x", x)
    _args.check_ndim(fn, "x", x, 4)
    shape = tuple([x.shape[axis] for axis in order])
    sizes = _unpooled(fn, shape[2:], kernel_size, stride, padding, output_size)
    places = _places_in(fn, indices, x.shape, order, sizes, (kernel_size, stride, padding))
    y, target = _args.output(fn, out, _args.in_format(shape[:2] + sizes, order), x.dtype, (x, places))
    if y.size:
        _places.scatter(x, places, y, order)
    return _args.finish(y, target)


def max_unpool2d_backward(
    grad_output: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Return the gradient for the input of `max_unpool2d`: the delta found at each index.

    Parameters
    ----------
    grad_output : ndarray of float32 or float64, shape (N, C, OH, OW)
    indices : ndarray of int64 or uint8, shape (N, C, H, W)
        As given to `max_unpool2d`; where they repeat, each gets the delta, also those whose value was overwritten.
    kernel_size, stride, padding, output_size, data_format
        As given to `max_unpool2d`.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape of `indices`, dtype of `grad_output`.

    Raises
    ------
    TypeError
        If a dtype is not as above, or a size is not an integer.
    ValueError
        If a size or an index is out of range, or the shapes do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.max_unpool2d_backward(np.array([[[[1.0, 2.0, 3.0, 4.0]]]]), np.array([[[[1, 2]]]]), (1, 2))
    array([[[[2., 3.]]]])
    """
    fn = "max_unpool2d_backward"
    order = _args.axes(fn, data_format, 2)
    dy = _args.float_array(fn, "grad_output", grad_output)
    indices = _args.array(fn, "indices", indices)
    _args.check_ndim(fn, "indices", indices, 4)
    given = indices.shape
    shape = tuple([given[axis] for axis in order])
    sizes = _unpooled(fn, shape[2:], kernel_size, stride, padding, output_size)
    _args.check_shape(fn, "grad_output", dy, _args.in_format(shape[:2] + sizes, order))
    places = _places_in(fn, indices, given, order, sizes, (kernel_size, stride, padding))
    dx, target = _args.output(fn, out, given, dy.dtype, (dy, places))
    if dx.size:
        _places.gather(dy, places, dx, order)
    return _args.finish(dx, target)

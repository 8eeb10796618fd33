"""Adaptive pooling: the windows follow from the output's size.

Along each axis output o of O covers the cells floor(o * I / O) up to, not including, ceil((o + 1) * I / O) of I.
"""

from collections.abc import Sequence
from typing import Any, Literal, overload

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.functional.pooling_geometry import INT64, check_places, number_array
from pycnn.kernels import _runtime
from pycnn.kernels import pooling_adaptive as _kernels
from pycnn.kernels import pooling_places as _places
from pycnn.kernels import pooling_plain as _plain

#: A kernel of 1, the stride 0 that stands for bins, dilation 1, no padding: D, H and W each.
_BINS = (1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0)

OutputSize = int | Sequence[int | None] | None


def _bins(fn: str, output_size: Any, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the output's height and width; None stands for the input's."""
    if min(sizes) < 1:
        raise ValueError(f"{fn}: every spatial size of the input must be >= 1, got {sizes}")
    if not isinstance(output_size, (tuple, list)):
        output_size = (output_size, output_size)
    elif len(output_size) != 2:
        raise ValueError(f"{fn}: output_size must be an int or 2 entries, got {output_size!r}")
    wanted = zip(output_size, sizes)
    return tuple([size if count is None else _args.index(fn, "output_size", count, 1) for count, size in wanted])


def adaptive_avg_pool2d(
    x: Any, output_size: OutputSize, *, data_format: str = "NCHW", out: Array | None = None
) -> Array:
    """Average each image down (or up) to a given size.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (N, C, H, W)
        Any strides; never written.
    output_size : int or (int, int)
        Height and width of the result; None in the pair keeps the input's.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Names the axes of `x` and of the result.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape (N, C, OH, OW), dtype of `x`.

    Raises
    ------
    TypeError
        If `x` is not a float32 or float64 array, or a size is not an integer.
    ValueError
        If a size is below 1, or `out` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.adaptive_avg_pool2d(np.array([[[[1.0, 2.0, 6.0]]]]), (1, 2))
    array([[[[1.5, 4. ]]]])
    """
    fn = "adaptive_avg_pool2d"
    order = _args.axes(fn, data_format, 2)
    x = _args.float_array(fn, "x", x)
    _args.check_ndim(fn, "x", x, 4)
    shape = tuple([x.shape[axis] for axis in order])
    bins = _bins(fn, output_size, shape[2:])
    y, target = _args.output(fn, out, _args.in_format(shape[:2] + bins, order), x.dtype, (x,))
    if y.size:
        _kernels.mean_forward(x, y, order, 0)
    return _args.finish(y, target)


def adaptive_avg_pool2d_backward(
    grad_output: Any,
    input_shape: Sequence[int],
    output_size: OutputSize,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Return the gradient for the input of `adaptive_avg_pool2d`: each delta is spread evenly over its window.

    Parameters
    ----------
    grad_output : ndarray of float32 or float64, shape (N, C, OH, OW)
    input_shape : tuple of int
        (N, C, H, W) in the order of `data_format`.
    output_size, data_format
        As given to `adaptive_avg_pool2d`.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape `input_shape`, dtype of `grad_output`.

    Raises
    ------
    TypeError
        If `grad_output` is not a float32 or float64 array, or a size is not an integer.
    ValueError
        If a size is below 1, or a shape does not follow from `input_shape` and `output_size`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.adaptive_avg_pool2d_backward(np.array([[[[2.0, 4.0]]]]), (1, 1, 1, 3), (1, 2))
    array([[[[1., 3., 2.]]]])
    """
    fn = "adaptive_avg_pool2d_backward"
    order = _args.axes(fn, data_format, 2)
    dy = _args.float_array(fn, "grad_output", grad_output)
    given = _args.shape(fn, "input_shape", input_shape, 4)
    shape = tuple([given[axis] for axis in order])
    bins = _bins(fn, output_size, shape[2:])
    _args.check_shape(fn, "grad_output", dy, _args.in_format(shape[:2] + bins, order))
    dx, target = _args.output(fn, out, given, dy.dtype, (dy,))
    if dx.size:
        _kernels.mean_backward(dy, dx, order, 0)
    return _args.finish(dx, target)


@overload
def adaptive_max_pool2d(
    x: Any,
    output_size: OutputSize,
    return_indices: Literal[False] = ...,
    *,
    data_format: str = ...,
    out: Array | None = ...,
) -> Array: ...
@overload
def adaptive_max_pool2d(
    x: Any, output_size: OutputSize, return_indices: Literal[True], *, data_format: str = ..., out: Array | None = ...
) -> tuple[Array, Array]: ...
@overload
def adaptive_max_pool2d(
    x: Any, output_size: OutputSize, return_indices: bool = ..., *, data_format: str = ..., out: Array | None = ...
) -> Array | tuple[Array, Array]: ...
def adaptive_max_pool2d(
    x: Any,
    output_size: OutputSize,
    return_indices: bool = False,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array | tuple[Array, Array]:
    """Take the largest value of windows that bring each image to a given size.

    Equal values, NaN and -0.0 as in `max_pool2d`.

    Parameters
    ----------
    x : ndarray of float32, float64 or integers, shape (N, C, H, W)
        Any strides; never written.
    output_size : int or (int, int)
        Height and width of the result; None in the pair keeps the input's.
    return_indices : bool
        Also return the winners' places in the H * W cells of their image.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Names the axes of `x` and of the results.
    out : ndarray, optional
        Where to write the values.

    Returns
    -------
    ndarray or (ndarray, ndarray)
        Values of shape (N, C, OH, OW) and dtype of `x`; with indices on request, int64 in the same shape.

    Raises
    ------
    TypeError
        If `x` has another dtype, or a size is not an integer.
    ValueError
        If a size is below 1, or `out` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.adaptive_max_pool2d(np.array([[[[1.0, 2.0, 6.0]]]]), (1, 2), return_indices=True)
    (array([[[[2., 6.]]]]), array([[[[1, 2]]]]))
    """
    fn = "adaptive_max_pool2d"
    order = _args.axes(fn, data_format, 2)
    x = number_array(fn, "x", x)
    _args.check_ndim(fn, "x", x, 4)
    shape = tuple([x.shape[axis] for axis in order])
    bins = _bins(fn, output_size, shape[2:])
    wanted = _args.flag(fn, "return_indices", return_indices)
    y_shape = _args.in_format(shape[:2] + bins, order)
    y, target = _args.output(fn, out, y_shape, x.dtype, (x,))
    indices = _runtime.empty(y_shape, INT64) if wanted else None
    if y.size:
        _plain.max_forward(x, y, indices, order, _BINS)
    y = _args.finish(y, target)
    return y if indices is None else (y, indices)


def adaptive_max_pool2d_backward(
    grad_output: Any,
    indices: Any,
    input_shape: Sequence[int],
    output_size: OutputSize,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Return the gradient for the input of `adaptive_max_pool2d`: each delta goes to the cell that won.

    Parameters
    ----------
    grad_output : ndarray of float32 or float64, shape (N, C, OH, OW)
    indices : ndarray of int64, shape of `grad_output`
        Places in the H * W cells of an image; all are checked before anything is written.
    input_shape : tuple of int
        (N, C, H, W) in the order of `data_format`.
    output_size, data_format
        As given to `adaptive_max_pool2d`.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape `input_shape`, dtype of `grad_output`.

    Raises
    ------
    TypeError
        If a dtype is not as above, or a size is not an integer.
    ValueError
        If a size is below 1, a shape does not follow from `input_shape` and `output_size`, or an index is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.adaptive_max_pool2d_backward(np.array([[[[5.0, 7.0]]]]), np.array([[[[2, 2]]]]), (1, 1, 1, 3), (1, 2))
    array([[[[ 0.,  0., 12.]]]])
    """
    fn = "adaptive_max_pool2d_backward"
    order = _args.axes(fn, data_format, 2)
    dy = _args.float_array(fn, "grad_output", grad_output)
    given = _args.shape(fn, "input_shape", input_shape, 4)
    shape = tuple([given[axis] for axis in order])
    y_shape = _args.in_format(shape[:2] + _bins(fn, output_size, shape[2:]), order)
    _args.check_shape(fn, "grad_output", dy, y_shape)
    places = _args.array(fn, "indices", indices)
    if places.dtype != INT64:
        raise TypeError(f"{fn}: indices must be int64, got {places.dtype}")
    _args.check_shape(fn, "indices", places, y_shape)
    if places.size and not _places.places_inside(places, order, shape[2] * shape[3]):
        check_places(fn, places, shape[2] * shape[3])
    dx, target = _args.output(fn, out, given, dy.dtype, (dy, places))
    if dx.size:
        _places.scatter_add(dy, places, dx, order)
    return _args.finish(dx, target)

"""Adaptive pooling (the windows follow from the output size) and max unpooling (max pooling undone).

Output o of O cells over an input of I covers the cells floor(o * I / O) up to, not including, ceil((o + 1) *
I / O).
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from ._common import (
    Array,
    Padding,
    Size,
    channels_first,
    channels_first_shape,
    finish,
    pads_per_axis,
    per_axis,
    windows_over,
)
from ._pool_max import _compact_to_plane, add_at_places

OutputSize = int | Sequence[int | None] | None


def _bins(sizes: Sequence[int], output_size: OutputSize) -> list[list[slice]]:
    """For each axis the cells that each output covers."""
    single = output_size is None or isinstance(output_size, (int, np.integer))
    wanted: Any = [output_size] * len(sizes) if single else output_size
    bins = []
    for size, count in zip(sizes, wanted, strict=True):
        count = size if count is None else int(count)
        if size < 1 or count < 1:
            raise ValueError(f"input {size} and output {count} must be >= 1")
        bins.append([slice(o * size // count, -(-(o + 1) * size // count)) for o in range(count)])
    return bins


def adaptive_avg_pool2d(
    x: Array, output_size: OutputSize, *, data_format: str = "NCHW", out: Array | None = None
) -> Array:
    """Mean over windows chosen so that x (N, C, H, W) becomes (N, C, OH, OW).

    >>> adaptive_avg_pool2d(np.array([[[[1.0, 2.0, 6.0]]]]), (1, 2))
    array([[[[1.5, 4. ]]]])
    """
    image = channels_first(x, data_format).astype(np.float64)
    rows, columns = _bins(image.shape[2:], output_size)
    y = np.zeros((*image.shape[:2], len(rows), len(columns)))
    for (i, row), (j, column) in product(enumerate(rows), enumerate(columns)):
        y[:, :, i, j] = image[:, :, row, column].mean(axis=(2, 3))
    return finish(y, x.dtype, out, data_format)


def adaptive_avg_pool2d_backward(
    grad_output: Array,
    input_shape: Sequence[int],
    output_size: OutputSize,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Gradient for x of `adaptive_avg_pool2d`: each delta is spread evenly over its window.

    >>> adaptive_avg_pool2d_backward(np.array([[[[2.0, 4.0]]]]), (1, 1, 1, 3), (1, 2))
    array([[[[1., 3., 2.]]]])
    """
    shape = channels_first_shape(input_shape, data_format)
    delta = channels_first(grad_output, data_format).astype(np.float64)
    rows, columns = _bins(shape[2:], output_size)
    dx = np.zeros(shape)
    for (i, row), (j, column) in product(enumerate(rows), enumerate(columns)):
        cells = (row.stop - row.start) * (column.stop - column.start)
        dx[:, :, row, column] += delta[:, :, i : i + 1, j : j + 1] / cells
    return finish(dx, grad_output.dtype, out, data_format)


def adaptive_max_pool2d(
    x: Array,
    output_size: OutputSize,
    return_indices: bool = False,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array | tuple[Array, Array]:
    """Largest cell of windows chosen so that x (N, C, H, W) becomes (N, C, OH, OW); indices into H*W.

    >>> adaptive_max_pool2d(np.array([[[[1.0, 2.0, 6.0]]]]), (1, 2), return_indices=True)
    (array([[[[2., 6.]]]]), array([[[[1, 2]]]]))
    """
    image = channels_first(x, data_format)
    image = image.astype(image.dtype.newbyteorder("="))
    rows, columns = _bins(image.shape[2:], output_size)
    shape = (*image.shape[:2], len(rows), len(columns))
    y, indices = np.zeros(shape, dtype=image.dtype), np.zeros(shape, dtype=np.int64)
    for (i, row), (j, column) in product(enumerate(rows), enumerate(columns)):
        width = column.stop - column.start
        cells = image[:, :, row, column].reshape((*shape[:2], (row.stop - row.start) * width))
        first = np.argmax(cells, axis=2)  # the first of equal maxima; NaN counts as the largest
        y[:, :, i, j] = np.take_along_axis(cells, first[..., None], axis=2)[..., 0]
        indices[:, :, i, j] = (row.start + first // width) * image.shape[3] + column.start + first % width
    result = finish(y, x.dtype, out, data_format)
    return (result, finish(indices, indices.dtype, None, data_format)) if return_indices else result


def adaptive_max_pool2d_backward(
    grad_output: Array,
    indices: Array,
    input_shape: Sequence[int],
    output_size: OutputSize,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Gradient for x of `adaptive_max_pool2d`: each delta goes to the cell that won.

    >>> adaptive_max_pool2d_backward(np.array([[[[5.0, 7.0]]]]), np.array([[[[2, 2]]]]), (1, 1, 1, 3), (1, 2))
    array([[[[ 0.,  0., 12.]]]])
    """
    shape = channels_first_shape(input_shape, data_format)
    delta = channels_first(grad_output, data_format).astype(np.float64)
    dx = add_at_places(delta, channels_first(indices, data_format), shape[2] * shape[3])
    return finish(dx.reshape(shape), grad_output.dtype, out, data_format)


def _unpooled_size(
    sizes: Sequence[int], kernel_size: Size, stride: Size | None, padding: Padding, output_size: OutputSize
) -> tuple[int, ...]:
    """Size before pooling: (I - 1) * stride - pads + K, or what was asked for if less than a stride away."""
    kernel = per_axis(kernel_size, 2)
    steps = kernel if stride is None else per_axis(stride, 2)
    pads = pads_per_axis(padding, sizes, kernel, steps, (1, 1))
    usual = tuple((i - 1) * s + k - sum(p) for i, s, k, p in zip(sizes, steps, kernel, pads, strict=True))
    if output_size is None:
        return usual
    wanted = (output_size,) * 2 if isinstance(output_size, (int, np.integer)) else tuple(output_size)
    chosen = tuple(int(size) for size in wanted if size is not None)
    if any(abs(c - u) >= s for c, u, s in zip(chosen, usual, steps, strict=True)):
        raise ValueError(f"output_size {chosen} must be within a stride {steps} of {usual}")
    return chosen


def _unpool_places(
    indices: Array, kernel_size: Size, stride: Size | None, padding: Padding, size: tuple[int, ...]
) -> Array:
    """Places in the flattened output, checked."""
    place = indices
    if indices.dtype == np.uint8:
        place = _compact_to_plane(indices, windows_over(size, kernel_size, stride, padding, 1, pooling=True))
    if place.size and (place.min() < 0 or place.max() >= np.prod(size)):
        raise ValueError(f"an index lies outside the output {size}")
    return place


def max_unpool2d(
    x: Array,
    indices: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    output_size: OutputSize = None,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Put each cell of x (N, C, H, W) where its index says, zeros elsewhere; the last of equal indices wins.

    >>> max_unpool2d(np.array([[[[5.0, 7.0]]]]), np.array([[[[1, 2]]]]), (1, 2))
    array([[[[0., 5., 7., 0.]]]])
    """
    image = channels_first(x, data_format).astype(np.float64)
    size = _unpooled_size(image.shape[2:], kernel_size, stride, padding, output_size)
    place = _unpool_places(channels_first(indices, data_format), kernel_size, stride, padding, size)
    y = np.zeros((*image.shape[:2], int(np.prod(size))))
    for n, c, i, j in np.ndindex(image.shape):
        y[n, c, place[n, c, i, j]] = image[n, c, i, j]
    return finish(y.reshape(image.shape[:2] + size), x.dtype, out, data_format)


def max_unpool2d_backward(
    grad_output: Array,
    indices: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    output_size: OutputSize = None,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Gradient for x of `max_unpool2d`: the delta found at each index (as PyTorch, also for repeated ones).

    >>> max_unpool2d_backward(np.array([[[[1.0, 2.0, 3.0, 4.0]]]]), np.array([[[[1, 2]]]]), (1, 2))
    array([[[[2., 3.]]]])
    """
    delta = channels_first(grad_output, data_format).astype(np.float64)
    places = channels_first(indices, data_format)
    place = _unpool_places(places, kernel_size, stride, padding, delta.shape[2:])
    flat = delta.reshape((*delta.shape[:2], delta.shape[2] * delta.shape[3]))
    dx = np.zeros(place.shape)
    for n, c, i, j in np.ndindex(place.shape):
        dx[n, c, i, j] = flat[n, c, place[n, c, i, j]]
    return finish(dx, grad_output.dtype, out, data_format)

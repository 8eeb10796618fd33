"""Max pooling in 1, 2 and 3 dimensions.

Forward records which cell of each window won; backward hands the window's whole delta to that cell (a mask
times the delta). Overlapping windows that share a winner add up there.

Cells are compared in scan order and only a better one takes over, so ties go to the first. NaN is better than
any number and the first NaN stays. A padded cell never wins: where all is -inf the first real cell does.
"""

from collections.abc import Sequence

import numpy as np

from ._common import (
    Array,
    Padding,
    Size,
    Windows,
    channels_first,
    channels_first_shape,
    finish,
    windows_over,
)


def _winners(image: Array, windows: Windows) -> tuple[Array, Array, Array]:
    """For every window its largest value, and where that lies in the flattened image and in the window."""
    padded = windows.pad(image)
    shape = image.shape[:2] + windows.counts
    best = np.zeros(shape, dtype=image.dtype)
    place, offset = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.uint8)
    found = np.zeros(windows.counts, dtype=bool)
    for number, tap in enumerate(windows.taps()):
        value = padded[windows.cells(tap)]
        better = ~found | (value > best) | (np.isnan(value) & ~np.isnan(best))
        wins = better & windows.is_real(tap)
        best[wins] = value[wins]
        place[wins] = np.broadcast_to(windows.plane_index(tap), shape)[wins]
        offset[wins] = number % 256
        found |= windows.is_real(tap)
    if not found.all():
        raise ValueError("a window lies in the padding only: there is no largest cell")
    return best, place, offset


def _max_pool(
    x: Array,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool,
    return_indices: bool | str,
    ties: str,
    data_format: str,
    out: Array | None,
) -> Array | tuple[Array, Array]:
    if ties not in ("first", "split", "all"):
        raise ValueError(f"unknown ties {ties!r}")
    image = channels_first(x, data_format)
    image = image.astype(image.dtype.newbyteorder("="))
    windows = windows_over(image.shape[2:], kernel_size, stride, padding, dilation, ceil_mode, pooling=True)
    if return_indices == "compact" and np.prod(windows.kernel) > 255:
        raise ValueError(f"compact indices need a kernel of at most 255 cells, got {windows.kernel}")
    best, place, offset = _winners(image, windows)
    y = finish(best, x.dtype, out, data_format)
    if return_indices is False:
        return y
    indices = offset if return_indices == "compact" else place
    return y, finish(indices, indices.dtype, None, data_format)


def _compact_to_plane(offset: Array, windows: Windows) -> Array:
    """Turn places within windows into places in the flattened image."""
    if offset.size and offset.max() >= np.prod(windows.kernel):
        raise ValueError("an index lies outside its window")
    place = np.zeros(offset.shape, dtype=np.int64)
    for number, tap in enumerate(windows.taps()):
        chosen = offset == number
        if (chosen & ~windows.is_real(tap)).any():
            raise ValueError("an index points into the padding")
        place[chosen] = np.broadcast_to(windows.plane_index(tap), offset.shape)[chosen]
    return place


def add_at_places(delta: Array, place: Array, cells: int) -> Array:
    """(N, C, cells) zeros, plus each delta at its place."""
    if place.size and (place.min() < 0 or place.max() >= cells):
        raise ValueError(f"an index lies outside the {cells} cells of the image")
    result = np.zeros((*delta.shape[:2], cells))
    for n, c in np.ndindex(delta.shape[:2]):
        np.add.at(result[n, c], place[n, c].ravel(), delta[n, c].ravel())
    return result


def _share_among_ties(delta: Array, image: Array, windows: Windows, ties: str) -> Array:
    """Every cell equal to its window's maximum gets the delta ("all") or an equal part of it ("split").

    In a window whose maximum is NaN, the tied cells are its NaNs.
    """
    best, _, _ = _winners(image, windows)
    padded, dpadded = windows.pad(image), np.zeros(image.shape[:2] + windows.padded_shape())
    tied = {}
    for tap in windows.taps():
        value = padded[windows.cells(tap)]
        tied[tap] = windows.is_real(tap) & ((value == best) | (np.isnan(value) & np.isnan(best)))
    part = delta / np.sum(list(tied.values()), axis=0) if ties == "split" else delta
    for tap, mask in tied.items():
        dpadded[windows.cells(tap)] += np.where(mask, part, 0.0)
    return np.asarray(dpadded[windows.interior()])


def _max_pool_backward(
    grad_output: Array,
    indices: Array | None,
    input_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool,
    x: Array | None,
    ties: str,
    data_format: str,
    out: Array | None,
) -> Array:
    shape = channels_first_shape(input_shape, data_format)
    windows = windows_over(shape[2:], kernel_size, stride, padding, dilation, ceil_mode, pooling=True)
    delta = channels_first(grad_output, data_format).astype(np.float64)
    if ties != "first":
        if ties not in ("split", "all") or x is None:
            raise ValueError(f"ties={ties!r} is unknown or needs x")
        dx = _share_among_ties(delta, channels_first(x, data_format).astype(np.float64), windows, ties)
        return finish(dx, grad_output.dtype, out, data_format)
    if indices is None:
        raise ValueError('ties="first" needs indices')
    place = channels_first(indices, data_format)
    if indices.dtype == np.uint8:
        place = _compact_to_plane(place, windows)
    dx = add_at_places(delta, place, int(np.prod(shape[2:])))
    return finish(dx.reshape(shape), grad_output.dtype, out, data_format)


def max_pool1d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool | str = False,
    *,
    ties: str = "first",
    data_format: str = "NCL",
    out: Array | None = None,
) -> Array | tuple[Array, Array]:
    """Largest cell of each window of x (N, C, L).

    With indices on request: places in L, or "compact" ones within the window.

    >>> max_pool1d(np.array([[[3.0, 1.0, 2.0, 2.0]]]), 2, return_indices=True)
    (array([[[3., 2.]]]), array([[[0, 2]]]))
    """
    return _max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, ties, data_format, out)


def max_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool | str = False,
    *,
    ties: str = "first",
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array | tuple[Array, Array]:
    """Largest cell of each window of x (N, C, H, W).

    With indices on request: places in H*W, or "compact" ones within the window.

    >>> max_pool2d(np.array([[[[1.0, 5.0], [7.0, 2.0]]]]), 2, return_indices="compact")
    (array([[[[7.]]]]), array([[[[2]]]], dtype=uint8))
    """
    return _max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, ties, data_format, out)


def max_pool3d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool | str = False,
    *,
    ties: str = "first",
    data_format: str = "NCDHW",
    out: Array | None = None,
) -> Array | tuple[Array, Array]:
    """Largest cell of each window of x (N, C, D, H, W); with indices (places in D*H*W, or "compact").

    >>> max_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2)
    array([[[[[7.]]]]])
    """
    return _max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, ties, data_format, out)


def max_pool1d_backward(
    grad_output: Array,
    indices: Array | None,
    input_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    x: Array | None = None,
    ties: str = "first",
    data_format: str = "NCL",
    out: Array | None = None,
) -> Array:
    """Gradient for x of `max_pool1d`: the delta of each window goes to its winner, or to all tied winners.

    >>> tie = np.array([[[2.0, 2.0]]])
    >>> for ties in ("first", "split", "all"):
    ...     max_pool1d_backward(np.array([[[6.0]]]), np.array([[[0]]]), (1, 1, 2), 2, x=tie, ties=ties)
    array([[[6., 0.]]])
    array([[[3., 3.]]])
    array([[[6., 6.]]])
    """
    return _max_pool_backward(
        grad_output,
        indices,
        input_shape,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        x,
        ties,
        data_format,
        out,
    )


def max_pool2d_backward(
    grad_output: Array,
    indices: Array | None,
    input_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    x: Array | None = None,
    ties: str = "first",
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Gradient for x of `max_pool2d`: the delta of each window goes to its winner, or to all tied winners."""
    return _max_pool_backward(
        grad_output,
        indices,
        input_shape,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        x,
        ties,
        data_format,
        out,
    )


def max_pool3d_backward(
    grad_output: Array,
    indices: Array | None,
    input_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    x: Array | None = None,
    ties: str = "first",
    data_format: str = "NCDHW",
    out: Array | None = None,
) -> Array:
    """Gradient for x of `max_pool3d`: the delta of each window goes to its winner, or to all tied winners."""
    return _max_pool_backward(
        grad_output,
        indices,
        input_shape,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        x,
        ties,
        data_format,
        out,
    )

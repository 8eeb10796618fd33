"""Where the windows of a pooling lie: checked numbers and output sizes; checks of indices."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.kernels import pooling_places as _places

BYTE, INT64 = np.dtype(np.uint8), np.dtype(np.int64)
MAX_CODES = 255  # the last byte stands for no place at all
_INTEGERS = tuple(np.dtype(code) for code in "bBhHiIlLqQ")


class Windows(NamedTuple):
    """One pooling: entries for each spatial axis, and the same for the kernels."""

    kernel: tuple[int, ...]
    out: tuple[int, ...]
    taps: int
    #: one window that is the whole image, of at most two axes
    whole: bool
    #: kernel, stride, dilation, pad before, pad after, each for D, H and W
    numbers: tuple[int, ...]


@_args.remembered
def windows(
    fn: str,
    sizes: tuple[int, ...],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    needs_cell: bool = False,
) -> Windows:
    """Return the windows of a pooling over `sizes`; `needs_cell`: each must contain a cell of the input."""
    dims = len(sizes)
    kernel = _args.per_axis(fn, "kernel_size", kernel_size, dims)
    steps = kernel if stride is None else _args.per_axis(fn, "stride", stride, dims)
    spread = _args.per_axis(fn, "dilation", dilation, dims)
    pads = _args.pads(fn, padding, sizes, kernel, steps, spread)
    ceil_mode = _args.flag(fn, "ceil_mode", ceil_mode)
    for (before, after), k, d in zip(pads, kernel, spread):
        span = d * (k - 1) + 1
        if max(before, after) >= span:
            raise ValueError(
                f"{fn}: padding must be smaller than the window, which spans {span} cells, got {max(before, after)}"
            )
    out = _args.output_size(fn, sizes, kernel, steps, pads, spread, ceil_mode and not isinstance(padding, str))
    if needs_cell:
        _check_cells(fn, sizes, kernel, steps, pads, spread, out)
    taps = 1
    for k in kernel:
        taps *= k
    # A single window has no stride; the kernels like 1 best.
    steps = tuple(1 if o == 1 else s for s, o in zip(steps, out))
    padded = tuple(size + before + after for size, (before, after) in zip(sizes, pads))
    seen, spread = zip(*map(_within, kernel, spread, padded))
    if taps > MAX_CODES:  # no code counts the taps
        kernel = seen
    ones, zeros = (1,) * (3 - dims), (0,) * (3 - dims)
    first, last = tuple(p[0] for p in pads), tuple(p[1] for p in pads)
    numbers = ones + kernel + ones + steps + ones + spread + zeros + first + zeros + last
    whole = dims < 3 and kernel == tuple(sizes) and spread == (1,) * dims and not any(first + last)
    return Windows(kernel, out, taps, whole, numbers)


def _within(kernel: int, dilation: int, padded: int) -> tuple[int, int]:
    """Return the taps and the dilation of a window, without what lies beyond the padded input.

    Under ceil_mode a single window may span any number of cells; the kernels need not walk over them. One tap more
    than fit keeps the window longer than its padding.
    """
    dilation = 1 if kernel == 1 else min(dilation, padded)
    return min(kernel, -(-padded // dilation) + 1), dilation


def _check_cells(
    fn: str,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    out: Sequence[int],
) -> None:
    """Raise where a window sees padding only: an input smaller than the dilation can fall between two taps."""
    for size, k, s, (before, _), d, count in zip(sizes, kernel, stride, pads, dilation, out):
        if size >= d:
            continue
        for o in range(count):
            start = o * s - before
            tap = max(0, -(start // d))
            if tap >= k or start + tap * d >= size:
                raise ValueError(
                    f"{fn}: dilation {d} leaves window {o} without a cell of the input, whose size is {size}"
                )


class Pooled(NamedTuple):
    """What shapes and hyperparameters make of a pooling."""

    order: tuple[int, ...]  # axes (N, C, *spatial) of both arrays
    sizes: tuple[int, ...]  # of the input
    out_shape: tuple[int, ...]  # in the order of data_format
    found: Windows


@_args.remembered
def pooled(
    fn: str,
    dims: int,
    shape: tuple[int, ...],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    data_format: Any,
    needs_cell: bool = False,
) -> Pooled:
    """Return the windows of a pooling of an input of `shape`, and the shape of the output."""
    order = _args.axes(fn, data_format, dims)
    _args.check_axes(fn, "x", shape, dims + 2)
    n, channels, *sizes = (shape[axis] for axis in order)
    found = windows(fn, tuple(sizes), kernel_size, stride, padding, dilation, ceil_mode, needs_cell)
    return Pooled(order, tuple(sizes), _args.in_format((n, channels, *found.out), order), found)


def number_array(fn: str, name: str, value: Any) -> Array:
    """Return `value` as an array of float32, float64 or integers of any width."""
    out = _args.array(fn, name, value)
    if out.dtype not in _args.FLOATS and out.dtype not in _INTEGERS:
        raise TypeError(f"{fn}: {name} must be float32, float64 or an integer array, got {out.dtype}")
    return out


def checked_indices(
    fn: str,
    indices: Any,
    shape: tuple[int, ...],
    order: tuple[int, ...],
    sizes: tuple[int, ...],
    found: Windows | None,
    codes_later: bool = False,
) -> Array:
    """Return the indices, int64 or compact (into the windows `found`), of the given shape; every value is checked.

    `codes_later`: the kernel that takes them checks the values of compact ones.
    """
    if indices is None:
        raise TypeError(f"{fn}: indices must be a NumPy array, got None")
    found_at = _args.array(fn, "indices", indices)
    if found_at.dtype != INT64 and found_at.dtype != BYTE:
        raise TypeError(f"{fn}: indices must be int64, or uint8 (compact), got {found_at.dtype}")
    _args.check_shape(fn, "indices", found_at, shape)
    if not found_at.size:
        return found_at
    if found_at.dtype == BYTE and found is not None:
        if found.taps > MAX_CODES:
            raise ValueError(f"{fn}: compact indices need a kernel of at most {MAX_CODES} cells, got {found.taps}")
        cells = (1,) * (3 - len(sizes)) + sizes
        if not codes_later and not _places.codes_inside(found_at, order, found.numbers, cells):
            check_codes(fn, found_at, order, sizes, found)
        return found_at
    count = math.prod(sizes)
    if not _places.places_inside(found_at, order, count):
        check_places(fn, found_at, count)
    return found_at


def check_codes(fn: str, codes: Array, order: tuple[int, ...], sizes: tuple[int, ...], found: Windows) -> None:
    """Raise the ValueError for the first code that names no cell, when the kernel has seen that there is one."""
    bad = codes >= found.taps
    rule = f"a compact index must be below {found.taps}, the cells of a window"
    if not bad.any():
        rule = "a compact index must not point into the padding"
        rest = codes.astype(np.int64)
        dims = len(sizes)
        for axis in reversed(range(dims)):
            at = 3 - dims + axis
            k, s, d, p = (found.numbers[3 * row + at] for row in range(4))
            where = np.arange(found.out[axis]) * s - p
            where = where.reshape([-1 if a == order[2 + axis] else 1 for a in range(dims + 2)])
            cell = where + rest % k * d
            bad = bad | (cell < 0) | (cell >= sizes[axis])
            rest = rest // k
    position = tuple(int(i) for i in np.argwhere(bad)[0])
    raise ValueError(f"{fn}: {rule}, got {codes[position]} at {position}")


def check_places(fn: str, places: Array, cells: int) -> None:
    """Raise the ValueError for the first index outside the image, when the kernel has seen that there is one."""
    position = tuple(int(i) for i in np.argwhere((places < 0) | (places >= cells))[0])
    raise ValueError(
        f"{fn}: indices must be >= 0 and < {cells}, the cells of an image, got {places[position]} at {position}"
    )

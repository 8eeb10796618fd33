"""What every twin needs: the order of the axes, where windows lie, rounding at the end.

A convolution and a pooling look at the same thing: windows that slide over a padded image. Cell number `tap`
of every window, taken together, is a strided slice of the padded image::

    padded position = window number * stride + tap * dilation          (each spatial axis on its own)

So "for every window, for every cell" needs a Python loop over the cells of one window only; NumPy does all
windows at once. Every spatial function of this package is such a loop over `Windows.taps()`.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Size = int | Sequence[int]
Padding = int | str | Sequence[int] | Sequence[Sequence[int]]

CHANNELS_FIRST = {3: "NCL", 4: "NCHW", 5: "NCDHW"}


def channels_first(x: Array, data_format: str) -> Array:
    """View of `x` with its axes in the order batch, channels, space."""
    return np.transpose(x, [data_format.index(axis) for axis in CHANNELS_FIRST[len(data_format)]])


def channels_first_shape(shape: Sequence[int], data_format: str) -> tuple[int, ...]:
    """`shape` in the order batch, channels, space."""
    return tuple(int(shape[data_format.index(axis)]) for axis in CHANNELS_FIRST[len(data_format)])


def finish(values: Array, dtype: np.dtype[Any], out: Array | None = None, data_format: str | None = None) -> Array:
    """Put the float64 `values` in the order of `data_format` and round them to `dtype`, once, at the end."""
    if data_format is not None:
        order = CHANNELS_FIRST[len(data_format)]
        values = np.transpose(values, [order.index(axis) for axis in data_format])
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.array(values, dtype=dtype.newbyteorder("="), order="C")
    if out is None:
        return result
    out[...] = result
    return out


def per_axis(value: Size, axes: int) -> tuple[int, ...]:
    """One number for each spatial axis: 3 becomes (3, 3)."""
    values = (value,) * axes if isinstance(value, (int, np.integer)) else tuple(value)
    if len(values) != axes:
        raise ValueError(f"expected one number or {axes}, got {value}")
    return tuple(int(v) for v in values)


def pads_per_axis(
    padding: Padding,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[tuple[int, int]]:
    """Cells added (before, after) each spatial axis."""
    if isinstance(padding, str):
        if padding == "valid":
            return [(0, 0)] * len(sizes)
        if padding not in ("same", "same_lower"):
            raise ValueError(f"unknown padding {padding!r}")
        return [same_pads(padding, *axis) for axis in zip(sizes, kernel, stride, dilation, strict=True)]
    if isinstance(padding, (int, np.integer)):
        return [(int(padding), int(padding))] * len(sizes)
    if len(padding) != len(sizes):
        raise ValueError(f"padding must have {len(sizes)} entries, got {padding}")
    return [(int(p), int(p)) if isinstance(p, (int, np.integer)) else (int(p[0]), int(p[1])) for p in padding]


def same_pads(name: str, size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Pad for ceil(size / stride) windows; an odd cell goes to the end ("same") or the start."""
    windows = -(-size // stride)
    total = max((windows - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    less, more = total // 2, total - total // 2
    return (less, more) if name == "same" else (more, less)


def window_count(size: int, span: int, stride: int, pads: tuple[int, int], ceil_mode: bool) -> int:
    """Count the windows of `span` cells that fit; `ceil_mode` allows a last one that hangs over the end.

    The overhanging window must start inside the image or its left padding; one that would start in the right
    padding is dropped. It may be the only one: a window that is too large by less than a stride.
    """
    room = size + pads[0] + pads[1] - span
    count = room // stride + 1
    if ceil_mode and room % stride != 0 and count * stride < size + pads[0]:
        count += 1
    if size < 1 or count < 1:
        raise ValueError(f"a window of {span} cells does not fit into {size} cells with padding {pads}")
    return count


def at_tap(tap: tuple[int, ...]) -> tuple[Any, ...]:
    """Index of one tap of a weight array, whose last axes are the kernel's."""
    return (..., *tap)


class Windows(NamedTuple):
    """Where the windows of one convolution or pooling lie; one entry for each spatial axis."""

    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: list[tuple[int, int]]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """Number of windows over one image."""
        return prod(self.counts)

    def taps(self) -> Iterator[tuple[int, ...]]:
        """Cells of one window in scan order."""
        return product(*(range(k) for k in self.kernel))

    def cells(self, tap: tuple[int, ...]) -> tuple[Any, ...]:
        """Index, into a padded (N, C, *space) array, of cell `tap` of every window."""
        along = (
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, self.dilation, self.counts, self.stride, strict=True)
        )
        return (slice(None), slice(None), *along)

    def padded_shape(self) -> tuple[int, ...]:
        """Spatial shape with the padding and, under ceil_mode, what the last windows overhang."""
        return tuple(
            max(size + pad[0] + pad[1], (n - 1) * s + d * (k - 1) + 1)
            for size, pad, n, s, d, k in zip(
                self.sizes, self.pads, self.counts, self.stride, self.dilation, self.kernel, strict=True
            )
        )

    def interior(self) -> tuple[Any, ...]:
        """Index of the real cells within a padded array."""
        along = (slice(pad[0], pad[0] + size) for pad, size in zip(self.pads, self.sizes, strict=True))
        return (slice(None), slice(None), *along)

    def pad(self, x: Array) -> Array:
        """`x` (N, C, *space) surrounded by zeros."""
        padded = np.zeros(x.shape[:2] + self.padded_shape(), dtype=x.dtype)
        padded[self.interior()] = x
        return padded

    def is_real(self, tap: tuple[int, ...], with_padding: bool = False) -> Array:
        """For every window: whether its cell `tap` is a cell of the image (or of its declared padding)."""
        inside = np.ones(self.counts, dtype=bool)
        for axis, position in enumerate(self.positions(tap)):
            before, after = self.pads[axis] if with_padding else (0, 0)
            inside &= (position >= -before) & (position < self.sizes[axis] + after)
        return inside

    def plane_index(self, tap: tuple[int, ...]) -> Array:
        """Place in the flattened image of cell `tap` of every window; nonsense where that is padding."""
        index = np.zeros(self.counts, dtype=np.int64)
        for axis, position in enumerate(self.positions(tap)):
            index = index * self.sizes[axis] + position
        return index

    def positions(self, tap: tuple[int, ...]) -> list[Array]:
        """Coordinate of cell `tap` of every window, axis by axis, shaped to broadcast over the windows."""
        result = []
        for axis, count in enumerate(self.counts):
            along = np.arange(count) * self.stride[axis] + tap[axis] * self.dilation[axis] - self.pads[axis][0]
            result.append(along.reshape([-1 if other == axis else 1 for other in range(len(self.counts))]))
        return result


def windows_over(
    sizes: Sequence[int],
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool = False,
    pooling: bool = False,
) -> Windows:
    """Lay windows over an image of `sizes`; ValueError where the numbers make no sense."""
    axes = len(sizes)
    kernel = per_axis(kernel_size, axes)
    steps = kernel if stride is None else per_axis(stride, axes)
    spread = per_axis(dilation, axes)
    if min(kernel + steps + spread) < 1:
        raise ValueError(f"kernel {kernel}, stride {steps} and dilation {spread} must be >= 1")
    pads = pads_per_axis(padding, sizes, kernel, steps, spread)
    spans = [d * (k - 1) + 1 for d, k in zip(spread, kernel, strict=True)]
    if min(min(pad) for pad in pads) < 0:
        raise ValueError(f"padding must be >= 0, got {padding}")
    if pooling and any(max(pad) >= span for pad, span in zip(pads, spans, strict=True)):
        raise ValueError(f"pooling padding {pads} must be smaller than the spans {spans} of the window")
    overhang = ceil_mode and not isinstance(padding, str)
    counts = tuple(window_count(*axis, overhang) for axis in zip(sizes, spans, steps, pads, strict=True))
    return Windows(tuple(sizes), kernel, steps, spread, pads, counts)

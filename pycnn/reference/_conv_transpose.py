"""Transposed convolution: what a convolution does to its delta, used as a forward pass.

Input cell i writes a whole window of the output, each cell times its weight; windows that overlap add up::

    full y[n, f, i * stride + k * dilation] += x[n, c, i] * weight[c, f, k]   for all i, k, and c of f's group

`output_padding` appends cells to the full output, then `padding` crops it. Backward reads where forward
wrote, so its gradient for x is an ordinary convolution of the delta.
"""

from collections.abc import Sequence

import numpy as np

from ._common import (
    Array,
    Padding,
    Size,
    Windows,
    at_tap,
    channels_first,
    finish,
    pads_per_axis,
    per_axis,
)
from ._convolution import NEEDS, Gradients, Outs, round_gradients, split_groups


def _cropped_pads(name: str, spans: list[int], stride: tuple[int, ...], extra: tuple[int, ...]) -> Padding:
    """Cells to crop: none for "valid", for "same" all beyond input * stride (an odd one at the end)."""
    if name == "valid":
        return 0
    if name not in ("same", "same_lower"):
        raise ValueError(f"unknown padding {name!r}")
    totals = [max(span + e - s, 0) for span, s, e in zip(spans, stride, extra, strict=True)]
    halves = [(total // 2, total - total // 2) for total in totals]
    return halves if name == "same" else [(more, less) for less, more in halves]


def _windows_written(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: Size,
    padding: Padding,
    output_padding: Size,
    dilation: Size,
) -> Windows:
    """Windows of the output, one for each cell of an input of `sizes`."""
    axes = len(sizes)
    steps, spread, extra = per_axis(stride, axes), per_axis(dilation, axes), per_axis(output_padding, axes)
    if min(kernel + steps + spread) < 1 or min(extra) < 0:
        raise ValueError("kernel, stride and dilation must be >= 1, output_padding >= 0")
    if any(e >= max(s, d) for e, s, d in zip(extra, steps, spread, strict=True)):
        raise ValueError(f"output_padding {extra} must be smaller than the stride or the dilation")
    spans = [d * (k - 1) + 1 for d, k in zip(spread, kernel, strict=True)]
    crop = _cropped_pads(padding, spans, steps, extra) if isinstance(padding, str) else padding
    pads = pads_per_axis(crop, sizes, kernel, steps, spread)
    output = tuple(
        (size - 1) * s + span + e - before - after
        for size, s, span, e, (before, after) in zip(sizes, steps, spans, extra, pads, strict=True)
    )
    if min(min(pad) for pad in pads) < 0 or min(sizes + output) < 1:
        raise ValueError(f"an input of {sizes} with padding {padding} gives an output of {output}")
    return Windows(output, kernel, steps, spread, pads, sizes)


def _kernel_groups(weight: Array, channels: int, groups: int) -> Array:
    """(C, F/groups, *kernel) -> (groups, C/groups, F/groups, *kernel), in float64."""
    if groups < 1 or channels % groups or weight.shape[0] != channels:
        raise ValueError(f"{channels} channels, weight {weight.shape} and {groups} groups do not agree")
    return np.asarray(weight, dtype=np.float64).reshape((groups, channels // groups, *weight.shape[1:]))


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Spread x (N, C, H, W) with weight (C, F/groups, KH, KW): y (N, F, OH, OW).

    >>> conv_transpose2d(np.array([[[[1.0, 10.0]]]]), np.array([[[[1.0, 2.0, 3.0]]]]))
    array([[[[ 1., 12., 23., 30.]]]])
    """
    image = channels_first(x, data_format).astype(np.float64)
    windows = _windows_written(image.shape[2:], weight.shape[2:], stride, padding, output_padding, dilation)
    kernel = _kernel_groups(weight, image.shape[1], groups)
    cells = split_groups(image, groups)
    filters = groups * weight.shape[1]
    full = np.zeros((image.shape[0], filters, *windows.padded_shape()))
    for tap in windows.taps():
        sent = np.einsum("ngcp,gcf->ngfp", cells, kernel[at_tap(tap)])
        full[windows.cells(tap)] += sent.reshape((image.shape[0], filters, *windows.counts))
    y = full[windows.interior()]
    if bias is not None:
        y = y + np.asarray(bias, dtype=np.float64).reshape(-1, 1, 1)
    return finish(y, x.dtype, out, data_format)


def conv_transpose2d_backward(
    grad_output: Array,
    x: Array,
    weight: Array,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    data_format: str = "NCHW",
    needs: Sequence[str] = NEEDS,
    out: Outs = None,
) -> Gradients:
    """Gradients (dx, dweight, dbias) of `conv_transpose2d`; None where not in `needs`.

    >>> dx, _, _ = conv_transpose2d_backward(
    ...     np.array([[[[1.0, 0.0, 0.0, 1.0]]]]), np.ones((1, 1, 1, 2)), np.array([[[[1.0, 2.0, 3.0]]]]))
    >>> dx
    array([[[[1., 3.]]]])
    """
    image = channels_first(x, data_format).astype(np.float64)
    delta = channels_first(grad_output, data_format).astype(np.float64)
    windows = _windows_written(image.shape[2:], weight.shape[2:], stride, padding, output_padding, dilation)
    kernel = _kernel_groups(weight, image.shape[1], groups)
    cells = split_groups(image, groups)
    full = windows.pad(delta)
    dcells, dkernel = np.zeros_like(cells), np.zeros_like(kernel)
    for tap in windows.taps():
        arrived = split_groups(full[windows.cells(tap)], groups)
        dcells += np.einsum("ngfp,gcf->ngcp", arrived, kernel[at_tap(tap)])
        dkernel[at_tap(tap)] = np.einsum("ngfp,ngcp->gcf", arrived, cells)
    dx, dweight = dcells.reshape(image.shape), dkernel.reshape(weight.shape)
    return round_gradients(dx, dweight, delta, x, data_format, needs, out)

"""Convolution (cross-correlation, the kernel is not turned) and its gradients in 1, 2 and 3 dimensions.

For window o and filter f of group g::

    y[n, f, o] = bias[f] + sum over the channels c of g and the taps k of
                     weight[f, c, k] * padded x[n, c, o * stride + k * dilation]

Each product sends the arriving delta two ways: times the weight to the cell it read (dx), times the cell to
the weight it used (dweight). A cell that several windows read adds up what they send. Padding is made of
zeros that take part in the sum.
"""

from collections.abc import Sequence

import numpy as np

from ._common import Array, Padding, Size, at_tap, channels_first, finish, windows_over

NEEDS = ("input", "weight", "bias")
Gradients = tuple[Array | None, Array | None, Array | None]
Outs = Sequence[Array | None] | None


def split_groups(values: Array, groups: int) -> Array:
    """(N, channels, *space) -> (N, groups, channels per group, positions)."""
    n, channels = values.shape[:2]
    positions = int(np.prod(values.shape[2:]))
    if groups < 1 or channels % groups:
        raise ValueError(f"{channels} channels do not divide into {groups} groups")
    return values.reshape(n, groups, channels // groups, positions)


def _weight_groups(weight: Array, groups: int) -> Array:
    """(F, C/groups, *kernel) -> (groups, F/groups, C/groups, *kernel), in float64."""
    if groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"{weight.shape[0]} filters do not divide into {groups} groups")
    shape = (groups, weight.shape[0] // groups, *weight.shape[1:])
    return np.asarray(weight, dtype=np.float64).reshape(shape)


def _conv(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: int,
    data_format: str,
    out: Array | None,
) -> Array:
    image = channels_first(x, data_format).astype(np.float64)
    windows = windows_over(image.shape[2:], weight.shape[2:], stride, padding, dilation)
    padded = windows.pad(image)
    kernel = _weight_groups(weight, groups)
    if image.shape[1] != weight.shape[1] * groups:
        raise ValueError(f"{image.shape[1]} channels, but weight {weight.shape} and {groups} groups")
    y = np.zeros((image.shape[0], groups, weight.shape[0] // groups, windows.total))
    for tap in windows.taps():
        cells = split_groups(padded[windows.cells(tap)], groups)
        y += np.einsum("ngcp,gfc->ngfp", cells, kernel[at_tap(tap)])
    y = y.reshape((image.shape[0], weight.shape[0], *windows.counts))
    if bias is not None:
        y += np.asarray(bias, dtype=np.float64).reshape((-1,) + (1,) * len(windows.counts))
    return finish(y, x.dtype, out, data_format)


def _conv_backward(
    grad_output: Array,
    x: Array,
    weight: Array,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: int,
    data_format: str,
    needs: Sequence[str],
    out: Outs,
) -> Gradients:
    image = channels_first(x, data_format).astype(np.float64)
    delta = channels_first(grad_output, data_format).astype(np.float64)
    windows = windows_over(image.shape[2:], weight.shape[2:], stride, padding, dilation)
    padded = windows.pad(image)
    dpadded = np.zeros_like(padded)
    kernel = _weight_groups(weight, groups)
    dkernel = np.zeros_like(kernel)
    dy = split_groups(delta, groups)
    for tap in windows.taps():
        at = windows.cells(tap)
        cells = padded[at]
        dkernel[at_tap(tap)] = np.einsum("ngfp,ngcp->gfc", dy, split_groups(cells, groups))
        dpadded[at] += np.einsum("ngfp,gfc->ngcp", dy, kernel[at_tap(tap)]).reshape(cells.shape)
    dx, dweight = dpadded[windows.interior()], dkernel.reshape(weight.shape)
    return round_gradients(dx, dweight, delta, x, data_format, needs, out)


def round_gradients(
    dx: Array, dweight: Array, delta: Array, x: Array, data_format: str, needs: Sequence[str], out: Outs
) -> Gradients:
    """Round the gradients that are needed; the bias was added at every position, so its gradient is a sum."""
    dbias = delta.sum(axis=(0, *range(2, delta.ndim)))
    out_dx, out_dweight, out_dbias = (None, None, None) if out is None else out
    return (
        finish(dx, x.dtype, out_dx, data_format) if "input" in needs else None,
        finish(dweight, x.dtype, out_dweight) if "weight" in needs else None,
        finish(dbias, x.dtype, out_dbias) if "bias" in needs else None,
    )


def conv1d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    data_format: str = "NCL",
    out: Array | None = None,
) -> Array:
    """Correlate x (N, C, L) with weight (F, C/groups, K): y (N, F, OL).

    >>> signal = np.array([[[1.0, 2.0, 4.0, 8.0]]])
    >>> conv1d(signal, np.array([[[-1.0, 1.0]]]))
    array([[[1., 2., 4.]]])
    """
    return _conv(x, weight, bias, stride, padding, dilation, groups, data_format, out)


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Correlate x (N, C, H, W) with weight (F, C/groups, KH, KW): y (N, F, OH, OW).

    >>> image = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(image, np.ones((1, 1, 2, 2)))
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    return _conv(x, weight, bias, stride, padding, dilation, groups, data_format, out)


def conv3d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    data_format: str = "NCDHW",
    out: Array | None = None,
) -> Array:
    """Correlate x (N, C, D, H, W) with weight (F, C/groups, KD, KH, KW): y (N, F, OD, OH, OW).

    >>> conv3d(np.ones((1, 2, 2, 2, 2)), np.ones((1, 2, 2, 2, 2)))
    array([[[[[16.]]]]])
    """
    return _conv(x, weight, bias, stride, padding, dilation, groups, data_format, out)


def conv1d_backward(
    grad_output: Array,
    x: Array,
    weight: Array,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    data_format: str = "NCL",
    needs: Sequence[str] = NEEDS,
    out: Outs = None,
) -> Gradients:
    """Gradients (dx, dweight, dbias) of `conv1d`; None where not in `needs`."""
    return _conv_backward(grad_output, x, weight, stride, padding, dilation, groups, data_format, needs, out)


def conv2d_backward(
    grad_output: Array,
    x: Array,
    weight: Array,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    data_format: str = "NCHW",
    needs: Sequence[str] = NEEDS,
    out: Outs = None,
) -> Gradients:
    """Gradients (dx, dweight, dbias) of `conv2d`; None where not in `needs`.

    A corner cell is read by one window, the cell in the middle by all four:

    >>> dy, x, w = np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    >>> dx, dweight, dbias = conv2d_backward(dy, x, w)
    >>> dx
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    return _conv_backward(grad_output, x, weight, stride, padding, dilation, groups, data_format, needs, out)


def conv3d_backward(
    grad_output: Array,
    x: Array,
    weight: Array,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    data_format: str = "NCDHW",
    needs: Sequence[str] = NEEDS,
    out: Outs = None,
) -> Gradients:
    """Gradients (dx, dweight, dbias) of `conv3d`; None where not in `needs`."""
    return _conv_backward(grad_output, x, weight, stride, padding, dilation, groups, data_format, needs, out)

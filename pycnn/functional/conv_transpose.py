"""Transposed convolution: the convolution's gradient for its input, as a layer."""

from typing import Any, NamedTuple

from pycnn.functional import _args
from pycnn.functional._args import NEEDS, Array
from pycnn.functional._conv import three
from pycnn.functional._layout import c_order
from pycnn.kernels import conv as _kernels
from pycnn.kernels import conv_weight as _weight_kernels


class _Geometry(NamedTuple):
    """What shapes and hyperparameters make of a transposed convolution."""

    order: tuple[int, ...]  # axes (N, C, H, W) of x
    out_shape: tuple[int, ...]  # in the order of data_format
    filters: int
    numbers: tuple[int, ...]  # stride, pad, dilation, groups, as the kernels take them


def _pads(
    fn: str, padding: Any, kernel: list[int], stride: tuple[int, ...], dilation: tuple[int, ...], extra: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """Return the (before, after) that the result loses; the named ones make it stride times the input (ONNX)."""
    if padding not in ("same", "same_lower"):
        ones = (1,) * len(kernel)
        return _args.pads(fn, padding, ones, ones, ones, ones)
    pad = []
    for k, s, d, e in zip(kernel, stride, dilation, extra):
        total = max(d * (k - 1) + 1 + e - s, 0)
        small, large = total // 2, total - total // 2
        pad.append((small, large) if padding == "same" else (large, small))
    return tuple(pad)


@_args.remembered
def _geometry(
    fn: str,
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
    data_format: Any,
) -> _Geometry:
    order = _args.axes(fn, data_format, 2)
    _args.check_axes(fn, "x", x_shape, 4)
    _args.check_axes(fn, "weight", weight_shape, 4)
    stride = _args.per_axis(fn, "stride", stride, 2)
    dilation = _args.per_axis(fn, "dilation", dilation, 2)
    extra = _args.per_axis(fn, "output_padding", output_padding, 2, low=0)
    groups = _args.index(fn, "groups", groups, 1)
    n, channels, *sizes = (x_shape[a] for a in order)
    rows, per_group, *kernel = weight_shape
    if min(kernel) < 1 or min(sizes) < 1:
        raise ValueError(f"{fn}: every spatial size must be >= 1, got x {x_shape}, weight {weight_shape}")
    if rows % groups:
        raise ValueError(f"{fn}: groups must divide axis 0 of weight, got groups {groups} for weight {weight_shape}")
    if rows != channels:
        raise ValueError(f"{fn}: x must have {rows} channels (weight {weight_shape}), got {channels} in {x_shape}")
    for e, s, d in zip(extra, stride, dilation):
        if e >= max(s, d):
            raise ValueError(f"{fn}: output_padding must be smaller than stride or dilation, got {e}")
    pad = _pads(fn, padding, kernel, stride, dilation, extra)
    out = []
    for size, k, s, d, e, (before, after) in zip(sizes, kernel, stride, dilation, extra, pad):
        out.append((size - 1) * s + d * (k - 1) + 1 + e - before - after)
        if out[-1] < 1:
            raise ValueError(f"{fn}: padding {padding!r} leaves nothing of a result of {out[-1] + before + after}")
    first = tuple(p[0] for p in pad)
    numbers = (*three(stride, 1), *three(first, 0), *three(dilation, 1), groups)
    filters = per_group * groups
    return _Geometry(order, _args.in_format((n, filters, *out), order), filters, numbers)


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Spread each cell of x over a window of the result: the transpose of the matrix of `conv2d`.

    ``y[n, f, i*s + k*d - p, j*s + l*d - p] += x[n, c, i, j] * weight[c, f, k, l]``, plus the bias (Dumoulin and Visin,
    arXiv:1603.07285, chapter 4).

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        float32 or float64; in the order of `data_format`.
    weight : ndarray, shape (C, F/groups, KH, KW)
        The dtype of `x`.
    bias : ndarray, shape (F,), optional
    stride, dilation : int or pair of int
    padding : int, pair, ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        What is cut off the result. "same" and "same_lower" make it stride * H by stride * W, as ONNX's SAME_UPPER and
        SAME_LOWER.
    output_padding : int or pair of int
        Cells added at the end of the result; smaller than stride or dilation.
    groups : int
    data_format : {"NCHW", "NHWC", "HWCN"}
        Order of the axes of `x` and of the result.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray, shape (N, F, OH, OW)
        OH = (H - 1) * stride - top - bottom + dilation * (KH - 1) + output_padding + 1.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> x = np.array([[[[1.0, 2.0]]]])
    >>> F.conv_transpose2d(x, np.ones((1, 1, 1, 2)), stride=2)
    array([[[[1., 1., 2., 2.]]]])
    """
    fn = "conv_transpose2d"
    x, weight = _args.input_and_weight(fn, x, weight)
    order, shape, filters, numbers = _geometry(
        fn, x.shape, weight.shape, stride, padding, output_padding, groups, dilation, data_format
    )
    b = _args.vector(fn, "bias", bias, x.dtype, filters)
    y, target = _args.output(fn, out, shape, x.dtype, (x, weight) if b is None else (x, weight, b))
    if y.size:
        _kernels.conv_backward_input(x, c_order(weight), b, y, order, numbers)
    return _args.finish(y, target)


def conv_transpose2d_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    data_format: str = "NCHW",
    needs: tuple[str, ...] = NEEDS,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> tuple[Array | None, Array | None, Array | None]:
    """Return the gradients of `conv_transpose2d`: dx is the convolution of the deltas with the weight.

    Parameters
    ----------
    grad_output : ndarray, shape (N, F, OH, OW)
    x : ndarray, shape (N, C, H, W)
    weight : ndarray, shape (C, F/groups, KH, KW)
    stride, padding, output_padding, groups, dilation, data_format
        Those of the forward call.
    needs, out
        As in `conv2d_backward`.

    Returns
    -------
    (dx, dweight, dbias) : tuple of ndarray
        None in the place of what `needs` leaves out.

    Raises
    ------
    TypeError, ValueError
        As `conv2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> x, w = np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 1, 2))
    >>> dx, dw, db = F.conv_transpose2d_backward(np.array([[[[1.0, 2.0, 3.0, 4.0]]]]), x, w, stride=(1, 2))
    >>> dx
    array([[[[3., 7.]]]])
    """
    fn = "conv_transpose2d_backward"
    x, weight = _args.input_and_weight(fn, x, weight)
    order, shape, filters, numbers = _geometry(
        fn, x.shape, weight.shape, stride, padding, output_padding, groups, dilation, data_format
    )
    dy = _args.float_array(fn, "grad_output", grad_output, x.dtype)
    _args.check_shape(fn, "grad_output", dy, shape)
    made = _args.gradient_outputs(
        fn, out, needs, (x.shape, weight.shape, (filters,)), x.dtype, (dy, x, weight), (False, True, True)
    )
    (dx, _), (dw, _), (db, _) = made
    if dx is not None and dx.size:
        _kernels.conv_forward(dy, c_order(weight), None, dx, order, numbers)
    if dw is not None:
        _weight_kernels.conv_backward_weight(x, dy, dw, order, numbers)
    if db is not None:
        _weight_kernels.channel_sums(dy, db, order)
    return _args.finish_gradients(made)

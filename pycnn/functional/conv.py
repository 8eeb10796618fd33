"""Convolution in one, two and three dimensions, its gradients, and transposed convolution."""

from typing import Any, NamedTuple

from pycnn.functional import _args
from pycnn.functional._args import NEEDS, Array
from pycnn.functional._conv import three
from pycnn.functional._layout import c_order
from pycnn.kernels import conv as _kernels
from pycnn.kernels import conv_weight as _weight_kernels

Grads = tuple[Array | None, Array | None, Array | None]


class _Geometry(NamedTuple):
    """What shapes and hyperparameters make of a convolution; stride, pad and dilation are for three spatial axes."""

    order: tuple[int, ...]  # axes (N, C, *spatial) of x
    out_shape: tuple[int, ...]  # in the order of data_format
    numbers: tuple[int, ...]  # stride, pad, dilation, groups, as the kernels take them


@_args.remembered
def _geometry(
    fn: str,
    dims: int,
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    data_format: Any,
) -> _Geometry:
    order = _args.axes(fn, data_format, dims)
    _args.check_axes(fn, "x", x_shape, dims + 2)
    _args.check_axes(fn, "weight", weight_shape, dims + 2)
    stride = _args.per_axis(fn, "stride", stride, dims)
    dilation = _args.per_axis(fn, "dilation", dilation, dims)
    groups = _args.index(fn, "groups", groups, 1)
    n, channels, *sizes = (x_shape[a] for a in order)
    filters, per_group, *kernel = weight_shape
    if min(kernel) < 1:
        raise ValueError(f"{fn}: every kernel size of weight must be >= 1, got shape {weight_shape}")
    if channels % groups or filters % groups:
        raise ValueError(
            f"{fn}: groups must divide the channels of x and the filters of weight, got groups {groups}"
            f" for x {x_shape} and weight {weight_shape}"
        )
    if per_group * groups != channels:
        raise ValueError(
            f"{fn}: x must have {per_group * groups} channels (weight {weight_shape}, groups {groups}),"
            f" got {channels} in {x_shape}"
        )
    pad = _args.pads(fn, padding, sizes, kernel, stride, dilation)
    out = _args.output_size(fn, sizes, kernel, stride, pad, dilation)
    before = tuple(p[0] for p in pad)
    numbers = (*three(stride, 1), *three(before, 0), *three(dilation, 1), groups)
    return _Geometry(order, _args.in_format((n, filters, *out), order), numbers)


def _forward(
    fn: str,
    dims: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    data_format: Any,
    out: Array | None,
) -> Array:
    x, weight = _args.input_and_weight(fn, x, weight)
    order, shape, numbers = _geometry(fn, dims, x.shape, weight.shape, stride, padding, dilation, groups, data_format)
    b = _args.vector(fn, "bias", bias, x.dtype, weight.shape[0])
    y, target = _args.output(fn, out, shape, x.dtype, (x, weight) if b is None else (x, weight, b))
    if y.size:
        _kernels.conv_forward(x, c_order(weight), b, y, order, numbers)
    return _args.finish(y, target)


def _backward(
    fn: str,
    dims: int,
    grad_output: Any,
    x: Any,
    weight: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    data_format: Any,
    needs: Any,
    out: Any,
) -> Grads:
    x, weight = _args.input_and_weight(fn, x, weight)
    order, shape, numbers = _geometry(fn, dims, x.shape, weight.shape, stride, padding, dilation, groups, data_format)
    dy = _args.float_array(fn, "grad_output", grad_output, x.dtype)
    _args.check_shape(fn, "grad_output", dy, shape)
    shapes = (x.shape, weight.shape, weight.shape[:1])
    made = _args.gradient_outputs(fn, out, needs, shapes, x.dtype, (dy, x, weight), (False, True, True))
    (dx, _), (dw, _), (db, _) = made
    if dx is not None and dx.size:
        _kernels.conv_backward_input(dy, c_order(weight), None, dx, order, numbers)
    if dw is not None:
        _weight_kernels.conv_backward_weight(dy, x, dw, order, numbers)
    if db is not None:
        _weight_kernels.channel_sums(dy, db, order)
    return _args.finish_gradients(made)


def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    data_format: str = "NCL",
    out: Array | None = None,
) -> Array:
    """Correlate a batch of signals with a set of filters: `conv2d` over one spatial axis.

    Parameters
    ----------
    x : ndarray, shape (N, C, L)
        float32 or float64; in the order of `data_format`.
    weight : ndarray, shape (F, C/groups, K)
        The dtype of `x`.
    bias, stride, padding, dilation, groups, out
        As in `conv2d`, for one axis.
    data_format : {"NCL", "NLC", "LCN"}
        Order of the axes of `x` and of the result.

    Returns
    -------
    ndarray, shape (N, F, OL)

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.conv1d(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[-1.0, 1.0]]]))
    array([[[1., 2.]]])
    """
    return _forward("conv1d", 1, x, weight, bias, stride, padding, dilation, groups, data_format, out)


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Correlate a batch of images with a set of filters.

    ``y[n, f, i, j] = bias[f] + sum(x[n, c, i*s + k*d - p, j*s + l*d - p] * weight[f, c, k, l])`` over the channels c
    of the filter's group and the kernel's cells k, l, with s the stride, d the dilation and p the padding (Dumoulin and
    Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285).

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
        float32 or float64, any strides; in the order of `data_format`.
    weight : ndarray, shape (F, C/groups, KH, KW)
        The dtype of `x`; this order for every `data_format`.
    bias : ndarray, shape (F,), optional
    stride, dilation : int or pair of int
        At least 1.
    padding : int, pair, ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        Zeros around the input. "same" gives ceil(H / stride) rows, an odd zero at the end (ONNX's SAME_UPPER), also
        with a stride; "same_lower" puts it at the beginning.
    groups : int
        Divides C and F; filters of a group see the channels of that group.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Order of the axes of `x` and of the result.
    out : ndarray, optional
        Where to write the result: its shape and dtype, any strides.

    Returns
    -------
    ndarray, shape (N, F, OH, OW), dtype of `x`
        OH = floor((H + top + bottom - dilation * (KH - 1) - 1) / stride) + 1.

    Raises
    ------
    TypeError
        If an array is not float32 or float64, dtypes differ, or a hyperparameter is not an integer.
    ValueError
        If shapes or hyperparameters do not fit together.
    MemoryError
        If there is no memory for the result.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> F.conv2d(x, np.ones((1, 1, 2, 2)))
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    return _forward("conv2d", 2, x, weight, bias, stride, padding, dilation, groups, data_format, out)


def conv3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    data_format: str = "NCDHW",
    out: Array | None = None,
) -> Array:
    """Correlate a batch of volumes with a set of filters: `conv2d` over three spatial axes.

    Parameters
    ----------
    x : ndarray, shape (N, C, D, H, W)
        float32 or float64; in the order of `data_format`.
    weight : ndarray, shape (F, C/groups, KD, KH, KW)
        The dtype of `x`.
    bias, stride, padding, dilation, groups, out
        As in `conv2d`, for three axes.
    data_format : {"NCDHW", "NDHWC", "DHWCN"}
        Order of the axes of `x` and of the result.

    Returns
    -------
    ndarray, shape (N, F, OD, OH, OW)

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.conv3d(np.ones((1, 2, 3, 3, 3)), np.ones((1, 2, 3, 3, 3))).item()
    54.0
    """
    return _forward("conv3d", 3, x, weight, bias, stride, padding, dilation, groups, data_format, out)


def conv1d_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    data_format: str = "NCL",
    needs: tuple[str, ...] = NEEDS,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> Grads:
    """Return the gradients of `conv1d` for input, weight and bias: `conv2d_backward` over one axis.

    Parameters
    ----------
    grad_output : ndarray, shape (N, F, OL)
    x : ndarray, shape (N, C, L)
    weight : ndarray, shape (F, C/groups, K)
    stride, padding, dilation, groups, data_format
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
    >>> F.conv1d_backward(np.ones((1, 1, 2)), np.array([[[1.0, 2.0, 4.0]]]), np.array([[[-1.0, 1.0]]]))[0]
    array([[[-1.,  0.,  1.]]])
    """
    return _backward(
        "conv1d_backward", 1, grad_output, x, weight, stride, padding, dilation, groups, data_format, needs, out
    )


def conv2d_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    data_format: str = "NCHW",
    needs: tuple[str, ...] = NEEDS,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> Grads:
    """Return the gradients of `conv2d` for input, weight and bias.

    dx is the correlation of the padded deltas with the kernel turned by 180 degrees, dweight the correlation of the
    input with the deltas, dbias the sum of the deltas (LeCun et al., "Gradient-based learning applied to document
    recognition", Proc. IEEE 86, 1998; docs/backprop.md derives them).

    Parameters
    ----------
    grad_output : ndarray, shape (N, F, OH, OW)
        Gradient of the loss for the result of `conv2d`; in the order of `data_format`.
    x : ndarray, shape (N, C, H, W)
    weight : ndarray, shape (F, C/groups, KH, KW)
    stride, padding, dilation, groups, data_format
        Those of the forward call.
    needs : tuple of {"input", "weight", "bias"}
        The gradients to compute.
    out : tuple of three arrays or None, optional
        Where to write dx, dweight and dbias.

    Returns
    -------
    (dx, dweight, dbias) : tuple of ndarray
        Shapes of `x`, `weight` and (F,); None in the place of what `needs` leaves out.

    Raises
    ------
    TypeError
        If an array is not float32 or float64 or dtypes differ.
    ValueError
        If `grad_output` has another shape than the forward result, or as `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> dx, dw, db = F.conv2d_backward(np.ones((1, 1, 2, 2)), x, w)
    >>> dx[0, 0]
    array([[ 1.,  3.,  2.],
           [ 4., 10.,  6.],
           [ 3.,  7.,  4.]])
    >>> dw[0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    >>> db
    array([4.])
    """
    return _backward(
        "conv2d_backward", 2, grad_output, x, weight, stride, padding, dilation, groups, data_format, needs, out
    )


def conv3d_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    data_format: str = "NCDHW",
    needs: tuple[str, ...] = NEEDS,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> Grads:
    """Return the gradients of `conv3d` for input, weight and bias: `conv2d_backward` over three axes.

    Parameters
    ----------
    grad_output : ndarray, shape (N, F, OD, OH, OW)
    x : ndarray, shape (N, C, D, H, W)
    weight : ndarray, shape (F, C/groups, KD, KH, KW)
    stride, padding, dilation, groups, data_format
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
    >>> one = np.ones((1, 1, 2, 2, 2))
    >>> F.conv3d_backward(np.ones((1, 1, 1, 1, 1)), one, one)[1].sum().item()
    8.0
    """
    return _backward(
        "conv3d_backward", 3, grad_output, x, weight, stride, padding, dilation, groups, data_format, needs, out
    )

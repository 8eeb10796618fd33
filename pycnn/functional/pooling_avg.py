"""Average pooling over one, two and three spatial axes, forward and backward.

The mean of a window is linear: each of its cells counts 1 / divisor, so backward hands delta / divisor to each of them.
"""

from collections.abc import Sequence
from typing import Any

from pycnn.functional import _args
from pycnn.functional._args import Array
from pycnn.functional.pooling_geometry import pooled
from pycnn.kernels import pooling as _kernels
from pycnn.kernels import pooling_adaptive as _bins


def _divisor(fn: str, value: Any) -> int:
    """Return 0 for None, else the divisor that was asked for."""
    if value is None:
        return 0
    divisor = _args.index(fn, "divisor_override", value)
    if divisor == 0:
        raise ValueError(f"{fn}: divisor_override must not be 0")
    return divisor


def _avg_pool(
    fn: str,
    dims: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
    dilation: Any,
    data_format: Any,
    out: Array | None,
) -> Array:
    x = _args.float_array(fn, "x", x)
    order, _, y_shape, found = pooled(fn, dims, x.shape, kernel_size, stride, padding, dilation, ceil_mode, data_format)
    padded = _args.flag(fn, "count_include_pad", count_include_pad)
    divisor = _divisor(fn, divisor_override)
    y, target = _args.output(fn, out, y_shape, x.dtype, (x,))
    if y.size and found.whole:
        _bins.mean_forward(x, y, order, divisor)
    elif y.size:
        _kernels.mean_forward(x, y, order, found.numbers, padded, divisor)
    return _args.finish(y, target)


def _avg_pool_backward(
    fn: str,
    dims: int,
    grad_output: Any,
    input_shape: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
    dilation: Any,
    data_format: Any,
    out: Array | None,
) -> Array:
    dy = _args.float_array(fn, "grad_output", grad_output)
    given = _args.shape(fn, "input_shape", input_shape, dims + 2)
    order, _, y_shape, found = pooled(fn, dims, given, kernel_size, stride, padding, dilation, ceil_mode, data_format)
    padded = _args.flag(fn, "count_include_pad", count_include_pad)
    divisor = _divisor(fn, divisor_override)
    _args.check_shape(fn, "grad_output", dy, y_shape)
    dx, target = _args.output(fn, out, given, dy.dtype, (dy,))
    if dx.size and found.whole:
        _bins.mean_backward(dy, dx, order, divisor)
    elif dx.size:
        _kernels.mean_backward(dy, dx, order, found.numbers, padded, divisor)
    return _args.finish(dx, target)


def avg_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Any = 1,
    data_format: str = "NCL",
    out: Array | None = None,
) -> Array:
    """Take the mean of each window of a signal.

    As `avg_pool2d` with one spatial axis.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (N, C, L)
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation, out
        See `avg_pool2d`.
    data_format : {"NCL", "NLC", "LCN"}
        Names the axes of `x` and of the result.

    Returns
    -------
    ndarray
        Shape (N, C, OL), dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        See `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.avg_pool1d(np.array([[[1.0, 3.0, 5.0]]]), 2, padding=1)
    array([[[0.5, 4. ]]])
    """
    return _avg_pool(
        "avg_pool1d",
        1,
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        dilation,
        data_format,
        out,
    )


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Any = 1,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Take the mean of each window of an image.

    The sum of the window's cells is divided by their number. Padding adds 0 and counts, unless `count_include_pad` is
    False; what a window overhangs beyond the declared padding (under `ceil_mode`) never counts. A window without a
    cell that counts gives 0.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (N, C, H, W)
        Any strides; never written.
    kernel_size, stride, padding, dilation, ceil_mode
        See `max_pool2d`.
    count_include_pad : bool
        Whether padding counts in the divisor.
    divisor_override : int, optional
        Divide every sum by this instead; not 0.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Names the axes of `x` and of the result.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray
        Shape (N, C, OH, OW), dtype of `x`; OH and OW as in `max_pool2d`.

    Raises
    ------
    TypeError
        If `x` is not a float32 or float64 array, or a size is not an integer.
    ValueError
        If a size is out of range, the windows do not fit, or `out` does not.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    return _avg_pool(
        "avg_pool2d",
        2,
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        dilation,
        data_format,
        out,
    )


def avg_pool3d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Any = 1,
    data_format: str = "NCDHW",
    out: Array | None = None,
) -> Array:
    """Take the mean of each window of a volume.

    As `avg_pool2d` with three spatial axes.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (N, C, D, H, W)
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation, out
        See `avg_pool2d`.
    data_format : {"NCDHW", "NDHWC", "DHWCN"}
        Names the axes of `x` and of the result.

    Returns
    -------
    ndarray
        Shape (N, C, OD, OH, OW), dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        See `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.avg_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2)
    array([[[[[3.5]]]]])
    """
    return _avg_pool(
        "avg_pool3d",
        3,
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        dilation,
        data_format,
        out,
    )


def avg_pool1d_backward(
    grad_output: Any,
    input_shape: Sequence[int],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Any = 1,
    data_format: str = "NCL",
    out: Array | None = None,
) -> Array:
    """Return the gradient for the input of `avg_pool1d`: each delta is spread evenly over its window.

    Parameters
    ----------
    grad_output : ndarray of float32 or float64, shape (N, C, OL)
    input_shape : tuple of int
        (N, C, L) in the order of `data_format`.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation, data_format
        As given to `avg_pool1d`.
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
        If a size is out of range, or a shape does not follow from `input_shape` and the sizes.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.avg_pool1d_backward(np.array([[[4.0, 8.0]]]), (1, 1, 4), 2)
    array([[[2., 2., 4., 4.]]])
    """
    return _avg_pool_backward(
        "avg_pool1d_backward",
        1,
        grad_output,
        input_shape,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        dilation,
        data_format,
        out,
    )


def avg_pool2d_backward(
    grad_output: Any,
    input_shape: Sequence[int],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Any = 1,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Return the gradient for the input of `avg_pool2d`: each delta is spread evenly over its window.

    Parameters
    ----------
    grad_output : ndarray of float32 or float64, shape (N, C, OH, OW)
    input_shape : tuple of int
        (N, C, H, W) in the order of `data_format`.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation, data_format
        As given to `avg_pool2d`.
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
        If a size is out of range, or a shape does not follow from `input_shape` and the sizes.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.avg_pool2d_backward(np.array([[[[4.0, 8.0]]]]), (1, 1, 2, 4), 2)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])
    """
    return _avg_pool_backward(
        "avg_pool2d_backward",
        2,
        grad_output,
        input_shape,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        dilation,
        data_format,
        out,
    )


def avg_pool3d_backward(
    grad_output: Any,
    input_shape: Sequence[int],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Any = 1,
    data_format: str = "NCDHW",
    out: Array | None = None,
) -> Array:
    """Return the gradient for the input of `avg_pool3d`: each delta is spread evenly over its window.

    Parameters
    ----------
    grad_output : ndarray of float32 or float64, shape (N, C, OD, OH, OW)
    input_shape : tuple of int
        (N, C, D, H, W) in the order of `data_format`.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation, data_format
        As given to `avg_pool3d`.
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
        If a size is out of range, or a shape does not follow from `input_shape` and the sizes.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import functional as F
    >>> F.avg_pool3d_backward(np.array([[[[[4.0]]]]]), (1, 1, 1, 2, 2), (1, 2, 2))
    array([[[[[1., 1.],
              [1., 1.]]]]])
    """
    return _avg_pool_backward(
        "avg_pool3d_backward",
        3,
        grad_output,
        input_shape,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        dilation,
        data_format,
        out,
    )

"""Average pooling in 1, 2 and 3 dimensions and power-average (Lp) pooling.

The mean of a window is linear: each of its cells counts 1/divisor, so backward hands delta/divisor to each of
them.
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


def _divisor(windows: Windows, count_include_pad: bool, divisor_override: int | None) -> Array:
    """For every window the number its sum is divided by.

    Counted are real cells, with `count_include_pad` also cells of the declared padding, but never those
    beyond it that a window overhangs under ceil_mode. A window that holds no real cell has the sum 0; its
    divisor is 1.
    """
    if divisor_override is not None:
        if divisor_override == 0:
            raise ValueError("divisor_override must not be 0")
        return np.full(windows.counts, float(divisor_override))
    count = np.zeros(windows.counts)
    for tap in windows.taps():
        count += windows.is_real(tap, with_padding=count_include_pad)
    return np.maximum(count, 1.0)


def _avg_pool(
    x: Array,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    dilation: Size,
    data_format: str,
    out: Array | None,
) -> Array:
    image = channels_first(x, data_format).astype(np.float64)
    windows = windows_over(image.shape[2:], kernel_size, stride, padding, dilation, ceil_mode, pooling=True)
    padded = windows.pad(image)
    y = np.zeros(image.shape[:2] + windows.counts)
    for tap in windows.taps():
        y += padded[windows.cells(tap)]
    return finish(y / _divisor(windows, count_include_pad, divisor_override), x.dtype, out, data_format)


def _avg_pool_backward(
    grad_output: Array,
    input_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    dilation: Size,
    data_format: str,
    out: Array | None,
) -> Array:
    shape = channels_first_shape(input_shape, data_format)
    windows = windows_over(shape[2:], kernel_size, stride, padding, dilation, ceil_mode, pooling=True)
    delta = channels_first(grad_output, data_format).astype(np.float64)
    part = delta / _divisor(windows, count_include_pad, divisor_override)
    dpadded = np.zeros(shape[:2] + windows.padded_shape())
    for tap in windows.taps():
        dpadded[windows.cells(tap)] += part
    return finish(dpadded[windows.interior()], grad_output.dtype, out, data_format)


def avg_pool1d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Size = 1,
    data_format: str = "NCL",
    out: Array | None = None,
) -> Array:
    """Mean of each window of x (N, C, L).

    >>> avg_pool1d(np.array([[[1.0, 3.0, 5.0]]]), 2, padding=1)
    array([[[0.5, 4. ]]])
    >>> avg_pool1d(np.array([[[1.0, 3.0, 5.0]]]), 2, padding=1, count_include_pad=False)
    array([[[1., 4.]]])
    """
    return _avg_pool(
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
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Size = 1,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Mean of each window of x (N, C, H, W).

    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    return _avg_pool(
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
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Size = 1,
    data_format: str = "NCDHW",
    out: Array | None = None,
) -> Array:
    """Mean of each window of x (N, C, D, H, W).

    >>> avg_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2)
    array([[[[[3.5]]]]])
    """
    return _avg_pool(
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
    grad_output: Array,
    input_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Size = 1,
    data_format: str = "NCL",
    out: Array | None = None,
) -> Array:
    """Gradient for x of `avg_pool1d`: each delta is spread evenly over its window."""
    return _avg_pool_backward(
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
    grad_output: Array,
    input_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Size = 1,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Gradient for x of `avg_pool2d`: each delta is spread evenly over its window.

    >>> avg_pool2d_backward(np.array([[[[4.0, 8.0]]]]), (1, 1, 2, 4), 2)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])
    """
    return _avg_pool_backward(
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
    grad_output: Array,
    input_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Size = 1,
    data_format: str = "NCDHW",
    out: Array | None = None,
) -> Array:
    """Gradient for x of `avg_pool3d`: each delta is spread evenly over its window."""
    return _avg_pool_backward(
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


def _lp_norm(image: Array, windows: Windows, p: float) -> Array:
    padded = windows.pad(np.abs(image))
    total = np.zeros(image.shape[:2] + windows.counts)
    for tap in windows.taps():
        total += padded[windows.cells(tap)] ** p
    return total ** (1.0 / p)


def lp_pool2d(
    x: Array,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
    *,
    padding: Padding = 0,
    dilation: Size = 1,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """(sum of |cell|**p over the window)**(1/p) with p = `norm_type`; ONNX LpPool.

    >>> lp_pool2d(np.array([[[[3.0, -4.0]]]]), 2, (1, 2))
    array([[[[5.]]]])
    """
    image = channels_first(x, data_format).astype(np.float64)
    windows = windows_over(image.shape[2:], kernel_size, stride, padding, dilation, ceil_mode, pooling=True)
    return finish(_lp_norm(image, windows, float(norm_type)), x.dtype, out, data_format)


def lp_pool2d_backward(
    grad_output: Array,
    x: Array,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
    *,
    padding: Padding = 0,
    dilation: Size = 1,
    data_format: str = "NCHW",
    out: Array | None = None,
) -> Array:
    """Gradient for x of `lp_pool2d`: d norm / d cell = sign(cell) * (|cell| / norm)**(p - 1).

    A cell that is 0 gets 0 (its sign), also where the norm is 0 and where p < 1 has no derivative.

    >>> lp_pool2d_backward(np.array([[[[10.0]]]]), np.array([[[[3.0, -4.0]]]]), 2, (1, 2))
    array([[[[ 6., -8.]]]])
    """
    image = channels_first(x, data_format).astype(np.float64)
    delta = channels_first(grad_output, data_format).astype(np.float64)
    windows = windows_over(image.shape[2:], kernel_size, stride, padding, dilation, ceil_mode, pooling=True)
    p = float(norm_type)
    norm = _lp_norm(image, windows, p)
    padded = windows.pad(image)
    dpadded = np.zeros_like(padded)
    for tap in windows.taps():
        cell = padded[windows.cells(tap)]
        some = cell != 0.0
        slope = np.zeros(cell.shape)
        slope[some] = np.sign(cell[some]) * (np.abs(cell[some]) / norm[some]) ** (p - 1.0)
        dpadded[windows.cells(tap)] += delta * slope
    return finish(dpadded[windows.interior()], x.dtype, out, data_format)

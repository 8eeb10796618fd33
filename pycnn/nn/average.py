"""Average and Lp pooling layers."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from pycnn import functional as F

from . import _check
from ._types import Array, Ints, Padding, Shape
from .layer import Layer
from .pooling import FORMATS, adaptive_size, window_arguments


class _AvgPool(Layer):
    axes: ClassVar[int]
    function: ClassVar[Callable[..., Array]]
    function_backward: ClassVar[Callable[..., Array]]
    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...]
    dilation: int | tuple[int, ...]
    padding: int | str | tuple[Any, ...]

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        dilation: Ints = 1,
        data_format: str | None = None,
    ) -> None:
        name = type(self).__name__
        window_arguments(self, self.axes, kernel_size, stride, padding, dilation, data_format)
        self.ceil_mode = _check.boolean(name, "ceil_mode", ceil_mode)
        self.count_include_pad = _check.boolean(name, "count_include_pad", count_include_pad)
        self.divisor_override = divisor_override
        if divisor_override is not None:
            self.divisor_override = _check.integer(name, "divisor_override", divisor_override, 1)

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        y = type(self).function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
            dilation=self.dilation,
            data_format=self.data_format,
        )
        return y, np.shape(x)

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        if not needs_input_grad:
            return None
        return type(self).function_backward(
            grad_output,
            saved,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
            dilation=self.dilation,
            data_format=self.data_format,
        )

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        parts = {key: getattr(self, key) for key in ("kernel_size", "stride", "padding")}
        if self.axes == 1:  # PyTorch prints these as tuples
            parts = {key: (value,) if isinstance(value, int) else value for key, value in parts.items()}
        text = ", ".join(f"{key}={value}" for key, value in parts.items())
        return text + ("" if self.data_format in ("NCL", "NCHW", "NCDHW") else f", data_format={self.data_format!r}")


class AvgPool1d(_AvgPool):
    """Average pooling over one axis: `AvgPool2d` with one size each and `data_format` "NCL", "NLC" or "LCN".

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.AvgPool1d(2)(np.array([[[1.0, 3.0, 2.0, 4.0]]]))
    array([[[2., 3.]]])
    """

    axes = 1
    function = staticmethod(F.avg_pool1d)
    function_backward = staticmethod(F.avg_pool1d_backward)


class AvgPool2d(_AvgPool):
    """Average pooling over two axes.

    Parameters
    ----------
    kernel_size, stride, dilation : int or pair of int
        ``stride=None`` means the kernel's size.
    padding : int, pair of int, ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        Zeros around the input; smaller than the (dilated) kernel.
    ceil_mode : bool
        Keep a last window that the input fills only in part.
    count_include_pad : bool
        Whether padded cells count in the divisor.
    divisor_override : int, optional
        Divide by this instead of the number of cells.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Order of the axes of input and output.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> pool = nn.AvgPool2d(2)
    >>> pool(np.arange(4.0).reshape(1, 1, 2, 2))
    array([[[[1.5]]]])
    >>> pool.backward(np.array([[[[4.0]]]]))[0, 0]
    array([[1., 1.],
           [1., 1.]])
    """

    axes = 2
    function = staticmethod(F.avg_pool2d)
    function_backward = staticmethod(F.avg_pool2d_backward)


class AvgPool3d(_AvgPool):
    """Average pooling over three axes: `AvgPool2d` with three sizes each.

    `data_format` is "NCDHW", "NDHWC" or "DHWCN".

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.AvgPool3d(2)(np.ones((1, 1, 4, 4, 4))).shape
    (1, 1, 2, 2, 2)
    """

    axes = 3
    function = staticmethod(F.avg_pool3d)
    function_backward = staticmethod(F.avg_pool3d_backward)


class AdaptiveAvgPool2d(Layer):
    """Average pooling to a given output size, whatever the input's. Size 1 is global average pooling.

    Parameters
    ----------
    output_size : int or pair of (int or None)
        OH and OW; None keeps the input's size.
    data_format : {"NCHW", "NHWC", "HWCN"}

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.AdaptiveAvgPool2d(1)(np.arange(4.0).reshape(1, 1, 2, 2))
    array([[[[1.5]]]])
    """

    def __init__(self, output_size: Any, *, data_format: str | None = None) -> None:
        self.output_size = adaptive_size("AdaptiveAvgPool2d", output_size)
        self.data_format = _check.choice("AdaptiveAvgPool2d", "data_format", data_format or "NCHW", FORMATS[2])

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        return F.adaptive_avg_pool2d(x, self.output_size, data_format=self.data_format), np.shape(x)

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        if not needs_input_grad:
            return None
        return F.adaptive_avg_pool2d_backward(grad_output, saved, self.output_size, data_format=self.data_format)

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        return f"output_size={self.output_size}"


class LPPool2d(Layer):
    """Power-average pooling: ``(sum |x|^p)^(1/p)`` over each window.

    Parameters
    ----------
    norm_type : float
        p, finite and > 0.
    kernel_size, stride, dilation : int or pair of int
        ``stride=None`` means the kernel's size.
    ceil_mode : bool
        Keep a last window that the input fills only in part.
    padding : int, pair of int, ((top, bottom), (left, right)), "valid", "same" or "same_lower"
    data_format : {"NCHW", "NHWC", "HWCN"}

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.LPPool2d(2, 2)(np.array([[[[3.0, 4.0], [0.0, 0.0]]]]))
    array([[[[5.]]]])
    """

    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...]
    dilation: int | tuple[int, ...]
    padding: int | str | tuple[Any, ...]

    def __init__(
        self,
        norm_type: float,
        kernel_size: Ints,
        stride: Ints | None = None,
        ceil_mode: bool = False,
        *,
        padding: Padding = 0,
        dilation: Ints = 1,
        data_format: str | None = None,
    ) -> None:
        _check.real("LPPool2d", "norm_type", norm_type, 0, open_low=True)
        self.norm_type = norm_type
        window_arguments(self, 2, kernel_size, stride, padding, dilation, data_format)
        self._stride_given = stride is not None
        self.ceil_mode = _check.boolean("LPPool2d", "ceil_mode", ceil_mode)

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        y = F.lp_pool2d(
            x,
            self.norm_type,
            self.kernel_size,
            self.stride,
            self.ceil_mode,
            padding=self.padding,
            dilation=self.dilation,
            data_format=self.data_format,
        )
        return y, x

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        if not needs_input_grad:
            return None
        return F.lp_pool2d_backward(
            grad_output,
            saved,
            self.norm_type,
            self.kernel_size,
            self.stride,
            self.ceil_mode,
            padding=self.padding,
            dilation=self.dilation,
            data_format=self.data_format,
        )

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        return ("input",), 0

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        stride = self.stride if self._stride_given else None
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={stride}, ceil_mode={self.ceil_mode}"
        )

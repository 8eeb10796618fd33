"""Convolution layers; "convolution" is cross-correlation, as in PyTorch."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pycnn import functional as F

from . import _check, init
from ._types import Array, Ints, Padding, Rng, Shape
from .layer import Layer
from .parameter import Parameter

_FORMATS = {1: ("NCL", "NLC", "LCN"), 2: ("NCHW", "NHWC", "HWCN"), 3: ("NCDHW", "NDHWC", "DHWCN")}


class _Conv(Layer):
    """What forward and transposed convolution share: parameters, initial values, printing."""

    axes: ClassVar[int]
    weight: Parameter
    bias: Parameter | None

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints,
        dilation: Ints,
        groups: int,
        data_format: str | None,
    ) -> None:
        name, n = type(self).__name__, self.axes
        self.in_channels = _check.integer(name, "in_channels", in_channels, 1)
        self.out_channels = _check.integer(name, "out_channels", out_channels, 1)
        self.kernel_size = _check.integers(name, "kernel_size", kernel_size, n, 1)
        self.stride = _check.integers(name, "stride", stride, n, 1)
        self.dilation = _check.integers(name, "dilation", dilation, n, 1)
        self.groups = _check.integer(name, "groups", groups, 1)
        self.data_format = _check.choice(name, "data_format", data_format or _FORMATS[n][0], _FORMATS[n])
        for what, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                raise ValueError(f"{name}: {what} must be a multiple of groups={self.groups}, got {channels}")

    def _make_parameters(self, shape: Shape, bias: bool, dtype: npt.DTypeLike, rng: Rng) -> None:
        name = type(self).__name__
        generator, dtype = _check.generator(name, rng), _check.float_dtype(name, dtype)
        self.weight = Parameter(np.empty(shape, dtype))
        self.bias = None
        init.kaiming_uniform(self.weight, a=math.sqrt(5), rng=generator)
        if _check.boolean(name, "bias", bias):
            self.bias = Parameter(np.empty(self.out_channels, dtype))
            bound = 1 / math.sqrt(init.fans(shape)[0])
            init.uniform(self.bias, -bound, bound, rng=generator)

    def _needs(self, needs_input_grad: bool) -> tuple[str, ...]:
        needs = ("weight",) if self.bias is None else ("weight", "bias")
        return ("input", *needs) if needs_input_grad else needs

    def _add_grads(self, dweight: Array | None, dbias: Array | None) -> None:
        self.weight.add_grad(dweight)
        if self.bias is not None:
            self.bias.add_grad(dbias)

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        return ("input",), 0

    def _repr_parts(self, padding: Any, output_padding: Any = 0) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if padding != (0,) * self.axes:
            parts.append(f"padding={padding}")
        if output_padding not in (0, (0,) * self.axes):
            parts.append(f"output_padding={output_padding}")
        if self.dilation != (1,) * self.axes:
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.data_format != _FORMATS[self.axes][0]:
            parts.append(f"data_format={self.data_format!r}")
        return ", ".join(parts)


class _ConvForward(_Conv):
    function: ClassVar[Callable[..., Array]]
    function_backward: ClassVar[Callable[..., tuple[Any, Any, Any]]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        data_format: str | None = None,
        dtype: npt.DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self._set_up(in_channels, out_channels, kernel_size, stride, dilation, groups, data_format)
        self.padding = _check.padding(type(self).__name__, padding, self.axes)
        self._make_parameters((self.out_channels, self.in_channels // self.groups, *self.kernel_size), bias, dtype, rng)

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        bias = None if self.bias is None else self.bias.data
        y = type(self).function(
            x,
            self.weight.data,
            bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            data_format=self.data_format,
        )
        return y, x

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        dx, dweight, dbias = type(self).function_backward(
            grad_output,
            saved,
            self.weight.data,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            data_format=self.data_format,
            needs=self._needs(needs_input_grad),
        )
        self._add_grads(dweight, dbias)
        return dx  # type: ignore[no-any-return]

    def multiply_adds(self, *input_shapes: Shape) -> int:
        """Return output values times the products in each."""
        output: Shape = self.output_shape(*input_shapes)
        return math.prod(output) * math.prod(self.weight.shape[1:])

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        return self._repr_parts(self.padding)


class Conv1d(_ConvForward):
    """Convolution over one axis: ``(N, C, L) -> (N, F, OL)``.

    Parameters
    ----------
    in_channels, out_channels : int
        C and F.
    kernel_size, stride, dilation : int or (int,)
    padding : int, (int,), ((before, after),), "valid", "same" or "same_lower"
    groups : int
        Number of groups that the channels are split into; it divides C and F.
    bias : bool
        Whether a value is added to each output channel.
    data_format : {"NCL", "NLC", "LCN"}
        Order of the axes of input and output.
    dtype : float32 or float64
    rng : Generator, int or None
        Source of the initial weights, uniform in +-1/sqrt(fan-in) as PyTorch's.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.Conv1d(2, 4, 3, padding="same")(np.ones((1, 2, 10), np.float32)).shape
    (1, 4, 10)
    """

    axes = 1
    function = staticmethod(F.conv1d)
    function_backward = staticmethod(F.conv1d_backward)


class Conv2d(_ConvForward):
    """Convolution over two axes: ``(N, C, H, W) -> (N, F, OH, OW)``.

    Parameters
    ----------
    in_channels, out_channels : int
        C and F.
    kernel_size, stride, dilation : int or pair of int
    padding : int, pair of int, ((top, bottom), (left, right)), "valid", "same" or "same_lower"
    groups : int
        Number of groups that the channels are split into; it divides C and F.
    bias : bool
        Whether a value is added to each output channel.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Order of the axes of input and output. The weight is ``(F, C/groups, KH, KW)`` for all of them.
    dtype : float32 or float64
    rng : Generator, int or None
        Source of the initial weights, uniform in +-1/sqrt(fan-in) as PyTorch's.

    Attributes
    ----------
    weight : Parameter, shape (F, C/groups, KH, KW)
    bias : Parameter, shape (F,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> conv = nn.Conv2d(1, 16, 3, padding=1)
    >>> conv
    Conv2d(1, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    >>> y = conv(np.ones((2, 1, 8, 8), np.float32))
    >>> y.shape
    (2, 16, 8, 8)
    >>> conv.backward(np.ones_like(y)).shape, conv.weight.grad.shape
    ((2, 1, 8, 8), (16, 1, 3, 3))
    """

    axes = 2
    function = staticmethod(F.conv2d)
    function_backward = staticmethod(F.conv2d_backward)


class Conv3d(_ConvForward):
    """Convolution over three axes: ``(N, C, D, H, W) -> (N, F, OD, OH, OW)``.

    Parameters
    ----------
    in_channels, out_channels : int
        C and F.
    kernel_size, stride, dilation : int or triple of int
    padding : int, triple of int, three (before, after) pairs, "valid", "same" or "same_lower"
    groups : int
        Number of groups that the channels are split into; it divides C and F.
    bias : bool
        Whether a value is added to each output channel.
    data_format : {"NCDHW", "NDHWC", "DHWCN"}
        Order of the axes of input and output.
    dtype : float32 or float64
    rng : Generator, int or None
        Source of the initial weights, uniform in +-1/sqrt(fan-in) as PyTorch's.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.Conv3d(1, 2, 3, stride=2)(np.ones((1, 1, 7, 7, 7), np.float32)).shape
    (1, 2, 3, 3, 3)
    """

    axes = 3
    function = staticmethod(F.conv3d)
    function_backward = staticmethod(F.conv3d_backward)


class ConvTranspose2d(_Conv):
    """Transposed convolution over two axes.

    It is the map from the output's to the input's gradient of a `Conv2d` with the same arguments.

    Parameters
    ----------
    in_channels, out_channels : int
        C of the input and F of the output.
    kernel_size, stride, dilation : int or pair of int
    padding : int, pair of int or ((top, bottom), (left, right))
        What is cut off the full output.
    output_padding : int or pair of int
        Rows and columns added at the bottom and on the right, to choose between output sizes that a strided
        convolution maps to one input size.
    groups : int
        Number of groups that the channels are split into; it divides C and F.
    bias : bool
        Whether a value is added to each output channel.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Order of the axes of input and output. The weight is ``(C, F/groups, KH, KW)`` for all of them.
    dtype : float32 or float64
    rng : Generator, int or None
        Source of the initial weights, as PyTorch's.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
    >>> up(np.ones((1, 8, 7, 7), np.float32)).shape
    (1, 4, 14, 14)
    """

    axes = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        *,
        data_format: str | None = None,
        dtype: npt.DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self._set_up(in_channels, out_channels, kernel_size, stride, dilation, groups, data_format)
        self.padding = _check.padding(type(self).__name__, padding, 2)
        self.output_padding = _check.integers(type(self).__name__, "output_padding", output_padding, 2, 0)
        self._make_parameters((self.in_channels, self.out_channels // self.groups, *self.kernel_size), bias, dtype, rng)

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        bias = None if self.bias is None else self.bias.data
        y = F.conv_transpose2d(
            x,
            self.weight.data,
            bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
            data_format=self.data_format,
        )
        return y, x

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        dx, dweight, dbias = F.conv_transpose2d_backward(
            grad_output,
            saved,
            self.weight.data,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
            data_format=self.data_format,
            needs=self._needs(needs_input_grad),
        )
        self._add_grads(dweight, dbias)
        return dx

    def multiply_adds(self, *input_shapes: Shape) -> int:
        """Return input values times the products that each takes part in."""
        return math.prod(input_shapes[0]) * math.prod(self.weight.shape[1:])

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        return self._repr_parts(self.padding, self.output_padding)

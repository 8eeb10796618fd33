"""Max pooling layers of every kind, and max unpooling."""

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from pycnn import functional as F

from . import _check
from ._types import Array, Ints, Padding, Shape
from .layer import Layer, kept, shape_of
from .module import Module

FORMATS = {1: ("NCL", "NLC", "LCN"), 2: ("NCHW", "NHWC", "HWCN"), 3: ("NCDHW", "NDHWC", "DHWCN")}
# A window of up to this many cells is indexed with one byte instead of eight.
_COMPACT_CELLS = 255


def window_arguments(
    layer: Layer,
    axes: int,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Padding,
    dilation: Ints,
    data_format: str | None,
) -> None:
    """Check and set what all pooling windows have."""
    name = type(layer).__name__
    values = vars(layer)
    values["kernel_size"] = _check.as_given(name, "kernel_size", kernel_size, axes, 1)
    values["stride"] = values["kernel_size"] if stride is None else _check.as_given(name, "stride", stride, axes, 1)
    values["dilation"] = _check.as_given(name, "dilation", dilation, axes, 1)
    checked = _check.padding(name, padding, axes)
    values["padding"] = padding if isinstance(padding, (int, np.integer)) else checked
    layer.data_format = _check.choice(name, "data_format", data_format or FORMATS[axes][0], FORMATS[axes])
    if not isinstance(checked, str):
        sides = [side if isinstance(side, tuple) else (side, side) for side in checked]
        spans = [
            d * (k - 1)
            for k, d in zip(
                _check.integers(name, "kernel_size", kernel_size, axes, 1),
                _check.integers(name, "dilation", dilation, axes, 1),
                strict=True,
            )
        ]
        if any(max(side) > span for side, span in zip(sides, spans, strict=True)):
            raise ValueError(
                f"{name}: padding must be smaller than the (dilated) kernel, got padding={padding} "
                f"with kernel_size={kernel_size} and dilation={dilation}"
            )


class _MaxPool(Layer):
    axes: ClassVar[int]
    function: ClassVar[Callable[..., Any]]
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
        dilation: Ints = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
        *,
        ties: Literal["first", "split", "all"] = "first",
        data_format: str | None = None,
    ) -> None:
        name = type(self).__name__
        window_arguments(self, self.axes, kernel_size, stride, padding, dilation, data_format)
        self.return_indices = _check.boolean(name, "return_indices", return_indices)
        self.ceil_mode = _check.boolean(name, "ceil_mode", ceil_mode)
        self.ties = _check.choice(name, "ties", ties, ("first", "split", "all"))
        cells = math.prod(_check.integers(name, "kernel_size", kernel_size, self.axes, 1))
        self._recorded: Literal["compact", True] = "compact" if cells <= _COMPACT_CELLS else True

    def _forward(self, x: Array, training: bool) -> tuple[Any, Any]:
        wanted = self.return_indices or (training and self.ties == "first" and self._recorded)
        result = type(self).function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            wanted,
            ties=self.ties,
            data_format=self.data_format,
        )
        indices = result[1] if wanted else None
        if self.ties != "first":
            return result, (np.shape(x), None, x)
        return result if self.return_indices or not wanted else result[0], (np.shape(x), indices, None)

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        if not needs_input_grad:
            return None
        shape, indices, x = saved
        return type(self).function_backward(
            grad_output,
            indices,
            shape,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            x=x,
            ties=self.ties,
            data_format=self.data_format,
        )

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        if self.ties != "first":
            return ("input",), 0
        shape = self.output_shape(*input_shapes)
        if self.return_indices:
            return (), 8 * math.prod(shape[0])
        return (), (1 if self._recorded == "compact" else 8) * math.prod(shape)

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        text = (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )
        text += "" if self.ties == "first" else f", ties={self.ties!r}"
        return text + ("" if self.data_format in ("NCL", "NCHW", "NCDHW") else f", data_format={self.data_format!r}")


class MaxPool1d(_MaxPool):
    """Max pooling over one axis: `MaxPool2d` with one size each and `data_format` "NCL", "NLC" or "LCN".

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.MaxPool1d(2)(np.array([[[1.0, 3.0, 2.0, 5.0]]]))
    array([[[3., 5.]]])
    """

    axes = 1
    function = staticmethod(F.max_pool1d)
    function_backward = staticmethod(F.max_pool1d_backward)


class MaxPool2d(_MaxPool):
    """Max pooling over two axes.

    Parameters
    ----------
    kernel_size, stride, dilation : int or pair of int
        ``stride=None`` means the kernel's size.
    padding : int, pair of int, ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        Smaller than the (dilated) kernel. A padded cell never wins.
    return_indices : bool
        Return ``(y, indices)``: the winners as int64 positions in the plane, as `MaxUnpool2d` takes them.
    ceil_mode : bool
        Keep a last window that the input fills only in part.
    ties : {"first", "split", "all"}
        Who gets the delta when several cells are the largest: the first one, all of them in equal parts, or
        all of them the whole delta. "split" and "all" keep the input, "first" one byte an output value.
    data_format : {"NCHW", "NHWC", "HWCN"}
        Order of the axes of input and output.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> pool = nn.MaxPool2d(2)
    >>> pool(np.arange(16.0).reshape(1, 1, 4, 4))[0, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    >>> pool.backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))[0, 0]
    array([[0., 0., 0., 0.],
           [0., 1., 0., 2.],
           [0., 0., 0., 0.],
           [0., 3., 0., 4.]])
    """

    axes = 2
    function = staticmethod(F.max_pool2d)
    function_backward = staticmethod(F.max_pool2d_backward)


class MaxPool3d(_MaxPool):
    """Max pooling over three axes: `MaxPool2d` with three sizes each.

    `data_format` is "NCDHW", "NDHWC" or "DHWCN".

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.MaxPool3d(2)(np.ones((1, 1, 4, 4, 4))).shape
    (1, 1, 2, 2, 2)
    """

    axes = 3
    function = staticmethod(F.max_pool3d)
    function_backward = staticmethod(F.max_pool3d_backward)


class AdaptiveMaxPool2d(Layer):
    """Max pooling to a given output size, whatever the input's.

    Parameters
    ----------
    output_size : int or pair of (int or None)
        OH and OW; None keeps the input's size.
    return_indices : bool
        Return ``(y, indices)``: the winners as int64 positions in the plane.
    data_format : {"NCHW", "NHWC", "HWCN"}

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.AdaptiveMaxPool2d(1)(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[15.]]]])
    """

    def __init__(self, output_size: Any, return_indices: bool = False, *, data_format: str | None = None) -> None:
        self.output_size = adaptive_size("AdaptiveMaxPool2d", output_size)
        self.return_indices = _check.boolean("AdaptiveMaxPool2d", "return_indices", return_indices)
        self.data_format = _check.choice("AdaptiveMaxPool2d", "data_format", data_format or "NCHW", FORMATS[2])

    def _forward(self, x: Array, training: bool) -> tuple[Any, Any]:
        if not (training or self.return_indices):
            return F.adaptive_max_pool2d(x, self.output_size, data_format=self.data_format), None
        y, indices = F.adaptive_max_pool2d(x, self.output_size, True, data_format=self.data_format)
        return (y, indices) if self.return_indices else y, (np.shape(x), indices)

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        if not needs_input_grad:
            return None
        shape, indices = saved
        return F.adaptive_max_pool2d_backward(
            grad_output, indices, shape, self.output_size, data_format=self.data_format
        )

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        shape = self.output_shape(*input_shapes)
        return (), 8 * math.prod(shape[0] if self.return_indices else shape)

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        return f"output_size={self.output_size}"


class MaxUnpool2d(Module):
    """Put values back where max pooling took them from; all other cells are 0.

    It has two inputs, the values and the indices that `MaxPool2d` with ``return_indices=True`` gave.

    Parameters
    ----------
    kernel_size, stride : int or pair of int
        Those of the pooling; ``stride=None`` means the kernel's size.
    padding : int or pair of int
    data_format : {"NCHW", "NHWC", "HWCN"}

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> y, indices = nn.MaxPool2d(2, return_indices=True)(np.arange(16.0).reshape(1, 1, 4, 4))
    >>> nn.MaxUnpool2d(2)(y, indices)[0, 0]
    array([[ 0.,  0.,  0.,  0.],
           [ 0.,  5.,  0.,  7.],
           [ 0.,  0.,  0.,  0.],
           [ 0., 13.,  0., 15.]])
    """

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        *,
        data_format: str | None = None,
    ) -> None:
        self.kernel_size = _check.integers("MaxUnpool2d", "kernel_size", kernel_size, 2, 1)
        self.stride = self.kernel_size if stride is None else _check.integers("MaxUnpool2d", "stride", stride, 2, 1)
        self.padding = _check.integers("MaxUnpool2d", "padding", padding, 2, 0)
        self.data_format = _check.choice("MaxUnpool2d", "data_format", data_format or "NCHW", FORMATS[2])

    def forward(self, x: Array, indices: Array, output_size: Shape | None = None) -> Array:
        """Put the values of `x` at `indices`.

        Parameters
        ----------
        x : ndarray
            The values.
        indices : ndarray of int64, shape of `x`
            Positions in the H*W plane of the output.
        output_size : tuple of int, optional
            Shape of the output, or its (H, W), where pooling left more than one possible.

        Returns
        -------
        ndarray
        """
        y = F.max_unpool2d(
            x, indices, self.kernel_size, self.stride, self.padding, output_size, data_format=self.data_format
        )
        if self.training:
            self._saved = ((indices, output_size),)
        return y

    def backward(self, grad_output: Array, *, needs_input_grad: bool = True) -> Array | None:
        """Return the gradient of the values: `grad_output` read at the indices, which have no gradient."""
        indices, output_size = kept(self)
        grad = None
        if needs_input_grad:
            grad = F.max_unpool2d_backward(
                grad_output,
                indices,
                self.kernel_size,
                self.stride,
                self.padding,
                output_size,
                data_format=self.data_format,
            )
        self._saved = None
        return grad

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return ``(in - 1) * stride - 2 * padding + kernel`` for H and W."""
        shape = list(shape_of("MaxUnpool2d", input_shapes[0]))
        if len(shape) != 4:
            raise ValueError(f"MaxUnpool2d: expects 4 axes ({self.data_format}), got shape {tuple(shape)}")
        for axis, k, s, p in zip(
            (self.data_format.index("H"), self.data_format.index("W")),
            self.kernel_size,
            self.stride,
            self.padding,
            strict=True,
        ):
            shape[axis] = (shape[axis] - 1) * s - 2 * p + k
        return tuple(shape)

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        return (), 8 * math.prod(input_shapes[0])

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def adaptive_size(name: str, output_size: Any) -> int | tuple[int | None, ...]:
    """Return the output size of adaptive pooling: an int, or a pair of ints or None."""
    if isinstance(output_size, (tuple, list)):
        if len(output_size) != 2:
            raise ValueError(f"{name}: output_size must be an int or 2 of them, got {output_size!r}")
        return tuple(None if size is None else _check.integer(name, "output_size", size, 1) for size in output_size)
    return _check.integer(name, "output_size", output_size, 1)

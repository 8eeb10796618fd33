"""Layers that only change the shape, or nothing."""

import math
from typing import Any

import numpy as np

from . import _check
from ._types import Array, Shape
from .layer import Layer, ShapelessLayer, one_shape
from .pooling import FORMATS


class Identity(ShapelessLayer):
    """Return the input itself.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> x = np.ones(3)
    >>> nn.Identity()(x) is x
    True
    """

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        return _check.array("Identity", x), None

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        return grad_output

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        return ("view",), 0


class Flatten(Layer):
    """Merge axes into one: ``(N, C, H, W) -> (N, C*H*W)``.

    Parameters
    ----------
    start_dim, end_dim : int
        First and last axis to merge; negative ones count from the end. The last is not in front of the first.
    data_format : str
        Layout of the input, such as "NHWC" or "HWCN". For one that does not begin with "NC" all axes but the
        batch are merged in the order C, H, W, so that the weights of a following `Linear` do not depend on
        the layout.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.Flatten()(np.ones((2, 3, 4, 5))).shape
    (2, 60)
    >>> nn.Flatten(data_format="HWCN")(np.ones((4, 5, 3, 2))).shape
    (2, 60)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1, *, data_format: str = "NCHW") -> None:
        self.start_dim = _check.integer("Flatten", "start_dim", start_dim, -64)
        self.end_dim = _check.integer("Flatten", "end_dim", end_dim, -64)
        if (self.start_dim < 0) == (self.end_dim < 0) and self.start_dim > self.end_dim:
            raise ValueError(f"Flatten: start_dim must not be behind end_dim, got {start_dim} and {end_dim}")
        self.data_format = _check.choice("Flatten", "data_format", data_format, sum(FORMATS.values(), ()))
        if not data_format.startswith("NC") and (start_dim, end_dim) != (1, -1):
            raise ValueError(
                f"Flatten: data_format={data_format!r} goes with start_dim=1 and end_dim=-1, "
                f"got {start_dim} and {end_dim}"
            )

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        x = _check.array("Flatten", x)
        shape = self.output_shape(x.shape)
        if not self.data_format.startswith("NC"):
            x = x.transpose(self._to_nc())
        return x.reshape(shape), x.shape

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        if not isinstance(grad_output, np.ndarray):
            raise TypeError(f"Flatten: grad_output must be an ndarray, got {type(grad_output).__name__}")
        if grad_output.shape != (expected := self._merged(saved)):
            raise ValueError(f"Flatten: grad_output must have shape {expected}, got {grad_output.shape}")
        grad = grad_output.reshape(saved)
        if self.data_format.startswith("NC"):
            return grad
        return np.ascontiguousarray(grad.transpose(np.argsort(self._to_nc())))

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the shape with the axes merged."""
        shape = one_shape(self, input_shapes)
        if self.data_format.startswith("NC"):
            return self._merged(shape)
        if len(shape) != len(self.data_format):
            raise ValueError(f"Flatten: expects {len(self.data_format)} axes ({self.data_format}), got shape {shape}")
        return self._merged(tuple(shape[axis] for axis in self._to_nc()))

    def _merged(self, shape: Shape) -> Shape:
        ndim = len(shape)
        start, end = (dim + ndim if dim < 0 else dim for dim in (self.start_dim, self.end_dim))
        if not 0 <= start <= end < ndim:
            raise ValueError(f"Flatten: start_dim={self.start_dim}, end_dim={self.end_dim} do not fit shape {shape}")
        return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])

    def _to_nc(self) -> list[int]:
        """Return the order of axes that makes the input N, C, then the spatial axes."""
        spatial = [axis for axis, letter in enumerate(self.data_format) if letter not in "NC"]
        return [self.data_format.index("N"), self.data_format.index("C"), *spatial]

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        return (("view",), 0) if self.data_format.startswith("NC") else ((), 0)

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        text = f"start_dim={self.start_dim}, end_dim={self.end_dim}"
        return text if self.data_format.startswith("NC") else f"{text}, data_format={self.data_format!r}"

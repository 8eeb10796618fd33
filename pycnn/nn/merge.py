"""Layers of several inputs: the joints of a `Graph`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pycnn.functional._sum import add

from . import _check
from ._types import Array, Shape
from .layer import kept, shape_of
from .module import Module


class Add(Module):
    """Sum of two or more arrays of one shape, as in a residual block.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> add = nn.Add()
    >>> add(np.array([1.0, 2.0]), np.array([10.0, 20.0]))
    array([11., 22.])
    >>> add.backward(np.array([1.0, 1.0]))
    (array([1., 1.]), array([1., 1.]))
    """

    def forward(self, *inputs: Array) -> Array:
        """Return the sum of the inputs."""
        _check_arrays("Add", inputs, None)
        y = add(inputs[0], inputs[1])
        for x in inputs[2:]:
            add(y, x, out=y)
        if self.training:
            self._saved = (len(inputs),)
        return y

    def backward(self, grad_output: Array, *, needs_input_grad: bool = True) -> tuple[Array, ...]:
        """Return `grad_output` itself for every input."""
        count: int = kept(self)
        self._saved = None
        return (grad_output,) * count

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the shape of the inputs."""
        return _check_shapes("Add", input_shapes, None)


class Concat(Module):
    """Join arrays along one axis.

    Parameters
    ----------
    axis : int
        1 joins the channels of ``(N, C, H, W)`` arrays.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> concat = nn.Concat()
    >>> concat(np.ones((1, 2, 4, 4)), np.ones((1, 3, 4, 4))).shape
    (1, 5, 4, 4)
    >>> [grad.shape for grad in concat.backward(np.ones((1, 5, 4, 4)))]
    [(1, 2, 4, 4), (1, 3, 4, 4)]
    """

    def __init__(self, axis: int = 1) -> None:
        self.axis = _check.integer("Concat", "axis", axis, -64)

    def forward(self, *inputs: Array) -> Array:
        """Return the inputs, joined."""
        _check_arrays("Concat", inputs, self.axis)
        y: Array = np.concatenate(inputs, axis=self.axis)
        if self.training:
            self._saved = (np.cumsum([x.shape[self.axis] for x in inputs])[:-1].tolist(),)
        return y

    def backward(self, grad_output: Array, *, needs_input_grad: bool = True) -> tuple[Array, ...]:
        """Return each input's part of `grad_output`."""
        parts: list[Array] = np.split(grad_output, kept(self), axis=self.axis)
        grads: list[Array] = [np.ascontiguousarray(part) for part in parts]
        self._saved = None
        return tuple(grads)

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the shape of the inputs with the sizes along the axis added up."""
        shape = list(_check_shapes("Concat", input_shapes, self.axis))
        shape[self.axis] = sum(other[self.axis] for other in input_shapes)
        return tuple(shape)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"axis={self.axis}"


def _check_arrays(name: str, inputs: Sequence[Array], axis: int | None) -> None:
    for x in inputs:
        if not isinstance(x, np.ndarray):
            raise TypeError(f"{name}: inputs must be ndarrays, got {type(x).__name__}")
    _check_shapes(name, [x.shape for x in inputs], axis)
    dtypes: set[Any] = {x.dtype for x in inputs}
    if len(dtypes) > 1:
        raise TypeError(f"{name}: inputs must have one dtype, got {', '.join(str(x.dtype) for x in inputs)}")


def _check_shapes(name: str, shapes: Sequence[Shape], axis: int | None) -> Shape:
    """Return the first shape; ValueError unless all others equal it, but for the axis that is joined."""
    if len(shapes) < 2:
        raise ValueError(f"{name}: takes at least 2 inputs, got {len(shapes)}")
    first = shape_of(name, shapes[0])
    if axis is not None and not -len(first) <= axis < len(first):
        raise ValueError(f"{name}: axis={axis} does not fit shape {first}")
    for shape in shapes[1:]:
        same = len(shape) == len(first) and all(
            a == b for i, (a, b) in enumerate(zip(first, shape)) if axis is None or i != axis % len(first)
        )
        if not same:
            rule = "one shape" if axis is None else f"shapes that differ along axis {axis} only"
            raise ValueError(f"{name}: inputs must have {rule}, got {', '.join(map(str, shapes))}")
    return first

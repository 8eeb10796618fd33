"""`Layer`: a module of one input and one output that leaves two small methods to write."""

from typing import Any, Literal, overload

import numpy as np

from . import _check
from ._types import Array, Shape
from .module import Module


class Layer(Module):
    """Base class of the layers.

    It holds the rules that are the same for all of them (what is kept and when, errors, shapes), so that a
    layer only writes `_forward`, which returns the output and what backward needs, and `_backward`, which
    gets it back.

    What backward needs are references, not copies: an input (or output) that is changed between ``forward`` and
    ``backward`` changes the gradients, and nothing tells.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> layer = nn.ReLU()
    >>> isinstance(layer, nn.Layer), layer(np.array([-1.0, 2.0])).tolist()
    (True, [0.0, 2.0])
    """

    data_format: str = "NCHW"

    def forward(self, x: Array) -> Any:
        """Compute the output of a batch.

        Parameters
        ----------
        x : ndarray
            The input; it is not written to, and in ``train()`` mode kept until ``backward``.

        Returns
        -------
        ndarray
        """
        if not self.training:
            return self._forward(x, False)[0]
        attributes = vars(self)  # `Module.__setattr__` looks for parameters, which these are not
        attributes["_saved"] = None
        y, saved = self._forward(x, True)
        attributes["_saved"] = (saved,)
        return y

    @overload
    def backward(self, grad_output: Array) -> Array: ...
    @overload
    def backward(self, grad_output: Array, *, needs_input_grad: Literal[True]) -> Array: ...
    @overload
    def backward(self, grad_output: Array, *, needs_input_grad: bool) -> Array | None: ...
    def backward(self, grad_output: Array, *, needs_input_grad: bool = True) -> Array | None:
        """Add to ``grad`` of every parameter and return the gradient of the input.

        Parameters
        ----------
        grad_output : ndarray
            Gradient of the loss by the output of the last ``forward``, of its shape and type.
        needs_input_grad : bool
            False: compute the gradients of the parameters only, as the first layers of a network do.

        Returns
        -------
        ndarray or None
            Gradient of the loss by the input; None where ``needs_input_grad`` is False.

        Raises
        ------
        RuntimeError
            In ``eval()`` mode, or when no ``forward`` came before; each ``forward`` serves one ``backward``.
        """
        saved = kept(self)
        grad = self._backward(grad_output, saved, needs_input_grad)
        self._saved = None
        return grad if needs_input_grad else None

    def output_shape(self, *input_shapes: Shape) -> Any:
        """Return the output's shape for an input of this shape.

        Parameters
        ----------
        *input_shapes : tuple of int
            One shape with its batch axis, in the order of ``data_format``.

        Returns
        -------
        tuple of int

        Raises
        ------
        ValueError
            When the layer cannot take such an input.
        """
        shape = one_shape(self, input_shapes)
        axis = self.data_format.index("N")
        if len(shape) != len(self.data_format):
            axis = 0  # the function below says what is wrong with the number of axes
        # An empty batch goes through all checks and arithmetic of shapes, and there is nothing to compute.
        y, _ = self._forward(np.empty((*shape[:axis], 0, *shape[axis + 1 :]), self.dtype), False)
        result = y[0].shape if isinstance(y, tuple) else y.shape
        result = (*result[:axis], shape[axis], *result[axis + 1 :])
        return (result,) * len(y) if isinstance(y, tuple) else result

    def _forward(self, x: Array, training: bool) -> tuple[Any, Any]:
        raise NotImplementedError(f"{type(self).__name__} has no _forward")

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        raise NotImplementedError(f"{type(self).__name__} has no _backward")


class ShapelessLayer(Layer):
    """Base class of layers whose output has the shape of the input, whatever that is."""

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the shape of the input."""
        return one_shape(self, input_shapes)


def kept(module: Module) -> Any:
    """Return what forward kept for backward; RuntimeError when there is nothing."""
    name = type(module).__name__
    if not module.training:
        raise RuntimeError(f"{name}: backward in eval() mode, which keeps nothing; call train() and forward first")
    if module._saved is None:
        raise RuntimeError(f"{name}: backward before forward (each forward serves one backward)")
    return module._saved[0]


def one_shape(module: Module, shapes: tuple[Shape, ...]) -> Shape:
    """Return the one shape that a module of one input was asked about, as ints."""
    name = type(module).__name__
    if len(shapes) != 1:
        raise TypeError(f"{name}.output_shape: takes the shape of one input, got {len(shapes)}")
    return shape_of(name, shapes[0])


def shape_of(name: str, shape: Any) -> Shape:
    """Return a shape as a tuple of ints >= 0."""
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"{name}.output_shape: a shape is a tuple of ints, got {shape!r}")
    return tuple(_check.integer(f"{name}.output_shape", "every size", size, 0) for size in shape)

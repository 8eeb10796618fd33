"""Activation layers."""

from typing import Any

from pycnn import functional as F

from . import _check
from ._types import Array, Shape
from .layer import ShapelessLayer


class ReLU(ShapelessLayer):
    """``max(x, 0)``.

    Backward needs the sign only, so the output is kept, which the next layer often keeps as well.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        y = F.relu(x)
        return y, y

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        # y > 0 exactly where x > 0, and both are NaN together.
        return F.relu_backward(grad_output, saved) if needs_input_grad else None

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        return ("output",), 0


class _Elementwise(ShapelessLayer):
    """An activation whose backward takes the input."""

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        return ("input",), 0


class LeakyReLU(_Elementwise):
    """``x`` where it is positive, ``negative_slope * x`` elsewhere.

    Parameters
    ----------
    negative_slope : float

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.LeakyReLU(0.5)(np.array([-1.0, 2.0]))
    array([-0.5,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = _check.real("LeakyReLU", "negative_slope", negative_slope)

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        return F.leaky_relu(x, self.negative_slope), x

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        return F.leaky_relu_backward(grad_output, saved, self.negative_slope) if needs_input_grad else None

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        return f"negative_slope={self.negative_slope}"


class Sigmoid(_Elementwise):
    """``1 / (1 + exp(-x))``.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.Sigmoid()(np.array([0.0]))
    array([0.5])
    """

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        return F.sigmoid(x), x

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        return F.sigmoid_backward(grad_output, saved) if needs_input_grad else None


class Tanh(_Elementwise):
    """The hyperbolic tangent.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.Tanh()(np.array([0.0]))
    array([0.])
    """

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        return F.tanh(x), x

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        return F.tanh_backward(grad_output, saved) if needs_input_grad else None


class SiLU(_Elementwise):
    """``x * sigmoid(x)``, also called swish.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.SiLU()(np.array([0.0]))
    array([0.])
    """

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        return F.silu(x), x

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        return F.silu_backward(grad_output, saved) if needs_input_grad else None


class GELU(_Elementwise):
    """``x * P(X <= x)`` for a standard normal X.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        The exact function, or its formula with tanh.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.GELU()(np.array([0.0]))
    array([0.])
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = _check.choice("GELU", "approximate", approximate, ("none", "tanh"))

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        return F.gelu(x, self.approximate), x

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        return F.gelu_backward(grad_output, saved, self.approximate) if needs_input_grad else None

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        return f"approximate={self.approximate!r}"


class Hardswish(_Elementwise):
    """``x * clip(x + 3, 0, 6) / 6``.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.Hardswish()(np.array([-4.0, 3.0]))
    array([-0.,  3.])
    """

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        return F.hardswish(x), x

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        return F.hardswish_backward(grad_output, saved) if needs_input_grad else None


class _Softmax(ShapelessLayer):
    def __init__(self, dim: int = -1) -> None:
        self.dim = _check.integer(type(self).__name__, "dim", dim, -64)

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        return ("output",), 0

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        return f"dim={self.dim}"


class Softmax(_Softmax):
    """``exp(x) / sum(exp(x))`` along one axis. `CrossEntropyLoss` has it inside: give it the values before.

    Parameters
    ----------
    dim : int
        The axis.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.Softmax()(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        y = F.softmax(x, self.dim)
        return y, y

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        return F.softmax_backward(grad_output, saved, self.dim) if needs_input_grad else None


class LogSoftmax(_Softmax):
    """The logarithm of `Softmax`, without the overflow of computing one after the other.

    Parameters
    ----------
    dim : int
        The axis.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.LogSoftmax()(np.zeros((1, 1)))
    array([[0.]])
    """

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        y = F.log_softmax(x, self.dim)
        return y, y

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        return F.log_softmax_backward(grad_output, saved, self.dim) if needs_input_grad else None


ACTIVATIONS: dict[str, type[ShapelessLayer]] = {
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "silu": SiLU,
    "gelu": GELU,
    "hardswish": Hardswish,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
}


def make_activation(name: str, **options: Any) -> ShapelessLayer:
    """Return an activation layer by name; ValueError with the list of names for an unknown one.

    Parameters
    ----------
    name : str
        Its name in lower case, with underscores: "relu", "leaky_relu", ...
    **options
        Arguments of the layer.

    Returns
    -------
    Layer

    Examples
    --------
    >>> make_activation("leaky_relu", negative_slope=0.1)
    LeakyReLU(negative_slope=0.1)
    """
    return ACTIVATIONS[_check.choice("make_activation", "name", name, ACTIVATIONS)](**options)

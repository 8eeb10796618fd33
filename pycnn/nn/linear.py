"""The fully connected layer."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pycnn import functional as F

from . import _check, init
from ._types import Array, Rng, Shape
from .layer import Layer, one_shape
from .parameter import Parameter


class Linear(Layer):
    """A fully connected layer: ``y = x W^T + b`` over the last axis.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis of input and output.
    bias : bool
        Whether b is there.
    dtype : float32 or float64
    rng : Generator, int or None
        Source of the initial values, uniform in +-1/sqrt(in_features) as PyTorch's.

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
    bias : Parameter, shape (out_features,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> nn.Linear(3, 2)(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self.in_features = _check.integer("Linear", "in_features", in_features, 1)
        self.out_features = _check.integer("Linear", "out_features", out_features, 1)
        generator, dtype = _check.generator("Linear", rng), _check.float_dtype("Linear", dtype)
        self.weight = Parameter(np.empty((self.out_features, self.in_features), dtype))
        self.bias: Parameter | None = None
        init.kaiming_uniform(self.weight, a=math.sqrt(5), rng=generator)
        if _check.boolean("Linear", "bias", bias):
            bound = 1 / math.sqrt(self.in_features)
            self.bias = init.uniform(Parameter(np.empty(self.out_features, dtype)), -bound, bound, rng=generator)

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        return F.linear(x, self.weight.data, None if self.bias is None else self.bias.data), x

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        needs = ("weight",) if self.bias is None else ("weight", "bias")
        dx, dweight, dbias = F.linear_backward(
            grad_output, saved, self.weight.data, needs=("input", *needs) if needs_input_grad else needs
        )
        self.weight.add_grad(dweight)
        if self.bias is not None:
            self.bias.add_grad(dbias)
        return dx

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape with ``out_features`` on the last axis."""
        shape = one_shape(self, input_shapes)
        if not shape or shape[-1] != self.in_features:
            got = f"got {shape[-1]}" if shape else "got an array without axes"
            raise ValueError(f"Linear: expects {self.in_features} features, {got}")
        return (*shape[:-1], self.out_features)

    def multiply_adds(self, *input_shapes: Shape) -> int:
        """Return output values times ``in_features``."""
        return math.prod(self.output_shape(*input_shapes)) * self.in_features

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        return ("input",), 0

    def extra_repr(self) -> str:
        """Return the arguments as PyTorch prints them."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

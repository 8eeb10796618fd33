"""A learnable array and its gradient."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from . import _check
from ._types import Array, Shape


class Parameter:
    """A learnable array with the gradient that the last backward passes left.

    Parameters
    ----------
    data : array_like of float32 or float64
        Initial values, copied.

    Attributes
    ----------
    data : ndarray
        The values. Optimisers and ``load_state_dict`` write into this array.
    grad : ndarray or None
        Sum of the gradients since the last ``zero_grad``, of the shape of `data`; None when there is none.

    Notes
    -----
    Copies and pickles carry the values only: they start without a gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> p = nn.Parameter(np.zeros((2, 3), np.float32))
    >>> p.add_grad(np.ones((2, 3), np.float32))
    >>> p.add_grad(np.ones((2, 3), np.float32))
    >>> p.grad
    array([[2., 2., 2.],
           [2., 2., 2.]], dtype=float32)
    """

    __slots__ = ("data", "grad")
    data: Array
    grad: Array | None

    def __init__(self, data: npt.ArrayLike) -> None:
        values = np.asarray(data)
        self.data = np.array(values, dtype=_check.float_dtype("Parameter", values.dtype), order="C")
        self.grad = None

    @property
    def shape(self) -> Shape:
        """Shape of the values."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, float32 or float64."""
        return self.data.dtype

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.data.size

    def add_grad(self, grad: Array | None) -> None:
        """Add to the gradient, unless `grad` is None; the first one is taken over without a copy."""
        if self.grad is None:
            self.grad = grad
        elif grad is not None:
            np.add(self.grad, grad, out=self.grad)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.array(self.data, dtype=dtype, copy=copy)

    def __reduce__(self) -> tuple[type[Self], tuple[Array]]:
        return type(self), (self.data,)

    def __repr__(self) -> str:
        return f"Parameter(shape={self.shape}, dtype={self.dtype})"

"""Losses: called with (output, target) they return a value, and ``backward()`` the gradient of the output."""

from typing import Any

import numpy as np

from pycnn import functional as F

from . import _check
from ._types import Array
from .layer import kept
from .module import Module

_REDUCTIONS = ("mean", "sum", "none")


class Loss(Module):
    """Base class of the losses.

    As every module a loss keeps its arguments in ``train()`` mode, for one ``backward``, and nothing in
    ``eval()``.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> loss = nn.MSELoss()
    >>> isinstance(loss, nn.Loss), float(loss(np.array([3.0]), np.array([1.0]))), loss.backward()
    (True, 4.0, array([4.]))
    """

    reduction: str

    def forward(self, x: Array, target: Array) -> Any:
        """Return the loss.

        Parameters
        ----------
        x : ndarray
            What the network put out.
        target : ndarray
            What it should have been.

        Returns
        -------
        float or ndarray
            A NumPy scalar; with ``reduction="none"`` one value a target.
        """
        if not self.training:
            return self._value(x, target)
        self._saved = None
        value = self._value(x, target)
        self._saved = ((x, target),)
        return value

    def backward(self, grad_output: float | Array = 1.0) -> Array:
        """Return the gradient of the loss by `x`.

        Parameters
        ----------
        grad_output : float or ndarray
            A factor; with ``reduction="none"`` an array of the loss's shape.

        Returns
        -------
        ndarray
            Shape and type of `x`.

        Raises
        ------
        RuntimeError
            In ``eval()`` mode, or when no ``forward`` came before.
        """
        x, target = kept(self)
        grad = self._gradient(grad_output, x, target)
        self._saved = None
        return grad

    def _value(self, x: Array, target: Array) -> Any:
        raise NotImplementedError

    def _gradient(self, grad_output: float | Array, x: Array, target: Array) -> Array:
        raise NotImplementedError


class CrossEntropyLoss(Loss):
    """Cross-entropy of softmax(x) and integer labels.

    Parameters
    ----------
    weight : ndarray, shape (C,), optional
        Weight of each class; the mean is the weighted one, as in PyTorch.
    ignore_index : int, optional
        Label that does not count.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        Share in [0, 1] of the target that is spread evenly over all classes.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> loss = nn.CrossEntropyLoss()
    >>> round(float(loss(np.zeros((2, 4)), np.array([0, 3]))), 4)
    1.3863
    >>> loss.backward()
    array([[-0.375,  0.125,  0.125,  0.125],
           [ 0.125,  0.125,  0.125, -0.375]])
    """

    def __init__(
        self,
        weight: Array | None = None,
        *,
        ignore_index: int | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.weight = None if weight is None else _class_weights("CrossEntropyLoss", "weight", weight)
        self.ignore_index = ignore_index
        if ignore_index is not None:
            self.ignore_index = _check.integer("CrossEntropyLoss", "ignore_index", ignore_index)
        self.reduction = _check.choice("CrossEntropyLoss", "reduction", reduction, _REDUCTIONS)
        self.label_smoothing = _check.real("CrossEntropyLoss", "label_smoothing", label_smoothing, 0, 1)

    def _value(self, x: Array, target: Array) -> Any:
        return F.cross_entropy(
            x,
            target,
            _in_type_of(x, self.weight),
            self.reduction,
            self.label_smoothing,
            ignore_index=self.ignore_index,
        )

    def _gradient(self, grad_output: float | Array, x: Array, target: Array) -> Array:
        return F.cross_entropy_backward(
            grad_output,
            x,
            target,
            _in_type_of(x, self.weight),
            self.reduction,
            self.label_smoothing,
            ignore_index=self.ignore_index,
        )


class MSELoss(Loss):
    """Mean square of the difference.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> loss = nn.MSELoss()
    >>> float(loss(np.array([1.0, 3.0]), np.array([1.0, 1.0])))
    2.0
    >>> loss.backward()
    array([0., 2.])
    """

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = _check.choice("MSELoss", "reduction", reduction, _REDUCTIONS)

    def _value(self, x: Array, target: Array) -> Any:
        return F.mse_loss(x, target, self.reduction)

    def _gradient(self, grad_output: float | Array, x: Array, target: Array) -> Array:
        return F.mse_loss_backward(grad_output, x, target, self.reduction)


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of sigmoid(x) and targets in [0, 1].

    Parameters
    ----------
    weight : ndarray, optional
        Weight of each value; broadcast to the shape of x.
    reduction : {"mean", "sum", "none"}
    pos_weight : ndarray, optional
        Weight of the positive part; broadcast to the shape of x.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> loss = nn.BCEWithLogitsLoss()
    >>> round(float(loss(np.zeros(2), np.array([0.0, 1.0]))), 4)
    0.6931
    >>> loss.backward()
    array([ 0.25, -0.25])
    """

    def __init__(self, weight: Array | None = None, reduction: str = "mean", pos_weight: Array | None = None) -> None:
        name = "BCEWithLogitsLoss"
        self.weight = None if weight is None else _class_weights(name, "weight", weight)
        self.pos_weight = None if pos_weight is None else _class_weights(name, "pos_weight", pos_weight)
        self.reduction = _check.choice(name, "reduction", reduction, _REDUCTIONS)

    def _value(self, x: Array, target: Array) -> Any:
        return F.binary_cross_entropy_with_logits(
            x, target, _in_type_of(x, self.weight), self.reduction, _in_type_of(x, self.pos_weight)
        )

    def _gradient(self, grad_output: float | Array, x: Array, target: Array) -> Array:
        return F.binary_cross_entropy_with_logits_backward(
            grad_output,
            x,
            target,
            _in_type_of(x, self.weight),
            self.reduction,
            _in_type_of(x, self.pos_weight),
        )


LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropyLoss,
    "mse": MSELoss,
    "bce_with_logits": BCEWithLogitsLoss,
}


def make_loss(name: str, **options: Any) -> Loss:
    """Return a loss by name; ValueError with the list of names for an unknown one.

    Parameters
    ----------
    name : {"cross_entropy", "mse", "bce_with_logits"}
    **options
        Arguments of the loss.

    Returns
    -------
    Loss

    Examples
    --------
    >>> make_loss("cross_entropy", label_smoothing=0.1).label_smoothing
    0.1
    """
    return LOSSES[_check.choice("make_loss", "name", name, LOSSES)](**options)


def _class_weights(owner: str, name: str, values: Array) -> Array:
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        raise TypeError(f"{owner}: {name} must be an array of floats, got {values!r}")
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"{owner}: {name} must be finite and >= 0, got {values!r}")
    return values


def _in_type_of(x: Array, weight: Array | None) -> Array | None:
    """Return the weight in the type of `x`, so that one loss serves networks of both types."""
    dtype = getattr(x, "dtype", None)
    if weight is None or dtype not in (np.float32, np.float64):  # the function says what is wrong with `x`
        return weight
    return weight.astype(dtype, copy=False)

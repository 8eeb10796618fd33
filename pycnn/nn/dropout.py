"""Dropout."""

import math
from typing import Any

from pycnn import functional as F

from . import _check
from ._types import Array, Rng, Shape
from .layer import ShapelessLayer


class Dropout(ShapelessLayer):
    """Set values to 0 with probability `p` and scale the others by ``1 / (1 - p)``.

    Parameters
    ----------
    p : float
        Probability in [0, 1].
    rng : Generator, int or None
        Source of the masks, kept as ``rng``. Layers that get the same seed draw the same masks; give them one
        Generator instead. ``Module.rng_states`` saves its state for a run that goes on bit for bit.

    Notes
    -----
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014. In
    ``eval()`` mode the input itself is returned, not a copy.

    Examples
    --------
    >>> import numpy as np
    >>> from pycnn import nn
    >>> drop = nn.Dropout(0.5, rng=0)
    >>> sorted(set(drop(np.ones(100)).tolist()))
    [0.0, 2.0]
    >>> drop.eval()(np.ones(2))
    array([1., 1.])
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        self.p = _check.real("Dropout", "p", p, 0, 1)
        self.rng = _check.generator("Dropout", rng)

    def _forward(self, x: Array, training: bool) -> tuple[Array, Any]:
        if not training:
            return _check.array("Dropout", x), None
        y, mask = F.dropout(x, self.p, True, rng=self.rng, return_mask=True)
        return y, mask

    def _backward(self, grad_output: Array, saved: Any, needs_input_grad: bool) -> Array | None:
        return F.dropout_backward(grad_output, saved, self.p) if needs_input_grad else None

    def _kept(self, *input_shapes: Shape) -> tuple[tuple[str, ...], int]:
        return (), math.prod(input_shapes[0])

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"p={self.p}"

"""Pooling compared in bits: images that take the general way, and what counts as equal."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def strided(x: Array) -> Array:
    """Return a copy of `x` with gaps between its columns."""
    gaps = np.zeros((*x.shape, 2), x.dtype)
    gaps[..., 0] = x
    return gaps[..., 0]


def same(a: Any, b: Any) -> None:
    """Check for the same bits; any NaN is as good as another."""
    np.testing.assert_array_equal(a, b)
    if a.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(a) & (a == 0), np.signbit(b) & (b == 0))

"""Checks of what a layer is built from, so that a mistake is reported where it is made.

What arrives at run time (arrays, shapes) is checked by `pycnn.functional`, whose helpers do the work here as
well.
"""

import math
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from pycnn.functional import _args

from ._types import Array, Ints, Padding

T = TypeVar("T")

integer = _args.index
integers = _args.per_axis
boolean = _args.flag


def array(name: str, x: Any) -> Array:
    """Return the input as an ndarray, for layers that pass it on as it is."""
    return _args.array(name, "x", x)


def as_given(owner: str, name: str, value: Ints, count: int, minimum: int) -> int | tuple[int, ...]:
    """Check like `integers`, but keep one int as one int: pooling layers print what they were given."""
    checked = integers(owner, name, value, count, minimum)
    return checked if isinstance(value, (tuple, list)) else checked[0]


def padding(owner: str, value: Padding, count: int) -> str | tuple[int, ...] | tuple[tuple[int, int], ...]:
    """Return padding as a name, as `count` ints or as `count` (before, after) pairs."""
    if isinstance(value, str):
        return choice(owner, "padding", value, ("valid", "same", "same_lower"))
    ones = (1,) * count
    pairs = _args.pads(owner, value, ones, ones, ones, ones)
    if isinstance(value, (tuple, list)) and any(isinstance(entry, (tuple, list)) for entry in value):
        return pairs
    return tuple(before for before, _ in pairs)


def real(
    owner: str,
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
) -> float:
    """Return `value` as a finite float in [low, high], or in (low, high] with `open_low`."""
    try:
        result = _args.number(owner, name, value)
        fits = low <= result <= high and not (open_low and result == low)
    except ValueError:  # NaN or infinite
        fits = False
    if not fits:
        raise ValueError(f"{owner}: {name} must be {_interval(low, high, open_low)}, got {value!r}")
    return result


def choice(owner: str, name: str, value: T, choices: Iterable[T]) -> T:
    """Return `value` if it is one of `choices`; the error lists them."""
    known = tuple(choices)
    if value not in known:
        raise ValueError(f"{owner}: {name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    return value


def float_dtype(owner: str, dtype: Any) -> np.dtype[Any]:
    """Return float32 or float64 as a dtype."""
    given: np.dtype[Any] = np.dtype(dtype)
    native: np.dtype[Any] = given.newbyteorder("=")
    if native not in _args.FLOATS:
        raise TypeError(f"{owner}: dtype must be float32 or float64, got {given}")
    return native


def generator(owner: str, rng: Any) -> np.random.Generator:
    """Return a Generator: the given one, one from an integer seed, or a fresh one for None."""
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(None if rng is None else integer(owner, "rng", rng, 0))


def _interval(low: float, high: float, open_low: bool) -> str:
    if low == -math.inf and high == math.inf:
        return "finite"
    if high == math.inf:
        return f"finite and {'>' if open_low else '>='} {low:g}"
    return f"in {'(' if open_low else '['}{low:g}, {high:g}]"

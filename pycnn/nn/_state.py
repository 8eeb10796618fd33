"""Helpers of ``state_dict`` and ``load_state_dict``: everything is checked before anything is written."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ._types import Array
from .parameter import Parameter

_SHOWN = 5


def array_of(module: object, name: str) -> Array:
    """Return the array behind an attribute that is a Parameter or a buffer."""
    value = getattr(module, name)
    values: Array = value.data if isinstance(value, Parameter) else value
    return values


def key_mismatch(missing: list[str], unexpected: list[str]) -> str:
    """Say which keys one side has and the other has not."""
    parts = []
    if missing:
        parts.append(f"missing {_some(missing)}")
    if unexpected:
        parts.append(f"unexpected {_some(unexpected)}")
    return "keys do not match: " + "; ".join(parts)


def fitting(owner: str, key: str, values: npt.ArrayLike, target: Array) -> Array:
    """Return a copy of `values` in the type of `target`, or raise because it does not fit."""
    array = np.asarray(values)
    if array.shape != target.shape:
        raise ValueError(f"{owner}: {key} must have shape {target.shape}, got {array.shape}")
    if array.dtype.kind not in "fiu" or not np.can_cast(array.dtype, target.dtype, casting="same_kind"):
        raise TypeError(f"{owner}: {key} must hold {target.dtype}, got {array.dtype}")
    if not target.flags.writeable:
        raise ValueError(f"{owner}: {key} of this module is a read-only array")
    return np.array(array, dtype=target.dtype)


def check_rng_state(owner: str, key: str, rng: np.random.Generator, state: Mapping[str, Any]) -> None:
    """Raise ValueError unless `state` is one that this kind of generator takes."""
    trial = type(rng.bit_generator)()
    try:
        trial.state = state
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"{owner}: {key} is not a state of {type(trial).__name__}: {error}") from None


def _some(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN]))
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"

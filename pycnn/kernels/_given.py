"""What calls take that is not the usual array: converted or refused. The slow part of `_call`."""

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from pycnn.kernels import _runtime

Array = np.ndarray[Any, Any]

LIMIT = 2**62  # of bytes, and of any single hyperparameter: what a signed 64-bit size can hold with room to add


def foreign_array(fn: str, name: str, value: Any) -> Array:
    """Return `value`, which is no plain ndarray, as one: array-likes of other libraries pass, lists do not."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{fn}: {name} must be a plain array, got a masked array")
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if isinstance(value, np.generic) or value is None or isinstance(value, (list, tuple, str, bytes, int, float)):
        raise TypeError(f"{fn}: {name} must be a NumPy array, got {type(value).__name__}")
    has_protocol = any(hasattr(value, p) for p in ("__array__", "__array_interface__", "__dlpack__"))
    if has_protocol or isinstance(value, memoryview) or hasattr(value, "__buffer__"):
        try:
            if hasattr(value, "__array__") or not hasattr(value, "__dlpack__"):
                return np.asarray(value)
            return np.asarray(np.from_dlpack(value))
        except Exception as error:
            raise TypeError(f"{fn}: {name} cannot be read as an array: {error}") from error
    try:
        return np.asarray(memoryview(value))
    except TypeError:
        raise TypeError(f"{fn}: {name} must be a NumPy array, got {type(value).__name__}") from None


def no_memory(fn: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NoReturn:
    """Raise what says that there is no memory for an output."""
    if math.prod(shape) * dtype.itemsize > LIMIT:
        raise ValueError(f"{fn}: an output of shape {shape} is too large")
    raise MemoryError(f"{fn}: no memory for an output of shape {shape} and type {dtype}")


def given_output(
    fn: str, out: Any, expected: tuple[int, ...], dtype: np.dtype[Any], inputs: Sequence[Array], name: str, dense: bool
) -> tuple[Array, Array | None]:
    """Return what `_call.output` does for an `out` that a user gave."""
    if type(out) is not np.ndarray:
        raise TypeError(f"{fn}: {name} must be a NumPy array, got {type(out).__name__}")
    if out.dtype != dtype or not out.dtype.isnative:
        raise ValueError(f"{fn}: {name} must have dtype {dtype}, got {out.dtype}")
    if out.shape != expected:
        raise ValueError(f"{fn}: {name} must have shape {expected}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{fn}: {name} is read-only")
    # Where the values of the last axis (of the last with several) are apart another kernel would sum, perhaps in
    # another order: other bits.
    steps = [step for step, size in zip(out.strides, out.shape, strict=True) if size > 1]
    in_lines = not steps or steps[-1] == out.itemsize
    written_in_place = (
        out.flags.aligned
        and (out.flags.c_contiguous or (in_lines and not dense))
        and 0 not in out.strides
        and not any(np.may_share_memory(out, x) for x in inputs)
    )
    return (out, None) if written_in_place else (_runtime.empty(expected, dtype), out)

"""The same numbers in other memory: strides, byte order, alignment, flags, foreign objects."""

from typing import Any

import numpy as np


class Subclass(np.ndarray):
    """An ndarray subclass that changes nothing."""


class ArrayMethod:
    """What another library's array may offer."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._values


class ArrayInterface:
    """The older protocol."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self.__array_interface__ = values.__array_interface__


class DLPack:
    """The exchange protocol of array libraries."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._values.__dlpack_device__()


def fortran(a: np.ndarray) -> np.ndarray:
    return np.asfortranarray(a)


def negative(a: np.ndarray) -> np.ndarray:
    backwards = (slice(None, None, -1),) * a.ndim
    return a[backwards].copy()[backwards]


def step(a: np.ndarray) -> np.ndarray:
    """Every third cell of the last axis, every second of the first, in memory full of something else."""
    if a.ndim == 0:
        return a
    shape = list(a.shape)
    shape[0] *= 2
    shape[-1] *= 3
    room = np.empty(shape, dtype=a.dtype)
    room.view(np.uint8)[...] = 0xFF if a.dtype.kind != "b" else 1
    view = room[::2][..., ::3]
    view[...] = a
    return view


def read_only(a: np.ndarray) -> np.ndarray:
    result = a.copy()
    result.flags.writeable = False
    return result


def swapped(a: np.ndarray) -> np.ndarray:
    return a.astype(a.dtype.newbyteorder("S"))


def unaligned(a: np.ndarray) -> np.ndarray:
    result = np.ndarray(a.shape, a.dtype, buffer=bytearray(a.nbytes + 1), offset=1)
    result[...] = a
    return result


def broadcast(a: np.ndarray) -> np.ndarray:
    """Zero stride along the first axis; other numbers."""
    if a.dtype.kind != "f" or a.ndim == 0 or a.shape[0] == 0:
        return a
    return np.broadcast_to(a[:1].copy(), a.shape)


def overlapping(a: np.ndarray) -> np.ndarray:
    """Neighbours in the last two axes share memory; other numbers."""
    if a.dtype.kind != "f" or a.ndim < 2 or 0 in a.shape:
        return a
    line = np.concatenate([a[..., :, 0], a[..., -1, 1:]], axis=-1)
    return np.lib.stride_tricks.sliding_window_view(line, a.shape[-1], axis=-1)


def subclass(a: np.ndarray) -> np.ndarray:
    return a.view(Subclass)


#: Forms of an ndarray, and foreign objects that hold one.
FORMS = {
    f.__name__: f for f in (fortran, negative, step, read_only, swapped, unaligned, broadcast, overlapping, subclass)
}
FOREIGN = {c.__name__: c for c in (ArrayMethod, ArrayInterface, DLPack)} | {"memoryview": memoryview}


def plain(a: Any) -> np.ndarray:
    """C-contiguous native copy."""
    return np.array(a, dtype=a.dtype.newbyteorder("="), order="C", subok=False)


def poison(dtype: np.dtype) -> Any:
    """What an output holds before the call."""
    return np.nan if dtype.kind == "f" else np.iinfo(dtype).max


def out_like(values: np.ndarray, form: str) -> tuple[np.ndarray, np.ndarray]:
    """A view to write `values` to, filled with poison, and the whole memory that it lies in."""
    if form == "contiguous" or values.ndim == 0:
        room = np.full(values.shape, poison(values.dtype), dtype=values.dtype)
        return room, room
    if form == "stepped":
        shape = tuple(2 * n + 1 for n in values.shape)
        room = np.full(shape, poison(values.dtype), dtype=values.dtype)
        return room[tuple(slice(1, 2 * n, 2) for n in values.shape)], room
    room = np.full(
        values.shape[::-1], poison(values.dtype), dtype=values.dtype
    )  # transposed, and the last axis backwards
    return room.T[..., ::-1], room

"""What the tests of the element-wise, softmax, loss and normalisation functions share."""

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import pycnn
from pycnn.kernels import _runtime

ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hardswish")
FORWARD = (
    *ACTIVATIONS,
    "softmax",
    "log_softmax",
    "cross_entropy",
    "mse_loss",
    "binary_cross_entropy_with_logits",
    "batch_norm",
    "local_response_norm",
    "dropout",
)
ALL = (*FORWARD, *(f"{name}_backward" for name in FORWARD))
ISAS = _runtime.available_isas()
FLOATS = (np.float32, np.float64)


@contextmanager
def isa(name: str) -> Iterator[None]:
    """Use one instruction set inside the block."""
    before = _runtime.active_isa()
    _runtime.select_isa(name)
    try:
        yield
    finally:
        _runtime.select_isa(before)


@contextmanager
def thread_count(n: int) -> Iterator[None]:
    """Use at most n threads inside the block."""
    before = pycnn.get_num_threads()
    pycnn.set_num_threads(n)
    try:
        yield
    finally:
        pycnn.set_num_threads(before)


@contextmanager
def poison() -> Iterator[None]:
    """Recycled memory comes filled with NaN inside the block."""
    _runtime.set_poison(True)
    try:
        yield
    finally:
        _runtime.set_poison(False)


def guarded(values: np.ndarray, at_end: bool = True) -> np.ndarray:
    """Copy `values` to where the memory before it, or behind it, is a page that may not be touched."""
    page = mmap.PAGESIZE
    room = -(-max(values.nbytes, 1) // page) * page
    memory = mmap.mmap(-1, room + 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for offset in (0, page + room):
        assert protect(ctypes.c_void_p(address + offset), ctypes.c_size_t(page), 0) == 0
    start = page + room - values.nbytes if at_end else page
    result = np.frombuffer(memory, values.dtype, values.size, start).reshape(values.shape)
    result[...] = values
    return result


def ulps(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance of `got` from the long double `exact`, in units in the last place of the rounded `exact`."""
    rounded = exact.astype(got.dtype)
    with np.errstate(all="ignore"):
        distance = np.abs(got.astype(np.longdouble) - exact) / np.spacing(np.abs(rounded)).astype(np.longdouble)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    return np.where(np.isfinite(rounded), distance, np.where(same, 0.0, np.inf)).astype(np.float64)


def bits(result: Any) -> bytes:
    """The bytes of one result or of several."""
    parts = result if isinstance(result, tuple) else (result,)
    return b"".join(np.asarray(part).tobytes() for part in parts if part is not None)

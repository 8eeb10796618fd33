"""The functions of pycnn.h through ctypes, so that they are tested where there is no compiler."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from pycnn.kernels import capi

Array = np.ndarray[Any, Any]
Size = ctypes.c_ssize_t
_WORDS = ["ok", "memory", "workspace", "pointer", "shape", "kernel", "stride", "dilation", "padding", "groups"]
STATUS = {name: value for value, name in enumerate([*_WORDS, "value_bytes", "window", "codes"])}


class Conv(ctypes.Structure):
    _fields_ = [(name, Size * 5) for name in ("x_shape", "x_steps", "y_shape", "y_steps")]
    _fields_ += [(name, Size * 3) for name in ("kernel", "stride", "pad", "dilation")]
    _fields_ += [("groups", Size)]


class Pool(ctypes.Structure):
    _fields_ = [(name, Size * 5) for name in ("x_shape", "x_steps", "y_shape", "y_steps", "code_steps")]
    _fields_ += [(name, Size * 3) for name in ("kernel", "stride", "dilation", "pad", "pad_after")]
    _fields_ += [("count_include_pad", ctypes.c_int), ("divisor", ctypes.c_double)]


class Gemm(ctypes.Structure):
    _fields_ = [(name, Size) for name in "mnk"] + [(f"{name}_steps", Size * 2) for name in "abc"]


PIECE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, Size, Size)


def _call(geometry: type[ctypes.Structure], arrays: int) -> Any:
    pointers = [ctypes.c_void_p] * (arrays + 1)
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(geometry), *pointers, ctypes.c_size_t)


def _query(geometry: type[ctypes.Structure]) -> Any:
    needed = ctypes.POINTER(ctypes.c_size_t)
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(geometry), ctypes.c_size_t, needed)


def _pair(name: str, kind: Any) -> list[tuple[str, Any]]:
    return [(f"{name}_f32", kind), (f"{name}_f64", kind)]


class Table(ctypes.Structure):
    _fields_ = [
        ("abi_version", ctypes.c_uint),
        ("bytes", ctypes.c_uint),
        ("strerror", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_int)),
        *[(f"conv_{name}_workspace", _query(Conv)) for name in ("forward", "backward_input", "backward_weight")],
        *_pair("conv_forward", _call(Conv, 4)),
        *_pair("conv_backward_input", _call(Conv, 4)),
        *_pair("conv_backward_weight", _call(Conv, 3)),
        ("pool_workspace", _query(Pool)),
        *_pair("max_pool_forward", _call(Pool, 3)),
        *_pair("max_pool_backward", _call(Pool, 3)),
        *_pair("avg_pool_forward", _call(Pool, 2)),
        *_pair("avg_pool_backward", _call(Pool, 2)),
        ("gemm_workspace", _query(Gemm)),
        *_pair("gemm", _call(Gemm, 4)),
        ("parallel_for", ctypes.CFUNCTYPE(None, PIECE, ctypes.c_void_p, Size)),
        ("num_threads", ctypes.CFUNCTYPE(Size)),
        ("limit_threads", ctypes.CFUNCTYPE(Size, Size)),
    ]


def table() -> Any:
    """Return the table that the capsule holds."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.cast(get(capi.table, b"pycnn.kernels.capi.table"), ctypes.POINTER(Table)).contents


def call(name: str, geometry: ctypes.Structure, arrays: Sequence[Array | None], workspace: Array | None = None) -> int:
    """Call the function for the arrays' type and return its status."""
    suffix = "_f64" if any(a is not None and a.dtype == np.float64 for a in arrays) else "_f32"
    places = [None if a is None else a.ctypes.data for a in arrays]
    memory, size = (None, 0) if workspace is None else (workspace.ctypes.data, workspace.nbytes)
    status: int = getattr(table(), name + suffix)(ctypes.byref(geometry), *places, memory, size)
    return status


def needed(name: str, geometry: ctypes.Structure, dtype: Any) -> int:
    """Return the bytes that `<name>_workspace` asks for."""
    found = ctypes.c_size_t(12345)
    status = getattr(table(), f"{name}_workspace")(ctypes.byref(geometry), np.dtype(dtype).itemsize, found)
    assert status == STATUS["ok"], table().strerror(status)
    return found.value


def volume(array: Array) -> tuple[list[int], list[int]]:
    """Return shape and steps of an (N, C, *spatial) array as five axes."""
    shape, steps = list(array.shape), [s // array.itemsize for s in array.strides]
    while len(shape) < 5:
        shape.insert(2, 1)
        steps.insert(2, 0)
    return shape, steps


def conv(x: Array, w: Array, y: Array, stride: int = 1, pad: int = 0, dilation: int = 1, groups: int = 1) -> Conv:
    """Return the geometry of a convolution of (N, C, H, W) views."""
    g = Conv()
    for name, array in (("x", x), ("y", y)):
        shape, steps = volume(array)
        getattr(g, f"{name}_shape")[:] = shape
        getattr(g, f"{name}_steps")[:] = steps
    g.kernel[:] = (1, 1, 1, *w.shape[2:])[-3:]
    g.stride[:], g.pad[:], g.dilation[:] = (1, stride, stride), (0, pad, pad), (1, dilation, dilation)
    g.groups = groups
    return g


def pool(x: Array, y: Array, kernel: int, stride: int, pad: int = 0, dilation: int = 1) -> Pool:
    """Return the geometry of a pooling of (N, C, H, W) views; codes lie as y does."""
    g = Pool()
    for name, array in (("x", x), ("y", y)):
        shape, steps = volume(array)
        getattr(g, f"{name}_shape")[:] = shape
        getattr(g, f"{name}_steps")[:] = steps
    g.code_steps[:] = g.y_steps[:]
    g.kernel[:], g.stride[:], g.dilation[:] = (1, kernel, kernel), (1, stride, stride), (1, dilation, dilation)
    g.pad[:] = g.pad_after[:] = (0, pad, pad)
    return g


def gemm(a: Array, b: Array, c: Array) -> Gemm:
    """Return the geometry of a product of matrices."""
    g = Gemm(c.shape[0], c.shape[1], a.shape[1])
    for name, array in (("a", a), ("b", b), ("c", c)):
        getattr(g, f"{name}_steps")[:] = [s // array.itemsize for s in array.strides]
    return g

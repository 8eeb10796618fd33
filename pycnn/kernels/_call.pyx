# What a call costs beside its arithmetic is spent here, so it is compiled: arrays are read and checked, hyperparameters
# looked up.

from cython cimport auto_pickle
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_SIMPLE, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer

from pycnn.kernels._runtime cimport empty

import numpy as np

from pycnn.kernels._given import foreign_array, given_output, no_memory

cdef object _ndarray = np.ndarray
cdef object _float32 = np.dtype(np.float32)
cdef object _float64 = np.dtype(np.float64)
FLOATS = (_float32, _float64)

# Buffers are released at once: the memory stays for as long as the array, which the caller of the kernel holds.

cdef int read_volume(View* v, object array, tuple order, Py_ssize_t size=0) except -1:
    cdef Py_buffer b
    cdef Py_ssize_t a, axis, i = 0
    PyObject_GetBuffer(array, &b, PyBUF_C_CONTIGUOUS if order is None else PyBUF_STRIDES)
    try:
        if not 2 <= b.ndim <= 5 or (order is not None and len(order) != b.ndim):
            raise ValueError(f"pycnn: a kernel got an array of {b.ndim} axes")
        if size and b.itemsize != size:
            raise ValueError(f"pycnn: a kernel got values of {b.itemsize} bytes for some of {size}")
        v.data = b.buf
        v.size = b.itemsize
        for a in range(5):
            v.shape[a] = 1
            v.steps[a] = 0
            if a < 2 or a >= 7 - b.ndim:
                axis = i if order is None else order[i]
                i += 1
                v.shape[a] = b.shape[axis]
                v.steps[a] = b.strides[axis] // b.itemsize
    finally:
        PyBuffer_Release(&b)
    return 0


cdef int read_matrix(View* v, object array) except -1:
    cdef Py_buffer b
    cdef Py_ssize_t a
    PyObject_GetBuffer(array, &b, PyBUF_STRIDES)
    try:
        if b.ndim != 2:
            raise ValueError(f"pycnn: a kernel got an array of {b.ndim} axes")
        v.data = b.buf
        v.size = b.itemsize
        for a in range(2):
            v.shape[a] = b.shape[a]
            v.steps[a] = b.strides[a] // b.itemsize
    finally:
        PyBuffer_Release(&b)
    return 0


cdef int read_flat(Flat* f, object array) except -1:
    cdef Py_buffer b
    PyObject_GetBuffer(array, &b, PyBUF_SIMPLE)
    f.data = b.buf
    f.size = b.itemsize
    f.count = b.len // b.itemsize
    PyBuffer_Release(&b)
    return 0


cdef void* values(object array, Py_ssize_t size, Py_ssize_t count) except? NULL:
    cdef Flat f
    if array is None:
        return NULL
    read_flat(&f, array)
    if f.size != size or f.count != count:
        raise ValueError(f"pycnn: a kernel got {f.count} values of {f.size} bytes for {count} of {size}")
    return f.data


# ---- arrays that a user gave

cpdef object array(str fn, str name, value):
    """Return `value` as an ndarray: arrays and array-likes of other libraries pass, lists and masked arrays do not."""
    if type(value) is not _ndarray:
        value = foreign_array(fn, name, value)
    if not value.dtype.isnative or not value.flags.aligned:
        value = value.astype(value.dtype.newbyteorder("="), order="C")
    return value


cpdef object float_array(str fn, str name, value, dtype=None):
    """Return `value` as a float32 or float64 ndarray; `dtype`, where given, is the type it has to have."""
    value = array(fn, name, value)
    found = value.dtype
    if found is not _float32 and found is not _float64 and found not in FLOATS:
        raise TypeError(f"{fn}: {name} must be float32 or float64, got {found}")
    if dtype is not None and found is not dtype and found != dtype:
        raise TypeError(f"{fn}: {name} must have the dtype of the other arrays, {dtype}, got {found}")
    return value


def input_and_weight(str fn, x, weight):
    """Return both as float32 or float64 ndarrays of one dtype."""
    x = float_array(fn, "x", x)
    weight = float_array(fn, "weight", weight)
    check_input_dtype(fn, x, "weight", weight)
    return x, weight


cpdef object check_input_dtype(str fn, x, str name, parameter):
    """Raise where x is not of the parameter's float dtype: the weights of a network stay, what it is fed can change."""
    found = x.dtype
    dtype = getattr(parameter, "dtype", found)
    if dtype is not found and dtype != found and dtype in FLOATS:
        raise TypeError(
            f"{fn}: x must have the dtype of {name}, {dtype}, got {found}; x.astype(np.{dtype}) converts")


cpdef object check_shape(str fn, str name, value, expected):
    """Raise unless `value` has the shape `expected`."""
    if value.shape != tuple(expected):
        raise ValueError(f"{fn}: {name} must have shape {tuple(expected)}, got {value.shape}")


def vector(str fn, str name, value, dtype, Py_ssize_t count):
    """Return an optional array of `count` values of `dtype`, contiguous."""
    if value is None:
        return None
    value = float_array(fn, name, value, dtype)
    check_shape(fn, name, value, (count,))
    return value if value.flags.c_contiguous else value.copy()


# ---- results

cpdef tuple output(str fn, out, tuple expected, dtype, inputs=(), str name="out", bint dense=False):
    """Return (array to write, array to copy it to afterwards or None); `dense`: the first one is C-contiguous.

    `out=None` gives recycled memory. An `out` that shares memory with an input is written through a copy, so the result
    is as if the inputs had been copied first: call `finish` with both when the kernel is done.
    """
    if out is None:
        try:
            return empty(expected, dtype), None
        except MemoryError:
            pass
        no_memory(fn, expected, dtype)
    return given_output(fn, out, expected, dtype, inputs, name, dense)


def finish(written, target):
    """Copy the result to where the caller wants it, if that is elsewhere."""
    if target is None:
        return written
    np.copyto(target, written)
    return target


# ---- what shapes and hyperparameters decide

# Whether equal values mean the same argument: 1, True and 1.0 are equal, and only 1 is an int.
cdef bint _plain(value):
    cdef object part
    if type(value) is tuple:
        for part in <tuple> value:
            if not _plain(part):
                return False
        return True
    return type(value) is int or type(value) is str


@auto_pickle(False)
cdef class remembered:
    """Keep the results of a check of shapes and hyperparameters: a call with known ones costs a look-up.

    Only what a plain int, string, bool, None or tuple of ints and strings decides is kept, and errors are not.
    """
    cdef object check
    cdef dict memory

    def __init__(self, check):
        self.check = check
        self.memory = {}

    def __call__(self, *args):
        cdef Py_ssize_t i, bools = 0
        cdef object key = args
        for i in range(len(args)):
            if type(args[i]) is bool:
                bools |= <Py_ssize_t> 1 << i
            elif args[i] is not None and not _plain(args[i]):
                return self.check(*args)
        if bools:
            key = args, bools
        found = self.memory.get(key)
        if found is None:
            found = self.check(*args)
            if len(self.memory) >= 1024:
                self.memory.clear()
            self.memory[key] = found
        return found

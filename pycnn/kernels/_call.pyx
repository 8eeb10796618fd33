# What a call costs beside its arithmetic is spent here, so it is compiled: arrays are read and checked, hyperparameters
# looked up.

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_SIMPLE, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer


# Buffers are released at once: the memory stays for as long as the array, which the caller of the kernel holds.

cdef int read_volume(View* v, object array, tuple order) except -1:
    cdef Py_buffer b
    cdef Py_ssize_t a, axis, i = 0
    PyObject_GetBuffer(array, &b, PyBUF_C_CONTIGUOUS if order is None else PyBUF_STRIDES)
    try:
        if not 3 <= b.ndim <= 5 or (order is not None and len(order) != b.ndim):
            raise ValueError(f"pycnn: a kernel got an array of {b.ndim} axes")
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


cdef void* values(object array, Py_ssize_t size, Py_ssize_t count) except? NULL:
    cdef Py_buffer b
    if array is None:
        return NULL
    PyObject_GetBuffer(array, &b, PyBUF_SIMPLE)
    PyBuffer_Release(&b)
    if b.itemsize != size or b.len != size * count:
        raise ValueError(f"pycnn: a kernel got {b.len} bytes for {count} values of {size}")
    return b.buf

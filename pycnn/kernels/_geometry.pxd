# Sizes and steps of a convolution, as every kernel gets them.

from pycnn.kernels._call cimport View, read_volume

ctypedef struct Geometry:
    Py_ssize_t x_shape[5]  # (N, C, D, H, W)
    Py_ssize_t x_steps[5]  # in elements
    Py_ssize_t y_shape[5]  # (N, F, OD, OH, OW)
    Py_ssize_t y_steps[5]
    Py_ssize_t kernel[3]   # of (D, H, W), as the rest
    Py_ssize_t stride[3]
    Py_ssize_t pad[3]      # before the first cell
    Py_ssize_t dilation[3]
    Py_ssize_t groups


# Where the values are, `size` bytes each.
ctypedef struct Operands:
    void* x
    void* w
    void* y
    Py_ssize_t size


# `order`: axes (N, C, *spatial) of x and y; w is contiguous. `numbers`: stride, pad before and dilation, each for D, H
# and W, and the groups.
cdef inline int read_geometry(Geometry* q, Operands* at, x, w, y, tuple order, tuple numbers) except -1:
    cdef View xv, wv, yv
    cdef Py_ssize_t a
    read_volume(&xv, x, order)
    read_volume(&wv, w, None, xv.size)
    read_volume(&yv, y, order, xv.size)
    at.x, at.w, at.y, at.size = xv.data, wv.data, yv.data, xv.size
    for a in range(5):
        q.x_shape[a] = xv.shape[a]
        q.x_steps[a] = xv.steps[a]
        q.y_shape[a] = yv.shape[a]
        q.y_steps[a] = yv.steps[a]
    for a in range(3):
        q.kernel[a] = wv.shape[a + 2]
        q.stride[a] = numbers[a]
        q.pad[a] = numbers[3 + a]
        q.dilation[a] = numbers[6 + a]
    q.groups = numbers[9]
    return 0


# Whether the input and the output both have values.
cdef inline bint has_values(const Geometry* q) noexcept nogil:
    cdef Py_ssize_t a
    for a in range(5):
        if q.x_shape[a] == 0 or q.y_shape[a] == 0:
            return False
    return True


# Whether the volume is one image, unpadded, under a kernel of one image.
cdef inline bint is_flat(const Geometry* q) noexcept nogil:
    return q.x_shape[2] == 1 and q.y_shape[2] == 1 and q.kernel[0] == 1 and q.pad[0] == 0


# Whether groups have one channel and few filters each, as conv_depthwise.pyx wants them.
cdef inline bint is_depthwise(const Geometry* q) noexcept nogil:
    return q.x_shape[1] == q.groups and q.y_shape[1] <= 3 * q.groups

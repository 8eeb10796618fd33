# Sizes and steps of a convolution, as every kernel gets them.

from cython cimport floating

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


cdef inline int read_geometry(Geometry* q, const floating[:, :, :, :, :] x, const floating[:, :, :, :, ::1] w,
                              const floating[:, :, :, :, :] y, tuple stride, tuple pad, tuple dilation,
                              Py_ssize_t groups) except -1:
    cdef Py_ssize_t a
    for a in range(5):
        q.x_shape[a] = x.shape[a]
        q.x_steps[a] = x.strides[a] // <Py_ssize_t> sizeof(floating)
        q.y_shape[a] = y.shape[a]
        q.y_steps[a] = y.strides[a] // <Py_ssize_t> sizeof(floating)
    for a in range(3):
        q.kernel[a] = w.shape[a + 2]
        q.stride[a] = stride[a]
        q.pad[a] = pad[a]
        q.dilation[a] = dilation[a]
    q.groups = groups
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

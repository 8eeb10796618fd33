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

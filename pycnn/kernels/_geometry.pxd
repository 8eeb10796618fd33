# Sizes and steps of a convolution, as every kernel gets them, and whether they make sense.

from pycnn.kernels._call cimport View, read_volume
from pycnn.kernels._integers cimport quotient, remainder, too_many_bytes
from pycnn.kernels._pycnn_h cimport (
    ConvGeometry as Geometry, PYCNN_ERROR_DILATION, PYCNN_ERROR_GROUPS, PYCNN_ERROR_KERNEL, PYCNN_ERROR_PADDING,
    PYCNN_ERROR_POINTER, PYCNN_ERROR_SHAPE, PYCNN_ERROR_STRIDE, PYCNN_ERROR_VALUE_BYTES, PYCNN_OK,
)

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


cdef enum:
    FARTHEST = 0x7FFFFFFF  # cells from the first one that a window may reach
    TAP_BYTES = 80         # that are kept of each tap
    SPARE = 64             # filters and channels that packed weights may have more

cdef inline bint is_empty(const Py_ssize_t* shape) noexcept nogil:
    return shape[0] == 0 or shape[1] == 0 or shape[2] == 0 or shape[3] == 0 or shape[4] == 0


# Whether the input and the output both have values.
cdef inline bint has_values(const Geometry* q) noexcept nogil:
    return not is_empty(q.x_shape) and not is_empty(q.y_shape)


# The rules for one axis with `windows` of them: nothing that is then computed overflows.
cdef inline int check_windows(Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t dilation, Py_ssize_t pad,
                              Py_ssize_t windows) noexcept nogil:
    if kernel < 1:
        return PYCNN_ERROR_KERNEL
    if stride < 1 or (windows > 1 and <double> stride * (windows - 1) > FARTHEST):
        return PYCNN_ERROR_STRIDE
    if dilation < 1 or (kernel > 1 and <double> dilation * (kernel - 1) > FARTHEST):
        return PYCNN_ERROR_DILATION
    if pad < 0 or pad > FARTHEST:
        return PYCNN_ERROR_PADDING
    return PYCNN_OK


# The first rule of pycnn.h that a geometry breaks, or PYCNN_OK.
cdef inline int check_geometry(const Geometry* q, size_t value_bytes) noexcept nogil:
    cdef double x = 1, y = 1, w = 1
    cdef Py_ssize_t a
    cdef int status
    if q == NULL:
        return PYCNN_ERROR_POINTER
    if value_bytes != sizeof(float) and value_bytes != sizeof(double):
        return PYCNN_ERROR_VALUE_BYTES
    for a in range(5):
        if q.x_shape[a] < 0 or q.y_shape[a] < 0:
            return PYCNN_ERROR_SHAPE
        x *= q.x_shape[a]
        y *= q.y_shape[a]
    for a in range(3):
        status = check_windows(q.kernel[a], q.stride[a], q.dilation[a], q.pad[a], q.y_shape[2 + a])
        if status != PYCNN_OK:
            return status
        w *= q.kernel[a]
    if too_many_bytes(w * TAP_BYTES):
        return PYCNN_ERROR_KERNEL
    if q.groups < 1 or remainder(q.x_shape[1], q.groups) or remainder(q.y_shape[1], q.groups):
        return PYCNN_ERROR_GROUPS
    w *= (<double> q.y_shape[1] + SPARE * <double> q.groups) * (quotient(q.x_shape[1], q.groups) + SPARE)
    if q.x_shape[0] != q.y_shape[0] or too_many_bytes(max(x, y, w) * value_bytes):
        return PYCNN_ERROR_SHAPE
    return PYCNN_OK


# The same for a question after the size of a workspace, which is set to 0.
cdef inline int check_query(const Geometry* q, size_t value_bytes, size_t* needed) noexcept nogil:
    if needed == NULL:
        return PYCNN_ERROR_POINTER
    needed[0] = 0
    return check_geometry(q, value_bytes)


# Channels and filters of a group.
cdef inline Py_ssize_t group_channels(const Geometry* q) noexcept nogil:
    return quotient(q.x_shape[1], q.groups)


cdef inline Py_ssize_t group_filters(const Geometry* q) noexcept nogil:
    return quotient(q.y_shape[1], q.groups)


# Whether the volume is one image, unpadded, under a kernel of one image.
cdef inline bint is_flat(const Geometry* q) noexcept nogil:
    return q.x_shape[2] == 1 and q.y_shape[2] == 1 and q.kernel[0] == 1 and q.pad[0] == 0


# Whether groups have one channel and few filters each, as conv_depthwise.pyx wants them.
cdef inline bint is_depthwise(const Geometry* q) noexcept nogil:
    return q.x_shape[1] == q.groups and q.y_shape[1] <= 3 * q.groups

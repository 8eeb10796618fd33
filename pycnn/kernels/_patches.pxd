# A convolution as a sum over taps: see _patches.pyx.

from cython cimport floating

from pycnn.kernels._runtime cimport Piece

ctypedef struct Taps:
    Py_ssize_t count
    Py_ssize_t* offset  # [tap]: elements from a pixel's own place in src to the value that the tap reads
    Py_ssize_t* weight  # [tap]: elements from the weight of a (row, channel) to the tap's
    Py_ssize_t* lo      # [tap * 4 + axis]: the pixels for which the tap reads inside src are lo .. hi - 1 on each axis
    Py_ssize_t* hi

# Sizes and steps of one sum over taps: out[g, m, p] = sum_{c, t} src[g, c, p + t] * w[g, m, c, t]. Steps in elements.
ctypedef struct Patches:
    Py_ssize_t groups, rows, channels
    Py_ssize_t extent[4]  # pixels on each axis, the last one runs fastest
    Py_ssize_t pixels
    Py_ssize_t src_group, src_channel
    Py_ssize_t src_pixel[4]
    Py_ssize_t dst_group, dst_row
    Py_ssize_t dst_pixel[4]
    Py_ssize_t w_group, w_row, w_channel
    Taps taps

# Pixels that lie side by side on the last axis, a part of a panel.
ctypedef struct Run:
    Py_ssize_t begin, length  # within the panel
    Py_ssize_t place[4]       # of the first pixel
    Py_ssize_t src, dst       # elements from the beginning

cdef Py_ssize_t find_runs(const Patches* p, Py_ssize_t first, Py_ssize_t count, Run* runs) noexcept nogil

# Whether tap t reads inside src for each pixel of the run.
cdef bint all_inside(const Patches* p, const Run* run, Py_ssize_t t) noexcept nogil

cdef void pack_columns(const Patches* p, const floating* src, const Run* runs, Py_ssize_t n_runs,
                       Py_ssize_t c0, Py_ssize_t c1, Py_ssize_t t0, Py_ssize_t t1,
                       floating* panel, Py_ssize_t width, Piece* pieces) noexcept nogil

cdef void pack_row(const Patches* p, const floating* src, const Run* runs, Py_ssize_t n_runs, Py_ssize_t c,
                   Py_ssize_t t, floating* row, Piece* pieces) noexcept nogil

cdef bint forward_patches(Patches* p, const Py_ssize_t* x_shape, const Py_ssize_t* x_steps, const Py_ssize_t* y_shape,
                          const Py_ssize_t* y_steps, const Py_ssize_t* kernel, const Py_ssize_t* stride,
                          const Py_ssize_t* pad, const Py_ssize_t* dilation, Py_ssize_t groups) noexcept nogil

cdef bint backward_patches(Patches* p, const Py_ssize_t* x_shape, const Py_ssize_t* x_steps, const Py_ssize_t* y_shape,
                           const Py_ssize_t* y_steps, const Py_ssize_t* kernel, const Py_ssize_t* stride,
                           const Py_ssize_t* pad, const Py_ssize_t* dilation, Py_ssize_t groups,
                           const Py_ssize_t* phase, Py_ssize_t* dst_offset) noexcept nogil

cdef void free_patches(Patches* p) noexcept nogil

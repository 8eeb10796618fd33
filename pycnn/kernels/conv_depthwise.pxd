# Convolution of single planes: see conv_depthwise.pyx.

from cython cimport floating

from pycnn.kernels._geometry cimport Geometry
from pycnn.kernels._runtime cimport Direct, Window
from pycnn.kernels._winograd cimport Plane

cdef enum:
    MOST_COLUMNS = 64  # of a kernel

# Along one axis, the outputs of one phase: output t has its taps at source cells t * stride + first + i * step, with
# the weights weight + i * weight_step.
ctypedef struct Axis:
    Py_ssize_t outputs, count, first, step, weight, weight_step

# What a convolution, or its gradient for the input, does with a plane. [2]: rows, columns.
ctypedef struct PlaneSum:
    Plane src, dst
    Py_ssize_t images, slices, groups, rows, channels  # rows: of dst, channels: of src, in a group
    Py_ssize_t phases[2]               # of dst: the stride, in the gradient
    Py_ssize_t stride[2]               # of src: the stride, in the convolution
    Axis axis[2][2]                    # [rows, columns][phase]
    Py_ssize_t low[2]                  # source cell that the first output's first tap sees, of all phases
    Py_ssize_t span[2]                 # from there to the last tap's
    Py_ssize_t column[2][MOST_COLUMNS]  # [phase]: of taps, in the copy
    Py_ssize_t lead                    # places of a row of the copy before cell 0, or cells left out
    Py_ssize_t width, pitch            # of a row of the copy: of a phase of the stride, of all
    Py_ssize_t stripe, stripes         # rows of outputs (of a phase) that are made at once
    Py_ssize_t plane                   # values of a copy
    bint in_place                      # no copy: no tap is outside

# The outputs of axis a (1: rows, 2: columns), in the gradient for the input those of one phase of the stride.
cdef Axis forward_axis(const Geometry* q, Py_ssize_t a) noexcept nogil
cdef Axis backward_axis(const Geometry* q, Py_ssize_t a, Py_ssize_t phase) noexcept nogil

# False where the present code is not made for it.
cdef bint plan_planes(PlaneSum* p, const Geometry* q, bint backward, Py_ssize_t vl, size_t value_size) noexcept nogil

# What planes_sum and planes_products need of a convolution, or of its gradient for the input with the `stride` of what
# is read; all but how planes follow each other. False where these are not made for it.
cdef bint plan_direct(Direct* d, const Geometry* q, const Plane* src, const Plane* dst,
                      Py_ssize_t stride) noexcept nogil

# One stripe of one plane, between zeros: its rows from t0 to t1 - 1 see rows of `copy`. Returns what to give as src.
cdef const floating* copy_plane(const PlaneSum* p, const floating* src, Py_ssize_t t0, Py_ssize_t t1,
                                floating* copy) noexcept nogil

# The window of phases (row, column) for outputs t0 .. t1 - 1; where its taps begin in what copy_plane returns.
cdef Py_ssize_t find_window(const PlaneSum* p, Window* window, Py_ssize_t row, Py_ssize_t column, Py_ssize_t t0,
                            Py_ssize_t t1) noexcept nogil

# 1: dst is written; 0: no memory; -1: not for this code.
cdef int depthwise_run(const Geometry* q, bint backward, const floating* src, const floating* w, const floating* bias,
                       floating* dst) noexcept nogil

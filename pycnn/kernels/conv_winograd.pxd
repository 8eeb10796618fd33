# 3x3 convolution by Winograd's algorithm: see conv_winograd.pyx.

from cython cimport floating

from pycnn.kernels._geometry cimport Geometry

cdef enum Pass:
    FORWARD, BACKWARD_INPUT, BACKWARD_WEIGHT

# Which algorithm a pass takes: tiles of 2 or 4 outputs a side; 0: the direct sum.
cdef Py_ssize_t winograd_tile(const Geometry* q, Pass which) noexcept nogil

# 1: dst is written; 0: no memory; -1: a result is not finite, so the direct sum has to say where.
cdef int winograd_run(const Geometry* q, Py_ssize_t m, bint backward, const floating* src, const floating* w,
                      const floating* bias, floating* dst) noexcept nogil

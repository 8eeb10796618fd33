# The weight gradient of a 3x3 convolution by Winograd's algorithm: see conv_winograd_weight.pyx.

from cython cimport floating

from pycnn.kernels._geometry cimport Geometry

# 1: dw is written; 0: no memory; -1: a result is not finite, so the direct sum has to say where.
cdef int winograd_weight_run(const Geometry* q, Py_ssize_t m, const floating* x, const floating* dy,
                             floating* dw) noexcept nogil

# The weight gradient with the filters side by side: see conv_filters_weight.pyx.

from cython cimport floating

from pycnn.kernels._geometry cimport Geometry

# 1: dw is written; 0: no memory; -1: not to be computed here.
cdef int filters_weight_run(const Geometry* q, const floating* x, const floating* dy, floating* dw) noexcept nogil

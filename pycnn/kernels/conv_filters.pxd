# Convolution with the filters side by side: see conv_filters.pyx.

from cython cimport floating

from pycnn.kernels._geometry cimport Geometry

# The forward pass or, `backward`, the gradient for the input. 1: dst is written; 0: no memory; -1: not to be computed
# here.
cdef int filters_run(const Geometry* q, bint backward, const floating* src, const floating* w, const floating* bias,
                     floating* dst) noexcept nogil

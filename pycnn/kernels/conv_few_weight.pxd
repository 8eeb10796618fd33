# The weight gradient of sums with few products: see conv_few_weight.pyx.

from cython cimport floating

from pycnn.kernels._geometry cimport Geometry

# 1: dw is written; 0: no memory; -1: not to be computed here, or a result is not finite, so the packed sum has to say
# where.
cdef int few_weight_run(const Geometry* q, const floating* x, const floating* dy, floating* dw) noexcept nogil

# The gradient for the weights of a convolution of single planes: see conv_depthwise_weight.pyx.

from cython cimport floating

from pycnn.kernels._geometry cimport Geometry

# 1: dw is written; 0: no memory; -1: not for this code.
cdef int depthwise_weight_run(const Geometry* q, const floating* x, const floating* dy, floating* dw) noexcept nogil

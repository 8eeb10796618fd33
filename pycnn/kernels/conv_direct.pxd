# Convolution on planes, without packed panels: see conv_direct.pyx.

from cython cimport floating

from pycnn.kernels._geometry cimport Geometry

# Whether the forward pass, or the gradient for the input, is to be computed here.
cdef bint direct_applies(floating* tag, const Geometry* q, bint backward) noexcept nogil

# 1: dst is written; 0: no memory.
cdef bint direct_run(const Geometry* q, bint backward, const floating* src, const floating* w, const floating* bias,
                     floating* dst) noexcept nogil

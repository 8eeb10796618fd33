# Depthwise convolution with channels side by side: see conv_depthwise_channels.pyx.

from cython cimport floating

from pycnn.kernels._geometry cimport Geometry

# 1: dst, or dw, is written; 0: no memory; -1: not for this code.
cdef int channels_run(const Geometry* q, bint backward, const floating* src, const floating* w, const floating* bias,
                      floating* dst) noexcept nogil
cdef int channels_weight_run(const Geometry* q, const floating* x, const floating* dy, floating* dw) noexcept nogil

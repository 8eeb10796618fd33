# Convolution with few rows a group, depthwise above all: see conv_thin.pyx.

from cython cimport floating

from pycnn.kernels._patches cimport Patches

cdef bint is_thin(const Patches* p) noexcept nogil

cdef bint run_thin(const Patches* p, const floating* src, const floating* w, const floating* bias,
                   floating* dst) noexcept nogil

# The poolings that most networks have, of C-contiguous images: see pooling_planes.pyx.

from pycnn.kernels._call cimport View
from pycnn.kernels.pooling_common cimport Axis

# Maxima and, where `codes` is not NULL, their places within the windows. False: not to be computed here.
cdef bint max_planes(const View* x, const View* y, const View* codes, const Axis* d, const Axis* h,
                     const Axis* w) noexcept nogil
cdef bint max_planes_backward(const View* dy, const View* codes, const View* dx, const Axis* d, const Axis* h,
                              const Axis* w) noexcept nogil

# Means; `padded`: the declared padding counts; `divisor`: of every window, 0 for what is counted. 1: done; 0: no
# memory; -1: not to be computed here.
cdef int mean_planes(const View* x, const View* y, const Axis* d, const Axis* h, const Axis* w, bint padded,
                     double divisor) noexcept nogil
cdef int mean_planes_backward(const View* dy, const View* dx, const Axis* d, const Axis* h, const Axis* w, bint padded,
                              double divisor) noexcept nogil

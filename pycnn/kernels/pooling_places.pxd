# Whether what a caller gives as places can be used as such.

from pycnn.kernels._pycnn_h cimport PoolGeometry

# Whether each code names a tap of its window that falls on a cell; at most 255 taps.
cdef bint codes_fit(const PoolGeometry* g, const unsigned char* codes) noexcept nogil

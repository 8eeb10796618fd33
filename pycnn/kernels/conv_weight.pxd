# The gradient of a convolution for its weight, as pycnn.h has it.

from pycnn.kernels._geometry cimport Geometry

cdef int conv_backward_weight_f32(const Geometry* q, const float* dy, const float* x, float* dw, void* workspace,
                                  size_t n) noexcept nogil
cdef int conv_backward_weight_f64(const Geometry* q, const double* dy, const double* x, double* dw, void* workspace,
                                  size_t n) noexcept nogil
cdef int conv_backward_weight_workspace(const Geometry* q, size_t value_bytes, size_t* needed) noexcept nogil

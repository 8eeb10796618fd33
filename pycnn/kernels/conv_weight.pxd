# The gradient of a convolution for its weight, as pycnn.h has it.

from pycnn.kernels._pycnn_h cimport ConvGeometry

cdef int conv_backward_weight_f32(const ConvGeometry* q, const float* dy, const float* x, float* dw, void* workspace,
                                  size_t n) noexcept nogil
cdef int conv_backward_weight_f64(const ConvGeometry* q, const double* dy, const double* x, double* dw, void* workspace,
                                  size_t n) noexcept nogil
cdef int conv_backward_weight_workspace(const ConvGeometry* q, size_t value_bytes, size_t* needed) noexcept nogil

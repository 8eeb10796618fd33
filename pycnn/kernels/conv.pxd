# Convolution and its gradient for the input, as pycnn.h has them.

from pycnn.kernels._pycnn_h cimport ConvGeometry

cdef int conv_forward_f32(const ConvGeometry* q, const float* x, const float* w, const float* bias, float* y,
                          void* workspace, size_t n) noexcept nogil
cdef int conv_forward_f64(const ConvGeometry* q, const double* x, const double* w, const double* bias, double* y,
                          void* workspace, size_t n) noexcept nogil
cdef int conv_forward_workspace(const ConvGeometry* q, size_t value_bytes, size_t* needed) noexcept nogil

cdef int conv_backward_input_f32(const ConvGeometry* q, const float* dy, const float* w, const float* bias, float* dx,
                                 void* workspace, size_t n) noexcept nogil
cdef int conv_backward_input_f64(const ConvGeometry* q, const double* dy, const double* w, const double* bias,
                                 double* dx, void* workspace, size_t n) noexcept nogil
cdef int conv_backward_input_workspace(const ConvGeometry* q, size_t value_bytes, size_t* needed) noexcept nogil

# Products of matrices, as pycnn.h has them.

from pycnn.kernels._pycnn_h cimport GemmGeometry

cdef int gemm_f32(const GemmGeometry* q, const float* a, const float* b, const float* bias, float* c, void* workspace,
                  size_t n) noexcept nogil
cdef int gemm_f64(const GemmGeometry* q, const double* a, const double* b, const double* bias, double* c,
                  void* workspace, size_t n) noexcept nogil
cdef int gemm_workspace(const GemmGeometry* q, size_t value_bytes, size_t* needed) noexcept nogil

# Max and average pooling and their gradients, as pycnn.h has them.

from pycnn.kernels._pycnn_h cimport PoolGeometry

cdef int max_pool_forward_f32(const PoolGeometry* g, const float* x, float* y, unsigned char* codes, void* workspace,
                              size_t n) noexcept nogil
cdef int max_pool_forward_f64(const PoolGeometry* g, const double* x, double* y, unsigned char* codes, void* workspace,
                              size_t n) noexcept nogil
cdef int max_pool_backward_f32(const PoolGeometry* g, const float* dy, const unsigned char* codes, float* dx,
                               void* workspace, size_t n) noexcept nogil
cdef int max_pool_backward_f64(const PoolGeometry* g, const double* dy, const unsigned char* codes, double* dx,
                               void* workspace, size_t n) noexcept nogil
cdef int avg_pool_forward_f32(const PoolGeometry* g, const float* x, float* y, void* workspace,
                              size_t n) noexcept nogil
cdef int avg_pool_forward_f64(const PoolGeometry* g, const double* x, double* y, void* workspace,
                              size_t n) noexcept nogil
cdef int avg_pool_backward_f32(const PoolGeometry* g, const float* dy, float* dx, void* workspace,
                               size_t n) noexcept nogil
cdef int avg_pool_backward_f64(const PoolGeometry* g, const double* dy, double* dx, void* workspace,
                               size_t n) noexcept nogil
cdef int pool_workspace(const PoolGeometry* g, size_t value_bytes, size_t* needed) noexcept nogil

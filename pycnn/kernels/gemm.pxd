# Products of matrices, as pycnn.h has them.

cdef extern from "pycnn.h" nogil:
    ctypedef struct GemmGeometry "pycnn_gemm_geometry":
        Py_ssize_t m
        Py_ssize_t n
        Py_ssize_t k
        Py_ssize_t a_steps[2]
        Py_ssize_t b_steps[2]
        Py_ssize_t c_steps[2]

cdef int gemm_f32(const GemmGeometry* q, const float* a, const float* b, const float* bias, float* c, void* workspace,
                  size_t n) noexcept nogil
cdef int gemm_f64(const GemmGeometry* q, const double* a, const double* b, const double* bias, double* c,
                  void* workspace, size_t n) noexcept nogil
cdef int gemm_workspace(const GemmGeometry* q, size_t value_bytes, size_t* needed) noexcept nogil

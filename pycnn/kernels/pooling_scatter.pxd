from pycnn.kernels.pooling_backward cimport Job as BackwardJob

# False where the job is not one for this.
cdef bint scatter_codes(const BackwardJob* job, Py_ssize_t value_bytes) noexcept nogil

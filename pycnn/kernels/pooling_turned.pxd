from pycnn.kernels.pooling_backward cimport Job as BackwardJob
from pycnn.kernels.pooling_forward cimport Job as ForwardJob

# 1, 0 where there is no memory, -1 where the job is not one for this.
cdef int turned_forward(const ForwardJob* job, Py_ssize_t value_bytes) noexcept nogil
cdef int turned_backward(const BackwardJob* job, Py_ssize_t value_bytes) noexcept nogil

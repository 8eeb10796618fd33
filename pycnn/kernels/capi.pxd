# The thread pool and the words of a status, as pycnn.h has them.

from pycnn.kernels._pycnn_h cimport pycnn_piece_fn

cdef const char* pycnn_strerror(int status) noexcept nogil
cdef void parallel_for(pycnn_piece_fn fn, void* context, Py_ssize_t n_chunks) noexcept nogil
cdef Py_ssize_t num_threads() noexcept nogil
cdef Py_ssize_t limit_threads(Py_ssize_t n) noexcept nogil

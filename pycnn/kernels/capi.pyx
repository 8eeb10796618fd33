# The table of functions of pycnn.h, in the capsule `table`.

from cpython.pycapsule cimport PyCapsule_New

from pycnn.kernels cimport _runtime
from pycnn.kernels._pycnn_h cimport ConvGeometry, GemmGeometry, PoolGeometry, pycnn_piece_fn
from pycnn.kernels.conv cimport (
    conv_backward_input_f32, conv_backward_input_f64, conv_backward_input_workspace, conv_forward_f32,
    conv_forward_f64, conv_forward_workspace,
)
from pycnn.kernels.conv_weight cimport (
    conv_backward_weight_f32, conv_backward_weight_f64, conv_backward_weight_workspace,
)
from pycnn.kernels.gemm cimport gemm_f32, gemm_f64, gemm_workspace
from pycnn.kernels.pooling cimport (
    avg_pool_backward_f32, avg_pool_backward_f64, avg_pool_forward_f32, avg_pool_forward_f64, max_pool_backward_f32,
    max_pool_backward_f64, max_pool_forward_f32, max_pool_forward_f64, pool_workspace,
)


cdef extern from "pycnn.h" nogil:
    unsigned int PYCNN_ABI_VERSION

    ctypedef struct Table "pycnn_api":
        unsigned int abi_version
        unsigned int bytes
        const char* (*strerror)(int) noexcept
        int (*conv_forward_workspace)(const ConvGeometry*, size_t, size_t*) noexcept
        int (*conv_backward_input_workspace)(const ConvGeometry*, size_t, size_t*) noexcept
        int (*conv_backward_weight_workspace)(const ConvGeometry*, size_t, size_t*) noexcept
        int (*conv_forward_f32)(const ConvGeometry*, const float*, const float*, const float*, float*, void*,
                                size_t) noexcept
        int (*conv_forward_f64)(const ConvGeometry*, const double*, const double*, const double*, double*, void*,
                                size_t) noexcept
        int (*conv_backward_input_f32)(const ConvGeometry*, const float*, const float*, const float*, float*, void*,
                                       size_t) noexcept
        int (*conv_backward_input_f64)(const ConvGeometry*, const double*, const double*, const double*, double*, void*,
                                       size_t) noexcept
        int (*conv_backward_weight_f32)(const ConvGeometry*, const float*, const float*, float*, void*, size_t) noexcept
        int (*conv_backward_weight_f64)(const ConvGeometry*, const double*, const double*, double*, void*,
                                        size_t) noexcept
        int (*pool_workspace)(const PoolGeometry*, size_t, size_t*) noexcept
        int (*max_pool_forward_f32)(const PoolGeometry*, const float*, float*, unsigned char*, void*, size_t) noexcept
        int (*max_pool_forward_f64)(const PoolGeometry*, const double*, double*, unsigned char*, void*, size_t) noexcept
        int (*max_pool_backward_f32)(const PoolGeometry*, const float*, const unsigned char*, float*, void*,
                                     size_t) noexcept
        int (*max_pool_backward_f64)(const PoolGeometry*, const double*, const unsigned char*, double*, void*,
                                     size_t) noexcept
        int (*avg_pool_forward_f32)(const PoolGeometry*, const float*, float*, void*, size_t) noexcept
        int (*avg_pool_forward_f64)(const PoolGeometry*, const double*, double*, void*, size_t) noexcept
        int (*avg_pool_backward_f32)(const PoolGeometry*, const float*, float*, void*, size_t) noexcept
        int (*avg_pool_backward_f64)(const PoolGeometry*, const double*, double*, void*, size_t) noexcept
        int (*gemm_workspace)(const GemmGeometry*, size_t, size_t*) noexcept
        int (*gemm_f32)(const GemmGeometry*, const float*, const float*, const float*, float*, void*, size_t) noexcept
        int (*gemm_f64)(const GemmGeometry*, const double*, const double*, const double*, double*, void*,
                        size_t) noexcept
        void (*parallel_for)(pycnn_piece_fn, void*, Py_ssize_t) noexcept
        Py_ssize_t (*num_threads)() noexcept
        Py_ssize_t (*limit_threads)(Py_ssize_t) noexcept


cdef const char* pycnn_strerror(int status) noexcept nogil:
    return _runtime.strerror(status)


cdef void parallel_for(pycnn_piece_fn fn, void* context, Py_ssize_t n_chunks) noexcept nogil:
    _runtime.parallel_for(fn, context, n_chunks)


cdef Py_ssize_t num_threads() noexcept nogil:
    return _runtime.num_slots()


cdef Py_ssize_t limit_threads(Py_ssize_t n) noexcept nogil:
    return _runtime.limit_threads(max(0, min(n, <Py_ssize_t> 1 << 30)))


cdef Table _table


cdef void _fill() noexcept:
    _table.abi_version = PYCNN_ABI_VERSION
    _table.bytes = sizeof(Table)
    _table.strerror = pycnn_strerror
    _table.conv_forward_workspace = conv_forward_workspace
    _table.conv_backward_input_workspace = conv_backward_input_workspace
    _table.conv_backward_weight_workspace = conv_backward_weight_workspace
    _table.conv_forward_f32 = conv_forward_f32
    _table.conv_forward_f64 = conv_forward_f64
    _table.conv_backward_input_f32 = conv_backward_input_f32
    _table.conv_backward_input_f64 = conv_backward_input_f64
    _table.conv_backward_weight_f32 = conv_backward_weight_f32
    _table.conv_backward_weight_f64 = conv_backward_weight_f64
    _table.pool_workspace = pool_workspace
    _table.max_pool_forward_f32 = max_pool_forward_f32
    _table.max_pool_forward_f64 = max_pool_forward_f64
    _table.max_pool_backward_f32 = max_pool_backward_f32
    _table.max_pool_backward_f64 = max_pool_backward_f64
    _table.avg_pool_forward_f32 = avg_pool_forward_f32
    _table.avg_pool_forward_f64 = avg_pool_forward_f64
    _table.avg_pool_backward_f32 = avg_pool_backward_f32
    _table.avg_pool_backward_f64 = avg_pool_backward_f64
    _table.gemm_workspace = gemm_workspace
    _table.gemm_f32 = gemm_f32
    _table.gemm_f64 = gemm_f64
    _table.parallel_for = parallel_for
    _table.num_threads = num_threads
    _table.limit_threads = limit_threads


_fill()
table = PyCapsule_New(&_table, "pycnn.kernels.capi.table", NULL)

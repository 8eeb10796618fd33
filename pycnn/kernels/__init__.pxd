# What other projects cimport: `from pycnn.kernels cimport ConvGeometry, pycnn_conv2d, conv_forward_f32`.
#
# The functions and structs of pycnn.h, which says what they do: an extension that cimports them needs
# include_dirs=[pycnn.get_include()]. All are `noexcept nogil` and return PYCNN_OK or a status that pycnn_strerror puts
# into words. `parallel_for(fn, context, n_chunks)` runs fn(context, 0 .. n_chunks - 1, slot) on pycnn's threads, where
# slot < num_threads().

from pycnn.kernels._pycnn_h cimport (
    ConvGeometry, GemmGeometry, PYCNN_ERROR_CODES, PYCNN_ERROR_DILATION, PYCNN_ERROR_GROUPS, PYCNN_ERROR_KERNEL,
    PYCNN_ERROR_MEMORY, PYCNN_ERROR_PADDING, PYCNN_ERROR_POINTER, PYCNN_ERROR_SHAPE, PYCNN_ERROR_STRIDE,
    PYCNN_ERROR_VALUE_BYTES, PYCNN_ERROR_WINDOW, PYCNN_ERROR_WORKSPACE, PYCNN_OK, PoolGeometry, pycnn_channels_last,
    pycnn_contiguous, pycnn_conv2d, pycnn_matrices, pycnn_output_size, pycnn_piece_fn, pycnn_pool2d,
)
from pycnn.kernels.capi cimport limit_threads, num_threads, parallel_for, pycnn_strerror
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

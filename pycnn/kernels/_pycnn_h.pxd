# pycnn.h for Cython; its comments say what all this is.

cdef extern from "pycnn.h" nogil:
    enum:
        PYCNN_OK
        PYCNN_ERROR_MEMORY
        PYCNN_ERROR_WORKSPACE
        PYCNN_ERROR_POINTER
        PYCNN_ERROR_SHAPE
        PYCNN_ERROR_KERNEL
        PYCNN_ERROR_STRIDE
        PYCNN_ERROR_DILATION
        PYCNN_ERROR_PADDING
        PYCNN_ERROR_GROUPS
        PYCNN_ERROR_VALUE_BYTES
        PYCNN_ERROR_WINDOW
        PYCNN_ERROR_CODES

    ctypedef struct ConvGeometry "pycnn_conv_geometry":
        Py_ssize_t x_shape[5]
        Py_ssize_t x_steps[5]
        Py_ssize_t y_shape[5]
        Py_ssize_t y_steps[5]
        Py_ssize_t kernel[3]
        Py_ssize_t stride[3]
        Py_ssize_t pad[3]
        Py_ssize_t dilation[3]
        Py_ssize_t groups

    ctypedef struct PoolGeometry "pycnn_pool_geometry":
        Py_ssize_t x_shape[5]
        Py_ssize_t x_steps[5]
        Py_ssize_t y_shape[5]
        Py_ssize_t y_steps[5]
        Py_ssize_t code_steps[5]
        Py_ssize_t kernel[3]
        Py_ssize_t stride[3]
        Py_ssize_t dilation[3]
        Py_ssize_t pad[3]
        Py_ssize_t pad_after[3]
        bint count_include_pad
        double divisor

    ctypedef struct GemmGeometry "pycnn_gemm_geometry":
        Py_ssize_t m
        Py_ssize_t n
        Py_ssize_t k
        Py_ssize_t a_steps[2]
        Py_ssize_t b_steps[2]
        Py_ssize_t c_steps[2]

    ctypedef void (*pycnn_piece_fn)(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil

    Py_ssize_t pycnn_output_size(Py_ssize_t size, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t dilation,
                                 Py_ssize_t pad, Py_ssize_t pad_after)
    void pycnn_contiguous(const Py_ssize_t* shape, Py_ssize_t* steps)
    void pycnn_channels_last(const Py_ssize_t* shape, Py_ssize_t* steps)
    ConvGeometry pycnn_conv2d(Py_ssize_t n, Py_ssize_t channels, Py_ssize_t height, Py_ssize_t width,
                              Py_ssize_t filters, Py_ssize_t kernel_height, Py_ssize_t kernel_width,
                              Py_ssize_t stride, Py_ssize_t pad)
    PoolGeometry pycnn_pool2d(Py_ssize_t n, Py_ssize_t channels, Py_ssize_t height, Py_ssize_t width,
                              Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t pad)
    GemmGeometry pycnn_matrices(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k)

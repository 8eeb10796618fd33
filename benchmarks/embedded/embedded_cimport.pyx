# cython: language_level=3, boundscheck=False
# Many calls of one convolution by cimport, for `python -m benchmarks.embed`: what embedded_table.c does, from Cython.

from libc.stdlib cimport free, malloc

from pycnn.kernels cimport PYCNN_OK, ConvGeometry, conv_forward_f32, conv_forward_workspace, pycnn_conv2d


def calls(Py_ssize_t count, const float[:, :, :, ::1] x, const float[:, :, :, ::1] weight, float[:, :, :, ::1] y,
          bint with_workspace):
    cdef ConvGeometry g = pycnn_conv2d(x.shape[0], 8, 8, 8, 8, 3, 3, 1, 1)
    cdef void* workspace = NULL
    cdef size_t size = 0
    cdef int status = PYCNN_OK
    cdef Py_ssize_t _i
    if with_workspace:
        status = conv_forward_workspace(&g, sizeof(float), &size)
        workspace = malloc(size + 1)
    with nogil:
        for _i in range(count):
            if status != PYCNN_OK:
                break
            status = conv_forward_f32(&g, &x[0, 0, 0, 0], &weight[0, 0, 0, 0], NULL, &y[0, 0, 0, 0], workspace, size)
    free(workspace)
    return status

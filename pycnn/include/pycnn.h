/* Convolution, pooling and matrix products of pycnn from C and C++.
 *
 *     #define PY_SSIZE_T_CLEAN
 *     #include <pycnn.h>                                 // before other headers, as it includes Python.h
 *
 *     const pycnn_api *pycnn = pycnn_import();           // once, with the GIL; NULL: ImportError is set
 *     pycnn_conv_geometry g = pycnn_conv2d(n, channels, height, width, filters, 3, 3, 1, 1);
 *     int status = pycnn->conv_forward_f32(&g, x, weight, bias, y, NULL, 0);
 *     if (status) puts(pycnn->strerror(status));
 *
 * Compile with -I of what `pycnn.get_include()` says; nothing is linked. pycnn_import() needs the GIL, the functions of
 * the table neither need nor touch it: call them from any thread, without it. They check their arguments and return
 * PYCNN_OK or a status that `strerror` puts into words; where they refuse the arguments, nothing has been written
 * (a workspace that is too small may be found out later: what is in the output then is undefined).
 *
 * Arrays: float (_f32) or double (_f64), aligned as such; an output must not overlap an input. Steps are distances
 * between neighbours along an axis, counted in values: any layout goes in, C-contiguous (N, C, H, W) and (N, H, W, C)
 * are the fast ones. Weights are C-contiguous (filters, channels / groups, kernel depth, height, width).
 *
 * Workspace: `workspace` is memory of the caller's, at least as many bytes as the function's twin `_workspace` says
 * for this geometry, the present number of threads, instruction set and pycnn.set_exact(); then the call allocates
 * nothing. NULL: taken from pycnn's recycling allocator. The question itself borrows as much memory, and has no need of
 * arrays. Only workspace, bias and codes may be NULL, and arrays without values.
 *
 * Define PYCNN_NO_PYTHON to leave out pycnn_import() and Python.h, in files that are handed the table. */
#ifndef PYCNN_H
#define PYCNN_H

#ifndef PYCNN_NO_PYTHON
#include <Python.h>
#endif
#include <stddef.h>
#include <stdint.h>

/* Changes when what is below changes other than by new functions at the end of pycnn_api. */
#define PYCNN_ABI_VERSION 1

enum {
    PYCNN_OK = 0,
    PYCNN_ERROR_MEMORY,     /* there is no memory for the workspace */
    PYCNN_ERROR_WORKSPACE,  /* the workspace given is too small; the output is undefined */
    PYCNN_ERROR_POINTER,    /* a geometry, an array or the place for a size is NULL */
    PYCNN_ERROR_SHAPE,      /* a size below 0, sizes that do not go together, or arrays of 2**62 bytes or more */
    PYCNN_ERROR_KERNEL,     /* a kernel size below 1 */
    PYCNN_ERROR_STRIDE,     /* a stride below 1, or windows more than 2**31 cells apart */
    PYCNN_ERROR_DILATION,   /* a dilation below 1, or a window of more than 2**31 cells */
    PYCNN_ERROR_PADDING,    /* padding below 0 or of more than 2**31 cells, or for pooling as large as the window */
    PYCNN_ERROR_GROUPS,     /* groups below 1, or that do not divide channels and filters */
    PYCNN_ERROR_VALUE_BYTES, /* a value has 4 or 8 bytes */
    PYCNN_ERROR_WINDOW,     /* for maxima: a window wholly in padding, or indices with more than 255 cells in a window */
    PYCNN_ERROR_CODES       /* an index names no cell of its window */
};

/* A correlation, y[n,f,o] = bias[f] + sum_{c,k} x[n,c, o * stride + k * dilation - pad] * w[f,c,k], where x counts as 0
 * outside. Two dimensions are three with a depth of 1. y may have any size; pycnn_output_size() is the usual one. */
typedef struct pycnn_conv_geometry {
    ptrdiff_t x_shape[5]; /* (N, C, D, H, W) */
    ptrdiff_t x_steps[5];
    ptrdiff_t y_shape[5]; /* (N, F, OD, OH, OW) */
    ptrdiff_t y_steps[5];
    ptrdiff_t kernel[3]; /* (D, H, W), as the rest */
    ptrdiff_t stride[3];
    ptrdiff_t pad[3]; /* before the first cell */
    ptrdiff_t dilation[3];
    ptrdiff_t groups;
} pycnn_conv_geometry;

/* Windows o * stride + k * dilation - pad of each image and channel. */
typedef struct pycnn_pool_geometry {
    ptrdiff_t x_shape[5];
    ptrdiff_t x_steps[5];
    ptrdiff_t y_shape[5]; /* (N, C, OD, OH, OW) */
    ptrdiff_t y_steps[5];
    ptrdiff_t code_steps[5]; /* of the indices of a maximum, which have y's shape */
    ptrdiff_t kernel[3];
    ptrdiff_t stride[3];
    ptrdiff_t dilation[3];
    ptrdiff_t pad[3];       /* before the first cell, and */
    ptrdiff_t pad_after[3]; /* after the last */
    int count_include_pad;  /* means: padding counts as cells of value 0 */
    double divisor;         /* means: of every window; 0: the cells counted */
} pycnn_pool_geometry;

/* c[m,n] = bias[n] + sum_k a[m,k] * b[k,n]; steps along rows and columns. One step of a is 1. */
typedef struct pycnn_gemm_geometry {
    ptrdiff_t m, n, k;
    ptrdiff_t a_steps[2];
    ptrdiff_t b_steps[2];
    ptrdiff_t c_steps[2];
} pycnn_gemm_geometry;

/* A piece of a parallel loop: `chunk` of 0 .. n_chunks - 1; `slot` of 0 .. num_threads() - 1 is never the same for two
 * pieces at work at once. */
typedef void (*pycnn_piece_fn)(void *context, ptrdiff_t chunk, ptrdiff_t slot);

typedef struct pycnn_api {
    unsigned abi_version;
    unsigned bytes; /* of this struct */
    const char *(*strerror)(int status);

    int (*conv_forward_workspace)(const pycnn_conv_geometry *, size_t value_bytes, size_t *bytes);
    int (*conv_backward_input_workspace)(const pycnn_conv_geometry *, size_t value_bytes, size_t *bytes);
    int (*conv_backward_weight_workspace)(const pycnn_conv_geometry *, size_t value_bytes, size_t *bytes);
    /* bias: one per filter, or NULL */
    int (*conv_forward_f32)(const pycnn_conv_geometry *, const float *x, const float *w, const float *bias, float *y,
                            void *workspace, size_t bytes);
    int (*conv_forward_f64)(const pycnn_conv_geometry *, const double *x, const double *w, const double *bias,
                            double *y, void *workspace, size_t bytes);
    /* bias: one per channel of x, or NULL; for transposed convolution, which this is */
    int (*conv_backward_input_f32)(const pycnn_conv_geometry *, const float *dy, const float *w, const float *bias,
                                   float *dx, void *workspace, size_t bytes);
    int (*conv_backward_input_f64)(const pycnn_conv_geometry *, const double *dy, const double *w, const double *bias,
                                   double *dx, void *workspace, size_t bytes);
    int (*conv_backward_weight_f32)(const pycnn_conv_geometry *, const float *dy, const float *x, float *dw,
                                    void *workspace, size_t bytes);
    int (*conv_backward_weight_f64)(const pycnn_conv_geometry *, const double *dy, const double *x, double *dw,
                                    void *workspace, size_t bytes);

    /* One of the passes below that needs the most. */
    int (*pool_workspace)(const pycnn_pool_geometry *, size_t value_bytes, size_t *bytes);
    /* codes: which cell of each window won, counted row by row, or NULL; at most 255 cells in a window then */
    int (*max_pool_forward_f32)(const pycnn_pool_geometry *, const float *x, float *y, uint8_t *codes, void *workspace,
                                size_t bytes);
    int (*max_pool_forward_f64)(const pycnn_pool_geometry *, const double *x, double *y, uint8_t *codes,
                                void *workspace, size_t bytes);
    int (*max_pool_backward_f32)(const pycnn_pool_geometry *, const float *dy, const uint8_t *codes, float *dx,
                                 void *workspace, size_t bytes);
    int (*max_pool_backward_f64)(const pycnn_pool_geometry *, const double *dy, const uint8_t *codes, double *dx,
                                 void *workspace, size_t bytes);
    int (*avg_pool_forward_f32)(const pycnn_pool_geometry *, const float *x, float *y, void *workspace, size_t bytes);
    int (*avg_pool_forward_f64)(const pycnn_pool_geometry *, const double *x, double *y, void *workspace,
                                size_t bytes);
    int (*avg_pool_backward_f32)(const pycnn_pool_geometry *, const float *dy, float *dx, void *workspace,
                                 size_t bytes);
    int (*avg_pool_backward_f64)(const pycnn_pool_geometry *, const double *dy, double *dx, void *workspace,
                                 size_t bytes);

    int (*gemm_workspace)(const pycnn_gemm_geometry *, size_t value_bytes, size_t *bytes);
    /* bias: one per column of c, or NULL */
    int (*gemm_f32)(const pycnn_gemm_geometry *, const float *a, const float *b, const float *bias, float *c,
                    void *workspace, size_t bytes);
    int (*gemm_f64)(const pycnn_gemm_geometry *, const double *a, const double *b, const double *bias, double *c,
                    void *workspace, size_t bytes);

    /* On pycnn's threads and the caller; serially where another thread uses them. */
    void (*parallel_for)(pycnn_piece_fn fn, void *context, ptrdiff_t n_chunks);
    ptrdiff_t (*num_threads)(void);
    /* Threads that calls of this thread may use from now on (0: as many as there are); returns the limit before. For
     * programs with threads of their own, and for workspaces, whose size goes with the number of threads. */
    ptrdiff_t (*limit_threads)(ptrdiff_t n);
} pycnn_api;

/* The number of windows along an axis. */
static inline ptrdiff_t pycnn_output_size(ptrdiff_t size, ptrdiff_t kernel, ptrdiff_t stride, ptrdiff_t dilation,
                                          ptrdiff_t pad, ptrdiff_t pad_after) {
    const ptrdiff_t room = size + pad + pad_after - dilation * (kernel - 1) - 1;
    return room < 0 || stride < 1 ? 0 : room / stride + 1;
}

/* The steps of a C-contiguous array. */
static inline void pycnn_contiguous(const ptrdiff_t shape[5], ptrdiff_t steps[5]) {
    ptrdiff_t step = 1;
    for (int axis = 4; axis >= 0; axis--) {
        steps[axis] = step;
        step *= shape[axis];
    }
}

/* The steps of images that lie with their channels last, (N, H, W, C) in memory; the shape is (N, C, D, H, W). */
static inline void pycnn_channels_last(const ptrdiff_t shape[5], ptrdiff_t steps[5]) {
    steps[1] = 1;
    steps[4] = shape[1];
    steps[3] = steps[4] * shape[4];
    steps[2] = steps[3] * shape[3];
    steps[0] = steps[2] * shape[2];
}

/* C-contiguous images (n, channels, height, width) under a kernel, the same stride and padding on all sides. For
 * anything else change the fields, then y_shape and the steps. */
static inline pycnn_conv_geometry pycnn_conv2d(ptrdiff_t n, ptrdiff_t channels, ptrdiff_t height, ptrdiff_t width,
                                               ptrdiff_t filters, ptrdiff_t kernel_height, ptrdiff_t kernel_width,
                                               ptrdiff_t stride, ptrdiff_t pad) {
    const pycnn_conv_geometry g = {
        {n, channels, 1, height, width},
        {0, 0, 0, 0, 0},
        {n, filters, 1, pycnn_output_size(height, kernel_height, stride, 1, pad, pad),
         pycnn_output_size(width, kernel_width, stride, 1, pad, pad)},
        {0, 0, 0, 0, 0},
        {1, kernel_height, kernel_width},
        {1, stride, stride},
        {0, pad, pad},
        {1, 1, 1},
        1,
    };
    pycnn_conv_geometry result = g;
    pycnn_contiguous(g.x_shape, result.x_steps);
    pycnn_contiguous(g.y_shape, result.y_steps);
    return result;
}

/* The same for windows of one size. */
static inline pycnn_pool_geometry pycnn_pool2d(ptrdiff_t n, ptrdiff_t channels, ptrdiff_t height, ptrdiff_t width,
                                               ptrdiff_t kernel, ptrdiff_t stride, ptrdiff_t pad) {
    const pycnn_pool_geometry g = {
        {n, channels, 1, height, width},
        {0, 0, 0, 0, 0},
        {n, channels, 1, pycnn_output_size(height, kernel, stride, 1, pad, pad),
         pycnn_output_size(width, kernel, stride, 1, pad, pad)},
        {0, 0, 0, 0, 0},
        {0, 0, 0, 0, 0},
        {1, kernel, kernel},
        {1, stride, stride},
        {1, 1, 1},
        {0, pad, pad},
        {0, pad, pad},
        1,
        0,
    };
    pycnn_pool_geometry result = g;
    pycnn_contiguous(g.x_shape, result.x_steps);
    pycnn_contiguous(g.y_shape, result.y_steps);
    pycnn_contiguous(g.y_shape, result.code_steps);
    return result;
}

/* C-contiguous matrices. */
static inline pycnn_gemm_geometry pycnn_matrices(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k) {
    const pycnn_gemm_geometry g = {m, n, k, {k, 1}, {n, 1}, {n, 1}};
    return g;
}

#ifndef PYCNN_NO_PYTHON
/* The table of the installed pycnn, which lives as long as the process; NULL with an exception set where pycnn cannot
 * be imported or has another version of it. */
static inline const pycnn_api *pycnn_import(void) {
    PyObject *module = PyImport_ImportModule("pycnn.kernels.capi");
    PyObject *capsule = module ? PyObject_GetAttrString(module, "table") : NULL;
    const pycnn_api *api =
        capsule ? (const pycnn_api *)PyCapsule_GetPointer(capsule, "pycnn.kernels.capi.table") : NULL;
    Py_XDECREF(capsule);
    Py_XDECREF(module);
    if (api && (api->abi_version != PYCNN_ABI_VERSION || api->bytes < sizeof(pycnn_api))) {
        PyErr_Format(PyExc_ImportError,
                     "pycnn: built against version %d of its C interface (%d bytes), installed is version %u (%u "
                     "bytes): build this extension again, or install the pycnn it was built against",
                     PYCNN_ABI_VERSION, (int)sizeof(pycnn_api), api->abi_version, api->bytes);
        return NULL;
    }
    return api;
}
#endif

#endif

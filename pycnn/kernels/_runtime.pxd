# What the C floor offers to the loops above it. One copy of the thread pool, the allocator and the active table of
# tiles exists in a process: it lives in this extension, and the others reach it by cimport.

cdef extern from "tiles.h" nogil:
    ctypedef void (*gemm_fn_f32 "pycnn_gemm_fn_f32")(
        Py_ssize_t k, const float* a, Py_ssize_t a_step, const float* b, float* c, int accumulate) noexcept nogil
    ctypedef void (*gemm_fn_f64 "pycnn_gemm_fn_f64")(
        Py_ssize_t k, const double* a, Py_ssize_t a_step, const double* b, double* c, int accumulate) noexcept nogil

    ctypedef struct Piece "pycnn_piece":
        Py_ssize_t src, begin, length, lo, hi

    ctypedef struct Stretch "pycnn_stretch":
        Py_ssize_t begin, length, place

    ctypedef struct gemm_f32 "pycnn_gemm_f32":
        Py_ssize_t vl, mr, nr
        gemm_fn_f32 packed[8][3]
        gemm_fn_f32 rows[8][3]
        void (*taps[8][3])(Py_ssize_t, Py_ssize_t, Py_ssize_t, const Py_ssize_t*, const float*, Py_ssize_t,
                           const float*, float*, int) noexcept nogil
        void (*pack_run)(float*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                         Py_ssize_t) noexcept nogil
        void (*pack_panel)(float*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, const Piece*, Py_ssize_t,
                           Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*pack_plane)(float*, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*store_tile)(float*, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, const Stretch*,
                           Py_ssize_t, const float*) noexcept nogil
        void (*sum_panel)(float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const float*, const float*,
                          Py_ssize_t, float*, Py_ssize_t, const Stretch*, Py_ssize_t, const float*, const float**,
                          Py_ssize_t, int) noexcept nogil
        void (*transpose_run)(float*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                              Py_ssize_t) noexcept nogil
        void (*store_run)(float*, const float*, Py_ssize_t, Py_ssize_t, float) noexcept nogil
        void (*weigh_line)(float*, const float*, const Py_ssize_t*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                           float) noexcept nogil
        void (*dot_line)(float*, const float*, const Py_ssize_t*, const Py_ssize_t*, const Py_ssize_t*, Py_ssize_t,
                         const float*, Py_ssize_t) noexcept nogil
        void (*dot_rows)(Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, const float*, float*) noexcept nogil

    ctypedef struct gemm_f64 "pycnn_gemm_f64":
        Py_ssize_t vl, mr, nr
        gemm_fn_f64 packed[8][3]
        gemm_fn_f64 rows[8][3]
        void (*taps[8][3])(Py_ssize_t, Py_ssize_t, Py_ssize_t, const Py_ssize_t*, const double*, Py_ssize_t,
                           const double*, double*, int) noexcept nogil
        void (*pack_run)(double*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                         Py_ssize_t) noexcept nogil
        void (*pack_panel)(double*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, const Piece*, Py_ssize_t,
                           Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*pack_plane)(double*, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*store_tile)(double*, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, const Stretch*,
                           Py_ssize_t, const double*) noexcept nogil
        void (*sum_panel)(double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const double*, const double*,
                          Py_ssize_t, double*, Py_ssize_t, const Stretch*, Py_ssize_t, const double*, const double**,
                          Py_ssize_t, int) noexcept nogil
        void (*transpose_run)(double*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                              Py_ssize_t) noexcept nogil
        void (*store_run)(double*, const double*, Py_ssize_t, Py_ssize_t, double) noexcept nogil
        void (*weigh_line)(double*, const double*, const Py_ssize_t*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                           double) noexcept nogil
        void (*dot_line)(double*, const double*, const Py_ssize_t*, const Py_ssize_t*, const Py_ssize_t*, Py_ssize_t,
                         const double*, Py_ssize_t) noexcept nogil
        void (*dot_rows)(Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, const double*, double*) noexcept nogil

    ctypedef struct points_f32 "pycnn_points_f32":
        Py_ssize_t vl, mr
        void (*points[8][3])(Py_ssize_t, Py_ssize_t, Py_ssize_t, const Py_ssize_t*, const float*, const Py_ssize_t*,
                             const float*, const float*, float*, const Py_ssize_t*, int) noexcept nogil
        Py_ssize_t cells_widest
        Py_ssize_t cells_rows[4]
        void (*cells[8][4])(Py_ssize_t, Py_ssize_t, const Py_ssize_t*, const float*, const Py_ssize_t*, const float*,
                            const float*, float*, const Py_ssize_t*, int) noexcept nogil
        void (*ask_points)(const float*, const Py_ssize_t*, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*store_points)(float*, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t,
                             Py_ssize_t) noexcept nogil

    ctypedef struct points_f64 "pycnn_points_f64":
        Py_ssize_t vl, mr
        void (*points[8][3])(Py_ssize_t, Py_ssize_t, Py_ssize_t, const Py_ssize_t*, const double*, const Py_ssize_t*,
                             const double*, const double*, double*, const Py_ssize_t*, int) noexcept nogil
        Py_ssize_t cells_widest
        Py_ssize_t cells_rows[4]
        void (*cells[8][4])(Py_ssize_t, Py_ssize_t, const Py_ssize_t*, const double*, const Py_ssize_t*, const double*,
                            const double*, double*, const Py_ssize_t*, int) noexcept nogil
        void (*ask_points)(const double*, const Py_ssize_t*, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*store_points)(double*, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t,
                             Py_ssize_t) noexcept nogil

    ctypedef struct Phases "pycnn_phases":
        Py_ssize_t spacing, row, col, cut_rows, cut_cols, jump

    ctypedef struct winograd_f32 "pycnn_winograd_f32":
        Py_ssize_t vl
        void (*to_lanes)(float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*from_lanes)(float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*input)(int, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, float*, const float*, Py_ssize_t,
                      Py_ssize_t, const Phases*) noexcept nogil
        int (*output[4])(float*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, const float*,
                         Py_ssize_t, const Phases*) noexcept nogil
        void (*weights[3])(float*, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, int) noexcept nogil
        void (*delta)(int, float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, float*, const float*, Py_ssize_t,
                      const Phases*) noexcept nogil
        int (*gradient[3])(float*, const float*, Py_ssize_t, Py_ssize_t) noexcept nogil

    ctypedef struct winograd_f64 "pycnn_winograd_f64":
        Py_ssize_t vl
        void (*to_lanes)(double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*from_lanes)(double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*input)(int, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, double*, const double*, Py_ssize_t,
                      Py_ssize_t, const Phases*) noexcept nogil
        int (*output[4])(double*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, const double*,
                         Py_ssize_t, const Phases*) noexcept nogil
        void (*weights[3])(double*, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, int) noexcept nogil
        void (*delta)(int, double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, double*, const double*, Py_ssize_t,
                      const Phases*) noexcept nogil
        int (*gradient[3])(double*, const double*, Py_ssize_t, Py_ssize_t) noexcept nogil

    ctypedef struct pool_windows "pycnn_pooling":
        Py_ssize_t kernel, stride, height, width, out_height, out_width, top, left

    ctypedef struct pool_f32 "pycnn_pool_f32":
        void (*split)(float*, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                      Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, float) noexcept nogil
        void (*merge)(float*, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                      Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*sum_rows)(float*, Py_ssize_t, const float**, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                         Py_ssize_t) noexcept nogil
        void (*mean_rows)(float*, Py_ssize_t, const float**, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                          const float*, float) noexcept nogil
        void (*share_rows)(float*, Py_ssize_t, const float**, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*share_lanes)(float*, const float*, const Py_ssize_t*, const Py_ssize_t*, Py_ssize_t,
                            float) noexcept nogil
        void (*select_rows)(float*, Py_ssize_t, const float**, Py_ssize_t, const unsigned char**, Py_ssize_t,
                            const unsigned char*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*bin_planes)(float*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                           float) noexcept nogil
        void (*fill_planes)(float*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, float) noexcept nogil
        void (*bin_row)(float*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, const Py_ssize_t*, const Py_ssize_t*,
                        Py_ssize_t) noexcept nogil
        void (*bin_lanes)(float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                          float) noexcept nogil
        void (*max_values)(float*, Py_ssize_t, const float**, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t) noexcept nogil
        void (*max_first)(float*, Py_ssize_t, unsigned char*, Py_ssize_t, const unsigned char*, const float**,
                          Py_ssize_t, const unsigned char*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*max_next)(float*, Py_ssize_t, unsigned char*, Py_ssize_t, const float**, Py_ssize_t,
                         const unsigned char**, Py_ssize_t, const unsigned char*, Py_ssize_t, Py_ssize_t,
                         Py_ssize_t) noexcept nogil
        void (*max_windows)(const pool_windows*, float*, unsigned char*, const float*, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t) noexcept nogil
        void (*mean_windows)(const pool_windows*, float*, const float*, const float*, const float*, int, Py_ssize_t,
                             Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*max_spread)(const pool_windows*, float*, const float*, const unsigned char*, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t) noexcept nogil
        void (*mean_spread)(const pool_windows*, float*, const float*, float, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t) noexcept nogil
        void (*mean_gather)(const pool_windows*, float*, const float*, float, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t) noexcept nogil
        unsigned char (*top_code)(const unsigned char*, Py_ssize_t) noexcept nogil

    ctypedef struct pool_f64 "pycnn_pool_f64":
        void (*split)(double*, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                      Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, double) noexcept nogil
        void (*merge)(double*, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                      Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*sum_rows)(double*, Py_ssize_t, const double**, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                         Py_ssize_t) noexcept nogil
        void (*mean_rows)(double*, Py_ssize_t, const double**, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                          Py_ssize_t, const double*, double) noexcept nogil
        void (*share_rows)(double*, Py_ssize_t, const double**, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*share_lanes)(double*, const double*, const Py_ssize_t*, const Py_ssize_t*, Py_ssize_t,
                            double) noexcept nogil
        void (*select_rows)(double*, Py_ssize_t, const double**, Py_ssize_t, const unsigned char**, Py_ssize_t,
                            const unsigned char*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*bin_planes)(double*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t, double) noexcept nogil
        void (*fill_planes)(double*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                            double) noexcept nogil
        void (*bin_row)(double*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, const Py_ssize_t*,
                        const Py_ssize_t*, Py_ssize_t) noexcept nogil
        void (*bin_lanes)(double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                          double) noexcept nogil
        void (*max_values)(double*, Py_ssize_t, const double**, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t) noexcept nogil
        void (*max_first)(double*, Py_ssize_t, unsigned char*, Py_ssize_t, const unsigned char*, const double**,
                          Py_ssize_t, const unsigned char*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*max_next)(double*, Py_ssize_t, unsigned char*, Py_ssize_t, const double**, Py_ssize_t,
                         const unsigned char**, Py_ssize_t, const unsigned char*, Py_ssize_t, Py_ssize_t,
                         Py_ssize_t) noexcept nogil
        void (*max_windows)(const pool_windows*, double*, unsigned char*, const double*, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t) noexcept nogil
        void (*mean_windows)(const pool_windows*, double*, const double*, const double*, const double*, int, Py_ssize_t,
                             Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*max_spread)(const pool_windows*, double*, const double*, const unsigned char*, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t) noexcept nogil
        void (*mean_spread)(const pool_windows*, double*, const double*, double, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t) noexcept nogil
        void (*mean_gather)(const pool_windows*, double*, const double*, double, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t) noexcept nogil
        unsigned char (*top_code)(const unsigned char*, Py_ssize_t) noexcept nogil

    # One struct for both number types: a void* is an array of the table's type. See vector_table.inc.h.
    ctypedef void (*unary_fn "pycnn_unary_fn")(void* y, const void* x, Py_ssize_t n, double a) noexcept nogil
    ctypedef void (*slope_fn "pycnn_slope_fn")(void* dx, const void* dy, const void* x, Py_ssize_t n,
                                               double a) noexcept nogil

    ctypedef struct response "pycnn_response":
        Py_ssize_t channels, step, site_step, width, before, after
        double scale, beta, k

    ctypedef struct vector_table "pycnn_vector":
        Py_ssize_t vl
        unary_fn forward[10]
        slope_fn backward[8]
        void (*keep)(void*, const void*, const unsigned char*, Py_ssize_t, double) noexcept nogil
        void (*add)(void*, const void*, const void*, Py_ssize_t) noexcept nogil
        void (*softmax_rows)(void*, const void*, Py_ssize_t, Py_ssize_t, int) noexcept nogil
        void (*softmax_columns)(void*, const void*, Py_ssize_t, Py_ssize_t, Py_ssize_t, int) noexcept nogil
        void (*softmax_rows_backward)(void*, const void*, const void*, Py_ssize_t, Py_ssize_t, int) noexcept nogil
        void (*softmax_columns_backward)(void*, const void*, const void*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                         int) noexcept nogil
        void (*log_sum_exp_rows)(double*, const void*, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*log_sum_exp_columns)(double*, const void*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*square_error)(void*, const void*, const void*, Py_ssize_t) noexcept nogil
        double (*square_error_sum)(const void*, const void*, Py_ssize_t) noexcept nogil
        void (*square_error_backward)(void*, const void*, const void*, const void*, Py_ssize_t, double) noexcept nogil
        void (*logit_error)(void*, const void*, const void*, const void*, const void*, Py_ssize_t) noexcept nogil
        void (*logit_error_backward)(void*, const void*, const void*, const void*, const void*, const void*, Py_ssize_t,
                                     double) noexcept nogil
        double (*sum)(const void*, Py_ssize_t) noexcept nogil
        void (*moments)(double*, const void*, const void*, Py_ssize_t, Py_ssize_t, Py_ssize_t, double) noexcept nogil
        void (*moments_columns)(double*, double*, const void*, const void*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                const double*) noexcept nogil
        void (*affine)(void*, const void*, Py_ssize_t, const void*) noexcept nogil
        void (*affine_columns)(void*, const void*, Py_ssize_t, Py_ssize_t, const void*) noexcept nogil
        void (*combine)(void*, const void*, const void*, Py_ssize_t, const void*) noexcept nogil
        void (*combine_columns)(void*, const void*, const void*, Py_ssize_t, Py_ssize_t, const void*) noexcept nogil
        void (*response_norm)(void*, const void*, void*, const response*) noexcept nogil
        void (*response_norm_backward)(void*, const void*, const void*, void*, const response*) noexcept nogil
        void (*sgd)(void*, void*, const void*, Py_ssize_t, const double*) noexcept nogil
        void (*adam)(void*, void*, void*, const void*, Py_ssize_t, const double*) noexcept nogil

    enum:
        PYCNN_RELU
        PYCNN_LEAKY_RELU
        PYCNN_SIGMOID
        PYCNN_TANH
        PYCNN_SILU
        PYCNN_GELU
        PYCNN_GELU_TANH
        PYCNN_HARDSWISH
        PYCNN_EXP
        PYCNN_LOG

    ctypedef struct Window "pycnn_window":
        Py_ssize_t rows, cols, src_line, dst_line, kh, kw, tap_line
        const Py_ssize_t* column
        int spill

    ctypedef struct Direct "pycnn_direct":
        Py_ssize_t images, planes, src_image, src_plane, src_line, dst_image, dst_plane, dst_line
        Py_ssize_t weight_plane, bias_plane, first, rows, cols, height, width, top, left, kh, kw, stride
        Py_ssize_t row_step, col_step, weight_step

    ctypedef struct Ahead "pycnn_ahead":
        const void* src
        Py_ssize_t rows, line, pixels, pixel

    ctypedef struct depthwise_f32 "pycnn_depthwise_f32":
        void (*pad)(float*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                    Py_ssize_t) noexcept nogil
        void (*sum)(float*, const float*, const float*, const Window*, float, int) noexcept nogil
        void (*dot)(float*, const float*, const float*, const Window*) noexcept nogil
        void (*fold)(float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*direct)(float*, const float*, const float*, const float*, const float*, const Direct*) noexcept nogil
        void (*spread)(float*, const float*, const float*, const float*, const float*, const Direct*) noexcept nogil
        void (*products)(float*, const float*, const float*, const float*, const Direct*) noexcept nogil
        void (*sum_channels)(float*, Py_ssize_t, Py_ssize_t, const float* const*, Py_ssize_t, const Py_ssize_t*,
                             const float*, const Py_ssize_t*, const float*, Py_ssize_t, const Ahead*) noexcept nogil
        void (*dot_channels)(float*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, const float* const*, Py_ssize_t,
                             const Py_ssize_t*, Py_ssize_t, const Ahead*) noexcept nogil

    ctypedef struct depthwise_f64 "pycnn_depthwise_f64":
        void (*pad)(double*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                    Py_ssize_t) noexcept nogil
        void (*sum)(double*, const double*, const double*, const Window*, double, int) noexcept nogil
        void (*dot)(double*, const double*, const double*, const Window*) noexcept nogil
        void (*fold)(double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*direct)(double*, const double*, const double*, const double*, const double*,
                       const Direct*) noexcept nogil
        void (*spread)(double*, const double*, const double*, const double*, const double*,
                       const Direct*) noexcept nogil
        void (*products)(double*, const double*, const double*, const double*, const Direct*) noexcept nogil
        void (*sum_channels)(double*, Py_ssize_t, Py_ssize_t, const double* const*, Py_ssize_t, const Py_ssize_t*,
                             const double*, const Py_ssize_t*, const double*, Py_ssize_t, const Ahead*) noexcept nogil
        void (*dot_channels)(double*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, const double* const*,
                             Py_ssize_t, const Py_ssize_t*, Py_ssize_t, const Ahead*) noexcept nogil

    ctypedef struct Spot "pycnn_spot":
        Py_ssize_t src, dst, lanes

    ctypedef struct few_f32 "pycnn_few_f32":
        void (*sum)(float*, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                    const Py_ssize_t*, const float*, const float*, const Spot*, Py_ssize_t, int) noexcept nogil
        void (*dot)(float*, const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t,
                    const Py_ssize_t*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil

    ctypedef struct few_f64 "pycnn_few_f64":
        void (*sum)(double*, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                    const Py_ssize_t*, const double*, const double*, const Spot*, Py_ssize_t, int) noexcept nogil
        void (*dot)(double*, const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t,
                    const Py_ssize_t*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil

    ctypedef struct tile_tables "pycnn_tiles":
        const gemm_f32* gemm_f32
        const gemm_f64* gemm_f64
        const points_f32* points_f32
        const points_f64* points_f64
        const winograd_f32* winograd_f32
        const winograd_f64* winograd_f64
        const pool_f32* pool_f32
        const pool_f64* pool_f64
        const vector_table* vector_f32
        const vector_table* vector_f64
        const depthwise_f32* depthwise_f32
        const depthwise_f64* depthwise_f64
        const few_f32* few_f32
        const few_f64* few_f64


ctypedef void (*chunk_fn)(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil

# The active tables. Read once per call: tests switch the instruction set between calls.
cdef const tile_tables* tiles() noexcept nogil

# Runs fn(context, 0 .. n_chunks - 1, slot) on the pool; slot < num_slots(), a place for scratch memory of its own.
cdef void parallel_for(chunk_fn fn, void* context, Py_ssize_t n_chunks) noexcept nogil
cdef Py_ssize_t num_slots() noexcept nogil

# Bytes of the cache that the cores share.
cdef size_t last_cache() noexcept nogil

# Limits the calls of this thread (0: no limit of its own); returns the limit before.
cdef Py_ssize_t limit_threads(int n) noexcept nogil

# The same, on the calling thread alone where all chunks together are `work` multiply-adds and waking others costs more.
cdef void parallel_work(chunk_fn fn, void* context, Py_ssize_t n_chunks, double work) noexcept nogil

# 64-byte-aligned memory, recycled or of the workspace that the caller gave; NULL when there is none. To be asked for on
# the thread that called the kernel, before its first parallel loop.
cdef void* allocate(size_t bytes) noexcept nogil
cdef void release(void* memory) noexcept nogil

# Whether only the memory that the kernel asks for is of interest: parallel loops are not run, and there are no arrays.
cdef bint measuring() noexcept nogil

cdef extern from "workspace.h" nogil:
    ctypedef struct Workspace "pycnn_workspace":
        int threads_before

# Around the body of a function that takes a workspace (NULL: none) and returns a status; `done`: 0 without memory.
cdef void begin_call(Workspace* w, void* memory, size_t bytes) noexcept nogil
cdef int end_call(Workspace* w, const void* memory, bint done) noexcept nogil

# The same to learn how many bytes it needs.
cdef void begin_measure(Workspace* w) noexcept nogil
cdef int end_measure(Workspace* w, bint done, size_t* needed) noexcept nogil

# A status in words, and as an exception.
cdef const char* strerror(int status) noexcept nogil
cdef int raise_status(str fn, int status) except -1

# How 3x3 convolutions are computed: -1 by the cost rule, 0 directly, 2 or 4 by Winograd's tiles of that size.
cdef Py_ssize_t algorithm() noexcept nogil

# How direct sums are computed: -1 by the rules, 0 with packed panels, 1 on planes, 2 on planes with lanes along the
# rows wherever that is possible, 3 with the filters side by side.
cdef Py_ssize_t plane_choice() noexcept nogil

# An uninitialised C-contiguous array in recycled memory. dtype: an np.dtype.
cpdef object empty(tuple shape, dtype)

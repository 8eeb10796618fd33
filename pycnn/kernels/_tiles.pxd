# The register tiles under one name for float and double. `floating` is float or double in each specialisation, so the
# test on it is decided when the module is compiled.

from cython cimport floating

from pycnn.kernels._runtime cimport Piece, tiles


cdef inline Py_ssize_t lanes(floating* tag) noexcept nogil:
    return tiles().gemm_f32.vl if floating is float else tiles().gemm_f64.vl


cdef inline Py_ssize_t tile_rows(floating* tag) noexcept nogil:
    return tiles().gemm_f32.mr if floating is float else tiles().gemm_f64.mr


cdef inline Py_ssize_t tile_columns(floating* tag) noexcept nogil:
    return tiles().gemm_f32.nr if floating is float else tiles().gemm_f64.nr


# c (rows, vectors * lanes) (+)= a (k, rows), rows a_step apart along k, times b (k, vectors * lanes)
cdef inline void gemm_packed(Py_ssize_t rows, Py_ssize_t vectors, Py_ssize_t k, const floating* a, Py_ssize_t a_step,
                             const floating* b, floating* c, bint accumulate) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.packed[rows - 1][vectors - 1](k, a, a_step, b, c, accumulate)
    else:
        tiles().gemm_f64.packed[rows - 1][vectors - 1](k, a, a_step, b, c, accumulate)


# The same with a (rows, k), rows a_step apart
cdef inline void gemm_rows(Py_ssize_t rows, Py_ssize_t vectors, Py_ssize_t k, const floating* a, Py_ssize_t a_step,
                           const floating* b, floating* c, bint accumulate) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.rows[rows - 1][vectors - 1](k, a, a_step, b, c, accumulate)
    else:
        tiles().gemm_f64.rows[rows - 1][vectors - 1](k, a, a_step, b, c, accumulate)


cdef inline void pack_run(floating* dst, Py_ssize_t dst_step, const floating* src, Py_ssize_t src_step,
                          Py_ssize_t rows, Py_ssize_t length, Py_ssize_t lo, Py_ssize_t hi,
                          Py_ssize_t step) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.pack_run(dst, dst_step, src, src_step, rows, length, lo, hi, step)
    else:
        tiles().gemm_f64.pack_run(dst, dst_step, src, src_step, rows, length, lo, hi, step)


cdef inline void pack_panel(floating* dst, Py_ssize_t width, const floating* src, Py_ssize_t channel_step,
                            Py_ssize_t channels, const Piece* pieces, Py_ssize_t taps, Py_ssize_t runs,
                            Py_ssize_t step) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.pack_panel(dst, width, src, channel_step, channels, pieces, taps, runs, step)
    else:
        tiles().gemm_f64.pack_panel(dst, width, src, channel_step, channels, pieces, taps, runs, step)


cdef inline void transpose_run(floating* dst, Py_ssize_t dst_step, const floating* src, Py_ssize_t src_step,
                               Py_ssize_t rows, Py_ssize_t length, Py_ssize_t step) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.transpose_run(dst, dst_step, src, src_step, rows, length, step)
    else:
        tiles().gemm_f64.transpose_run(dst, dst_step, src, src_step, rows, length, step)


cdef inline void store_run(floating* dst, const floating* src, Py_ssize_t length, Py_ssize_t step,
                           floating bias) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.store_run(dst, src, length, step, bias)
    else:
        tiles().gemm_f64.store_run(dst, src, length, step, bias)


cdef inline void weigh_line(floating* dst, const floating* src, const Py_ssize_t* offset, const floating* weight,
                            Py_ssize_t n, Py_ssize_t length, Py_ssize_t step, floating bias) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.weigh_line(dst, src, offset, weight, n, length, step, bias)
    else:
        tiles().gemm_f64.weigh_line(dst, src, offset, weight, n, length, step, bias)


cdef inline void dot_line(floating* sums, const floating* src, const Py_ssize_t* offset, const Py_ssize_t* lo,
                          const Py_ssize_t* hi, Py_ssize_t taps, const floating* other, Py_ssize_t step) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.dot_line(sums, src, offset, lo, hi, taps, other, step)
    else:
        tiles().gemm_f64.dot_line(sums, src, offset, lo, hi, taps, other, step)


cdef inline void dot_rows(Py_ssize_t length, const floating* a, Py_ssize_t a_step, Py_ssize_t rows, const floating* b,
                          floating* c) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.dot_rows(length, a, a_step, rows, b, c)
    else:
        tiles().gemm_f64.dot_rows(length, a, a_step, rows, b, c)

# The register tiles under one name for float and double. `floating` is float or double in each specialisation, so the
# test on it is decided when the module is compiled.

from cython cimport floating

from pycnn.kernels._runtime cimport Ahead, Direct, Phases, Piece, Spot, Stretch, Window, tiles


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


# The same with b in place: row (channel, tap) at b + channel * channel_step + offset[tap].
cdef inline void gemm_taps(Py_ssize_t rows, Py_ssize_t vectors, Py_ssize_t channels, Py_ssize_t channel_step,
                           Py_ssize_t taps, const Py_ssize_t* offset, const floating* a, Py_ssize_t a_step,
                           const floating* b, floating* c, bint accumulate) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.taps[rows - 1][vectors - 1](channels, channel_step, taps, offset, a, a_step, b, c, accumulate)
    else:
        tiles().gemm_f64.taps[rows - 1][vectors - 1](channels, channel_step, taps, offset, a, a_step, b, c, accumulate)


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


cdef inline void pack_plane(floating* dst, Py_ssize_t dst_channel, Py_ssize_t pitch, const floating* src,
                            Py_ssize_t src_channel, Py_ssize_t src_line, Py_ssize_t channels, Py_ssize_t rows,
                            Py_ssize_t row_lo, Py_ssize_t row_hi, Py_ssize_t lo, Py_ssize_t hi,
                            Py_ssize_t step) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.pack_plane(dst, dst_channel, pitch, src, src_channel, src_line, channels, rows, row_lo, row_hi,
                                    lo, hi, step)
    else:
        tiles().gemm_f64.pack_plane(dst, dst_channel, pitch, src, src_channel, src_line, channels, rows, row_lo, row_hi,
                                    lo, hi, step)


cdef inline void store_tile(floating* dst, Py_ssize_t dst_row, Py_ssize_t step, const floating* tile, Py_ssize_t width,
                            Py_ssize_t rows, const Stretch* stretches, Py_ssize_t n,
                            const floating* bias) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.store_tile(dst, dst_row, step, tile, width, rows, stretches, n, bias)
    else:
        tiles().gemm_f64.store_tile(dst, dst_row, step, tile, width, rows, stretches, n, bias)


# All rows of a panel of pixels, to where they belong; `ahead`: three places of what is read next.
cdef inline void sum_panel(floating* dst, Py_ssize_t dst_row, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t k,
                           const floating* a, const floating* b, Py_ssize_t b_step, floating* copy,
                           Py_ssize_t vectors, const Stretch* stretches, Py_ssize_t n, const floating* bias,
                           const floating** ahead, Py_ssize_t ahead_step, int far) noexcept nogil:
    if floating is float:
        tiles().gemm_f32.sum_panel(dst, dst_row, step, rows, k, a, b, b_step, copy, vectors, stretches, n, bias,
                                   ahead, ahead_step, far)
    else:
        tiles().gemm_f64.sum_panel(dst, dst_row, step, rows, k, a, b, b_step, copy, vectors, stretches, n, bias,
                                   ahead, ahead_step, far)


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


# A tile of pixels anywhere, with the filters side by side: c[place[m]] (+)= sum a[pixel[m] + ...] * b, plus bias.
cdef inline void gemm_points(Py_ssize_t pixels, Py_ssize_t vectors, Py_ssize_t channels, Py_ssize_t channel_step,
                             Py_ssize_t taps, const Py_ssize_t* offset, const floating* a, const Py_ssize_t* pixel,
                             const floating* b, const floating* bias, floating* c, const Py_ssize_t* place,
                             bint accumulate) noexcept nogil:
    if floating is float:
        tiles().points_f32.points[pixels - 1][vectors - 1](channels, channel_step, taps, offset, a, pixel, b, bias, c,
                                                           place, accumulate)
    else:
        tiles().points_f64.points[pixels - 1][vectors - 1](channels, channel_step, taps, offset, a, pixel, b, bias, c,
                                                           place, accumulate)


# The same with the channels of a pixel side by side in a, so b runs over the channels for each tap.
cdef inline void gemm_cells(Py_ssize_t pixels, Py_ssize_t vectors, Py_ssize_t channels, Py_ssize_t taps,
                            const Py_ssize_t* offset, const floating* a, const Py_ssize_t* pixel, const floating* b,
                            const floating* bias, floating* c, const Py_ssize_t* place,
                            bint accumulate) noexcept nogil:
    if floating is float:
        tiles().points_f32.cells[pixels - 1][vectors - 1](channels, taps, offset, a, pixel, b, bias, c, place,
                                                          accumulate)
    else:
        tiles().points_f64.cells[pixels - 1][vectors - 1](channels, taps, offset, a, pixel, b, bias, c, place,
                                                          accumulate)


# Most vectors of such a tile, and most pixels with so many.
cdef inline Py_ssize_t cells_widest(floating* tag) noexcept nogil:
    return tiles().points_f32.cells_widest if floating is float else tiles().points_f64.cells_widest


cdef inline Py_ssize_t cells_rows(floating* tag, Py_ssize_t vectors) noexcept nogil:
    return tiles().points_f32.cells_rows[vectors - 1] if floating is float \
        else tiles().points_f64.cells_rows[vectors - 1]


cdef inline void ask_points(const floating* a, const Py_ssize_t* pixel, Py_ssize_t pixels,
                            Py_ssize_t values) noexcept nogil:
    if floating is float:
        tiles().points_f32.ask_points(a, pixel, pixels, values)
    else:
        tiles().points_f64.ask_points(a, pixel, pixels, values)


cdef inline void store_points(floating* dst, Py_ssize_t channel_step, Py_ssize_t pixel_step, const floating* src,
                              Py_ssize_t width, Py_ssize_t pixels, Py_ssize_t channels) noexcept nogil:
    if floating is float:
        tiles().points_f32.store_points(dst, channel_step, pixel_step, src, width, pixels, channels)
    else:
        tiles().points_f64.store_points(dst, channel_step, pixel_step, src, width, pixels, channels)


cdef inline void to_lanes(floating* lines, const floating* src, Py_ssize_t channel_step, Py_ssize_t pixel_step,
                          Py_ssize_t pixels, Py_ssize_t channels) noexcept nogil:
    if floating is float:
        tiles().winograd_f32.to_lanes(lines, src, channel_step, pixel_step, pixels, channels)
    else:
        tiles().winograd_f64.to_lanes(lines, src, channel_step, pixel_step, pixels, channels)


cdef inline void from_lanes(floating* dst, const floating* lines, Py_ssize_t channel_step, Py_ssize_t pixel_step,
                            Py_ssize_t pixels, Py_ssize_t channels) noexcept nogil:
    if floating is float:
        tiles().winograd_f32.from_lanes(dst, lines, channel_step, pixel_step, pixels, channels)
    else:
        tiles().winograd_f64.from_lanes(dst, lines, channel_step, pixel_step, pixels, channels)


# Winograd's transforms; kind: their place in csrc/winograd_table.inc.h.

cdef inline void winograd_input(Py_ssize_t kind, floating* v, Py_ssize_t xi_step, Py_ssize_t tile_step,
                                Py_ssize_t count, floating* space, const floating* lines, Py_ssize_t cols,
                                Py_ssize_t left, const Phases* phases) noexcept nogil:
    if floating is float:
        tiles().winograd_f32.input(<int> kind, v, xi_step, tile_step, count, space, lines, cols, left, phases)
    else:
        tiles().winograd_f64.input(<int> kind, v, xi_step, tile_step, count, space, lines, cols, left, phases)


cdef inline bint winograd_output(Py_ssize_t kind, floating* lines, Py_ssize_t pitch, const floating* s,
                                 Py_ssize_t xi_step, Py_ssize_t tile_step, Py_ssize_t count, const floating* bias,
                                 Py_ssize_t used, const Phases* phases) noexcept nogil:
    if floating is float:
        return tiles().winograd_f32.output[kind](lines, pitch, s, xi_step, tile_step, count, bias, used, phases)
    else:
        return tiles().winograd_f64.output[kind](lines, pitch, s, xi_step, tile_step, count, bias, used, phases)


cdef inline void winograd_weights(Py_ssize_t kind, floating* u, Py_ssize_t xi_step, Py_ssize_t u_step,
                                  const floating* lines, Py_ssize_t channels, bint turned) noexcept nogil:
    if floating is float:
        tiles().winograd_f32.weights[kind](u, xi_step, u_step, lines, channels, turned)
    else:
        tiles().winograd_f64.weights[kind](u, xi_step, u_step, lines, channels, turned)


cdef inline void winograd_delta(Py_ssize_t kind, floating* p, Py_ssize_t xi_step, Py_ssize_t tile_step,
                                Py_ssize_t count, floating* space, const floating* lines, Py_ssize_t cols,
                                const Phases* phases) noexcept nogil:
    if floating is float:
        tiles().winograd_f32.delta(<int> kind, p, xi_step, tile_step, count, space, lines, cols, phases)
    else:
        tiles().winograd_f64.delta(<int> kind, p, xi_step, tile_step, count, space, lines, cols, phases)


cdef inline bint winograd_gradient(Py_ssize_t kind, floating* lines, const floating* s, Py_ssize_t xi_step,
                                   Py_ssize_t used) noexcept nogil:
    if floating is float:
        return tiles().winograd_f32.gradient[kind](lines, s, xi_step, used)
    else:
        return tiles().winograd_f64.gradient[kind](lines, s, xi_step, used)


# One plane of a depthwise convolution.

cdef inline void plane_pad(floating* dst, Py_ssize_t width, const floating* src, Py_ssize_t line, Py_ssize_t pixel,
                           Py_ssize_t size, Py_ssize_t lead, Py_ssize_t stride, Py_ssize_t rows) noexcept nogil:
    if floating is float:
        tiles().depthwise_f32.pad(dst, width, src, line, pixel, size, lead, stride, rows)
    else:
        tiles().depthwise_f64.pad(dst, width, src, line, pixel, size, lead, stride, rows)


cdef inline void plane_merge(floating* dst, Py_ssize_t line, Py_ssize_t pixel, const floating* src, Py_ssize_t pitch,
                             Py_ssize_t phase_step, Py_ssize_t size, Py_ssize_t stride,
                             Py_ssize_t rows) noexcept nogil:
    if floating is float:
        tiles().pool_f32.merge(dst, line, pixel, src, pitch, phase_step, size, 0, stride, rows)
    else:
        tiles().pool_f64.merge(dst, line, pixel, src, pitch, phase_step, size, 0, stride, rows)


cdef inline void plane_sum(floating* dst, const floating* src, const floating* weight, const Window* window,
                           floating bias, bint accumulate) noexcept nogil:
    if floating is float:
        tiles().depthwise_f32.sum(dst, src, weight, window, bias, accumulate)
    else:
        tiles().depthwise_f64.sum(dst, src, weight, window, bias, accumulate)


cdef inline void plane_dot(floating* sums, const floating* src, const floating* dy,
                           const Window* window) noexcept nogil:
    if floating is float:
        tiles().depthwise_f32.dot(sums, src, dy, window)
    else:
        tiles().depthwise_f64.dot(sums, src, dy, window)


cdef inline void plane_fold(floating* dst, const floating* sums, Py_ssize_t count, Py_ssize_t slices,
                            Py_ssize_t slice_step) noexcept nogil:
    if floating is float:
        tiles().depthwise_f32.fold(dst, sums, count, slices, slice_step)
    else:
        tiles().depthwise_f64.fold(dst, sums, count, slices, slice_step)


# Several planes at once, from where they lie: there where planes_in_place says so.

cdef inline bint planes_in_place() noexcept nogil:
    return tiles().depthwise_f32.direct != NULL


cdef inline void planes_sum(bint spread, floating* dst, const floating* src, const floating* weight,
                            const floating* bias, const floating* zero, const Direct* p) noexcept nogil:
    if floating is float:
        (tiles().depthwise_f32.spread if spread else tiles().depthwise_f32.direct)(dst, src, weight, bias, zero, p)
    else:
        (tiles().depthwise_f64.spread if spread else tiles().depthwise_f64.direct)(dst, src, weight, bias, zero, p)


cdef inline void planes_products(floating* dst, const floating* src, const floating* dy, const floating* zero,
                                 const Direct* p) noexcept nogil:
    if floating is float:
        tiles().depthwise_f32.products(dst, src, dy, zero, p)
    else:
        tiles().depthwise_f64.products(dst, src, dy, zero, p)


# Channels side by side.

cdef inline void channels_sum(floating* dst, Py_ssize_t pixel, Py_ssize_t pixels, const floating** cell,
                              Py_ssize_t taps, const Py_ssize_t* at, const floating* weight,
                              const Py_ssize_t* weight_at, const floating* bias, Py_ssize_t n,
                              const Ahead* ahead) noexcept nogil:
    if floating is float:
        tiles().depthwise_f32.sum_channels(dst, pixel, pixels, cell, taps, at, weight, weight_at, bias, n, ahead)
    else:
        tiles().depthwise_f64.sum_channels(dst, pixel, pixels, cell, taps, at, weight, weight_at, bias, n, ahead)


cdef inline void channels_dot(floating* sums, Py_ssize_t step, const floating* dy, Py_ssize_t pixel, Py_ssize_t pixels,
                              const floating** cell, Py_ssize_t taps, const Py_ssize_t* at, Py_ssize_t n,
                              const Ahead* ahead) noexcept nogil:
    if floating is float:
        tiles().depthwise_f32.dot_channels(sums, step, dy, pixel, pixels, cell, taps, at, n, ahead)
    else:
        tiles().depthwise_f64.dot_channels(sums, step, dy, pixel, pixels, cell, taps, at, n, ahead)


# Sums of few products.

cdef inline void few_sum(floating* dst, Py_ssize_t dst_row, Py_ssize_t rows, const floating* src, Py_ssize_t channels,
                         Py_ssize_t channel_step, Py_ssize_t taps, const Py_ssize_t* offset, const floating* weight,
                         const floating* bias, const Spot* spots, Py_ssize_t n, bint far) noexcept nogil:
    if floating is float:
        tiles().few_f32.sum(dst, dst_row, rows, src, channels, channel_step, taps, offset, weight, bias, spots, n, far)
    else:
        tiles().few_f64.sum(dst, dst_row, rows, src, channels, channel_step, taps, offset, weight, bias, spots, n, far)


cdef inline void few_dot(floating* sums, const floating* dy, Py_ssize_t dy_step, Py_ssize_t dy_line,
                         Py_ssize_t filters, const floating* src, Py_ssize_t src_line, const Py_ssize_t* offset,
                         Py_ssize_t depth, Py_ssize_t rows, Py_ssize_t cols) noexcept nogil:
    if floating is float:
        tiles().few_f32.dot(sums, dy, dy_step, dy_line, filters, src, src_line, offset, depth, rows, cols)
    else:
        tiles().few_f64.dot(sums, dy, dy_step, dy_line, filters, src, src_line, offset, depth, rows, cols)

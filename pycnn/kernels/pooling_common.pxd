# What the pooling kernels share: one spatial axis, the steps of an array, and the rows of csrc under one name for both
# number types.
#
# Window o of an axis sees the cells o * stride + t * dilation - pad for the taps t < kernel; those outside
# 0 .. size - 1 are padding.

from cython cimport floating

from pycnn.kernels._call cimport View
from pycnn.kernels._integers cimport ceil_div, floor_div
from pycnn.kernels._pycnn_h cimport PoolGeometry
from pycnn.kernels._runtime cimport pool_f32, pool_f64, tiles

ctypedef unsigned char byte
ctypedef long long place_t

ctypedef struct Axis:
    Py_ssize_t size      # cells of the input
    Py_ssize_t out       # windows
    Py_ssize_t kernel
    Py_ssize_t stride
    Py_ssize_t dilation
    Py_ssize_t pad       # cells of padding before the first
    Py_ssize_t after     # and after the last

# Elements from one cell to the next along each axis of an (N, C, D, H, W) array.
ctypedef struct Steps:
    Py_ssize_t n
    Py_ssize_t c
    Py_ssize_t d
    Py_ssize_t h
    Py_ssize_t w

ctypedef struct Rows:
    const pool_f32* f32
    const pool_f64* f64


cdef inline Rows active_rows() noexcept nogil:
    cdef Rows rows
    rows.f32 = tiles().pool_f32
    rows.f64 = tiles().pool_f64
    return rows


cdef inline Steps steps_of(const View* v) noexcept nogil:
    cdef Steps s
    s.n, s.c, s.d, s.h, s.w = v.steps[0], v.steps[1], v.steps[2], v.steps[3], v.steps[4]
    return s


cdef inline void swap_channels(Steps* s) noexcept nogil:
    s.n, s.c = s.c, s.n


# numbers: kernel, stride, dilation, pad before and pad after, each for D, H and W.
cdef inline Axis axis_of(tuple numbers, int which, const View* cells, const View* windows):
    cdef Axis a
    a.size = cells.shape[2 + which]
    a.out = windows.shape[2 + which]
    a.kernel = numbers[which]
    a.stride = numbers[3 + which]
    a.dilation = numbers[6 + which]
    a.pad = numbers[9 + which]
    a.after = numbers[12 + which]
    return a


cdef inline Axis axis_from(const PoolGeometry* g, int which) noexcept nogil:
    cdef Axis a
    a.size, a.out = g.x_shape[2 + which], g.y_shape[2 + which]
    a.kernel, a.stride, a.dilation = g.kernel[which], g.stride[which], g.dilation[which]
    a.pad, a.after = g.pad[which], g.pad_after[which]
    return a


# The taps of window o that fall on cells: [first_tap, end_tap).
cdef inline Py_ssize_t first_tap(const Axis* a, Py_ssize_t o) noexcept nogil:
    return min(a.kernel, max(0, ceil_div(a.pad - o * a.stride, a.dilation)))


cdef inline Py_ssize_t end_tap(const Axis* a, Py_ssize_t o) noexcept nogil:
    return max(first_tap(a, o), min(a.kernel, ceil_div(a.size + a.pad - o * a.stride, a.dilation)))


# The windows whose taps all fall on cells: [first_inside, end_inside).
cdef inline Py_ssize_t first_inside(const Axis* a) noexcept nogil:
    return min(a.out, ceil_div(a.pad, a.stride))


cdef inline Py_ssize_t end_inside(const Axis* a) noexcept nogil:
    cdef Py_ssize_t room = a.size - 1 + a.pad - (a.kernel - 1) * a.dilation
    return max(first_inside(a), min(a.out, floor_div(room, a.stride) + 1))


# What window o counts towards the divisor of a mean, at least 1: taps on cells, with `padded` also on the padding.
cdef inline Py_ssize_t taps_counted(const Axis* a, Py_ssize_t o, bint padded) noexcept nogil:
    if not padded:
        return max(1, end_tap(a, o) - first_tap(a, o))
    return max(1, min(a.kernel, ceil_div(a.size + a.pad + a.after - o * a.stride, a.dilation)))


# Whether every window counts all taps; counts fall off towards both ends.
cdef inline bint all_counted(const Axis* a, bint padded) noexcept nogil:
    return taps_counted(a, 0, padded) == a.kernel and taps_counted(a, a.out - 1, padded) == a.kernel


# From the first tap of a window to each of them, by code, where a cell further on is so many steps.
cdef inline void list_taps(const Axis* d, const Axis* h, const Axis* w, Py_ssize_t d_step, Py_ssize_t h_step,
                           Py_ssize_t w_step, place_t* distance) noexcept nogil:
    cdef Py_ssize_t i, j, k, code = 0
    for i in range(d.kernel):
        for j in range(h.kernel):
            for k in range(w.kernel):
                distance[code] = i * d.dilation * d_step + j * h.dilation * h_step + k * w.dilation * w_step
                code += 1


# Which windows see cell i: fills tap[] and window[] with the pairs (t, o), windows ascending, and gives their number.
# `whole`: cells i + stride, i + 2 stride, ... see the windows o + 1, o + 2, ... by the same taps, as far as they exist.
cdef inline Py_ssize_t windows_over(const Axis* a, Py_ssize_t i, Py_ssize_t* tap, Py_ssize_t* window,
                                    bint* whole) noexcept nogil:
    cdef Py_ssize_t t, o, from_start, count = 0
    cdef Py_ssize_t step = a.stride if a.dilation == 1 else 1  # from a tap that may see the cell to the next
    whole[0] = True
    t = a.kernel - 1
    if step > 1:
        t -= (t - (i + a.pad) % step + step) % step
    while t >= 0:
        from_start = i + a.pad - t * a.dilation
        o = from_start // a.stride
        if o * a.stride == from_start:
            if 0 <= o < a.out:
                tap[count] = t
                window[count] = o
                count += 1
            else:
                whole[0] = False
        t -= step
    return count


# How many of the cells i, i + stride, ... below `end` are alike in that sense.
cdef inline Py_ssize_t cells_alike(const Axis* a, Py_ssize_t i, Py_ssize_t end, Py_ssize_t count,
                                   const Py_ssize_t* window, bint whole) noexcept nogil:
    cdef Py_ssize_t cells = (end - 1 - i) // a.stride + 1
    if not whole:
        return 1
    return min(cells, a.out - window[count - 1]) if count > 0 else cells


# The functions of csrc/pool_table.inc.h, for either number type.

cdef inline void split(const Rows* r, floating* dst, Py_ssize_t dst_row, Py_ssize_t dst_phase, const floating* src,
                       Py_ssize_t src_row, Py_ssize_t src_step, Py_ssize_t size, Py_ssize_t lead, Py_ssize_t stride,
                       Py_ssize_t phases, Py_ssize_t width, Py_ssize_t rows, floating fill) noexcept nogil:
    if floating is float:
        r.f32.split(dst, dst_row, dst_phase, src, src_row, src_step, size, lead, stride, phases, width, rows, fill)
    else:
        r.f64.split(dst, dst_row, dst_phase, src, src_row, src_step, size, lead, stride, phases, width, rows, fill)


cdef inline void merge(const Rows* r, floating* dst, Py_ssize_t dst_row, Py_ssize_t dst_step, const floating* src,
                       Py_ssize_t src_row, Py_ssize_t src_phase, Py_ssize_t size, Py_ssize_t lead, Py_ssize_t stride,
                       Py_ssize_t rows) noexcept nogil:
    if floating is float:
        r.f32.merge(dst, dst_row, dst_step, src, src_row, src_phase, size, lead, stride, rows)
    else:
        r.f64.merge(dst, dst_row, dst_step, src, src_row, src_phase, size, lead, stride, rows)


cdef inline void sum_rows(const Rows* r, floating* dst, Py_ssize_t dst_step, const floating** src,
                          Py_ssize_t src_step, Py_ssize_t taps, Py_ssize_t n, Py_ssize_t blocks) noexcept nogil:
    if floating is float:
        r.f32.sum_rows(dst, dst_step, src, src_step, taps, n, blocks)
    else:
        r.f64.sum_rows(dst, dst_step, src, src_step, taps, n, blocks)


cdef inline void mean_rows(const Rows* r, floating* dst, Py_ssize_t dst_step, const floating** src,
                           Py_ssize_t src_step, Py_ssize_t taps, Py_ssize_t group, Py_ssize_t n, Py_ssize_t blocks,
                           const floating* count, floating scale) noexcept nogil:
    if floating is float:
        r.f32.mean_rows(dst, dst_step, src, src_step, taps, group, n, blocks, count, scale)
    else:
        r.f64.mean_rows(dst, dst_step, src, src_step, taps, group, n, blocks, count, scale)


cdef inline void share_rows(const Rows* r, floating* dst, Py_ssize_t dst_step, const floating** src,
                            Py_ssize_t src_step, const floating* count, Py_ssize_t taps, Py_ssize_t group,
                            Py_ssize_t n, Py_ssize_t blocks) noexcept nogil:
    if floating is float:
        r.f32.share_rows(dst, dst_step, src, src_step, count, taps, group, n, blocks)
    else:
        r.f64.share_rows(dst, dst_step, src, src_step, count, taps, group, n, blocks)


cdef inline void share_lanes(const Rows* r, floating* dst, const floating* src, const Py_ssize_t* begin,
                             const Py_ssize_t* end, Py_ssize_t n, floating scale) noexcept nogil:
    if floating is float:
        r.f32.share_lanes(dst, src, begin, end, n, scale)
    else:
        r.f64.share_lanes(dst, src, begin, end, n, scale)


cdef inline void select_rows(const Rows* r, floating* dst, Py_ssize_t dst_step, const floating** src,
                             Py_ssize_t src_step, const byte** place, Py_ssize_t place_step, const byte* code,
                             Py_ssize_t taps, Py_ssize_t n, Py_ssize_t blocks) noexcept nogil:
    if floating is float:
        r.f32.select_rows(dst, dst_step, src, src_step, place, place_step, code, taps, n, blocks)
    else:
        r.f64.select_rows(dst, dst_step, src, src_step, place, place_step, code, taps, n, blocks)


cdef inline void bin_planes(const Rows* r, floating* dst, Py_ssize_t dst_step, const floating* src,
                            Py_ssize_t src_step, Py_ssize_t row_step, Py_ssize_t rows, Py_ssize_t columns,
                            Py_ssize_t planes, floating divisor) noexcept nogil:
    if floating is float:
        r.f32.bin_planes(dst, dst_step, src, src_step, row_step, rows, columns, planes, divisor)
    else:
        r.f64.bin_planes(dst, dst_step, src, src_step, row_step, rows, columns, planes, divisor)


cdef inline void fill_planes(const Rows* r, floating* dst, Py_ssize_t dst_step, const floating* src,
                             Py_ssize_t src_step, Py_ssize_t n, Py_ssize_t planes, floating divisor) noexcept nogil:
    if floating is float:
        r.f32.fill_planes(dst, dst_step, src, src_step, n, planes, divisor)
    else:
        r.f64.fill_planes(dst, dst_step, src, src_step, n, planes, divisor)


cdef inline void bin_row(const Rows* r, floating* dst, Py_ssize_t dst_step, const floating* src, Py_ssize_t row_step,
                         Py_ssize_t rows, const Py_ssize_t* begin, const Py_ssize_t* end,
                         Py_ssize_t bins) noexcept nogil:
    if floating is float:
        r.f32.bin_row(dst, dst_step, src, row_step, rows, begin, end, bins)
    else:
        r.f64.bin_row(dst, dst_step, src, row_step, rows, begin, end, bins)


cdef inline void bin_lanes(const Rows* r, floating* dst, const floating* src, Py_ssize_t row_step,
                           Py_ssize_t column_step, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t n,
                           floating divisor) noexcept nogil:
    if floating is float:
        r.f32.bin_lanes(dst, src, row_step, column_step, rows, columns, n, divisor)
    else:
        r.f64.bin_lanes(dst, src, row_step, column_step, rows, columns, n, divisor)


# Without `arg` only the values.
cdef inline void max_first(const Rows* r, floating* dst, Py_ssize_t dst_step, byte* arg, Py_ssize_t arg_step,
                           const byte* first, const floating** src, Py_ssize_t src_step, const byte* code,
                           Py_ssize_t taps, Py_ssize_t n, Py_ssize_t blocks) noexcept nogil:
    if floating is float:
        if arg == NULL:
            r.f32.max_values(dst, dst_step, src, src_step, taps, n, blocks)
        else:
            r.f32.max_first(dst, dst_step, arg, arg_step, first, src, src_step, code, taps, n, blocks)
    else:
        if arg == NULL:
            r.f64.max_values(dst, dst_step, src, src_step, taps, n, blocks)
        else:
            r.f64.max_first(dst, dst_step, arg, arg_step, first, src, src_step, code, taps, n, blocks)


cdef inline void max_next(const Rows* r, floating* dst, Py_ssize_t dst_step, byte* arg, Py_ssize_t arg_step,
                          const floating** src, Py_ssize_t src_step, const byte** src_arg, Py_ssize_t src_arg_step,
                          const byte* code, Py_ssize_t taps, Py_ssize_t n, Py_ssize_t blocks) noexcept nogil:
    if floating is float:
        if arg == NULL:
            r.f32.max_values(dst, dst_step, src, src_step, taps, n, blocks)
        else:
            r.f32.max_next(dst, dst_step, arg, arg_step, src, src_step, src_arg, src_arg_step, code, taps, n, blocks)
    else:
        if arg == NULL:
            r.f64.max_values(dst, dst_step, src, src_step, taps, n, blocks)
        else:
            r.f64.max_next(dst, dst_step, arg, arg_step, src, src_step, src_arg, src_arg_step, code, taps, n, blocks)

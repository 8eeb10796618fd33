/* One plane times one small kernel, one instruction set, one number type. Lanes are pixels of a row.
 *
 *   sum   dst[r][c] = bias + sum_{i, j} src[r * src_line + i * tap_line + column[j] + c] * w[i][j]
 *   dot   sums[i][j] += sum_{r, c} src[r * src_line + i * tap_line + column[j] + c] * dy[r][c]
 *
 * src is a copy of the plane between zeros (`pad`; with stride 2 its even and its odd columns lie apart), so every tap
 * of a row is a contiguous run and no tap is outside. Four rows of outputs are made at once: a vector of src that is
 * loaded for one tap of one row is used for the taps of the other rows that see it: 18 loads for the 36 products of a
 * 3x3 kernel. That needs rows of outputs one or two rows of taps apart. With dilation the rows of outputs fall into
 * classes for which it is so. Kernels without code of their own load each value for each tap.
 *
 * The last vector of a row spills into the row below, which is written later, or overlaps the one before; the last four
 * rows overlap those before: what is computed twice is the same twice. Only what is added to dst, and the last rows of
 * narrow planes, are cut.
 *
 * On what bounds such kernels see Zhang, Lo and Lu, "High performance depthwise and pointwise convolutions on mobile
 * devices" (AAAI 2020). */

#if defined(PYCNN_ISA_AVX512) || defined(PYCNN_ISA_AVX2)
#define DW_MASKED /* loads */
#endif
#define DW_ROWS 4
#define DW_MOST_HELD 9 /* weights that stay in registers */

/* One phase of a row, or both of stride 2, between zeros. Cells are stored to aligned places where lead is. */
ALWAYS_INLINE void NAME(dw_copy)(REAL *RESTRICT dst, const REAL *RESTRICT src, ptrdiff_t n) {
    ptrdiff_t j = 0;
    for (; j + 2 * VL <= n; j += 2 * VL) { /* two at a time: compilers make a call of memcpy of a simpler loop */
        const vec a = vload(src + j), b = vload(src + j + VL);
        vstore(dst + j, a);
        vstore(dst + j + VL, b);
    }
    if (n - j >= VL) {
        vstore(dst + j, vload(src + j));
        j += VL;
    }
    if (n > j) vstore(dst + j, NAME(load_part)(src + j, 0, n - j));
}

ALWAYS_INLINE void NAME(dw_split)(REAL *RESTRICT even, REAL *RESTRICT odd, const REAL *RESTRICT src, ptrdiff_t n) {
    for (ptrdiff_t j = 0; j < n; j += 2 * VL, even += VL, odd += VL) {
        const ptrdiff_t low = n - j < VL ? n - j : VL, high = n - j - low < VL ? n - j - low : VL;
        const vec a = low == VL ? vload(src + j) : NAME(load_part)(src + j, 0, low);
        const vec b = high == VL ? vload(src + j + VL) : high ? NAME(load_part)(src + j + VL, 0, high) : vzero();
        vstore(even, peven(a, b));
        vstore(odd, podd(a, b));
    }
}

/* Whole vectors, so up to one beyond n. Almost always one: a call of memset would cost more. */
ALWAYS_INLINE void NAME(dw_zero)(REAL *dst, ptrdiff_t n) {
    if (n > 0) vstore(dst, vzero());
    for (ptrdiff_t j = VL; j < n; j += VL) vstore(dst + j, vzero());
}

static void NAME(dw_pad)(REAL *RESTRICT dst, ptrdiff_t width, const REAL *RESTRICT src, ptrdiff_t line, ptrdiff_t pixel,
                         ptrdiff_t size, ptrdiff_t lead, ptrdiff_t stride, ptrdiff_t rows) {
    const ptrdiff_t all = stride * width;
    const ptrdiff_t lo = lead < 0 ? 0 : lead < all ? lead : all;
    const ptrdiff_t n = lead + size < lo ? 0 : lead + size < all ? lead + size - lo : all - lo;
    const ptrdiff_t used = (lo + n + stride - 1) / stride; /* of a phase */
    const ptrdiff_t filled = lo / stride + (used - lo / stride + VL - 1) / VL * VL;
    src += (lo - lead) * pixel;
    for (ptrdiff_t r = 0; r < rows; r++, dst += all, src += line) {
        NAME(dw_zero)(dst, lo / stride);
        if (stride == 2) NAME(dw_zero)(dst + width, lo / stride);
        if (pixel == 1 && stride == 1) {
            NAME(dw_copy)(dst + lo, src, n);
        } else if (pixel == 1 && stride == 2 && lo % 2 == 0) {
            NAME(dw_split)(dst + lo / 2, dst + width + lo / 2, src, n);
        } else {
            for (ptrdiff_t f = 0; f < stride; f++) {
                for (ptrdiff_t j = lo / stride; j < filled; j++) {
                    const ptrdiff_t i = j * stride + f - lo;
                    dst[f * width + j] = i >= 0 && i < n ? src[i * pixel] : 0;
                }
            }
        }
        NAME(dw_zero)(dst + filled, width - filled);
        if (stride == 2) NAME(dw_zero)(dst + width + filled, width - filled);
    }
    NAME(dw_zero)(dst, lo / stride);
}

/* The taps of `rows` vectors of one column block. kh = 0: any kernel. held: the weights, where they are few. */
ALWAYS_INLINE void NAME(dw_taps)(const int rows, const int kh, const int kw, const int stride, vec *sum,
                                 const REAL *RESTRICT src, const pycnn_window *p, const REAL *RESTRICT weight,
                                 const vec *held) {
    if (kh == 0) {
        for (ptrdiff_t j = 0; j < p->kw; j++) {
            const REAL *RESTRICT s = src + p->column[j];
            for (ptrdiff_t i = 0; i < p->kh; i++, s += p->tap_line) {
                const vec w = vset(weight[i * p->kw + j]);
                UNROLL for (int r = 0; r < rows; r++) sum[r] = vfma(w, vload(s + r * p->src_line), sum[r]);
            }
        }
        return;
    }
    UNROLL for (int j = 0; j < kw; j++) {
        const REAL *RESTRICT s = src + p->column[j];
        vec w[7];
        UNROLL for (int i = 0; i < kh; i++)
            w[i] = kh * kw <= DW_MOST_HELD ? held[i * kw + j] : vset(weight[i * kw + j]);
        UNROLL for (int y = 0; y < (rows - 1) * stride + kh; y++) {
            const vec v = vload(s + y * p->tap_line);
            UNROLL for (int r = 0; r < rows; r++)
                if (y - r * stride >= 0 && y - r * stride < kh) sum[r] = vfma(w[y - r * stride], v, sum[r]);
        }
    }
}

/* `rows` rows of outputs. room: values from dst on that may be written. The end of the rows comes first: what it spills
 * into the rows below is overwritten. */
ALWAYS_INLINE void NAME(dw_band)(const int rows, const int kh, const int kw, const int stride, REAL *dst,
                                 const REAL *RESTRICT src, const REAL *RESTRICT weight, const pycnn_window *p,
                                 REAL bias, int accumulate, ptrdiff_t room) {
    const ptrdiff_t cols = p->cols, line = p->dst_line;
    vec held[DW_MOST_HELD];
    if (kh * kw <= DW_MOST_HELD)
        UNROLL for (int t = 0; t < kh * kw; t++) held[t] = vset(weight[t]);
    const ptrdiff_t rest = cols % VL;
    ptrdiff_t c = cols - rest, next = 0, lanes = VL;
    if (rest == 0) {
        c = 0;
        next = VL;
    } else if (accumulate || (rows - 1) * line + c + VL > room) {
        if (accumulate || cols < VL)
            lanes = rest;
        else
            c = cols - VL;
    }
    for (;;) {
        vec sum[DW_ROWS];
        if (!accumulate)
            UNROLL for (int r = 0; r < rows; r++) sum[r] = vset(bias);
        else if (lanes == VL)
            UNROLL for (int r = 0; r < rows; r++) sum[r] = vload(dst + r * line + c);
        else
            UNROLL for (int r = 0; r < rows; r++) sum[r] = vload_part(dst + r * line + c, lanes, 0);
        NAME(dw_taps)(rows, kh, kw, stride, sum, src + c, p, weight, held);
        if (lanes == VL)
            UNROLL for (int r = 0; r < rows; r++) vstore(dst + r * line + c, sum[r]);
        else
            UNROLL for (int r = 0; r < rows; r++) vstore_part(dst + r * line + c, sum[r], lanes);
        if (next + VL > cols) break;
        c = next;
        next += VL;
        lanes = VL;
    }
}

ALWAYS_INLINE void NAME(dw_rows)(const int kh, const int kw, const int stride, REAL *dst, const REAL *src,
                                 const REAL *weight, const pycnn_window *p, REAL bias, int accumulate) {
    const ptrdiff_t rows = p->rows;
    const ptrdiff_t room = p->spill && !accumulate ? rows * p->dst_line : 0;
    ptrdiff_t r = 0;
    for (; r < rows; r += DW_ROWS) {
        if (rows - r < DW_ROWS) {
            if (rows < DW_ROWS || accumulate) break;
            r = rows - DW_ROWS;
        }
        NAME(dw_band)(DW_ROWS, kh, kw, stride, dst + r * p->dst_line, src + r * p->src_line, weight, p, bias,
                      accumulate, room - r * p->dst_line);
    }
    for (; r < rows; r++)
        NAME(dw_band)(1, kh, kw, stride, dst + r * p->dst_line, src + r * p->src_line, weight, p, bias, accumulate,
                      room - r * p->dst_line);
}

/* Kernels with code of their own: rows, columns, rows of taps from one row of outputs to the next. Few where almost all
 * planes go another way (depthwise_direct.inc.h), none in plain C, which would be a quarter larger. */
#if defined(DW_MASKED)
#define DW_KERNELS(X) X(3, 3, 1)
#elif defined(PYCNN_ISA_NEON)
#define DW_KERNELS(X)                                                                                   \
    X(3, 3, 1) X(3, 3, 2) X(5, 5, 1) X(5, 5, 2) X(1, 1, 1) X(1, 2, 1) X(2, 1, 1) X(2, 2, 1) X(2, 3, 1) X(3, 2, 1)
#define DW_OWN_DOTS
#else
#define DW_KERNELS(X)
#endif

#define DW_ONE(kh, kw, stride)                                                                                  \
    static void NAME(dw_sum_##kh##x##kw##_##stride)(REAL *dst, const REAL *src, const REAL *weight,             \
                                                    const pycnn_window *p, REAL bias, int accumulate) {         \
        NAME(dw_rows)(kh, kw, stride, dst, src, weight, p, bias, accumulate);                                   \
    }
DW_KERNELS(DW_ONE)
DW_ONE(0, 0, 1)
#undef DW_ONE

static void NAME(dw_sum_any)(REAL *dst, const REAL *src, const REAL *weight, const pycnn_window *p, REAL bias,
                             int accumulate) {
#define DW_CALL(h, w, stride)                                                               \
    if (p->kh == h && p->kw == w && p->src_line == stride * p->tap_line) {      \
        NAME(dw_sum_##h##x##w##_##stride)(dst, src, weight, p, bias, accumulate);           \
        return;                                                                             \
    }
    DW_KERNELS(DW_CALL)
#undef DW_CALL
    NAME(dw_sum_0x0_1)(dst, src, weight, p, bias, accumulate);
}

/* With dilation d, rows r, r + d, r + 2 d, ... see taps one row of src_line apart: d planes without dilation. */
static ptrdiff_t NAME(dw_classes)(const pycnn_window *p, pycnn_window *each) {
    ptrdiff_t classes = 1;
    *each = *p;
    if (p->kh == 1) each->tap_line = p->src_line; /* one row of taps: any distance will do */
    if (p->kh > 1 && p->src_line > 0 && p->tap_line > p->src_line && p->tap_line % p->src_line == 0)
        classes = p->tap_line / p->src_line;
    if (classes > 1) {
        each->src_line *= classes;
        each->dst_line *= classes;
        each->spill = 0;
    }
    return classes;
}

static void NAME(dw_sum)(REAL *dst, const REAL *src, const REAL *weight, const pycnn_window *p, REAL bias,
                         int accumulate) {
    pycnn_window each;
    if (p->kh == 1 && p->rows == 1 && p->cols >= 2 * VL) { /* a tile wants rows: the vectors of the only one */
        const ptrdiff_t whole = p->cols / VL * VL;
        each = *p;
        each.rows = whole / VL;
        each.cols = each.src_line = each.tap_line = each.dst_line = VL;
        NAME(dw_sum_any)(dst, src, weight, &each, bias, accumulate);
        if (whole == p->cols) return;
        /* The row may end with src, and with dst: a whole vector up to its end, or what is added to in part, as then the
         * planes are copies with room behind them. */
        const ptrdiff_t rest = accumulate ? whole : p->cols - VL;
        each.rows = 1;
        each.cols = p->cols - rest;
        each.spill = 0;
        NAME(dw_sum_any)(dst + rest, src + rest, weight, &each, bias, accumulate);
        return;
    }
    const ptrdiff_t classes = NAME(dw_classes)(p, &each);
    for (ptrdiff_t d = 0; d < classes && d < p->rows; d++) {
        each.rows = (p->rows - d + classes - 1) / classes;
        NAME(dw_sum_any)(dst + d * p->dst_line, src + d * p->src_line, weight, &each, bias, accumulate);
    }
}

/* ---- products of two planes */

/* One column block of `rows` rows. sum[i * kw + j]; part: only the lanes of `mask` count, `first` of them as in dy. */
ALWAYS_INLINE void NAME(dw_products)(const int rows, const int kh, const int kw, const int stride, const int part,
                                     vec *sum, const REAL *RESTRICT src, const ptrdiff_t *column,
                                     const REAL *RESTRICT dy, const pycnn_window *p, vec mask) {
    vec d[DW_ROWS];
    UNROLL for (int r = 0; r < rows; r++) {
        const REAL *from = dy + r * p->dst_line;
        d[r] = !part ? vload(from) : p->cols < VL ? NAME(load_part)(from, 0, p->cols) : vand(vload(from), mask);
    }
    UNROLL for (int j = 0; j < kw; j++) {
        const REAL *RESTRICT s = src + column[j];
        UNROLL for (int y = 0; y < (rows - 1) * stride + kh; y++) {
            vec v = vload(s + y * (kh == 1 ? p->src_line : p->tap_line));
            if (part) v = vand(v, mask);
            UNROLL for (int r = 0; r < rows; r++) {
                const int i = y - r * stride;
                if (i >= 0 && i < kh) sum[i * kw + j] = vfma(v, d[r], sum[i * kw + j]);
            }
        }
    }
}

ALWAYS_INLINE void NAME(dw_products_band)(const int rows, const int kh, const int kw, const int stride, vec *sum,
                                          const REAL *RESTRICT src, const ptrdiff_t *column, const REAL *RESTRICT dy,
                                          const pycnn_window *p, vec mask) {
    ptrdiff_t c = 0;
    for (; c + VL <= p->cols; c += VL)
        NAME(dw_products)(rows, kh, kw, stride, 0, sum, src + c, column, dy + c, p, mask);
    if (c == p->cols) return;
    c = p->cols > VL ? p->cols - VL : 0;
    NAME(dw_products)(rows, kh, kw, stride, 1, sum, src + c, column, dy + c, p, mask);
}

/* The taps of kh rows and of kw columns, of whose tap (0, 0) `sums` and `column` are; all other rows of taps: p. */
ALWAYS_INLINE void NAME(dw_dot_part)(const int kh, const int kw, const int stride, REAL *sums, const REAL *src,
                                     const ptrdiff_t *column, const REAL *dy, const pycnn_window *p, vec mask) {
    vec sum[10];
    ptrdiff_t r = 0;
    UNROLL for (int i = 0; i < kh; i++)
        UNROLL for (int j = 0; j < kw; j++) sum[i * kw + j] = vload(sums + (i * p->kw + j) * VL);
    for (; r + DW_ROWS <= p->rows; r += DW_ROWS)
        NAME(dw_products_band)(DW_ROWS, kh, kw, stride, sum, src + r * p->src_line, column, dy + r * p->dst_line, p,
                               mask);
    for (; r < p->rows; r++)
        NAME(dw_products_band)(1, kh, kw, stride, sum, src + r * p->src_line, column, dy + r * p->dst_line, p, mask);
    UNROLL for (int i = 0; i < kh; i++)
        UNROLL for (int j = 0; j < kw; j++) vstore(sums + (i * p->kw + j) * VL, sum[i * kw + j]);
}

/* Bits all set in the lanes of the last, overlapping vector that no vector before it has. */
ALWAYS_INLINE vec NAME(dw_mask)(ptrdiff_t cols) {
    REAL lane[VL];
    const ptrdiff_t rest = cols % VL;
    memset(lane, 0, sizeof lane);
    memset(cols > VL ? lane + VL - rest : lane, 0xff, (size_t)rest * sizeof(REAL));
    return vload(lane);
}

#define DW_DOT(kh, kw, stride)                                                                                        \
    static void NAME(dw_dot_##kh##x##kw##_##stride)(REAL *sums, const REAL *src, const ptrdiff_t *column,             \
                                                    const REAL *dy, const pycnn_window *p) {                          \
        NAME(dw_dot_part)(kh, kw, stride, sums, src, column, dy, p, NAME(dw_mask)(p->cols));                          \
    }
#ifdef DW_OWN_DOTS
DW_DOT(3, 3, 1)
DW_DOT(3, 3, 2)
DW_DOT(5, 2, 1)
DW_DOT(5, 1, 1)
DW_DOT(5, 2, 2)
DW_DOT(5, 1, 2)
#endif
DW_DOT(1, 4, 1)
DW_DOT(1, 3, 1)
DW_DOT(1, 2, 1)
DW_DOT(1, 1, 1)
#undef DW_DOT

static void NAME(dw_dot_any)(REAL *sums, const REAL *src, const REAL *dy, const pycnn_window *p) {
    const ptrdiff_t *column = p->column;
#ifdef DW_OWN_DOTS
    const ptrdiff_t stride = p->tap_line && p->src_line % p->tap_line == 0 ? p->src_line / p->tap_line : 0;
    if (p->kh == 3 && p->kw == 3 && (stride == 1 || stride == 2)) {
        (stride == 1 ? NAME(dw_dot_3x3_1) : NAME(dw_dot_3x3_2))(sums, src, column, dy, p);
        return;
    }
    if (p->kh == 5 && (stride == 1 || stride == 2)) {
        ptrdiff_t j = 0;
        for (; j + 2 <= p->kw; j += 2)
            (stride == 1 ? NAME(dw_dot_5x2_1) : NAME(dw_dot_5x2_2))(sums + j * VL, src, column + j, dy, p);
        if (j < p->kw) (stride == 1 ? NAME(dw_dot_5x1_1) : NAME(dw_dot_5x1_2))(sums + j * VL, src, column + j, dy, p);
        return;
    }
#endif
    for (ptrdiff_t i = 0; i < p->kh; i++, src += p->tap_line, sums += p->kw * VL) {
        ptrdiff_t j = 0;
        for (; j + 4 <= p->kw; j += 4) NAME(dw_dot_1x4_1)(sums + j * VL, src, column + j, dy, p);
        if (p->kw - j == 3) NAME(dw_dot_1x3_1)(sums + j * VL, src, column + j, dy, p);
        if (p->kw - j == 2) NAME(dw_dot_1x2_1)(sums + j * VL, src, column + j, dy, p);
        if (p->kw - j == 1) NAME(dw_dot_1x1_1)(sums + j * VL, src, column + j, dy, p);
    }
}

static void NAME(dw_dot)(REAL *sums, const REAL *src, const REAL *dy, const pycnn_window *p) {
    pycnn_window each;
    const ptrdiff_t classes = NAME(dw_classes)(p, &each);
    for (ptrdiff_t d = 0; d < classes && d < p->rows; d++) {
        each.rows = (p->rows - d + classes - 1) / classes;
        NAME(dw_dot_any)(sums, src + d * p->src_line, dy + d * p->dst_line, &each);
    }
}

static void NAME(dw_fold)(REAL *dst, const REAL *sums, ptrdiff_t count, ptrdiff_t slices, ptrdiff_t slice_step) {
    for (ptrdiff_t i = 0; i < count; i++) {
        vec sum = vload(sums + i * VL);
        for (ptrdiff_t s = 1; s < slices; s++) sum = vadd(sum, vload(sums + s * slice_step + i * VL));
        dst[i] = vsum(sum);
    }
}

#ifdef DW_MASKED
#include "depthwise_direct.inc.h"
#endif
#include "depthwise_channels.inc.h"

static const TYPED(pycnn_depthwise) NAME(depthwise_table) = {
    NAME(dw_pad),
    NAME(dw_sum),
    NAME(dw_dot),
    NAME(dw_fold),
#ifdef DW_MASKED
    NAME(dd_direct),
    NAME(dd_spread_planes),
    NAME(dd_products),
#else
    0,
    0,
    0,
#endif
    NAME(dc_sum),
    NAME(dc_dot),
};

#undef DW_MASKED
#undef DW_KERNELS
#undef DW_OWN_DOTS
#undef DW_ROWS
#undef DW_MOST_HELD
#undef peven
#undef podd
#undef plow
#undef phigh
#undef pool_permute
#undef pool_in_order

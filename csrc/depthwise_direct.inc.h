/* Depthwise sums straight from the planes, for instruction sets with masked loads. With s the stride, (a, b) the steps
 * from tap to tap, t = top, l = left:
 *
 *   direct    dst[r][c] = bias + sum_{i, j} src[r * s + i * a - t][c * s + j * b - l] * w[i][j]
 *   spread    dst[r][c] = bias + sum_{i, j} src[(r + t - i) / 2][(c + l - j) / 2] * w[i][j], where both are whole
 *   products  dw[i][j] = sum_{images, r, c} src[as in direct] * dy[r][c]
 *
 * Cells outside are zeros that take part: a masked load gives those beside a row, a row of zeros stands for those above
 * and below. A copy of the plane between zeros would be one more pass over L1, which costs up to a third of the sum.
 *
 * Lanes are columns. A tile is one vector of 7 or 4 rows: each vector that is loaded serves all rows that see it (27
 * loads for the 63 products of seven rows of a 3x3 kernel), and kernels of 5 and 7 rows keep one column of weights in
 * registers. Tiles overlap at the end, rows and columns: what is computed twice is the same twice. AVX-512 takes the
 * last columns with half a vector where that is enough. Stride 2 parts even and odd columns in registers; its gradient
 * puts them together there. With dilation the rows fall into classes that see the same rows.
 *
 * Every sum runs in one order for a kernel, wherever the tile lies. */

#define DD_BLOCKS 32 /* vectors of a row that are planned at once */
#define DD_SOURCES 13 /* rows of src that a tile sees, at most */

#if defined(PYCNN_ISA_AVX512)
#define DD_ROWS 7
#define DD_PAIRS 4
#define DD_BY_ROWS 0 /* 3x3: row after row of src with sixteen registers, column after column of the kernel with more */
#ifdef PYCNN_F32
#define DD_HALF
#define vlanes __mmask16
#define vload_lanes(p, m) _mm512_maskz_loadu_ps((m), (p))
#else
#define vlanes __mmask8
#define vload_lanes(p, m) _mm512_maskz_loadu_pd((m), (p))
#endif
#else
#define DD_ROWS 4
#define DD_PAIRS 2
#define DD_BY_ROWS 1
#define vlanes __m256i
#ifdef PYCNN_F32
#define vload_lanes(p, m) _mm256_maskload_ps((p), (m))
#else
#define vload_lanes(p, m) _mm256_maskload_pd((p), (m))
#endif
#endif


/* The vectors of a stretch of columns: where they begin, which lanes of their loads are cells. */
typedef struct {
    ptrdiff_t count, lanes; /* lanes: that the last one stores */
    int half;               /* the last one is half a vector */
    ptrdiff_t at[DD_BLOCKS];
    vlanes mask[DD_BLOCKS][8], wanted[DD_BLOCKS];
} NAME(dd_panel);

enum { NAME(DD_SUM), NAME(DD_SPREAD), NAME(DD_PRODUCTS) };

/* Of `wide` cells from column `first` of src on those that are cells, and lie from lo to hi. Clamped before the lanes
 * are: a mask of lanes `from` on, VL of them. */
ALWAYS_INLINE vlanes NAME(dd_mask)(const pycnn_direct *p, ptrdiff_t first, ptrdiff_t lo, ptrdiff_t hi) {
    if (lo < -first) lo = -first;
    if (hi > p->width - first) hi = p->width - first;
    lo = lo < 0 ? 0 : lo < VL ? lo : VL;
    hi = hi < lo ? lo : hi < VL ? hi : VL;
    return NAME(part)(lo, hi);
}

static void NAME(dd_block)(NAME(dd_panel) *panel, ptrdiff_t b, const pycnn_direct *p, int kind, ptrdiff_t width,
                           ptrdiff_t lo, ptrdiff_t hi) {
    const ptrdiff_t c = panel->at[b];
    vlanes *mask = panel->mask[b];
    for (ptrdiff_t j = 0; j < p->kw; j++) {
        if (kind == NAME(DD_SPREAD)) {
            const ptrdiff_t f = (j - p->left) & 1;
            mask[j] = NAME(dd_mask)(p, c + (f + p->left - j) / 2, 0, width);
        } else if (p->stride == 1) {
            mask[j] = NAME(dd_mask)(p, c - p->left + j * p->col_step, lo, hi);
        } else if (j % 2 == 0) {
            mask[j] = NAME(dd_mask)(p, 2 * c - p->left + j, 2 * lo, 2 * hi < width ? 2 * hi : width);
            mask[j + 1] = NAME(dd_mask)(p, 2 * c - p->left + j + width, 2 * lo - width, 2 * hi - width);
        }
    }
    panel->wanted[b] = NAME(part)(lo, hi);
}

/* From vector `first` of a row on; returns the number of the vector after the last. */
static ptrdiff_t NAME(dd_plan)(NAME(dd_panel) *panel, const pycnn_direct *p, int kind, ptrdiff_t first) {
    const ptrdiff_t cols = kind == NAME(DD_SPREAD) ? (p->cols + 1) / 2 : p->cols;
    const ptrdiff_t all = (cols + VL - 1) / VL, rest = cols % VL;
    const ptrdiff_t end = all - first < DD_BLOCKS ? all : first + DD_BLOCKS;
    panel->count = end - first;
    panel->lanes = VL;
    panel->half = 0;
    for (ptrdiff_t b = 0; b < end - first; b++) {
        ptrdiff_t c = (first + b) * VL, width = VL, lo = 0, hi = VL;
        if (rest && first + b + 1 == all) {
#ifdef DD_HALF
            if (rest <= VL / 2 && (kind != NAME(DD_PRODUCTS) || all == 1)) width = VL / 2;
#endif
            panel->half = width < VL;
            c = cols < width ? 0 : cols - width;
            hi = cols < width ? cols : width;
            panel->lanes = hi;
            if (kind == NAME(DD_PRODUCTS)) lo = hi - rest;
        }
        panel->at[b] = c;
        NAME(dd_block)(panel, b, p, kind, width, lo, hi);
    }
    return end < all ? end : 0;
}

ALWAYS_INLINE void NAME(dd_lines)(const REAL **line, int n, const REAL *src, const REAL *zero, const pycnn_direct *p,
                                  ptrdiff_t first, ptrdiff_t step) {
    for (int y = 0; y < n; y++, first += step)
        line[y] = (size_t)first < (size_t)p->height ? src + first * p->src_line : zero;
}

/* Asks for `rows` rows of some vectors. A tile has more rows than the processor follows by itself, so it is told what
 * comes after the next one. */
ALWAYS_INLINE void NAME(dd_ask)(const int rows, const int vectors, const REAL *p, ptrdiff_t line, const int lanes) {
    UNROLL for (int y = 0; y < rows; y++)
        UNROLL for (int v = 0; v < vectors; v++) PREFETCH(p + v * lanes + y * line);
}

/* ---- the tiles */

#define T(name) NAME(dd_##name)
#define TL VL
#define tvec vec
#define tload(p, m) vload_lanes((p), (m))
#define tset(x) vset(x)
#define tzero() vzero()
#define tfma(a, b, c) vfma((a), (b), (c))
#define tstore(p, v) vstore((p), (v))
#define tstore_part(p, v, n) vstore_part((p), (v), (n))
#define teven(a, b) peven((a), (b))
#define todd(a, b) podd((a), (b))
#define tlow(e, o) plow((e), (o))
#define thigh(e, o) phigh((e), (o))
#define theld(v) (v)
#define twide(v) (v)
#include "depthwise_tile.inc.h"
#include "depthwise_untile.inc.h"

#ifdef DD_HALF
#define T(name) NAME(dd_half_##name)
#define TL 8
#define tvec __m256
#define tload(p, m) _mm256_maskz_loadu_ps((__mmask8)(m), (p))
#define tset(x) _mm256_set1_ps(x)
#define tzero() _mm256_setzero_ps()
#define tfma(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define tstore(p, v) _mm256_storeu_ps((p), (v))
#define tstore_part(p, v, n) _mm256_mask_storeu_ps(touched((p), (n)), (__mmask8)((1u << (n)) - 1), (v))
#define half_permute(a, i, b) _mm256_permutex2var_ps((a), (i), (b))
#define teven(a, b) half_permute((a), _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14), (b))
#define todd(a, b) half_permute((a), _mm256_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15), (b))
#define tlow(e, o) half_permute((e), _mm256_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11), (o))
#define thigh(e, o) half_permute((e), _mm256_setr_epi32(4, 12, 5, 13, 6, 14, 7, 15), (o))
#define theld(v) _mm512_castps512_ps256(v)
#define twide(v) _mm512_zextps256_ps512(v)
#include "depthwise_tile.inc.h"
#include "depthwise_untile.inc.h"
#undef half_permute
#endif

/* ---- one plane */

ALWAYS_INLINE void NAME(dd_sum_plane)(const int rows, const int kh, const int kw, const int stride, REAL *dst,
                                      const REAL *src, const REAL *weight, REAL bias, const REAL *zero,
                                      const pycnn_direct *p, const NAME(dd_panel) *panel) {
    const REAL *line[DD_SOURCES];
    const ptrdiff_t step = p->row_step, last = panel->count - 1;
    vec held[9];
    UNROLL for (int t = 0; t < kh * kw; t++) held[t] = vset(weight[t * p->weight_step]);
    for (ptrdiff_t e = p->first; e < p->first + step && e < p->rows; e++) {
        const ptrdiff_t n = step == 1 ? p->rows - e : (p->rows - e + step - 1) / step;
        for (ptrdiff_t t = 0; t < n; t += rows) {
            if (n - t < rows && n >= rows) t = n - rows;
            const ptrdiff_t row = e + t * step, count = n - t;
            REAL *to = dst + row * p->dst_line;
            NAME(dd_lines)(line, (rows - 1) * stride + kh, src, zero, p, row * stride - p->top, step);
            const REAL *next = src + ((row + 2 * rows * step) * stride - p->top) * p->src_line;
            for (ptrdiff_t b = 0; b < panel->count; b++) {
                const ptrdiff_t c = panel->at[b], at = c * stride - p->left;
                NAME(dd_ask)(rows * stride, stride, next + at, step * p->src_line, VL);
                NAME(dd_ask)(rows, 1, to + c + 2 * rows * step * p->dst_line, step * p->dst_line, VL);
#ifdef DD_HALF
                if (b == last && panel->half) {
                    NAME(dd_half_sum)(rows, kh, kw, stride, to + c, step * p->dst_line, line, at, panel->mask[b], p,
                                      weight, held, bias, count, panel->lanes);
                    break;
                }
#endif
                NAME(dd_sum)(rows, kh, kw, stride, to + c, step * p->dst_line, line, at, panel->mask[b], p, weight,
                             held, bias, count, b == last ? panel->lanes : VL);
            }
        }
    }
}

ALWAYS_INLINE void NAME(dd_spread_plane)(const int kh, REAL *dst, const REAL *src, const REAL *weight, REAL bias,
                                         const REAL *zero, const pycnn_direct *p, const NAME(dd_panel) *panel) {
    const REAL *line[DD_SOURCES];
    /* Pairs of rows: one that sees the odd taps, one that sees the even ones. */
    const ptrdiff_t odd = (p->first + p->top) % 2 == 0;
    for (ptrdiff_t row = p->first - odd; row < p->rows; row += 2 * DD_PAIRS) {
        const ptrdiff_t first = p->first - row, last = p->rows - row;
        NAME(dd_lines)(line, DD_PAIRS + (kh - 1) / 2, src, zero, p, (row + p->top - 1) / 2 - (kh - 3) / 2, 1);
        for (ptrdiff_t b = 0; b < panel->count; b++) {
            const ptrdiff_t c = panel->at[b], cells = p->cols - 2 * c;
            REAL *to = dst + row * p->dst_line + 2 * c;
#ifdef DD_HALF
            if (b == panel->count - 1 && panel->half) {
                NAME(dd_half_spread)(DD_PAIRS, kh, to, line, c, panel->mask[b], p, weight, bias, first, last,
                                     cells < VL ? cells : VL);
                break;
            }
#endif
            NAME(dd_spread)(DD_PAIRS, kh, to, line, c, panel->mask[b], p, weight, bias, first, last,
                            cells < 2 * VL ? cells : 2 * VL);
        }
    }
}

/* ---- kernels with code of their own */

#define DD_SUM_ARGUMENTS                                                                                           \
    REAL *dst, const REAL *src, const REAL *weight, REAL bias, const REAL *zero, const pycnn_direct *p,            \
        const NAME(dd_panel) *panel
#define DD_SUMS(X) X(7, 3, 3, 1) X(4, 3, 3, 1) X(7, 5, 0, 1) X(4, 5, 0, 1) X(7, 7, 0, 1) X(4, 7, 0, 1) \
    X(4, 3, 3, 2) X(4, 5, 0, 2)
#define DD_ONE(rows, kh, kw, stride)                                                              \
    static void NAME(dd_sum_##rows##_##kh##_##stride)(DD_SUM_ARGUMENTS) {                         \
        NAME(dd_sum_plane)(rows, kh, kw, stride, dst, src, weight, bias, zero, p, panel);         \
    }
#if DD_ROWS == 7
#define DD_OWN(rows, kh, kw, stride) DD_ONE(rows, kh, kw, stride)
#else
#define DD_OWN(rows, kh, kw, stride) DD_OWN_##rows(rows, kh, kw, stride)
#define DD_OWN_7(rows, kh, kw, stride)
#define DD_OWN_4(rows, kh, kw, stride) DD_ONE(rows, kh, kw, stride)
#endif
DD_SUMS(DD_OWN)
static void NAME(dd_spread_3)(DD_SUM_ARGUMENTS) {
    NAME(dd_spread_plane)(3, dst, src, weight, bias, zero, p, panel);
}
static void NAME(dd_spread_5)(DD_SUM_ARGUMENTS) {
    NAME(dd_spread_plane)(5, dst, src, weight, bias, zero, p, panel);
}

typedef void NAME(dd_plane)(DD_SUM_ARGUMENTS);

static NAME(dd_plane) *NAME(dd_find)(const pycnn_direct *p) {
#if DD_ROWS == 7
    const ptrdiff_t n = (p->rows - p->first + p->row_step - 1) / p->row_step;
    const int seven = (n + 6) / 7 * 7 <= (n + 3) / 4 * 4; /* fewer rows, or the same in larger tiles */
    if (p->stride == 1 && seven) {
        return p->kh == 3 ? NAME(dd_sum_7_3_1) : p->kh == 5 ? NAME(dd_sum_7_5_1) : NAME(dd_sum_7_7_1);
    }
#endif
    if (p->stride == 1) return p->kh == 3 ? NAME(dd_sum_4_3_1) : p->kh == 5 ? NAME(dd_sum_4_5_1) : NAME(dd_sum_4_7_1);
    return p->kh == 3 ? NAME(dd_sum_4_3_2) : NAME(dd_sum_4_5_2);
}

static void NAME(dd_planes)(NAME(dd_plane) *plane, int kind, REAL *dst, const REAL *src, const REAL *weight,
                            const REAL *bias, const REAL *zero, const pycnn_direct *p) {
    NAME(dd_panel) panel;
    ptrdiff_t planned = -1, next = 0;
    for (ptrdiff_t n = 0; n < p->planes; n++) {
        const REAL *w = weight + n * p->weight_plane;
        ptrdiff_t first = 0;
        do { /* almost always once, and then planned once for all planes */
            if (planned != first) next = NAME(dd_plan)(&panel, p, kind, first);
            planned = first;
            plane(dst + n * p->dst_plane, src + n * p->src_plane, w, bias ? bias[n * p->bias_plane] : 0, zero, p,
                  &panel);
            first = next;
        } while (first);
    }
}

static void NAME(dd_direct)(REAL *dst, const REAL *src, const REAL *weight, const REAL *bias, const REAL *zero,
                            const pycnn_direct *p) {
    NAME(dd_planes)(NAME(dd_find)(p), NAME(DD_SUM), dst, src, weight, bias, zero, p);
}

static void NAME(dd_spread_planes)(REAL *dst, const REAL *src, const REAL *weight, const REAL *bias, const REAL *zero,
                            const pycnn_direct *p) {
    NAME(dd_planes)(p->kh == 3 ? NAME(dd_spread_3) : NAME(dd_spread_5), NAME(DD_SPREAD), dst, src, weight, bias, zero,
                    p);
}

#define DD_DOT_ARGUMENTS                                                                                   \
    vec *sums, const REAL *src, const REAL *dy, const REAL *zero, const pycnn_direct *p,                   \
        const NAME(dd_panel) *panel, ptrdiff_t j
#define DD_DOT(width, kh, columns, stride)                                                          \
    static void NAME(dd_##width##dot_##kh##_##columns##_##stride)(DD_DOT_ARGUMENTS) {               \
        NAME(dd_##width##dot_plane)(kh, columns, stride, sums, src, dy, zero, p, panel, j);         \
    }
DD_DOT(, 3, 3, 1)
DD_DOT(, 3, 3, 2)
DD_DOT(, 5, 1, 1)
DD_DOT(, 7, 1, 1)
DD_DOT(, 5, 2, 2)
DD_DOT(, 5, 1, 2)
#ifdef DD_HALF
DD_DOT(half_, 3, 3, 1)
DD_DOT(half_, 3, 3, 2)
DD_DOT(half_, 5, 1, 1)
DD_DOT(half_, 7, 1, 1)
DD_DOT(half_, 5, 2, 2)
DD_DOT(half_, 5, 1, 2)
#define DD_FIND(name) (panel->half ? NAME(dd_half_##name) : NAME(dd_##name))
#else
#define DD_FIND(name) NAME(dd_##name)
#endif

static void NAME(dd_dot_any)(vec *sums, const REAL *src, const REAL *dy, const REAL *zero, const pycnn_direct *p,
                             const NAME(dd_panel) *panel) {
    if (p->kh == 3) {
        (p->stride == 1 ? DD_FIND(dot_3_3_1) : DD_FIND(dot_3_3_2))(sums, src, dy, zero, p, panel, 0);
        return;
    }
    for (ptrdiff_t j = 0; j < p->kw; j += p->stride) {
        if (p->stride == 1)
            (p->kh == 5 ? DD_FIND(dot_5_1_1) : DD_FIND(dot_7_1_1))(sums, src, dy, zero, p, panel, j);
        else
            (j + 1 < p->kw ? DD_FIND(dot_5_2_2) : DD_FIND(dot_5_1_2))(sums, src, dy, zero, p, panel, j);
    }
}

static void NAME(dd_products)(REAL *dst, const REAL *src, const REAL *dy, const REAL *zero, const pycnn_direct *p) {
    const ptrdiff_t taps = p->kh * p->kw;
    NAME(dd_panel) panel;
    ptrdiff_t planned = -1, next = 0;
    for (ptrdiff_t n = 0; n < p->planes; n++) {
        vec sums[49];
        for (ptrdiff_t t = 0; t < taps; t++) sums[t] = vzero();
        ptrdiff_t first = 0;
        do {
            if (planned != first) next = NAME(dd_plan)(&panel, p, NAME(DD_PRODUCTS), first);
            planned = first;
            for (ptrdiff_t i = 0; i < p->images; i++)
                NAME(dd_dot_any)(sums, src + i * p->src_image + n * p->src_plane,
                                 dy + i * p->dst_image + n * p->dst_plane, zero, p, &panel);
            first = next;
        } while (first);
        for (ptrdiff_t t = 0; t < taps; t++) dst[n * p->weight_plane + t] = vsum(sums[t]);
    }
}

#undef DD_BLOCKS
#undef DD_SOURCES
#undef DD_HALF
#undef DD_ROWS
#undef DD_PAIRS
#undef DD_BY_ROWS
#undef DD_SUM_ARGUMENTS
#undef DD_DOT_ARGUMENTS
#undef DD_SUMS
#undef DD_ONE
#undef DD_OWN
#undef DD_OWN_7
#undef DD_OWN_4
#undef DD_DOT
#undef DD_FIND
#undef vlanes
#undef vload_lanes

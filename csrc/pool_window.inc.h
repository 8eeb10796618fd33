/* Windows of 2 x 2 cells with stride 2 and of 3 x 3 with stride 1 or 2: their maxima and means, one instruction set and
 * one number type. Included by pool.inc.h.
 *
 * A band of windows in two passes: every row of cells is reduced along itself into scratch memory that stays in the
 * first cache, then the reduced rows of a window are combined. So a row that two windows share is reduced once, and
 * ties, NaNs and sums come out as everywhere else (pool_max.inc.h). Kernel and stride are constants at the call. Planes
 * are C-contiguous. Rows of 2 x 2 windows that fill their plane, and combined rows with stride 1, follow each other
 * without gaps: they are taken as one long row, whatever the width of the image.
 * The last vector of a row is moved back until it ends there: some values are computed twice, none by itself. */

/* One loop per kind of window pays where there are vectors; plain C would only grow. */
#ifdef PYCNN_ISA_GENERIC
#define WINDOW_INLINE static
#else
#define WINDOW_INLINE ALWAYS_INLINE
#endif

/* Values of scratch memory: a quarter is the longest row of a band. */
#define BAND_ROOM (8192 / (ptrdiff_t)sizeof(REAL))

/* Some windows of a plane: rows o .. o + rows - 1, in each the windows p .. p + n - 1. */
typedef struct {
    ptrdiff_t o, rows, p, n;
} NAME(band);

/* Scratch memory: the rows of a band that are reduced, and per window its first tap along the row that is on the plane:
 * no more than the first VL windows can start left of it. */
typedef struct {
    REAL values[BAND_ROOM + VL];
    uint8_t codes[BAND_ROOM + VL], first[3 * VL];
} NAME(space);

/* Cells iw .. iw + VL - 1 of a row of `width` cells; `fill` outside. */
ALWAYS_INLINE vec NAME(window_cells)(const int inside, const REAL *row, ptrdiff_t iw, ptrdiff_t width, vec fill) {
    if (inside) return vload(row + iw);
    ptrdiff_t lo = iw < 0 ? -iw : 0, hi = width - iw;
    lo = AT_MOST(lo, VL);
    hi = hi < lo ? lo : AT_MOST(hi, VL);
    return pload_range(row + iw, lo, hi, fill);
}

/* tap[t]: cells iw + lane * stride + t of a row. `inside`: what is loaded as vectors is on the plane.
 * With 3 x 3 the other taps are the same cells, shifted by one, but for one at the end: no loads across cache lines. */
WINDOW_INLINE void NAME(window_taps)(const int kernel, const int stride, const int inside, vec *tap, const REAL *row,
                                     ptrdiff_t iw, ptrdiff_t width, vec fill) {
#define CELLS(c) NAME(window_cells)(inside, row, (c), width, fill)
#define CELL(c) ((c) >= 0 && (c) < width ? vset(row[c]) : fill)
    if (kernel == 2) {
        const vec p = CELLS(iw), q = CELLS(iw + VL);
        tap[0] = peven(p, q);
        tap[1] = podd(p, q);
        tap[2] = tap[1];
    } else if (stride == 2) {
        const vec p = CELLS(iw + 1), q = CELLS(iw + 1 + VL);
        tap[1] = peven(p, q);
        tap[2] = podd(p, q);
        tap[0] = pafter(CELL(iw), tap[2]);
    } else {
        tap[1] = CELLS(iw + 1);
        tap[0] = pafter(CELL(iw), tap[1]);
        tap[2] = pbefore(tap[1], CELL(iw + VL + 1));
    }
#undef CELLS
#undef CELL
}

ALWAYS_INLINE int NAME(taps_inside)(const int kernel, const int stride, ptrdiff_t iw, ptrdiff_t width) {
    iw += kernel == 3;
    return iw >= 0 && iw + VL * stride <= width;
}

/* A vector of n <= VL values and codes. */
ALWAYS_INLINE void NAME(store_windows)(const int coded, REAL *y, uint8_t *codes, vec v, cvec code, ptrdiff_t n) {
    if (n >= VL) {
        vstore(y, v);
        if (coded) cstore(codes, code);
    } else {
        pstore_part(y, v, n);
        if (coded) cstore_part(codes, code, n);
    }
}

/* The rows of a window on the plane are its taps t0 .. t1 - 1; how many rows of windows from this one on have the same
 * and lie, as the rows of cells do, one after the other: at most `rows`. */
ALWAYS_INLINE ptrdiff_t NAME(rows_alike)(const int kernel, const int stride, ptrdiff_t ih, ptrdiff_t height,
                                         ptrdiff_t rows, int whole, ptrdiff_t *t0, ptrdiff_t *t1) {
    *t0 = ih < 0 ? -ih : 0;
    *t1 = AT_MOST(kernel, height - ih);
    if (stride != 1 || !whole || *t0 > 0 || *t1 < kernel) return 1;
    return AT_MOST(rows, height - kernel - ih + 1);
}

/* v takes the place of best where it is greater; `careful`, or without pnan_or, also where it is the first NaN. */
ALWAYS_INLINE void NAME(take_better)(const int careful, const int coded, vec v, cvec code, vec *best, cvec *won) {
#ifdef pnan_or
    if (!careful) {
        if (coded) *won = cselect(pgreater(v, *best), code, *won);
        *best = vmax(v, *best); /* of equal ones the second */
        return;
    }
#endif
    (void)careful;
    const pmask better = pbetter(v, *best);
    if (coded) *won = cselect(better, code, *won);
    *best = pselect(better, v, *best);
}

/* The largest cells of n windows along a row, the first of which starts at cell iw. Returns 0 where a NaN may have been
 * lost. first: per window its first tap that is on the plane. */
WINDOW_INLINE int NAME(max_across)(const int careful, const int kernel, const int stride, const int coded, REAL *most,
                                   uint8_t *codes, const REAL *row, ptrdiff_t iw, ptrdiff_t width, ptrdiff_t n,
                                   const uint8_t *first) {
    const ptrdiff_t last = n > VL ? n - VL : 0;
    const vec fill = vset((REAL)-INFINITY);
#ifdef pnan_or
    pnan seen = pnan_none();
#endif
    for (ptrdiff_t p = 0;; p += VL) {
        p = AT_MOST(p, last);
        vec tap[3];
        if (NAME(taps_inside)(kernel, stride, iw + p * stride, width))
            NAME(window_taps)(kernel, stride, 1, tap, row, iw + p * stride, width, fill);
        else
            NAME(window_taps)(kernel, stride, 0, tap, row, iw + p * stride, width, fill);
        vec best = tap[0];
        cvec won = coded ? cload(first + AT_MOST(p, VL)) : cset(0);
        NAME(take_better)(careful, coded, tap[1], cset(1), &best, &won);
        if (kernel == 3) NAME(take_better)(careful, coded, tap[2], cset(2), &best, &won);
        vstore(most + p, best);
        if (coded) cstore(codes + p, won);
#ifdef pnan_or
        seen = pnan_or(seen, tap[0], tap[stride == 1 ? 2 : 1]);
        if (p == last && kernel == 3 && stride == 2) seen = pnan_or(seen, tap[2], tap[2]);
#endif
        if (p == last) break;
    }
#ifdef pnan_or
    return careful || !pnan_any(seen);
#else
    return 1;
#endif
}

/* The largest of the rows t0 .. t1 - 1, `step` apart, of n values. */
WINDOW_INLINE void NAME(max_down)(const int careful, const int kernel, const int coded, REAL *y, uint8_t *codes,
                                  const REAL *most, const uint8_t *place, ptrdiff_t step, ptrdiff_t t0, ptrdiff_t t1,
                                  ptrdiff_t n) {
    const ptrdiff_t last = n > VL ? n - VL : 0;
    for (ptrdiff_t j = 0;; j += VL) {
        j = AT_MOST(j, last);
        vec best = vset((REAL)-INFINITY);
        cvec won = cset(0);
        for (ptrdiff_t t = t0; t < t1; t++) {
            const ptrdiff_t at = t * step + j;
            const vec v = vload(most + at);
            const cvec code = coded ? cadd(cload(place + at), cset((int)t * kernel)) : won;
            if (t > t0) {
                NAME(take_better)(careful, coded, v, code, &best, &won);
            } else {
                best = v;
                won = code;
            }
        }
        NAME(store_windows)(coded, y + j, coded ? codes + j : codes, best, won, n);
        if (j == last) return;
    }
}

/* One band; returns 0 where a NaN may have been lost. */
WINDOW_INLINE int NAME(max_band)(const int careful, const int kernel, const int stride, const int coded,
                                 const pycnn_pooling *g, REAL *y, uint8_t *codes, const REAL *x, const NAME(band) * b,
                                 NAME(space) * s) {
    REAL *most = s->values;
    uint8_t *place = s->codes;
    const ptrdiff_t n = b->n, top = b->o * stride - g->top, from = top > 0 ? top : 0;
    const ptrdiff_t end = AT_MOST(top + (b->rows - 1) * stride + kernel, g->height), at = b->o * g->out_width + b->p;
    const int whole = n == g->out_width, close = kernel == 2 && whole && !g->left && g->width == 2 * n;
    const ptrdiff_t together = close ? end - from : 1; /* rows of cells */
    ptrdiff_t many, t0, t1;
    for (ptrdiff_t i = from; i < end; i += together) {
        const ptrdiff_t to = (i - top) * n;
        if (!NAME(max_across)(careful, kernel, stride, coded, most + to, place + to, x + i * g->width,
                              b->p * stride - g->left, g->width * together, n * together, s->first + AT_MOST(b->p, VL)))
            return 0;
    }
    for (ptrdiff_t r = 0; r < b->rows; r += many) {
        const ptrdiff_t to = at + r * g->out_width, slot = r * stride * n;
        many = NAME(rows_alike)(kernel, stride, top + r * stride, g->height, b->rows - r, whole, &t0, &t1);
        if (t1 - t0 == kernel)
            NAME(max_down)(careful, kernel, coded, y + to, coded ? codes + to : codes, most + slot, place + slot, n, 0,
                           kernel, n * many);
        else
            NAME(max_down)(careful, kernel, coded, y + to, coded ? codes + to : codes, most + slot, place + slot, n,
                           t0, t1, n);
    }
    return 1;
}

/* The same with NaNs. */
static int NAME(max_careful)(const pycnn_pooling *g, REAL *y, uint8_t *codes, const REAL *x, const NAME(band) * b,
                             NAME(space) * s) {
    return NAME(max_band)(1, (int)g->kernel, (int)g->stride, codes != 0, g, y, codes, x, b, s);
}

/* Cuts the rows begin .. end - 1 into bands, whose rows take up `more` values than they have windows. */
#define EACH_BAND(b, kernel_, stride_, more)                                                      \
    for (b.p = 0; b.p < g->out_width; b.p += b.n)                                                                     \
        if ((b.n = AT_MOST(BAND_ROOM / 4 - (more), g->out_width - b.p)) > 0)                                          \
            for (b.o = begin; b.o < end; b.o += b.rows)                                                               \
                if ((b.rows = AT_MOST((BAND_ROOM / (b.n + (more)) - (kernel_)) / (stride_) + 1, end - b.o)) > 0)

WINDOW_INLINE void NAME(max_planes)(const int kernel, const int stride, const int coded, const pycnn_pooling *g,
                                    REAL *y, uint8_t *codes, const REAL *x, ptrdiff_t planes, ptrdiff_t begin,
                                    ptrdiff_t end, NAME(space) * s) {
    for (ptrdiff_t p = 0; p < planes; p++) {
        NAME(band) b;
        EACH_BAND(b, kernel, stride, 0)
            if (!NAME(max_band)(0, kernel, stride, coded, g, y, codes, x, &b, s))
                NAME(max_careful)(g, y, codes, x, &b, s);
        x += g->height * g->width;
        y += g->out_height * g->out_width;
        if (coded) codes += g->out_height * g->out_width;
    }
}

/* One loop for each of the windows. */
#define EACH_WINDOW(call)                        \
    if (g->kernel == 2 && g->stride == 2)        \
        call(2, 2);                              \
    else if (g->kernel == 3 && g->stride == 2)   \
        call(3, 2);                              \
    else if (g->kernel == 3 && g->stride == 1)   \
        call(3, 1);

static void NAME(max_windows)(const pycnn_pooling *g, REAL *y, uint8_t *codes, const REAL *x, ptrdiff_t planes,
                              ptrdiff_t begin, ptrdiff_t end) {
    NAME(space) space;
    for (ptrdiff_t o = 0, tap = g->left; o < 3 * VL; o++, tap -= g->stride)
        space.first[o] = (uint8_t)(tap > 0 ? tap : 0);
#define CALL(k, s) NAME(max_planes)(k, s, 0, g, y, codes, x, planes, begin, end, &space)
#define CALL_CODED(k, s) NAME(max_planes)(k, s, 1, g, y, codes, x, planes, begin, end, &space)
    if (codes) {
        EACH_WINDOW(CALL_CODED)
    } else {
        EACH_WINDOW(CALL)
    }
#undef CALL
#undef CALL_CODED
}

/* What a mean is divided by, or with `exact` multiplied by: `row`, with `column` times column[j]. */
typedef struct {
    int exact;
    REAL row;
    const REAL *column;
} NAME(share);

/* A sum of nothing but -0.0 is 0.0. */
ALWAYS_INLINE vec NAME(share_of)(vec sum, const NAME(share) * by, ptrdiff_t j) {
    const vec row = vset(by->row);
    sum = vadd(sum, vzero());
    if (by->exact) return vmul(sum, row);
    return vdiv(sum, by->column ? vmul(row, vload(by->column + j)) : row);
}

/* The sums of n windows along a row, as max_across; with `by` their shares, else into scratch memory. */
WINDOW_INLINE void NAME(sum_across)(const int kernel, const int stride, REAL *sums, const REAL *row, ptrdiff_t iw,
                                    ptrdiff_t width, ptrdiff_t n, const NAME(share) * by) {
    const ptrdiff_t last = n > VL ? n - VL : 0;
    for (ptrdiff_t p = 0;; p += VL) {
        p = AT_MOST(p, last);
        vec tap[3];
        if (NAME(taps_inside)(kernel, stride, iw + p * stride, width))
            NAME(window_taps)(kernel, stride, 1, tap, row, iw + p * stride, width, vzero());
        else
            NAME(window_taps)(kernel, stride, 0, tap, row, iw + p * stride, width, vzero());
        vec sum = vadd(tap[0], tap[1]);
        if (kernel == 3) sum = vadd(sum, tap[2]);
        if (by)
            NAME(store_windows)(0, sums + p, 0, NAME(share_of)(sum, by, p), cset(0), n);
        else
            vstore(sums + p, sum);
        if (p == last) return;
    }
}

/* The sums of the rows t0 .. t1 - 1, `step` apart, of n values; with `by` their shares, else into scratch memory. */
WINDOW_INLINE void NAME(sum_down)(REAL *sums, const REAL *rows, ptrdiff_t step, ptrdiff_t t0, ptrdiff_t t1,
                                  ptrdiff_t n, const NAME(share) * by) {
    const NAME(share) share = by ? *by : (NAME(share)){0, 1, 0};
    if (n < VL) {
        vec sum = vzero();
        for (ptrdiff_t t = t0; t < t1; t++) sum = vadd(sum, pload_part(rows + t * step, n));
        pstore_part(sums, by ? NAME(share_of)(sum, &share, 0) : sum, n);
        return;
    }
    for (ptrdiff_t j = 0;; j += VL) {
        j = AT_MOST(j, n - VL);
        vec sum = t0 < t1 ? vload(rows + t0 * step + j) : vzero();
        for (ptrdiff_t t = t0 + 1; t < t1; t++) sum = vadd(sum, vload(rows + t * step + j));
        vstore(sums + j, by ? NAME(share_of)(sum, &share, j) : sum);
        if (j == n - VL) return;
    }
}

/* Each row of a window is added up first. */
WINDOW_INLINE void NAME(mean_band)(const int kernel, const int stride, const pycnn_pooling *g, REAL *y, const REAL *x,
                                   const REAL *row_count, const REAL *column_count, int exact, const NAME(band) * b,
                                   REAL *sums) {
    const ptrdiff_t n = b->n, top = b->o * stride - g->top, from = top > 0 ? top : 0;
    const ptrdiff_t end = AT_MOST(top + (b->rows - 1) * stride + kernel, g->height), at = b->o * g->out_width + b->p;
    const int whole = n == g->out_width, close = kernel == 2 && whole && !g->left && g->width == 2 * n;
    const ptrdiff_t together = close ? end - from : 1;
    ptrdiff_t many, t0, t1;
    for (ptrdiff_t i = from; i < end; i += together)
        NAME(sum_across)(kernel, stride, sums + (i - top) * n, x + i * g->width, b->p * stride - g->left,
                         g->width * together, n * together, 0);
    for (ptrdiff_t r = 0; r < b->rows; r += many) {
        const NAME(share) by = {exact, row_count[b->o + r], column_count ? column_count + b->p : 0};
        const int alike = whole && !column_count;
        REAL *to = y + at + r * g->out_width;
        many = NAME(rows_alike)(kernel, stride, top + r * stride, g->height, b->rows - r, alike, &t0, &t1);
        for (ptrdiff_t i = 1; i < many; i++)
            if (row_count[b->o + r + i] != by.row) many = i;
        if (t1 - t0 == kernel)
            NAME(sum_down)(to, sums + r * stride * n, n, 0, kernel, n * many, &by);
        else
            NAME(sum_down)(to, sums + r * stride * n, n, t0, t1, n, &by);
    }
}

static void NAME(mean_windows)(const pycnn_pooling *g, REAL *y, const REAL *x, const REAL *row_count,
                               const REAL *column_count, int exact, ptrdiff_t planes, ptrdiff_t begin, ptrdiff_t end) {
    REAL sums[BAND_ROOM + VL];
    for (ptrdiff_t p = 0; p < planes; p++, x += g->height * g->width, y += g->out_height * g->out_width) {
        NAME(band) b;
        EACH_BAND(b, g->kernel, g->stride, 0) {
#define CALL(k, s) NAME(mean_band)(k, s, g, y, x, row_count, column_count, exact, &b, sums)
            EACH_WINDOW(CALL)
#undef CALL
        }
    }
}

/* Each column of a window is added up first: 3 x 3, stride 1. */
static void NAME(gather_band)(const pycnn_pooling *g, REAL *dx, const REAL *dy, const REAL *row_count, int exact,
                              const NAME(band) * b) {
    REAL sums[BAND_ROOM + VL];
    const ptrdiff_t top = b->o - g->top, left = b->p - g->left, from = left > 0 ? left : 0;
    const ptrdiff_t width = AT_MOST(left + b->n + 2, g->width) - from; /* of the columns that the windows see */
    ptrdiff_t many, t0, t1;
    for (ptrdiff_t r = 0; r < b->rows; r += many) {
        const REAL *rows = dy + (top + r) * g->width + from;
        many = NAME(rows_alike)(3, 1, top + r, g->height, b->rows - r, width == g->width, &t0, &t1);
        if (t1 - t0 == 3)
            NAME(sum_down)(sums + r * width, rows, g->width, 0, 3, width * many, 0);
        else
            NAME(sum_down)(sums + r * width, rows, g->width, t0, t1, width, 0);
    }
    for (ptrdiff_t r = 0; r < b->rows; r++) {
        const NAME(share) by = {exact, row_count[b->o + r], 0};
        NAME(sum_across)(3, 1, dx + (b->o + r) * g->out_width + b->p, sums + r * width, left - from, width, b->n, &by);
    }
}

static void NAME(mean_gather)(const pycnn_pooling *g, REAL *dx, const REAL *dy, const REAL *row_count, int exact,
                              ptrdiff_t planes, ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t p = 0; p < planes; p++, dy += g->height * g->width, dx += g->out_height * g->out_width) {
        NAME(band) b;
        EACH_BAND(b, 3, 1, 2) NAME(gather_band)(g, dx, dy, row_count, exact, &b);
    }
}
#undef EACH_WINDOW
#undef EACH_BAND
#undef BAND_ROOM

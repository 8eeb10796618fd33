/* Windows of 2 x 2 cells with stride 2 and of 3 x 3 with stride 1 or 2: their maxima and means, one instruction set and
 * one number type. Included by pool.inc.h.
 *
 * One pass: the taps of a vector of windows are loaded, de-interleaved where the stride is 2 and combined in registers,
 * along a row first and then downwards; so ties, NaNs and sums come out as everywhere else (pool_max.inc.h). kernel and
 * stride are constants at the call. Planes are C-contiguous.
 * A block is a vector of windows in each of one to three rows, which share what they see of a row. The last block
 * of a row or a column is moved back until it ends there: some windows are computed twice, none is stored by itself. */

/* One loop per kind of window pays where there are vectors; plain C would only grow. */
#ifdef PYCNN_ISA_GENERIC
#define WINDOW_INLINE static
#else
#define WINDOW_INLINE ALWAYS_INLINE
#endif

/* Output rows of a block, and the rows of cells that they see: at most 5. */
#define BLOCK_ROWS(kernel, stride) ((kernel) == 2 ? 1 : (stride) == 1 ? 3 : 2)
#define SEEN_ROWS(kernel, stride) ((BLOCK_ROWS(kernel, stride) - 1) * (stride) + (kernel))

/* A block: the cell of its first window's first tap, which may lie in the padding, and what windows of it to store. */
typedef struct {
    const REAL *row;         /* that cell's row */
    ptrdiff_t ih, iw;        /* the cell */
    ptrdiff_t height, width; /* of the plane */
    const uint8_t *first;    /* per window of a vector: its first tap along the row that is on the plane */
} NAME(block);

/* Cells iw .. iw + VL - 1 of a row of `width` cells; `fill` outside. */
ALWAYS_INLINE vec NAME(window_cells)(const int inside, const REAL *row, ptrdiff_t iw, ptrdiff_t width, vec fill) {
    if (inside) return vload(row + iw);
    ptrdiff_t lo = iw < 0 ? -iw : 0, hi = width - iw;
    lo = AT_MOST(lo, VL);
    hi = hi < lo ? lo : AT_MOST(hi, VL);
    return pload_range(row + iw, lo, hi, fill);
}

/* tap[t]: cell iw + lane * stride + t of row i of the block. `inside`: what is loaded as vectors is on the plane.
 * With 3 x 3 the other taps are the same cells, shifted by one, but for one at the end: no loads across cache lines. */
WINDOW_INLINE void NAME(window_taps)(const int kernel, const int stride, const int inside, vec *tap,
                                     const NAME(block) * b, ptrdiff_t i, vec fill) {
    const ptrdiff_t width = b->width;
    const REAL *row = b->row + i * width;
    if (!inside && (b->ih + i < 0 || b->ih + i >= b->height)) {
        tap[0] = tap[1] = tap[2] = fill;
        return;
    }
#define CELLS(c) NAME(window_cells)(inside, row, (c), width, fill)
#define CELL(c) ((c) >= 0 && (c) < width ? vset(row[c]) : fill)
    if (kernel == 2) {
        const vec p = CELLS(b->iw), q = CELLS(b->iw + VL);
        tap[0] = peven(p, q);
        tap[1] = podd(p, q);
        tap[2] = tap[1];
    } else if (stride == 2) {
        const vec p = CELLS(b->iw + 1), q = CELLS(b->iw + 1 + VL);
        tap[1] = peven(p, q);
        tap[2] = podd(p, q);
        tap[0] = pafter(CELL(b->iw), tap[2]);
    } else {
        tap[1] = CELLS(b->iw + 1);
        tap[0] = pafter(CELL(b->iw), tap[1]);
        tap[2] = pbefore(tap[1], CELL(b->iw + VL + 1));
    }
#undef CELLS
#undef CELL
}

ALWAYS_INLINE int NAME(block_inside)(const int kernel, const int stride, const NAME(block) * b) {
    const ptrdiff_t from = b->iw + (kernel == 3);
    return b->ih >= 0 && b->ih + SEEN_ROWS(kernel, stride) <= b->height && from >= 0 && from + VL * stride <= b->width;
}

/* v takes the place of best where it is greater; without pnan_or also where it is the first NaN. */
ALWAYS_INLINE void NAME(take_better)(const int coded, vec v, cvec code, vec *best, cvec *won) {
#ifdef pnan_or
    if (coded) *won = cselect(pgreater(v, *best), code, *won);
    *best = vmax(v, *best); /* of equal ones the second */
#else
    const pmask better = pbetter(v, *best);
    if (coded) *won = cselect(better, code, *won);
    *best = pselect(better, v, *best);
#endif
}

/* The largest cells of a block. Returns 0 where a NaN may have been lost. */
WINDOW_INLINE int NAME(max_quick)(const int kernel, const int stride, const int inside, const int coded,
                                  const NAME(block) * b, vec *best, cvec *won) {
    const vec fill = vset((REAL)-INFINITY);
    const cvec start = coded ? cload(b->first) : cset(0);
#ifdef pnan_or
    pnan seen = pnan_none();
    vec before = fill;
#endif
    for (int i = 0; i < SEEN_ROWS(kernel, stride); i++) {
        vec tap[3];
        NAME(window_taps)(kernel, stride, inside, tap, b, i, fill);
        vec most = tap[0];
        cvec here = start; /* codes along the row */
        NAME(take_better)(coded, tap[1], cset(1), &most, &here);
        if (kernel == 3) NAME(take_better)(coded, tap[2], cset(2), &most, &here);
#ifdef pnan_or
        seen = pnan_or(seen, tap[1], tap[2]);
        if (i % 2 || i == SEEN_ROWS(kernel, stride) - 1) seen = pnan_or(seen, before, tap[0]);
        before = tap[0];
#endif
        for (int r = 0; r < BLOCK_ROWS(kernel, stride); r++) {
            const int t = i - r * stride;
            if (t < 0 || t >= kernel) continue;
            const cvec code = cadd(here, cset(t * kernel));
            if (t > 0) {
                NAME(take_better)(coded, most, code, best + r, won + r);
                continue;
            }
            const ptrdiff_t above = inside ? 0 : -b->ih - i; /* rows of the window above the plane: they never win */
            best[r] = most;
            won[r] = above > 0 ? cadd(start, cset((int)above * kernel)) : code;
        }
    }
#ifdef pnan_or
    return !pnan_any(seen);
#else
    return 1;
#endif
}

/* The largest cells of row r of a block, with NaNs: as pool_max.inc.h. */
static void NAME(max_careful)(const int kernel, const int stride, const NAME(block) * b, ptrdiff_t r, vec *result,
                              cvec *codes) {
    const vec fill = vset((REAL)-INFINITY);
    const ptrdiff_t top = b->ih + r * stride;
    vec best = fill;
    cvec won = cadd(cload(b->first), cset(top < 0 ? (int)-top * kernel : 0));
    for (int t = 0; t < kernel; t++) {
        vec tap[3];
        NAME(window_taps)(kernel, stride, 0, tap, b, r * stride + t, fill);
        for (int k = 0; k < kernel; k++) {
            const pmask better = pbetter(tap[k], best);
            best = pselect(better, tap[k], best);
            won = cselect(better, cset(t * kernel + k), won);
        }
    }
    *result = best;
    *codes = won;
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

/* Windows of the rows o .. , at most a block's, of one plane. */
WINDOW_INLINE void NAME(max_rows)(const int kernel, const int stride, const int coded, const pycnn_pooling *g,
                                  REAL *y, uint8_t *codes, const REAL *x, const uint8_t *first, ptrdiff_t o,
                                  ptrdiff_t rows) {
    const ptrdiff_t n = g->out_width, last = n > VL ? n - VL : 0, ih = o * stride - g->top;
    for (ptrdiff_t p = 0;; p += VL) {
        p = AT_MOST(p, last);
        const NAME(block) b = {x + ih * g->width, ih, p * stride - g->left, g->height, g->width,
                               first + AT_MOST(p, VL)};
        vec best[BLOCK_ROWS(3, 1)];
        cvec won[BLOCK_ROWS(3, 1)];
        int done;
        if (NAME(block_inside)(kernel, stride, &b))
            done = NAME(max_quick)(kernel, stride, 1, coded, &b, best, won);
        else
            done = NAME(max_quick)(kernel, stride, 0, coded, &b, best, won);
        if (!done)
            for (ptrdiff_t r = 0; r < rows; r++) NAME(max_careful)(kernel, stride, &b, r, best + r, won + r);
        for (int r = 0; r < BLOCK_ROWS(kernel, stride); r++)
            if (r < rows) {
                const ptrdiff_t at = (o + r) * n + p;
                NAME(store_windows)(coded, y + at, coded ? codes + at : codes, best[r], won[r], n);
            }
        if (p == last) return;
    }
}

WINDOW_INLINE void NAME(max_planes)(const int kernel, const int stride, const int coded, const pycnn_pooling *g,
                                    REAL *y, uint8_t *codes, const REAL *x, ptrdiff_t planes, ptrdiff_t begin,
                                    ptrdiff_t end) {
    const ptrdiff_t step = BLOCK_ROWS(kernel, stride), last = end - begin > step ? end - step : begin;
    uint8_t first[2 * VL] = {0}; /* no more than the first VL windows can start left of the plane */
    for (ptrdiff_t o = 0; o < VL; o++) first[o] = (uint8_t)(g->left > o * stride ? g->left - o * stride : 0);
    for (ptrdiff_t p = 0; p < planes; p++) {
        for (ptrdiff_t o = begin;; o += step) {
            o = AT_MOST(o, last);
            NAME(max_rows)(kernel, stride, coded, g, y, codes, x, first, o, AT_MOST(step, end - o));
            if (o == last) break;
        }
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
#define CALL(k, s) NAME(max_planes)(k, s, 0, g, y, codes, x, planes, begin, end)
#define CALL_CODED(k, s) NAME(max_planes)(k, s, 1, g, y, codes, x, planes, begin, end)
    if (codes) {
        EACH_WINDOW(CALL_CODED)
    } else {
        EACH_WINDOW(CALL)
    }
#undef CALL
#undef CALL_CODED
}

/* The sums of a block; each row of a window is added up first. */
WINDOW_INLINE void NAME(sum_block)(const int kernel, const int stride, const int inside, const NAME(block) * b,
                                   vec *sum) {
    for (int r = 0; r < BLOCK_ROWS(kernel, stride); r++) sum[r] = vzero(); /* so the sum of nothing but -0.0 is 0.0 */
    for (int i = 0; i < SEEN_ROWS(kernel, stride); i++) {
        vec tap[3];
        NAME(window_taps)(kernel, stride, inside, tap, b, i, vzero());
        vec across = vadd(tap[0], tap[1]);
        if (kernel == 3) across = vadd(across, tap[2]);
        for (int r = 0; r < BLOCK_ROWS(kernel, stride); r++)
            if (i - r * stride >= 0 && i - r * stride < kernel) sum[r] = vadd(sum[r], across);
    }
}

/* The sums of 3 x 3 windows with stride 1, each column of a window added up first. */
WINDOW_INLINE void NAME(sum_block_down)(const int inside, const NAME(block) * b, vec *sum) {
    enum { ROWS = BLOCK_ROWS(3, 1), SEEN = SEEN_ROWS(3, 1) };
    vec left[SEEN], middle[SEEN], right[SEEN];
    for (int i = 0; i < SEEN; i++) {
        const int there = inside || (b->ih + i >= 0 && b->ih + i < b->height);
        const REAL *row = b->row + i * b->width;
        middle[i] = there ? NAME(window_cells)(inside, row, b->iw + 1, b->width, vzero()) : vzero();
        left[i] = there && b->iw >= 0 && b->iw < b->width ? vset(row[b->iw]) : vzero();
        right[i] = there && b->iw + VL + 1 < b->width ? vset(row[b->iw + VL + 1]) : vzero();
    }
    for (int r = 0; r < ROWS; r++) {
        const vec a = vadd(vadd(left[r], left[r + 1]), left[r + 2]);
        const vec m = vadd(vadd(middle[r], middle[r + 1]), middle[r + 2]);
        const vec z = vadd(vadd(right[r], right[r + 1]), right[r + 2]);
        sum[r] = vadd(vadd(vadd(pafter(a, m), m), pbefore(m, z)), vzero()); /* of nothing but -0.0: 0.0 */
    }
}

WINDOW_INLINE void NAME(mean_rows_of)(const int down, const int kernel, const int stride, const pycnn_pooling *g,
                                      REAL *y, const REAL *x, const REAL *row_count, const REAL *column_count, const int exact,
                                      ptrdiff_t o,
                                      ptrdiff_t rows) {
    const ptrdiff_t n = g->out_width, last = n > VL ? n - VL : 0, ih = o * stride - g->top;
    for (ptrdiff_t p = 0;; p += VL) {
        p = AT_MOST(p, last);
        const NAME(block) b = {x + ih * g->width, ih, p * stride - g->left, g->height, g->width, 0};
        vec sum[BLOCK_ROWS(3, 1)];
        const int inside = NAME(block_inside)(kernel, stride, &b);
        if (down && inside)
            NAME(sum_block_down)(1, &b, sum);
        else if (down)
            NAME(sum_block_down)(0, &b, sum);
        else if (inside)
            NAME(sum_block)(kernel, stride, 1, &b, sum);
        else
            NAME(sum_block)(kernel, stride, 0, &b, sum);
        for (int r = 0; r < BLOCK_ROWS(kernel, stride); r++) {
            if (r >= rows) break;
            const vec by = vset(row_count[o + r]);
            if (exact)
                sum[r] = vmul(sum[r], by);
            else
                sum[r] = vdiv(sum[r], column_count ? vmul(by, vload(column_count + p)) : by);
            NAME(store_windows)(0, y + (o + r) * n + p, 0, sum[r], cset(0), n);
        }
        if (p == last) return;
    }
}

WINDOW_INLINE void NAME(mean_planes)(const int down, const int kernel, const int stride, const pycnn_pooling *g,
                                     REAL *y, const REAL *x, const REAL *row_count,
                                     const REAL *column_count, int exact, ptrdiff_t planes,
                                     ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t step = BLOCK_ROWS(kernel, stride), last = end - begin > step ? end - step : begin;
    for (ptrdiff_t p = 0; p < planes; p++, x += g->height * g->width, y += g->out_height * g->out_width)
        for (ptrdiff_t o = begin;; o += step) {
            o = AT_MOST(o, last);
            NAME(mean_rows_of)(down, kernel, stride, g, y, x, row_count, column_count, exact, o,
                               AT_MOST(step, end - o));
            if (o == last) break;
        }
}

static void NAME(mean_windows)(const pycnn_pooling *g, REAL *y, const REAL *x, const REAL *row_count,
                               const REAL *column_count, int exact, ptrdiff_t planes, ptrdiff_t begin, ptrdiff_t end) {
#define CALL(k, s) NAME(mean_planes)(0, k, s, g, y, x, row_count, column_count, exact, planes, begin, end)
    EACH_WINDOW(CALL)
#undef CALL
}

static void NAME(mean_gather)(const pycnn_pooling *g, REAL *dx, const REAL *dy, const REAL *row_count, int exact,
                              ptrdiff_t planes, ptrdiff_t begin, ptrdiff_t end) {
    NAME(mean_planes)(1, 3, 1, g, dx, dy, row_count, 0, exact, planes, begin, end);
}
#undef EACH_WINDOW
#undef BLOCK_ROWS
#undef SEEN_ROWS

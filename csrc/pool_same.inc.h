/* Windows of 3 x 3 cells with stride 1 and one cell of padding at the left and the right, so that there are as many
 * windows in a row as cells: their maxima and means, and the way back from means; one instruction set and one number
 * type. Included by pool.inc.h.
 *
 * A band of rows is taken as one long row, whatever the width of the image. Its cells are reduced along the rows into
 * scratch memory that stays in the first cache; the windows at both ends of a row, which have seen the rows before and
 * behind instead of padding, are done again one by one; then the reduced rows of a window are combined. Reading and
 * writing take turns, so each asks for what the next band reads and writes: beyond the caches 1.3 to 1.6 times as fast. */

/* Scratch memory: at least three rows, else about as many as BAND_CELLS. */
#define BAND_ROOM (3 * PYCNN_POOL_WIDTH)
#define BAND_CELLS 2048

/* The window at an end of a row, which sees the cells a and b there; `code`: that of a. */
ALWAYS_INLINE void NAME(same_end)(const int op, REAL a, REAL b, int code, REAL *to, uint8_t *codes,
                                  const NAME(share) * by) {
    const int second = !(b <= a) && a == a; /* as pbetter */
    if (op == NAME(MEAN)) {
        a += b;
        *to = !by ? a : by->exact ? (a + 0) * by->row : (a + 0) / by->row;
        return;
    }
    *to = second ? b : a;
    if (op == NAME(LARGEST_CODED)) *codes = (uint8_t)(code + second);
}

/* Rows of cells, one after the other, reduced along themselves; sums with `by` to their shares. As many cells at `ahead`
 * are asked for. Returns 0 where a NaN may have been lost. */
WINDOW_INLINE int NAME(same_across)(const int op, const int careful, REAL *to, uint8_t *codes, const REAL *x,
                                    const REAL *ahead, ptrdiff_t width, ptrdiff_t rows, const NAME(share) * by) {
    const int coded = op == NAME(LARGEST_CODED);
    const ptrdiff_t n = width * rows;
    vec before = vzero(), here = n < VL ? pload_part(x, n) : vload(x);
    pnan seen = pnan_none();
    for (ptrdiff_t j = 0; j < n; j += VL) {
        PREFETCH_L2(ahead + j);
        const ptrdiff_t left = n - j - VL;
        const vec next = left >= VL ? vload(x + j + VL) : left > 0 ? pload_part(x + j + VL, left) : vzero();
        vec v = pafter(before, here);
        cvec code = cset(0);
        if (op == NAME(MEAN)) {
            v = vadd(vadd(v, here), pbefore(here, next));
            if (by) v = NAME(share_of)(v, by, 0, VL);
        } else {
            NAME(take_better)(careful, coded, here, cset(1), &v, &code);
            NAME(take_better)(careful, coded, pbefore(here, next), cset(2), &v, &code);
#ifdef pnan_or
            seen = pnan_or(seen, here, next);
#endif
        }
        NAME(store_windows)(coded, to + j, coded ? codes + j : codes, v, code, n - j);
        before = here;
        here = next;
    }
    for (ptrdiff_t r = 0; r < rows; r++, x += width, to += width) {
        const ptrdiff_t z = width - 1;
        if (z == 0) {
            NAME(same_end)(op, x[0], op == NAME(MEAN) ? 0 : x[0], 1, to, codes, by);
        } else {
            NAME(same_end)(op, x[0], x[1], 1, to, codes, by);
            NAME(same_end)(op, x[z - 1], x[z], 0, to + z, coded ? codes + z : codes, by);
        }
        if (coded) codes += width;
    }
    return careful || !pnan_any(seen);
}

/* The rows t0 .. t1 - 1 of windows, reduced and `step` apart, combined: n values, as many of which at `ahead` are asked
 * for. */
WINDOW_INLINE void NAME(same_down)(const int op, const int careful, REAL *y, uint8_t *codes, const REAL *rows,
                                   const REAL *ahead, const uint8_t *place, ptrdiff_t step, ptrdiff_t t0,
                                   ptrdiff_t t1, ptrdiff_t n, const NAME(share) * by) {
    const int coded = op == NAME(LARGEST_CODED), full = n >= VL;
    for (ptrdiff_t j = 0;; j += VL) {
        j = AT_MOST(j, full ? n - VL : 0);
        PREFETCH_L2(ahead + j);
        vec best = vzero();
        cvec won = cset(0);
        for (ptrdiff_t t = t0; t < t1; t++) {
            const ptrdiff_t at = t * step + j;
            const vec v = full ? vload(rows + at) : pload_part(rows + at, n);
            cvec code = cset(0);
            if (coded) code = cadd(full ? cload(place + at) : cload_part(place + at, n), cset((int)t * 3));
            if (t == t0) {
                best = v;
                won = code;
            } else {
                NAME(add_row)(op, !careful, v, code, &best, &won);
            }
        }
        if (op == NAME(MEAN) && by) best = NAME(share_of)(best, by, j, n);
        NAME(store_windows)(coded, y + j, coded ? codes + j : codes, best, won, n);
        if (!full || j == n - VL) return;
    }
}

/* The rows of windows o, o + 1, ... that have the same cells on the plane, the taps *t0 .. *t1 - 1: at most `rows`. */
ALWAYS_INLINE ptrdiff_t NAME(rows_alike)(const pycnn_pooling *g, ptrdiff_t o, ptrdiff_t rows, ptrdiff_t *t0,
                                         ptrdiff_t *t1) {
    const ptrdiff_t top = o - g->top;
    *t0 = top < 0 ? -top : 0;
    *t1 = AT_MOST(3, g->height - top);
    return *t0 > 0 || *t1 < 3 ? 1 : AT_MOST(rows, g->height - 2 - top);
}

typedef struct {
    REAL values[BAND_ROOM];
    uint8_t codes[BAND_ROOM];
} NAME(band);

/* Rows o .. o + rows - 1 of windows of one plane. Returns 0 where a NaN may have been lost. */
WINDOW_INLINE int NAME(same_band)(const int op, const int careful, const pycnn_pooling *g, REAL *y, uint8_t *codes,
                                  const REAL *x, ptrdiff_t o, ptrdiff_t rows, const REAL *row_count,
                                  const REAL *column_count, int exact, NAME(band) * band) {
    const ptrdiff_t top = o - g->top, from = top > 0 ? top : 0, width = g->width;
    const ptrdiff_t end = AT_MOST(top + rows + 2, g->height), ahead = rows * width;
    ptrdiff_t many, t0, t1;
    if (!NAME(same_across)(op, careful, band->values + (from - top) * width, band->codes + (from - top) * width,
                           x + from * width, x + end * width, width, end - from, 0))
        return 0;
    for (ptrdiff_t r = 0; r < rows; r += many) {
        NAME(share) by = {exact, 1, column_count};
        const ptrdiff_t at = (o + r) * width;
        many = NAME(rows_alike)(g, o + r, column_count ? 1 : rows - r, &t0, &t1);
        if (op == NAME(MEAN)) {
            by.row = row_count[o + r];
            for (ptrdiff_t i = 1; i < many; i++)
                if (row_count[o + r + i] != by.row) many = i;
        }
        const REAL *values = band->values + r * width;
        const uint8_t *places = band->codes + r * width;
        if (t1 - t0 == 3)
            NAME(same_down)(op, careful, y + at, codes + at, values, y + at + ahead, places, width, 0, 3,
                            many * width, &by);
        else
            NAME(same_down)(op, careful, y + at, codes + at, values, y + at + ahead, places, width, t0, t1, width,
                            &by);
    }
    return 1;
}

/* Rows of windows that are taken together. */
ALWAYS_INLINE ptrdiff_t NAME(band_rows)(const pycnn_pooling *g) {
    const ptrdiff_t rows = BAND_CELLS / g->width - 2;
    return rows > 1 ? rows : 1;
}

/* The same with NaNs. */
static void NAME(same_careful)(const int op, const pycnn_pooling *g, REAL *y, uint8_t *codes, const REAL *x,
                               ptrdiff_t o, ptrdiff_t rows, NAME(band) * band) {
    NAME(same_band)(op, 1, g, y, codes, x, o, rows, 0, 0, 0, band);
}

WINDOW_INLINE void NAME(same_planes)(const int op, const pycnn_pooling *g, REAL *y, uint8_t *codes, const REAL *x,
                                     const REAL *row_count, const REAL *column_count, int exact, ptrdiff_t planes,
                                     ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t most = NAME(band_rows)(g);
    NAME(band) band;
    if (op != NAME(LARGEST_CODED)) codes = band.codes; /* not written */
    for (ptrdiff_t p = 0; p < planes; p++) {
        for (ptrdiff_t o = begin; o < end; o += most) {
            const ptrdiff_t rows = AT_MOST(most, end - o);
            if (!NAME(same_band)(op, 0, g, y, codes, x, o, rows, row_count, column_count, exact, &band))
                NAME(same_careful)(op, g, y, codes, x, o, rows, &band);
        }
        x += g->height * g->width;
        y += g->out_height * g->width;
        if (op == NAME(LARGEST_CODED)) codes += g->out_height * g->width;
    }
}

/* Each column of a window is added up first. */
static void NAME(mean_gather)(const pycnn_pooling *g, REAL *dx, const REAL *dy, REAL divisor, ptrdiff_t planes,
                              ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t most = NAME(band_rows)(g), width = g->width;
    const NAME(share) by = {0, divisor, 0};
    REAL sums[BAND_ROOM];
    uint8_t none[1];
    for (ptrdiff_t p = 0; p < planes; p++) {
        for (ptrdiff_t o = begin; o < end; o += most) {
            const ptrdiff_t rows = AT_MOST(most, end - o), ahead = rows * width;
            ptrdiff_t many, t0, t1;
            for (ptrdiff_t r = 0; r < rows; r += many) {
                many = NAME(rows_alike)(g, o + r, rows - r, &t0, &t1);
                const REAL *from = dy + (o + r - g->top + t0) * width;
                if (t1 - t0 == 3)
                    NAME(same_down)(NAME(MEAN), 0, sums + r * width, none, from, from + ahead, none, width,
                                    0, 3, many * width, 0);
                else
                    NAME(same_down)(NAME(MEAN), 0, sums + r * width, none, from, from + ahead, none, width,
                                    0, t1 - t0, width, 0);
            }
            REAL *to = dx + o * width;
            NAME(same_across)(NAME(MEAN), 0, to, none, sums, to + ahead, width, rows, &by);
        }
        dy += g->height * width;
        dx += g->out_height * width;
    }
}
#undef BAND_ROOM
#undef BAND_CELLS

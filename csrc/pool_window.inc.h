/* Windows of 2 x 2 and of 3 x 3 cells with stride 2: their maxima and means, one instruction set and one number type.
 * Included by pool.inc.h.
 *
 * A row of windows at a time, a vector of windows at a time. A row of cells is reduced along itself as it is read;
 * where the next row of windows sees it too, the reduced row is kept in scratch memory. So every row is read and reduced
 * once, and ties, NaNs and sums come out as everywhere else (pool_max.inc.h). Planes are C-contiguous.
 * The last vector of a row is moved back until it ends there: some values are computed twice, none by itself. */

/* One loop per kind of window pays where there are vectors; plain C would only grow. */
#ifdef PYCNN_ISA_GENERIC
#define WINDOW_INLINE static
#else
#define WINDOW_INLINE ALWAYS_INLINE
#endif

/* Most windows of a row that are taken together. */
#define MOST_WINDOWS (4096 / (ptrdiff_t)sizeof(REAL))

#define WINDOWS_AHEAD 512 /* values: beyond the caches the processor does not see what comes next in time */
enum { NAME(LARGEST), NAME(LARGEST_CODED), NAME(MEAN) };

/* Scratch memory: the last row of cells of row o of windows, reduced, is number o % 2. And per window its first tap
 * along a row that is on the plane: no more than the first VL windows can start left of it. */
typedef struct {
    REAL values[2][MOST_WINDOWS + 320 / sizeof(REAL)]; /* not a page apart: a load would wait for a store there */
    uint8_t codes[2][MOST_WINDOWS + VL], first[3 * VL];
} NAME(space);

/* What a mean is divided by, or with `exact` multiplied by: `row`, with `column` times column[j]. */
typedef struct {
    int exact;
    REAL row;
    const REAL *column;
} NAME(share);

/* Some columns of windows of a plane. */
typedef struct {
    const pycnn_pooling *g;
    NAME(space) * space;
    const REAL *plane, *end; /* nothing from `end` on is read */
    ptrdiff_t p, n;          /* windows p .. p + n - 1 of each row */
    REAL *y;
    uint8_t *codes;
    const REAL *row_count;   /* of means: what they are divided by, or with `exact` multiplied by, for each row */
    const REAL *column_count; /* or NULL: times this */
    int exact;
} NAME(strip);

/* Cells iw .. iw + VL - 1 of a row of `width` cells; `fill` outside. */
ALWAYS_INLINE vec NAME(window_cells)(const int inside, const REAL *row, ptrdiff_t iw, ptrdiff_t width, vec fill) {
    if (inside) return vload(row + iw);
    ptrdiff_t lo = iw < 0 ? -iw : 0, hi = width - iw;
    lo = AT_MOST(lo, VL);
    hi = hi < lo ? lo : AT_MOST(hi, VL);
    return pload_range(row + iw, lo, hi, fill);
}

/* Keeps GCC from loading twice what two permutations read. */
#if defined(PYCNN_ISA_AVX512) && defined(__GNUC__)
#define LOADED(v) __asm__("" : "+v"(v))
#else
#define LOADED(v) ((void)(v))
#endif

/* tap[t]: cells iw + 2 * lane + t of a row. `inside`: what is loaded as vectors is on the plane, but for what lanes
 * that are not stored see. With 3 x 3 the first tap is the last one, shifted, but for one cell: no loads across cache
 * lines. */
WINDOW_INLINE void NAME(window_taps)(const int kernel, const int inside, vec *tap, const REAL *row, ptrdiff_t iw,
                                     ptrdiff_t width, vec fill) {
    const ptrdiff_t from = iw + (kernel == 3);
    vec p = NAME(window_cells)(inside, row, from, width, fill);
    vec q = NAME(window_cells)(inside, row, from + VL, width, fill);
    LOADED(p);
    LOADED(q);
    tap[kernel - 2] = peven(p, q);
    tap[kernel - 1] = podd(p, q);
    if (kernel == 3) tap[0] = pafter(iw >= 0 && (inside || iw < width) ? vset(row[iw]) : fill, tap[2]);
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

/* v takes the place of best where it is greater; `careful`, or without pnan_or, also where it is the first NaN. */
ALWAYS_INLINE void NAME(take_better)(const int careful, const int coded, vec v, cvec code, vec *best, cvec *won) {
#ifdef pnan_or
    if (!careful) {
        if (coded) *won = cselect(pgreater(v, *best), code, *won);
        *best = vmax(v, *best); /* of equal ones, and beside a NaN, the second */
        return;
    }
#endif
    (void)careful;
    const pmask better = pbetter(v, *best);
    if (coded) *won = cselect(better, code, *won);
    *best = pselect(better, v, *best);
}

/* Means from sums of n windows, from window j on. A sum of nothing but -0.0 is 0.0. */
ALWAYS_INLINE vec NAME(share_of)(vec sum, const NAME(share) * by, ptrdiff_t j, ptrdiff_t n) {
    sum = vadd(sum, vzero());
    if (by->exact) return vmul(sum, vset(by->row));
    if (!by->column) return vdiv(sum, vset(by->row));
    return vdiv(sum, vmul(vset(by->row), n >= VL ? vload(by->column + j) : pload_part(by->column + j, n)));
}

#ifndef pnan_or /* no NaN is ever missed */
#define pnan int
#define pnan_none() 0
#define pnan_any(n) (n)
#endif

/* One row of cells, reduced: *v and *code. Returns `seen` with the NaNs of the row; with 3 x 3, if `plain`, without the
 * first cell. */
WINDOW_INLINE pnan NAME(reduce_row)(const int op, const int plain, const int inside, const int kernel, const REAL *row,
                                    ptrdiff_t iw, ptrdiff_t width, vec *v, cvec *code, pnan seen) {
    const int coded = op == NAME(LARGEST_CODED);
    vec tap[3];
    NAME(window_taps)(kernel, inside, tap, row, iw, width, op == NAME(MEAN) ? vzero() : vset((REAL)-INFINITY));
    *v = tap[0];
    if (op == NAME(MEAN)) {
        *v = vadd(*v, tap[1]);
        if (kernel == 3) *v = vadd(*v, tap[2]);
        return seen;
    }
    NAME(take_better)(!plain, coded, tap[1], cset(1), v, code);
    if (kernel == 3) NAME(take_better)(!plain, coded, tap[2], cset(2), v, code);
#ifdef pnan_or
    seen = pnan_or(seen, tap[kernel - 2], tap[kernel - 1]);
#endif
    return seen;
}

/* The next row of a window. */
WINDOW_INLINE void NAME(add_row)(const int op, const int plain, vec v, cvec code, vec *best, cvec *won) {
    if (op == NAME(MEAN))
        *best = vadd(*best, v);
    else
        NAME(take_better)(!plain, op == NAME(LARGEST_CODED), v, code, best, won);
}

/* Windows p .. p + VL - 1 of row o, wherever they lie; the first of three rows of cells is in scratch memory if `kept`.
 * No NaN is lost. */
static void NAME(window_anywhere)(const int op, const NAME(strip) * s, ptrdiff_t o, ptrdiff_t p, const int kept) {
    const int coded = op == NAME(LARGEST_CODED), kernel = (int)s->g->kernel;
    const cvec first = coded ? cload(s->space->first + AT_MOST(s->p + p, VL)) : cset(0);
    const ptrdiff_t top = o * 2 - s->g->top, t0 = top < 0 ? -top : 0, t1 = AT_MOST(kernel, s->g->height - top);
    const NAME(share) by = {s->exact, op == NAME(MEAN) ? s->row_count[o] : 1, s->column_count};
    const ptrdiff_t at = o * s->g->out_width + p;
    vec best = vzero();
    cvec won = cset(0);
    for (ptrdiff_t t = t0; t < t1; t++) {
        vec v;
        cvec code = first;
        if (kept && t == 0) {
            v = vload(s->space->values[(o - 1) & 1] + p);
            if (coded) code = cload(s->space->codes[(o - 1) & 1] + p);
        } else {
            NAME(reduce_row)(op, 0, 0, kernel, s->plane + (top + t) * s->g->width, (s->p + p) * 2 - s->g->left,
                             s->g->width, &v, &code, pnan_none());
            if (t == 2) vstore(s->space->values[o & 1] + p, v);
            if (t == 2 && coded) cstore(s->space->codes[o & 1] + p, code);
        }
        if (coded) code = cadd(code, cset((int)t * kernel));
        if (t > t0) {
            NAME(add_row)(op, 0, v, code, &best, &won);
        } else {
            best = v;
            won = code;
        }
    }
    if (op == NAME(MEAN)) best = NAME(share_of)(best, &by, p, s->n);
    NAME(store_windows)(coded, s->y + at, coded ? s->codes + at : s->codes, best, won, s->n);
}

/* The vectors of row o of windows. */
static void NAME(row_anywhere)(const int op, const NAME(strip) * s, ptrdiff_t o, const int kept) {
    const ptrdiff_t last = s->n > VL ? s->n - VL : 0;
    for (ptrdiff_t p = 0;; p = AT_MOST(p + VL, last)) {
        NAME(window_anywhere)(op, s, o, p, kept);
        if (p == last) return;
    }
}

/* Rows o .. end - 1 of windows whose rows of cells are all on the plane or in scratch memory. Stops before a row with a
 * NaN, which it may have lost, and returns its number. */
WINDOW_INLINE ptrdiff_t NAME(plain_rows)(const int op, const int kernel, const NAME(strip) * s, ptrdiff_t o,
                                         ptrdiff_t end) {
    const int coded = op == NAME(LARGEST_CODED), kept = kernel == 3;
    const ptrdiff_t n = s->n, last = n > VL ? n - VL : 0, width = s->g->width, left = s->p * 2 - s->g->left;
    const ptrdiff_t room = width - left - (AT_MOST(n, VL) - 1) * 2 - kernel;
    const ptrdiff_t from = left + kept < 0 ? VL : 0, to = room < 0 ? -1 : room / 2; /* whose taps are loaded whole */
    for (; o < end; o++) {
        const REAL *row = s->plane + (o * 2 - s->g->top + kept) * width; /* the first one that is not kept */
        const NAME(share) by = {s->exact, op == NAME(MEAN) ? s->row_count[o] : 1, s->column_count};
        REAL *const y = s->y + o * s->g->out_width, *const values = s->space->values[o & 1];
        const REAL *const old = s->space->values[(o - 1) & 1];
        uint8_t *const codes = coded ? s->codes + o * s->g->out_width : s->codes;
        uint8_t *const places = s->space->codes[o & 1], *const old_places = s->space->codes[(o - 1) & 1];
        ptrdiff_t p = 0;
        pnan seen = pnan_none(), below = pnan_none();
        if (op != NAME(MEAN) && kernel == 3 && left >= 0) /* the cells that reduce_row leaves out */
            if (row[left] != row[left] || row[width + left] != row[width + left]) return o;
        for (;; p = AT_MOST(p + VL, last)) {
            const cvec first = coded ? cload(s->space->first + AT_MOST(s->p + p, VL)) : cset(0);
            vec best, v, w;
            cvec won = first, code = first, code_below = first;
            const ptrdiff_t iw = p * 2 + left;
            PREFETCH(row + iw + WINDOWS_AHEAD);
            PREFETCH(row + width + iw + WINDOWS_AHEAD);
            if (p >= from && p <= to) {
                seen = NAME(reduce_row)(op, 1, 1, kernel, row, iw, width, &v, &code, seen);
                below = NAME(reduce_row)(op, 1, 1, kernel, row + width, iw, width, &w, &code_below, below);
            } else {
                seen = NAME(reduce_row)(op, 1, 0, kernel, row, iw, width, &v, &code, seen);
                below = NAME(reduce_row)(op, 1, 0, kernel, row + width, iw, width, &w, &code_below, below);
            }
            if (kernel == 3) {
                best = vload(old + p);
                vstore(values + p, w);
                if (coded) {
                    won = cload(old_places + p);
                    cstore(places + p, code_below);
                    code = cadd(code, cset(kernel));
                    code_below = cadd(code_below, cset(2 * kernel));
                }
                NAME(add_row)(op, 1, v, code, &best, &won);
            } else {
                best = v;
                won = code;
                if (coded) code_below = cadd(code_below, cset(kernel));
            }
            NAME(add_row)(op, 1, w, code_below, &best, &won);
            if (op == NAME(MEAN)) best = NAME(share_of)(best, &by, p, n);
            NAME(store_windows)(coded, y + p, coded ? codes + p : codes, best, won, n);
            if (p == last) break;
        }
        if (op != NAME(MEAN) && (pnan_any(seen) || pnan_any(below))) return o;
    }
    return o;
}

/* Puts a row above the plane into scratch memory, for row 0 of windows: its code is that of a window's first tap. */
static void NAME(keep_nothing)(const int op, const NAME(strip) * s) {
    for (ptrdiff_t p = 0; p < s->n; p += VL) {
        vstore(s->space->values[1] + p, op == NAME(MEAN) ? vzero() : vset((REAL)-INFINITY));
        if (op == NAME(LARGEST_CODED))
            cstore(s->space->codes[1] + p, cadd(cload(s->space->first + AT_MOST(s->p + p, VL)), cset(3)));
    }
}

/* Rows begin .. end - 1 of the strip: as above where it can be, until a NaN is seen. */
WINDOW_INLINE void NAME(window_rows)(const int op, const int kernel, const NAME(strip) * s, ptrdiff_t begin,
                                     ptrdiff_t end) {
    const pycnn_pooling *g = s->g;
    const ptrdiff_t beyond = s->n < VL ? (kernel == 3) + VL * 2 - g->left - g->width : 0; /* what vectors read */
    ptrdiff_t rows = g->height, from = FIRST_AT(g->top, 2), o = begin;
    if (beyond > 0) rows = AT_MOST(rows, (s->end - s->plane - beyond) / g->width);
    const ptrdiff_t to = rows + g->top < kernel ? 0 : AT_MOST((rows + g->top - kernel) / 2 + 1, end);
    if (kernel == 3 && begin == 0 && g->top == 1) {
        NAME(keep_nothing)(op, s);
        from = 0;
    } else if (kernel == 3 && from <= begin) {
        from = begin + 1;
    }
    for (; o < from && o < end; o++) NAME(row_anywhere)(op, s, o, o > begin && kernel == 3);
    if (o < to) o = NAME(plain_rows)(op, kernel, s, o, to);
    for (; o < end; o++) NAME(row_anywhere)(op, s, o, (o > begin || from == 0) && kernel == 3);
}

WINDOW_INLINE void NAME(window_planes)(const int op, const int kernel, NAME(strip) * s, ptrdiff_t planes,
                                       ptrdiff_t begin, ptrdiff_t end) {
    const pycnn_pooling *g = s->g;
    const REAL *const column_count = s->column_count;
    REAL *y = s->y;
    uint8_t *codes = s->codes;
    for (ptrdiff_t p = 0; p < planes; p++) {
        for (s->p = 0; s->p < g->out_width; s->p += s->n) {
            s->n = AT_MOST(MOST_WINDOWS, g->out_width - s->p);
            s->y = y + s->p;
            if (op == NAME(LARGEST_CODED)) s->codes = codes + s->p;
            if (column_count) s->column_count = column_count + s->p;
            NAME(window_rows)(op, kernel, s, begin, end);
        }
        s->plane += g->height * g->width;
        y += g->out_height * g->out_width;
        if (op == NAME(LARGEST_CODED)) codes += g->out_height * g->out_width;
    }
}

#include "pool_same.inc.h"

static void NAME(max_windows)(const pycnn_pooling *g, REAL *y, uint8_t *codes, const REAL *x, ptrdiff_t planes,
                              ptrdiff_t begin, ptrdiff_t end) {
    NAME(space) space;
    NAME(strip) s = {.g = g, .space = &space, .plane = x, .end = x + planes * g->height * g->width, .y = y};
    for (ptrdiff_t o = 0, tap = g->left; o < 3 * VL; o++, tap -= 2) space.first[o] = (uint8_t)(tap > 0 ? tap : 0);
    s.codes = codes ? codes : space.first; /* not written there */
    if (g->stride == 1 && codes)
        NAME(same_planes)(NAME(LARGEST_CODED), g, y, codes, x, 0, 0, 0, planes, begin, end);
    else if (g->stride == 1)
        NAME(same_planes)(NAME(LARGEST), g, y, codes, x, 0, 0, 0, planes, begin, end);
    else if (g->kernel == 2 && codes)
        NAME(window_planes)(NAME(LARGEST_CODED), 2, &s, planes, begin, end);
    else if (g->kernel == 2)
        NAME(window_planes)(NAME(LARGEST), 2, &s, planes, begin, end);
    else if (codes)
        NAME(window_planes)(NAME(LARGEST_CODED), 3, &s, planes, begin, end);
    else
        NAME(window_planes)(NAME(LARGEST), 3, &s, planes, begin, end);
}

static void NAME(mean_windows)(const pycnn_pooling *g, REAL *y, const REAL *x, const REAL *row_count,
                               const REAL *column_count, int exact, ptrdiff_t planes, ptrdiff_t begin, ptrdiff_t end) {
    NAME(space) space;
    NAME(strip) s = {.g = g, .space = &space, .plane = x, .end = x + planes * g->height * g->width, .y = y};
    s.codes = space.first; /* not written */
    s.row_count = row_count;
    s.column_count = column_count;
    s.exact = exact;
    if (g->stride == 1)
        NAME(same_planes)(NAME(MEAN), g, y, 0, x, row_count, column_count, exact, planes, begin, end);
    else if (g->kernel == 2)
        NAME(window_planes)(NAME(MEAN), 2, &s, planes, begin, end);
    else
        NAME(window_planes)(NAME(MEAN), 3, &s, planes, begin, end);
}

/* The matrix product's tiles beside plain loops in double, and its copies beside generic C. Also, first: the places. */

static REAL T(in)[PLACES], T(more)[PLACES], T(out)[2][PLACES];

static void T(fill)(REAL *p, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) p[i] = (REAL)number();
}

/* New inputs, and nothing but NaN in both results. */
static void T(start)(void) {
    T(fill)(T(in), PLACES);
    T(fill)(T(more), PLACES);
    for (ptrdiff_t i = 0; i < PLACES; i++) T(out)[0][i] = T(out)[1][i] = (REAL)NAN;
}

static int T(equal)(const REAL *a, const REAL *b, ptrdiff_t n, double tolerance) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (!close_to((double)a[i], (double)b[i], tolerance)) return 0;
    return 1;
}

/* All of both results. */
static void T(check)(const char *name, double tolerance) {
    verdict(name, TYPE, T(equal)(T(out)[0], T(out)[1], PLACES, tolerance));
}

/* kind: 0 packed, 1 rows, 2 taps; what each reads as a(m, k) and b(k, j) is what its comment promises. */
static void T(one_tile)(int kind, ptrdiff_t m, ptrdiff_t nv) {
    static const char *const names[] = {"packed", "rows", "taps"};
    const pycnn_tiles *set = sets[1];
    const T(pycnn_gemm) *g = set->T(gemm);
    const ptrdiff_t width = nv * g->vl, taps = kind == 2 ? between(1, 5) : 1, channels = upto(kind == 2 ? 6 : 30);
    const ptrdiff_t k = channels * taps, a_step = kind == 1 ? k + upto(3) : m + upto(3), plane = between(200, 300);
    const int accumulate = (int)upto(1);
    ptrdiff_t offset[PYCNN_MR_MAX];
    REAL *c = T(out)[1];
    for (int i = 0; i < PYCNN_MR_MAX; i++) offset[i] = upto(100);
    T(start)();
    T(fill)(c, m * width);
    memcpy(T(out)[0], c, sizeof *c * (size_t)(m * width));
    if (kind < 2) (kind ? g->rows : g->packed)[m - 1][nv - 1](k, T(in), a_step, T(more), c, accumulate);
    if (kind == 2) g->taps[m - 1][nv - 1](channels, plane, taps, offset, T(in), a_step, T(more), c, accumulate);
    for (ptrdiff_t r = 0; r < m; r++)
        for (ptrdiff_t j = 0; j < width; j++) {
            REAL *want = T(out)[0] + r * width + j;
            double sum = accumulate ? (double)*want : 0;
            for (ptrdiff_t i = 0; i < k; i++) {
                const ptrdiff_t ai = kind == 1 ? r * a_step + i : i * a_step + r;
                const ptrdiff_t bi = kind == 2 ? i / taps * plane + offset[i % taps] : i * width;
                sum += (double)T(in)[ai] * (double)T(more)[bi + j];
            }
            *want = (REAL)sum;
        }
    T(check)(names[kind], TOLERANCE);
}

/* c[place[m]][j] of the tiles whose pixels lie anywhere: taps of each channel, or in cells channels of each tap. */
static void T(one_points)(int cells, ptrdiff_t m, ptrdiff_t nv) {
    const T(pycnn_points) *p = sets[1]->T(points);
    const ptrdiff_t width = nv * p->vl, taps = between(1, 5), channels = upto(6);
    const ptrdiff_t plane = cells ? 1 : between(200, 300);
    const int accumulate = (int)upto(1), biased = (int)upto(1);
    ptrdiff_t offset[5], pixel[PYCNN_MR_MAX], place[PYCNN_MR_MAX];
    REAL *c = T(out)[1], bias[4 * 16];
    for (int i = 0; i < 5; i++) offset[i] = upto(100);
    for (int i = 0; i < PYCNN_MR_MAX; i++) {
        pixel[i] = upto(100);
        place[i] = (PYCNN_MR_MAX - 1 - i) * (width + 3);
    }
    T(start)();
    T(fill)(bias, width);
    for (ptrdiff_t r = 0; r < m; r++) {
        T(fill)(c + place[r], width);
        memcpy(T(out)[0] + place[r], c + place[r], sizeof *c * (size_t)width);
    }
    if (cells)
        p->cells[m - 1][nv - 1](channels, taps, offset, T(in), pixel, T(more), biased ? bias : NULL, c, place,
                                accumulate);
    else
        p->points[m - 1][nv - 1](channels, plane, taps, offset, T(in), pixel, T(more), biased ? bias : NULL, c, place,
                                 accumulate);
    for (ptrdiff_t r = 0; r < m; r++)
        for (ptrdiff_t j = 0; j < width; j++) {
            REAL *want = T(out)[0] + place[r] + j;
            double sum = (accumulate ? (double)*want : 0) + (biased ? (double)bias[j] : 0);
            for (ptrdiff_t k = 0; k < channels; k++)
                for (ptrdiff_t t = 0; t < taps; t++)
                    sum += (double)T(in)[pixel[r] + k * plane + offset[t]]
                           * (double)T(more)[(cells ? t * channels + k : k * taps + t) * width + j];
            *want = (REAL)sum;
        }
    T(check)(cells ? "cells" : "points", TOLERANCE);
}

static void T(copies)(void) {
    const ptrdiff_t rows = between(1, 9), length = between(1, 60), step = between(1, 3), lo = upto(length);
    const ptrdiff_t hi = between(lo, length), pitch = between(length, 70);
    const ptrdiff_t first = upto(rows), last = between(first, rows);
    REAL bias[9];
    T(fill)(bias, 9);
#define BOTH(topic, call)                                       \
    T(start)();                                                 \
    for (int i = 0; i < 2; i++) {                               \
        const T(pycnn_##topic) *table = sets[i]->T(topic);      \
        REAL *out = T(out)[i];                                  \
        table->call;                                            \
    }
    BOTH(gemm, pack_run(out, pitch, T(in), 200, rows, length, lo, hi, step))
    T(check)("pack_run", 0);
    const ptrdiff_t many = between(1, 40);
    BOTH(gemm, transpose_run(out, 43, T(in), 200, many, length, step))
    T(check)("transpose_run", 0);
    BOTH(gemm, store_run(out, T(in), length, step, (REAL)0.25))
    T(check)("store_run", 0);
    BOTH(points, store_points(out, rows % 2 ? 1 : 70, rows % 2 ? 12 : step, T(in), 48, rows % 2 ? 9 : length / step, 11))
    T(check)("store_points", 0);
    BOTH(gemm, pack_plane(out, rows * pitch + 16, pitch, T(in), 2500, 200, 3, rows, first, last, lo, hi, step))
    for (ptrdiff_t c = 0; c < 3; c++) {
        const ptrdiff_t at = c * (rows * pitch + 16);
        verdict("pack_plane", TYPE, T(equal)(T(out)[0] + at, T(out)[1] + at, rows * pitch, 0));
    }
    const pycnn_stretch stretches[3] = {{0, upto(20), 0}, {20, upto(20), 90}, {40, upto(20), 300}};
    BOTH(gemm, store_tile(out, 400, step, T(in), 60, rows, stretches, 3, rows % 2 ? bias : NULL))
    T(check)("store_tile", 0);
    pycnn_piece pieces[6];
    ptrdiff_t begin = 0;
    for (int i = 0; i < 6; i++) {
        const ptrdiff_t wide = i % 2 ? 48 - begin : between(1, 40);
        begin = i % 2 ? begin : 0;
        pieces[i] = (pycnn_piece){300 + upto(100), begin, wide, upto(wide + 4) - 2, upto(wide + 4) - 2};
        begin = wide;
    }
    BOTH(gemm, pack_panel(out, 48, T(in), 700, 4, pieces, 3, 2, step))
    verdict("pack_panel", TYPE, T(equal)(T(out)[0], T(out)[1], 48 * 4 * 3, 0));
}

static void T(sums)(void) {
    const ptrdiff_t n = between(1, 9), length = between(1, 70), step = between(1, 3), rows = between(1, 5);
    ptrdiff_t offset[9], lo[36], hi[36];
    for (int i = 0; i < 9; i++) {
        offset[i] = upto(40);
        lo[4 * i] = upto(length);
        hi[4 * i] = between(lo[4 * i], length);
    }
    BOTH(gemm, weigh_line(out, T(in), offset, T(more), n, length, step, (REAL)0.5))
    T(check)("weigh_line", TOLERANCE);
    T(start)();
    for (int i = 0; i < 2; i++) {
        const T(pycnn_gemm) *g = sets[i]->T(gemm);
        REAL lanes[9 * 16] = {0};
        g->dot_line(lanes, T(in), offset, lo, hi, n, T(more), step);
        for (ptrdiff_t t = 0; t < n; t++) {
            T(out)[i][t] = 0;
            for (ptrdiff_t lane = 0; lane < g->vl; lane++) T(out)[i][t] += lanes[t * g->vl + lane];
        }
    }
    T(check)("dot_line", TOLERANCE);
    T(start)();
    for (int i = 0; i < 2; i++) {
        memset(T(out)[i], 0, sizeof(REAL) * (size_t)rows);
        sets[i]->T(gemm)->dot_rows(length, T(in), 100, rows, T(more), T(out)[i]);
    }
    T(check)("dot_rows", TOLERANCE);
}

static void T(compare_gemm)(void) {
    for (int kind = 0; kind < 3; kind++)
        for (ptrdiff_t m = 1; m <= sets[1]->T(gemm)->mr; m++)
            for (ptrdiff_t nv = 1; nv <= 3; nv++) T(one_tile)(kind, m, nv);
    for (ptrdiff_t m = 1; m <= sets[1]->T(points)->mr; m++)
        for (ptrdiff_t nv = 1; nv <= 3; nv++) T(one_points)(0, m, nv);
    for (ptrdiff_t nv = 1; nv <= sets[1]->T(points)->cells_widest; nv++)
        for (ptrdiff_t m = 1; m <= PYCNN_MR_MAX; m++)
            if (sets[1]->T(points)->cells[m - 1][nv - 1]) T(one_points)(1, m, nv);
    T(copies)();
    T(sums)();
}

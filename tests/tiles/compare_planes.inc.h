/* Winograd's transforms, depthwise and few sums. Vectors differ in length; the lanes that both sets have agree. */

static void T(fill_lanes)(REAL *p, ptrdiff_t pixels, ptrdiff_t vl) {
    for (ptrdiff_t i = 0; i < pixels; i++)
        for (ptrdiff_t lane = 0; lane < vl; lane++) p[i * vl + lane] = (REAL)placed(i, lane);
}

static void T(check_lanes)(const char *name, ptrdiff_t pixels) {
    const ptrdiff_t a = sets[0]->T(winograd)->vl, b = sets[1]->T(winograd)->vl, common = a < b ? a : b;
    int same = 1;
    for (ptrdiff_t i = 0; i < pixels; i++)
        same &= T(equal)(T(out)[0] + i * a, T(out)[1] + i * b, common, 20 * TOLERANCE);
    verdict(name, TYPE, same);
}

/* f = 0: F(2x2, 3x3); 1: F(4x4, 3x3); 2: 3x3 with stride 2, or, spread, its gradient for the input */
static void T(transforms)(int f, int spread) {
    const ptrdiff_t m = f ? 4 : 2, points = f == 2 ? 81 : (m + 2) * (m + 2), side = f == 2 ? 9 : m + 2;
    const ptrdiff_t own = f == 2 ? 36 : points, tiles = between(1, 5), left = upto(1);
    const pycnn_phases phases = {f == 2 ? 2 - spread : 1, f == 2 && (!spread || upto(1)),
                                 f == 2 && (!spread || upto(1)), f == 1 ? upto(2) : 0, f == 1 ? upto(2) : 0, 0};
    const ptrdiff_t step = f == 2 ? 4 * phases.spacing : m, read = f == 2 ? step + 1 : m + 2;
    const ptrdiff_t written = spread ? 8 : m, most = written * tiles, channels = between(1, 6);
    const ptrdiff_t cols = between(1, step * tiles + read - step - left);
    int finite[2];
    static REAL space[PLACES];
#define EACH_LANES(pixels, call)                                     \
    T(start)();                                                      \
    for (int i = 0; i < 2; i++) {                                    \
        const T(pycnn_winograd) *w = sets[i]->T(winograd);           \
        const ptrdiff_t vl = w->vl;                                  \
        REAL *out = T(out)[i], *lines = T(in), *bias = T(more);      \
        T(fill_lanes)(lines, (pixels), vl);                          \
        T(fill_lanes)(bias, 1, vl);                                  \
        call;                                                        \
    }
    EACH_LANES(side * cols, w->input(f, out, tiles * vl, vl, tiles, space, lines, cols, left, &phases))
    T(check_lanes)("winograd input", points * tiles);
    EACH_LANES(points * tiles, finite[i] = w->output[f + spread](out, most, lines, tiles * vl, vl, tiles, bias,
                                                                 vl < 2 ? vl : 2, &phases))
    T(check_lanes)("winograd output", written * most);
    verdict("winograd output is finite", TYPE, finite[0] && finite[1]);
    EACH_LANES(channels * 9, w->weights[f](out, channels * vl, vl, lines, channels, (int)left))
    T(check_lanes)("winograd weights", own * channels);
    const ptrdiff_t seen = between(1, m * tiles);
    EACH_LANES(m * seen, w->delta(f, out, tiles * vl, vl, tiles, space, lines, seen, &phases))
    T(check_lanes)("winograd delta", points * tiles);
    EACH_LANES(own, lines[0] = (REAL)INFINITY; finite[i] = w->gradient[f](out, lines, vl, 2))
    T(check_lanes)("winograd gradient", 9);
    verdict("winograd gradient is not finite", TYPE, !finite[0] && !finite[1]);
}

static void T(lanes)(void) {
    const ptrdiff_t pixels = between(1, 30), a = sets[0]->T(winograd)->vl, b = sets[1]->T(winograd)->vl;
    const ptrdiff_t channels = between(1, a < b ? a : b), step = between(1, 3);
    BOTH(winograd, from_lanes(out, (T(fill_lanes)(T(in), pixels, table->vl), T(in)), 100, step, pixels, channels))
    T(check)("from_lanes", 0);
    T(start)();
    for (int i = 0; i < 2; i++) sets[i]->T(winograd)->to_lanes(T(out)[i], T(in), 100, step, pixels, channels);
    int same = 1;
    for (ptrdiff_t p = 0; p < pixels; p++) same &= T(equal)(T(out)[0] + p * a, T(out)[1] + p * b, channels, 0);
    verdict("to_lanes", TYPE, same);
}

static void T(depthwise)(void) {
    const ptrdiff_t rows = between(1, 9), cols = between(1, 40), line = 96, dilation = between(1, 2);
    ptrdiff_t column[5];
    pycnn_window w = {rows, cols, line * between(1, 2), between(cols, 50), between(1, 5), between(1, 5),
                      line * dilation, column, 0};
    REAL weight[25];
    for (int j = 0; j < 5; j++) column[j] = j * dilation;
    T(fill)(weight, 25);
    const int accumulate = (int)upto(1);
    T(start)();
    for (int i = 0; i < 2; i++) {
        for (ptrdiff_t j = 0; j < PLACES; j++) T(out)[i][j] = (REAL)placed(j, 0);
        sets[i]->T(depthwise)->sum(T(out)[i], T(in), weight, &w, (REAL)0.5, accumulate);
    }
    T(check)("depthwise sum", TOLERANCE);
    T(start)();
    for (int i = 0; i < 2; i++) {
        static REAL lanes[2 * 25 * 16];
        const ptrdiff_t count = w.kh * w.kw, vl = sets[i]->T(gemm)->vl;
        memset(lanes, 0, sizeof lanes);
        sets[i]->T(depthwise)->dot(lanes, T(in), T(more), &w);
        sets[i]->T(depthwise)->dot(lanes + count * vl, T(more), T(in), &w);
        sets[i]->T(depthwise)->fold(T(out)[i], lanes, count, 2, count * vl);
    }
    T(check)("depthwise dot, fold", 20 * TOLERANCE);
}

static void T(padded)(void) {
    const ptrdiff_t rows = between(1, 6), stride = between(1, 2), lead = upto(1) ? 16 * stride : -upto(3);
    const ptrdiff_t pixel = between(1, 2), size = between(4, 60), used = rows * stride * 64;
    BOTH(depthwise, pad(out, 64, T(in) + 16, 150, pixel, size, lead, stride, rows))
    verdict("depthwise pad", TYPE, T(equal)(T(out)[0], T(out)[1], used, 0));
}

/* Few products each: weights are packed by the rows of a set's tile, a spot is a vector of the set. */
static void T(few)(void) {
    const ptrdiff_t filters = between(1, 17), channels = between(1, 4), taps = between(1, 9), n = between(1, 7);
    const ptrdiff_t a = sets[0]->T(gemm)->vl, b = sets[1]->T(gemm)->vl, common = a < b ? a : b;
    const ptrdiff_t depth = between(1, 13), rows = between(1, 5), cols = between(1, 50);
    ptrdiff_t offset[13];
    pycnn_spot spots[7];
    static REAL weight[24 * 4 * 9];
    for (int i = 0; i < 13; i++) offset[i] = upto(100);
    for (int i = 0; i < 7; i++) spots[i] = (pycnn_spot){upto(100), 20 * i, between(1, common)};
    T(start)();
    for (int i = 0; i < 2; i++) {
        const ptrdiff_t mr = sets[i]->T(gemm)->mr, sums = channels * taps;
        memset(weight, 0, sizeof weight);
        for (ptrdiff_t m = 0; m < filters; m++)
            for (ptrdiff_t k = 0; k < sums; k++) weight[(m / mr * sums + k) * mr + m % mr] = (REAL)placed(m, k);
        sets[i]->T(few)->sum(T(out)[i], 200, filters, T(in), channels, 300, taps, offset, weight,
                             rows % 2 ? T(more) : NULL, spots, n, n % 2);
    }
    int same = 1;
    for (ptrdiff_t m = 0; m < filters; m++)
        for (ptrdiff_t i = 0; i < n; i++) {
            const ptrdiff_t at = m * 200 + spots[i].dst;
            same &= T(equal)(T(out)[0] + at, T(out)[1] + at, spots[i].lanes, 10 * TOLERANCE);
            same &= T(out)[1][at] == T(out)[1][at];
        }
    verdict("few sum", TYPE, same);
    T(start)();
    for (int i = 0; i < 2; i++) {
        static REAL lanes[17 * 13 * 16];
        memset(lanes, 0, sizeof lanes);
        sets[i]->T(few)->dot(lanes, T(in), 400, 60, filters, T(more), 70, offset, depth, rows, cols);
        sets[i]->T(depthwise)->fold(T(out)[i], lanes, filters * depth, 1, 0);
    }
    T(check)("few dot", 20 * TOLERANCE);
}

/* Channels side by side: where a lane's sum lies depends on the vectors, of which the last may overlap. */
static void T(channels)(void) {
    const ptrdiff_t n = between(1, 40), pixels = between(1, 8), taps = between(0, 30), step = 64;
    const REAL *cell[40];
    ptrdiff_t at[30], weight_at[30];
    const pycnn_ahead ahead = {T(in), between(0, 2), 50, between(0, 8), 5};
    for (int k = 0; k < 40; k++) cell[k] = T(in) + upto(2000);
    for (int t = 0; t < 30; t++) at[t] = upto(32), weight_at[t] = upto(500);
    T(start)();
    for (int i = 0; i < 2; i++)
        sets[i]->T(depthwise)->sum_channels(T(out)[i], 50, pixels, cell, taps, at, T(more), weight_at, T(more) + 600, n,
                                            &ahead);
    T(check)("depthwise sum_channels", 10 * TOLERANCE);
    T(start)();
    for (int i = 0; i < 2; i++) {
        static REAL sums[30 * 64];
        const ptrdiff_t vl = sets[i]->T(gemm)->vl, whole = n < vl ? 0 : n / vl * vl;
        memset(sums, 0, sizeof sums);
        sets[i]->T(depthwise)->dot_channels(sums, step, T(more), 45, pixels, cell, taps, at, n, &ahead);
        for (ptrdiff_t t = 0; t < taps; t++)
            for (ptrdiff_t c = 0; c < n; c++)
                T(out)[i][t * n + c] = sums[t * step + (c < whole || n < vl ? c : whole + vl - n + c)];
    }
    T(check)("depthwise dot_channels", 10 * TOLERANCE);
}

static void T(compare_planes)(void) {
    T(few)();
    T(transforms)(0, 0);
    T(transforms)(1, 0);
    T(transforms)(2, 0);
    T(transforms)(2, 1);
    T(lanes)();
    T(depthwise)();
    T(channels)();
    T(padded)();
}

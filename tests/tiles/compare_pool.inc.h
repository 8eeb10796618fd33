/* Pooling: rows of windows, bins, and whole planes. */

static uint8_t T(codes)[2][PLACES], T(places)[PLACES];

/* Numbers with ties, infinities and NaNs among them: which of them wins is part of the result. */
static void T(rough)(REAL *p, ptrdiff_t n) {
    static const double rare[] = {NAN, INFINITY, -INFINITY, 0.5, 0.5, 0.5, 0.5, -0.0};
    for (ptrdiff_t i = 0; i < n; i++) p[i] = (REAL)(upto(3) ? number() : rare[upto(7)]);
}

static void T(begin)(ptrdiff_t top) {
    T(start)();
    memset(T(codes), 255, sizeof T(codes));
    for (ptrdiff_t i = 0; i < PLACES; i++) T(places)[i] = (uint8_t)upto(top);
}

static void T(check_codes)(const char *name) {
    T(check)(name, 0);
    verdict(name, TYPE, !memcmp(T(codes)[0], T(codes)[1], PLACES));
}

#define EACH_POOL(top, prepare, call)                      \
    T(begin)(top);                                         \
    prepare;                                               \
    for (int i = 0; i < 2; i++) {                          \
        const T(pycnn_pool) *pool = sets[i]->T(pool);      \
        REAL *out = T(out)[i];                             \
        uint8_t *codes = T(codes)[i];                      \
        (void)codes;                                       \
        pool->call;                                        \
    }

static void T(phases)(void) {
    const ptrdiff_t stride = between(1, 3), size = between(1, 50), lead = upto(3), rows = between(1, 4);
    const ptrdiff_t step = between(1, 2), phases = stride, width = (size + lead) / stride + upto(3);
    EACH_POOL(1, , split(out, 300, 90, T(in), 120, step, size, lead, stride, phases, width, rows, (REAL)7))
    T(check)("split", 0);
    EACH_POOL(1, , merge(out, 120, step, T(in), 300, 90, size, lead, stride, rows))
    T(check)("merge", 0);
}

static void T(runs)(void) {
    const REAL *src[9];
    const uint8_t *args[9];
    uint8_t code[9];
    const ptrdiff_t group = between(1, 3), taps = group * between(1, 3), n = between(1, 50), blocks = between(1, 3);
    REAL *count = T(more);
    for (int t = 0; t < 9; t++) {
        src[t] = T(in) + upto(60);
        args[t] = T(places) + upto(60);
        code[t] = (uint8_t)upto(4);
    }
#define COUNTS for (int j = 0; j < 100; j++) count[j] = (REAL)between(1, 9)
    EACH_POOL(4, , sum_rows(out, 70, src, 200, taps, n, blocks))
    T(check)("sum_rows", TOLERANCE);
    EACH_POOL(4, COUNTS, mean_rows(out, 70, src, 200, taps, group, n, blocks, group == 1 ? NULL : count, (REAL)3))
    T(check)("mean_rows", TOLERANCE);
    EACH_POOL(4, COUNTS, share_rows(out, 70, src, 200, count, taps, group, n, blocks))
    T(check)("share_rows", TOLERANCE);
    EACH_POOL(4, , select_rows(out, 70, src, 200, args, 200, code, taps, n, blocks))
    T(check)("select_rows", TOLERANCE);
    EACH_POOL(4, T(rough)(T(in), PLACES), max_values(out, 70, src, 200, taps, n, blocks))
    T(check)("max_values", 0);
    EACH_POOL(4, T(rough)(T(in), PLACES),
              max_first(out, 70, codes, 70, group == 1 ? NULL : T(places), src, 200, code, taps, n, blocks))
    T(check_codes)("max_first");
    EACH_POOL(4, T(rough)(T(in), PLACES),
              max_next(out, 70, codes, 70, src, 200, args, 200, code, taps, n, blocks))
    T(check_codes)("max_next");
    T(begin)(250);
    verdict("top_code", TYPE,
            sets[0]->T(pool)->top_code(T(places), n * taps) == sets[1]->T(pool)->top_code(T(places), n * taps));
}

static void T(bins)(void) {
    const ptrdiff_t rows = between(1, 8), columns = between(1, 60), n = between(1, 20), lanes = between(1, 4);
    ptrdiff_t begin[20], end[20];
    for (int i = 0; i < 20; i++) {
        begin[i] = upto(40);
        end[i] = begin[i] + between(1, 40);
    }
    EACH_POOL(1, , bin_planes(out, 3, T(in), 700, 80, rows, columns, n, (REAL)(rows * columns)))
    T(check)("bin_planes", TOLERANCE);
    EACH_POOL(1, , fill_planes(out, 60, T(in), 3, columns, lanes, (REAL)rows))
    T(check)("fill_planes", TOLERANCE);
    EACH_POOL(1, , bin_row(out, 2, T(in), 90, rows, begin, end, n))
    T(check)("bin_row", TOLERANCE);
    const ptrdiff_t narrow = sets[1]->T(gemm)->vl < lanes ? sets[1]->T(gemm)->vl : lanes;
    EACH_POOL(1, , bin_lanes(out, T(in), 1000, 16, rows, columns, narrow, (REAL)3))
    T(check)("bin_lanes", TOLERANCE);
}

static ptrdiff_t T(outputs)(ptrdiff_t size, ptrdiff_t pad, ptrdiff_t kernel, ptrdiff_t stride) {
    return (size + 2 * pad - kernel) / stride + 1;
}

/* Windows of `kernel` cells whose first lies `pad` before the plane, on planes of every narrow width. */
static void T(windows)(ptrdiff_t kernel, ptrdiff_t stride, ptrdiff_t pad) {
    const ptrdiff_t height = between(kernel, 14), width = between(kernel, 45), planes = between(1, 3);
    const pycnn_pooling g = {kernel, stride, height, width, T(outputs)(height, pad, kernel, stride),
                             T(outputs)(width, pad, kernel, stride), pad, pad};
    const ptrdiff_t begin = upto(g.out_height - 1), end = between(begin + 1, g.out_height);
    const int counted = (int)upto(1);
    REAL row_count[40], column_count[64];
    for (int i = 0; i < 40; i++) row_count[i] = (REAL)between(1, 3);
    for (int i = 0; i < 64; i++) column_count[i] = (REAL)between(1, 3);
    EACH_POOL(1, T(rough)(T(in), PLACES), max_windows(&g, out, codes, T(in), planes, begin, end))
    T(check_codes)("max_windows, codes");
    EACH_POOL(1, T(rough)(T(in), PLACES), max_windows(&g, out, NULL, T(in), planes, begin, end))
    T(check)("max_windows", 0);
    EACH_POOL(1, , mean_windows(&g, out, T(in), row_count, counted ? column_count : NULL, !counted, planes, begin, end))
    T(check)("mean_windows", TOLERANCE);
    if (stride == 2 && (kernel == 3 || !pad)) {
        const ptrdiff_t from = upto(height - 1), to = between(from + 1, height);
        EACH_POOL(kernel * kernel - 1, , max_spread(&g, out, T(in), T(places), planes, from, to))
        T(check)("max_spread", TOLERANCE);
        if (kernel == 2) {
            EACH_POOL(1, , mean_spread(&g, out, T(in), (REAL)(counted + 3), planes, from, to))
            T(check)("mean_spread", TOLERANCE);
        }
    }
    if (kernel == 3 && stride == 1) {
        EACH_POOL(1, , mean_gather(&g, out, T(in), row_count[0], planes, begin, end))
        T(check)("mean_gather", TOLERANCE);
    }
}

static void T(compare_pool)(void) {
    T(phases)();
    T(runs)();
    T(bins)();
    T(windows)(2, 2, upto(1));
    T(windows)(3, 1, 1);
    T(windows)(3, 2, upto(1));
}

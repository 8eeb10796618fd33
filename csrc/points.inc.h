/* Register tiles of a direct convolution with the filters in the lanes, one instruction set, one number type.
 *
 * A tile holds MR pixels x NV vectors of filters in registers through the whole sum over channels and taps: each step
 * loads NV vectors of packed weights and broadcasts one value for each pixel. The pixels lie anywhere, so no lane is lost
 * between rows, at strides or in small images; the filters come out side by side and are turned when they are stored.
 *
 * Where a pixel's channels lie side by side, in a cell, the channels are the inner loop: a line of the first cache is
 * read from end to end, by each tap again, and no step has to look up an address. Otherwise the taps are.
 * Registers as in gemm.inc.h, or 6 x 4 sums, 4 vectors of weights and 1 value. */

#if defined(PYCNN_ISA_AVX512) || defined(PYCNN_ISA_NEON)
#define MR 8
#define CELLS_WIDEST 4
#define CELLS_ROWS {8, 6, 8, 6}
#else
#define MR 4
#define CELLS_WIDEST 3
#define CELLS_ROWS {4, 6, 4, 0}
#endif
#define MOST_ROWS 8

/* What was in c is added last: a long sum in blocks loses less than one running through all of them. */
ALWAYS_INLINE void NAME(put_points)(const int rows, const int nv, vec (*sum)[4], const REAL *bias, REAL *RESTRICT c,
                                    const ptrdiff_t *place, int accumulate) {
    if (accumulate)
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vadd(vload(c + place[m] + v * VL), sum[m][v]);
    if (bias)
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vadd(sum[m][v], vload(bias + v * VL));
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int v = 0; v < nv; v++) vstore(c + place[m] + v * VL, sum[m][v]);
}

/* One step of the sum: the values of a at `at` from each pixel on times the vectors of b. */
ALWAYS_INLINE void NAME(points_step)(const int rows, const int nv, const REAL *const *from, ptrdiff_t at,
                                     const REAL *RESTRICT b, vec (*sum)[4]) {
    vec bv[4];
    UNROLL for (int v = 0; v < nv; v++) bv[v] = vload(b + v * VL);
    UNROLL for (int m = 0; m < rows; m++) {
        const vec am = vset(from[m][at]);
        UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vfma(am, bv[v], sum[m][v]);
    }
}

ALWAYS_INLINE void NAME(points_tile)(const int rows, const int nv, ptrdiff_t channels, ptrdiff_t channel_step,
                                     ptrdiff_t taps, const ptrdiff_t *RESTRICT offset, const REAL *RESTRICT a,
                                     const ptrdiff_t *pixel, const REAL *RESTRICT b, const REAL *bias,
                                     REAL *RESTRICT c, const ptrdiff_t *place, int accumulate) {
    /* Few sums would wait for their own additions: they are made twice, of every other tap, where registers are left. */
    const int twice = nv == 1; /* the same for each number of rows, which may depend on the threads */
    vec sum[MOST_ROWS][4], odd[MOST_ROWS][4];
    const REAL *from[MOST_ROWS];
    UNROLL for (int m = 0; m < rows; m++) {
        from[m] = a + pixel[m];
        UNROLL for (int v = 0; v < nv; v++) sum[m][v] = odd[m][v] = vzero();
    }
    for (ptrdiff_t i = 0, base = 0; i < channels; i++, base += channel_step) {
        ptrdiff_t t = 0;
        for (; twice && t + 1 < taps; t += 2, b += 2 * nv * VL) {
            NAME(points_step)(rows, nv, from, base + offset[t], b, sum);
            NAME(points_step)(rows, nv, from, base + offset[t + 1], b + nv * VL, odd);
        }
        for (; t < taps; t++, b += nv * VL) NAME(points_step)(rows, nv, from, base + offset[t], b, sum);
    }
    if (twice)
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vadd(sum[m][v], odd[m][v]);
    NAME(put_points)(rows, nv, sum, bias, c, place, accumulate);
}

ALWAYS_INLINE void NAME(cells_tile)(const int rows, const int nv, ptrdiff_t channels, ptrdiff_t taps,
                                    const ptrdiff_t *RESTRICT offset, const REAL *RESTRICT a, const ptrdiff_t *pixel,
                                    const REAL *RESTRICT b, const REAL *bias, REAL *RESTRICT c, const ptrdiff_t *place,
                                    int accumulate) {
    const int twice = nv == 1; /* as above */
    vec sum[MOST_ROWS][4], odd[MOST_ROWS][4];
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int v = 0; v < nv; v++) sum[m][v] = odd[m][v] = vzero();
    for (ptrdiff_t t = 0; t < taps; t++) {
        const REAL *from[MOST_ROWS];
        UNROLL for (int m = 0; m < rows; m++) from[m] = a + pixel[m] + offset[t];
        ptrdiff_t i = 0;
        for (; twice && i + 1 < channels; i += 2, b += 2 * nv * VL) {
            NAME(points_step)(rows, nv, from, i, b, sum);
            NAME(points_step)(rows, nv, from, i + 1, b + nv * VL, odd);
        }
        for (; i < channels; i++, b += nv * VL) NAME(points_step)(rows, nv, from, i, b, sum);
    }
    if (twice)
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vadd(sum[m][v], odd[m][v]);
    NAME(put_points)(rows, nv, sum, bias, c, place, accumulate);
}

#define POINTS_ONE(m, nv)                                                                                          \
    static void NAME(points_##m##x##nv)(ptrdiff_t channels, ptrdiff_t channel_step, ptrdiff_t taps,                \
                                        const ptrdiff_t *offset, const REAL *a, const ptrdiff_t *pixel,            \
                                        const REAL *b, const REAL *bias, REAL *c, const ptrdiff_t *place,          \
                                        int accumulate) {                                                          \
        NAME(points_tile)(m, nv, channels, channel_step, taps, offset, a, pixel, b, bias, c, place, accumulate);   \
    }
#define CELLS_ONE(m, nv)                                                                                             \
    static void NAME(cells_##m##x##nv)(ptrdiff_t channels, ptrdiff_t taps, const ptrdiff_t *offset, const REAL *a,     \
                                       const ptrdiff_t *pixel, const REAL *b, const REAL *bias, REAL *c,             \
                                       const ptrdiff_t *place, int accumulate) {                                     \
        NAME(cells_tile)(m, nv, channels, taps, offset, a, pixel, b, bias, c, place, accumulate);                    \
    }
#define POINTS_ROW(m) \
    POINTS_ONE(m, 1)  \
    POINTS_ONE(m, 2)  \
    POINTS_ONE(m, 3)  \
    CELLS_ONE(m, 1)   \
    CELLS_ONE(m, 2)   \
    CELLS_ONE(m, 3)
POINTS_ROW(1)
POINTS_ROW(2)
POINTS_ROW(3)
POINTS_ROW(4)
#if MR == 8
POINTS_ROW(5)
POINTS_ROW(6)
POINTS_ROW(7)
POINTS_ROW(8)
CELLS_ONE(1, 4)
CELLS_ONE(2, 4)
CELLS_ONE(3, 4)
CELLS_ONE(4, 4)
CELLS_ONE(5, 4)
CELLS_ONE(6, 4)
#else
CELLS_ONE(5, 2)
CELLS_ONE(6, 2)
#endif
#undef POINTS_ROW
#undef POINTS_ONE
#undef CELLS_ONE

static void NAME(ask_points)(const REAL *a, const ptrdiff_t *pixel, ptrdiff_t pixels, ptrdiff_t values) {
    for (ptrdiff_t m = 0; m < pixels; m++)
        for (ptrdiff_t j = 0; j < values; j += (ptrdiff_t)(64 / sizeof(REAL))) PREFETCH_L2(a + pixel[m] + j);
}

static void NAME(store_points)(REAL *RESTRICT dst, ptrdiff_t channel_step, ptrdiff_t pixel_step,
                               const REAL *RESTRICT src, ptrdiff_t width, ptrdiff_t pixels, ptrdiff_t channels) {
    NAME(put_pixels)(dst, channel_step, pixel_step, src, width, pixels, channels);
}

#define POINTS_CELLS(m) {NAME(points_##m##x1), NAME(points_##m##x2), NAME(points_##m##x3)}
#define CELLS_THREE(m) {NAME(cells_##m##x1), NAME(cells_##m##x2), NAME(cells_##m##x3)}
#define CELLS_FOUR(m) {NAME(cells_##m##x1), NAME(cells_##m##x2), NAME(cells_##m##x3), NAME(cells_##m##x4)}
static const TYPED(pycnn_points) NAME(points_table) = {
    VL,
    MR,
    {
        POINTS_CELLS(1),
        POINTS_CELLS(2),
        POINTS_CELLS(3),
        POINTS_CELLS(4),
#if MR == 8
        POINTS_CELLS(5),
        POINTS_CELLS(6),
        POINTS_CELLS(7),
        POINTS_CELLS(8),
#endif
    },
    CELLS_WIDEST,
    CELLS_ROWS,
    {
#if MR == 8
        CELLS_FOUR(1),
        CELLS_FOUR(2),
        CELLS_FOUR(3),
        CELLS_FOUR(4),
        CELLS_FOUR(5),
        CELLS_FOUR(6),
        {NAME(cells_7x1), NAME(cells_7x2), NAME(cells_7x3)},
        {NAME(cells_8x1), NAME(cells_8x2), NAME(cells_8x3)},
#else
        CELLS_THREE(1),
        CELLS_THREE(2),
        CELLS_THREE(3),
        CELLS_THREE(4),
        {NULL, NAME(cells_5x2)},
        {NULL, NAME(cells_6x2)},
#endif
    },
    NAME(ask_points),
    NAME(store_points),
};
#undef POINTS_CELLS
#undef CELLS_THREE
#undef CELLS_FOUR
#undef CELLS_WIDEST
#undef CELLS_ROWS
#undef MOST_ROWS
#undef MR

/* Register tiles of a direct convolution with the filters in the lanes, one instruction set, one number type.
 *
 * A tile holds MR pixels x NV vectors of filters in registers through the whole sum over channels and taps: each step
 * loads NV vectors of packed weights and broadcasts one value for each pixel. The pixels lie anywhere, so no lane is lost
 * between rows, at strides or in small images; the filters come out side by side and are turned when they are stored.
 * Registers as in gemm.inc.h. */

#if defined(PYCNN_ISA_AVX512) || defined(PYCNN_ISA_NEON)
#define MR 8
#else
#define MR 4
#endif

/* One step of the sum: the values of a at `at` from each pixel on times the vectors of b. */
ALWAYS_INLINE void NAME(points_step)(const int rows, const int nv, const REAL *const *from, ptrdiff_t at,
                                     const REAL *RESTRICT b, vec (*sum)[3]) {
    vec bv[3];
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
    vec sum[MR][3], odd[MR][3];
    const REAL *from[MR];
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
    /* What was in c is added last: a long sum in blocks loses less than one running through all of them. */
    if (accumulate)
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vadd(vload(c + place[m] + v * VL), sum[m][v]);
    if (bias)
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vadd(sum[m][v], vload(bias + v * VL));
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int v = 0; v < nv; v++) vstore(c + place[m] + v * VL, sum[m][v]);
}

#define POINTS_ONE(m, nv)                                                                                          \
    static void NAME(points_##m##x##nv)(ptrdiff_t channels, ptrdiff_t channel_step, ptrdiff_t taps,                \
                                        const ptrdiff_t *offset, const REAL *a, const ptrdiff_t *pixel,            \
                                        const REAL *b, const REAL *bias, REAL *c, const ptrdiff_t *place,          \
                                        int accumulate) {                                                          \
        NAME(points_tile)(m, nv, channels, channel_step, taps, offset, a, pixel, b, bias, c, place, accumulate);   \
    }
#define POINTS_ROW(m) \
    POINTS_ONE(m, 1)  \
    POINTS_ONE(m, 2)  \
    POINTS_ONE(m, 3)
POINTS_ROW(1)
POINTS_ROW(2)
POINTS_ROW(3)
POINTS_ROW(4)
#if MR == 8
POINTS_ROW(5)
POINTS_ROW(6)
POINTS_ROW(7)
POINTS_ROW(8)
#endif
#undef POINTS_ROW
#undef POINTS_ONE

static void NAME(ask_points)(const REAL *a, const ptrdiff_t *pixel, ptrdiff_t pixels, ptrdiff_t values) {
    for (ptrdiff_t m = 0; m < pixels; m++)
        for (ptrdiff_t j = 0; j < values; j += (ptrdiff_t)(64 / sizeof(REAL))) PREFETCH_L2(a + pixel[m] + j);
}

static void NAME(store_points)(REAL *RESTRICT dst, ptrdiff_t channel_step, ptrdiff_t pixel_step,
                               const REAL *RESTRICT src, ptrdiff_t width, ptrdiff_t pixels, ptrdiff_t channels) {
    if (channel_step == 1) {
        for (ptrdiff_t p = 0; p < pixels; p++)
            memcpy(dst + p * pixel_step, src + p * width, (size_t)channels * sizeof(REAL));
        return;
    }
    ptrdiff_t c = 0;
    if (pixel_step == 1 && pixels >= BLOCK)
        for (; c + BLOCK <= channels; c += BLOCK) {
            REAL *plane = dst + c * channel_step;
            for (ptrdiff_t p = 0; p + BLOCK <= pixels; p += BLOCK)
                NAME(transpose_block)(plane + p, channel_step, src + p * width + c, width);
            if (pixels % BLOCK)
                NAME(transpose_block)(plane + pixels - BLOCK, channel_step, src + (pixels - BLOCK) * width + c, width);
        }
    for (; c < channels; c++)
        for (ptrdiff_t p = 0; p < pixels; p++) dst[c * channel_step + p * pixel_step] = src[p * width + c];
}

#define POINTS_CELLS(m) {NAME(points_##m##x1), NAME(points_##m##x2), NAME(points_##m##x3)}
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
    NAME(ask_points),
    NAME(store_points),
};
#undef POINTS_CELLS
#undef MR

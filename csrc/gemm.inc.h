/* Register tiles of C[M][N] += A[M][K] * B[K][N], one instruction set, one number type.
 *
 * A tile holds MR x NV vectors of C in registers through the whole sum over k: each step loads NV vectors of B,
 * broadcasts MR values of A and does MR * NV multiply-adds. AVX-512 and NEON have 32 registers: 8 x 3 sums, 3 of B, 1 of
 * A. AVX2 and the generic set have 16: 4 x 3 + 3 + 1. Smaller tiles take the tails, so no lane of a full panel is lost.
 * Source: the loop order and the packed panels are those of Goto and van de Geijn, "Anatomy of High-Performance Matrix
 * Multiplication", ACM TOMS 34 (2008). */

#if defined(PYCNN_ISA_AVX512) || defined(PYCNN_ISA_NEON)
#define MR 8
#else
#define MR 4
#endif

/* `packed` and the sizes are constants at every call, so the loops over m and v unroll and `sum` lives in registers. */
ALWAYS_INLINE void NAME(gemm_tile)(const int rows, const int nv, const int packed, ptrdiff_t k, const REAL *RESTRICT a,
                                   ptrdiff_t a_step, const REAL *RESTRICT b, REAL *RESTRICT c, int accumulate) {
    vec sum[MR][3];
    for (int m = 0; m < rows; m++)
        for (int v = 0; v < nv; v++) sum[m][v] = accumulate ? vload(c + (m * nv + v) * VL) : vzero();
    for (ptrdiff_t i = 0; i < k; i++) {
        vec bv[3];
        for (int v = 0; v < nv; v++) bv[v] = vload(b + v * VL);
        for (int m = 0; m < rows; m++) {
            const vec am = vset(packed ? a[m] : a[m * a_step]);
            for (int v = 0; v < nv; v++) sum[m][v] = vfma(am, bv[v], sum[m][v]);
        }
        a += packed ? a_step : 1;
        b += nv * VL;
    }
    for (int m = 0; m < rows; m++)
        for (int v = 0; v < nv; v++) vstore(c + (m * nv + v) * VL, sum[m][v]);
}

#define GEMM_ONE(kind, is_packed, m, nv)                                                                           \
    static void NAME(kind##_##m##x##nv)(ptrdiff_t k, const REAL *a, ptrdiff_t a_step, const REAL *b, REAL *c,      \
                                        int accumulate) {                                                          \
        NAME(gemm_tile)(m, nv, is_packed, k, a, a_step, b, c, accumulate);                                         \
    }
#define GEMM_ROW(m)           \
    GEMM_ONE(packed, 1, m, 1) \
    GEMM_ONE(packed, 1, m, 2) \
    GEMM_ONE(packed, 1, m, 3) \
    GEMM_ONE(rows, 0, m, 1)   \
    GEMM_ONE(rows, 0, m, 2)   \
    GEMM_ONE(rows, 0, m, 3)
GEMM_ROW(1)
GEMM_ROW(2)
GEMM_ROW(3)
GEMM_ROW(4)
#if MR == 8
GEMM_ROW(5)
GEMM_ROW(6)
GEMM_ROW(7)
GEMM_ROW(8)
#endif
#undef GEMM_ROW
#undef GEMM_ONE

static void NAME(pack_run)(REAL *RESTRICT dst, ptrdiff_t dst_step, const REAL *RESTRICT src, ptrdiff_t src_step,
                           ptrdiff_t rows, ptrdiff_t length, ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t step) {
    if (lo < 0) lo = 0;
    if (hi > length) hi = length;
    if (hi < lo) hi = lo = length;
    for (ptrdiff_t c = 0; c < rows; c++) {
        REAL *RESTRICT d = dst + c * dst_step;
        const REAL *RESTRICT s = src + c * src_step;
        ptrdiff_t j = 0;
        for (; j < lo; j++) d[j] = 0;
        if (step == 1) {
            for (; j + VL <= hi; j += VL) vstore(d + j, vload(s + j));
            for (; j < hi; j++) d[j] = s[j];
        } else {
            for (; j < hi; j++) d[j] = s[j * step];
        }
        for (; j < length; j++) d[j] = 0;
    }
}

static void NAME(transpose_run)(REAL *RESTRICT dst, ptrdiff_t dst_step, const REAL *RESTRICT src, ptrdiff_t src_step,
                                ptrdiff_t rows, ptrdiff_t length, ptrdiff_t step) {
    /* Blocks of 8 x 8 keep the lines of both sides in the cache. */
    for (ptrdiff_t j0 = 0; j0 < length; j0 += 8) {
        const ptrdiff_t j1 = j0 + 8 < length ? j0 + 8 : length;
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = j0; j < j1; j++) dst[j * dst_step + i] = src[i * src_step + j * step];
    }
}

static void NAME(store_run)(REAL *RESTRICT dst, const REAL *RESTRICT src, ptrdiff_t length, ptrdiff_t step, REAL bias) {
    ptrdiff_t j = 0;
    if (step == 1) {
        const vec b = vset(bias);
        for (; j + VL <= length; j += VL) vstore(dst + j, vadd(vload(src + j), b));
    }
    for (; j < length; j++) dst[j * step] = src[j] + bias;
}

static void NAME(dot_rows)(ptrdiff_t length, const REAL *RESTRICT a, ptrdiff_t a_step, ptrdiff_t rows,
                           const REAL *RESTRICT b, REAL *RESTRICT c) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        const REAL *RESTRICT row = a + r * a_step;
        vec s0 = vzero(), s1 = vzero();
        ptrdiff_t j = 0;
        for (; j + 2 * VL <= length; j += 2 * VL) {
            s0 = vfma(vload(row + j), vload(b + j), s0);
            s1 = vfma(vload(row + j + VL), vload(b + j + VL), s1);
        }
        REAL sum = vsum(vadd(s0, s1));
        for (; j < length; j++) sum += row[j] * b[j];
        c[r] += sum;
    }
}

#define GEMM_CELLS(kind, m) {NAME(kind##_##m##x1), NAME(kind##_##m##x2), NAME(kind##_##m##x3)}
#if MR == 8
#define GEMM_CELLS_ALL(kind)                                                                             \
    {GEMM_CELLS(kind, 1), GEMM_CELLS(kind, 2), GEMM_CELLS(kind, 3), GEMM_CELLS(kind, 4),                 \
     GEMM_CELLS(kind, 5), GEMM_CELLS(kind, 6), GEMM_CELLS(kind, 7), GEMM_CELLS(kind, 8)}
#else
#define GEMM_CELLS_ALL(kind) {GEMM_CELLS(kind, 1), GEMM_CELLS(kind, 2), GEMM_CELLS(kind, 3), GEMM_CELLS(kind, 4)}
#endif

static const TYPED(pycnn_gemm) NAME(gemm_table) = {
    VL,
    MR,
    3 * VL,
    GEMM_CELLS_ALL(packed),
    GEMM_CELLS_ALL(rows),
    NAME(pack_run),
    NAME(transpose_run),
    NAME(store_run),
    NAME(dot_rows),
};
#undef GEMM_CELLS
#undef GEMM_CELLS_ALL
#undef MR

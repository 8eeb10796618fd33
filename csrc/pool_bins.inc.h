/* Means over bins: rectangles of cells, up to the whole image. Included by pool.inc.h.
 *
 * The cells of a column are added first, from the top. Sum c of columns c, c + 16, ... follows, then the tree of the 16
 * sums: c and c + 8, c and c + 4, and so on. Planar images and channels-last ones add in this order, so both give the
 * same bits. */

enum { NAME(BIN_SUMS) = 16, NAME(BIN_VECTORS) = 16 / VL };

/* The tree over 16 sums that lie side by side in vectors. */
ALWAYS_INLINE REAL NAME(tree_sum)(vec *sum) {
    for (int half = NAME(BIN_VECTORS) / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) sum[i] = vadd(sum[i], sum[i + half]);
#if defined(PYCNN_ISA_AVX512) && defined(PYCNN_F32)
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sum[0]), _mm512_extractf32x8_ps(sum[0], 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
#else
    REAL lane[VL];
    vstore(lane, sum[0]);
    for (int half = VL / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
#endif
}

/* One bin of contiguous columns: its sum. */
ALWAYS_INLINE REAL NAME(bin_sum)(const REAL *src, ptrdiff_t row_step, ptrdiff_t rows, ptrdiff_t columns) {
    vec sum[NAME(BIN_VECTORS)];
    UNROLL for (int i = 0; i < NAME(BIN_VECTORS); i++) sum[i] = vzero();
    for (ptrdiff_t c = 0; c < columns; c += NAME(BIN_SUMS))
        UNROLL for (int i = 0; i < NAME(BIN_VECTORS); i++) {
            const ptrdiff_t at = c + i * VL, lanes = AT_MOST(columns - at, VL);
            if (lanes <= 0) break;
            const int full = lanes == VL;
            vec column = full ? vload(src + at) : pload_part(src + at, lanes);
            for (ptrdiff_t r = 1; r < rows; r++) {
                const REAL *p = src + r * row_step + at;
                column = vadd(column, full ? vload(p) : pload_part(p, lanes));
            }
            sum[i] = vadd(sum[i], column);
        }
    return NAME(tree_sum)(sum);
}

#if defined(PYCNN_F32) && (defined(PYCNN_ISA_AVX512) || defined(PYCNN_ISA_AVX2))
/* The same sum of at most eight columns, in half a vector of AVX-512: where many a network ends. `inside`: whole vectors
 * may be loaded, else the lanes alone. */
#define NARROW_BIN 8
ALWAYS_INLINE float NAME(narrow_sum)(const int inside, const float *src, ptrdiff_t row_step, ptrdiff_t rows,
                                     __m256i lanes) {
    __m256 eight = _mm256_setzero_ps();
    for (ptrdiff_t r = 0; r < rows; r++, src += row_step)
        eight = _mm256_add_ps(eight, inside ? _mm256_loadu_ps(src) : _mm256_maskload_ps(src, lanes));
    if (inside) eight = _mm256_and_ps(eight, _mm256_castsi256_ps(lanes));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

static void NAME(narrow_planes)(float *dst, ptrdiff_t dst_step, const float *src, ptrdiff_t src_step,
                                ptrdiff_t row_step, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t planes,
                                float divisor) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)columns), lane);
    const int dense = row_step == columns && src_step == rows * columns && src_step >= 8;
    const ptrdiff_t followed = dense ? planes - 1 : 0; /* a vector may reach into the next plane */
    ptrdiff_t p = 0;
    if (rows == 7)
        for (; p < followed; p++)
            dst[p * dst_step] = NAME(narrow_sum)(1, src + p * src_step, row_step, 7, lanes) / divisor;
    for (; p < followed; p++)
        dst[p * dst_step] = NAME(narrow_sum)(1, src + p * src_step, row_step, rows, lanes) / divisor;
    for (; p < planes; p++)
        dst[p * dst_step] = NAME(narrow_sum)(0, src + p * src_step, row_step, rows, lanes) / divisor;
}
#endif

static void NAME(bin_planes)(REAL *dst, ptrdiff_t dst_step, const REAL *src, ptrdiff_t src_step, ptrdiff_t row_step,
                             ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t planes, REAL divisor) {
#ifdef NARROW_BIN
    if (columns <= NARROW_BIN) {
        NAME(narrow_planes)(dst, dst_step, src, src_step, row_step, rows, columns, planes, divisor);
        return;
    }
#endif
    for (ptrdiff_t p = 0; p < planes; p++)
        dst[p * dst_step] = (NAME(bin_sum)(src + p * src_step, row_step, rows, columns) + 0) / divisor;
}
#undef NARROW_BIN

static void NAME(fill_planes)(REAL *dst, ptrdiff_t dst_step, const REAL *src, ptrdiff_t src_step, ptrdiff_t n,
                              ptrdiff_t planes, REAL divisor) {
    for (ptrdiff_t p = 0; p < planes; p++) {
        REAL *d = dst + p * dst_step;
        const vec share = vset(src[p * src_step] / divisor + 0);
        for (ptrdiff_t j = 0; j + VL <= n; j += VL) vstore(d + j, share);
        if (n >= VL)
            vstore(d + n - VL, share);
        else
            pstore_part(d, share, n);
    }
}

static void NAME(bin_row)(REAL *dst, ptrdiff_t dst_step, const REAL *src, ptrdiff_t row_step, ptrdiff_t rows,
                          const ptrdiff_t *begin, const ptrdiff_t *end, ptrdiff_t bins) {
    for (ptrdiff_t b = 0; b < bins; b++) {
        const ptrdiff_t columns = end[b] - begin[b];
        const REAL sum = NAME(bin_sum)(src + begin[b], row_step, rows, columns);
        dst[b * dst_step] = (sum + 0) / (REAL)(rows * columns);
    }
}

/* One bin, a vector of channels or images at a time. */
static void NAME(bin_lanes)(REAL *dst, const REAL *src, ptrdiff_t row_step, ptrdiff_t column_step, ptrdiff_t rows,
                            ptrdiff_t columns, ptrdiff_t n, REAL divisor) {
    const ptrdiff_t sums = AT_MOST(columns, NAME(BIN_SUMS));
    for (ptrdiff_t j = 0; j < n; j += VL) {
        const ptrdiff_t lanes = AT_MOST(n - j, VL);
        const int full = lanes == VL;
        vec sum[NAME(BIN_SUMS)];
        for (ptrdiff_t s = 0; s < sums; s++) {
            sum[s] = vzero();
            for (ptrdiff_t c = s; c < columns; c += NAME(BIN_SUMS)) {
                const REAL *p = src + c * column_step + j;
                vec column = full ? vload(p) : pload_part(p, lanes);
                for (ptrdiff_t r = 1; r < rows; r++)
                    column = vadd(column, full ? vload(p + r * row_step) : pload_part(p + r * row_step, lanes));
                sum[s] = vadd(sum[s], column);
            }
        }
        for (ptrdiff_t half = NAME(BIN_SUMS) / 2; half > 0; half /= 2)
            for (ptrdiff_t i = 0; i < half && i + half < sums; i++) sum[i] = vadd(sum[i], sum[i + half]);
        const vec mean = vdiv(vadd(sum[0], vzero()), vset(divisor));
        if (full)
            vstore(dst + j, mean);
        else
            pstore_part(dst + j, mean, lanes);
    }
}

/* Sums of few products each, one instruction set, one number type. Lanes are pixels of a row, in the source and in the
 * outputs, so nothing is transposed and a finished sum goes from its register to its place.
 *
 *   sum   a tile of MR filters x 3 vectors of pixels, all of the sum in one go
 *   dot   a tile of MR filters x 3 (channel, tap) pairs, or MR / 2 x 6, through all pixels of a stripe
 *
 * What is over where the filters, spots or pairs are no multiple of the tile's is computed twice, with the same result.
 * With two loads a cycle or one, a tile of a x b sums takes a + b loads and a * b multiply-adds. */

#if defined(PYCNN_ISA_AVX512) || defined(PYCNN_ISA_NEON)
#define FEW_MR 8
#else
#define FEW_MR 4
#endif

/* The value in a register from here on: GCC would load it anew for each product, and loads are what there is least of. */
#if defined(__GNUC__) && defined(PYCNN_ISA_AVX512)
#define FEW_HOLD(v) __asm__("" : "+v"(v))
#elif defined(__GNUC__) && defined(PYCNN_ISA_AVX2)
#define FEW_HOLD(v) __asm__("" : "+x"(v))
#else
#define FEW_HOLD(v) ((void)0)
#endif

/* One tile: `used` filters of `rows`; the packed weights have zeros for the others. What lies `ahead` is asked for, by
 * the last lane, as the line of the first came with the tile before: the pixels of a channel may be on a page of their
 * own, where the processor does not see what comes next. So are outputs that are not stored past the caches. */
ALWAYS_INLINE void NAME(few_sum_tile)(const int rows, REAL *dst, ptrdiff_t dst_row, ptrdiff_t used,
                                      const REAL *RESTRICT src, ptrdiff_t channels, ptrdiff_t channel_step,
                                      ptrdiff_t taps, const ptrdiff_t *RESTRICT offset, const REAL *RESTRICT weight,
                                      const REAL *RESTRICT bias, const pycnn_spot *const *spot,
                                      const REAL *RESTRICT ahead, int far) {
    vec sum[FEW_MR][3];
    const REAL *RESTRICT s0 = src + spot[0]->src, *RESTRICT s1 = src + spot[1]->src, *RESTRICT s2 = src + spot[2]->src;
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int v = 0; v < 3; v++) sum[m][v] = vzero();
#if !defined(vstream)
    for (ptrdiff_t m = 0; far && m < used && m < rows; m++)
        for (int v = 0; v < 3; v++) PREFETCH(dst + m * dst_row + spot[v]->dst + VL - 1);
#endif
    for (ptrdiff_t c = 0; c < channels; c++) {
        for (ptrdiff_t t = 0; t < taps; t++, weight += FEW_MR) {
            const ptrdiff_t at = c * channel_step + offset[t];
            const vec x0 = vload(s0 + at), x1 = vload(s1 + at), x2 = vload(s2 + at);
            PREFETCH_L2(ahead + at + VL - 1);
            UNROLL for (int m = 0; m < rows; m++) {
                const vec w = vset(weight[m]);
                sum[m][0] = vfma(w, x0, sum[m][0]);
                sum[m][1] = vfma(w, x1, sum[m][1]);
                sum[m][2] = vfma(w, x2, sum[m][2]);
            }
        }
    }
    if (spot[0]->lanes + spot[1]->lanes + spot[2]->lanes == 3 * VL) {
        REAL *d0 = dst + spot[0]->dst, *d1 = dst + spot[1]->dst, *d2 = dst + spot[2]->dst;
#if defined(vstream)
        const uintptr_t places = (uintptr_t)d0 | (uintptr_t)d1 | (uintptr_t)d2 | (uintptr_t)dst_row * sizeof(REAL);
        far = far && places % (VL * sizeof(REAL)) == 0;
#endif
        UNROLL for (int m = 0; m < rows; m++, d0 += dst_row, d1 += dst_row, d2 += dst_row) {
            const vec b = vset(bias[m]);
            if (m == used) return;
#if defined(vstream)
            if (far) {
                vstream(d0, vadd(sum[m][0], b));
                vstream(d1, vadd(sum[m][1], b));
                vstream(d2, vadd(sum[m][2], b));
                continue;
            }
#endif
            vstore(d0, vadd(sum[m][0], b));
            vstore(d1, vadd(sum[m][1], b));
            vstore(d2, vadd(sum[m][2], b));
        }
        return;
    }
    REAL tile[FEW_MR][3][VL];
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int v = 0; v < 3; v++) vstore(tile[m][v], sum[m][v]);
    for (ptrdiff_t m = 0; m < used && m < rows; m++)
        for (int v = 0; v < 3; v++)
            NAME(store_sum)(dst + m * dst_row + spot[v]->dst, tile[m][v], spot[v]->lanes, bias[m]);
}

/* Functions of their own: inlined below, GCC 12 keeps one of the three vectors of pixels in memory. */
#define FEW_SUM_ONE(name, rows)                                                                                    \
    NEVER_INLINE void NAME(name)(REAL *dst, ptrdiff_t dst_row, ptrdiff_t used, const REAL *src, ptrdiff_t channels,  \
                                 ptrdiff_t channel_step, ptrdiff_t taps, const ptrdiff_t *offset,                  \
                                 const REAL *weight, const REAL *bias, const pycnn_spot *const *spot,              \
                                 const REAL *ahead, int far) {                                                     \
        NAME(few_sum_tile)(rows, dst, dst_row, used, src, channels, channel_step, taps, offset, weight, bias, spot,  \
                           ahead, far);                                                                            \
    }
FEW_SUM_ONE(few_sum_whole, FEW_MR)
FEW_SUM_ONE(few_sum_half, FEW_MR / 2)
#undef FEW_SUM_ONE

static void NAME(few_sum)(REAL *dst, ptrdiff_t dst_row, ptrdiff_t rows, const REAL *src, ptrdiff_t channels,
                          ptrdiff_t channel_step, ptrdiff_t taps, const ptrdiff_t *offset, const REAL *weight,
                          const REAL *bias, const pycnn_spot *spots, ptrdiff_t n, int far) {
    for (ptrdiff_t i = 0; i < n; i += 3) {
        const ptrdiff_t first = n - i >= 3 ? i : n >= 3 ? n - 3 : 0;
        const pycnn_spot *spot[3];
        const REAL *w = weight;
        const ptrdiff_t next = i + 3 < n ? i + 3 : n - 1;
        for (ptrdiff_t v = 0; v < 3; v++) spot[v] = spots + (first + v < n ? first + v : n - 1);
        for (ptrdiff_t m = 0; m < rows; m += FEW_MR, w += channels * taps * FEW_MR) {
            REAL *d = dst + m * dst_row;
            /* A vector of the next tile with each of the first tiles of filters, so that not all are wanted at once. */
            const REAL *ahead = src + spot[0]->src;
            if (m < 3 * FEW_MR) ahead = src + spot[m / FEW_MR]->src + spots[next].src - spot[0]->src;
            REAL b[FEW_MR] = {0};
            if (bias) memcpy(b, bias + m, (size_t)(rows - m < FEW_MR ? rows - m : FEW_MR) * sizeof(REAL));
            if (rows - m > FEW_MR / 2)
                NAME(few_sum_whole)(d, dst_row, rows - m, src, channels, channel_step, taps, offset, w, b, spot, ahead,
                                    far);
            else
                NAME(few_sum_half)(d, dst_row, rows - m, src, channels, channel_step, taps, offset, w, b, spot, ahead,
                                   far);
        }
    }
#if defined(vstream)
    if (far) _mm_sfence();
#endif
}

/* One step of a tile: dy[m] * src[v]; part: lanes 0 .. lanes - 1. */
ALWAYS_INLINE void NAME(few_products)(const int rows, const int pairs, const int part, vec (*sum)[6],
                                      const REAL *const *dy, const REAL *const *src, ptrdiff_t y, ptrdiff_t x,
                                      ptrdiff_t lanes) {
    vec s[6];
    UNROLL for (int v = 0; v < pairs; v++)
        s[v] = part ? NAME(load_part)(src[v] + x, 0, lanes) : vload(src[v] + x);
    UNROLL for (int m = 0; m < rows; m++) {
        vec d = part ? NAME(load_part)(dy[m] + y, 0, lanes) : vload(dy[m] + y);
        FEW_HOLD(d);
        UNROLL for (int v = 0; v < pairs; v++) sum[m][v] = vfma(d, s[v], sum[m][v]);
    }
}

/* One tile, added to sums[(m * depth + v) * VL] for m < used, v < used_pairs; the pointers beyond those are any. */
ALWAYS_INLINE void NAME(few_dot_tile)(const int rows, const int pairs, REAL *RESTRICT sums, ptrdiff_t depth,
                                      ptrdiff_t used, ptrdiff_t used_pairs, const REAL *const *dy, ptrdiff_t dy_line,
                                      const REAL *const *src, ptrdiff_t src_line, ptrdiff_t lines, ptrdiff_t cols) {
    vec sum[FEW_MR][6];
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int v = 0; v < pairs; v++) sum[m][v] = vzero();
    for (ptrdiff_t r = 0; r < lines; r++) {
        ptrdiff_t j = 0;
        for (; j + VL <= cols; j += VL)
            NAME(few_products)(rows, pairs, 0, sum, dy, src, r * dy_line + j, r * src_line + j, VL);
        if (j < cols)
            NAME(few_products)(rows, pairs, 1, sum, dy, src, r * dy_line + j, r * src_line + j, cols - j);
    }
    UNROLL for (int m = 0; m < rows; m++) {
        UNROLL for (int v = 0; v < pairs; v++) {
            REAL *s = sums + (m * depth + v) * VL;
            if (m < used && v < used_pairs) vstore(s, vadd(vload(s), sum[m][v]));
        }
    }
}

static void NAME(few_dot)(REAL *sums, const REAL *dy, ptrdiff_t dy_step, ptrdiff_t dy_line, ptrdiff_t filters,
                          const REAL *src, ptrdiff_t src_line, const ptrdiff_t *offset, ptrdiff_t depth, ptrdiff_t rows,
                          ptrdiff_t cols) {
    for (ptrdiff_t f = 0; f < filters; f += FEW_MR) {
        const ptrdiff_t used = filters - f < FEW_MR ? filters - f : FEW_MR;
        const ptrdiff_t pairs = used > FEW_MR / 2 ? 3 : 6;
        const REAL *line[FEW_MR], *s[6];
        for (ptrdiff_t m = 0; m < FEW_MR; m++) line[m] = dy + (f + (m < used ? m : used - 1)) * dy_step;
        for (ptrdiff_t k = 0; k < depth; k += pairs) {
            REAL *out = sums + (f * depth + k) * VL;
            for (ptrdiff_t v = 0; v < pairs; v++) s[v] = src + offset[k + v < depth ? k + v : depth - 1];
            if (pairs == 3)
                NAME(few_dot_tile)(FEW_MR, 3, out, depth, used, depth - k, line, dy_line, s, src_line, rows, cols);
            else
                NAME(few_dot_tile)(FEW_MR / 2, 6, out, depth, used, depth - k, line, dy_line, s, src_line, rows, cols);
        }
    }
}

static const TYPED(pycnn_few) NAME(few_table) = {NAME(few_sum), NAME(few_dot)};

#undef FEW_MR
#undef FEW_HOLD

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

/* What was in c is added last: a long sum in blocks loses less than one running through all of them. */
ALWAYS_INLINE void NAME(put_tile)(const int rows, const int nv, REAL *RESTRICT c, vec (*sum)[3], int accumulate) {
    if (accumulate) {
        UNROLL for (int m = 0; m < rows; m++)
            UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vadd(vload(c + (m * nv + v) * VL), sum[m][v]);
    }
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int v = 0; v < nv; v++) vstore(c + (m * nv + v) * VL, sum[m][v]);
}

/* `packed` and the sizes are constants at every call, so the loops over m and v unroll and `sum` lives in registers. */
ALWAYS_INLINE void NAME(gemm_tile)(const int rows, const int nv, const int packed, ptrdiff_t k, const REAL *RESTRICT a,
                                   ptrdiff_t a_step, const REAL *RESTRICT b, REAL *RESTRICT c, int accumulate) {
    vec sum[MR][3];
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vzero();
    for (ptrdiff_t i = 0; i < k; i++) {
        vec bv[3];
        UNROLL for (int v = 0; v < nv; v++) bv[v] = vload(b + v * VL);
        UNROLL for (int m = 0; m < rows; m++) {
            const vec am = vset(packed ? a[m] : a[m * a_step]);
            UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vfma(am, bv[v], sum[m][v]);
        }
        a += packed ? a_step : 1;
        b += nv * VL;
    }
    NAME(put_tile)(rows, nv, c, sum, accumulate);
}

/* The same where b is not packed: the row of (channel, tap) lies at b + channel * channel_step + offset[tap]. */
ALWAYS_INLINE void NAME(taps_tile)(const int rows, const int nv, ptrdiff_t channels, ptrdiff_t channel_step,
                                   ptrdiff_t taps, const ptrdiff_t *RESTRICT offset, const REAL *RESTRICT a,
                                   ptrdiff_t a_step, const REAL *RESTRICT b, REAL *RESTRICT c, int accumulate) {
    vec sum[MR][3];
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vzero();
    for (ptrdiff_t i = 0; i < channels; i++, b += channel_step) {
        for (ptrdiff_t t = 0; t < taps; t++, a += a_step) {
            const REAL *RESTRICT row = b + offset[t];
            vec bv[3];
            UNROLL for (int v = 0; v < nv; v++) bv[v] = vload(row + v * VL);
            UNROLL for (int m = 0; m < rows; m++) {
                const vec am = vset(a[m]);
                UNROLL for (int v = 0; v < nv; v++) sum[m][v] = vfma(am, bv[v], sum[m][v]);
            }
        }
    }
    NAME(put_tile)(rows, nv, c, sum, accumulate);
}

#define GEMM_ONE(kind, is_packed, m, nv)                                                                           \
    static void NAME(kind##_##m##x##nv)(ptrdiff_t k, const REAL *a, ptrdiff_t a_step, const REAL *b, REAL *c,      \
                                        int accumulate) {                                                          \
        NAME(gemm_tile)(m, nv, is_packed, k, a, a_step, b, c, accumulate);                                         \
    }
#define TAPS_ONE(m, nv)                                                                                            \
    static void NAME(taps_##m##x##nv)(ptrdiff_t channels, ptrdiff_t channel_step, ptrdiff_t taps,                  \
                                      const ptrdiff_t *offset, const REAL *a, ptrdiff_t a_step, const REAL *b,     \
                                      REAL *c, int accumulate) {                                                   \
        NAME(taps_tile)(m, nv, channels, channel_step, taps, offset, a, a_step, b, c, accumulate);                 \
    }
#define GEMM_ROW(m)           \
    GEMM_ONE(packed, 1, m, 1) \
    GEMM_ONE(packed, 1, m, 2) \
    GEMM_ONE(packed, 1, m, 3) \
    GEMM_ONE(rows, 0, m, 1)   \
    GEMM_ONE(rows, 0, m, 2)   \
    GEMM_ONE(rows, 0, m, 3)   \
    TAPS_ONE(m, 1)            \
    TAPS_ONE(m, 2)            \
    TAPS_ONE(m, 3)
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
#undef TAPS_ONE

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
            if (step == 2)
                for (; j + VL <= hi; j += VL) vstore(d + j, NAME(load_even_part)(s + 2 * j, 0, VL));
            for (; j < hi; j++) d[j] = s[j * step];
        }
        for (; j < length; j++) d[j] = 0;
    }
}

/* The lanes of the vector at j that lie in lo .. hi - 1: from .. to - 1. */
ALWAYS_INLINE void NAME(lanes_inside)(ptrdiff_t j, ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t *from, ptrdiff_t *to) {
    *from = lo < j ? 0 : lo - j > VL ? VL : lo - j;
    *to = hi - j < *from ? *from : hi - j > VL ? VL : hi - j;
}

/* pack_plane with step 1 where `vectors` fill a line. What is inside is the same in each line, so that its masks are made
 * once: of lines as short as these, making them took longer than copying. */
ALWAYS_INLINE void NAME(pack_short)(const int vectors, REAL *RESTRICT dst, ptrdiff_t dst_channel, ptrdiff_t pitch,
                                    const REAL *RESTRICT src, ptrdiff_t src_channel, ptrdiff_t src_line,
                                    ptrdiff_t channels, ptrdiff_t rows, ptrdiff_t row_lo, ptrdiff_t row_hi,
                                    ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t ahead) {
    ptrdiff_t from[2], to[2];
    if (row_lo > rows) row_lo = rows;
    if (row_hi > rows) row_hi = rows;
    for (int v = 0; v < vectors; v++) NAME(lanes_inside)(v * VL, lo, hi, &from[v], &to[v]);
    for (ptrdiff_t c = 0; c < channels; c++, dst += dst_channel, src += src_channel) {
        REAL *RESTRICT d = dst;
        ptrdiff_t r = 0;
        for (; r < row_lo; r++, d += pitch)
            UNROLL for (int v = 0; v < vectors; v++) vstore(d + v * VL, vzero());
        for (; r < row_hi; r++, d += pitch) {
            const REAL *RESTRICT s = src + r * src_line;
            UNROLL for (int v = 0; v < vectors; v++) {
                PREFETCH(s + ahead + v * VL);
                vstore(d + v * VL, NAME(load_part)(s + v * VL, from[v], to[v]));
            }
        }
        for (; r < rows; r++, d += pitch)
            UNROLL for (int v = 0; v < vectors; v++) vstore(d + v * VL, vzero());
    }
}

static void NAME(pack_plane)(REAL *RESTRICT dst, ptrdiff_t dst_channel, ptrdiff_t pitch, const REAL *RESTRICT src,
                             ptrdiff_t src_channel, ptrdiff_t src_line, ptrdiff_t channels, ptrdiff_t rows,
                             ptrdiff_t row_lo, ptrdiff_t row_hi, ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t step) {
    /* The lines are too short for the processor to see what comes next: it is told, some 64 vectors before. */
    const ptrdiff_t ahead = src_channel * (1 + 64 * VL / (rows * pitch + 1));
    if (step == 1 && pitch <= 2 * VL) {
        if (pitch <= VL)
            NAME(pack_short)(1, dst, dst_channel, pitch, src, src_channel, src_line, channels, rows, row_lo, row_hi, lo,
                             hi, ahead);
        else
            NAME(pack_short)(2, dst, dst_channel, pitch, src, src_channel, src_line, channels, rows, row_lo, row_hi, lo,
                             hi, ahead);
        return;
    }
    for (ptrdiff_t c = 0; c < channels; c++, dst += dst_channel, src += src_channel) {
        for (ptrdiff_t r = 0; r < rows; r++) {
            REAL *RESTRICT d = dst + r * pitch;
            const REAL *RESTRICT s = src + r * src_line;
            const int inside = r >= row_lo && r < row_hi;
            for (ptrdiff_t j = 0; j < pitch; j += VL) {
                PREFETCH(s + ahead + j * step);
                if (step > 1) PREFETCH(s + ahead + j * step + VL);
                if (inside && step == 1 && lo <= j && hi - j >= VL) {
                    vstore(d + j, vload(s + j));
                    continue;
                }
                ptrdiff_t from, to;
                NAME(lanes_inside)(j, lo, hi, &from, &to);
                if (!inside || from == to)
                    vstore(d + j, vzero());
                else if (step == 1)
                    vstore(d + j, NAME(load_part)(s + j, from, to));
                else if (step == 2)
                    vstore(d + j, NAME(load_even_part)(s + 2 * j, from, to));
                else {
                    REAL lane[VL] = {0};
                    for (ptrdiff_t i = from; i < to; i++) lane[i] = s[(j + i) * step];
                    vstore(d + j, vload(lane));
                }
            }
        }
    }
}

static void NAME(store_tile)(REAL *RESTRICT dst, ptrdiff_t dst_row, ptrdiff_t step, const REAL *RESTRICT tile,
                             ptrdiff_t width, ptrdiff_t rows, const pycnn_stretch *stretches, ptrdiff_t n,
                             const REAL *RESTRICT bias) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t length = stretches[i].length;
        REAL *RESTRICT d = dst + stretches[i].place;
        const REAL *RESTRICT s = tile + stretches[i].begin;
        for (ptrdiff_t m = 0; m < rows; m++, d += dst_row, s += width) {
            const REAL b = bias ? bias[m] : 0;
            if (step == 1)
                NAME(store_sum)(d, s, length, b);
            else if (step == 2)
                NAME(store_even_sum)(d, s, length, b);
            else
                for (ptrdiff_t j = 0; j < length; j++) d[j * step] = s[j] + b;
        }
    }
}

static void NAME(pack_panel)(REAL *RESTRICT dst, ptrdiff_t width, const REAL *RESTRICT src, ptrdiff_t channel_step,
                             ptrdiff_t channels, const pycnn_piece *RESTRICT pieces, ptrdiff_t taps, ptrdiff_t runs,
                             ptrdiff_t step) {
    const ptrdiff_t ahead = taps == 1 ? 8 * channel_step : 0; /* several taps read the same lines again */
    for (ptrdiff_t c = 0; c < channels; c++) {
        const pycnn_piece *RESTRICT piece = pieces;
        const REAL *RESTRICT plane = src + c * channel_step;
        for (ptrdiff_t t = 0; t < taps; t++, dst += width) {
            for (ptrdiff_t r = 0; r < runs; r++, piece++) {
                REAL *RESTRICT d = dst + piece->begin;
                const REAL *RESTRICT s = plane + piece->src;
                ptrdiff_t lo = piece->lo, hi = piece->hi;
                for (ptrdiff_t j = 0; j < piece->length; j += VL, lo -= VL, hi -= VL) {
                    PREFETCH(s + j * step + ahead);
                    if (step == 1 && lo <= 0 && hi >= VL) {
                        vstore(d + j, vload(s + j));
                        continue;
                    }
                    ptrdiff_t from, to;
                    NAME(lanes_inside)(0, lo, hi, &from, &to);
                    if (step == 1) {
                        vstore(d + j, NAME(load_part)(s + j, from, to));
                    } else if (step == 2) {
                        vstore(d + j, NAME(load_even_part)(s + 2 * j, from, to));
                    } else {
                        REAL lane[VL] = {0};
                        for (ptrdiff_t i = from; i < to; i++) lane[i] = s[(j + i) * step];
                        vstore(d + j, vload(lane));
                    }
                }
            }
        }
    }
}

static void NAME(store_run)(REAL *RESTRICT dst, const REAL *RESTRICT src, ptrdiff_t length, ptrdiff_t step, REAL bias) {
    if (step == 1) {
        NAME(store_sum)(dst, src, length, bias);
        return;
    }
    for (ptrdiff_t j = 0; j < length; j++) dst[j * step] = src[j] + bias;
}

/* `vectors` at most: the part of a line that is `vectors` wide, the last one perhaps in part. */
ALWAYS_INLINE void NAME(weigh_part)(const int vectors, REAL *RESTRICT dst, const REAL *RESTRICT src,
                                    const ptrdiff_t *RESTRICT offset, const REAL *RESTRICT weight, ptrdiff_t n,
                                    ptrdiff_t length, ptrdiff_t step, REAL bias) {
    vec sum[4];
    REAL lane[4 * VL];
    const ptrdiff_t last = length - (vectors - 1) * VL; /* lanes of the last vector */
    UNROLL for (int v = 0; v < vectors; v++) sum[v] = vset(bias);
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL *RESTRICT s = src + offset[i];
        const vec w = vset(weight[i]);
        UNROLL for (int v = 0; v < vectors; v++) {
            const ptrdiff_t lanes = v == vectors - 1 ? last : VL;
            const REAL *RESTRICT from = s + v * VL * step;
            const vec x = step == 1 ? (lanes == VL ? vload(from) : NAME(load_part)(from, 0, lanes))
                                    : NAME(load_even_part)(from, 0, lanes);
            sum[v] = vfma(w, x, sum[v]);
        }
    }
    if (last == VL) {
        UNROLL for (int v = 0; v < vectors; v++) vstore(dst + v * VL, sum[v]);
        return;
    }
    UNROLL for (int v = 0; v < vectors; v++) vstore(lane + v * VL, sum[v]);
    NAME(store_sum)(dst, lane, length, 0);
}

static void NAME(weigh_line)(REAL *RESTRICT dst, const REAL *RESTRICT src, const ptrdiff_t *RESTRICT offset,
                             const REAL *RESTRICT weight, ptrdiff_t n, ptrdiff_t length, ptrdiff_t step, REAL bias) {
    if (step > 2 || step < 1) {
        for (ptrdiff_t j = 0; j < length; j++) {
            REAL sum = bias;
            for (ptrdiff_t i = 0; i < n; i++) sum += weight[i] * src[offset[i] + j * step];
            dst[j] = sum;
        }
        return;
    }
    for (ptrdiff_t j = 0; j < length; j += 4 * VL) {
        const ptrdiff_t part = length - j < 4 * VL ? length - j : 4 * VL;
        const REAL *s = src + j * step;
        if (part > 3 * VL)
            NAME(weigh_part)(4, dst + j, s, offset, weight, n, part, step, bias);
        else if (part > 2 * VL)
            NAME(weigh_part)(3, dst + j, s, offset, weight, n, part, step, bias);
        else if (part > VL)
            NAME(weigh_part)(2, dst + j, s, offset, weight, n, part, step, bias);
        else
            NAME(weigh_part)(1, dst + j, s, offset, weight, n, part, step, bias);
    }
}

static void NAME(dot_line)(REAL *RESTRICT sums, const REAL *RESTRICT src, const ptrdiff_t *RESTRICT offset,
                           const ptrdiff_t *RESTRICT lo, const ptrdiff_t *RESTRICT hi, ptrdiff_t taps,
                           const REAL *RESTRICT other, ptrdiff_t step) {
    for (ptrdiff_t t = 0; t < taps; t++) {
        const REAL *RESTRICT s = src + offset[t];
        vec sum = vload(sums + t * VL);
        ptrdiff_t j = lo[4 * t];
        const ptrdiff_t end = hi[4 * t];
        if (step == 1)
            for (; j + VL <= end; j += VL) sum = vfma(vload(s + j), vload(other + j), sum);
        for (; j < end; j += VL) {
            const ptrdiff_t lanes = end - j < VL ? end - j : VL;
            vec x;
            if (step == 1) {
                x = NAME(load_part)(s + j, 0, lanes);
            } else if (step == 2) {
                x = NAME(load_even_part)(s + 2 * j, 0, lanes);
            } else {
                REAL lane[VL] = {0};
                for (ptrdiff_t i = 0; i < lanes; i++) lane[i] = s[(j + i) * step];
                x = vload(lane);
            }
            /* lanes beyond the end are 0 in both, so they add 0 * 0 */
            sum = vfma(x, NAME(load_part)(other + j, 0, lanes), sum);
        }
        vstore(sums + t * VL, sum);
    }
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

static const TYPED(pycnn_gemm_fn) NAME(packed_tiles)[PYCNN_MR_MAX][3] = GEMM_CELLS_ALL(packed);

/* Where outputs are not stored past the caches, they are asked for while their sums are taken. STEPS_AHEAD: see
 * direct_tile. */
#define MOST_ASKING 12
#if defined(vstream)
#define STEPS_AHEAD 0
#define ASK PREFETCH_L2
#else
#define STEPS_AHEAD 12
#define ASK PREFETCH
#endif

/* A full tile of which `used` rows go straight to dst. Every so many of its steps (0: never) it asks for a row at the three
 * places `ahead`, from the `first` on: each may be on a page of its own, where the processor does not see what comes next.
 * With `copies` it leaves what it reads in `copy`, row after row. On Zen 3 it is also slow to bring what it was asked for
 * into L2 on into L1, so that there it asks for its own rows, some steps before it needs them (by a tenth faster). */
ALWAYS_INLINE void NAME(sum_tile)(const int copies, ptrdiff_t k, const REAL *RESTRICT a, const REAL *RESTRICT b,
                                  ptrdiff_t b_step, REAL *RESTRICT copy, const REAL *const *ahead, ptrdiff_t first,
                                  ptrdiff_t ahead_step, ptrdiff_t every, const REAL *RESTRICT bias, ptrdiff_t used,
                                  REAL *RESTRICT dst, ptrdiff_t dst_row, int far) {
    vec sum[MR][3];
    UNROLL for (int m = 0; m < MR; m++)
        UNROLL for (int v = 0; v < 3; v++) sum[m][v] = vzero();
#if !defined(vstream)
    for (ptrdiff_t m = 0; m < used && m < MR; m++) {
        PREFETCH(dst + m * dst_row);
        PREFETCH(dst + m * dst_row + 3 * VL - 1);
    }
#endif
    const REAL *ask0 = ahead[0] + first * ahead_step;
    const REAL *ask1 = ahead[1] + first * ahead_step;
    const REAL *ask2 = ahead[2] + first * ahead_step;
    ptrdiff_t left = every > 0 ? 1 : k + 1;
    for (ptrdiff_t i = 0; i < k; i++, a += MR, b += b_step) {
        vec bv[3];
        UNROLL for (int v = 0; v < 3; v++) bv[v] = vload(b + v * VL);
        if (copies) {
#if STEPS_AHEAD > 0
            PREFETCH(b + STEPS_AHEAD * b_step + 3 * VL - 1);
#endif
            UNROLL for (int v = 0; v < 3; v++) vstore(copy + v * VL, bv[v]);
            copy += 3 * VL;
        }
        if (--left == 0) {
            left = every;
            ASK(ask0);
            ASK(ask1);
            ASK(ask2);
            ask0 += ahead_step;
            ask1 += ahead_step;
            ask2 += ahead_step;
        }
        UNROLL for (int m = 0; m < MR; m++) {
            const vec am = vset(a[m]);
            UNROLL for (int v = 0; v < 3; v++) sum[m][v] = vfma(am, bv[v], sum[m][v]);
        }
    }
#if defined(vstream)
    far = far && ((uintptr_t)dst | (uintptr_t)dst_row * sizeof(REAL)) % (VL * sizeof(REAL)) == 0;
#endif
    UNROLL for (int m = 0; m < MR; m++, dst += dst_row) {
        if (m == used) return;
        const vec c = bias ? vset(bias[m]) : vzero();
#if defined(vstream)
        if (far) {
            UNROLL for (int v = 0; v < 3; v++) vstream(dst + v * VL, vadd(sum[m][v], c));
            continue;
        }
#endif
        UNROLL for (int v = 0; v < 3; v++) vstore(dst + v * VL, vadd(sum[m][v], c));
    }
    (void)far;
}

NEVER_INLINE void NAME(direct_tile)(ptrdiff_t k, const REAL *a, const REAL *b, ptrdiff_t b_step,
                                    const REAL *const *ahead, ptrdiff_t first, ptrdiff_t ahead_step, ptrdiff_t every,
                                    const REAL *bias, ptrdiff_t used, REAL *dst, ptrdiff_t dst_row, int far) {
    NAME(sum_tile)(0, k, a, b, b_step, NULL, ahead, first, ahead_step, every, bias, used, dst, dst_row, far);
}

NEVER_INLINE void NAME(copying_tile)(ptrdiff_t k, const REAL *a, const REAL *b, ptrdiff_t b_step, REAL *copy,
                                     const REAL *const *ahead, ptrdiff_t first, ptrdiff_t ahead_step, ptrdiff_t every,
                                     const REAL *bias, ptrdiff_t used, REAL *dst, ptrdiff_t dst_row, int far) {
    NAME(sum_tile)(1, k, a, b, b_step, copy, ahead, first, ahead_step, every, bias, used, dst, dst_row, far);
}

/* Rows of x lie far apart, often each on a page of its own, more of them than there are entries in the first TLB; so the
 * first tile copies what it reads, and the others read that. The last tiles, MOST_ASKING of them at most, ask for the k
 * rows of the next panel, each row whole and evenly: at once they would hold up what the tiles themselves read. */
static void NAME(sum_panel)(REAL *dst, ptrdiff_t dst_row, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t k, const REAL *a,
                            const REAL *b, ptrdiff_t b_step, REAL *copy, ptrdiff_t vectors,
                            const pycnn_stretch *stretches, ptrdiff_t n, const REAL *bias, const REAL **ahead,
                            ptrdiff_t ahead_step, int far) {
    REAL tile[2][3 * MR * VL]; /* each is read a tile later: what has just been stored is slow to read in part */
    const int direct = step == 1 && n == 1 && stretches->length == 3 * VL;
    const ptrdiff_t width = vectors * VL;
    const ptrdiff_t tiles = (rows + MR - 1) / MR, asking = tiles < MOST_ASKING ? tiles : MOST_ASKING;
    const ptrdiff_t share = (k + asking - 1) / asking; /* of the rows, for each tile that asks */
    for (ptrdiff_t m = 0; m < rows; m += MR, a += k * MR) {
        const ptrdiff_t used = rows - m < MR ? rows - m : MR;
        const ptrdiff_t rest = (rows - 1 - m) / MR; /* tiles after this one */
        const ptrdiff_t asked = (asking - 1 - rest) * share, every = rest < asking ? asking : 0;
        REAL *c = tile[m / MR % 2];
        if (direct) {
            REAL *to = dst + stretches->place + m * dst_row;
            if (copy && m == 0 && rest > 0) {
                NAME(copying_tile)(k, a, b, b_step, copy, ahead, asked, ahead_step, every, bias, used, to, dst_row, far);
                b = copy;
                b_step = width;
            } else {
                NAME(direct_tile)(k, a, b, b_step, ahead, asked, ahead_step, every, bias ? bias + m : NULL, used, to,
                                  dst_row, far);
            }
            continue;
        }
        if (vectors == 3)
            NAME(direct_tile)(k, a, b, b_step, ahead, asked, ahead_step, every, NULL, used, c, width, 0);
        else
            NAME(packed_tiles)[used - 1][vectors - 1](k, a, MR, b, c, 0);
        if (m > 0)
            NAME(store_tile)(dst + (m - MR) * dst_row, dst_row, step, tile[(m / MR + 1) % 2], width, MR, stretches, n,
                             bias ? bias + m - MR : NULL);
        if (rest == 0)
            NAME(store_tile)(dst + m * dst_row, dst_row, step, c, width, used, stretches, n, bias ? bias + m : NULL);
    }
#if defined(PYCNN_ISA_AVX512)
    if (far == 2) _mm_sfence();
#endif
}
#undef MOST_ASKING
#undef STEPS_AHEAD
#undef ASK

static const TYPED(pycnn_gemm) NAME(gemm_table) = {
    VL,
    MR,
    3 * VL,
    GEMM_CELLS_ALL(packed),
    GEMM_CELLS_ALL(rows),
    GEMM_CELLS_ALL(taps),
    NAME(pack_run),
    NAME(pack_panel),
    NAME(pack_plane),
    NAME(store_tile),
    NAME(sum_panel),
    NAME(transpose_run),
    NAME(store_run),
    NAME(weigh_line),
    NAME(dot_line),
    NAME(dot_rows),
};
#undef GEMM_CELLS
#undef GEMM_CELLS_ALL
#undef MR

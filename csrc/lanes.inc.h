/* Parts of vectors: loads of some lanes, stores of short runs, transposes of small blocks. Included after simd.inc.h, once
 * per number type; every function stays inside the memory that it is given.
 *
 *   load_part(p, lo, hi)        lanes lo .. hi - 1 from p[lo .. hi - 1], 0 in the others; 0 <= lo, hi <= VL
 *   load_even_part(p, lo, hi)   lane i = p[2 * i] for lo <= i < hi, 0 in the others
 *   store_sum(d, s, n, b)       d[i] = s[i] + b for i < n
 *   store_even_sum(d, s, n, b)  d[2 * i] = s[i] + b for i < n; nothing between is touched
 *   transpose_block(d, ds, s, ss)  d[j * ds + i] = s[i * ss + j] for i, j < BLOCK
 *   transpose_strip(d, ds, s, ss)  the same for i < TALL, j < 4: stores whole vectors
 *   turn_strips(d, ds, s, ss, n)   the same for i < n, n >= TALL
 *   transpose_run, put_pixels      blocks of any size, see there
 *
 * Short stores overlap instead of using masks: a masked store costs about ten cycles on several processors. */

#if defined(PYCNN_ISA_AVX512)

#ifdef PYCNN_F32
#define BLOCK 8
ALWAYS_INLINE __mmask16 NAME(part)(ptrdiff_t lo, ptrdiff_t hi) {
    return (__mmask16)(((1u << hi) - 1u) & ~((1u << lo) - 1u));
}
ALWAYS_INLINE vec NAME(load_part)(const float *p, ptrdiff_t lo, ptrdiff_t hi) {
    (void)touched(p + lo, hi - lo);
    return _mm512_maskz_loadu_ps(NAME(part)(lo, hi), p);
}
ALWAYS_INLINE vec NAME(load_even_part)(const float *p, ptrdiff_t lo, ptrdiff_t hi) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    /* the values wanted: p[2 * lo], p[2 * lo + 2], ..., p[2 * hi - 2] */
    const unsigned long long wanted = (hi > lo ? ((1ull << (2 * hi - 1)) - 1ull) & ~((1ull << (2 * lo)) - 1ull) : 0ull);
    (void)touched(p + 2 * lo, 2 * (hi - lo) - 1);
    const __m512 low = _mm512_maskz_loadu_ps((__mmask16)wanted, p);
    const __m512 high = _mm512_maskz_loadu_ps((__mmask16)(wanted >> 16), p + 16);
    return _mm512_maskz_permutex2var_ps(NAME(part)(lo, hi), low, even, high);
}
ALWAYS_INLINE void NAME(store_short)(float *d, const float *s, ptrdiff_t n, float b) {
    if (n >= 8) {
        const __m256 v = _mm256_set1_ps(b);
        const __m256 last = _mm256_add_ps(_mm256_loadu_ps(s + n - 8), v);
        _mm256_storeu_ps(d, _mm256_add_ps(_mm256_loadu_ps(s), v));
        _mm256_storeu_ps(d + n - 8, last);
    } else if (n >= 4) {
        const __m128 v = _mm_set1_ps(b);
        const __m128 last = _mm_add_ps(_mm_loadu_ps(s + n - 4), v);
        _mm_storeu_ps(d, _mm_add_ps(_mm_loadu_ps(s), v));
        _mm_storeu_ps(d + n - 4, last);
    } else {
        for (ptrdiff_t i = 0; i < n; i++) d[i] = s[i] + b;
    }
}
#else
#define BLOCK 4
ALWAYS_INLINE __mmask8 NAME(part)(ptrdiff_t lo, ptrdiff_t hi) {
    return (__mmask8)(((1u << hi) - 1u) & ~((1u << lo) - 1u));
}
ALWAYS_INLINE vec NAME(load_part)(const double *p, ptrdiff_t lo, ptrdiff_t hi) {
    (void)touched(p + lo, hi - lo);
    return _mm512_maskz_loadu_pd(NAME(part)(lo, hi), p);
}
ALWAYS_INLINE vec NAME(load_even_part)(const double *p, ptrdiff_t lo, ptrdiff_t hi) {
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    const unsigned wanted = hi > lo ? ((1u << (2 * hi - 1)) - 1u) & ~((1u << (2 * lo)) - 1u) : 0u;
    (void)touched(p + 2 * lo, 2 * (hi - lo) - 1);
    const __m512d low = _mm512_maskz_loadu_pd((__mmask8)wanted, p);
    const __m512d high = _mm512_maskz_loadu_pd((__mmask8)(wanted >> 8), p + 8);
    return _mm512_maskz_permutex2var_pd(NAME(part)(lo, hi), low, even, high);
}
ALWAYS_INLINE void NAME(store_short)(double *d, const double *s, ptrdiff_t n, double b) {
    if (n >= 4) {
        const __m256d v = _mm256_set1_pd(b);
        const __m256d last = _mm256_add_pd(_mm256_loadu_pd(s + n - 4), v);
        _mm256_storeu_pd(d, _mm256_add_pd(_mm256_loadu_pd(s), v));
        _mm256_storeu_pd(d + n - 4, last);
    } else {
        for (ptrdiff_t i = 0; i < n; i++) d[i] = s[i] + b;
    }
}
#endif

#elif defined(PYCNN_ISA_AVX2)

#ifdef PYCNN_F32
#define BLOCK 8
ALWAYS_INLINE __m256i NAME(part)(ptrdiff_t lo, ptrdiff_t hi) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i from = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)lo), lane);
    return _mm256_andnot_si256(from, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)hi), lane));
}
ALWAYS_INLINE vec NAME(load_part)(const float *p, ptrdiff_t lo, ptrdiff_t hi) {
    (void)touched(p + lo, hi - lo);
    return _mm256_maskload_ps(p, NAME(part)(lo, hi));
}
ALWAYS_INLINE void NAME(store_short)(float *d, const float *s, ptrdiff_t n, float b) {
    if (n >= 4) {
        const __m128 v = _mm_set1_ps(b);
        const __m128 last = _mm_add_ps(_mm_loadu_ps(s + n - 4), v);
        _mm_storeu_ps(d, _mm_add_ps(_mm_loadu_ps(s), v));
        _mm_storeu_ps(d + n - 4, last);
    } else {
        for (ptrdiff_t i = 0; i < n; i++) d[i] = s[i] + b;
    }
}
#else
#define BLOCK 4
ALWAYS_INLINE __m256i NAME(part)(ptrdiff_t lo, ptrdiff_t hi) {
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    const __m256i from = _mm256_cmpgt_epi64(_mm256_set1_epi64x(lo), lane);
    return _mm256_andnot_si256(from, _mm256_cmpgt_epi64(_mm256_set1_epi64x(hi), lane));
}
ALWAYS_INLINE vec NAME(load_part)(const double *p, ptrdiff_t lo, ptrdiff_t hi) {
    (void)touched(p + lo, hi - lo);
    return _mm256_maskload_pd(p, NAME(part)(lo, hi));
}
ALWAYS_INLINE void NAME(store_short)(double *d, const double *s, ptrdiff_t n, double b) {
    for (ptrdiff_t i = 0; i < n; i++) d[i] = s[i] + b;
}
#endif

#else /* NEON and plain C: vectors of at most four lanes, so parts go through memory */

#define BLOCK 4
ALWAYS_INLINE vec NAME(load_part)(const REAL *p, ptrdiff_t lo, ptrdiff_t hi) {
    REAL lane[VL] = {0};
    if (lo == 0 && hi == VL) return vload(p);
    for (ptrdiff_t i = lo; i < hi; i++) lane[i] = p[i];
    return vload(lane);
}
ALWAYS_INLINE void NAME(store_short)(REAL *d, const REAL *s, ptrdiff_t n, REAL b) {
    for (ptrdiff_t i = 0; i < n; i++) d[i] = s[i] + b;
}

#endif

#if !defined(PYCNN_ISA_AVX512)
ALWAYS_INLINE vec NAME(load_even_part)(const REAL *p, ptrdiff_t lo, ptrdiff_t hi) {
    REAL lane[VL] = {0};
    for (ptrdiff_t i = lo; i < hi; i++) lane[i] = p[2 * i];
    return vload(lane);
}
#endif

ALWAYS_INLINE void NAME(store_sum)(REAL *d, const REAL *s, ptrdiff_t n, REAL b) {
    if (n < VL) {
        NAME(store_short)(d, s, n, b);
        return;
    }
    const vec v = vset(b);
    const vec last = vadd(vload(s + n - VL), v);
    for (ptrdiff_t i = 0; i + VL <= n; i += VL) vstore(d + i, vadd(vload(s + i), v));
    vstore(d + n - VL, last);
}

ALWAYS_INLINE void NAME(store_even_sum)(REAL *d, const REAL *s, ptrdiff_t n, REAL b) {
    ptrdiff_t i = 0;
#if defined(PYCNN_ISA_AVX512) && defined(PYCNN_F32)
    const __m512i low = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    for (; i < n; i += VL) {
        const unsigned long long wanted = 0x55555555ull & (n - i >= VL ? ~0ull : (1ull << (2 * (n - i))) - 1);
        const vec v = vadd(NAME(load_part)(s + i, 0, n - i >= VL ? VL : n - i), vset(b));
        (void)touched(d + 2 * i, 2 * (n - i >= VL ? VL : n - i) - 1);
        _mm512_mask_storeu_ps(d + 2 * i, (__mmask16)wanted, _mm512_permutexvar_ps(low, v));
        _mm512_mask_storeu_ps(d + 2 * i + VL, (__mmask16)(wanted >> VL), _mm512_permutexvar_ps(high, v));
    }
#endif
    for (; i < n; i++) d[2 * i] = s[i] + b;
}

#if (defined(PYCNN_ISA_AVX512) || defined(PYCNN_ISA_AVX2)) && defined(PYCNN_F32)
/* Row i and row i + 4 meet on the way from memory, where they cost no shuffle: four values of row i below, of row i + 4
 * above. Then pairs of rows and pairs of pairs. */
ALWAYS_INLINE __m256 NAME(two_halves)(const float *low, const float *high) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}
/* 8 rows, 4 columns */
ALWAYS_INLINE void NAME(transpose_half)(float *d, ptrdiff_t ds, const float *s, ptrdiff_t ss) {
    const __m256 r0 = NAME(two_halves)(s, s + 4 * ss), r1 = NAME(two_halves)(s + ss, s + 5 * ss);
    const __m256 r2 = NAME(two_halves)(s + 2 * ss, s + 6 * ss), r3 = NAME(two_halves)(s + 3 * ss, s + 7 * ss);
    const __m256 a = _mm256_unpacklo_ps(r0, r1), b = _mm256_unpackhi_ps(r0, r1);
    const __m256 c = _mm256_unpacklo_ps(r2, r3), e = _mm256_unpackhi_ps(r2, r3);
    _mm256_storeu_ps(d, _mm256_shuffle_ps(a, c, 0x44));
    _mm256_storeu_ps(d + ds, _mm256_shuffle_ps(a, c, 0xee));
    _mm256_storeu_ps(d + 2 * ds, _mm256_shuffle_ps(b, e, 0x44));
    _mm256_storeu_ps(d + 3 * ds, _mm256_shuffle_ps(b, e, 0xee));
}
ALWAYS_INLINE void NAME(transpose_block)(float *d, ptrdiff_t ds, const float *s, ptrdiff_t ss) {
    NAME(transpose_half)(d, ds, s, ss);
    NAME(transpose_half)(d + 4 * ds, ds, s + 4, ss);
}
#ifdef PYCNN_ISA_AVX512
#define TALL 16
ALWAYS_INLINE __m512 NAME(four_quarters)(const float *s, ptrdiff_t ss) {
    __m512 r = _mm512_castps128_ps512(_mm_loadu_ps(s));
    r = _mm512_insertf32x4(r, _mm_loadu_ps(s + 4 * ss), 1);
    r = _mm512_insertf32x4(r, _mm_loadu_ps(s + 8 * ss), 2);
    return _mm512_insertf32x4(r, _mm_loadu_ps(s + 12 * ss), 3);
}
ALWAYS_INLINE void NAME(transpose_strip)(float *d, ptrdiff_t ds, const float *s, ptrdiff_t ss) {
    const __m512 r0 = NAME(four_quarters)(s, ss), r1 = NAME(four_quarters)(s + ss, ss);
    const __m512 r2 = NAME(four_quarters)(s + 2 * ss, ss), r3 = NAME(four_quarters)(s + 3 * ss, ss);
    const __m512 a = _mm512_unpacklo_ps(r0, r1), b = _mm512_unpackhi_ps(r0, r1);
    const __m512 c = _mm512_unpacklo_ps(r2, r3), e = _mm512_unpackhi_ps(r2, r3);
    _mm512_storeu_ps(d, _mm512_shuffle_ps(a, c, 0x44));
    _mm512_storeu_ps(d + ds, _mm512_shuffle_ps(a, c, 0xee));
    _mm512_storeu_ps(d + 2 * ds, _mm512_shuffle_ps(b, e, 0x44));
    _mm512_storeu_ps(d + 3 * ds, _mm512_shuffle_ps(b, e, 0xee));
}
#else
#define TALL 8
ALWAYS_INLINE void NAME(transpose_strip)(float *d, ptrdiff_t ds, const float *s, ptrdiff_t ss) {
    NAME(transpose_half)(d, ds, s, ss);
}
#endif
#elif (defined(PYCNN_ISA_AVX512) || defined(PYCNN_ISA_AVX2)) && defined(PYCNN_F64)
ALWAYS_INLINE void NAME(transpose_block)(double *d, ptrdiff_t ds, const double *s, ptrdiff_t ss) {
    const __m256d r0 = _mm256_loadu_pd(s), r1 = _mm256_loadu_pd(s + ss);
    const __m256d r2 = _mm256_loadu_pd(s + 2 * ss), r3 = _mm256_loadu_pd(s + 3 * ss);
    const __m256d a = _mm256_unpacklo_pd(r0, r1), b = _mm256_unpackhi_pd(r0, r1);
    const __m256d c = _mm256_unpacklo_pd(r2, r3), e = _mm256_unpackhi_pd(r2, r3);
    _mm256_storeu_pd(d, _mm256_permute2f128_pd(a, c, 0x20));
    _mm256_storeu_pd(d + ds, _mm256_permute2f128_pd(b, e, 0x20));
    _mm256_storeu_pd(d + 2 * ds, _mm256_permute2f128_pd(a, c, 0x31));
    _mm256_storeu_pd(d + 3 * ds, _mm256_permute2f128_pd(b, e, 0x31));
}
#elif defined(PYCNN_ISA_NEON) && defined(PYCNN_F32)
ALWAYS_INLINE void NAME(transpose_block)(float *d, ptrdiff_t ds, const float *s, ptrdiff_t ss) {
    const float32x4x2_t a = vzipq_f32(vld1q_f32(s), vld1q_f32(s + 2 * ss));
    const float32x4x2_t b = vzipq_f32(vld1q_f32(s + ss), vld1q_f32(s + 3 * ss));
    const float32x4x2_t lo = vzipq_f32(a.val[0], b.val[0]), hi = vzipq_f32(a.val[1], b.val[1]);
    vst1q_f32(d, lo.val[0]);
    vst1q_f32(d + ds, lo.val[1]);
    vst1q_f32(d + 2 * ds, hi.val[0]);
    vst1q_f32(d + 3 * ds, hi.val[1]);
}
#else
ALWAYS_INLINE void NAME(transpose_block)(REAL *d, ptrdiff_t ds, const REAL *s, ptrdiff_t ss) {
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++) d[j * ds + i] = s[i * ss + j];
}
#endif

#ifndef TALL /* blocks of 4 x 4 */
#define TALL BLOCK
ALWAYS_INLINE void NAME(transpose_strip)(REAL *d, ptrdiff_t ds, const REAL *s, ptrdiff_t ss) {
    NAME(transpose_block)(d, ds, s, ss);
}
#endif

/* d[j * ds + i] = s[i * ss + j] for i < n, j < 4, n >= TALL: the last strip overlaps the one before. */
ALWAYS_INLINE void NAME(turn_strips)(REAL *d, ptrdiff_t ds, const REAL *s, ptrdiff_t ss, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i + TALL <= n; i += TALL) NAME(transpose_strip)(d + i, ds, s + i * ss, ss);
    if (n % TALL) NAME(transpose_strip)(d + n - TALL, ds, s + (n - TALL) * ss, ss);
}

/* dst[j * dst_step + i] = src[i * src_step + j * step] for i, j < BLOCK; step is 1 or 2. */
ALWAYS_INLINE void NAME(transpose_part)(REAL *RESTRICT dst, ptrdiff_t dst_step, const REAL *RESTRICT src,
                                        ptrdiff_t src_step, ptrdiff_t step) {
    if (step == 1) {
        NAME(transpose_block)(dst, dst_step, src, src_step);
        return;
    }
    REAL even[BLOCK * VL];
    for (ptrdiff_t i = 0; i < BLOCK; i++) vstore(even + i * VL, NAME(load_even_part)(src + i * src_step, 0, BLOCK));
    NAME(transpose_block)(dst, dst_step, even, VL);
}

static void NAME(transpose_run)(REAL *RESTRICT dst, ptrdiff_t dst_step, const REAL *RESTRICT src, ptrdiff_t src_step,
                                ptrdiff_t rows, ptrdiff_t length, ptrdiff_t step) {
    /* Along the run first: the lines of src are read whole while they are in the cache. The last blocks overlap those
     * before them. */
    const ptrdiff_t height = step == 1 && rows >= TALL ? TALL : BLOCK;
    for (ptrdiff_t done = 0; done < rows; done += height) {
        const ptrdiff_t i0 = done + height <= rows || rows < height ? done : rows - height;
        const ptrdiff_t i1 = i0 + height < rows ? i0 + height : rows;
        const REAL *from = src + i0 * src_step;
        ptrdiff_t j = 0;
        if (step == 1 && i1 - i0 == TALL && length >= 4)
            while (j < length) {
                const ptrdiff_t at = j + 4 <= length ? j : length - 4;
                if (j % VL == 0)
                    for (ptrdiff_t i = TALL; i < 2 * TALL; i++) PREFETCH(from + i * src_step + at);
                NAME(transpose_strip)(dst + at * dst_step + i0, dst_step, from + at, src_step);
                j = at + 4;
            }
        else if ((step == 1 || (step == 2 && VL >= BLOCK)) && i1 - i0 == BLOCK && length >= BLOCK)
            while (j < length) {
                const ptrdiff_t at = j + BLOCK <= length ? j : length - BLOCK;
                for (ptrdiff_t i = BLOCK; i < 2 * BLOCK; i++) PREFETCH(from + i * src_step + at * step);
                NAME(transpose_part)(dst + at * dst_step + i0, dst_step, from + at * step, src_step, step);
                j = at + BLOCK;
            }
        for (; j < length; j++)
            for (ptrdiff_t i = i0; i < i1; i++) dst[j * dst_step + i] = src[i * src_step + j * step];
    }
}

/* dst[c * channel_step + p * pixel_step] = src[p * width + c] for p < pixels, c < channels <= width. */
ALWAYS_INLINE void NAME(put_pixels)(REAL *RESTRICT dst, ptrdiff_t channel_step, ptrdiff_t pixel_step,
                                    const REAL *RESTRICT src, ptrdiff_t width, ptrdiff_t pixels, ptrdiff_t channels) {
    if (channel_step == 1) {
        for (ptrdiff_t p = 0; p < pixels; p++)
            memcpy(dst + p * pixel_step, src + p * width, (size_t)channels * sizeof(REAL));
        return;
    }
    ptrdiff_t c = 0;
    if (pixel_step == 1 && pixels >= TALL)
        for (; c + 4 <= channels; c += 4)
            NAME(turn_strips)(dst + c * channel_step, channel_step, src + c, width, pixels);
    else if (pixel_step == 1 && pixels >= BLOCK)
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

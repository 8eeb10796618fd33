/* The vector type of one instruction set and one number type, under one set of names.
 *
 * In:  PYCNN_ISA_AVX512 | PYCNN_ISA_AVX2 | PYCNN_ISA_NEON | PYCNN_ISA_GENERIC, and PYCNN_F32 | PYCNN_F64.
 * Out: REAL, VL (lanes), vec, and
 *      vload(p) vstore(p, v)           unaligned
 *      vstream(p, v)                   past the caches, aligned; only where a vector is a whole line of them, which
 *                                      then is not read before it is overwritten
 *      vset(x) vzero()                 broadcast
 *      vadd vsub vmul vdiv vmax vmin   lane by lane; vmax(a, b) and vmin(a, b) give b where either is a NaN on x86, so
 *                                      code that must keep NaNs has to test for them
 *      vfma(a, b, c)                   a * b + c, rounded once where the instruction set has it
 *      vsum(v) vhmax(v)                the sum of the lanes, always in the same order; their maximum
 *      vsqrt(v)
 *      vmask, vlt(a, b) vle(a, b)      lane by lane, false where either is a NaN;  vsel(m, a, b): m ? a : b
 *      vand vor vxor vshl(v, n) vshr(v, n)   on the bits of the lanes; vshr fills with zeros; vbits(u): a bit pattern
 *      vload_part(p, n, fill) vstore_part(p, v, n)   the first n < VL lanes; nothing beyond them is touched
 * No include guard: isa_*.c includes it once for each number type; undef.inc.h takes the names back. */

#ifdef PYCNN_F32
#define REAL float
#else
#define REAL double
#endif

#if defined(PYCNN_ISA_AVX512)

#ifdef PYCNN_F32
#define VL 16
#define vec __m512
#define vload(p) _mm512_loadu_ps(p)
#define vstore(p, v) _mm512_storeu_ps((p), (v))
#define vstream(p, v) _mm512_stream_ps((p), (v))
#define vset(x) _mm512_set1_ps(x)
#define vzero() _mm512_setzero_ps()
#define vadd(a, b) _mm512_add_ps((a), (b))
#define vsub(a, b) _mm512_sub_ps((a), (b))
#define vmul(a, b) _mm512_mul_ps((a), (b))
#define vdiv(a, b) _mm512_div_ps((a), (b))
#define vmax(a, b) _mm512_max_ps((a), (b))
#define vmin(a, b) _mm512_min_ps((a), (b))
#define vfma(a, b, c) _mm512_fmadd_ps((a), (b), (c))
#define vsum(v) _mm512_reduce_add_ps(v)
#define vsqrt(v) _mm512_sqrt_ps(v)
#define vmask __mmask16
#define vlt(a, b) _mm512_cmp_ps_mask((a), (b), _CMP_LT_OQ)
#define vle(a, b) _mm512_cmp_ps_mask((a), (b), _CMP_LE_OQ)
#define vsel(m, a, b) _mm512_mask_blend_ps((m), (b), (a))
#define vand(a, b) _mm512_and_ps((a), (b))
#define vor(a, b) _mm512_or_ps((a), (b))
#define vxor(a, b) _mm512_xor_ps((a), (b))
#define vshl(v, n) _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(v), (n)))
#define vshr(v, n) _mm512_castsi512_ps(_mm512_srli_epi32(_mm512_castps_si512(v), (n)))
#define vbits(u) _mm512_castsi512_ps(_mm512_set1_epi32((int)(u)))
#define vhmax(v) _mm512_reduce_max_ps(v)
#define vload_part(p, n, fill) \
    _mm512_mask_loadu_ps(_mm512_set1_ps(fill), (__mmask16)((1u << (n)) - 1), touched((p), (n)))
#define vstore_part(p, v, n) _mm512_mask_storeu_ps(touched((p), (n)), (__mmask16)((1u << (n)) - 1), (v))
#else
#define VL 8
#define vec __m512d
#define vload(p) _mm512_loadu_pd(p)
#define vstore(p, v) _mm512_storeu_pd((p), (v))
#define vstream(p, v) _mm512_stream_pd((p), (v))
#define vset(x) _mm512_set1_pd(x)
#define vzero() _mm512_setzero_pd()
#define vadd(a, b) _mm512_add_pd((a), (b))
#define vsub(a, b) _mm512_sub_pd((a), (b))
#define vmul(a, b) _mm512_mul_pd((a), (b))
#define vdiv(a, b) _mm512_div_pd((a), (b))
#define vmax(a, b) _mm512_max_pd((a), (b))
#define vmin(a, b) _mm512_min_pd((a), (b))
#define vfma(a, b, c) _mm512_fmadd_pd((a), (b), (c))
#define vsum(v) _mm512_reduce_add_pd(v)
#define vsqrt(v) _mm512_sqrt_pd(v)
#define vmask __mmask8
#define vlt(a, b) _mm512_cmp_pd_mask((a), (b), _CMP_LT_OQ)
#define vle(a, b) _mm512_cmp_pd_mask((a), (b), _CMP_LE_OQ)
#define vsel(m, a, b) _mm512_mask_blend_pd((m), (b), (a))
#define vand(a, b) _mm512_and_pd((a), (b))
#define vor(a, b) _mm512_or_pd((a), (b))
#define vxor(a, b) _mm512_xor_pd((a), (b))
#define vshl(v, n) _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(v), (n)))
#define vshr(v, n) _mm512_castsi512_pd(_mm512_srli_epi64(_mm512_castpd_si512(v), (n)))
#define vbits(u) _mm512_castsi512_pd(_mm512_set1_epi64((long long)(u)))
#define vhmax(v) _mm512_reduce_max_pd(v)
#define vload_part(p, n, fill) \
    _mm512_mask_loadu_pd(_mm512_set1_pd(fill), (__mmask8)((1u << (n)) - 1), touched((p), (n)))
#define vstore_part(p, v, n) _mm512_mask_storeu_pd(touched((p), (n)), (__mmask8)((1u << (n)) - 1), (v))
#endif

#elif defined(PYCNN_ISA_AVX2)

#ifdef PYCNN_F32
#define VL 8
#define vec __m256
#define vload(p) _mm256_loadu_ps(p)
#define vstore(p, v) _mm256_storeu_ps((p), (v))
#define vset(x) _mm256_set1_ps(x)
#define vzero() _mm256_setzero_ps()
#define vadd(a, b) _mm256_add_ps((a), (b))
#define vsub(a, b) _mm256_sub_ps((a), (b))
#define vmul(a, b) _mm256_mul_ps((a), (b))
#define vdiv(a, b) _mm256_div_ps((a), (b))
#define vmax(a, b) _mm256_max_ps((a), (b))
#define vmin(a, b) _mm256_min_ps((a), (b))
#define vfma(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define vsqrt(v) _mm256_sqrt_ps(v)
#define vmask __m256
#define vlt(a, b) _mm256_cmp_ps((a), (b), _CMP_LT_OQ)
#define vle(a, b) _mm256_cmp_ps((a), (b), _CMP_LE_OQ)
#define vsel(m, a, b) _mm256_blendv_ps((b), (a), (m))
#define vand(a, b) _mm256_and_ps((a), (b))
#define vor(a, b) _mm256_or_ps((a), (b))
#define vxor(a, b) _mm256_xor_ps((a), (b))
#define vshl(v, n) _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(v), (n)))
#define vshr(v, n) _mm256_castsi256_ps(_mm256_srli_epi32(_mm256_castps_si256(v), (n)))
#define vbits(u) _mm256_castsi256_ps(_mm256_set1_epi32((int)(u)))
#else
#define VL 4
#define vec __m256d
#define vload(p) _mm256_loadu_pd(p)
#define vstore(p, v) _mm256_storeu_pd((p), (v))
#define vset(x) _mm256_set1_pd(x)
#define vzero() _mm256_setzero_pd()
#define vadd(a, b) _mm256_add_pd((a), (b))
#define vsub(a, b) _mm256_sub_pd((a), (b))
#define vmul(a, b) _mm256_mul_pd((a), (b))
#define vdiv(a, b) _mm256_div_pd((a), (b))
#define vmax(a, b) _mm256_max_pd((a), (b))
#define vmin(a, b) _mm256_min_pd((a), (b))
#define vfma(a, b, c) _mm256_fmadd_pd((a), (b), (c))
#define vsqrt(v) _mm256_sqrt_pd(v)
#define vmask __m256d
#define vlt(a, b) _mm256_cmp_pd((a), (b), _CMP_LT_OQ)
#define vle(a, b) _mm256_cmp_pd((a), (b), _CMP_LE_OQ)
#define vsel(m, a, b) _mm256_blendv_pd((b), (a), (m))
#define vand(a, b) _mm256_and_pd((a), (b))
#define vor(a, b) _mm256_or_pd((a), (b))
#define vxor(a, b) _mm256_xor_pd((a), (b))
#define vshl(v, n) _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(v), (n)))
#define vshr(v, n) _mm256_castsi256_pd(_mm256_srli_epi64(_mm256_castpd_si256(v), (n)))
#define vbits(u) _mm256_castsi256_pd(_mm256_set1_epi64x((long long)(u)))
#endif

#elif defined(PYCNN_ISA_NEON)

#ifdef PYCNN_F32
#define VL 4
#define vec float32x4_t
#define vload(p) vld1q_f32(p)
#define vstore(p, v) vst1q_f32((p), (v))
#define vset(x) vdupq_n_f32(x)
#define vzero() vdupq_n_f32(0.0f)
#define vadd(a, b) vaddq_f32((a), (b))
#define vsub(a, b) vsubq_f32((a), (b))
#define vmul(a, b) vmulq_f32((a), (b))
#define vdiv(a, b) vdivq_f32((a), (b))
#define vmax(a, b) vmaxq_f32((a), (b))
#define vmin(a, b) vminq_f32((a), (b))
#define vfma(a, b, c) vfmaq_f32((c), (a), (b))
#define vsum(v) vaddvq_f32(v)
#define vsqrt(v) vsqrtq_f32(v)
#define vmask uint32x4_t
#define vlt(a, b) vcltq_f32((a), (b))
#define vle(a, b) vcleq_f32((a), (b))
#define vsel(m, a, b) vbslq_f32((m), (a), (b))
#define vand(a, b) vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)))
#define vor(a, b) vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)))
#define vxor(a, b) vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)))
#define vshl(v, n) vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(v), (n)))
#define vshr(v, n) vreinterpretq_f32_u32(vshrq_n_u32(vreinterpretq_u32_f32(v), (n)))
#define vbits(u) vreinterpretq_f32_u32(vdupq_n_u32(u))
#define vhmax(v) vmaxvq_f32(v)
#else
#define VL 2
#define vec float64x2_t
#define vload(p) vld1q_f64(p)
#define vstore(p, v) vst1q_f64((p), (v))
#define vset(x) vdupq_n_f64(x)
#define vzero() vdupq_n_f64(0.0)
#define vadd(a, b) vaddq_f64((a), (b))
#define vsub(a, b) vsubq_f64((a), (b))
#define vmul(a, b) vmulq_f64((a), (b))
#define vdiv(a, b) vdivq_f64((a), (b))
#define vmax(a, b) vmaxq_f64((a), (b))
#define vmin(a, b) vminq_f64((a), (b))
#define vfma(a, b, c) vfmaq_f64((c), (a), (b))
#define vsum(v) vaddvq_f64(v)
#define vsqrt(v) vsqrtq_f64(v)
#define vmask uint64x2_t
#define vlt(a, b) vcltq_f64((a), (b))
#define vle(a, b) vcleq_f64((a), (b))
#define vsel(m, a, b) vbslq_f64((m), (a), (b))
#define vand(a, b) vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)))
#define vor(a, b) vreinterpretq_f64_u64(vorrq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)))
#define vxor(a, b) vreinterpretq_f64_u64(veorq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)))
#define vshl(v, n) vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(v), (n)))
#define vshr(v, n) vreinterpretq_f64_u64(vshrq_n_u64(vreinterpretq_u64_f64(v), (n)))
#define vbits(u) vreinterpretq_f64_u64(vdupq_n_u64(u))
#define vhmax(v) vmaxvq_f64(v)
#endif

#else /* generic C: four lanes in a struct, which compilers keep in whatever registers the baseline has */

#define VL 4
#define vec NAME(vec4)
typedef struct {
    REAL lane[4];
} vec;
#ifdef PYCNN_F32
#define LANE_BITS uint32_t
#else
#define LANE_BITS uint64_t
#endif
#define vmask NAME(mask4)
typedef struct {
    LANE_BITS lane[4]; /* all bits or none */
} vmask;
#define GENERIC_OP(name, expression)                      \
    static inline vec NAME(name)(vec a, vec b) {          \
        vec r;                                            \
        for (int i = 0; i < 4; i++) {                     \
            const REAL x = a.lane[i], y = b.lane[i];      \
            r.lane[i] = (expression);                     \
        }                                                 \
        return r;                                         \
    }
GENERIC_OP(g_add, x + y)
GENERIC_OP(g_sub, x - y)
GENERIC_OP(g_mul, x *y)
GENERIC_OP(g_div, x / y)
GENERIC_OP(g_max, x > y ? x : y)
GENERIC_OP(g_min, x < y ? x : y)
#undef GENERIC_OP
#define GENERIC_BITS(name, expression)                    \
    static inline vec NAME(name)(vec a, vec b) {          \
        LANE_BITS x[4], y[4];                             \
        memcpy(x, a.lane, sizeof x);                      \
        memcpy(y, b.lane, sizeof y);                      \
        for (int i = 0; i < 4; i++) x[i] = (expression);  \
        memcpy(a.lane, x, sizeof x);                      \
        return a;                                         \
    }
GENERIC_BITS(g_and, x[i] & y[i])
GENERIC_BITS(g_or, x[i] | y[i])
GENERIC_BITS(g_xor, x[i] ^ y[i])
#undef GENERIC_BITS
#define GENERIC_COMPARE(name, op)                                                                    \
    static inline vmask NAME(name)(vec a, vec b) {                                                   \
        vmask m;                                                                                     \
        for (int i = 0; i < 4; i++) m.lane[i] = (LANE_BITS)0 - (LANE_BITS)(a.lane[i] op b.lane[i]);  \
        return m;                                                                                    \
    }
GENERIC_COMPARE(g_lt, <)
GENERIC_COMPARE(g_le, <=)
#undef GENERIC_COMPARE
static inline vec NAME(g_sel)(vmask m, vec a, vec b) {
    LANE_BITS x[4], y[4];
    memcpy(x, a.lane, sizeof x);
    memcpy(y, b.lane, sizeof y);
    for (int i = 0; i < 4; i++) x[i] = (x[i] & m.lane[i]) | (y[i] & ~m.lane[i]);
    memcpy(a.lane, x, sizeof x);
    return a;
}
static inline vec NAME(g_shift)(vec a, int left, int right) {
    LANE_BITS x[4];
    memcpy(x, a.lane, sizeof x);
    for (int i = 0; i < 4; i++) x[i] = x[i] << left >> right;
    memcpy(a.lane, x, sizeof x);
    return a;
}
static inline vec NAME(g_bits)(LANE_BITS u) {
    vec r;
    for (int i = 0; i < 4; i++) memcpy(&r.lane[i], &u, sizeof u);
    return r;
}
static inline vec NAME(g_sqrt)(vec a) {
#ifdef PYCNN_F32
    for (int i = 0; i < 4; i++) a.lane[i] = sqrtf(a.lane[i]);
#else
    for (int i = 0; i < 4; i++) a.lane[i] = sqrt(a.lane[i]);
#endif
    return a;
}
static inline vec NAME(g_load)(const REAL *p) {
    vec r;
    for (int i = 0; i < 4; i++) r.lane[i] = p[i];
    return r;
}
static inline void NAME(g_store)(REAL *p, vec v) {
    for (int i = 0; i < 4; i++) p[i] = v.lane[i];
}
static inline vec NAME(g_set)(REAL x) {
    vec r;
    for (int i = 0; i < 4; i++) r.lane[i] = x;
    return r;
}
static inline vec NAME(g_fma)(vec a, vec b, vec c) {
    for (int i = 0; i < 4; i++) c.lane[i] += a.lane[i] * b.lane[i];
    return c;
}
#define vload(p) NAME(g_load)(p)
#define vstore(p, v) NAME(g_store)((p), (v))
#define vset(x) NAME(g_set)(x)
#define vzero() NAME(g_set)(0)
#define vadd(a, b) NAME(g_add)((a), (b))
#define vsub(a, b) NAME(g_sub)((a), (b))
#define vmul(a, b) NAME(g_mul)((a), (b))
#define vdiv(a, b) NAME(g_div)((a), (b))
#define vmax(a, b) NAME(g_max)((a), (b))
#define vmin(a, b) NAME(g_min)((a), (b))
#define vfma(a, b, c) NAME(g_fma)((a), (b), (c))
#define vsqrt(v) NAME(g_sqrt)(v)
#define vlt(a, b) NAME(g_lt)((a), (b))
#define vle(a, b) NAME(g_le)((a), (b))
#define vsel(m, a, b) NAME(g_sel)((m), (a), (b))
#define vand(a, b) NAME(g_and)((a), (b))
#define vor(a, b) NAME(g_or)((a), (b))
#define vxor(a, b) NAME(g_xor)((a), (b))
#define vshl(v, n) NAME(g_shift)((v), (n), 0)
#define vshr(v, n) NAME(g_shift)((v), 0, (n))
#define vbits(u) NAME(g_bits)(u)

#endif

#ifndef vsum
static inline REAL NAME(lane_sum)(vec v) {
    REAL lane[VL], sum = 0;
    vstore(lane, v);
    for (int i = 0; i < VL; i++) sum += lane[i];
    return sum;
}
#define vsum(v) NAME(lane_sum)(v)
#endif

#ifndef vhmax
static inline REAL NAME(lane_max)(vec v) {
    REAL lane[VL];
    vstore(lane, v);
    for (int i = 1; i < VL; i++) lane[0] = lane[i] > lane[0] ? lane[i] : lane[0];
    return lane[0];
}
#define vhmax(v) NAME(lane_max)(v)
#endif

#ifndef vload_part
static inline vec NAME(load_first)(const REAL *p, ptrdiff_t n, REAL fill) {
    REAL lane[VL];
    for (ptrdiff_t i = 0; i < VL; i++) lane[i] = i < n ? p[i] : fill;
    return vload(lane);
}
static inline void NAME(store_first)(REAL *p, vec v, ptrdiff_t n) {
    REAL lane[VL];
    vstore(lane, v);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = lane[i];
}
#define vload_part(p, n, fill) NAME(load_first)((p), (n), (fill))
#define vstore_part(p, v, n) NAME(store_first)((p), (v), (n))
#endif

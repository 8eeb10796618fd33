/* The vector type of one instruction set and one number type, under one set of names.
 *
 * In:  PYCNN_ISA_AVX512 | PYCNN_ISA_AVX2 | PYCNN_ISA_NEON | PYCNN_ISA_GENERIC, and PYCNN_F32 | PYCNN_F64.
 * Out: REAL, VL (lanes), vec, and
 *      vload(p) vstore(p, v)           unaligned
 *      vset(x) vzero()                 broadcast
 *      vadd vsub vmul vdiv vmax vmin   lane by lane; vmax(a, b) and vmin(a, b) give b where either is a NaN on x86, so
 *                                      code that must keep NaNs has to test for them
 *      vfma(a, b, c)                   a * b + c, rounded once where the instruction set has it
 *      vsum(v)                         the sum of the lanes, always in the same order
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
#else
#define VL 8
#define vec __m512d
#define vload(p) _mm512_loadu_pd(p)
#define vstore(p, v) _mm512_storeu_pd((p), (v))
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
#endif

#else /* generic C: four lanes in a struct, which compilers keep in whatever registers the baseline has */

#define VL 4
#define vec NAME(vec4)
typedef struct {
    REAL lane[4];
} vec;
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

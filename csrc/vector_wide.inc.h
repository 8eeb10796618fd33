/* Vectors of doubles fed from REALs, for sums that must not lose digits. Included by vector.inc.h, which takes the names
 * back at its end.
 *
 * Out: WL (lanes), wvec, wload(REAL *), wget(double *) wput(double *, v), wset wzero wadd wsub wfma, wsum (fixed order),
 *      wadd_all(w, v): w plus all lanes of the vec v, so many to a lane of w as it takes */
#ifndef PYCNN_F32

#define WL VL
#define wvec vec
#define wload(p) vload(p)
#define wget(p) vload(p)
#define wput(p, v) vstore((p), (v))
#define wset(x) vset(x)
#define wzero() vzero()
#define wadd(a, b) vadd((a), (b))
#define wsub(a, b) vsub((a), (b))
#define wfma(a, b, c) vfma((a), (b), (c))
#define wsum(v) vsum(v)
#define wadd_all(w, v) vadd((w), (v))

#elif defined(PYCNN_ISA_AVX512)

#define WL 8
#define wvec __m512d
#define wload(p) _mm512_cvtps_pd(_mm256_loadu_ps(p))
#define wget(p) _mm512_loadu_pd(p)
#define wput(p, v) _mm512_storeu_pd((p), (v))
#define wset(x) _mm512_set1_pd(x)
#define wzero() _mm512_setzero_pd()
#define wadd(a, b) _mm512_add_pd((a), (b))
#define wsub(a, b) _mm512_sub_pd((a), (b))
#define wfma(a, b, c) _mm512_fmadd_pd((a), (b), (c))
#define wsum(v) _mm512_reduce_add_pd(v)
static inline __m512d NAME(wide_add)(__m512d w, __m512 v) {
    w = _mm512_add_pd(w, _mm512_cvtps_pd(_mm512_castps512_ps256(v)));
    return _mm512_add_pd(w, _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)));
}
#define wadd_all(w, v) NAME(wide_add)((w), (v))

#elif defined(PYCNN_ISA_AVX2)

#define WL 4
#define wvec __m256d
#define wload(p) _mm256_cvtps_pd(_mm_loadu_ps(p))
#define wget(p) _mm256_loadu_pd(p)
#define wput(p, v) _mm256_storeu_pd((p), (v))
#define wset(x) _mm256_set1_pd(x)
#define wzero() _mm256_setzero_pd()
#define wadd(a, b) _mm256_add_pd((a), (b))
#define wsub(a, b) _mm256_sub_pd((a), (b))
#define wfma(a, b, c) _mm256_fmadd_pd((a), (b), (c))
static inline __m256d NAME(wide_add)(__m256d w, __m256 v) {
    w = _mm256_add_pd(w, _mm256_cvtps_pd(_mm256_castps256_ps128(v)));
    return _mm256_add_pd(w, _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)));
}
#define wadd_all(w, v) NAME(wide_add)((w), (v))

#elif defined(PYCNN_ISA_NEON)

#define WL 2
#define wvec float64x2_t
#define wload(p) vcvt_f64_f32(vld1_f32(p))
#define wget(p) vld1q_f64(p)
#define wput(p, v) vst1q_f64((p), (v))
#define wset(x) vdupq_n_f64(x)
#define wzero() vdupq_n_f64(0.0)
#define wadd(a, b) vaddq_f64((a), (b))
#define wsub(a, b) vsubq_f64((a), (b))
#define wfma(a, b, c) vfmaq_f64((c), (a), (b))
#define wsum(v) vaddvq_f64(v)
static inline float64x2_t NAME(wide_add)(float64x2_t w, float32x4_t v) {
    return vaddq_f64(vaddq_f64(w, vcvt_f64_f32(vget_low_f32(v))), vcvt_high_f64_f32(v));
}
#define wadd_all(w, v) NAME(wide_add)((w), (v))

#else

#define WL 4
#define wvec NAME(wide4)
typedef struct {
    double lane[4];
} wvec;
static inline wvec NAME(w_load)(const REAL *p) {
    wvec r;
    for (int i = 0; i < 4; i++) r.lane[i] = p[i];
    return r;
}
static inline wvec NAME(w_get)(const double *p) {
    wvec r;
    for (int i = 0; i < 4; i++) r.lane[i] = p[i];
    return r;
}
static inline void NAME(w_put)(double *p, wvec v) {
    for (int i = 0; i < 4; i++) p[i] = v.lane[i];
}
static inline wvec NAME(w_set)(double x) {
    wvec r;
    for (int i = 0; i < 4; i++) r.lane[i] = x;
    return r;
}
static inline wvec NAME(w_add)(wvec a, wvec b) {
    for (int i = 0; i < 4; i++) a.lane[i] += b.lane[i];
    return a;
}
static inline wvec NAME(w_sub)(wvec a, wvec b) {
    for (int i = 0; i < 4; i++) a.lane[i] -= b.lane[i];
    return a;
}
static inline wvec NAME(w_fma)(wvec a, wvec b, wvec c) {
    for (int i = 0; i < 4; i++) c.lane[i] += a.lane[i] * b.lane[i];
    return c;
}
static inline wvec NAME(wide_add)(wvec w, vec v) {
    for (int i = 0; i < 4; i++) w.lane[i] += v.lane[i];
    return w;
}
#define wadd_all(w, v) NAME(wide_add)((w), (v))
#define wload(p) NAME(w_load)(p)
#define wget(p) NAME(w_get)(p)
#define wput(p, v) NAME(w_put)((p), (v))
#define wset(x) NAME(w_set)(x)
#define wzero() NAME(w_set)(0.0)
#define wadd(a, b) NAME(w_add)((a), (b))
#define wsub(a, b) NAME(w_sub)((a), (b))
#define wfma(a, b, c) NAME(w_fma)((a), (b), (c))

#endif

#ifndef wsum
static inline double NAME(wide_sum)(wvec v) {
    double lane[WL], sum = 0;
    wput(lane, v);
    for (int i = 0; i < WL; i++) sum += lane[i];
    return sum;
}
#define wsum(v) NAME(wide_sum)(v)
#endif

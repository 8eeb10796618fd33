/* What pooling rows need beyond simd.inc.h: comparisons with NaN rules, short loads, a byte per lane, de-interleaving.
 *
 *      pload_part(p, n) pstore_part(p, v, n)   the first n < VL lanes; nothing else is touched
 *      pmask                           one truth value per lane
 *      pbetter(v, best)                v takes the place of best: v > best, or v is the first NaN
 *      pselect(m, a, b) pkeep(m, a)    a where m, else b (0)
 *      cvec cload cstore cset cadd cselect cload_part cstore_part
 *                                      VL bytes in memory (places within a window), as wide as suits in a register
 *      cequal(a, b)                    pmask
 *      pload_range(p, lo, hi, fill)    lanes lo .. hi - 1 from p[lo .. hi - 1], those of the vector `fill` elsewhere
 *      cload_range(p, lo, hi)          the same of bytes, anything elsewhere
 *      pgreater(v, best)               pmask; where there is no NaN the same as pbetter
 *      pnan, pnan_none(), pnan_or(n, a, b)  gathers whether a NaN was seen; pnan_any(n): it was. Not defined where
 *                                      pbetter costs as little; vmax(v, best) may be of no use then
 *      pafter(a, v)                    the last lane of a, then all lanes of v but its last
 *      pbefore(v, b)                   all lanes of v but its first, then the first lane of b
 *      padd_if(m, a, b)                a + b where m, else a, which is not -0.0
 *      peven(a, b) podd(a, b)          of the 2 * VL values a, b
 *      plow(e, o) phigh(e, o)          the first and the second half of e0 o0 e1 o1 ...
 * Included by pool.inc.h, which takes the names back at its end, but for the last two lines, which
 * depthwise.inc.h uses too. */

#if defined(PYCNN_ISA_AVX512)

#define cvec __m128i
#define cset(x) _mm_set1_epi8((char)(x))
#define cadd(a, b) _mm_add_epi8((a), (b))
#define cselect(m, a, b) _mm_mask_mov_epi8((b), (m), (a))
#define pool_bits(n) ((1u << (n)) - 1u)
#define cload_part(p, n) _mm_maskz_loadu_epi8((__mmask16)pool_bits(n), touched((p), (n)))
#define cstore_part(p, a, n) _mm_mask_storeu_epi8(touched((p), (n)), (__mmask16)pool_bits(n), (a))
#define pnan pmask /* lanes that have not seen any: a comparison can leave lanes out, so gathering costs nothing */
#define pnan_none() pool_bits(VL)
#define pnan_any(n) ((n) != pool_bits(VL))
#define cload_range(p, lo, hi) \
    ((void)touched((p) + (lo), (hi) - (lo)), _mm_maskz_loadu_epi8(NAME(part)((lo), (hi)), (p)))

#ifdef PYCNN_F32
#define pmask __mmask16
#define pload_part(p, n) _mm512_maskz_loadu_ps((__mmask16)pool_bits(n), touched((p), (n)))
#define pstore_part(p, v, n) _mm512_mask_storeu_ps(touched((p), (n)), (__mmask16)pool_bits(n), (v))
#define pbetter(v, best) \
    _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask((best), (best), _CMP_ORD_Q), (v), (best), _CMP_NLE_UQ)
#define pselect(m, a, b) _mm512_mask_mov_ps((b), (m), (a))
#define pkeep(m, a) _mm512_maskz_mov_ps((m), (a))
#define pgreater(v, best) _mm512_cmp_ps_mask((v), (best), _CMP_GT_OQ)
#define pnan_or(n, a, b) _mm512_mask_cmp_ps_mask((n), (a), (b), _CMP_ORD_Q)
#define pafter(a, v) \
    _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(v), _mm512_castps_si512(a), 15))
#define pbefore(v, b) \
    _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(b), _mm512_castps_si512(v), 1))
#define padd_if(m, a, b) _mm512_mask_add_ps((a), (m), (a), (b))
#define pload_range(p, lo, hi, fill) \
    ((void)touched((p) + (lo), (hi) - (lo)), _mm512_mask_loadu_ps((fill), NAME(part)((lo), (hi)), (p)))
#define cload(p) _mm_loadu_si128((const __m128i *)(p))
#define cstore(p, a) _mm_storeu_si128((__m128i *)(p), (a))
#define cequal(a, b) _mm_cmpeq_epi8_mask((a), (b))
#define pool_permute(a, i, b) _mm512_permutex2var_ps((a), (i), (b))
#define peven(a, b) pool_permute((a), _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), (b))
#define podd(a, b) pool_permute((a), _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), (b))
#define plow(e, o) pool_permute((e), _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), (o))
#define phigh(e, o) pool_permute((e), _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), (o))
#else
#define pmask __mmask8
#define pload_part(p, n) _mm512_maskz_loadu_pd((__mmask8)pool_bits(n), touched((p), (n)))
#define pstore_part(p, v, n) _mm512_mask_storeu_pd(touched((p), (n)), (__mmask8)pool_bits(n), (v))
#define pbetter(v, best) \
    _mm512_mask_cmp_pd_mask(_mm512_cmp_pd_mask((best), (best), _CMP_ORD_Q), (v), (best), _CMP_NLE_UQ)
#define pselect(m, a, b) _mm512_mask_mov_pd((b), (m), (a))
#define pkeep(m, a) _mm512_maskz_mov_pd((m), (a))
#define pgreater(v, best) _mm512_cmp_pd_mask((v), (best), _CMP_GT_OQ)
#define pnan_or(n, a, b) _mm512_mask_cmp_pd_mask((n), (a), (b), _CMP_ORD_Q)
#define pafter(a, v) \
    _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(v), _mm512_castpd_si512(a), 7))
#define pbefore(v, b) \
    _mm512_castsi512_pd(_mm512_alignr_epi64(_mm512_castpd_si512(b), _mm512_castpd_si512(v), 1))
#define padd_if(m, a, b) _mm512_mask_add_pd((a), (m), (a), (b))
#define pload_range(p, lo, hi, fill) \
    ((void)touched((p) + (lo), (hi) - (lo)), _mm512_mask_loadu_pd((fill), NAME(part)((lo), (hi)), (p)))
#define cload(p) _mm_loadl_epi64((const __m128i *)(p))
#define cstore(p, a) _mm_storel_epi64((__m128i *)(p), (a))
#define cequal(a, b) ((__mmask8)_mm_cmpeq_epi8_mask((a), (b)))
#define pool_permute(a, i, b) _mm512_permutex2var_pd((a), (i), (b))
#define peven(a, b) pool_permute((a), _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), (b))
#define podd(a, b) pool_permute((a), _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), (b))
#define plow(e, o) pool_permute((e), _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), (o))
#define phigh(e, o) pool_permute((e), _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), (o))
#endif

#elif defined(PYCNN_ISA_AVX2)

#define cvec __m256i
#define pnan vec
#define pnan_none() vzero()
#define cselect(m, a, b) _mm256_blendv_epi8((b), (a), pool_as_bits(m))

#ifdef PYCNN_F32
#define pmask __m256
#define pool_as_bits(m) _mm256_castps_si256(m)
static const int32_t NAME(pool_bits)[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
#define pool_mask(n) _mm256_loadu_si256((const __m256i *)(NAME(pool_bits) + 8 - (n)))
#define pload_part(p, n) _mm256_maskload_ps(touched((p), (n)), pool_mask(n))
#define pstore_part(p, v, n) _mm256_maskstore_ps(touched((p), (n)), pool_mask(n), (v))
#define pbetter(v, best) \
    _mm256_and_ps(_mm256_cmp_ps((best), (best), _CMP_ORD_Q), _mm256_cmp_ps((v), (best), _CMP_NLE_UQ))
#define pselect(m, a, b) _mm256_blendv_ps((b), (a), (m))
#define pkeep(m, a) _mm256_and_ps((m), (a))
/* high half of a, low half of b */
#define pool_middle(a, b) _mm256_permute2f128_ps((a), (b), 0x21)
#define pafter(a, v)                                                                             \
    _mm256_castsi256_ps(_mm256_alignr_epi8(_mm256_castps_si256(v), \
                                           _mm256_castps_si256(pool_middle((a), (v))), 12))
#define pbefore(v, b)                                                                            \
    _mm256_castsi256_ps(_mm256_alignr_epi8(_mm256_castps_si256(pool_middle((v), (b))), _mm256_castps_si256(v), 4))
#define pgreater(v, best) _mm256_cmp_ps((v), (best), _CMP_GT_OQ)
#define pnan_or(n, a, b) _mm256_or_ps((n), _mm256_cmp_ps((a), (b), _CMP_UNORD_Q))
#define pnan_any(n) (_mm256_movemask_ps(n) != 0)
ALWAYS_INLINE vec NAME(pool_range)(const float *p, ptrdiff_t lo, ptrdiff_t hi, vec fill) {
    const __m256i inside = NAME(part)(lo, hi);
    (void)touched(p + lo, hi - lo);
    return _mm256_blendv_ps(fill, _mm256_maskload_ps(p, inside), _mm256_castsi256_ps(inside));
}
#define cset(x) _mm256_set1_epi32(x)
#define cadd(a, b) _mm256_add_epi32((a), (b))
#define cload(p) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p)))
#define cequal(a, b) _mm256_castsi256_ps(_mm256_cmpeq_epi32((a), (b)))
static inline void NAME(store_codes)(uint8_t *p, __m256i a) {
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(words, words));
}
#define peven(a, b) pool_in_order(_mm256_shuffle_ps((a), (b), 0x88))
#define podd(a, b) pool_in_order(_mm256_shuffle_ps((a), (b), 0xdd))
#define pool_in_order(v) _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8))
#define plow(e, o) _mm256_permute2f128_ps(_mm256_unpacklo_ps((e), (o)), _mm256_unpackhi_ps((e), (o)), 0x20)
#define phigh(e, o) _mm256_permute2f128_ps(_mm256_unpacklo_ps((e), (o)), _mm256_unpackhi_ps((e), (o)), 0x31)
#else
#define pmask __m256d
#define pool_as_bits(m) _mm256_castpd_si256(m)
static const int64_t NAME(pool_bits)[8] = {-1, -1, -1, -1};
#define pool_mask(n) _mm256_loadu_si256((const __m256i *)(NAME(pool_bits) + 4 - (n)))
#define pload_part(p, n) _mm256_maskload_pd(touched((p), (n)), pool_mask(n))
#define pstore_part(p, v, n) _mm256_maskstore_pd(touched((p), (n)), pool_mask(n), (v))
#define pbetter(v, best) \
    _mm256_and_pd(_mm256_cmp_pd((best), (best), _CMP_ORD_Q), _mm256_cmp_pd((v), (best), _CMP_NLE_UQ))
#define pselect(m, a, b) _mm256_blendv_pd((b), (a), (m))
#define pkeep(m, a) _mm256_and_pd((m), (a))
#define pafter(a, v) _mm256_shuffle_pd(_mm256_permute2f128_pd((a), (v), 0x21), (v), 0x5)
#define pbefore(v, b) _mm256_shuffle_pd((v), _mm256_permute2f128_pd((v), (b), 0x21), 0x5)
#define pgreater(v, best) _mm256_cmp_pd((v), (best), _CMP_GT_OQ)
#define pnan_or(n, a, b) _mm256_or_pd((n), _mm256_cmp_pd((a), (b), _CMP_UNORD_Q))
#define pnan_any(n) (_mm256_movemask_pd(n) != 0)
ALWAYS_INLINE vec NAME(pool_range)(const double *p, ptrdiff_t lo, ptrdiff_t hi, vec fill) {
    const __m256i inside = NAME(part)(lo, hi);
    (void)touched(p + lo, hi - lo);
    return _mm256_blendv_pd(fill, _mm256_maskload_pd(p, inside), _mm256_castsi256_pd(inside));
}
#define cset(x) _mm256_set1_epi64x(x)
#define cadd(a, b) _mm256_add_epi64((a), (b))
static inline __m256i NAME(load_codes)(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four));
}
#define cload(p) NAME(load_codes)(p)
#define cequal(a, b) _mm256_castsi256_pd(_mm256_cmpeq_epi64((a), (b)))
static inline void NAME(store_codes)(uint8_t *p, __m256i a) {
    const __m256i first_two = _mm256_setr_epi64x(0xffffffffffff0800ll, -1, 0xffffffff0800ffffll, -1);
    const __m256i low = _mm256_shuffle_epi8(a, first_two);
    const int32_t four =
        _mm_cvtsi128_si32(_mm_or_si128(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
    memcpy(p, &four, 4);
}
#define peven(a, b) _mm256_permute4x64_pd(_mm256_unpacklo_pd((a), (b)), 0xd8)
#define podd(a, b) _mm256_permute4x64_pd(_mm256_unpackhi_pd((a), (b)), 0xd8)
#define plow(e, o) _mm256_permute2f128_pd(_mm256_unpacklo_pd((e), (o)), _mm256_unpackhi_pd((e), (o)), 0x20)
#define phigh(e, o) _mm256_permute2f128_pd(_mm256_unpacklo_pd((e), (o)), _mm256_unpackhi_pd((e), (o)), 0x31)
#endif
#define cstore(p, a) NAME(store_codes)((p), (a))
#define pload_range(p, lo, hi, fill) NAME(pool_range)((p), (lo), (hi), (fill))

#elif defined(PYCNN_ISA_NEON)

#ifdef PYCNN_F32
#define pmask uint32x4_t
#define cvec uint32x4_t
#define pbetter(v, best) vandq_u32(vceqq_f32((best), (best)), vmvnq_u32(vcleq_f32((v), (best))))
#define pselect(m, a, b) vbslq_f32((m), (a), (b))
#define pkeep(m, a) vreinterpretq_f32_u32(vandq_u32((m), vreinterpretq_u32_f32(a)))
#define cset(x) vdupq_n_u32(x)
#define cadd(a, b) vaddq_u32((a), (b))
#define cselect(m, a, b) vbslq_u32((m), (a), (b))
#define cequal(a, b) vceqq_u32((a), (b))
static inline cvec NAME(load_codes)(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, 4);
    return vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four))));
}
static inline void NAME(store_codes)(uint8_t *p, cvec a) {
    const uint16x4_t words = vmovn_u32(a);
    const uint8x8_t bytes = vmovn_u16(vcombine_u16(words, words));
    const uint32_t four = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
    memcpy(p, &four, 4);
}
#define peven(a, b) vuzp1q_f32((a), (b))
#define podd(a, b) vuzp2q_f32((a), (b))
#define plow(e, o) vzip1q_f32((e), (o))
#define phigh(e, o) vzip2q_f32((e), (o))
#define pafter(a, v) vextq_f32((a), (v), 3)
#define pbefore(v, b) vextq_f32((v), (b), 1)
#else
#define pmask uint64x2_t
#define cvec uint64x2_t
#define pbetter(v, best) vbicq_u64(vceqq_f64((best), (best)), vcleq_f64((v), (best)))
#define pselect(m, a, b) vbslq_f64((m), (a), (b))
#define pkeep(m, a) vreinterpretq_f64_u64(vandq_u64((m), vreinterpretq_u64_f64(a)))
#define cset(x) vdupq_n_u64(x)
#define cadd(a, b) vaddq_u64((a), (b))
#define cselect(m, a, b) vbslq_u64((m), (a), (b))
#define cequal(a, b) vceqq_u64((a), (b))
static inline cvec NAME(load_codes)(const uint8_t *p) { return vcombine_u64(vcreate_u64(p[0]), vcreate_u64(p[1])); }
static inline void NAME(store_codes)(uint8_t *p, cvec a) {
    p[0] = (uint8_t)vgetq_lane_u64(a, 0);
    p[1] = (uint8_t)vgetq_lane_u64(a, 1);
}
#define peven(a, b) vuzp1q_f64((a), (b))
#define podd(a, b) vuzp2q_f64((a), (b))
#define plow(e, o) vzip1q_f64((e), (o))
#define phigh(e, o) vzip2q_f64((e), (o))
#define pafter(a, v) vextq_f64((a), (v), 1)
#define pbefore(v, b) vextq_f64((v), (b), 1)
#endif
#define cload(p) NAME(load_codes)(p)
#define cstore(p, a) NAME(store_codes)((p), (a))

#else /* generic C: one int per lane, which compilers turn into whatever the baseline has */

#define pmask NAME(pool_mask4)
#define cvec NAME(pool_mask4)
typedef struct {
    int lane[4];
} pmask;
#define EACH_LANE(type, name, arguments, result)          \
    static inline type NAME(name) arguments {             \
        type r;                                           \
        for (int i = 0; i < 4; i++) r.lane[i] = (result); \
        return r;                                         \
    }
EACH_LANE(pmask, p_better, (vec v, vec b), (b.lane[i] == b.lane[i]) & !(v.lane[i] <= b.lane[i]))
EACH_LANE(vec, p_select, (pmask m, vec a, vec b), m.lane[i] ? a.lane[i] : b.lane[i])
EACH_LANE(vec, p_keep, (pmask m, vec a), m.lane[i] ? a.lane[i] : 0)
EACH_LANE(cvec, p_cset, (int x), x)
EACH_LANE(cvec, p_cadd, (cvec a, cvec b), a.lane[i] + b.lane[i])
EACH_LANE(cvec, p_cselect, (pmask m, cvec a, cvec b), m.lane[i] ? a.lane[i] : b.lane[i])
EACH_LANE(pmask, p_cequal, (cvec a, cvec b), a.lane[i] == b.lane[i])
EACH_LANE(cvec, p_cload, (const uint8_t *p), p[i])
EACH_LANE(vec, p_even, (vec a, vec b), i < 2 ? a.lane[2 * i] : b.lane[2 * i - 4])
EACH_LANE(vec, p_odd, (vec a, vec b), i < 2 ? a.lane[2 * i + 1] : b.lane[2 * i - 3])
EACH_LANE(vec, p_low, (vec e, vec o), i % 2 ? o.lane[i / 2] : e.lane[i / 2])
EACH_LANE(vec, p_after, (vec a, vec v), i ? v.lane[i - 1] : a.lane[3])
EACH_LANE(vec, p_before, (vec v, vec b), i < 3 ? v.lane[i + 1] : b.lane[0])
EACH_LANE(vec, p_high, (vec e, vec o), i % 2 ? o.lane[2 + i / 2] : e.lane[2 + i / 2])
#undef EACH_LANE
static inline void NAME(p_cstore)(uint8_t *p, cvec a) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)a.lane[i];
}
#define pbetter(v, best) NAME(p_better)((v), (best))
#define pselect(m, a, b) NAME(p_select)((m), (a), (b))
#define pkeep(m, a) NAME(p_keep)((m), (a))
#define cset(x) NAME(p_cset)(x)
#define cadd(a, b) NAME(p_cadd)((a), (b))
#define cselect(m, a, b) NAME(p_cselect)((m), (a), (b))
#define cequal(a, b) NAME(p_cequal)((a), (b))
#define cload(p) NAME(p_cload)(p)
#define cstore(p, a) NAME(p_cstore)((p), (a))
#define peven(a, b) NAME(p_even)((a), (b))
#define podd(a, b) NAME(p_odd)((a), (b))
#define pafter(a, v) NAME(p_after)((a), (v))
#define pbefore(v, b) NAME(p_before)((v), (b))
#define plow(e, o) NAME(p_low)((e), (o))
#define phigh(e, o) NAME(p_high)((e), (o))

#endif

/* Without masked loads, a short run goes through a buffer. */
#ifndef pload_part
static inline vec NAME(pool_load)(const REAL *p, ptrdiff_t n) {
    REAL lane[VL] = {0};
    for (ptrdiff_t i = 0; i < n; i++) lane[i] = p[i];
    return vload(lane);
}
static inline void NAME(pool_store)(REAL *p, vec v, ptrdiff_t n) {
    REAL lane[VL];
    vstore(lane, v);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = lane[i];
}
#define pload_part(p, n) NAME(pool_load)((p), (n))
#define pstore_part(p, v, n) NAME(pool_store)((p), (v), (n))
#endif
#ifndef cload_part
static inline cvec NAME(load_codes_part)(const uint8_t *p, ptrdiff_t n) {
    uint8_t lane[VL] = {0};
    for (ptrdiff_t i = 0; i < n; i++) lane[i] = p[i];
    return cload(lane);
}
static inline void NAME(store_codes_part)(uint8_t *p, cvec a, ptrdiff_t n) {
    uint8_t lane[VL];
    cstore(lane, a);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = lane[i];
}
#define cload_part(p, n) NAME(load_codes_part)((p), (n))
#define cstore_part(p, a, n) NAME(store_codes_part)((p), (a), (n))
#endif
#ifndef pload_range
ALWAYS_INLINE vec NAME(pool_range)(const REAL *p, ptrdiff_t lo, ptrdiff_t hi, vec fill) {
    REAL lane[VL];
    vstore(lane, fill);
    for (ptrdiff_t i = lo; i < hi; i++) lane[i] = p[i];
    return vload(lane);
}
#define pload_range(p, lo, hi, fill) NAME(pool_range)((p), (lo), (hi), (fill))
#endif
#ifndef cload_range
ALWAYS_INLINE cvec NAME(load_codes_range)(const uint8_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    uint8_t lane[VL] = {0};
    for (ptrdiff_t i = lo; i < hi; i++) lane[i] = p[i];
    return cload(lane);
}
#define cload_range(p, lo, hi) NAME(load_codes_range)((p), (lo), (hi))
#endif
#ifndef padd_if
#define padd_if(m, a, b) vadd((a), pkeep((m), (b)))
#endif

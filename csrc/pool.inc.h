/* Rows of pooling windows, one instruction set, one number type.
 *
 * A pooling sees a row of the image as `stride` phases: cell i + pad of the padded row is number (i + pad) / stride of
 * phase (i + pad) % stride. In that form tap t of all windows is a contiguous run: `split` makes it, `merge` takes it
 * back, and every other function only combines contiguous runs. Channels-last images are such runs already. */
#include "pool_simd.inc.h"
#include "pool_max.inc.h"

/* Smallest q >= 0 with q * stride >= x. */
#define FIRST_AT(x, stride) ((x) <= 0 ? 0 : ((x) + (stride) - 1) / (stride))
#define AT_MOST(x, limit) ((x) < (limit) ? (x) : (limit))

ALWAYS_INLINE void NAME(copy_run)(REAL *RESTRICT dst, const REAL *RESTRICT src, ptrdiff_t n) {
    ptrdiff_t j = 0;
    for (; j + VL <= n; j += VL) vstore(dst + j, vload(src + j));
    if (j < n) pstore_part(dst + j, pload_part(src + j, n - j), n - j);
}

ALWAYS_INLINE void NAME(fill_run)(REAL *dst, ptrdiff_t n, REAL value) {
    for (ptrdiff_t j = 0; j < n; j++) dst[j] = value;
}

/* Which q of phase f have a cell: [*from, *to). */
ALWAYS_INLINE void NAME(phase_range)(ptrdiff_t f, ptrdiff_t size, ptrdiff_t lead, ptrdiff_t stride, ptrdiff_t width,
                                     ptrdiff_t *from, ptrdiff_t *to) {
    *to = FIRST_AT(size + lead - f, stride);
    *to = AT_MOST(*to, width);
    *from = FIRST_AT(lead - f, stride);
    *from = AT_MOST(*from, *to);
}

/* Stride 2, both phases, contiguous cells: two loads give a vector of each. */
ALWAYS_INLINE void NAME(split_pairs)(REAL *RESTRICT even, REAL *RESTRICT odd, const REAL *RESTRICT src, ptrdiff_t size,
                                     ptrdiff_t lead, ptrdiff_t width, REAL fill) {
    ptrdiff_t e0, e1, o0, o1;
    NAME(phase_range)(0, size, lead, 2, width, &e0, &e1);
    NAME(phase_range)(1, size, lead, 2, width, &o0, &o1);
    NAME(fill_run)(even, e0, fill);
    NAME(fill_run)(odd, o0, fill);
    ptrdiff_t q = e0;
    if (o0 < e0 && o0 < o1) odd[o0] = src[2 * o0 + 1 - lead];
    for (; q + VL <= o1; q += VL) {
        const vec a = vload(src + 2 * q - lead), b = vload(src + 2 * q - lead + VL);
        vstore(even + q, peven(a, b));
        vstore(odd + q, podd(a, b));
    }
#ifdef PYCNN_ISA_AVX512
    if (q < o1) {
        const ptrdiff_t n = o1 - q, low = AT_MOST(2 * n, VL);
        const vec a = low == VL ? vload(src + 2 * q - lead) : pload_part(src + 2 * q - lead, low);
        const vec b = low == VL ? pload_part(src + 2 * q - lead + VL, 2 * n - VL) : vzero();
        pstore_part(even + q, peven(a, b), n);
        pstore_part(odd + q, podd(a, b), n);
        q = o1;
    }
#endif
    for (; q < o1; q++) {
        even[q] = src[2 * q - lead];
        odd[q] = src[2 * q + 1 - lead];
    }
    if (q < e1) even[q] = src[2 * q - lead];
    NAME(fill_run)(even + e1, width - e1, fill);
    NAME(fill_run)(odd + o1, width - o1, fill);
}

static void NAME(split)(REAL *RESTRICT dst, ptrdiff_t dst_row, ptrdiff_t dst_phase, const REAL *RESTRICT src,
                        ptrdiff_t src_row, ptrdiff_t src_step, ptrdiff_t size, ptrdiff_t lead, ptrdiff_t stride,
                        ptrdiff_t phases, ptrdiff_t width, ptrdiff_t rows, REAL fill) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        REAL *RESTRICT d = dst + r * dst_row;
        const REAL *RESTRICT s = src + r * src_row;
        if (stride == 2 && phases == 2 && src_step == 1) {
            NAME(split_pairs)(d, d + dst_phase, s, size, lead, width, fill);
            continue;
        }
        for (ptrdiff_t f = 0; f < phases; f++, d += dst_phase) {
            ptrdiff_t from, to;
            NAME(phase_range)(f, size, lead, stride, width, &from, &to);
            const REAL *RESTRICT p = s + (f - lead) * src_step;
            NAME(fill_run)(d, from, fill);
            if (stride * src_step == 1)
                NAME(copy_run)(d + from, p + from, to - from);
            else
                for (ptrdiff_t q = from; q < to; q++) d[q] = p[q * stride * src_step];
            NAME(fill_run)(d + to, width - to, fill);
        }
    }
}

ALWAYS_INLINE void NAME(merge_pairs)(REAL *RESTRICT dst, const REAL *RESTRICT even, const REAL *RESTRICT odd,
                                     ptrdiff_t size, ptrdiff_t lead) {
    ptrdiff_t i = 0;
    if (lead & 1) dst[i++] = odd[lead / 2];
    even += (i + lead) / 2;
    odd += (i + lead) / 2;
    for (; i + 2 * VL <= size; i += 2 * VL, even += VL, odd += VL) {
        const vec e = vload(even), o = vload(odd);
        vstore(dst + i, plow(e, o));
        vstore(dst + i + VL, phigh(e, o));
    }
    const ptrdiff_t rest = size - i;
    if (rest <= 0) return;
    const vec e = vload(even), o = vload(odd);
    if (rest < VL) {
        pstore_part(dst + i, plow(e, o), rest);
    } else {
        vstore(dst + i, plow(e, o));
        if (rest > VL) pstore_part(dst + i + VL, phigh(e, o), rest - VL);
    }
}

static void NAME(merge)(REAL *RESTRICT dst, ptrdiff_t dst_row, ptrdiff_t dst_step, const REAL *RESTRICT src,
                        ptrdiff_t src_row, ptrdiff_t src_phase, ptrdiff_t size, ptrdiff_t lead, ptrdiff_t stride,
                        ptrdiff_t rows) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        REAL *RESTRICT d = dst + r * dst_row;
        const REAL *RESTRICT s = src + r * src_row;
        if (stride == 2 && dst_step == 1) {
            NAME(merge_pairs)(d, s, s + src_phase, size, lead);
            continue;
        }
        for (ptrdiff_t f = 0; f < stride; f++, s += src_phase) {
            const ptrdiff_t from = FIRST_AT(lead - f, stride), to = FIRST_AT(size + lead - f, stride);
            if (stride * dst_step == 1)
                NAME(copy_run)(d + from + f - lead, s + from, to - from);
            else
                for (ptrdiff_t q = from; q < to; q++) d[(q * stride + f - lead) * dst_step] = s[q];
        }
    }
}

/* The sum of the sums of `group` taps each. */
ALWAYS_INLINE vec NAME(sum_vector)(const REAL *const *src, ptrdiff_t at, ptrdiff_t taps, ptrdiff_t group) {
    vec total = vload(src[0] + at);
    for (ptrdiff_t t = 1; t < group; t++) total = vadd(total, vload(src[t] + at));
    for (ptrdiff_t g = group; g < taps; g += group) {
        vec sum = vload(src[g] + at);
        for (ptrdiff_t t = 1; t < group; t++) sum = vadd(sum, vload(src[g + t] + at));
        total = vadd(total, sum);
    }
    return total;
}

ALWAYS_INLINE vec NAME(sum_part)(const REAL *const *src, ptrdiff_t at, ptrdiff_t taps, ptrdiff_t group, ptrdiff_t n) {
    vec total = pload_part(src[0] + at, n);
    for (ptrdiff_t t = 1; t < group; t++) total = vadd(total, pload_part(src[t] + at, n));
    for (ptrdiff_t g = group; g < taps; g += group) {
        vec sum = pload_part(src[g] + at, n);
        for (ptrdiff_t t = 1; t < group; t++) sum = vadd(sum, pload_part(src[g + t] + at, n));
        total = vadd(total, sum);
    }
    return total;
}

/* Sums. `divide`: 0 not at all, 1 by scale, 2 by scale * count[j]. A mean adds 0 first, so that a sum of -0.0 is 0.0
 * whether or not padding was added to it. */
ALWAYS_INLINE void NAME(sum_runs)(const int divide, REAL *dst, ptrdiff_t dst_step, const REAL *const *src,
                                  ptrdiff_t src_step, ptrdiff_t taps, ptrdiff_t group, ptrdiff_t n, ptrdiff_t blocks,
                                  const REAL *count, REAL scale) {
    const vec by = vset(scale);
    for (ptrdiff_t b = 0; b < blocks; b++) {
        const ptrdiff_t at = b * src_step;
        REAL *d = dst + b * dst_step;
        ptrdiff_t j = 0;
        for (; j + VL <= n; j += VL) {
            vec sum = NAME(sum_vector)(src, at + j, taps, group);
            if (divide == 1) sum = vdiv(vadd(sum, vzero()), by);
            if (divide == 2) sum = vdiv(vadd(sum, vzero()), vmul(by, vload(count + j)));
            vstore(d + j, sum);
        }
        if (j < n) {
            const ptrdiff_t rest = n - j;
            vec sum = NAME(sum_part)(src, at + j, taps, group, rest);
            if (divide == 1) sum = vdiv(vadd(sum, vzero()), by);
            if (divide == 2) sum = vdiv(vadd(sum, vzero()), vmul(by, pload_part(count + j, rest)));
            pstore_part(d + j, sum, rest);
        }
    }
}

/* What most networks have, unrolled: two or three taps in one sum, or in as many sums. */
#define UNROLL_GROUPS(call)             \
    if (taps == 2 && group == 2)        \
        call(2, 2);                     \
    else if (taps == 3 && group == 3)   \
        call(3, 3);                     \
    else if (taps == 4 && group == 2)   \
        call(4, 2);                     \
    else if (taps == 9 && group == 3)   \
        call(9, 3);                     \
    else                                \
        call(taps, group);

static void NAME(sum_rows)(REAL *dst, ptrdiff_t dst_step, const REAL *const *src, ptrdiff_t src_step, ptrdiff_t taps,
                           ptrdiff_t n, ptrdiff_t blocks) {
#define CALL(k) NAME(sum_runs)(0, dst, dst_step, src, src_step, k, k, n, blocks, dst, 1)
    if (taps == 2)
        CALL(2);
    else if (taps == 3)
        CALL(3);
    else
        CALL(taps);
#undef CALL
}

static void NAME(mean_rows)(REAL *dst, ptrdiff_t dst_step, const REAL *const *src, ptrdiff_t src_step, ptrdiff_t taps,
                            ptrdiff_t group, ptrdiff_t n, ptrdiff_t blocks, const REAL *count, REAL scale) {
#define CALL_ONE(k, g) NAME(sum_runs)(1, dst, dst_step, src, src_step, k, g, n, blocks, dst, scale)
#define CALL_EACH(k, g) NAME(sum_runs)(2, dst, dst_step, src, src_step, k, g, n, blocks, count, scale)
    if (count) {
        CALL_EACH(taps, group);
    } else {
        UNROLL_GROUPS(CALL_ONE)
    }
#undef CALL_ONE
#undef CALL_EACH
}
#undef UNROLL_GROUPS

static void NAME(share_rows)(REAL *dst, ptrdiff_t dst_step, const REAL *const *src, ptrdiff_t src_step,
                             const REAL *count, ptrdiff_t taps, ptrdiff_t group, ptrdiff_t n, ptrdiff_t blocks) {
    for (ptrdiff_t b = 0; b < blocks; b++) {
        const ptrdiff_t at = b * src_step;
        REAL *d = dst + b * dst_step;
        for (ptrdiff_t j = 0; j < n; j += VL) {
            const ptrdiff_t lanes = AT_MOST(VL, n - j);
            vec total = vzero();
            for (ptrdiff_t g = 0; g < taps; g += group) {
                vec sum = vzero();
                for (ptrdiff_t t = g; t < g + group; t++) {
                    const REAL *p = src[t] + at + j;
                    sum = vadd(sum, vdiv(lanes == VL ? vload(p) : pload_part(p, lanes), vset(count[t])));
                }
                total = vadd(total, sum);
            }
            if (lanes == VL)
                vstore(d + j, total);
            else
                pstore_part(d + j, total, lanes);
        }
    }
}

static void NAME(share_lanes)(REAL *RESTRICT dst, const REAL *RESTRICT src, const ptrdiff_t *RESTRICT begin,
                              const ptrdiff_t *RESTRICT end, ptrdiff_t n, REAL scale) {
    const vec by = vset(scale);
    for (ptrdiff_t i = 0; i < n; i++, dst += VL) {
        vec sum = vzero();
        for (ptrdiff_t o = begin[i]; o < end[i]; o++) sum = vadd(sum, vload(src + o * VL));
        vstore(dst, scale == 1 ? sum : vdiv(sum, by));
    }
}

ALWAYS_INLINE void NAME(select_runs)(REAL *dst, ptrdiff_t dst_step, const REAL *const *src, ptrdiff_t src_step,
                                     const uint8_t *const *place, ptrdiff_t place_step, const uint8_t *code,
                                     ptrdiff_t taps, ptrdiff_t n, ptrdiff_t blocks) {
    for (ptrdiff_t b = 0; b < blocks; b++) {
        const ptrdiff_t at = b * src_step, place_at = b * place_step;
        REAL *d = dst + b * dst_step;
        ptrdiff_t j = 0;
        for (; j + VL <= n; j += VL) {
            vec sum = vzero();
            for (ptrdiff_t t = 0; t < taps; t++) {
                const pmask here = cequal(cload(place[t] + place_at + j), cset(code[t]));
                sum = vadd(sum, pkeep(here, vload(src[t] + at + j)));
            }
            vstore(d + j, sum);
        }
        if (j < n) {
            const ptrdiff_t rest = n - j;
            vec sum = vzero();
            for (ptrdiff_t t = 0; t < taps; t++) {
                const pmask here = cequal(cload_part(place[t] + place_at + j, rest), cset(code[t]));
                sum = vadd(sum, pkeep(here, pload_part(src[t] + at + j, rest)));
            }
            pstore_part(d + j, sum, rest);
        }
    }
}

static void NAME(select_rows)(REAL *dst, ptrdiff_t dst_step, const REAL *const *src, ptrdiff_t src_step,
                              const uint8_t *const *place, ptrdiff_t place_step, const uint8_t *code, ptrdiff_t taps,
                              ptrdiff_t n, ptrdiff_t blocks) {
#define CALL(k) NAME(select_runs)(dst, dst_step, src, src_step, place, place_step, code, k, n, blocks)
    if (taps == 1)
        CALL(1);
    else if (taps == 2)
        CALL(2);
    else if (taps == 4)
        CALL(4);
    else
        CALL(taps);
#undef CALL
}

#include "pool_bins.inc.h"
#include "pool_window.inc.h"
#include "pool_spread.inc.h"

static const TYPED(pycnn_pool) NAME(pool_table) = {
    NAME(split),       NAME(merge),      NAME(sum_rows), NAME(mean_rows), NAME(share_rows), NAME(share_lanes),
    NAME(select_rows),
    NAME(bin_planes),  NAME(fill_planes), NAME(bin_row),    NAME(bin_lanes), NAME(max_values), NAME(max_first),
    NAME(max_next),    NAME(max_windows), NAME(mean_windows), NAME(max_spread), NAME(mean_spread), NAME(mean_gather),
    NAME(top_code),
};

#undef WINDOW_INLINE
#undef FIRST_AT
#undef AT_MOST
#undef cvec
#undef cset
#undef cadd
#undef cselect
#undef cequal
#undef cload
#undef cstore
#undef cload_part
#undef cstore_part
#undef cload_range
#undef pload_range
#undef padd_if
#undef pafter
#undef pbefore
#undef pool_middle
#undef pgreater
#undef pnan
#undef pnan_none
#undef pnan_or
#undef pnan_any
#undef pool_bits
#undef pool_mask
#undef pool_as_bits
#undef pmask
#undef pload_part
#undef pstore_part
#undef pbetter
#undef pselect
#undef pkeep

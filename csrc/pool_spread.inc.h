/* The way back from windows of 2 x 2 cells with stride 2 (no padding) and of 3 x 3 with stride 2 (padding 0 or 1), one
 * instruction set, one number type. Included by pool.inc.h.
 *
 * Two cells side by side, 2 q and 2 q + 1, see the same one or two columns of windows. A vector of dy per column gives
 * the even and the odd cells, which are interleaved and stored: every cell is written once. Without padding window q
 * starts at cell 2 q:      even: tap 2 of q - 1, tap 0 of q    odd: tap 1 of q
 * with padding one before: even: tap 1 of q                    odd: tap 2 of q, tap 0 of q + 1
 * Windows are added in scan order to 0, as in select_rows. */

/* The first n <= 2 * VL cells of e0 o0 e1 o1 ... */
ALWAYS_INLINE void NAME(store_pairs)(REAL *dst, vec e, vec o, ptrdiff_t n) {
    if (n < VL) {
        pstore_part(dst, plow(e, o), n);
        return;
    }
    vstore(dst, plow(e, o));
    if (n >= 2 * VL)
        vstore(dst + VL, phigh(e, o));
    else if (n > VL)
        pstore_part(dst + VL, phigh(e, o), n - VL);
}

/* One row of windows that a row of cells sees: `code` is that of the tap at its left end. */
typedef struct {
    const REAL *dy;
    const uint8_t *codes;
    int code;
} NAME(seen);

/* The windows from o on: their dy, 0 where there is no such window, and codes. */
ALWAYS_INLINE vec NAME(windows_seen)(const int inside, const NAME(seen) * row, ptrdiff_t o, ptrdiff_t width,
                                     cvec *codes) {
    if (inside) {
        *codes = cload(row->codes + o);
        return vload(row->dy + o);
    }
    ptrdiff_t lo = o < 0 ? -o : 0, hi = width - o;
    lo = AT_MOST(lo, VL);
    hi = hi < lo ? lo : AT_MOST(hi, VL);
    *codes = cload_range(row->codes + o, lo, hi);
    return pload_range(row->dy + o, lo, hi, vzero());
}

/* Adds a row of windows to the cells 2 q, 2 q + 2, ... and the odd ones between them. */
ALWAYS_INLINE void NAME(spread_one)(const int left, const int inside, const NAME(seen) * row, ptrdiff_t q,
                                    ptrdiff_t width, vec *even, vec *odd) {
    cvec codes, beside_codes;
    const vec dy = NAME(windows_seen)(inside, row, q, width, &codes);
    const vec beside = NAME(windows_seen)(inside, row, left ? q + 1 : q - 1, width, &beside_codes);
    if (left) {
        *even = padd_if(cequal(codes, cset(row->code + 1)), *even, dy);
        *odd = padd_if(cequal(codes, cset(row->code + 2)), *odd, dy);
        *odd = padd_if(cequal(beside_codes, cset(row->code)), *odd, beside);
    } else {
        *even = padd_if(cequal(beside_codes, cset(row->code + 2)), *even, beside);
        *even = padd_if(cequal(codes, cset(row->code)), *even, dy);
        *odd = padd_if(cequal(codes, cset(row->code + 1)), *odd, dy);
    }
}

/* A row of cells, which sees one row of windows, or two. */
WINDOW_INLINE void NAME(spread_row)(const int left, const int rows, REAL *dx, const NAME(seen) first,
                                    const NAME(seen) second, ptrdiff_t width, ptrdiff_t out_width) {
    const ptrdiff_t pairs = (width + 1) / 2, last = pairs > VL ? pairs - VL : 0;
    const ptrdiff_t from = !left, to = AT_MOST(out_width - VL - left, width / 2 - VL);
    for (ptrdiff_t q = 0;; q = AT_MOST(q + VL, last)) {
        vec even = vzero(), odd = vzero();
        if (q >= from && q <= to) {
            NAME(spread_one)(left, 1, &first, q, out_width, &even, &odd);
            if (rows == 2) NAME(spread_one)(left, 1, &second, q, out_width, &even, &odd);
            vstore(dx + 2 * q, plow(even, odd));
            vstore(dx + 2 * q + VL, phigh(even, odd));
        } else {
            NAME(spread_one)(left, 0, &first, q, out_width, &even, &odd);
            if (rows == 2) NAME(spread_one)(left, 0, &second, q, out_width, &even, &odd);
            NAME(store_pairs)(dx + 2 * q, even, odd, width - 2 * q);
        }
        if (q == last) return;
    }
}

WINDOW_INLINE void NAME(spread_planes)(const int left, const pycnn_pooling *g, REAL *dx, const REAL *dy,
                                       const uint8_t *codes, ptrdiff_t planes, ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t p = 0; p < planes; p++) {
        for (ptrdiff_t i = begin; i < end; i++) {
            REAL *to = dx + i * g->width;
            const ptrdiff_t o = (i + g->top) / 2, odd = (i + g->top) & 1; /* windows o - 1 and o, or only o */
            const int above = !odd && o > 0 && o <= g->out_height, below = o < g->out_height;
            const NAME(seen) here = {dy + o * g->out_width, codes + o * g->out_width, odd ? 3 : 0};
            const NAME(seen) before = {here.dy - g->out_width, here.codes - g->out_width, 6};
            if (above && below)
                NAME(spread_row)(left, 2, to, before, here, g->width, g->out_width);
            else if (above || below)
                NAME(spread_row)(left, 1, to, above ? before : here, here, g->width, g->out_width);
            else
                NAME(fill_run)(to, g->width, 0);
        }
        dx += g->height * g->width;
        dy += g->out_height * g->out_width;
        codes += g->out_height * g->out_width;
    }
}

/* A vector of 2 x 2 windows: dy for one of the cells of each, or in equal parts, for a row of cells or both. n: cells
 * of a row from there on. */
ALWAYS_INLINE void NAME(spread_pair)(const int mean, const int whole, REAL *dx, ptrdiff_t width, ptrdiff_t rows, vec dy,
                                     cvec codes, ptrdiff_t n) {
    const vec even = mean ? dy : pkeep(cequal(codes, cset(0)), dy), odd = mean ? dy : pkeep(cequal(codes, cset(1)), dy);
    const vec below = mean ? dy : pkeep(cequal(codes, cset(2)), dy);
    const vec last = mean ? dy : pkeep(cequal(codes, cset(3)), dy);
    if (whole) {
        vstore(dx, plow(even, odd));
        vstore(dx + VL, phigh(even, odd));
        vstore(dx + width, plow(below, last));
        vstore(dx + width + VL, phigh(below, last));
        return;
    }
    NAME(store_pairs)(dx, even, odd, n);
    if (rows == 2) NAME(store_pairs)(dx + width, below, last, n);
}

/* 2 x 2 windows side by side: two rows of cells for each row of windows. `share`: what a mean is multiplied by where
 * `exact`, else divided by. */
WINDOW_INLINE void NAME(spread_pairs)(const int mean, const pycnn_pooling *g, REAL *dx, const REAL *dy,
                                      const uint8_t *codes, REAL share, const int exact, ptrdiff_t planes,
                                      ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t width = g->width, out_width = g->out_width, pairs = (width + 1) / 2;
    const ptrdiff_t last = pairs > VL ? pairs - VL : 0;
    const REAL *const dy_end = dy + planes * g->out_height * out_width;
    const vec by = vset(share);
    for (ptrdiff_t p = 0; p < planes; p++) {
        for (ptrdiff_t i = begin; i < end; i += 2) {
            const ptrdiff_t rows = AT_MOST(2, end - i), at = i / 2 * out_width;
            REAL *to = dx + i * width;
            if (i / 2 >= g->out_height) {
                NAME(fill_run)(to, rows * width, 0);
                continue;
            }
            for (ptrdiff_t q = 0;; q = AT_MOST(q + VL, last)) {
                /* Of windows behind the row only cells that are not stored are made. */
                const int loads = q + VL <= out_width || (width <= 2 * out_width && dy_end - dy >= at + q + VL);
                const int whole = rows == 2 && 2 * (q + VL) <= width;
                const ptrdiff_t lanes = AT_MOST(out_width - q, VL);
                vec v = loads ? vload(dy + at + q) : pload_range(dy + at + q, 0, lanes, vzero());
                cvec code = cset(0);
                v = vadd(v, vzero()); /* no -0.0 */
                if (mean) v = exact ? vmul(v, by) : vdiv(v, by);
                if (!mean) code = loads ? cload(codes + at + q) : cload_range(codes + at + q, 0, lanes);
                if (whole)
                    NAME(spread_pair)(mean, 1, to + 2 * q, width, 2, v, code, 2 * VL);
                else
                    NAME(spread_pair)(mean, 0, to + 2 * q, width, rows, v, code, width - 2 * q);
                if (q == last) break;
            }
        }
        dx += g->height * width;
        dy += g->out_height * out_width;
        if (!mean) codes += g->out_height * out_width;
    }
}

static void NAME(max_spread)(const pycnn_pooling *g, REAL *dx, const REAL *dy, const uint8_t *codes, ptrdiff_t planes,
                             ptrdiff_t begin, ptrdiff_t end) {
    if (g->kernel == 2)
        NAME(spread_pairs)(0, g, dx, dy, codes, 1, 1, planes, begin, end);
    else if (g->left)
        NAME(spread_planes)(1, g, dx, dy, codes, planes, begin, end);
    else
        NAME(spread_planes)(0, g, dx, dy, codes, planes, begin, end);
}

static void NAME(mean_spread)(const pycnn_pooling *g, REAL *dx, const REAL *dy, REAL divisor, ptrdiff_t planes,
                              ptrdiff_t begin, ptrdiff_t end) {
    int exponent;
    const int exact = fabs(frexp((double)divisor, &exponent)) == 0.5; /* a power of two */
    NAME(spread_pairs)(1, g, dx, dy, 0, exact ? 1 / divisor : divisor, exact, planes, begin, end);
}

static uint8_t NAME(top_code)(const uint8_t *codes, ptrdiff_t n) {
    uint8_t top = 0;
    ptrdiff_t i = 0;
#if defined(PYCNN_ISA_AVX512) || defined(PYCNN_ISA_AVX2)
    __m256i tops = _mm256_setzero_si256();
    uint8_t lane[32];
    for (; i + 32 <= n; i += 32) tops = _mm256_max_epu8(tops, _mm256_loadu_si256((const __m256i *)(codes + i)));
    _mm256_storeu_si256((__m256i *)lane, tops);
    for (int j = 0; j < 32; j++) top = lane[j] > top ? lane[j] : top;
#elif defined(PYCNN_ISA_NEON)
    uint8x16_t tops = vdupq_n_u8(0);
    for (; i + 16 <= n; i += 16) tops = vmaxq_u8(tops, vld1q_u8(codes + i));
    top = vmaxvq_u8(tops);
#endif
    for (; i < n; i++) top = codes[i] > top ? codes[i] : top;
    return top;
}

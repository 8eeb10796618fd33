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

/* What window o gives to the cell of tap `tap`, in every lane. 0 where there is no such window. */
ALWAYS_INLINE vec NAME(one_seen)(const NAME(seen) * row, ptrdiff_t o, ptrdiff_t width, int tap) {
    if (o < 0 || o >= width) return vzero();
    return pkeep(cequal(cset(row->codes[o]), cset(row->code + tap)), vset(row->dy[o]));
}

/* The windows beside a vector of windows are the same ones, shifted, but for the one at the end. */
WINDOW_INLINE void NAME(spread_vector)(const int left, const int inside, const int rows, const NAME(seen) * row,
                                       ptrdiff_t q, ptrdiff_t width, vec *even, vec *odd) {
    const ptrdiff_t room = width - q, lanes = room < 0 ? 0 : AT_MOST(room, VL);
    vec e = vzero(), o = vzero();
    for (int r = 0; r < rows; r++, row++) {
        const vec dy = NAME(window_cells)(inside, row->dy, q, width, vzero());
        const cvec codes = inside ? cload(row->codes + q) : cload_range(row->codes + q, 0, lanes);
        const pmask first = cequal(codes, cset(row->code)), second = cequal(codes, cset(row->code + 1));
        const pmask third = cequal(codes, cset(row->code + 2));
        if (left) {
            e = padd_if(second, e, dy);
            o = padd_if(third, o, dy);
            o = vadd(o, pbefore(pkeep(first, dy), NAME(one_seen)(row, q + VL, width, 0)));
        } else {
            e = vadd(e, pafter(NAME(one_seen)(row, q - 1, width, 2), pkeep(third, dy)));
            e = padd_if(first, e, dy);
            o = padd_if(second, o, dy);
        }
    }
    *even = e;
    *odd = o;
}

WINDOW_INLINE void NAME(spread_row)(const int left, const int rows, REAL *dx, const NAME(seen) * row,
                                    const pycnn_pooling *g) {
    const ptrdiff_t pairs = (g->width + 1) / 2, last = pairs > VL ? pairs - VL : 0;
    for (ptrdiff_t q = 0;; q += VL) {
        q = AT_MOST(q, last);
        const int inside = q + VL <= g->out_width;
        vec even, odd;
        if (inside)
            NAME(spread_vector)(left, 1, rows, row, q, g->out_width, &even, &odd);
        else
            NAME(spread_vector)(left, 0, rows, row, q, g->out_width, &even, &odd);
        NAME(store_pairs)(dx + 2 * q, even, odd, g->width - 2 * q);
        if (q == last) return;
    }
}

WINDOW_INLINE void NAME(spread_planes)(const int left, const pycnn_pooling *g, REAL *dx,
                                       const REAL *dy, const uint8_t *codes, ptrdiff_t planes, ptrdiff_t begin,
                                       ptrdiff_t end) {
    for (ptrdiff_t p = 0; p < planes; p++) {
        for (ptrdiff_t i = begin; i < end; i++) {
            REAL *to = dx + i * g->width;
            NAME(seen) row[2];
            int rows = 0;
            for (ptrdiff_t tap = 2; tap >= 0; tap--) { /* windows from the top */
                const ptrdiff_t o = (i + g->top - tap) / 2;
                if (((i + g->top - tap) & 1) || i + g->top < tap || o >= g->out_height) continue;
                row[rows].dy = dy + o * g->out_width;
                row[rows].codes = codes + o * g->out_width;
                row[rows++].code = (int)tap * 3;
            }
            if (rows == 2)
                NAME(spread_row)(left, 2, to, row, g);
            else if (rows == 1)
                NAME(spread_row)(left, 1, to, row, g);
            else
                NAME(fill_run)(to, g->width, 0);
        }
        dx += g->height * g->width;
        dy += g->out_height * g->out_width;
        codes += g->out_height * g->out_width;
    }
}

/* 2 x 2 windows side by side, dy for one of its cells or in equal parts: two rows of cells for each row of windows. */
WINDOW_INLINE void NAME(pairs_of_rows)(const int mean, const int inside, const pycnn_pooling *g, REAL *dx,
                                       const REAL *dy, const uint8_t *codes, REAL divisor, const int exact,
                                       ptrdiff_t q, ptrdiff_t rows) {
    const ptrdiff_t n = g->width - 2 * q, lanes = g->out_width - q;
    const vec sum = vadd(NAME(window_cells)(inside, dy, q, g->out_width, vzero()), vzero());
    if (mean) {
        const vec share = exact ? vmul(sum, vset(divisor)) : vdiv(sum, vset(divisor));
        for (ptrdiff_t r = 0; r < rows; r++) NAME(store_pairs)(dx + r * g->width + 2 * q, share, share, n);
        return;
    }
    const cvec code = inside ? cload(codes + q) : cload_range(codes + q, 0, AT_MOST(lanes, VL));
    for (int r = 0; r < rows; r++)
        NAME(store_pairs)(dx + r * g->width + 2 * q, pkeep(cequal(code, cset(2 * r)), sum),
                          pkeep(cequal(code, cset(2 * r + 1)), sum), n);
}

WINDOW_INLINE void NAME(spread_pairs)(const int mean, const pycnn_pooling *g, REAL *dx, const REAL *dy,
                                      const uint8_t *codes, REAL divisor, const int exact, ptrdiff_t planes,
                                      ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t pairs = (g->width + 1) / 2, last = pairs > VL ? pairs - VL : 0;
    for (ptrdiff_t p = 0; p < planes; p++) {
        for (ptrdiff_t i = begin; i < end; i += 2) {
            const ptrdiff_t rows = AT_MOST(2, end - i), at = i / 2 * g->out_width;
            REAL *to = dx + i * g->width;
            if (i / 2 >= g->out_height) {
                NAME(fill_run)(to, rows * g->width, 0);
                continue;
            }
            const uint8_t *code = mean ? codes : codes + at;
            for (ptrdiff_t q = 0;; q += VL) {
                q = AT_MOST(q, last);
                if (q + VL <= g->out_width)
                    NAME(pairs_of_rows)(mean, 1, g, to, dy + at, code, divisor, exact, q, rows);
                else
                    NAME(pairs_of_rows)(mean, 0, g, to, dy + at, code, divisor, exact, q, rows);
                if (q == last) break;
            }
        }
        dx += g->height * g->width;
        dy += g->out_height * g->out_width;
        if (!mean) codes += g->out_height * g->out_width;
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

/* Rows of maxima, one instruction set, one number type. Included by pool.inc.h.
 *
 * Taps are compared in scan order and only a better one takes over (pbetter), so ties go to the first and the first NaN
 * stays. `kind` and often `taps` are constants at the call, so each case becomes a loop of its own. */

enum { NAME(MAX_VALUES), NAME(MAX_FIRST), NAME(MAX_PADDED), NAME(MAX_NEXT) };

/* One vector of results; lanes < VL at the end of a run. `at` and `arg_at`: where it lies from src[t], src_arg[t]. */
ALWAYS_INLINE void NAME(max_vector)(const int kind, const int full, ptrdiff_t lanes, REAL *dst, uint8_t *arg,
                                    const uint8_t *first, const REAL *const *src, ptrdiff_t at,
                                    const uint8_t *const *src_arg, ptrdiff_t arg_at, const uint8_t *code,
                                    ptrdiff_t taps) {
    const int has_arg = kind != NAME(MAX_VALUES);
    const ptrdiff_t begin = kind == NAME(MAX_PADDED) ? 0 : 1;
    vec best;
    cvec won = cset(0);
    if (kind == NAME(MAX_PADDED)) {
        best = vset((REAL)-INFINITY);
        won = full ? cload(first) : cload_part(first, lanes);
    } else {
        best = full ? vload(src[0] + at) : pload_part(src[0] + at, lanes);
        if (has_arg) won = cset(code[0]);
        if (kind == NAME(MAX_NEXT))
            won = cadd(won, full ? cload(src_arg[0] + arg_at) : cload_part(src_arg[0] + arg_at, lanes));
    }
    for (ptrdiff_t t = begin; t < taps; t++) {
        const vec v = full ? vload(src[t] + at) : pload_part(src[t] + at, lanes);
        const pmask better = pbetter(v, best);
        best = pselect(better, v, best);
        if (has_arg) {
            cvec here = cset(code[t]);
            if (kind == NAME(MAX_NEXT))
                here = cadd(here, full ? cload(src_arg[t] + arg_at) : cload_part(src_arg[t] + arg_at, lanes));
            won = cselect(better, here, won);
        }
    }
    if (full)
        vstore(dst, best);
    else
        pstore_part(dst, best, lanes);
    if (has_arg && full) cstore(arg, won);
    if (has_arg && !full) cstore_part(arg, won, lanes);
}

ALWAYS_INLINE void NAME(max_runs)(const int kind, REAL *dst, ptrdiff_t dst_step, uint8_t *arg, ptrdiff_t arg_step,
                                  const uint8_t *first, const REAL *const *src, ptrdiff_t src_step,
                                  const uint8_t *const *src_arg, ptrdiff_t src_arg_step, const uint8_t *code,
                                  ptrdiff_t taps, ptrdiff_t n, ptrdiff_t blocks) {
    for (ptrdiff_t b = 0; b < blocks; b++) {
        const ptrdiff_t at = b * src_step, arg_at = b * src_arg_step;
        REAL *d = dst + b * dst_step;
        uint8_t *a = kind == NAME(MAX_VALUES) ? arg : arg + b * arg_step;
        ptrdiff_t j = 0;
        for (; j + VL <= n; j += VL)
            NAME(max_vector)(kind, 1, VL, d + j, a + j, first + j, src, at + j, src_arg, arg_at + j, code, taps);
        if (j < n)
            NAME(max_vector)(kind, 0, n - j, d + j, a + j, first + j, src, at + j, src_arg, arg_at + j, code, taps);
    }
}

/* Two and three taps are what most networks have: unrolled. */
#define UNROLL_TAPS(call) \
    if (taps == 2)        \
        call(2);          \
    else if (taps == 3)   \
        call(3);          \
    else                  \
        call(taps);

static void NAME(max_values)(REAL *dst, ptrdiff_t dst_step, const REAL *const *src, ptrdiff_t src_step, ptrdiff_t taps,
                             ptrdiff_t n, ptrdiff_t blocks) {
    uint8_t none[1] = {0};
#define CALL(k) NAME(max_runs)(NAME(MAX_VALUES), dst, dst_step, none, 0, none, src, src_step, 0, 0, none, k, n, blocks)
    UNROLL_TAPS(CALL)
#undef CALL
}

static void NAME(max_first)(REAL *dst, ptrdiff_t dst_step, uint8_t *arg, ptrdiff_t arg_step, const uint8_t *first,
                            const REAL *const *src, ptrdiff_t src_step, const uint8_t *code, ptrdiff_t taps,
                            ptrdiff_t n, ptrdiff_t blocks) {
#define CALL(k) NAME(max_runs)(kind, dst, dst_step, arg, arg_step, first, src, src_step, 0, 0, code, k, n, blocks)
    if (first) {
        const int kind = NAME(MAX_PADDED);
        UNROLL_TAPS(CALL)
    } else {
        const int kind = NAME(MAX_FIRST);
        first = code;
        UNROLL_TAPS(CALL)
    }
#undef CALL
}

static void NAME(max_next)(REAL *dst, ptrdiff_t dst_step, uint8_t *arg, ptrdiff_t arg_step, const REAL *const *src,
                           ptrdiff_t src_step, const uint8_t *const *src_arg, ptrdiff_t src_arg_step,
                           const uint8_t *code, ptrdiff_t taps, ptrdiff_t n, ptrdiff_t blocks) {
#define CALL(k)                                                                                                      \
    NAME(max_runs)(NAME(MAX_NEXT), dst, dst_step, arg, arg_step, code, src, src_step, src_arg, src_arg_step, code, k, \
                   n, blocks)
    UNROLL_TAPS(CALL)
#undef CALL
}
#undef UNROLL_TAPS

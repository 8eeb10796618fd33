/* Depthwise sums with channels in the lanes, for planes whose channels lie side by side. Neither the kernel's size nor
 * its steps matter: where a tap finds its cell says a table of pointers, which the caller makes once for all channels.
 * Cells outside are a line of zeros.
 *
 *   sum   8, 7 or 4 pixels, all taps: taps + 1 loads for each product's vector, which is what two loads (or one, as wide
 *         as the products) a cycle allow
 *   dot   9, 7, 5, 3 taps or one, all pixels
 *
 * The last vector overlaps the one before; a single one is cut. */

#define DC_LOAD(p) (part ? NAME(load_part)((p), 0, n) : vload(p))

ALWAYS_INLINE void NAME(dc_sum_tile)(const int rows, const int part, REAL *dst, ptrdiff_t pixel, ptrdiff_t used,
                                     const REAL *const *cell, ptrdiff_t taps, const ptrdiff_t *at, const REAL *weight,
                                     const ptrdiff_t *weight_at, const REAL *bias, ptrdiff_t n,
                                     const pycnn_ahead *ahead) {
    ptrdiff_t c = 0;
    do {
        vec sum[8];
        for (ptrdiff_t k = 0; k < ahead->rows; k++) {
            const REAL *next = (const REAL *)ahead->src + k * ahead->line + c;
            for (ptrdiff_t r = 0; r < ahead->pixels; r++) PREFETCH(next + r * ahead->pixel);
        }
        if (!part && n - c < VL) c = n - VL;
        const vec b = DC_LOAD(bias + c);
        UNROLL for (int r = 0; r < rows; r++) sum[r] = b;
        for (ptrdiff_t t = 0; t < taps; t++) {
            const REAL *const *from = cell + at[t];
            const vec w = DC_LOAD(weight + weight_at[t] + c);
            UNROLL for (int r = 0; r < rows; r++) sum[r] = vfma(w, DC_LOAD(from[r] + c), sum[r]);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            if (r >= used) break;
            if (part)
                vstore_part(dst + r * pixel, sum[r], n);
            else
                vstore(dst + r * pixel + c, sum[r]);
        }
        c += VL;
    } while (c < n);
}

static void NAME(dc_sum)(REAL *dst, ptrdiff_t pixel, ptrdiff_t pixels, const REAL *const *cell, ptrdiff_t taps,
                         const ptrdiff_t *at, const REAL *weight, const ptrdiff_t *weight_at, const REAL *bias,
                         ptrdiff_t n, const pycnn_ahead *ahead) {
    if (n < VL) {
        for (ptrdiff_t r = 0; r < pixels; r += 4)
            NAME(dc_sum_tile)(4, 1, dst + r * pixel, pixel, pixels - r, cell + r, taps, at, weight, weight_at, bias,
                              n, ahead);
    } else if (pixels == 8) {
        NAME(dc_sum_tile)(8, 0, dst, pixel, 8, cell, taps, at, weight, weight_at, bias, n, ahead);
    } else if (pixels > 4) {
        NAME(dc_sum_tile)(7, 0, dst, pixel, pixels, cell, taps, at, weight, weight_at, bias, n, ahead);
    } else {
        NAME(dc_sum_tile)(4, 0, dst, pixel, pixels, cell, taps, at, weight, weight_at, bias, n, ahead);
    }
}

ALWAYS_INLINE void NAME(dc_dot_tile)(const int taps, const int part, REAL *sums, ptrdiff_t step, const REAL *dy,
                                     ptrdiff_t pixel, ptrdiff_t pixels, const REAL *const *cell, const ptrdiff_t *at,
                                     ptrdiff_t n, const pycnn_ahead *ahead) {
    ptrdiff_t c = 0;
    do {
        vec sum[9];
        REAL *to = sums + c;
        UNROLL for (int t = 0; t < taps; t++) sum[t] = vload(to + t * step);
        if (!part && n - c < VL) c = n - VL;
        for (ptrdiff_t r = 0; r < pixels; r++) {
            const vec d = DC_LOAD(dy + r * pixel + c);
            if (ahead) {
                const REAL *next = (const REAL *)ahead->src + r * ahead->pixels * ahead->pixel + c;
                PREFETCH(dy + (pixels + r) * pixel + c);
                for (ptrdiff_t k = 0; k < ahead->rows; k++, next += ahead->line)
                    for (ptrdiff_t f = 0; f < ahead->pixels; f++) PREFETCH(next + f * ahead->pixel);
            }
            UNROLL for (int t = 0; t < taps; t++) sum[t] = vfma(DC_LOAD(cell[at[t] + r] + c), d, sum[t]);
        }
        UNROLL for (int t = 0; t < taps; t++) vstore(to + t * step, sum[t]);
        c += VL;
    } while (c < n);
}

static void NAME(dc_dot)(REAL *sums, ptrdiff_t step, const REAL *dy, ptrdiff_t pixel, ptrdiff_t pixels,
                         const REAL *const *cell, ptrdiff_t taps, const ptrdiff_t *at, ptrdiff_t n,
                         const pycnn_ahead *ahead) {
    for (ptrdiff_t t = 0; t < taps;) {
        const ptrdiff_t left = taps - t;
        REAL *to = sums + t * step;
        const ptrdiff_t *where = at + t;
#define DC_TAPS(count, part)                                                                  \
    {                                                                                         \
        NAME(dc_dot_tile)(count, part, to, step, dy, pixel, pixels, cell, where, n, t ? NULL : ahead);          \
        t += count;                                                                           \
    }
        if (n < VL) DC_TAPS(1, 1)
        else if (left == 9 || left == 18) DC_TAPS(9, 0)
        else if (left % 7 == 0) DC_TAPS(7, 0)
        else if (left >= 5) DC_TAPS(5, 0)
        else if (left >= 3) DC_TAPS(3, 0)
        else DC_TAPS(1, 0)
#undef DC_TAPS
    }
}
#undef DC_LOAD

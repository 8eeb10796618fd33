/* The transforms of Winograd's convolution, one instruction set, one number type. Lanes are channels or filters.
 *
 * A tile of m x m outputs of a 3x3 convolution is   Y = A' [ (G g G') * (B' d B) ] A   with * point by point, d the
 * (m + 2) x (m + 2) inputs and g the weights: (m + 2)^2 products instead of 9 m^2. One-dimensional matrices from the
 * points p = 0, +-a, +-b and infinity: A' evaluates at powers of p, row p of G is (1, p, p^2) / N_p, row p of B' holds
 * the coefficients of M_p(x) = prod (x - q) over the other points q, and N_p = M_p(p). m = 2: +-1. m = 4: a = sqrt(1/2),
 * b = sqrt(2), whose rounding error is half that of 1 and 2.
 *
 * A side of three or two outputs at the end of a line, m = 4, does without -b, or +-b: U is the same, so that all tiles
 * meet the same weights, and the inputs take over the factors of N_p that are too many there.
 *
 * The gradient of the weights is the same with y as a filter of m x m taps and nine outputs: H is G with m columns, C'
 * is A' with three rows.
 *
 * Sources: Winograd, "Arithmetic Complexity of Computations" (1980); Lavin and Gray, CVPR 2016 (arXiv 1509.09308);
 * Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution" (arXiv 1803.10986). */

#define ROOT2 ((REAL)1.4142135623730950488)

/* B' d, m + 2 -> m + 2 */
ALWAYS_INLINE void NAME(wino_input_1d)(const int m, const vec *d, vec *o) {
    if (m == 2) {
        o[0] = vsub(d[0], d[2]);
        o[1] = vadd(d[1], d[2]);
        o[2] = vsub(d[2], d[1]);
        o[3] = vsub(d[3], d[1]);
        return;
    }
    const vec minus2 = vset(-2), half = vset((REAL)-0.5), mid = vset((REAL)-2.5);
    const vec odd_a = vfma(minus2, d[1], d[3]), even_a = vfma(minus2, d[2], d[4]);
    const vec odd_b = vfma(half, d[1], d[3]), even_b = vfma(half, d[2], d[4]);
    o[0] = vfma(mid, d[2], vadd(d[0], d[4]));
    o[1] = vfma(vset(ROOT2 / 2), odd_a, even_a);
    o[2] = vfma(vset(-ROOT2 / 2), odd_a, even_a);
    o[3] = vfma(vset(ROOT2), odd_b, even_b);
    o[4] = vfma(vset(-ROOT2), odd_b, even_b);
    o[5] = vfma(mid, d[3], vadd(d[1], d[5]));
}

/* The same for a side of n - 2 outputs of m = 4, n = 5 or 4, without the points -b, and b: row p is M_p without their
 * factors, times what N_p has of them. */
ALWAYS_INLINE void NAME(wino_short_1d)(const int n, const vec *d, vec *o) {
    const vec mid = vmul(vset((REAL)-1.5), d[2]);
    if (n == 4) {
        o[0] = vfma(vset(-2), d[2], d[0]);
        o[1] = vfma(vset(-ROOT2 * (REAL)0.75), d[1], mid);
        o[2] = vfma(vset(ROOT2 * (REAL)0.75), d[1], mid);
        o[5] = vfma(vset((REAL)-0.5), d[1], d[3]);
        return;
    }
    const vec odd = vfma(vset((REAL)-0.5), d[1], d[3]);
    o[0] = vfma(vset(ROOT2), odd, vfma(vset(-2), d[2], d[0]));
    o[1] = vfma(vset(ROOT2 * (REAL)1.5), vsub(d[3], d[1]), mid);
    o[2] = vfma(vset(ROOT2 / 2), vadd(d[3], d[1]), mid);
    o[3] = vmul(vset(2 * ROOT2), odd);
    o[5] = vfma(vset(-ROOT2), odd, vfma(vset((REAL)-0.5), d[2], d[4]));
}

/* The first `rows` rows of A' s, m + 2 -> rows; infinity counts in the last one: rows = m, or 3 for C'. */
ALWAYS_INLINE void NAME(wino_output_1d)(const int m, const int rows, const vec *s, vec *o) {
    const vec sum1 = vadd(s[1], s[2]), dif1 = vsub(s[1], s[2]);
    if (m == 2) {
        o[0] = vadd(s[0], sum1);
        o[1] = rows == 2 ? vadd(dif1, s[3]) : dif1;
        if (rows == 3) o[2] = vadd(sum1, s[3]);
        return;
    }
    const vec sum2 = vadd(s[3], s[4]), dif2 = vsub(s[3], s[4]);
    o[0] = vadd(s[0], vadd(sum1, sum2));
    o[1] = vfma(vset(ROOT2), dif2, vmul(vset(ROOT2 / 2), dif1));
    o[2] = vfma(vset(2), sum2, vmul(vset((REAL)0.5), sum1));
    if (rows == 3)
        o[2] = vadd(o[2], s[5]);
    else
        o[3] = vfma(vset(2 * ROOT2), dif2, vfma(vset(ROOT2 / 4), dif1, s[5]));
}

/* G g with `taps` columns: 3 for the weights, m for H. */
ALWAYS_INLINE void NAME(wino_filter_1d)(const int m, const int taps, const vec *g, vec *o) {
    if (m == 2) {
        const vec half = vset((REAL)0.5);
        const vec even = vmul(half, taps == 3 ? vadd(g[0], g[2]) : g[0]), odd = vmul(half, g[1]);
        o[0] = g[0];
        o[1] = vadd(even, odd);
        o[2] = vsub(even, odd);
        o[3] = g[taps - 1];
        return;
    }
    const REAL na = (REAL)(-2.0 / 3.0), nb = (REAL)(1.0 / 6.0);
    const vec odd_a = taps == 4 ? vfma(vset((REAL)0.5), g[3], g[1]) : g[1];
    const vec odd_b = taps == 4 ? vfma(vset(2), g[3], g[1]) : g[1];
    const vec even_a = vmul(vset(na), vfma(vset((REAL)0.5), g[2], g[0]));
    const vec even_b = vmul(vset(nb), vfma(vset(2), g[2], g[0]));
    o[0] = g[0];
    o[1] = vfma(vset(na * ROOT2 / 2), odd_a, even_a);
    o[2] = vfma(vset(-na * ROOT2 / 2), odd_a, even_a);
    o[3] = vfma(vset(nb * ROOT2), odd_b, even_b);
    o[4] = vfma(vset(-nb * ROOT2), odd_b, even_b);
    o[5] = g[taps - 1];
}

/* ---- between planes and lanes */

static void NAME(to_lanes)(REAL *RESTRICT lines, const REAL *RESTRICT src, ptrdiff_t channel_step, ptrdiff_t pixel_step,
                           ptrdiff_t pixels, ptrdiff_t channels) {
    if (channel_step == 1) {
        for (ptrdiff_t p = 0; p < pixels; p++, src += pixel_step, lines += VL)
            vstore(lines, channels == VL ? vload(src) : NAME(load_part)(src, 0, channels));
        return;
    }
    ptrdiff_t c = 0;
    if (pixel_step == 1 && channels == TALL && pixels >= 4) {
        for (ptrdiff_t p = 0; p + 4 <= pixels; p += 4) NAME(transpose_strip)(lines + p * VL, VL, src + p, channel_step);
        if (pixels % 4) /* the last strip overlaps the one before */
            NAME(transpose_strip)(lines + (pixels - 4) * VL, VL, src + pixels - 4, channel_step);
        return;
    }
    if (pixel_step == 1 && pixels >= BLOCK)
        for (; c + BLOCK <= channels; c += BLOCK) {
            const REAL *plane = src + c * channel_step;
            for (ptrdiff_t p = 0; p + BLOCK <= pixels; p += BLOCK)
                NAME(transpose_block)(lines + p * VL + c, VL, plane + p, channel_step);
            if (pixels % BLOCK) /* the last block overlaps the one before */
                NAME(transpose_block)(lines + (pixels - BLOCK) * VL + c, VL, plane + pixels - BLOCK, channel_step);
        }
    for (; c < channels; c++)
        for (ptrdiff_t p = 0; p < pixels; p++) lines[p * VL + c] = src[c * channel_step + p * pixel_step];
}

static void NAME(from_lanes)(REAL *RESTRICT dst, const REAL *RESTRICT lines, ptrdiff_t channel_step,
                             ptrdiff_t pixel_step, ptrdiff_t pixels, ptrdiff_t channels) {
    if (channel_step == 1 && channels == VL)
        for (ptrdiff_t p = 0; p < pixels; p++) vstore(dst + p * pixel_step, vload(lines + p * VL));
    else
        NAME(put_pixels)(dst, channel_step, pixel_step, lines, VL, pixels, channels);
}

/* Whether the lanes of `zeros`, products with 0, are all 0: a NaN comes from a value that is not finite. */
ALWAYS_INLINE int NAME(wino_finite)(vec zeros, ptrdiff_t lanes) {
    REAL lane[VL], sum = 0;
    vstore(lane, zeros);
    for (ptrdiff_t i = 0; i < lanes; i++) sum += lane[i];
    return sum == 0;
}

/* ---- tiles on their way in: a transform of their columns, then one of their rows */

/* The transforms of n sides: values of a side are `step` apart, its points dst_step, the sides next and dst_next. With
 * stride 2, `odd` is the way from the even pixels to the odd ones. m and delta are constants, so a side's loops unroll. */
#define EACH_SIDE(name, side, m, delta)                                                                                \
    static void NAME(name)(REAL *RESTRICT dst, ptrdiff_t dst_step, ptrdiff_t dst_next, const REAL *RESTRICT src,       \
                           ptrdiff_t step, ptrdiff_t next, ptrdiff_t odd, ptrdiff_t n) {                               \
        for (; n > 0; n--, src += next, dst += dst_next) NAME(side)(m, delta, dst, dst_step, src, step, odd);          \
    }

ALWAYS_INLINE void NAME(wino_side)(const int m, const int delta, REAL *RESTRICT dst, ptrdiff_t dst_step,
                                   const REAL *RESTRICT src, ptrdiff_t src_step, ptrdiff_t odd) {
    const int n = m + 2, values = delta ? m : n;
    vec d[6], o[6];
    (void)odd;
    UNROLL for (int i = 0; i < values; i++) d[i] = vload(src + i * src_step);
    if (delta)
        NAME(wino_filter_1d)(m, m, d, o);
    else
        NAME(wino_input_1d)(m, d, o);
    UNROLL for (int i = 0; i < n; i++) vstore(dst + i * dst_step, o[i]);
}
EACH_SIDE(wino_input_sides2, wino_side, 2, 0)
EACH_SIDE(wino_input_sides4, wino_side, 4, 0)
EACH_SIDE(wino_delta_sides2, wino_side, 2, 1)
EACH_SIDE(wino_delta_sides4, wino_side, 4, 1)

/* A side of n - 2 outputs or deltas, without the points that it lacks. */
ALWAYS_INLINE void NAME(wino_short_side)(const int n, const int delta, REAL *RESTRICT dst, ptrdiff_t dst_step,
                                         const REAL *RESTRICT src, ptrdiff_t src_step, ptrdiff_t odd) {
    vec d[6], o[6];
    (void)odd;
    UNROLL for (int i = 0; i < 6; i++) d[i] = i < (delta ? n - 2 : n) ? vload(src + i * src_step) : vzero();
    if (delta) {
        NAME(wino_filter_1d)(4, 4, d, o);
        o[5] = d[n - 3];
    } else {
        NAME(wino_short_1d)(n, d, o);
    }
    UNROLL for (int i = 0; i < 6; i++)
        if (i < n - 1 || i == 5) vstore(dst + i * dst_step, o[i]);
}
EACH_SIDE(wino_input_short5, wino_short_side, 5, 0)
EACH_SIDE(wino_input_short4, wino_short_side, 4, 0)
EACH_SIDE(wino_delta_short5, wino_short_side, 5, 1)
EACH_SIDE(wino_delta_short4, wino_short_side, 4, 1)

/* Whether a side that lacks `cut` points has point i. */
ALWAYS_INLINE int NAME(wino_has)(ptrdiff_t cut, int i) { return i < 3 || i == 5 || (i == 3 ? cut < 2 : cut < 1); }

#include "winograd_strided.inc.h"

static void NAME(wino_tiles)(int kind, int delta, REAL *v, ptrdiff_t xi_step, ptrdiff_t tile_step, ptrdiff_t tiles,
                             REAL *space, const REAL *lines, ptrdiff_t cols, ptrdiff_t left, const pycnn_phases *p) {
    static void (*const all[2][5])(REAL *, ptrdiff_t, ptrdiff_t, const REAL *, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                                   ptrdiff_t) = {
        {NAME(wino_input_sides2), NAME(wino_input_sides4), NAME(strided_input_sides),
         NAME(wino_input_short5), NAME(wino_input_short4)},
        {NAME(wino_delta_sides2), NAME(wino_delta_sides4), NAME(strided_delta_sides),
         NAME(wino_delta_short5), NAME(wino_delta_short4)},
    };
    const int n = kind == 2 ? 9 : kind == 1 ? 6 : 4;
    const ptrdiff_t step = (kind ? 4 : 2) * p->spacing, width = step * tiles + (delta ? 0 : kind == 2 ? 1 : 2);
    const int rows_kind = p->cut_rows ? 2 + (int)p->cut_rows : kind;
    const int last_kind = p->cut_cols ? 2 + (int)p->cut_cols : kind;
    all[delta][rows_kind](space + left * VL, width * VL, VL, lines, p->spacing * cols * VL, VL, p->row * cols * VL, cols);
    for (int i = 0; i < n; i++, space += width * VL) {
        if (p->cut_rows && !NAME(wino_has)(p->cut_rows, i)) continue;
        for (ptrdiff_t col = 0; col < left; col++) vstore(space + col * VL, vzero());
        for (ptrdiff_t col = left + cols; col < width; col++) vstore(space + col * VL, vzero());
        all[delta][kind](v + i * n * xi_step, xi_step, tile_step, space, p->spacing * VL, step * VL, p->col * VL,
                         tiles - 1);
        all[delta][last_kind](v + i * n * xi_step + (tiles - 1 + p->jump) * tile_step, xi_step, tile_step,
                              space + (tiles - 1) * step * VL, p->spacing * VL, step * VL, p->col * VL, 1);
    }
}

static void NAME(wino_input)(int kind, REAL *v, ptrdiff_t xi_step, ptrdiff_t tile_step, ptrdiff_t tiles, REAL *space,
                             const REAL *lines, ptrdiff_t cols, ptrdiff_t left, const pycnn_phases *phases) {
    NAME(wino_tiles)(kind, 0, v, xi_step, tile_step, tiles, space, lines, cols, left, phases);
}

static void NAME(wino_delta)(int kind, REAL *p, ptrdiff_t xi_step, ptrdiff_t tile_step, ptrdiff_t tiles, REAL *space,
                             const REAL *lines, ptrdiff_t cols, const pycnn_phases *phases) {
    const pycnn_phases together = {1, 0, 0, phases->cut_rows, phases->cut_cols, phases->jump};
    NAME(wino_tiles)(kind, 1, p, xi_step, tile_step, tiles, space, lines, cols, 0, &together);
}

/* ---- tiles on their way out, and weights; m is a constant at every call, so the loops over points unroll */

/* o = A' s of a side that lacks `cut` points; infinity counts in its last row. */
ALWAYS_INLINE void NAME(wino_cut_1d)(const int m, const int cut, vec *s, vec *o) {
    const vec last = s[m + 1];
    if (cut) s[m + 1] = vzero();
    NAME(wino_output_1d)(m, m, s, o);
    if (cut) o[m - 1 - cut] = vadd(o[m - 1 - cut], last);
}

ALWAYS_INLINE vec NAME(wino_output_tile)(const int m, const int cut_rows, const int cut_cols, REAL *RESTRICT lines,
                                         ptrdiff_t pitch, const REAL *RESTRICT s, ptrdiff_t xi_step, vec bias,
                                         vec zeros) {
    const int n = m + 2;
    vec half[4][6], d[6], o[4];
    UNROLL for (int j = 0; j < n; j++) {
        UNROLL for (int i = 0; i < n; i++) {
            const int has = m == 2 || (NAME(wino_has)(cut_rows, i) && NAME(wino_has)(cut_cols, j));
            d[i] = has ? vload(s + (i * n + j) * xi_step) : vzero();
        }
        NAME(wino_cut_1d)(m, cut_rows, d, o);
        UNROLL for (int i = 0; i < m; i++) half[i][j] = o[i];
    }
    UNROLL for (int i = 0; i < m; i++) {
        NAME(wino_cut_1d)(m, cut_cols, half[i], o);
        UNROLL for (int j = 0; j < m; j++) {
            o[j] = vadd(o[j], bias);
            zeros = vfma(o[j], vzero(), zeros);
            vstore(lines + (i * pitch + j) * VL, o[j]);
        }
    }
    return zeros;
}

/* The same where cuts are not constants: once for all of them, as it is for few tiles. */
static vec NAME(wino_output_cut)(int cut_rows, int cut_cols, REAL *lines, ptrdiff_t pitch, const REAL *s,
                                 ptrdiff_t xi_step, vec bias, vec zeros) {
    return NAME(wino_output_tile)(4, cut_rows, cut_cols, lines, pitch, s, xi_step, bias, zeros);
}

ALWAYS_INLINE int NAME(wino_output)(const int m, REAL *RESTRICT lines, ptrdiff_t pitch, const REAL *RESTRICT s,
                                    ptrdiff_t xi_step, ptrdiff_t tile_step, ptrdiff_t tiles,
                                    const REAL *RESTRICT bias, ptrdiff_t lanes, const pycnn_phases *phases) {
    const vec b = vload(bias);
    const int rows = m == 2 ? 0 : (int)phases->cut_rows;
    vec zeros = vzero();
    for (ptrdiff_t t = tiles - 1; t >= 0; t--) {
        const int end = t == tiles - 1, cols = m == 2 || !end ? 0 : (int)phases->cut_cols;
        const REAL *tile = s + (t + (end ? phases->jump : 0)) * tile_step;
        REAL *out = lines + m * t * VL;
        if (rows || cols)
            zeros = NAME(wino_output_cut)(rows, cols, out, pitch, tile, xi_step, b, zeros);
        else
            zeros = NAME(wino_output_tile)(m, 0, 0, out, pitch, tile, xi_step, b, zeros);
    }
    return NAME(wino_finite)(zeros, lanes);
}

ALWAYS_INLINE void NAME(wino_weights)(const int m, REAL *RESTRICT u, ptrdiff_t xi_step, ptrdiff_t u_step,
                                      const REAL *RESTRICT lines, ptrdiff_t channels, int turned) {
    const int n = m + 2;
    for (ptrdiff_t c = 0; c < channels; c++, u += u_step, lines += 9 * VL) {
        vec half[6][3], g[3], o[6];
        UNROLL for (int j = 0; j < 3; j++) {
            UNROLL for (int i = 0; i < 3; i++) g[i] = vload(lines + (turned ? 8 - (3 * i + j) : 3 * i + j) * VL);
            NAME(wino_filter_1d)(m, 3, g, o);
            UNROLL for (int i = 0; i < n; i++) half[i][j] = o[i];
        }
        UNROLL for (int i = 0; i < n; i++) {
            NAME(wino_filter_1d)(m, 3, half[i], o);
            UNROLL for (int j = 0; j < n; j++) vstore(u + (i * n + j) * xi_step, o[j]);
        }
    }
}

ALWAYS_INLINE int NAME(wino_gradient)(const int m, REAL *RESTRICT lines, const REAL *RESTRICT s, ptrdiff_t xi_step,
                                      ptrdiff_t lanes) {
    const int n = m + 2;
    vec zeros = vzero();
    vec half[3][6], d[6], o[3];
    UNROLL for (int j = 0; j < n; j++) {
        UNROLL for (int i = 0; i < n; i++) d[i] = vload(s + (i * n + j) * xi_step);
        NAME(wino_output_1d)(m, 3, d, o);
        UNROLL for (int i = 0; i < 3; i++) half[i][j] = o[i];
    }
    UNROLL for (int i = 0; i < 3; i++) {
        NAME(wino_output_1d)(m, 3, half[i], o);
        UNROLL for (int j = 0; j < 3; j++) {
            zeros = vfma(o[j], vzero(), zeros);
            vstore(lines + (3 * i + j) * VL, o[j]);
        }
    }
    return NAME(wino_finite)(zeros, lanes);
}

#define WINOGRAD(m)                                                                                                    \
    static int NAME(wino_output##m)(REAL * lines, ptrdiff_t pitch, const REAL *s, ptrdiff_t xi_step,                   \
                                    ptrdiff_t tile_step, ptrdiff_t tiles, const REAL *bias, ptrdiff_t lanes,           \
                                    const pycnn_phases *phases) {                                                      \
        return NAME(wino_output)(m, lines, pitch, s, xi_step, tile_step, tiles, bias, lanes, phases);                  \
    }                                                                                                                  \
    static void NAME(wino_weights##m)(REAL * u, ptrdiff_t xi_step, ptrdiff_t u_step, const REAL *lines,                \
                                      ptrdiff_t channels, int turned) {                                                \
        NAME(wino_weights)(m, u, xi_step, u_step, lines, channels, turned);                                            \
    }                                                                                                                  \
    static int NAME(wino_gradient##m)(REAL * lines, const REAL *s, ptrdiff_t xi_step, ptrdiff_t lanes) {               \
        return NAME(wino_gradient)(m, lines, s, xi_step, lanes);                                                       \
    }
WINOGRAD(2)
WINOGRAD(4)
#undef WINOGRAD

static const TYPED(pycnn_winograd) NAME(winograd_table) = {
    VL,
    NAME(to_lanes),
    NAME(from_lanes),
    NAME(wino_input),
    {NAME(wino_output2), NAME(wino_output4), NAME(strided_output), NAME(strided_spread)},
    {NAME(wino_weights2), NAME(wino_weights4), NAME(strided_weights)},
    NAME(wino_delta),
    {NAME(wino_gradient2), NAME(wino_gradient4), NAME(strided_gradient)},
};
#undef ROOT2

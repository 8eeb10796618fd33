/* Winograd's transforms of a 3x3 convolution with stride 2. Included by winograd.inc.h.
 *
 * Along one side the outer taps meet the even pixels e, the middle tap the odd ones o:  y_i = g0 e_i + g2 e_(i+1) +
 * g1 o_i. The outer taps are F(4, 3) with a first tap of 0, whose product at the point 0 is 0 and left out: five products
 * for four outputs. The odd pixels are multiplied as they are, four more. Nine "points" a side: 81 products for 4 x 4
 * outputs instead of 144. The four odd ones share their weight, so there are 6 x 6 transformed weights.
 *
 * The gradient for the input has the same parts: deltas y make the pixels g1 y_i of one phase and g2 y_(i-1) + g0 y_i of
 * the other, so five deltas make nine points, and those 8 pixels. The gradient of the weights: outer taps by H and C' of
 * F(4, 3) without the point 0, the middle one as the sum of y_i o_i, whose four products end in one sum. */

/* Nine points of a side: src has the even pixels, or deltas, and from src + odd the odd ones. */
ALWAYS_INLINE void NAME(strided_side)(const int m, const int delta, REAL *RESTRICT dst, ptrdiff_t dst_step,
                                      const REAL *RESTRICT src, ptrdiff_t src_step, ptrdiff_t odd) {
    const int n = m + 1, values = delta ? m : n;
    vec d[6], o[6];
    d[0] = vzero();
    UNROLL for (int i = 0; i < values; i++) d[i + !delta] = vload(src + i * src_step);
    if (delta)
        NAME(wino_filter_1d)(m, m, d, o);
    else
        NAME(wino_input_1d)(m, d, o);
    UNROLL for (int i = 0; i < n; i++) vstore(dst + i * dst_step, o[i + 1]);
    UNROLL for (int i = 0; i < m; i++) vstore(dst + (n + i) * dst_step, vload(src + odd + i * src_step));
}
EACH_SIDE(strided_input_sides, strided_side, 4, 0)
EACH_SIDE(strided_delta_sides, strided_side, 4, 1)
#undef EACH_SIDE

/* Four outputs of each of n sides; spread: eight, the odd ones first where `odd_first`. With a bias, also counts what is
 * not finite: zeros += 0 * outputs. */
ALWAYS_INLINE void NAME(strided_sums)(const int spread, REAL *RESTRICT dst, ptrdiff_t dst_step, ptrdiff_t dst_next,
                                      const REAL *RESTRICT s, ptrdiff_t step, ptrdiff_t next, int n, int odd_first,
                                      const REAL *RESTRICT bias, REAL *RESTRICT zeros) {
    const int m = spread ? 8 : 4;
    const ptrdiff_t odd_at = odd_first ? 0 : dst_step, even_at = dst_step - odd_at;
    for (; n > 0; n--, s += next, dst += dst_next) {
        vec d[6], o[8];
        UNROLL for (int i = 0; i < 5; i++) d[i + 1] = vload(s + i * step);
        UNROLL for (int i = 0; i < 4; i++) o[4 + i] = vload(s + (i + 5) * step);
        d[0] = spread ? vzero() : o[4];
        NAME(wino_output_1d)(4, 4, d, o);
        if (!spread) {
            UNROLL for (int i = 1; i < 4; i++) o[i] = vadd(o[i], o[4 + i]);
        }
        if (bias) {
            const vec b = vload(bias);
            vec sum = vload(zeros);
            UNROLL for (int i = 0; i < m; i++) {
                o[i] = vadd(o[i], b);
                sum = vfma(o[i], vzero(), sum);
            }
            vstore(zeros, sum);
        }
        UNROLL for (int i = 0; i < 4; i++) {
            vstore(dst + (spread ? 2 * i * dst_step + even_at : i * dst_step), o[i]);
            if (spread) vstore(dst + 2 * i * dst_step + odd_at, o[4 + i]);
        }
    }
}

static void NAME(strided_sums4)(REAL *dst, ptrdiff_t dst_step, ptrdiff_t dst_next, const REAL *s, ptrdiff_t step,
                                ptrdiff_t next, int n, int odd_first, const REAL *bias, REAL *zeros) {
    NAME(strided_sums)(0, dst, dst_step, dst_next, s, step, next, n, odd_first, bias, zeros);
}

static void NAME(strided_sums8)(REAL *dst, ptrdiff_t dst_step, ptrdiff_t dst_next, const REAL *s, ptrdiff_t step,
                                ptrdiff_t next, int n, int odd_first, const REAL *bias, REAL *zeros) {
    NAME(strided_sums)(1, dst, dst_step, dst_next, s, step, next, n, odd_first, bias, zeros);
}

static int NAME(strided_write)(int m, REAL *lines, ptrdiff_t pitch, const REAL *s, ptrdiff_t xi_step,
                               ptrdiff_t tile_step, ptrdiff_t tiles, const REAL *bias, ptrdiff_t lanes,
                               const pycnn_phases *p) {
    void (*const sums)(REAL *, ptrdiff_t, ptrdiff_t, const REAL *, ptrdiff_t, ptrdiff_t, int, int, const REAL *,
                       REAL *) = m == 8 ? NAME(strided_sums8) : NAME(strided_sums4);
    REAL half[8 * 9 * VL], zeros[VL] = {0};
    for (ptrdiff_t t = tiles - 1; t >= 0; t--) {
        sums(half, 9 * VL, VL, s + t * tile_step, 9 * xi_step, xi_step, 9, !p->row, NULL, NULL);
        sums(lines + m * t * VL, VL, pitch * VL, half, VL, 9 * VL, m, !p->col, bias, zeros);
    }
    return NAME(wino_finite)(vload(zeros), lanes);
}

static int NAME(strided_output)(REAL *lines, ptrdiff_t pitch, const REAL *s, ptrdiff_t xi_step, ptrdiff_t tile_step,
                                ptrdiff_t tiles, const REAL *bias, ptrdiff_t lanes, const pycnn_phases *phases) {
    return NAME(strided_write)(4, lines, pitch, s, xi_step, tile_step, tiles, bias, lanes, phases);
}

static int NAME(strided_spread)(REAL *lines, ptrdiff_t pitch, const REAL *s, ptrdiff_t xi_step, ptrdiff_t tile_step,
                                ptrdiff_t tiles, const REAL *bias, ptrdiff_t lanes, const pycnn_phases *phases) {
    return NAME(strided_write)(8, lines, pitch, s, xi_step, tile_step, tiles, bias, lanes, phases);
}

/* Three taps of a side to six points: five of the outer taps, the middle one. */
ALWAYS_INLINE void NAME(strided_taps)(REAL *RESTRICT dst, ptrdiff_t dst_step, const vec *g) {
    const vec outer[3] = {vzero(), g[0], g[2]};
    vec o[6];
    NAME(wino_filter_1d)(4, 3, outer, o);
    UNROLL for (int i = 0; i < 5; i++) vstore(dst + i * dst_step, o[i + 1]);
    vstore(dst + 5 * dst_step, g[1]);
}

static void NAME(strided_weights)(REAL *RESTRICT u, ptrdiff_t xi_step, ptrdiff_t u_step, const REAL *RESTRICT lines,
                                  ptrdiff_t channels, int turned) {
    REAL half[3 * 6 * VL];
    vec g[3];
    for (ptrdiff_t c = 0; c < channels; c++, u += u_step, lines += 9 * VL) {
        for (int j = 0; j < 3; j++) {
            UNROLL for (int i = 0; i < 3; i++) g[i] = vload(lines + (turned ? 8 - (3 * i + j) : 3 * i + j) * VL);
            NAME(strided_taps)(half + j * VL, 3 * VL, g);
        }
        for (int i = 0; i < 6; i++) {
            UNROLL for (int j = 0; j < 3; j++) g[j] = vload(half + (3 * i + j) * VL);
            NAME(strided_taps)(u + 6 * i * xi_step, xi_step, g);
        }
    }
}

/* Six sums of a side to the gradients of its three taps. */
ALWAYS_INLINE void NAME(strided_gradients)(const REAL *RESTRICT s, ptrdiff_t step, vec *o) {
    vec d[6];
    d[0] = vzero();
    UNROLL for (int i = 0; i < 5; i++) d[i + 1] = vload(s + i * step);
    NAME(wino_output_1d)(4, 3, d, o);
    o[0] = o[1];
    o[1] = vload(s + 5 * step);
}

static int NAME(strided_gradient)(REAL *RESTRICT lines, const REAL *RESTRICT s, ptrdiff_t xi_step, ptrdiff_t lanes) {
    REAL half[3 * 6 * VL];
    vec zeros = vzero(), o[3];
    for (int j = 0; j < 6; j++) {
        NAME(strided_gradients)(s + j * xi_step, 6 * xi_step, o);
        UNROLL for (int i = 0; i < 3; i++) vstore(half + (6 * i + j) * VL, o[i]);
    }
    for (int i = 0; i < 3; i++) {
        NAME(strided_gradients)(half + 6 * i * VL, VL, o);
        UNROLL for (int j = 0; j < 3; j++) {
            zeros = vfma(o[j], vzero(), zeros);
            vstore(lines + (3 * i + j) * VL, o[j]);
        }
    }
    return NAME(wino_finite)(zeros, lanes);
}

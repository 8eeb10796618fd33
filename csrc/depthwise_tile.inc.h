/* The register tiles of depthwise_direct.inc.h, for one width of vector: T(name) names them; TL lanes, tvec, and the
 * operations tload(p, mask) tset tzero tfma tstore tstore_part teven todd tlow thigh are that width's; theld(v) is its
 * part of a vector of the full width, twide(v) such a vector with zeros behind. kw = 0: any number of columns, in a
 * loop; else `held` has all the weights. */

/* Taps j and, where both, j + 1 of vectors two columns apart. */
ALWAYS_INLINE void T(sum_pair)(const int rows, const int kh, const int kw, const int both, tvec *sum,
                               const REAL *const *line, ptrdiff_t at, const vlanes *mask, ptrdiff_t j, ptrdiff_t taps,
                               const pycnn_direct *p, const REAL *weight, const vec *held) {
    tvec w[2][5];
    UNROLL for (int i = 0; i < kh; i++) {
        w[0][i] = kw ? theld(held[i * kw + j]) : tset(weight[(i * taps + j) * p->weight_step]);
        if (both) w[1][i] = kw ? theld(held[i * kw + j + 1]) : tset(weight[(i * taps + j + 1) * p->weight_step]);
    }
    const vlanes low = mask[j], high = mask[j + 1];
    UNROLL for (int y = 0; y < 2 * (rows - 1) + kh; y++) {
        const tvec a = tload(line[y] + at + j, low), b = tload(line[y] + at + j + TL, high);
        const tvec even = teven(a, b), odd = both ? todd(a, b) : even;
        UNROLL for (int r = 0; r < rows; r++) {
            const int i = y - 2 * r;
            if (i < 0 || i >= kh) continue;
            sum[r] = tfma(w[0][i], even, sum[r]);
            if (both) sum[r] = tfma(w[1][i], odd, sum[r]);
        }
    }
}

ALWAYS_INLINE void T(sum_column)(const int rows, const int kh, const int kw, tvec *sum, const REAL *const *line,
                                 ptrdiff_t at, vlanes mask, ptrdiff_t j, ptrdiff_t taps,
                                 const pycnn_direct *p, const REAL *weight, const vec *held) {
    tvec w[7];
    UNROLL for (int i = 0; i < kh; i++)
        w[i] = kw ? theld(held[i * kw + j]) : tset(weight[(i * taps + j) * p->weight_step]);
    UNROLL for (int y = 0; y < rows + kh - 1; y++) {
        const tvec v = tload(line[y] + at, mask);
        UNROLL for (int r = 0; r < rows; r++)
            if (y - r >= 0 && y - r < kh) sum[r] = tfma(w[y - r], v, sum[r]);
    }
}

/* One vector of `rows` rows of outputs, of which `count` are wanted; at: the source column of its first tap. */
ALWAYS_INLINE void T(sum)(const int rows, const int kh, const int kw, const int stride, REAL *dst, ptrdiff_t dst_line,
                          const REAL *const *line, ptrdiff_t at, const vlanes *mask, const pycnn_direct *p,
                          const REAL *weight, const vec *held, REAL bias, ptrdiff_t count, ptrdiff_t lanes) {
    tvec sum[7];
    UNROLL for (int r = 0; r < rows; r++) sum[r] = tset(bias);
    if (stride == 1) {
        UNROLL for (int y = 0; y < rows + kh - 1; y++) {
            UNROLL for (int j = 0; j < kw; j++) {
                if (!DD_BY_ROWS) continue;
                const tvec v = tload(line[y] + at + j * p->col_step, mask[j]);
                UNROLL for (int r = 0; r < rows; r++)
                    if (y - r >= 0 && y - r < kh) sum[r] = tfma(theld(held[(y - r) * kw + j]), v, sum[r]);
            }
        }
        UNROLL for (int j = 0; j < kw; j++)
            if (!DD_BY_ROWS)
                T(sum_column)(rows, kh, kw, sum, line, at + j * p->col_step, mask[j], j, kw, p, weight, held);
        if (!kw)
            for (ptrdiff_t j = 0; j < p->kw; j++)
                T(sum_column)(rows, kh, 0, sum, line, at + j * p->col_step, mask[j], j, p->kw, p, weight, held);
    } else if (kw) {
        T(sum_pair)(rows, kh, kw, 1, sum, line, at, mask, 0, 3, p, weight, held);
        T(sum_pair)(rows, kh, kw, 0, sum, line, at, mask, 2, 3, p, weight, held);
    } else {
        ptrdiff_t j = 0;
        for (; j + 2 <= p->kw; j += 2) T(sum_pair)(rows, kh, 0, 1, sum, line, at, mask, j, p->kw, p, weight, held);
        if (j < p->kw) T(sum_pair)(rows, kh, 0, 0, sum, line, at, mask, j, p->kw, p, weight, held);
    }
    if (lanes == TL) {
        UNROLL for (int r = 0; r < rows; r++)
            if (r < count) tstore(dst + r * dst_line, sum[r]);
    } else {
        UNROLL for (int r = 0; r < rows; r++)
            if (r < count) tstore_part(dst + r * dst_line, sum[r], lanes);
    }
}

/* 2 * rows rows of 2 * TL columns of a gradient with stride 2, rows first .. last - 1 of them wanted. */
ALWAYS_INLINE void T(spread)(const int rows, const int kh, REAL *dst, const REAL *const *line, ptrdiff_t at,
                             const vlanes *mask, const pycnn_direct *p, const REAL *weight, REAL bias, ptrdiff_t first,
                             ptrdiff_t last, ptrdiff_t cells) {
    tvec sum[2][2][4]; /* [column][row][pair of rows] */
    UNROLL for (int f = 0; f < 2; f++) {
        UNROLL for (int r = 0; r < rows; r++) sum[f][0][r] = sum[f][1][r] = tset(bias);
        for (ptrdiff_t j = (f + p->left) & 1; j < p->kw; j += 2) {
            const ptrdiff_t place = at + (f + p->left - j) / 2;
            const vlanes m = mask[j];
            tvec w[5];
            UNROLL for (int i = 0; i < kh; i++) w[i] = tset(weight[(i * p->kw + j) * p->weight_step]);
            UNROLL for (int y = 0; y < rows + (kh - 1) / 2; y++) {
                const tvec v = tload(line[y] + place, m);
                UNROLL for (int r = 0; r < rows; r++) {
                    const int i = 2 * (r + (kh - 1) / 2 - y); /* of the second row; the first has the odd ones */
                    if (i >= 1 && i - 1 < kh) sum[f][0][r] = tfma(w[i - 1], v, sum[f][0][r]);
                    if (i >= 0 && i < kh) sum[f][1][r] = tfma(w[i], v, sum[f][1][r]);
                }
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int e = 0; e < 2; e++) {
            REAL *to = dst + (2 * r + e) * p->dst_line;
            const tvec low = tlow(sum[0][e][r], sum[1][e][r]), high = thigh(sum[0][e][r], sum[1][e][r]);
            if (2 * r + e < first || 2 * r + e >= last) continue;
            if (cells == 2 * TL) {
                tstore(to, low);
                tstore(to + TL, high);
            } else if (cells >= TL) {
                tstore(to, low);
                if (cells > TL) tstore_part(to + TL, high, cells - TL);
            } else {
                tstore_part(to, low, cells);
            }
        }
    }
}

/* sum[i * columns + jj] of taps (i, j + jj); with stride 2 j is even. */
ALWAYS_INLINE void T(dot)(const int rows, const int kh, const int columns, const int stride, tvec *sum,
                          const REAL *const *line, ptrdiff_t at, const vlanes *mask, const pycnn_direct *p, ptrdiff_t j,
                          const REAL *dy, ptrdiff_t dy_line, vlanes wanted) {
    tvec d[7];
    UNROLL for (int r = 0; r < rows; r++) d[r] = tload(dy + r * dy_line, wanted);
    UNROLL for (int y = 0; y < (rows - 1) * stride + kh; y++) {
        tvec a = tzero(), b = tzero();
        UNROLL for (int jj = 0; jj < columns; jj++) {
            const REAL *from = line[y] + at + (stride == 1 ? (j + jj) * p->col_step : j + jj);
            if (stride == 1) {
                a = tload(from, mask[j + jj]);
            } else if (jj % 2 == 0) {
                a = tload(from, mask[j + jj]);
                b = tload(from + TL, mask[j + jj + 1]);
            }
            const tvec v = stride == 1 ? a : jj % 2 ? todd(a, b) : teven(a, b);
            UNROLL for (int r = 0; r < rows; r++) {
                const int i = y - r * stride;
                if (i >= 0 && i < kh) sum[i * columns + jj] = tfma(v, d[r], sum[i * columns + jj]);
            }
        }
    }
}

/* Columns j .. j + columns - 1 of the kernel. */
ALWAYS_INLINE void T(dot_plane)(const int kh, const int columns, const int stride, vec *sums, const REAL *src,
                                const REAL *dy, const REAL *zero, const pycnn_direct *p,
                                const NAME(dd_panel) *panel, ptrdiff_t j) {
    const REAL *line[DD_SOURCES];
    const ptrdiff_t step = p->row_step;
    tvec sum[10];
    UNROLL for (int i = 0; i < kh; i++)
        UNROLL for (int jj = 0; jj < columns; jj++) sum[i * columns + jj] = theld(sums[i * p->kw + j + jj]);
    for (ptrdiff_t e = p->first; e < p->first + step && e < p->rows; e++) {
        const ptrdiff_t n = step == 1 ? p->rows - e : (p->rows - e + step - 1) / step;
        for (ptrdiff_t t = 0; t < n;) {
            const int most = stride == 1 ? DD_ROWS : 4, rows = n - t < most ? 1 : most;
            const ptrdiff_t row = e + t * step;
            const REAL *d = dy + row * p->dst_line;
            const REAL *next = src + ((row + 2 * most * step) * stride - p->top) * p->src_line;
            NAME(dd_lines)(line, (rows - 1) * stride + kh, src, zero, p, row * stride - p->top, step);
            for (ptrdiff_t b = 0; b < panel->count; b++) {
                const ptrdiff_t c = panel->at[b], at = c * stride - p->left;
                const vlanes *mask = panel->mask[b], wanted = panel->wanted[b];
                if (kh == 3) { /* larger kernels go through the planes once for each column, with less to do */
                    NAME(dd_ask)(most, 1, d + c + 2 * most * step * p->dst_line, step * p->dst_line, TL);
                    NAME(dd_ask)(most * stride, stride, next + at, step * p->src_line, TL);
                }
                if (rows > 1)
                    T(dot)(stride == 1 ? DD_ROWS : 4, kh, columns, stride, sum, line, at, mask, p, j, d + c,
                           step * p->dst_line, wanted);
                else
                    T(dot)(1, kh, columns, stride, sum, line, at, mask, p, j, d + c, 0, wanted);
            }
            t += rows;
        }
    }
    UNROLL for (int i = 0; i < kh; i++)
        UNROLL for (int jj = 0; jj < columns; jj++) sums[i * p->kw + j + jj] = twide(sum[i * columns + jj]);
}

/* Sums over one plane, as depthwise convolution takes them: see depthwise.inc.h and pycnn_window in tiles.h. */
typedef struct {
    /* dst[(r * stride + f) * width + j] = src[r * line + (j * stride + f - lead) * pixel], 0 where that is none of the
     * cells 0 .. size - 1 of the row; f < stride (1 or 2), j < width. width and, where it is positive, lead / stride are
     * whole vectors. Behind the last row come the zeros that rows begin with. */
    void (*pad)(REAL *dst, ptrdiff_t width, const REAL *src, ptrdiff_t line, ptrdiff_t pixel, ptrdiff_t size,
                ptrdiff_t lead, ptrdiff_t stride, ptrdiff_t rows);

    /* dst[r][c] = bias + sum_{i, j} src[r][c, tap (i, j)] * weight[i * kw + j]; accumulate: dst takes the place of
     * bias. Each sum runs over j, then i. */
    void (*sum)(REAL *dst, const REAL *src, const REAL *weight, const pycnn_window *window, REAL bias, int accumulate);

    /* sums[(i * kw + j) * vl + lane] += sum_{r, c} src[r][c, tap (i, j)] * dy[r][c], some c in each lane. */
    void (*dot)(REAL *sums, const REAL *src, const REAL *dy, const pycnn_window *window);

    /* dst[i] = the sum of the lanes of sums[i * vl] of all slices, for i < count. */
    void (*fold)(REAL *dst, const REAL *sums, ptrdiff_t count, ptrdiff_t slices, ptrdiff_t slice_step);
} T(pycnn_depthwise);

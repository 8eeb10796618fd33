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

    /* The same sums for several planes without a copy; NULL where the instruction set has no masked loads. zero: as
     * many zeros as src has columns. direct: 3, 5 or 7 rows of taps with stride 1, 3 or 5 with stride 2, at most 7
     * columns. spread: the gradient of stride 2, 3 or 5 rows of taps. products: dst[i * kw + j] = the sum of src times
     * dy of all images, for the kernels of direct. */
    void (*direct)(REAL *dst, const REAL *src, const REAL *weight, const REAL *bias, const REAL *zero,
                   const pycnn_direct *p);
    void (*spread)(REAL *dst, const REAL *src, const REAL *weight, const REAL *bias, const REAL *zero,
                   const pycnn_direct *p);
    void (*products)(REAL *dst, const REAL *src, const REAL *dy, const REAL *zero, const pycnn_direct *p);

    /* Channels side by side, c < n: dst[r * pixel + c] = bias[c] + sum_t cell[at[t] + r][c] * weight[weight_at[t] + c]
     * for r < pixels <= 8, in the order of the taps t. Up to cell[at[t] + 7] there have to be pointers to n values. */
    void (*sum_channels)(REAL *dst, ptrdiff_t pixel, ptrdiff_t pixels, const REAL *const *cell, ptrdiff_t taps,
                         const ptrdiff_t *at, const REAL *weight, const ptrdiff_t *weight_at, const REAL *bias,
                         ptrdiff_t n, const pycnn_ahead *ahead);

    /* sums[t * step + i] += sum_{r < pixels} cell[at[t] + r][c] * dy[r * pixel + c], c = i, but in the last vector of i,
     * which may reach beyond n, it ends with c = n - 1. ahead: as many of its pixels for each of dy. */
    void (*dot_channels)(REAL *sums, ptrdiff_t step, const REAL *dy, ptrdiff_t pixel, ptrdiff_t pixels,
                         const REAL *const *cell, ptrdiff_t taps, const ptrdiff_t *at, ptrdiff_t n,
                         const pycnn_ahead *ahead);
} T(pycnn_depthwise);

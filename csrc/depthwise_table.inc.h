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
} T(pycnn_depthwise);

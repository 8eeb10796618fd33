/* Sums of few products each, lanes along the rows of outputs: see few.inc.h. */
typedef struct {
    /* dst[m * dst_row + spot.dst + j] = bias[m] + sum_{c, t} src[c * channel_step + offset[t] + spot.src + j] *
     * weight(m, c, t) for the lanes j of each of n spots. Weights: [m / mr][c][t][mr], zeros where m >= rows. Spots are
     * stored in order; bias may be NULL. far: past the caches, where that suits. */
    void (*sum)(REAL *dst, ptrdiff_t dst_row, ptrdiff_t rows, const REAL *src, ptrdiff_t channels,
                ptrdiff_t channel_step, ptrdiff_t taps, const ptrdiff_t *offset, const REAL *weight, const REAL *bias,
                const pycnn_spot *spots, ptrdiff_t n, int far);

    /* sums[(m * depth + k) * vl + lane] += sum_{r, j} dy[m * dy_step + r * dy_line + j] * src[offset[k] + r * src_line
     * + j] for m < filters, k < depth, r < rows, j < cols: some j in each lane. */
    void (*dot)(REAL *sums, const REAL *dy, ptrdiff_t dy_step, ptrdiff_t dy_line, ptrdiff_t filters, const REAL *src,
                ptrdiff_t src_line, const ptrdiff_t *offset, ptrdiff_t depth, ptrdiff_t rows, ptrdiff_t cols);
} T(pycnn_few);

/* Register tiles of the matrix product, and the copies that feed them: see gemm.inc.h. */

/* c[m][j] (+)= sum_k a(m, k) * b[k][j], all of one tile. */
typedef void (*T(pycnn_gemm_fn))(ptrdiff_t k, const REAL *a, ptrdiff_t a_step, const REAL *b, REAL *c, int accumulate);

/* The same with b in place: row (channel, tap) at b + channel * channel_step + offset[tap]; a is packed as for it. */
typedef void (*T(pycnn_taps_fn))(ptrdiff_t channels, ptrdiff_t channel_step, ptrdiff_t taps, const ptrdiff_t *offset,
                                 const REAL *a, ptrdiff_t a_step, const REAL *b, REAL *c, int accumulate);

#ifndef PYCNN_MR_MAX
#define PYCNN_MR_MAX 8
#endif
typedef struct {
    ptrdiff_t vl; /* lanes of a vector */
    ptrdiff_t mr; /* rows of the full tile */
    ptrdiff_t nr; /* columns of the full tile: three vectors */

    /* [rows - 1][vectors - 1].  b and c are packed: rows of `vectors * vl` values.
     * packed: a(m, k) = a[k * a_step + m];  rows: a(m, k) = a[m * a_step + k]. */
    T(pycnn_gemm_fn) packed[PYCNN_MR_MAX][3];
    T(pycnn_gemm_fn) rows[PYCNN_MR_MAX][3];
    T(pycnn_taps_fn) taps[PYCNN_MR_MAX][3];

    /* dst[c][j] = src[c][j * step] for lo <= j < hi, 0 for the other j in 0 .. length - 1; rows c of dst are dst_step
     * apart, of src src_step apart. */
    void (*pack_run)(REAL *dst, ptrdiff_t dst_step, const REAL *src, ptrdiff_t src_step, ptrdiff_t rows,
                     ptrdiff_t length, ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t step);

    /* A panel: for each channel and tap a row of `width` values, put together from `runs` pieces; pieces[tap][run].
     * Row (c, t) of dst, value piece.begin + j = plane c of src, [piece.src + j * step] for lo <= j < hi, else 0.
     * Writes up to a vector beyond the last piece of a row: rows are written in order, and dst has a vector to spare. */
    void (*pack_panel)(REAL *dst, ptrdiff_t width, const REAL *src, ptrdiff_t channel_step, ptrdiff_t channels,
                       const pycnn_piece *pieces, ptrdiff_t taps, ptrdiff_t runs, ptrdiff_t step);

    /* For each channel `rows` lines of `pitch` values: dst[c][r][j] = src[c][r][j * step] for row_lo <= r < row_hi and
     * lo <= j < hi, else 0. Lines are written in order, and up to a vector beyond the last of each channel. */
    void (*pack_plane)(REAL *dst, ptrdiff_t dst_channel, ptrdiff_t pitch, const REAL *src, ptrdiff_t src_channel,
                       ptrdiff_t src_line, ptrdiff_t channels, ptrdiff_t rows, ptrdiff_t row_lo, ptrdiff_t row_hi,
                       ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t step);

    /* For each stretch: dst[m * dst_row + place + j * step] = tile[m * width + begin + j] + bias[m] for j < length. */
    void (*store_tile)(REAL *dst, ptrdiff_t dst_row, ptrdiff_t step, const REAL *tile, ptrdiff_t width, ptrdiff_t rows,
                       const pycnn_stretch *stretches, ptrdiff_t n, const REAL *bias);

    /* dst[m * dst_row + place + j * step] = bias[m] + sum_k a[m / mr][k][m % mr] * b[k * b_step + begin + j] for each of
     * n stretches, m < rows and j < length. b_step: vectors * vl, or any where all three vectors are one stretch that
     * goes to dst with step 1; there the first tile leaves b in `copy`, with room for k rows of three vectors, for the
     * other tiles to read, unless it is NULL. bias may be NULL. k rows of what is read next are asked for, from the
     * three places `ahead` on, any addresses. far: 1: to dst past the caches, where that suits; 2: so too, and
     * afterwards other threads see all that went that way. */
    void (*sum_panel)(REAL *dst, ptrdiff_t dst_row, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t k, const REAL *a,
                      const REAL *b, ptrdiff_t b_step, REAL *copy, ptrdiff_t vectors, const pycnn_stretch *stretches,
                      ptrdiff_t n, const REAL *bias, const REAL **ahead, ptrdiff_t ahead_step, int far);

    /* dst[j][i] = src[i][j * step] for i < rows, j < length; rows of dst are dst_step apart. */
    void (*transpose_run)(REAL *dst, ptrdiff_t dst_step, const REAL *src, ptrdiff_t src_step, ptrdiff_t rows,
                          ptrdiff_t length, ptrdiff_t step);

    /* dst[j * step] = src[j] + bias for j < length. */
    void (*store_run)(REAL *dst, const REAL *src, ptrdiff_t length, ptrdiff_t step, REAL bias);

    /* dst[j] = bias + sum_i weight[i] * src[offset[i] + j * step] for j < length, in the order of i. */
    void (*weigh_line)(REAL *dst, const REAL *src, const ptrdiff_t *offset, const REAL *weight, ptrdiff_t n,
                       ptrdiff_t length, ptrdiff_t step, REAL bias);

    /* sums[t][lane] += sum of src[offset[t] + j * step] * other[j] over lo[4 * t] <= j < hi[4 * t], for t < taps; lane
     * by lane: the sum of a tap is the sum of its vl lanes. */
    void (*dot_line)(REAL *sums, const REAL *src, const ptrdiff_t *offset, const ptrdiff_t *lo, const ptrdiff_t *hi,
                     ptrdiff_t taps, const REAL *other, ptrdiff_t step);

    /* c[r] += sum_j a[r * a_step + j] * b[j] for r < rows. */
    void (*dot_rows)(ptrdiff_t length, const REAL *a, ptrdiff_t a_step, ptrdiff_t rows, const REAL *b, REAL *c);
} T(pycnn_gemm);

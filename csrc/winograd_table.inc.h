/* The transforms of Winograd's convolution: see winograd.inc.h. Index 0 is F(2x2, 3x3), 1 is F(4x4, 3x3).
 *
 * `lines`: rows of pixels, `pitch` pixels apart, each pixel a vector of vl channels (lanes). A point xi of the
 * transformed tiles is xi_step values from the one before, a tile tile_step. */
typedef struct {
    ptrdiff_t vl;

    /* lines[p][c] = src[c * channel_step + p * pixel_step] for p < pixels, c < channels <= vl; other lanes stay. */
    void (*to_lanes)(REAL *lines, const REAL *src, ptrdiff_t channel_step, ptrdiff_t pixel_step, ptrdiff_t pixels,
                     ptrdiff_t channels);
    /* dst[c * channel_step + p * pixel_step] = lines[p][c]. */
    void (*from_lanes)(REAL *dst, const REAL *lines, ptrdiff_t channel_step, ptrdiff_t pixel_step, ptrdiff_t pixels,
                       ptrdiff_t channels);

    /* v = B' d B for the tiles of one line of tiles: m + 2 rows of `cols` pixels, to which come `left` columns of zeros
     * before and as many behind as the tiles need. `space`: (m + 2) * (m * tiles + 2) pixels. */
    void (*input[2])(REAL *v, ptrdiff_t xi_step, ptrdiff_t tile_step, ptrdiff_t tiles, REAL *space, const REAL *lines,
                     ptrdiff_t pitch, ptrdiff_t cols, ptrdiff_t left);

    /* lines = A' s A + bias: m rows of m * tiles pixels. Tiles are written from the last to the first, so that with a
     * pitch below m * tiles the pixels beyond the pitch are overwritten by the row below. Returns whether all are
     * finite, in the first `lanes` lanes. */
    int (*output[2])(REAL *lines, ptrdiff_t pitch, const REAL *s, ptrdiff_t xi_step, ptrdiff_t tile_step,
                      ptrdiff_t tiles, const REAL *bias, ptrdiff_t lanes);

    /* u = G g G' for each channel c: lines[c * 9 + tap], turned: the taps in reverse; u is u_step from c to c + 1. */
    void (*weights[2])(REAL *u, ptrdiff_t xi_step, ptrdiff_t u_step, const REAL *lines, ptrdiff_t channels, int turned);

    /* p = H y H' of the deltas, as `input`: m rows of `cols` pixels, zeros behind them. `space`: (m + 2) * m * tiles. */
    void (*delta[2])(REAL *p, ptrdiff_t xi_step, ptrdiff_t tile_step, ptrdiff_t tiles, REAL *space, const REAL *lines,
                     ptrdiff_t pitch, ptrdiff_t cols);

    /* lines[tap] = the nine weight gradients from the (m + 2)^2 sums of their points. Returns as `output`. */
    int (*gradient[2])(REAL *lines, const REAL *s, ptrdiff_t xi_step, ptrdiff_t lanes);
} T(pycnn_winograd);

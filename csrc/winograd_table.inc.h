/* The transforms of Winograd's convolution: see winograd.inc.h. Kind 0 is F(2x2, 3x3), 1 is F(4x4, 3x3), 2 is 3x3 with
 * stride 2 (winograd_strided.inc.h); for its gradient for the input the output is kind 3.
 *
 * `lines`: rows of pixels, `pitch` pixels apart, or as many as they have, each pixel a vector of vl channels (lanes). A
 * point xi of the transformed tiles is xi_step values from the one before, a tile tile_step. n: points of a side, m + 2
 * or 9; k: of those of the weights, m + 2 or 6; pixels of a tile's side: m + 2 or 4 * spacing + 1 are read, m * spacing
 * further on begin the next tile's, m or 4 or 8 are written. Phases: {1, 0, 0} for kinds 0 and 1. Of kind 1, tiles of
 * three or two outputs a side lack point -b, or b too: their points are those of F(3), F(2) with the same weights. */
typedef struct {
    ptrdiff_t vl;

    /* lines[p][c] = src[c * channel_step + p * pixel_step] for p < pixels, c < channels <= vl; other lanes stay. */
    void (*to_lanes)(REAL *lines, const REAL *src, ptrdiff_t channel_step, ptrdiff_t pixel_step, ptrdiff_t pixels,
                     ptrdiff_t channels);
    /* dst[c * channel_step + p * pixel_step] = lines[p][c]. */
    void (*from_lanes)(REAL *dst, const REAL *lines, ptrdiff_t channel_step, ptrdiff_t pixel_step, ptrdiff_t pixels,
                       ptrdiff_t channels);

    /* v = B' d B for the tiles of one line of tiles: a tile's rows, of `cols` pixels, to which come `left` columns of
     * zeros before and as many behind as the tiles need. `space`: n rows of the tiles' pixels. */
    void (*input)(int kind, REAL *v, ptrdiff_t xi_step, ptrdiff_t tile_step, ptrdiff_t tiles, REAL *space,
                  const REAL *lines, ptrdiff_t cols, ptrdiff_t left, const pycnn_phases *phases);

    /* lines = A' s A + bias: the rows of the tiles' pixels. Tiles are written from the last to the first, so that with a
     * pitch below their width the pixels beyond the pitch are overwritten by the row below. Returns whether all are
     * finite, in the first `lanes` lanes. */
    int (*output[4])(REAL *lines, ptrdiff_t pitch, const REAL *s, ptrdiff_t xi_step, ptrdiff_t tile_step,
                     ptrdiff_t tiles, const REAL *bias, ptrdiff_t lanes, const pycnn_phases *phases);

    /* u = G g G' for each channel c: lines[c * 9 + tap], turned: the taps in reverse; u is u_step from c to c + 1. */
    void (*weights[3])(REAL *u, ptrdiff_t xi_step, ptrdiff_t u_step, const REAL *lines, ptrdiff_t channels, int turned);

    /* p = H y H' of the deltas, as `input`: m rows of `cols` pixels, zeros behind them. `space`: n * m * tiles. */
    void (*delta)(int kind, REAL *p, ptrdiff_t xi_step, ptrdiff_t tile_step, ptrdiff_t tiles, REAL *space,
                  const REAL *lines, ptrdiff_t cols, const pycnn_phases *phases);

    /* lines[tap] = the nine weight gradients from the k^2 sums of their points. Returns as `output`. */
    int (*gradient[3])(REAL *lines, const REAL *s, ptrdiff_t xi_step, ptrdiff_t lanes);
} T(pycnn_winograd);

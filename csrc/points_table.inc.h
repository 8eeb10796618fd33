/* Register tiles with the filters side by side: see points.inc.h. */
typedef struct {
    ptrdiff_t vl; /* lanes of a vector */
    ptrdiff_t mr; /* pixels of the full tile */

    /* [pixels - 1][vectors - 1]: c[place[m]][j] (+)= sum_{c, t} a[pixel[m] + c * channel_step + offset[t]] * b[c][t][j],
     * plus bias[j] where there is one, for j < vectors * vl. b is packed; place is in values. */
    void (*points[PYCNN_MR_MAX][3])(ptrdiff_t channels, ptrdiff_t channel_step, ptrdiff_t taps, const ptrdiff_t *offset,
                                    const REAL *a, const ptrdiff_t *pixel, const REAL *b, const REAL *bias, REAL *c,
                                    const ptrdiff_t *place, int accumulate);

    /* The same with the channels of a pixel side by side: sum_{t, c} a[pixel[m] + offset[t] + c] * b[t][c][j], for up
     * to cells_rows[vectors - 1] pixels; 0: there is none. */
    ptrdiff_t cells_widest; /* vectors */
    ptrdiff_t cells_rows[4];
    void (*cells[PYCNN_MR_MAX][4])(ptrdiff_t channels, ptrdiff_t taps, const ptrdiff_t *offset, const REAL *a,
                                   const ptrdiff_t *pixel, const REAL *b, const REAL *bias, REAL *c,
                                   const ptrdiff_t *place, int accumulate);

    /* Asks for `values` values from each a + pixel[m] on, m < pixels; any addresses will do. */
    void (*ask_points)(const REAL *a, const ptrdiff_t *pixel, ptrdiff_t pixels, ptrdiff_t values);

    /* dst[j * channel_step + p * pixel_step] = src[p * width + j] for p < pixels, j < channels <= width. */
    void (*store_points)(REAL *dst, ptrdiff_t channel_step, ptrdiff_t pixel_step, const REAL *src, ptrdiff_t width,
                         ptrdiff_t pixels, ptrdiff_t channels);
} T(pycnn_points);

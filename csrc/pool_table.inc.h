/* Rows of pooling windows: see pool.inc.h, pool_max.inc.h and pool_bins.inc.h.
 *
 * A call handles `blocks` runs of n cells: block b of an array starts b * <array>_step after its pointer. src[t] points
 * at what tap t of the first window sees. Nothing outside the runs is read or written. */
#define PYCNN_POOL_SLACK 16
#define PYCNN_POOL_WIDTH 1024
typedef struct {
    /* dst[r*dst_row + f*dst_phase + q] = cell q*stride + f - lead of row r of src, `fill` where there is none;
     * for f < phases, q < width. Cells of src are src_step apart, `size` of them to a row. */
    void (*split)(REAL *dst, ptrdiff_t dst_row, ptrdiff_t dst_phase, const REAL *src, ptrdiff_t src_row,
                  ptrdiff_t src_step, ptrdiff_t size, ptrdiff_t lead, ptrdiff_t stride, ptrdiff_t phases,
                  ptrdiff_t width, ptrdiff_t rows, REAL fill);
    /* The way back: cell i of row r of dst = src[r*src_row + f*src_phase + q] where q*stride + f = i + lead.
     * src is scratch memory: up to PYCNN_POOL_SLACK cells beyond its runs are read (and not used). */
    void (*merge)(REAL *dst, ptrdiff_t dst_row, ptrdiff_t dst_step, const REAL *src, ptrdiff_t src_row,
                  ptrdiff_t src_phase, ptrdiff_t size, ptrdiff_t lead, ptrdiff_t stride, ptrdiff_t rows);

    /* dst = sum over taps of src[t] */
    void (*sum_rows)(REAL *dst, ptrdiff_t dst_step, const REAL *const *src, ptrdiff_t src_step, ptrdiff_t taps,
                     ptrdiff_t n, ptrdiff_t blocks);
    /* dst[j] = sum of src[t][j], divided by scale * count[j]; count NULL: by scale. Every `group` taps are summed on
     * their own, then their sums: so that the order of the additions is the same for planar and other images. */
    void (*mean_rows)(REAL *dst, ptrdiff_t dst_step, const REAL *const *src, ptrdiff_t src_step, ptrdiff_t taps,
                      ptrdiff_t group, ptrdiff_t n, ptrdiff_t blocks, const REAL *count, REAL scale);
    /* dst = sum of src[t] / count[t], in groups */
    void (*share_rows)(REAL *dst, ptrdiff_t dst_step, const REAL *const *src, ptrdiff_t src_step, const REAL *count,
                       ptrdiff_t taps, ptrdiff_t group, ptrdiff_t n, ptrdiff_t blocks);
    /* dst[i] = the sum of src[o] for begin[i] <= o < end[i], divided by scale; vectors of all lanes, side by side */
    void (*share_lanes)(REAL *dst, const REAL *src, const ptrdiff_t *begin, const ptrdiff_t *end, ptrdiff_t n,
                        REAL scale);
    /* dst[j] = sum over taps of src[t][j] where place[t][j] == code[t] */
    void (*select_rows)(REAL *dst, ptrdiff_t dst_step, const REAL *const *src, ptrdiff_t src_step,
                        const uint8_t *const *place, ptrdiff_t place_step, const uint8_t *code, ptrdiff_t taps,
                        ptrdiff_t n, ptrdiff_t blocks);
    /* Means over bins of rows x columns cells, rows of src row_step apart: see pool_bins.inc.h.
     * dst[p*dst_step] = the sum of plane p, divided by divisor; columns are contiguous */
    void (*bin_planes)(REAL *dst, ptrdiff_t dst_step, const REAL *src, ptrdiff_t src_step, ptrdiff_t row_step,
                       ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t planes, REAL divisor);
    /* The way back: the n cells of plane p of dst = src[p*src_step] / divisor */
    void (*fill_planes)(REAL *dst, ptrdiff_t dst_step, const REAL *src, ptrdiff_t src_step, ptrdiff_t n,
                        ptrdiff_t planes, REAL divisor);
    /* dst[b*dst_step] = the mean over the columns begin[b] .. end[b] - 1, which are contiguous */
    void (*bin_row)(REAL *dst, ptrdiff_t dst_step, const REAL *src, ptrdiff_t row_step, ptrdiff_t rows,
                    const ptrdiff_t *begin, const ptrdiff_t *end, ptrdiff_t bins);
    /* dst[j] = the sum of the bin in lane j < n, divided by divisor */
    void (*bin_lanes)(REAL *dst, const REAL *src, ptrdiff_t row_step, ptrdiff_t column_step, ptrdiff_t rows,
                      ptrdiff_t columns, ptrdiff_t n, REAL divisor);

    /* dst = the largest of src[t]: the first of equal ones, and the first NaN before all */
    void (*max_values)(REAL *dst, ptrdiff_t dst_step, const REAL *const *src, ptrdiff_t src_step, ptrdiff_t taps,
                       ptrdiff_t n, ptrdiff_t blocks);
    /* and arg = code[t] of the tap that won. With `first`, arg = first[j] where all taps are -inf. */
    void (*max_first)(REAL *dst, ptrdiff_t dst_step, uint8_t *arg, ptrdiff_t arg_step, const uint8_t *first,
                      const REAL *const *src, ptrdiff_t src_step, const uint8_t *code, ptrdiff_t taps, ptrdiff_t n,
                      ptrdiff_t blocks);
    /* and arg = code[t] + src_arg[t][j] of the tap that won */
    void (*max_next)(REAL *dst, ptrdiff_t dst_step, uint8_t *arg, ptrdiff_t arg_step, const REAL *const *src,
                     ptrdiff_t src_step, const uint8_t *const *src_arg, ptrdiff_t src_arg_step, const uint8_t *code,
                     ptrdiff_t taps, ptrdiff_t n, ptrdiff_t blocks);

    /* Whole planes at once, for the windows that most networks have: see pool_window.inc.h and pool_spread.inc.h. Rows
     * begin .. end - 1 of the result, of `planes` planes that follow each other. Windows with stride 1 have one cell of
     * padding on the left and the right, and planes at most PYCNN_POOL_WIDTH wide. */
    /* y = the largest cell of each window; with codes also its place in the window */
    void (*max_windows)(const pycnn_pooling *g, REAL *y, uint8_t *codes, const REAL *x, ptrdiff_t planes,
                        ptrdiff_t begin, ptrdiff_t end);
    /* y[o][p] = the sum of the window, divided by row_count[o] * column_count[p]; without column_count by row_count[o].
     * `exact`, without column_count: times row_count[o]. */
    void (*mean_windows)(const pycnn_pooling *g, REAL *y, const REAL *x, const REAL *row_count,
                         const REAL *column_count, int exact, ptrdiff_t planes, ptrdiff_t begin, ptrdiff_t end);
    /* dx = the sum of dy over the windows whose code names the cell */
    void (*max_spread)(const pycnn_pooling *g, REAL *dx, const REAL *dy, const uint8_t *codes, ptrdiff_t planes,
                       ptrdiff_t begin, ptrdiff_t end);
    /* dx = dy / divisor of the only window that sees the cell; 2 x 2 windows */
    void (*mean_spread)(const pycnn_pooling *g, REAL *dx, const REAL *dy, REAL divisor, ptrdiff_t planes,
                        ptrdiff_t begin, ptrdiff_t end);
    /* The same of 3 x 3 windows with stride 1: a cell gathers from the windows around it, a window of dy. g is that of a
     * forward pass from dy to dx; the rows of such a window are added up before its columns. */
    void (*mean_gather)(const pycnn_pooling *g, REAL *dx, const REAL *dy, REAL divisor, ptrdiff_t planes,
                        ptrdiff_t begin, ptrdiff_t end);
    /* the largest of n bytes, 0 where n is 0 */
    uint8_t (*top_code)(const uint8_t *codes, ptrdiff_t n);
} T(pycnn_pool);

/* Element-wise functions and reductions over contiguous runs: see vector.inc.h. */
typedef struct {
    /* y[i] = x[i] > 0 or NaN ? x[i] : 0 */
    void (*relu)(REAL *y, const REAL *x, ptrdiff_t n);
    /* dx[i] = x[i] <= 0 ? 0 : dy[i] */
    void (*relu_backward)(REAL *dx, const REAL *dy, const REAL *x, ptrdiff_t n);
} T(pycnn_vector);

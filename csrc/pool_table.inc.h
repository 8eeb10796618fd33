/* Rows of pooling windows: see pool.inc.h. */
typedef struct {
    /* acc[j] += src[j * step] for j < length. */
    void (*add_row)(REAL *acc, const REAL *src, ptrdiff_t length, ptrdiff_t step);
} T(pycnn_pool);

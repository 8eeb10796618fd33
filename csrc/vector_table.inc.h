/* Functions over contiguous runs, rows and columns: see vector.inc.h and vector_*.inc.h.
 *
 * One struct serves both number types: a `void *` is an array of the table's number type, a `double *` is what it says.
 * Results may be written over inputs of the same shape (dx == dy, y == x), but not over a part of them. */
#ifndef PYCNN_VECTOR_TABLE_H
#define PYCNN_VECTOR_TABLE_H

enum {
    PYCNN_RELU,
    PYCNN_LEAKY_RELU, /* a: the negative slope */
    PYCNN_SIGMOID,
    PYCNN_TANH,
    PYCNN_SILU,
    PYCNN_GELU,
    PYCNN_GELU_TANH,
    PYCNN_HARDSWISH,
    PYCNN_ACTIVATIONS, /* those above have a backward */
    PYCNN_EXP = PYCNN_ACTIVATIONS,
    PYCNN_LOG,
    PYCNN_UNARY
};

/* Local response normalisation of `width` sites: channel c of site j lies at c * step + j * site_step. The window of
 * channel c is c - before .. c + after, base_c = k + scale * sum of x**2 over it, y_c = x_c * base_c**-beta. */
typedef struct {
    ptrdiff_t channels, step, site_step, width, before, after;
    double scale, beta, k;
} pycnn_response;

/* y[i] = f(x[i]);  dx[i] = dy[i] * f'(x[i]) */
typedef void (*pycnn_unary_fn)(void *y, const void *x, ptrdiff_t n, double a);
typedef void (*pycnn_slope_fn)(void *dx, const void *dy, const void *x, ptrdiff_t n, double a);

typedef struct {
    ptrdiff_t vl; /* lanes of a vector */

    pycnn_unary_fn forward[PYCNN_UNARY];
    pycnn_slope_fn backward[PYCNN_ACTIVATIONS];
    /* y[i] = kept[i] ? scale * x[i] : 0 */
    void (*keep)(void *y, const void *x, const uint8_t *kept, ptrdiff_t n, double scale);
    /* y[i] = a[i] + b[i] */
    void (*add)(void *y, const void *a, const void *b, ptrdiff_t n);

    /* Softmax or, with `log`, its logarithm. rows: each of `rows` runs of n values; columns: n values `step` apart in
     * each of `width` columns. backward: dx from dy and the forward result y. */
    void (*softmax_rows)(void *y, const void *x, ptrdiff_t rows, ptrdiff_t n, int log);
    void (*softmax_columns)(void *y, const void *x, ptrdiff_t n, ptrdiff_t step, ptrdiff_t width, int log);
    void (*softmax_rows_backward)(void *dx, const void *dy, const void *y, ptrdiff_t rows, ptrdiff_t n, int log);
    void (*softmax_columns_backward)(void *dx, const void *dy, const void *y, ptrdiff_t n, ptrdiff_t step,
                                     ptrdiff_t width, int log);

    /* out[] = log sum exp(x) of each row or column */
    void (*log_sum_exp_rows)(double *out, const void *x, ptrdiff_t rows, ptrdiff_t n);
    void (*log_sum_exp_columns)(double *out, const void *x, ptrdiff_t n, ptrdiff_t step, ptrdiff_t width);

    /* (x - t)**2: each, their sum;  dx = scale * (dy ? dy[i] : 1) * (x - t) */
    void (*square_error)(void *y, const void *x, const void *t, ptrdiff_t n);
    double (*square_error_sum)(const void *x, const void *t, ptrdiff_t n);
    void (*square_error_backward)(void *dx, const void *dy, const void *x, const void *t, ptrdiff_t n, double scale);
    /* w * (p t log(1 + exp(-x)) + (1 - t) log(1 + exp(x))); w and p may be NULL for 1 */
    void (*logit_error)(void *y, const void *x, const void *t, const void *w, const void *p, ptrdiff_t n);
    void (*logit_error_backward)(void *dx, const void *dy, const void *x, const void *t, const void *w, const void *p,
                                 ptrdiff_t n, double scale);
    double (*sum)(const void *x, ptrdiff_t n);

    /* sums[0] += sum u, sums[1] += sum u * (x - shift) over `runs` runs of n values, `run_step` apart; u is dy, or
     * x - shift where dy is NULL. columns: the same for each of n neighbouring columns. */
    void (*moments)(double *sums, const void *dy, const void *x, ptrdiff_t runs, ptrdiff_t run_step, ptrdiff_t n,
                    double shift);
    void (*moments_columns)(double *sum, double *product, const void *dy, const void *x, ptrdiff_t rows,
                            ptrdiff_t row_step, ptrdiff_t n, const double *shift);
    /* y = (x - shift) * scale + offset; coefficients: shift, scale, offset, in columns n of each */
    void (*affine)(void *y, const void *x, ptrdiff_t n, const void *coefficients);
    void (*affine_columns)(void *y, const void *x, ptrdiff_t rows, ptrdiff_t n, const void *coefficients);
    /* dx = dy * a + (x - shift) * b + c; coefficients: shift, a, b, c.  Without x: dx = dy * a */
    void (*combine)(void *dx, const void *dy, const void *x, ptrdiff_t n, const void *coefficients);
    void (*combine_columns)(void *dx, const void *dy, const void *x, ptrdiff_t rows, ptrdiff_t n,
                            const void *coefficients);
    /* scratch: 3 * channels * vl values */
    void (*response_norm)(void *y, const void *x, void *scratch, const pycnn_response *r);
    void (*response_norm_backward)(void *dx, const void *dy, const void *x, void *scratch, const pycnn_response *r);

    /* Steps of an optimiser, in place: p and the running arrays, from the gradient.
     * sgd, k: rate, momentum, decay, nesterov: g += decay p; v = momentum v + g; p -= rate * (nesterov ? g + momentum v
     * : v). velocity may be NULL: p -= rate g.
     * adam, k: rate, 1 - b1, b2, 1 - b2, eps, root, decay, shrink: g += decay p; m += (1 - b1) (g - m);
     * v = b2 v + (1 - b2) g**2; p = shrink p - rate m / (sqrt(v) / root + eps) */
    void (*sgd)(void *p, void *velocity, const void *grad, ptrdiff_t n, const double *k);
    void (*adam)(void *p, void *mean, void *square, const void *grad, ptrdiff_t n, const double *k);
} pycnn_vector;

#endif
typedef pycnn_vector T(pycnn_vector);

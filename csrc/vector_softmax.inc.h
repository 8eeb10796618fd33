/* Softmax and its logarithm, one instruction set, one number type.
 *
 * y[i] = exp(x[i] - max x) / sum_j exp(x[j] - max x); the logarithm is (x[i] - max x) - log(sum). A NaN, a +inf, or a
 * row of nothing but -inf makes its row NaN. Sums in double: a loss near 0 is log(1 + small), and the small must not drown
 * in the 1. */

static REAL NAME(row_max)(const REAL *x, ptrdiff_t n) {
    vec most = vset(-(REAL)INFINITY);
    for (ptrdiff_t i = 0; i < n; i += VL) most = vmax(most, NAME(take)(x + i, n - i, -(REAL)INFINITY));
    return vhmax(most);
}

/* sum exp(x - shift); y, where given, gets the terms. */
ALWAYS_INLINE double NAME(row_exp_sum)(REAL *y, const REAL *x, ptrdiff_t n, REAL shift) {
    wvec sum = wzero();
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const vec e = NAME(vexp)(vsub(NAME(take)(x + i, n - i, -(REAL)INFINITY), vset(shift)));
        if (y) NAME(give)(y + i, e, n - i);
        sum = wadd_all(sum, e);
    }
    return wsum(sum);
}

static void NAME(softmax_rows)(void *y_, const void *x_, ptrdiff_t rows, ptrdiff_t n, int log_too) {
    REAL *y = (REAL *)y_;
    const REAL *x = (const REAL *)x_;
    for (ptrdiff_t row = 0; row < rows; row++, x += n, y += n) {
        const REAL most = NAME(row_max)(x, n);
        if (log_too) {
            const REAL log_sum = (REAL)log(NAME(row_exp_sum)(NULL, x, n, most));
            for (ptrdiff_t i = 0; i < n; i += VL)
                NAME(give)(y + i, vsub(vsub(NAME(take)(x + i, n - i, 0), vset(most)), vset(log_sum)), n - i);
        } else {
            const vec share = vset((REAL)(1.0 / NAME(row_exp_sum)(y, x, n, most)));
            for (ptrdiff_t i = 0; i < n; i += VL) NAME(give)(y + i, vmul(NAME(take)(y + i, n - i, 0), share), n - i);
        }
    }
}

/* Adds each lane to a double of its own. */
ALWAYS_INLINE void NAME(add_lanes)(double *total, vec v) {
    REAL lane[VL];
    vstore(lane, v);
    for (int i = 0; i < VL; i++) total[i] += (double)lane[i];
}
ALWAYS_INLINE vec NAME(from_doubles)(const double *total) {
    REAL lane[VL];
    for (int i = 0; i < VL; i++) lane[i] = (REAL)total[i];
    return vload(lane);
}

/* max and sum of exp(x - max) over n values `step` apart, in each lane. */
ALWAYS_INLINE vec NAME(column_sum)(const REAL *x, ptrdiff_t n, ptrdiff_t step, ptrdiff_t left, double *total) {
    vec most = vset(-(REAL)INFINITY);
    for (ptrdiff_t c = 0; c < n; c++) most = vmax(most, NAME(take)(x + c * step, left, 0));
    for (int i = 0; i < VL; i++) total[i] = 0;
    for (ptrdiff_t c = 0; c < n; c++)
        NAME(add_lanes)(total, NAME(vexp)(vsub(NAME(take)(x + c * step, left, 0), most)));
    return most;
}

static void NAME(softmax_columns)(void *y_, const void *x_, ptrdiff_t n, ptrdiff_t step, ptrdiff_t width,
                                  int log_too) {
    for (ptrdiff_t j = 0; j < width; j += VL) {
        REAL *y = (REAL *)y_ + j;
        const REAL *x = (const REAL *)x_ + j;
        const ptrdiff_t left = width - j;
        double total[VL];
        const vec most = NAME(column_sum)(x, n, step, left, total), sum = NAME(from_doubles)(total);
        const vec log_sum = NAME(vlog)(sum), share = vdiv(vset(1), sum);
        for (ptrdiff_t c = 0; c < n; c++) {
            const vec d = vsub(NAME(take)(x + c * step, left, 0), most);
            NAME(give)(y + c * step, log_too ? vsub(d, log_sum) : vmul(NAME(vexp)(d), share), left);
        }
    }
}

/* softmax: dx = y (dy - sum dy y);  log: dx = dy - exp(y) sum dy */
ALWAYS_INLINE vec NAME(softmax_slope)(vec dy, vec y, vec sum, int log_too) {
    return log_too ? vsub(dy, vmul(NAME(vexp)(y), sum)) : vmul(y, vsub(dy, sum));
}

static void NAME(softmax_rows_backward)(void *dx_, const void *dy_, const void *y_, ptrdiff_t rows, ptrdiff_t n,
                                        int log_too) {
    REAL *dx = (REAL *)dx_;
    const REAL *dy = (const REAL *)dy_, *y = (const REAL *)y_;
    for (ptrdiff_t row = 0; row < rows; row++, dx += n, dy += n, y += n) {
        wvec total = wzero();
        for (ptrdiff_t i = 0; i < n; i += VL) {
            const vec d = NAME(take)(dy + i, n - i, 0);
            total = wadd_all(total, log_too ? d : vmul(d, NAME(take)(y + i, n - i, 0)));
        }
        const vec sum = vset((REAL)wsum(total));
        for (ptrdiff_t i = 0; i < n; i += VL) {
            const vec d = NAME(take)(dy + i, n - i, 0), v = NAME(take)(y + i, n - i, 0);
            NAME(give)(dx + i, NAME(softmax_slope)(d, v, sum, log_too), n - i);
        }
    }
}

static void NAME(softmax_columns_backward)(void *dx_, const void *dy_, const void *y_, ptrdiff_t n, ptrdiff_t step,
                                           ptrdiff_t width, int log_too) {
    for (ptrdiff_t j = 0; j < width; j += VL) {
        REAL *dx = (REAL *)dx_ + j;
        const REAL *dy = (const REAL *)dy_ + j, *y = (const REAL *)y_ + j;
        const ptrdiff_t left = width - j;
        double total[VL] = {0};
        for (ptrdiff_t c = 0; c < n; c++) {
            const vec d = NAME(take)(dy + c * step, left, 0);
            NAME(add_lanes)(total, log_too ? d : vmul(d, NAME(take)(y + c * step, left, 0)));
        }
        const vec sum = NAME(from_doubles)(total);
        for (ptrdiff_t c = 0; c < n; c++) {
            const vec d = NAME(take)(dy + c * step, left, 0), v = NAME(take)(y + c * step, left, 0);
            NAME(give)(dx + c * step, NAME(softmax_slope)(d, v, sum, log_too), left);
        }
    }
}

static void NAME(log_sum_exp_rows)(double *out, const void *x_, ptrdiff_t rows, ptrdiff_t n) {
    const REAL *x = (const REAL *)x_;
    for (ptrdiff_t row = 0; row < rows; row++, x += n) {
        const REAL most = NAME(row_max)(x, n);
        out[row] = (double)most + log(NAME(row_exp_sum)(NULL, x, n, most));
    }
}

static void NAME(log_sum_exp_columns)(double *out, const void *x_, ptrdiff_t n, ptrdiff_t step, ptrdiff_t width) {
    for (ptrdiff_t j = 0; j < width; j += VL) {
        const ptrdiff_t left = width - j;
        REAL high[VL];
        double total[VL];
        vstore(high, NAME(column_sum)((const REAL *)x_ + j, n, step, left, total));
        for (ptrdiff_t i = 0; i < VL && i < left; i++) out[j + i] = (double)high[i] + log(total[i]);
    }
}

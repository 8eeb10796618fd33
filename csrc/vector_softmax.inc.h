/* Softmax and its logarithm, one instruction set, one number type.
 *
 * y[i] = exp(x[i] - max x) / sum_j exp(x[j] - max x); the logarithm is (x[i] - max x) - log(sum). A NaN, a +inf, or a
 * row of nothing but -inf makes its row NaN. Sums: 64 vectors in REAL, those in double, so that the error does not grow
 * with the length of the row. */

enum { NAME(fold) = 64 };

static REAL NAME(row_max)(const REAL *x, ptrdiff_t n) {
    vec most = vset(-(REAL)INFINITY);
    for (ptrdiff_t i = 0; i < n; i += VL) most = vmax(most, NAME(take)(x + i, n - i, -(REAL)INFINITY));
    return vhmax(most);
}

/* sum exp(x - shift); y, where given, gets the terms. */
ALWAYS_INLINE double NAME(row_exp_sum)(REAL *y, const REAL *x, ptrdiff_t n, REAL shift) {
    double sum = 0;
    for (ptrdiff_t begin = 0; begin < n; begin += NAME(fold) * VL) {
        const ptrdiff_t end = n - begin > NAME(fold) * VL ? begin + NAME(fold) * VL : n;
        vec part = vzero();
        for (ptrdiff_t i = begin; i < end; i += VL) {
            const vec e = NAME(vexp)(vsub(NAME(take)(x + i, n - i, -(REAL)INFINITY), vset(shift)));
            if (y) NAME(give)(y + i, e, n - i);
            part = vadd(part, e);
        }
        sum += (double)vsum(part);
    }
    return sum;
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

/* max and sum of exp(x - max) over n values `step` apart, in each lane. */
ALWAYS_INLINE void NAME(column_sum)(const REAL *x, ptrdiff_t n, ptrdiff_t step, ptrdiff_t left, vec *most, vec *sum) {
    vec high = vset(-(REAL)INFINITY), total = vzero();
    for (ptrdiff_t c = 0; c < n; c++) high = vmax(high, NAME(take)(x + c * step, left, 0));
    for (ptrdiff_t begin = 0; begin < n; begin += NAME(fold)) {
        const ptrdiff_t end = n - begin > NAME(fold) ? begin + NAME(fold) : n;
        vec part = vzero();
        for (ptrdiff_t c = begin; c < end; c++)
            part = vadd(part, NAME(vexp)(vsub(NAME(take)(x + c * step, left, 0), high)));
        total = vadd(total, part);
    }
    *most = high;
    *sum = total;
}

static void NAME(softmax_columns)(void *y_, const void *x_, ptrdiff_t n, ptrdiff_t step, ptrdiff_t width,
                                  int log_too) {
    for (ptrdiff_t j = 0; j < width; j += VL) {
        REAL *y = (REAL *)y_ + j;
        const REAL *x = (const REAL *)x_ + j;
        const ptrdiff_t left = width - j;
        vec most, sum;
        NAME(column_sum)(x, n, step, left, &most, &sum);
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
        double sum = 0;
        for (ptrdiff_t begin = 0; begin < n; begin += NAME(fold) * VL) {
            const ptrdiff_t end = n - begin > NAME(fold) * VL ? begin + NAME(fold) * VL : n;
            vec part = vzero();
            for (ptrdiff_t i = begin; i < end; i += VL) {
                const vec d = NAME(take)(dy + i, n - i, 0);
                part = log_too ? vadd(part, d) : vfma(d, NAME(take)(y + i, n - i, 0), part);
            }
            sum += (double)vsum(part);
        }
        for (ptrdiff_t i = 0; i < n; i += VL) {
            const vec d = NAME(take)(dy + i, n - i, 0), v = NAME(take)(y + i, n - i, 0);
            NAME(give)(dx + i, NAME(softmax_slope)(d, v, vset((REAL)sum), log_too), n - i);
        }
    }
}

static void NAME(softmax_columns_backward)(void *dx_, const void *dy_, const void *y_, ptrdiff_t n, ptrdiff_t step,
                                           ptrdiff_t width, int log_too) {
    for (ptrdiff_t j = 0; j < width; j += VL) {
        REAL *dx = (REAL *)dx_ + j;
        const REAL *dy = (const REAL *)dy_ + j, *y = (const REAL *)y_ + j;
        const ptrdiff_t left = width - j;
        vec sum = vzero();
        for (ptrdiff_t begin = 0; begin < n; begin += NAME(fold)) {
            const ptrdiff_t end = n - begin > NAME(fold) ? begin + NAME(fold) : n;
            vec part = vzero();
            for (ptrdiff_t c = begin; c < end; c++) {
                const vec d = NAME(take)(dy + c * step, left, 0);
                part = log_too ? vadd(part, d) : vfma(d, NAME(take)(y + c * step, left, 0), part);
            }
            sum = vadd(sum, part);
        }
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
        REAL high[VL], total[VL];
        vec most, sum;
        NAME(column_sum)((const REAL *)x_ + j, n, step, left, &most, &sum);
        vstore(high, most);
        vstore(total, sum);
        for (ptrdiff_t i = 0; i < VL && i < left; i++) out[j + i] = (double)high[i] + log((double)total[i]);
    }
}

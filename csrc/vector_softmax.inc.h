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

/* A double for each lane. */
typedef struct {
    wvec part[VL / WL];
} NAME(lane_sums);

ALWAYS_INLINE NAME(lane_sums) NAME(no_sums)(void) {
    NAME(lane_sums) total;
    UNROLL for (int i = 0; i < VL / WL; i++) total.part[i] = wzero();
    return total;
}
ALWAYS_INLINE void NAME(sum_lanes)(NAME(lane_sums) * total, vec v) {
    REAL lane[VL];
    vstore(lane, v);
    UNROLL for (int i = 0; i < VL / WL; i++) total->part[i] = wadd(total->part[i], wload(lane + i * WL));
}
ALWAYS_INLINE vec NAME(rounded_sums)(const NAME(lane_sums) * total) {
    double wide[VL];
    REAL lane[VL];
    UNROLL for (int i = 0; i < VL / WL; i++) wput(wide + i * WL, total->part[i]);
    for (int i = 0; i < VL; i++) lane[i] = (REAL)wide[i];
    return vload(lane);
}

/* The largest of n values `step` apart and the sum of exp(x - max), in each lane; y, where given, gets the terms. */
ALWAYS_INLINE vec NAME(column_sum)(REAL *y, const REAL *x, ptrdiff_t n, ptrdiff_t step, ptrdiff_t left,
                                   NAME(lane_sums) * total) {
    vec most = vset(-(REAL)INFINITY);
    for (ptrdiff_t c = 0; c < n; c++) most = vmax(most, NAME(take)(x + c * step, left, 0));
    *total = NAME(no_sums)();
    for (ptrdiff_t c = 0; c < n; c++) {
        const vec e = NAME(vexp)(vsub(NAME(take)(x + c * step, left, 0), most));
        if (y) NAME(give)(y + c * step, e, left);
        NAME(sum_lanes)(total, e);
    }
    return most;
}

static void NAME(softmax_columns)(void *y_, const void *x_, ptrdiff_t n, ptrdiff_t step, ptrdiff_t width,
                                  int log_too) {
    for (ptrdiff_t j = 0; j < width; j += VL) {
        REAL *y = (REAL *)y_ + j;
        const REAL *x = (const REAL *)x_ + j;
        const ptrdiff_t left = width - j;
        NAME(lane_sums) total;
        if (log_too) {
            const vec most = NAME(column_sum)(NULL, x, n, step, left, &total);
            const vec log_sum = NAME(vlog)(NAME(rounded_sums)(&total));
            for (ptrdiff_t c = 0; c < n; c++)
                NAME(give)(y + c * step, vsub(vsub(NAME(take)(x + c * step, left, 0), most), log_sum), left);
        } else {
            (void)NAME(column_sum)(y, x, n, step, left, &total);
            const vec share = vdiv(vset(1), NAME(rounded_sums)(&total));
            for (ptrdiff_t c = 0; c < n; c++)
                NAME(give)(y + c * step, vmul(NAME(take)(y + c * step, left, 0), share), left);
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
        NAME(lane_sums) total = NAME(no_sums)();
        for (ptrdiff_t c = 0; c < n; c++) {
            const vec d = NAME(take)(dy + c * step, left, 0);
            NAME(sum_lanes)(&total, log_too ? d : vmul(d, NAME(take)(y + c * step, left, 0)));
        }
        const vec sum = NAME(rounded_sums)(&total);
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
        double wide[VL];
        NAME(lane_sums) total;
        vstore(high, NAME(column_sum)(NULL, (const REAL *)x_ + j, n, step, left, &total));
        for (int i = 0; i < VL / WL; i++) wput(wide + i * WL, total.part[i]);
        for (ptrdiff_t i = 0; i < VL && i < left; i++) out[j + i] = (double)high[i] + log(wide[i]);
    }
}

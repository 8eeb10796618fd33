/* Losses of one value against another, one instruction set, one number type. Sums in double, in a fixed order. */

static double NAME(sum)(const void *x_, ptrdiff_t n) {
    const REAL *x = (const REAL *)x_;
    wvec s0 = wzero(), s1 = wzero();
    ptrdiff_t i = 0;
    for (; i + 2 * WL <= n; i += 2 * WL) {
        s0 = wadd(s0, wload(x + i));
        s1 = wadd(s1, wload(x + i + WL));
    }
    double sum = wsum(wadd(s0, s1));
    for (; i < n; i++) sum += (double)x[i];
    return sum;
}

static void NAME(square_error)(void *y_, const void *x_, const void *t_, ptrdiff_t n) {
    REAL *y = (REAL *)y_;
    const REAL *x = (const REAL *)x_, *t = (const REAL *)t_;
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const vec d = vsub(NAME(take)(x + i, n - i, 0), NAME(take)(t + i, n - i, 0));
        NAME(give)(y + i, vmul(d, d), n - i);
    }
}

static double NAME(square_error_sum)(const void *x_, const void *t_, ptrdiff_t n) {
    const REAL *x = (const REAL *)x_, *t = (const REAL *)t_;
    wvec s0 = wzero(), s1 = wzero();
    ptrdiff_t i = 0;
    for (; i + 2 * WL <= n; i += 2 * WL) {
        const wvec d0 = wsub(wload(x + i), wload(t + i)), d1 = wsub(wload(x + i + WL), wload(t + i + WL));
        s0 = wfma(d0, d0, s0);
        s1 = wfma(d1, d1, s1);
    }
    double sum = wsum(wadd(s0, s1));
    for (; i < n; i++) {
        const double d = (double)x[i] - (double)t[i];
        sum += d * d;
    }
    return sum;
}

static void NAME(square_error_backward)(void *dx_, const void *dy_, const void *x_, const void *t_, ptrdiff_t n,
                                        double scale) {
    REAL *dx = (REAL *)dx_;
    const REAL *dy = (const REAL *)dy_, *x = (const REAL *)x_, *t = (const REAL *)t_;
    const vec s = vset((REAL)scale);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const vec d = vmul(s, vsub(NAME(take)(x + i, n - i, 0), NAME(take)(t + i, n - i, 0)));
        NAME(give)(dx + i, dy ? vmul(d, NAME(take)(dy + i, n - i, 0)) : d, n - i);
    }
}

static void NAME(logit_error)(void *y_, const void *x_, const void *t_, const void *w_, const void *p_, ptrdiff_t n) {
    REAL *y = (REAL *)y_;
    const REAL *x = (const REAL *)x_, *t = (const REAL *)t_, *w = (const REAL *)w_, *p = (const REAL *)p_;
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const ptrdiff_t left = n - i;
        const vec v = NAME(take)(x + i, left, 0), truth = NAME(take)(t + i, left, 0);
        /* log(1 + exp(v)) = max(v, 0) + log(1 + exp(-|v|)) */
        const vec rest = NAME(log1p_unit)(NAME(exp_minus_abs)(v));
        vec yes = vmul(truth, vadd(vmax(vzero(), NAME(negate)(v)), rest));
        if (p) yes = vmul(yes, NAME(take)(p + i, left, 0));
        vec loss = vfma(vsub(vset(1), truth), vadd(vmax(vzero(), v), rest), yes);
        if (w) loss = vmul(loss, NAME(take)(w + i, left, 0));
        NAME(give)(y + i, loss, left);
    }
}

/* w ((1 - t) s(x) - p t s(-x)) */
static void NAME(logit_error_backward)(void *dx_, const void *dy_, const void *x_, const void *t_, const void *w_,
                                       const void *p_, ptrdiff_t n, double scale) {
    REAL *dx = (REAL *)dx_;
    const REAL *dy = (const REAL *)dy_, *x = (const REAL *)x_, *t = (const REAL *)t_;
    const REAL *w = (const REAL *)w_, *p = (const REAL *)p_;
    const vec one = vset(1);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const ptrdiff_t left = n - i;
        const vec v = NAME(take)(x + i, left, 0), truth = NAME(take)(t + i, left, 0), e = NAME(exp_minus_abs)(v);
        const vec large = vdiv(one, vadd(one, e)), small = vmul(e, large);
        const vmask negative = vlt(v, vzero());
        vec yes = vmul(truth, vsel(negative, large, small));
        if (p) yes = vmul(yes, NAME(take)(p + i, left, 0));
        vec d = vsub(vmul(vsub(one, truth), vsel(negative, small, large)), yes);
        if (w) d = vmul(d, NAME(take)(w + i, left, 0));
        if (dy) d = vmul(d, NAME(take)(dy + i, left, 0));
        NAME(give)(dx + i, vmul(d, vset((REAL)scale)), left);
    }
}

/* Updates of an optimiser, one instruction set, one number type. `k`: the numbers of a step, see vector_table.inc.h. */

static void NAME(sgd)(void *p_, void *velocity_, const void *grad_, ptrdiff_t n, const double *k) {
    REAL *p = (REAL *)p_, *velocity = (REAL *)velocity_;
    const REAL *grad = (const REAL *)grad_;
    const int decays = k[2] != 0, nesterov = k[3] != 0;
    const vec rate = vset((REAL)-k[0]), momentum = vset((REAL)k[1]), decay = vset((REAL)k[2]);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const ptrdiff_t left = n - i;
        const vec w = NAME(take)(p + i, left, 0);
        vec g = NAME(take)(grad + i, left, 0);
        if (decays) g = vfma(w, decay, g); /* 0 times an infinity is NaN */
        if (velocity) {
            const vec v = vfma(NAME(take)(velocity + i, left, 0), momentum, g);
            NAME(give)(velocity + i, v, left);
            g = nesterov ? vfma(v, momentum, g) : v;
        }
        NAME(give)(p + i, vfma(g, rate, w), left);
    }
}

static void NAME(adam)(void *p_, void *mean_, void *square_, const void *grad_, ptrdiff_t n, const double *k) {
    REAL *p = (REAL *)p_, *mean = (REAL *)mean_, *square = (REAL *)square_;
    const REAL *grad = (const REAL *)grad_;
    const int decays = k[6] != 0;
    const vec rate = vset((REAL)-k[0]), one_less_b1 = vset((REAL)k[1]), b2 = vset((REAL)k[2]);
    const vec one_less_b2 = vset((REAL)k[3]), eps = vset((REAL)k[4]), root = vset((REAL)k[5]);
    const vec decay = vset((REAL)k[6]), shrink = vset((REAL)k[7]);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const ptrdiff_t left = n - i;
        const vec w = NAME(take)(p + i, left, 0);
        vec g = NAME(take)(grad + i, left, 0), m = NAME(take)(mean + i, left, 0);
        if (decays) g = vfma(w, decay, g);
        m = vfma(vsub(g, m), one_less_b1, m);
        const vec v = vfma(vmul(g, g), one_less_b2, vmul(NAME(take)(square + i, left, 0), b2));
        NAME(give)(mean + i, m, left);
        NAME(give)(square + i, v, left);
        const vec step = vdiv(m, vadd(vdiv(vsqrt(v), root), eps));
        NAME(give)(p + i, vfma(step, rate, vmul(w, shrink)), left);
    }
}

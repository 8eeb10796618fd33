/* Activations, softmax, losses, normalisation. Results are near each other, not equal: sums have other orders. */

#define EACH_VECTOR(call)                                       \
    T(start)();                                                 \
    for (int i = 0; i < 2; i++) {                               \
        const pycnn_vector *v = sets[i]->T(vector);             \
        REAL *out = T(out)[i];                                  \
        v->call;                                                \
    }
/* The same for results in double, which come first in the place of results: n of them, from zero. */
#define EACH_DOUBLE(name, n, call)                                                             \
    T(start)();                                                                                \
    for (int i = 0; i < 2; i++) {                                                              \
        const pycnn_vector *v = sets[i]->T(vector);                                            \
        double *out = T(totals)[i];                                                            \
        memset(out, 0, sizeof T(totals)[i]);                                                   \
        call;                                                                                  \
    }                                                                                          \
    for (ptrdiff_t j = 0; j < (n); j++)                                                        \
        verdict(name, TYPE, close_to(T(totals)[0][j], T(totals)[1][j], 20 * TOLERANCE));

static double T(totals)[2][400];

static void T(elements)(void) {
    const ptrdiff_t n = between(1, 150);
    const double a = 0.1 + (double)upto(9) / 10;
    static uint8_t kept[PLACES];
    for (ptrdiff_t i = 0; i < n; i++) kept[i] = (uint8_t)upto(1);
    for (int f = 0; f < PYCNN_UNARY; f++) {
        EACH_VECTOR(forward[f](out, T(in), n, a))
        T(check)("forward of a function of one value", 10 * TOLERANCE);
    }
    for (int f = 0; f < PYCNN_ACTIVATIONS; f++) {
        EACH_VECTOR(backward[f](out, T(more), T(in), n, a))
        T(check)("backward of a function of one value", 10 * TOLERANCE);
    }
    EACH_VECTOR(keep(out, T(in), kept, n, 2.0))
    T(check)("keep", 0);
}

static void T(exponentials)(void) {
    const ptrdiff_t rows = between(1, 6), n = between(1, 60), width = between(1, 40), step = between(width, 50);
    const int log = (int)upto(1);
    EACH_VECTOR(softmax_rows(out, T(in), rows, n, log))
    T(check)("softmax_rows", 10 * TOLERANCE);
    EACH_VECTOR(softmax_rows_backward(out, T(in), T(more), rows, n, log))
    T(check)("softmax_rows_backward", 100 * TOLERANCE);
    EACH_VECTOR(softmax_columns(out, T(in), n, step, width, log))
    T(check)("softmax_columns", 10 * TOLERANCE);
    EACH_VECTOR(softmax_columns_backward(out, T(in), T(more), n, step, width, log))
    T(check)("softmax_columns_backward", 100 * TOLERANCE);
    EACH_DOUBLE("log_sum_exp_rows", rows, v->log_sum_exp_rows(out, T(in), rows, n))
    EACH_DOUBLE("log_sum_exp_columns", width, v->log_sum_exp_columns(out, T(in), n, step, width))
}

static void T(losses)(void) {
    const ptrdiff_t n = between(1, 150);
    const REAL *third = T(more) + 1000, *w = upto(1) ? T(more) + 2000 : NULL, *p = upto(1) ? T(more) + 3000 : NULL;
    const REAL *dy = upto(1) ? third : NULL;
    EACH_VECTOR(square_error(out, T(in), T(more), n))
    T(check)("square_error", TOLERANCE);
    EACH_VECTOR(square_error_backward(out, dy, T(in), T(more), n, 0.7))
    T(check)("square_error_backward", TOLERANCE);
    EACH_VECTOR(logit_error(out, T(in), T(more), w, p, n))
    T(check)("logit_error", 10 * TOLERANCE);
    EACH_VECTOR(logit_error_backward(out, dy, T(in), T(more), w, p, n, 0.7))
    T(check)("logit_error_backward", 10 * TOLERANCE);
    EACH_DOUBLE("square_error_sum", 1, out[0] = v->square_error_sum(T(in), T(more), n))
    EACH_DOUBLE("sum", 1, out[0] = v->sum(T(in), n))
}

static void T(norms)(void) {
    const ptrdiff_t n = between(1, 90), rows = between(1, 5), gap = between(n, 100);
    const REAL *dy = upto(1) ? T(more) : NULL;
    const REAL *coefficients = T(more) + 5000;
    double shift[100];
    static REAL scratch[PLACES];
    for (int j = 0; j < 100; j++) shift[j] = number();
    EACH_DOUBLE("moments", 2, v->moments(out, dy, T(in), rows, gap, n, shift[0]))
    EACH_DOUBLE("moments_columns", 300, v->moments_columns(out, out + 200, dy, T(in), rows, gap, n, shift))
    EACH_VECTOR(affine(out, T(in), n, coefficients))
    T(check)("affine", TOLERANCE);
    EACH_VECTOR(affine_columns(out, T(in), rows, n, coefficients))
    T(check)("affine_columns", TOLERANCE);
    EACH_VECTOR(combine(out, T(more), dy ? T(in) : NULL, n, coefficients))
    T(check)("combine", TOLERANCE);
    EACH_VECTOR(combine_columns(out, T(more), dy ? T(in) : NULL, rows, n, coefficients))
    T(check)("combine_columns", TOLERANCE);
    const ptrdiff_t width = between(1, 40);
    const pycnn_response r = {between(1, 12), 60, 1, width, upto(3), upto(3), 0.3, upto(1) ? 0.75 : 0.6, 2.0};
    EACH_VECTOR(response_norm(out, T(in), scratch, &r))
    T(check)("response_norm", 10 * TOLERANCE);
    EACH_VECTOR(response_norm_backward(out, T(more), T(in), scratch, &r))
    T(check)("response_norm_backward", 10 * TOLERANCE);
}

/* In place: the parameters, then what is kept for them, squares last. */
static void T(updates)(void) {
    const ptrdiff_t n = between(1, 150);
    const double sgd[4] = {0.1, 0.9, upto(1) ? 0.01 : 0, (double)upto(1)};
    const double adam[8] = {0.01, 0.1, 0.99, 0.01, 1e-8, 0.3, upto(1) ? 0.01 : 0, upto(1) ? 0.999 : 1};
    for (int kind = 0; kind < 3; kind++) {
        T(start)();
        for (int i = 0; i < 2; i++) {
            const pycnn_vector *v = sets[i]->T(vector);
            REAL *out = T(out)[i];
            for (ptrdiff_t j = 0; j < 600; j++) out[j] = j < 400 ? T(in)[j] : T(in)[j] * T(in)[j];
            if (kind < 2)
                v->sgd(out, kind ? out + 200 : NULL, T(more), n, sgd);
            else
                v->adam(out, out + 200, out + 400, T(more), n, adam);
        }
        T(check)("updates", 10 * TOLERANCE);
    }
}

static void T(compare_vector)(void) {
    T(elements)();
    T(exponentials)();
    T(losses)();
    T(norms)();
    T(updates)();
}

#undef BOTH
#undef EACH_LANES
#undef EACH_POOL
#undef COUNTS
#undef EACH_VECTOR
#undef EACH_DOUBLE

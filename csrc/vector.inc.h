/* Functions over contiguous runs, one instruction set, one number type: the activations here, the others by topic in
 * vector_*.inc.h. The last, partial vector goes through the same code as the full ones, so the bits of a value do not
 * depend on where it lies. */
#include "vector_wide.inc.h"
#include "vector_math.inc.h"

/* The next vector of a run that has `left` values to go, and its way back. */
ALWAYS_INLINE vec NAME(take)(const REAL *p, ptrdiff_t left, REAL fill) {
    return left >= VL ? vload(p) : vload_part(p, left, fill);
}
ALWAYS_INLINE void NAME(give)(REAL *p, vec v, ptrdiff_t left) {
    if (left >= VL)
        vstore(p, v);
    else
        vstore_part(p, v, left);
}

/* f(x), f'(x) for one vector; `a` is the parameter of the few that have one. */
#define EACH ALWAYS_INLINE vec

EACH NAME(relu_at)(vec x, vec a) { return (void)a, vsel(vle(x, vzero()), vzero(), x); }
EACH NAME(relu_slope)(vec dy, vec x, vec a) { return (void)a, vsel(vle(x, vzero()), vzero(), dy); }

EACH NAME(leaky_relu_at)(vec x, vec a) { return vsel(vlt(vzero(), x), x, vmul(a, x)); }
EACH NAME(leaky_relu_slope)(vec dy, vec x, vec a) { return vsel(vlt(vzero(), x), dy, vmul(a, dy)); }

/* With e = exp(-|x|) <= 1 nothing overflows: s(|x|) = 1 / (1 + e), s(-|x|) = e / (1 + e). */
EACH NAME(exp_minus_abs)(vec x) { return NAME(vexp)(vor(x, vbits(SIGN_BIT))); }
EACH NAME(sigmoid_at)(vec x, vec a) {
    const vec e = NAME(exp_minus_abs)(x);
    (void)a;
    return vdiv(vsel(vlt(x, vzero()), e, vset(1)), vadd(vset(1), e));
}
EACH NAME(sigmoid_slope)(vec dy, vec x, vec a) { /* s(x) s(-x) */
    const vec e = NAME(exp_minus_abs)(x), s = vdiv(vset(1), vadd(vset(1), e));
    (void)a;
    return vmul(dy, vmul(vmul(e, s), s));
}

EACH NAME(tanh_at)(vec x, vec a) { /* em / (em + 2), em = exp(2 |x|) - 1; 1 from the clamp on */
    const vec size = vmin(vset(PICK(10.0f, 22.0)), NAME(abs)(x));
    const vec em = NAME(expm1_positive)(vadd(size, size));
    (void)a;
    return NAME(copy_sign)(vdiv(em, vadd(em, vset(2))), x);
}
EACH NAME(tanh_slope)(vec dy, vec x, vec a) { /* 1 / cosh(x)**2 = 4 e / (1 + e)**2, e = exp(-2 |x|) */
    return vmul(vset(4), NAME(sigmoid_slope)(dy, vadd(x, x), a));
}

EACH NAME(silu_at)(vec x, vec a) { return vmul(x, NAME(sigmoid_at)(x, a)); }
EACH NAME(silu_slope)(vec dy, vec x, vec a) { /* s(x) (1 + x s(-x)) */
    const vec one = vset(1), e = NAME(exp_minus_abs)(x), large = vdiv(one, vadd(one, e)), small = vmul(e, large);
    const vmask negative = vlt(x, vzero());
    (void)a;
    return vmul(dy, vmul(vsel(negative, small, large), vfma(x, vsel(negative, large, small), one)));
}

EACH NAME(gelu_at)(vec x, vec a) {
    vec bell;
    const vec tail = NAME(normal_tail)(x, &bell);
    (void)a;
    return vmul(x, vsel(vlt(x, vzero()), tail, vsub(vset(1), tail)));
}
EACH NAME(gelu_slope)(vec dy, vec x, vec a) { /* Phi(x) + x phi(x) */
    vec bell;
    const vec tail = NAME(normal_tail)(x, &bell);
    const vec density = vmul(bell, vset((REAL)0.39894228040143267794)); /* 1 / sqrt(2 pi) */
    (void)a;
    return vmul(dy, vfma(x, density, vsel(vlt(x, vzero()), tail, vsub(vset(1), tail))));
}

/* (1 + tanh(u)) / 2 = s(2 u), u = sqrt(2 / pi) (x + 0.044715 x**3); *slope = d(2 u) / dx. Where |x| > 30 both s(2 u) and
 * s(-2 u) have long been 0 or 1, so *x is cut there and nothing overflows. */
EACH NAME(gelu_tanh_inner)(vec *x, vec *slope) {
    *x = vmax(vset(-30), vmin(vset(30), *x));
    const vec twice = vset((REAL)1.59576912160573071176), square = vmul(*x, *x); /* 2 sqrt(2 / pi) */
    *slope = vmul(twice, vfma(square, vset((REAL)(3 * 0.044715)), vset(1)));
    return vmul(vmul(twice, *x), vfma(square, vset((REAL)0.044715), vset(1)));
}
EACH NAME(gelu_tanh_at)(vec x, vec a) {
    vec cut = x, slope;
    const vec inner = NAME(gelu_tanh_inner)(&cut, &slope);
    return vmul(x, NAME(sigmoid_at)(inner, a));
}
EACH NAME(gelu_tanh_slope)(vec dy, vec x, vec a) {
    vec slope;
    const vec one = vset(1), inner = NAME(gelu_tanh_inner)(&x, &slope), e = NAME(exp_minus_abs)(inner);
    const vec large = vdiv(one, vadd(one, e)), small = vmul(e, large);
    const vec s = vsel(vlt(x, vzero()), small, large);
    (void)a;
    return vmul(dy, vfma(vmul(x, slope), vmul(small, large), s));
}

EACH NAME(hardswish_at)(vec x, vec a) {
    const vec six = vset(6), gate = vmin(six, vmax(vzero(), vadd(x, vset(3))));
    (void)a;
    return vmul(x, vdiv(gate, six));
}
EACH NAME(hardswish_slope)(vec dy, vec x, vec a) {
    const vec three = vset(3), inside = vadd(vdiv(x, three), vset((REAL)0.5));
    const vec slope = vsel(vle(three, x), vset(1), inside);
    (void)a;
    return vmul(dy, vsel(vle(x, vset(-3)), vzero(), slope));
}

EACH NAME(exp_at)(vec x, vec a) { return (void)a, NAME(vexp)(x); }
EACH NAME(log_at)(vec x, vec a) { return (void)a, NAME(vlog)(x); }

/* `ahead` full vectors at a time, for functions so cheap that the loop would cost as much; then one vector at a time,
 * the last one partial. */
#define FORWARD(name, ahead)                                                                                       \
    static void NAME(name)(void *y_, const void *x_, ptrdiff_t n, double a_) {                                     \
        REAL *y = (REAL *)y_;                                                                                      \
        const REAL *x = (const REAL *)x_;                                                                          \
        const vec a = vset((REAL)a_);                                                                              \
        ptrdiff_t i = 0;                                                                                           \
        for (; (ahead) > 1 && i + (ahead)*VL <= n; i += (ahead)*VL)                                                \
            UNROLL for (int j = 0; j < (ahead); j++)                                                               \
                vstore(y + i + j * VL, NAME(name##_at)(vload(x + i + j * VL), a));                                 \
        for (; i < n; i += VL) NAME(give)(y + i, NAME(name##_at)(NAME(take)(x + i, n - i, 1), a), n - i);          \
    }
#define BACKWARD(name, ahead)                                                                                      \
    static void NAME(name##_backward)(void *dx_, const void *dy_, const void *x_, ptrdiff_t n, double a_) {        \
        REAL *dx = (REAL *)dx_;                                                                                    \
        const REAL *dy = (const REAL *)dy_, *x = (const REAL *)x_;                                                 \
        const vec a = vset((REAL)a_);                                                                              \
        ptrdiff_t i = 0;                                                                                           \
        for (; (ahead) > 1 && i + (ahead)*VL <= n; i += (ahead)*VL)                                                \
            UNROLL for (int j = 0; j < (ahead); j++) {                                                             \
                const ptrdiff_t at = i + j * VL;                                                                   \
                vstore(dx + at, NAME(name##_slope)(vload(dy + at), vload(x + at), a));                             \
            }                                                                                                      \
        for (; i < n; i += VL) {                                                                                   \
            const vec d = NAME(take)(dy + i, n - i, 1), v = NAME(take)(x + i, n - i, 1);                           \
            NAME(give)(dx + i, NAME(name##_slope)(d, v, a), n - i);                                                \
        }                                                                                                          \
    }
#define BOTH(name, ahead) FORWARD(name, ahead) BACKWARD(name, ahead)
BOTH(relu, 4)
BOTH(leaky_relu, 4)
BOTH(sigmoid, 1)
BOTH(tanh, 1)
BOTH(silu, 1)
BOTH(gelu, 1)
BOTH(gelu_tanh, 1)
BOTH(hardswish, 2)
FORWARD(exp, 1)
FORWARD(log, 1)
#undef BOTH
#undef BACKWARD
#undef FORWARD
#undef EACH

static void NAME(keep)(void *y_, const void *x_, const uint8_t *kept, ptrdiff_t n, double scale_) {
    REAL *y = (REAL *)y_;
    const REAL *x = (const REAL *)x_, scale = (REAL)scale_;
    for (ptrdiff_t i = 0; i < n; i++) y[i] = kept[i] ? x[i] * scale : 0;
}

static void NAME(add)(void *y_, const void *a_, const void *b_, ptrdiff_t n) {
    REAL *y = (REAL *)y_;
    const REAL *a = (const REAL *)a_, *b = (const REAL *)b_;
    ptrdiff_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
        UNROLL for (int j = 0; j < 4; j++)
            vstore(y + i + j * VL, vadd(vload(a + i + j * VL), vload(b + i + j * VL)));
    for (; i < n; i += VL)
        NAME(give)(y + i, vadd(NAME(take)(a + i, n - i, 0), NAME(take)(b + i, n - i, 0)), n - i);
}

#include "vector_softmax.inc.h"
#include "vector_loss.inc.h"
#include "vector_norm.inc.h"
#include "vector_update.inc.h"

static const TYPED(pycnn_vector) NAME(vector_table) = {
    VL,
    {NAME(relu), NAME(leaky_relu), NAME(sigmoid), NAME(tanh), NAME(silu), NAME(gelu), NAME(gelu_tanh), NAME(hardswish),
     NAME(exp), NAME(log)},
    {NAME(relu_backward), NAME(leaky_relu_backward), NAME(sigmoid_backward), NAME(tanh_backward), NAME(silu_backward),
     NAME(gelu_backward), NAME(gelu_tanh_backward), NAME(hardswish_backward)},
    NAME(keep),
    NAME(add),
    NAME(softmax_rows),
    NAME(softmax_columns),
    NAME(softmax_rows_backward),
    NAME(softmax_columns_backward),
    NAME(log_sum_exp_rows),
    NAME(log_sum_exp_columns),
    NAME(square_error),
    NAME(square_error_sum),
    NAME(square_error_backward),
    NAME(logit_error),
    NAME(logit_error_backward),
    NAME(sum),
    NAME(moments),
    NAME(moments_columns),
    NAME(affine),
    NAME(affine_columns),
    NAME(combine),
    NAME(combine_columns),
    NAME(response_norm),
    NAME(response_norm_backward),
    NAME(sgd),
    NAME(adam),
};

#include "vector_undef.inc.h"

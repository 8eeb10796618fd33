/* exp, log and what is built from them, a vector at a time, one instruction set, one number type.
 *
 * exp(x) = 2**k * exp(r), k the integer nearest to x / ln 2, |r| <= ln 2 / 2; exp(r) = 1 + r + r**2 Q(r). ln 2 is held in
 * two parts, the first with so few bits that k times it is exact (Cody and Waite, Software Manual for the Elementary
 * Functions, 1980), so the error does not depend on a fused multiply-add. 2**k is applied in two factors, which lets
 * results overflow to inf and round to subnormals only once.
 *
 * log(x) = k ln 2 + log(1 + f), 1 + f in [sqrt(1/2), sqrt(2)]; with s = f / (2 + f), log(1 + f) = 2 atanh(s)
 * = f - (f**2 / 2 - s (f**2 / 2 + s**2 L(s**2))), the order of operations of fdlibm's e_log.c that keeps f exact.
 *
 * The normal distribution: Phi(-a) = exp(-a**2 / 2) R(a) for a >= 0, with (a + c) R(a) a polynomial in
 * t = (a - c) / (a + c). Nothing cancels in either tail.
 *
 * Coefficients: minimax fits of our own, printed by tools/fit_vector_math.py. Errors: exp and log stay below 2 ulp on
 * the whole range, subnormals included (tests/test_activation_accuracy.py). */

#ifdef PYCNN_F32
#define PICK(single, dbl) (single)
static const REAL NAME(exp_tail)[] = {5.00000005e-1f,  1.66666668e-1f,  4.16663492e-2f,
                                      8.3332719e-3f, 1.39414814e-3f, 1.99148699e-4f};
static const REAL NAME(log_tail)[] = {6.66667764e-1f, 3.99775384e-1f, 2.987183e-1f};
static const REAL NAME(log1p_tail)[] = {6.66666756e-1f, 3.99988773e-1f, 2.86168989e-1f, 2.14274854e-1f,
                                        2.43016479e-1f};
static const REAL NAME(mills)[] = {7.55285135e-1f,  -6.0789658e-1f,   3.87136916e-1f,  -1.86523656e-1f, 6.04034898e-2f,
                                   -7.52400444e-3f, -3.51021209e-3f, 1.56840793e-3f, 1.74660425e-4f, -1.34195598e-4f};
#else
#define PICK(single, dbl) (dbl)
static const REAL NAME(exp_tail)[] = {
    5.0e-1,               1.6666666666666677e-1, 4.1666666666666703e-2, 8.3333333333211813e-3,
    1.3888888888865973e-3, 1.9841269887420689e-4, 2.480158736230037e-5,  2.7557242767516502e-6,
    2.7557241251884182e-7, 2.5109582874828315e-8, 2.0924912290688108e-9};
static const REAL NAME(log_tail)[] = {6.6666666666667344e-1, 3.9999999999414776e-1, 2.8571428742389692e-1,
                                      2.2222198571181035e-1, 1.8183564505110923e-1, 1.5314044344313791e-1,
                                      1.4796026169103706e-1};
static const REAL NAME(log1p_tail)[] = {
    6.6666666666666304e-1, 4.0000000000157323e-1, 2.8571428547840863e-1, 2.2222223970676584e-1, 1.818174388774705e-1,
    1.5386560784365541e-1, 1.3300961489608752e-1, 1.2106187476650569e-1, 8.3396373639935541e-2, 1.7019472772648885e-1};
static const REAL NAME(mills)[] = {
    7.6919304975006296e-1,  -6.6538250289005678e-1, 4.953056159699773e-1,   -3.135331566712962e-1,
    1.6502036617033742e-1,  -6.9118638706569993e-2, 2.0795066800837706e-2,  -2.9933767667056801e-3,
    -7.9786940801011129e-4, 5.4489903339029851e-4,  -5.9375674789776951e-5, -4.9762654906470747e-5,
    1.6681041211748426e-5,  3.980384682905369e-6,   -2.768952453120504e-6,  -3.3553714157604021e-7,
    4.328840673825094e-7,   4.0880410991913193e-8,  -6.6011505465401749e-8, -8.2947501659840217e-9,
    7.9421796395044659e-9,  1.4319570167749382e-9,  -3.0290133988886014e-10};
#endif
#define MANTISSA PICK(23, 52)
#define EXPONENT_BIAS PICK(127, 1023)
#define ROUNDER PICK(12582912.0f, 6755399441055744.0) /* 1.5 * 2**MANTISSA: adding it rounds to an integer */
#define LN2_HIGH PICK(0.693359375f, 6.93147180369123816490e-01)
#define LN2_LOW PICK(-2.12194440e-4f, 1.90821492927058770002e-10)
#define SIGN_BIT PICK(0x80000000u, 0x8000000000000000u)
#define POLY(coefficients, x) NAME(poly)((coefficients), (int)(sizeof(coefficients) / sizeof(REAL)), (x))

/* c[0] + c[1] x + ..., even and odd powers side by side. `n` is a constant at every call, so the loop unrolls. */
ALWAYS_INLINE vec NAME(poly)(const REAL *c, const int n, vec x) {
    const vec x2 = vmul(x, x);
    vec even = vset(c[(n - 1) & ~1]), odd = vset(c[(n - 2) | 1]);
    UNROLL for (int i = ((n - 1) & ~1) - 2; i >= 0; i -= 2) even = vfma(even, x2, vset(c[i]));
    UNROLL for (int i = ((n - 2) | 1) - 2; i >= 0; i -= 2) odd = vfma(odd, x2, vset(c[i]));
    return vfma(odd, x, even);
}

ALWAYS_INLINE vec NAME(abs)(vec x) { return vand(x, vbits(SIGN_BIT - 1)); }
ALWAYS_INLINE vec NAME(negate)(vec x) { return vxor(x, vbits(SIGN_BIT)); }
ALWAYS_INLINE vec NAME(copy_sign)(vec size, vec sign) { return vor(size, vand(sign, vbits(SIGN_BIT))); }
ALWAYS_INLINE vec NAME(round)(vec x) { return vsub(vadd(x, vset(ROUNDER)), vset(ROUNDER)); }

/* 2**k for integral k within the exponents of normal numbers: k + bias sits in the low bits of k + ROUNDER + bias. */
ALWAYS_INLINE vec NAME(pow2)(vec k) { return vshl(vadd(k, vset(ROUNDER + EXPONENT_BIAS)), MANTISSA); }

ALWAYS_INLINE vec NAME(scale)(vec x, vec k) {
#if defined(PYCNN_ISA_AVX512) && defined(PYCNN_F32)
    return _mm512_scalef_ps(x, k);
#elif defined(PYCNN_ISA_AVX512)
    return _mm512_scalef_pd(x, k);
#else
    const vec half = NAME(round)(vmul(k, vset((REAL)0.5)));
    return vmul(vmul(x, NAME(pow2)(half)), NAME(pow2)(vsub(k, half)));
#endif
}

/* The reduction of exp: x = k ln 2 + r; gives exp(r) - 1. */
ALWAYS_INLINE vec NAME(reduce)(vec x, vec low, vec *k) {
    *k = NAME(round)(vmul(x, vset((REAL)1.44269504088896340736)));
    vec r = vfma(*k, vset(-LN2_HIGH), x);
    r = vadd(vfma(*k, vset(-LN2_LOW), r), low);
    return vfma(vmul(r, r), POLY(NAME(exp_tail), r), r);
}

/* A constant comes first in vmin and vmax: then NaN stays NaN. */
ALWAYS_INLINE vec NAME(vexp)(vec x) {
    vec k;
    x = vmax(vset(PICK(-104.0f, -746.0)), vmin(vset(PICK(89.0f, 710.0)), x));
    const vec p = NAME(reduce)(x, vzero(), &k);
    return NAME(scale)(vadd(vset(1), p), k);
}

/* exp(x) - 1 for 0 <= x < 50, with no digit lost near 0. */
ALWAYS_INLINE vec NAME(expm1_positive)(vec x) {
    vec k;
    const vec p = NAME(reduce)(x, vzero(), &k);
    const vec power = NAME(pow2)(k);
    return vfma(power, p, vsub(power, vset(1)));
}

ALWAYS_INLINE vec NAME(vlog)(vec x) {
    const vec least = vset(PICK(1.17549435e-38f, 2.2250738585072014e-308));
    const vmask tiny = vlt(x, least);
    const vec y = vsel(tiny, vmul(x, vset(PICK(33554432.0f, 18014398509481984.0))), x); /* 2**25, 2**54 */
    /* The biased exponent, planted into the low bits of 2**MANTISSA, is 2**MANTISSA + exponent. */
    vec k = vor(vshr(y, MANTISSA), vbits((PICK(0x7fu, 0x3ffull) + MANTISSA) << MANTISSA));
    k = vsub(k, vset(PICK(8388608.0f, 4503599627370496.0) + EXPONENT_BIAS));
    k = vsub(k, vsel(tiny, vset(PICK(25.0f, 54.0)), vzero()));
    vec m = vor(vand(y, vbits(PICK(0x007fffffu, 0x000fffffffffffffull))), vset(1));
    const vmask big = vlt(vset((REAL)1.41421356237309504880), m);
    m = vsel(big, vmul(m, vset((REAL)0.5)), m);
    k = vadd(k, vsel(big, vset(1), vzero()));

    const vec f = vsub(m, vset(1));
    const vec s = vdiv(f, vadd(vset(2), f));
    const vec z = vmul(s, s);
    const vec half = vmul(vmul(f, f), vset((REAL)0.5));
    const vec tail = vmul(s, vfma(z, POLY(NAME(log_tail), z), half));
    const vec low = vsub(half, vfma(k, vset(LN2_LOW), tail));
    vec r = vfma(k, vset(LN2_HIGH), vsub(f, low));

    const REAL inf = (REAL)INFINITY;
    r = vsel(vlt(vset(PICK(3.40282347e38f, 1.7976931348623157e308)), x), vset(inf), r);
    const vec below = vsel(vle(vzero(), x), vset(-inf), vset((REAL)NAN)); /* zero, or negative or NaN */
    return vsel(vlt(vzero(), x), r, below);
}

/* log(1 + x) for 0 <= x <= 1. */
ALWAYS_INLINE vec NAME(log1p_unit)(vec x) {
    const vec s = vdiv(x, vadd(vset(2), x));
    const vec z = vmul(s, s);
    return vfma(vmul(s, z), POLY(NAME(log1p_tail), z), vadd(s, s));
}

/* Phi(-|x|), the lower tail of the normal distribution, and *bell = exp(-x**2 / 2). */
ALWAYS_INLINE vec NAME(normal_tail)(vec x, vec *bell) {
    const vec a = vmin(vset(PICK(15.0f, 39.0)), NAME(abs)(x)), one = vset(1), minus_half = vset((REAL)-0.5);
    /* a**2 in two parts: an error of half an ulp in it would be one of a**2 / 4 ulp in its exponential. */
#ifdef PYCNN_ISA_GENERIC
    const vec high = vand(a, vbits(PICK(0xfffff000u, 0xffffffff00000000ull))); /* so short that its square is exact */
    const vec square = vmul(high, high), low = vmul(vsub(a, high), vadd(a, high));
#else
    const vec square = vmul(a, a), low = vfma(a, a, NAME(negate)(square));
#endif
    vec k;
    const vec p = NAME(reduce)(vmul(square, minus_half), vmul(low, minus_half), &k);
    *bell = NAME(scale)(vadd(one, p), k);
    const vec c = vset(PICK(4.0f, 5.0));
    const vec u = vdiv(one, vadd(a, c));
    return vmul(vmul(POLY(NAME(mills), vmul(vsub(a, c), u)), u), *bell);
}

/* x**-p for x >= 0: roots where p is a multiple of 1/4 up to 1, exp and log elsewhere. */
static vec NAME(power_minus)(vec x, double p) {
    const vec one = vset(1);
    if (p == 1.0) return vdiv(one, x);
    if (p == 0.5) return vdiv(one, vsqrt(x));
    if (p == 0.75) {
        const vec root = vsqrt(x);
        return vdiv(one, vmul(root, vsqrt(root)));
    }
    return NAME(vexp)(vmul(vset((REAL)-p), NAME(vlog)(x)));
}

/* Normalisation: sums and linear maps along channels, one instruction set, one number type. Sums in double. */

/* sums += (u, u (x - shift)), u = dy or x - shift. Eight chains of additions hide their latency. */
static void NAME(moments)(double *sums, const void *dy_, const void *x_, ptrdiff_t runs, ptrdiff_t run_step,
                          ptrdiff_t n, double shift) {
    const REAL *dy = (const REAL *)dy_, *x = (const REAL *)x_;
    const wvec centre = wset(shift);
    wvec s[4], p[4];
    double sum = 0, product = 0;
    for (int j = 0; j < 4; j++) s[j] = p[j] = wzero();
    for (ptrdiff_t run = 0; run < runs; run++) {
        const REAL *a = x + run * run_step, *b = dy ? dy + run * run_step : NULL;
        ptrdiff_t i = 0;
        for (; i + 4 * WL <= n; i += 4 * WL)
            UNROLL for (int j = 0; j < 4; j++) {
                const wvec d = wsub(wload(a + i + j * WL), centre), u = b ? wload(b + i + j * WL) : d;
                s[j] = wadd(s[j], u);
                p[j] = wfma(u, d, p[j]);
            }
        for (; i + WL <= n; i += WL) {
            const wvec d = wsub(wload(a + i), centre), u = b ? wload(b + i) : d;
            s[0] = wadd(s[0], u);
            p[0] = wfma(u, d, p[0]);
        }
        for (; i < n; i++) {
            const double d = (double)a[i] - shift, u = b ? (double)b[i] : d;
            sum += u;
            product += u * d;
        }
    }
    sums[0] += sum + wsum(wadd(wadd(s[0], s[1]), wadd(s[2], s[3])));
    sums[1] += product + wsum(wadd(wadd(p[0], p[1]), wadd(p[2], p[3])));
}

/* The same for `vectors` * WL neighbouring columns, whose sums go down the rows in registers. */
ALWAYS_INLINE void NAME(moments_down)(const int vectors, double *sum, double *product, const REAL *dy, const REAL *x,
                                      ptrdiff_t rows, ptrdiff_t row_step, const double *shift) {
    wvec s[4], p[4], centre[4];
    UNROLL for (int j = 0; j < vectors; j++) {
        s[j] = wget(sum + j * WL);
        p[j] = wget(product + j * WL);
        centre[j] = wget(shift + j * WL);
    }
    for (ptrdiff_t row = 0; row < rows; row++, x += row_step) {
        UNROLL for (int j = 0; j < vectors; j++) {
            const wvec d = wsub(wload(x + j * WL), centre[j]), u = dy ? wload(dy + row * row_step + j * WL) : d;
            s[j] = wadd(s[j], u);
            p[j] = wfma(u, d, p[j]);
        }
    }
    UNROLL for (int j = 0; j < vectors; j++) {
        wput(sum + j * WL, s[j]);
        wput(product + j * WL, p[j]);
    }
}

static void NAME(moments_columns)(double *sum, double *product, const void *dy_, const void *x_, ptrdiff_t rows,
                                  ptrdiff_t row_step, ptrdiff_t n, const double *shift) {
    const REAL *x = (const REAL *)x_, *dy = (const REAL *)dy_;
    ptrdiff_t i = 0;
    for (; i + 4 * WL <= n; i += 4 * WL)
        NAME(moments_down)(4, sum + i, product + i, dy ? dy + i : NULL, x + i, rows, row_step, shift + i);
    for (; i + WL <= n; i += WL)
        NAME(moments_down)(1, sum + i, product + i, dy ? dy + i : NULL, x + i, rows, row_step, shift + i);
    for (ptrdiff_t row = 0; row < rows; row++)
        for (ptrdiff_t j = i; j < n; j++) {
            const double d = (double)x[row * row_step + j] - shift[j], u = dy ? (double)dy[row * row_step + j] : d;
            sum[j] += u;
            product[j] += u * d;
        }
}

static void NAME(affine)(void *y_, const void *x_, ptrdiff_t n, const void *coefficients) {
    REAL *y = (REAL *)y_;
    const REAL *x = (const REAL *)x_, *k = (const REAL *)coefficients;
    const vec shift = vset(k[0]), scale = vset(k[1]), offset = vset(k[2]);
    ptrdiff_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
        UNROLL for (int j = 0; j < 4; j++)
            vstore(y + i + j * VL, vfma(vsub(vload(x + i + j * VL), shift), scale, offset));
    for (; i < n; i += VL)
        NAME(give)(y + i, vfma(vsub(NAME(take)(x + i, n - i, 0), shift), scale, offset), n - i);
}

static void NAME(affine_columns)(void *y_, const void *x_, ptrdiff_t rows, ptrdiff_t n, const void *coefficients) {
    const REAL *shift = (const REAL *)coefficients, *scale = shift + n, *offset = scale + n;
    for (ptrdiff_t row = 0; row < rows; row++) {
        REAL *y = (REAL *)y_ + row * n;
        const REAL *x = (const REAL *)x_ + row * n;
        for (ptrdiff_t i = 0; i < n; i += VL) {
            const ptrdiff_t left = n - i;
            const vec d = vsub(NAME(take)(x + i, left, 0), NAME(take)(shift + i, left, 0));
            NAME(give)(y + i, vfma(d, NAME(take)(scale + i, left, 0), NAME(take)(offset + i, left, 0)), left);
        }
    }
}

static void NAME(combine)(void *dx_, const void *dy_, const void *x_, ptrdiff_t n, const void *coefficients) {
    REAL *dx = (REAL *)dx_;
    const REAL *dy = (const REAL *)dy_, *x = (const REAL *)x_, *k = (const REAL *)coefficients;
    const vec shift = vset(k[0]), a = vset(k[1]), b = vset(k[2]), c = vset(k[3]);
    ptrdiff_t i = 0;
    for (; x && i + 4 * VL <= n; i += 4 * VL)
        UNROLL for (int j = 0; j < 4; j++) {
            const ptrdiff_t at = i + j * VL;
            vstore(dx + at, vfma(vload(dy + at), a, vfma(vsub(vload(x + at), shift), b, c)));
        }
    for (; i < n; i += VL) {
        vec d = NAME(take)(dy + i, n - i, 0);
        if (x)
            d = vfma(d, a, vfma(vsub(NAME(take)(x + i, n - i, 0), shift), b, c));
        else
            d = vmul(d, a);
        NAME(give)(dx + i, d, n - i);
    }
}

static void NAME(combine_columns)(void *dx_, const void *dy_, const void *x_, ptrdiff_t rows, ptrdiff_t n,
                                  const void *coefficients) {
    const REAL *shift = (const REAL *)coefficients, *a = shift + n, *b = a + n, *c = b + n;
    for (ptrdiff_t row = 0; row < rows; row++) {
        REAL *dx = (REAL *)dx_ + row * n;
        const REAL *dy = (const REAL *)dy_ + row * n, *x = x_ ? (const REAL *)x_ + row * n : NULL;
        for (ptrdiff_t i = 0; i < n; i += VL) {
            const ptrdiff_t left = n - i;
            vec d = vmul(NAME(take)(dy + i, left, 0), NAME(take)(a + i, left, 0));
            if (x) {
                const vec away = vsub(NAME(take)(x + i, left, 0), NAME(take)(shift + i, left, 0));
                d = vadd(d, vfma(away, NAME(take)(b + i, left, 0), NAME(take)(c + i, left, 0)));
            }
            NAME(give)(dx + i, d, left);
        }
    }
}

/* Local response normalisation of `width` sites, a vector of sites at a time: channel c of site j lies at
 * c * step + j * site_step.  base_c = k + scale * sum of x**2 over the channels c - before .. c + after that exist.
 * scratch: 3 * channels * VL values. */
ALWAYS_INLINE vec NAME(sites)(const REAL *p, ptrdiff_t site_step, ptrdiff_t left) {
    if (site_step == 1) return NAME(take)(p, left, 0);
    REAL lane[VL];
    for (ptrdiff_t j = 0; j < VL; j++) lane[j] = j < left ? p[j * site_step] : 0;
    return vload(lane);
}
ALWAYS_INLINE void NAME(put_sites)(REAL *p, vec v, ptrdiff_t site_step, ptrdiff_t left) {
    if (site_step == 1) {
        NAME(give)(p, v, left);
        return;
    }
    REAL lane[VL];
    vstore(lane, v);
    for (ptrdiff_t j = 0; j < VL && j < left; j++) p[j * site_step] = lane[j];
}
ALWAYS_INLINE vec NAME(window_sum)(const REAL *rows, ptrdiff_t c, ptrdiff_t channels, ptrdiff_t before,
                                   ptrdiff_t after) {
    const ptrdiff_t first = c > before ? c - before : 0, last = channels - 1 - c > after ? c + after : channels - 1;
    vec sum = vzero();
    for (ptrdiff_t i = first; i <= last; i++) sum = vadd(sum, vload(rows + i * VL));
    return sum;
}

static void NAME(response_norm)(void *y_, const void *x_, void *scratch, const pycnn_response *r) {
    REAL *squares = (REAL *)scratch;
    for (ptrdiff_t j = 0; j < r->width; j += VL) {
        const REAL *x = (const REAL *)x_ + j * r->site_step;
        REAL *y = (REAL *)y_ + j * r->site_step;
        const ptrdiff_t left = r->width - j;
        for (ptrdiff_t c = 0; c < r->channels; c++) {
            const vec v = NAME(sites)(x + c * r->step, r->site_step, left);
            vstore(squares + c * VL, vmul(v, v));
        }
        for (ptrdiff_t c = 0; c < r->channels; c++) {
            const vec sum = NAME(window_sum)(squares, c, r->channels, r->before, r->after);
            const vec base = vfma(sum, vset((REAL)r->scale), vset((REAL)r->k));
            const vec v = NAME(sites)(x + c * r->step, r->site_step, left);
            NAME(put_sites)(y + c * r->step, vmul(v, NAME(power_minus)(base, r->beta)), r->site_step, left);
        }
    }
}

/* dx_j = dy_j base_j**-beta - 2 scale beta x_j * sum over the c whose window holds j of dy_c x_c base_c**(-beta - 1) */
static void NAME(response_norm_backward)(void *dx_, const void *dy_, const void *x_, void *scratch,
                                         const pycnn_response *r) {
    REAL *squares = (REAL *)scratch, *direct = squares + r->channels * VL, *through = direct + r->channels * VL;
    for (ptrdiff_t j = 0; j < r->width; j += VL) {
        const REAL *x = (const REAL *)x_ + j * r->site_step, *dy = (const REAL *)dy_ + j * r->site_step;
        REAL *dx = (REAL *)dx_ + j * r->site_step;
        const ptrdiff_t left = r->width - j;
        for (ptrdiff_t c = 0; c < r->channels; c++) {
            const vec v = NAME(sites)(x + c * r->step, r->site_step, left);
            vstore(squares + c * VL, vmul(v, v));
        }
        for (ptrdiff_t c = 0; c < r->channels; c++) {
            const vec sum = NAME(window_sum)(squares, c, r->channels, r->before, r->after);
            const vec base = vfma(sum, vset((REAL)r->scale), vset((REAL)r->k));
            const vec d = vmul(NAME(sites)(dy + c * r->step, r->site_step, left), NAME(power_minus)(base, r->beta));
            vstore(direct + c * VL, d);
            vstore(through + c * VL, vdiv(vmul(d, NAME(sites)(x + c * r->step, r->site_step, left)), base));
        }
        for (ptrdiff_t c = 0; c < r->channels; c++) {
            const vec sum = NAME(window_sum)(through, c, r->channels, r->after, r->before);
            const vec v = vmul(NAME(sites)(x + c * r->step, r->site_step, left), vset((REAL)(-2 * r->scale * r->beta)));
            NAME(put_sites)(dx + c * r->step, vfma(v, sum, vload(direct + c * VL)), r->site_step, left);
        }
    }
}

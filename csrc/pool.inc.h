/* Rows of pooling windows, one instruction set, one number type. */

static void NAME(add_row)(REAL *RESTRICT acc, const REAL *RESTRICT src, ptrdiff_t length, ptrdiff_t step) {
    ptrdiff_t j = 0;
    if (step == 1)
        for (; j + VL <= length; j += VL) vstore(acc + j, vadd(vload(acc + j), vload(src + j)));
    for (; j < length; j++) acc[j] += src[j * step];
}

static const TYPED(pycnn_pool) NAME(pool_table) = {
    NAME(add_row),
};

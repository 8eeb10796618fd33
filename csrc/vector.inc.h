/* Element-wise functions over contiguous runs, one instruction set, one number type. Plain loops: with the flags that
 * setup.py gives each instruction set, compilers turn them into full vectors. */

static void NAME(relu)(REAL *RESTRICT y, const REAL *RESTRICT x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] <= 0 ? 0 : x[i];
}

static void NAME(relu_backward)(REAL *RESTRICT dx, const REAL *RESTRICT dy, const REAL *RESTRICT x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) dx[i] = x[i] <= 0 ? 0 : dy[i];
}

static const TYPED(pycnn_vector) NAME(vector_table) = {
    NAME(relu),
    NAME(relu_backward),
};

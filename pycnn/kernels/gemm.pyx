# c[m, n] = bias[n] + sum_k a[m, k] * b[k, n], all three by strides: the products of a fully connected layer.
#
# Edges: k = 0 gives the bias (or 0).
#
# Blocking, after Goto and van de Geijn (ACM TOMS 34, 2008): b is packed in slabs of column panels, [panel][k][width],
# once per call and by all threads; a is read where it lies, along whichever of its axes is contiguous (the caller sees
# to it that one is). A task is one panel and a chunk of rows; it goes through k in blocks of BLOCK_K so that the
# panel's part stays in L2. For a few rows a transposed b is not packed at all: each value is a dot product of two
# runs, and the time is that of reading b.
#
# The work is cut by shape alone and every sum runs in one order, so any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._call cimport View, read_matrix, values
from pycnn.kernels._integers cimport ceil_div, slot_size, too_many_bytes
from pycnn.kernels._pycnn_h cimport (
    GemmGeometry, PYCNN_ERROR_POINTER, PYCNN_ERROR_SHAPE, PYCNN_ERROR_VALUE_BYTES, PYCNN_OK,
)
from pycnn.kernels._runtime cimport (
    Workspace, allocate, begin_call, begin_measure, end_call, end_measure, num_slots, parallel_work, raise_status,
    release,
)
from pycnn.kernels._tiles cimport dot_rows, gemm_packed, gemm_rows, lanes, pack_run, store_run, tile_columns, \
    tile_rows, transpose_run

cdef enum:
    BLOCK_K = 640
    SLAB_BYTES = 8 << 20
    FEW_ROWS = 2
    DOT_COLUMNS = 64  # columns of c in a task of dot products

ctypedef struct Job:
    Py_ssize_t m, n, k
    const void* a
    const void* b
    const void* bias
    void* c
    Py_ssize_t a_row, a_k, b_k, b_column, c_row, c_column
    Py_ssize_t mr, nr, vl
    Py_ssize_t panels, first_panel, slab_panels, chunk_tiles, chunks
    void* packed
    char* scratch
    size_t slot_bytes


cdef inline Py_ssize_t _columns(const Job* job, Py_ssize_t panel) noexcept nogil:
    return min(job.nr, job.n - panel * job.nr)


cdef void _pack_panel(floating* tag, Job* job, Py_ssize_t task) noexcept nogil:
    cdef Py_ssize_t panel = job.first_panel + task
    cdef Py_ssize_t columns = _columns(job, panel)
    cdef Py_ssize_t width = ceil_div(columns, job.vl) * job.vl
    cdef const floating* b = <const floating*> job.b + panel * job.nr * job.b_column
    cdef floating* out = <floating*> job.packed + task * job.k * job.nr
    cdef Py_ssize_t k
    if job.b_k == 1:
        transpose_run(out, width, b, job.b_column, columns, job.k, 1)
        if columns < width:
            for k in range(job.k):
                memset(out + k * width + columns, 0, <size_t> (width - columns) * sizeof(floating))
    else:
        pack_run(out, width, b, job.b_k, job.k, width, 0, columns, job.b_column)


cdef void _pack_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _pack_panel(<float*> NULL, <Job*> context, chunk)


cdef void _pack_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _pack_panel(<double*> NULL, <Job*> context, chunk)


cdef void _multiply(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t in_slab = task // job.chunks
    cdef Py_ssize_t panel = job.first_panel + in_slab
    cdef Py_ssize_t columns = _columns(job, panel)
    cdef Py_ssize_t width = ceil_div(columns, job.vl) * job.vl
    cdef Py_ssize_t row0 = task % job.chunks * job.chunk_tiles * job.mr
    cdef Py_ssize_t last = min(row0 + job.chunk_tiles * job.mr, job.m)
    cdef const floating* a = <const floating*> job.a
    cdef const floating* b = <const floating*> job.packed + in_slab * job.k * job.nr
    cdef const floating* bias = <const floating*> job.bias
    cdef floating* tiles = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* tile
    cdef Py_ssize_t block, k0, count, row, rows, i, j
    for i in range((last - row0 + job.mr - 1) // job.mr * job.mr):
        for j in range(width):
            tiles[i * width + j] = bias[panel * job.nr + j] if bias != NULL and j < columns else <floating> 0
    for block in range(ceil_div(job.k, BLOCK_K)):
        k0 = block * BLOCK_K
        count = min(<Py_ssize_t> BLOCK_K, job.k - k0)
        row = row0
        while row < last:
            rows = min(job.mr, last - row)
            tile = tiles + (row - row0) * width
            if job.a_k == 1:
                gemm_rows(rows, width // job.vl, count, a + row * job.a_row + k0, job.a_row, b + k0 * width, tile, True)
            else:
                gemm_packed(rows, width // job.vl, count, a + row + k0 * job.a_k, job.a_k, b + k0 * width, tile, True)
            row += job.mr
    for row in range(row0, last):
        store_run(<floating*> job.c + row * job.c_row + panel * job.nr * job.c_column, tiles + (row - row0) * width,
                  columns, job.c_column, <floating> 0)


cdef void _multiply_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _multiply(<float*> NULL, <Job*> context, chunk, slot)


cdef void _multiply_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _multiply(<double*> NULL, <Job*> context, chunk, slot)


# Few rows of a, columns of b contiguous along k.
cdef void _dot(floating* tag, Job* job, Py_ssize_t task) noexcept nogil:
    cdef Py_ssize_t n0 = task * DOT_COLUMNS
    cdef Py_ssize_t count = min(<Py_ssize_t> DOT_COLUMNS, job.n - n0)
    cdef const floating* bias = <const floating*> job.bias
    cdef floating[DOT_COLUMNS] sums
    cdef Py_ssize_t row, j
    for row in range(job.m):
        for j in range(count):
            sums[j] = bias[n0 + j] if bias != NULL else <floating> 0
        dot_rows(job.k, <const floating*> job.b + n0 * job.b_column, job.b_column, count,
                 <const floating*> job.a + row * job.a_row, sums)
        store_run(<floating*> job.c + row * job.c_row + n0 * job.c_column, sums, count, job.c_column, <floating> 0)


cdef void _dot_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _dot(<float*> NULL, <Job*> context, chunk)


cdef void _dot_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _dot(<double*> NULL, <Job*> context, chunk)


cdef void _plan(floating* tag, Job* job) noexcept nogil:
    cdef Py_ssize_t tiles, panel_bytes
    job.vl = lanes(tag)
    job.mr = tile_rows(tag)
    job.nr = tile_columns(tag)
    job.panels = ceil_div(job.n, job.nr)
    panel_bytes = max(<Py_ssize_t> 1, job.k * job.nr * <Py_ssize_t> sizeof(floating))
    job.slab_panels = min(job.panels, max(<Py_ssize_t> 1, SLAB_BYTES // panel_bytes))
    tiles = ceil_div(job.m, job.mr)
    job.chunk_tiles = min(tiles, 16)  # 16 tiles of a block of a are read again for each panel: they stay in L2
    if job.slab_panels * ceil_div(tiles, job.chunk_tiles) < 16:
        job.chunk_tiles = max(<Py_ssize_t> 1, tiles * job.slab_panels // 16)
    job.chunks = ceil_div(tiles, job.chunk_tiles)
    job.slot_bytes = <size_t> (job.chunk_tiles * job.mr * job.nr) * sizeof(floating)
    job.slot_bytes = slot_size(job.slot_bytes)


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef Py_ssize_t panels
    cdef double packed
    cdef bint ok
    if job.m <= FEW_ROWS and job.b_k == 1 and job.a_k == 1:
        parallel_work(_dot_f32 if floating is float else _dot_f64, job, ceil_div(job.n, DOT_COLUMNS),
                      <double> job.m * job.n * job.k)
        return True
    _plan(tag, job)
    job.packed = allocate(<size_t> (job.slab_panels * job.k * job.nr) * sizeof(floating))
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    ok = job.packed != NULL and job.scratch != NULL
    job.first_panel = 0
    while ok and job.first_panel < job.panels:
        panels = min(job.slab_panels, job.panels - job.first_panel)
        packed = <double> panels * job.nr * job.k
        if floating is float:
            parallel_work(_pack_f32, job, panels, packed)
            parallel_work(_multiply_f32, job, panels * job.chunks, packed * job.m)
        else:
            parallel_work(_pack_f64, job, panels, packed)
            parallel_work(_multiply_f64, job, panels * job.chunks, packed * job.m)
        job.first_panel += job.slab_panels
    release(job.packed)
    release(job.scratch)
    return ok


# ---- as pycnn.h has it

cdef inline bint _strange(Py_ssize_t rows, Py_ssize_t columns, size_t value_bytes) noexcept nogil:
    # Packed, a side may have up to a tile more.
    return rows < 0 or columns < 0 or too_many_bytes((<double> rows + 64) * (<double> columns + 64) * value_bytes)


# The first rule of pycnn.h that sizes break, or PYCNN_OK.
cdef int _check(const GemmGeometry* q, size_t value_bytes) noexcept nogil:
    if q == NULL:
        return PYCNN_ERROR_POINTER
    if value_bytes != sizeof(float) and value_bytes != sizeof(double):
        return PYCNN_ERROR_VALUE_BYTES
    if (_strange(q.m, q.k, value_bytes) or _strange(q.k, q.n, value_bytes) or _strange(q.m, q.n, value_bytes)
            or (q.a_steps[0] != 1 and q.a_steps[1] != 1 and q.m > 1 and q.k > 1)):
        return PYCNN_ERROR_SHAPE
    return PYCNN_OK


cdef void _fill_job(Job* job, const GemmGeometry* q, const void* a, const void* b, const void* bias,
                    void* c) noexcept nogil:
    job.m, job.n, job.k = q.m, q.n, q.k
    job.a, job.b, job.bias, job.c = a, b, bias, c
    job.a_row, job.a_k = q.a_steps[0], q.a_steps[1]
    job.b_k, job.b_column = q.b_steps[0], q.b_steps[1]
    job.c_row, job.c_column = q.c_steps[0], q.c_steps[1]
    # A step along an axis of one value is never taken.
    if job.a_k != 1 and job.a_row != 1 and job.k <= 1:
        job.a_k = 1
    elif job.a_k != 1 and job.a_row != 1:
        job.a_row = 1


cdef int _checked(const GemmGeometry* q, const floating* a, const floating* b, const floating* bias, floating* c,
                  void* workspace, size_t n) noexcept nogil:
    cdef Workspace place
    cdef Job job
    cdef int status = _check(q, sizeof(floating))
    if status != PYCNN_OK or q.m == 0 or q.n == 0:
        return status
    if c == NULL or ((a == NULL or b == NULL) and q.k > 0):
        return PYCNN_ERROR_POINTER
    _fill_job(&job, q, a, b, bias, c)
    begin_call(&place, workspace, n)
    return end_call(&place, workspace, _run(<floating*> NULL, &job))


cdef int gemm_f32(const GemmGeometry* q, const float* a, const float* b, const float* bias, float* c, void* workspace,
                  size_t n) noexcept nogil:
    return _checked(q, a, b, bias, c, workspace, n)


cdef int gemm_f64(const GemmGeometry* q, const double* a, const double* b, const double* bias, double* c,
                  void* workspace, size_t n) noexcept nogil:
    return _checked(q, a, b, bias, c, workspace, n)


cdef int gemm_workspace(const GemmGeometry* q, size_t value_bytes, size_t* needed) noexcept nogil:
    cdef Workspace place
    cdef Job job
    cdef int done, status
    if needed == NULL:
        return PYCNN_ERROR_POINTER
    needed[0] = 0
    status = _check(q, value_bytes)
    if status != PYCNN_OK or q.m == 0 or q.n == 0:
        return status
    _fill_job(&job, q, NULL, NULL, NULL, NULL)
    begin_measure(&place)
    done = _run(<float*> NULL, &job) if value_bytes == sizeof(float) else _run(<double*> NULL, &job)
    return end_measure(&place, done, needed)


def gemm(a,     # IN  (M, K), one axis contiguous
         b,     # IN  (K, N)
         bias,  # IN  (N,) or None
         c):    # OUT (M, N)
    """Write a @ b + bias to c."""
    cdef GemmGeometry q
    cdef View av, bv, cv
    cdef void* values_of_bias
    cdef int i, status
    read_matrix(&av, a)
    read_matrix(&bv, b)
    read_matrix(&cv, c)
    q.m, q.n, q.k = cv.shape[0], cv.shape[1], av.shape[1]
    if av.shape[0] != q.m or bv.shape[0] != q.k or bv.shape[1] != q.n or av.size != cv.size or bv.size != cv.size:
        raise ValueError("gemm: matrices that do not go together")
    for i in range(2):
        q.a_steps[i], q.b_steps[i], q.c_steps[i] = av.steps[i], bv.steps[i], cv.steps[i]
    values_of_bias = values(bias, cv.size, q.n)
    with nogil:
        if cv.size == sizeof(float):
            status = gemm_f32(&q, <float*> av.data, <float*> bv.data, <float*> values_of_bias, <float*> cv.data, NULL,
                              0)
        else:
            status = gemm_f64(&q, <double*> av.data, <double*> bv.data, <double*> values_of_bias, <double*> cv.data,
                              NULL, 0)
    if status != PYCNN_OK:
        raise_status("gemm", status)

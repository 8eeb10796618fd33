# The poolings that most networks have, on C-contiguous arrays: windows of 2 x 2 and 3 x 3 cells with stride 2, and of
# 3 x 3 with stride 1 and as many windows in a row as cells, of an image. Sums, edges and orders are those of
# pooling_forward.pyx and pooling_backward.pyx, which do all others; here one call of csrc/pool_window.inc.h,
# pool_same.inc.h or pool_spread.inc.h goes over many rows.
#
# A tile is a band of rows of one plane, or some whole planes where they are small. Tiles are cut by shape alone and
# share nothing, so any number of threads gives the same bits.

from cython cimport floating

from pycnn.kernels._call cimport View
from pycnn.kernels._integers cimport ceil_div
from pycnn.kernels._runtime cimport allocate, parallel_for, pool_windows, release
from pycnn.kernels.pooling_common cimport Axis, Rows, active_rows, all_counted, byte, taps_counted

cdef enum:
    CELLS_PER_CHUNK = 32768   # of the input: about 5 us of work
    MOST_WIDTH = 1024         # PYCNN_POOL_WIDTH

ctypedef struct Job:
    Rows rows
    pool_windows g
    void* few                   # one value per window: y or dy
    void* cells                 # x or dx
    Py_ssize_t windows          # of a plane
    Py_ssize_t cells_of_plane
    Py_ssize_t tall             # rows of the result
    byte* codes                 # or NULL
    bint mean
    bint back
    double divisor              # of every window, where column_count is NULL and row_count unset
    void* row_count
    void* column_count
    bint exact                  # row_count holds reciprocals that lose nothing
    Py_ssize_t planes
    Py_ssize_t band             # of them in a tile; all: tiles are of some planes each
    Py_ssize_t bands
    Py_ssize_t per_tile         # planes


# The windows of a call. False where they are not of those that csrc has.
cdef bint _windows(pool_windows* g, const Axis* h, const Axis* w, bint back, bint mean) noexcept nogil:
    g.kernel, g.stride = w.kernel, w.stride
    g.height, g.width, g.out_height, g.out_width = h.size, w.size, h.out, w.out
    g.top, g.left = h.pad, w.pad
    if h.kernel != w.kernel or h.stride != w.stride or h.dilation != 1 or w.dilation != 1:
        return False
    if g.kernel == 2:
        return g.stride == 2 and not (back and (h.pad or w.pad))
    if g.kernel != 3 or not 1 <= g.stride <= 2:
        return False
    if back and mean:
        # From a window's point of view: dx is made from dy, which starts that much later.
        g.height, g.width, g.out_height, g.out_width = h.out, w.out, h.size, w.size
        g.top, g.left = 2 - h.pad, 2 - w.pad
    if g.stride == 1:
        return (mean or not back) and g.left == 1 and g.out_width == g.width <= MOST_WIDTH
    return not back or (not mean and h.pad <= 1 and w.pad <= 1)


cdef void _run_tile(floating* tag, const Job* job, Py_ssize_t plane, Py_ssize_t planes, Py_ssize_t begin,
                    Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t windows = job.windows * plane
    cdef floating* few = <floating*> job.few + windows
    cdef floating* cells = <floating*> job.cells + job.cells_of_plane * plane
    cdef byte* codes = job.codes + windows if job.codes != NULL else NULL
    cdef const floating* row_count = <const floating*> job.row_count
    cdef const floating* column_count = <const floating*> job.column_count
    if floating is float:
        if job.back and job.mean and job.g.kernel == 3:
            job.rows.f32.mean_gather(&job.g, cells, few, <float> job.divisor, planes, begin, end)
        elif job.back and job.mean:
            job.rows.f32.mean_spread(&job.g, cells, few, <float> job.divisor, planes, begin, end)
        elif job.back:
            job.rows.f32.max_spread(&job.g, cells, few, codes, planes, begin, end)
        elif job.mean:
            job.rows.f32.mean_windows(&job.g, few, cells, row_count, column_count, job.exact, planes, begin, end)
        else:
            job.rows.f32.max_windows(&job.g, few, codes, cells, planes, begin, end)
    else:
        if job.back and job.mean and job.g.kernel == 3:
            job.rows.f64.mean_gather(&job.g, cells, few, job.divisor, planes, begin, end)
        elif job.back and job.mean:
            job.rows.f64.mean_spread(&job.g, cells, few, job.divisor, planes, begin, end)
        elif job.back:
            job.rows.f64.max_spread(&job.g, cells, few, codes, planes, begin, end)
        elif job.mean:
            job.rows.f64.mean_windows(&job.g, few, cells, row_count, column_count, job.exact, planes, begin, end)
        else:
            job.rows.f64.max_windows(&job.g, few, codes, cells, planes, begin, end)


cdef void _tile(floating* tag, const Job* job, Py_ssize_t tile) noexcept nogil:
    cdef Py_ssize_t begin = tile % job.bands * job.band, plane = tile // job.bands * job.per_tile
    _run_tile(tag, job, plane, min(job.per_tile, job.planes - plane), begin, min(job.tall, begin + job.band))


cdef void _tile_f32(void* context, Py_ssize_t tile, Py_ssize_t slot) noexcept nogil:
    _tile(<float*> NULL, <const Job*> context, tile)


cdef void _tile_f64(void* context, Py_ssize_t tile, Py_ssize_t slot) noexcept nogil:
    _tile(<double*> NULL, <const Job*> context, tile)


# Whole planes where several fit a tile, else bands of rows; an even number, for windows that share rows in pairs.
cdef void _run(Job* job, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t cells = job.cells_of_plane
    job.per_tile = max(1, CELLS_PER_CHUNK // cells)
    job.band = job.tall
    if job.per_tile == 1:
        job.bands = min(ceil_div(cells, CELLS_PER_CHUNK), job.tall)
        job.band = min(job.tall, (ceil_div(job.tall, job.bands) + 1) // 2 * 2)
    job.bands = ceil_div(job.tall, job.band)
    parallel_for(_tile_f32 if size == sizeof(float) else _tile_f64, job,
                 ceil_div(job.planes, job.per_tile) * job.bands)


# Whether an array is C-contiguous.
cdef bint _dense(const View* v) noexcept nogil:
    cdef Py_ssize_t a, step = 1
    for a in range(4, -1, -1):
        if v.shape[a] != 1 and v.steps[a] != step:
            return False
        step *= v.shape[a]
    return True


# What all calls share; False where the windows, or the arrays, are not of this module's.
cdef bint _begin(Job* job, const View* few, const View* cells, const Axis* d, const Axis* h, const Axis* w, bint back,
                 bint mean) noexcept nogil:
    if d.size != 1 or d.out != 1 or d.kernel != 1 or not _dense(few) or not _dense(cells):
        return False
    if not _windows(&job.g, h, w, back, mean):
        return False
    job.few, job.cells = few.data, cells.data
    job.rows, job.planes, job.back, job.mean = active_rows(), cells.shape[0] * cells.shape[1], back, mean
    job.windows, job.cells_of_plane = h.out * w.out, h.size * w.size
    job.tall = h.size if back else h.out
    job.codes, job.row_count, job.column_count = NULL, NULL, NULL
    job.divisor, job.exact = 0, False
    return True


# What means are divided by: per row and column of y, or by `divisor`. False where there is no memory.
cdef bint _count(floating* tag, Job* job, const Axis* h, const Axis* w, bint padded) noexcept nogil:
    cdef Py_ssize_t o, whole_row = 1
    cdef floating* row_count = <floating*> allocate((job.tall + w.out) * sizeof(floating))
    cdef floating* column_count = row_count + job.tall
    cdef double count
    job.row_count, job.column_count = row_count, NULL
    if row_count == NULL:
        return False
    if job.divisor == 0 and all_counted(w, padded):
        whole_row = w.kernel
    elif job.divisor == 0:
        job.column_count = column_count
        for o in range(w.out):
            column_count[o] = <floating> taps_counted(w, o, padded)
    job.exact = job.column_count == NULL
    for o in range(job.tall):
        count = job.divisor if job.divisor != 0 else <double> taps_counted(h, o, padded) * whole_row
        row_count[o] = <floating> count
        job.exact = job.exact and (count == 1 or count == 2 or count == 4)
    if job.exact:
        for o in range(job.tall):
            row_count[o] = 1 / row_count[o]
    return True


cdef bint max_planes(const View* x, const View* y, const View* codes, const Axis* d, const Axis* h,
                     const Axis* w) noexcept nogil:
    cdef Job job
    if not _begin(&job, y, x, d, h, w, False, False) or (codes != NULL and not _dense(codes)):
        return False
    if codes != NULL:
        job.codes = <byte*> codes.data
    _run(&job, x.size)
    return True


cdef bint max_planes_backward(const View* dy, const View* codes, const View* dx, const Axis* d, const Axis* h,
                              const Axis* w) noexcept nogil:
    cdef Job job
    if not _begin(&job, dy, dx, d, h, w, True, False) or not _dense(codes):
        return False
    job.codes = <byte*> codes.data
    _run(&job, dx.size)
    return True


cdef int _run_mean(Job* job, const Axis* h, const Axis* w, Py_ssize_t size, bint padded) noexcept nogil:
    cdef bint ready
    if size == sizeof(float):
        ready = _count(<float*> NULL, job, h, w, padded)
    else:
        ready = _count(<double*> NULL, job, h, w, padded)
    if ready:
        _run(job, size)
    release(job.row_count)
    return ready


cdef int mean_planes(const View* x, const View* y, const Axis* d, const Axis* h, const Axis* w, bint padded,
                     double divisor) noexcept nogil:
    cdef Job job
    if not _begin(&job, y, x, d, h, w, False, True):
        return -1
    job.divisor = divisor
    return _run_mean(&job, h, w, x.size, padded)


cdef int mean_planes_backward(const View* dy, const View* dx, const Axis* d, const Axis* h, const Axis* w, bint padded,
                              double divisor) noexcept nogil:
    cdef Job job
    if not _begin(&job, dy, dx, d, h, w, True, True):
        return -1
    if divisor == 0:
        if not (all_counted(h, padded) and all_counted(w, padded)):
            return -1
        divisor = <double> (h.kernel * w.kernel)
    job.divisor = divisor
    _run(&job, dx.size)
    return True

# y[n,c,o] = the mean of x[n,c,i] over the cells i of bin o: along each axis from floor(o * I / O) up to, and without,
# ceil((o + 1) * I / O). dx[n,c,i] = the sum of dy[n,c,o] / cells(o) over the bins o that contain cell i: from
# floor(i * O / I) up to, and without, ceil((i + 1) * O / I).
#
# Planar (columns are contiguous, or rows are copied first) or lanes (channels or images are contiguous); both add in
# the order of csrc/pool_bins.inc.h, and backward first the bins above each other, then from left to right: same bits.
# One chunk of the pool is some channels, or some output rows of lanes.

from cython cimport floating

from pycnn.kernels._call cimport View, read_volume
from pycnn.kernels._integers cimport ceil_div, round_up
from pycnn.kernels._runtime cimport Workspace, allocate, begin_call, end_call, num_slots, parallel_for, release
from pycnn.kernels.pooling_common cimport (
    Rows, Steps, active_rows, bin_lanes, bin_planes, bin_row, fill_planes, share_rows, split, steps_of, swap_channels,
)

cdef enum:
    CELLS_PER_CHUNK = 32768
    LANES = 512

ctypedef struct Job:
    Rows rows
    void* few                   # one value per bin: y or dy
    void* cells                 # x or dx
    Steps fs
    Steps cs
    Py_ssize_t outer
    Py_ssize_t inner            # of lanes the contiguous axis
    Py_ssize_t h                # cells
    Py_ssize_t w
    Py_ssize_t oh               # bins
    Py_ssize_t ow
    double divisor              # of every bin; 0: its cells
    Py_ssize_t* begin           # columns of each bin
    Py_ssize_t* end
    bint backward
    bint lanes
    Py_ssize_t block            # lanes of a chunk
    Py_ssize_t blocks
    Py_ssize_t tiles
    Py_ssize_t per_chunk
    char* scratch               # slot_bytes for each slot of the pool
    size_t slot_bytes


# The bins, or cells, o of `out` that meet one of `size` cells, or bins, i.
cdef inline Py_ssize_t _first(Py_ssize_t i, Py_ssize_t size, Py_ssize_t out) noexcept nogil:
    return i * out // size


cdef inline Py_ssize_t _end(Py_ssize_t i, Py_ssize_t size, Py_ssize_t out) noexcept nogil:
    return ceil_div((i + 1) * out, size)


cdef inline double _size(const Job* job, Py_ssize_t oh, Py_ssize_t ow) noexcept nogil:
    if job.divisor != 0:
        return job.divisor
    return <double> (_end(oh, job.oh, job.h) - _first(oh, job.oh, job.h)) * (job.end[ow] - job.begin[ow])


# `row`: room for all rows of a bin, used where columns are not contiguous.
cdef void _plane(floating* tag, const Job* job, Py_ssize_t n, Py_ssize_t c, floating* row) noexcept nogil:
    cdef const floating* x = <const floating*> job.cells + n * job.cs.n + c * job.cs.c
    cdef floating* y = <floating*> job.few + n * job.fs.n + c * job.fs.c
    cdef const floating* first
    cdef Py_ssize_t o, begin, rows, step
    for o in range(job.oh):
        begin = _first(o, job.oh, job.h)
        rows = _end(o, job.oh, job.h) - begin
        first = x + begin * job.cs.h
        step = job.cs.h
        if job.cs.w != 1:
            split(&job.rows, row, job.w, 0, first, step, job.cs.w, job.w, 0, 1, 1, job.w, rows, <floating> 0)
            first = row
            step = job.w
        if job.divisor != 0:
            bin_planes(&job.rows, y, 0, first, 0, step, rows, job.w, 1, <floating> job.divisor)
        else:
            bin_row(&job.rows, y + o * job.fs.h, job.fs.w, first, step, rows, job.begin, job.end, job.ow)


# `sums`: room for one value per bin of a row.
cdef void _plane_backward(floating* tag, const Job* job, Py_ssize_t n, Py_ssize_t c, floating* sums) noexcept nogil:
    cdef const floating* dy = <const floating*> job.few + n * job.fs.n + c * job.fs.c
    cdef floating* dx = <floating*> job.cells + n * job.cs.n + c * job.cs.c
    cdef floating* row
    cdef floating value
    cdef Py_ssize_t i, j, oh, ow, top, bottom
    for i in range(job.h):
        row = dx + i * job.cs.h
        top = _first(i, job.h, job.oh)
        bottom = _end(i, job.h, job.oh)
        for ow in range(job.ow):
            sums[ow] = 0
            for oh in range(top, bottom):
                sums[ow] += dy[oh * job.fs.h + ow * job.fs.w] / <floating> _size(job, oh, ow)
        for j in range(job.w):
            value = 0
            for ow in range(_first(j, job.w, job.ow), _end(j, job.w, job.ow)):
                value += sums[ow]
            row[j * job.cs.w] = value


cdef void _lanes(floating* tag, const Job* job, Py_ssize_t n, Py_ssize_t c, Py_ssize_t oh,
                 Py_ssize_t lanes) noexcept nogil:
    cdef const floating* x = <const floating*> job.cells + n * job.cs.n + c
    cdef floating* y = <floating*> job.few + n * job.fs.n + c + oh * job.fs.h
    cdef Py_ssize_t ow, top = _first(oh, job.oh, job.h), rows = _end(oh, job.oh, job.h) - top
    for ow in range(job.ow):
        bin_lanes(&job.rows, y + ow * job.fs.w, x + top * job.cs.h + job.begin[ow] * job.cs.w, job.cs.h, job.cs.w,
                  rows, job.end[ow] - job.begin[ow], lanes, <floating> _size(job, oh, ow))


# One row of dx; `src` and `count` have room for the bins that a cell can lie in.
cdef void _lanes_backward(floating* tag, const Job* job, Py_ssize_t n, Py_ssize_t c, Py_ssize_t i, Py_ssize_t lanes,
                          const floating** src, floating* count) noexcept nogil:
    cdef const floating* dy = <const floating*> job.few + n * job.fs.n + c
    cdef floating* row = <floating*> job.cells + n * job.cs.n + c + i * job.cs.h
    cdef Py_ssize_t j = 0, oh, ow, left, right, same, taps
    cdef Py_ssize_t top = _first(i, job.h, job.oh), bottom = _end(i, job.h, job.oh)
    while j < job.w:
        left = _first(j, job.w, job.ow)
        right = _end(j, job.w, job.ow)
        same = 1
        while j + same < job.w and (_first(j + same, job.w, job.ow) == left and _end(j + same, job.w, job.ow) == right):
            same += 1
        taps = 0
        for ow in range(left, right):
            for oh in range(top, bottom):
                src[taps] = dy + oh * job.fs.h + ow * job.fs.w
                count[taps] = <floating> _size(job, oh, ow)
                taps += 1
        share_rows(&job.rows, row + j * job.cs.w, job.cs.w, src, 0, count, taps, bottom - top, lanes, same)
        j += same


cdef void _tile(floating* tag, const Job* job, Py_ssize_t tile, void* memory, void* sources) noexcept nogil:
    cdef Py_ssize_t rows = job.h if job.backward else job.oh, c, rest
    if not job.lanes:
        if job.backward:
            _plane_backward(tag, job, tile // job.inner, tile % job.inner, <floating*> memory)
        else:
            _plane(tag, job, tile // job.inner, tile % job.inner, <floating*> memory)
        return
    rest = tile // rows
    c = rest % job.blocks * job.block
    if job.backward:
        _lanes_backward(tag, job, rest // job.blocks, c, tile % rows, min(job.block, job.inner - c),
                        <const floating**> sources, <floating*> memory)
    else:
        _lanes(tag, job, rest // job.blocks, c, tile % rows, min(job.block, job.inner - c))


# Whole planes with contiguous columns, backward contiguous altogether, one mean over each: a row of channels at a time.
cdef void _whole(floating* tag, const Job* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t tile = begin, n, c, planes
    cdef floating* few
    cdef floating* cells
    cdef floating divisor = <floating> (job.divisor if job.divisor != 0 else <double> job.h * job.w)
    while tile < end:
        n = tile // job.inner
        c = tile % job.inner
        planes = min(end - tile, job.inner - c)
        few = <floating*> job.few + n * job.fs.n + c * job.fs.c
        cells = <floating*> job.cells + n * job.cs.n + c * job.cs.c
        if job.backward:
            fill_planes(&job.rows, cells, job.cs.c, few, job.fs.c, job.h * job.w, planes, divisor)
        else:
            bin_planes(&job.rows, few, job.fs.c, cells, job.cs.c, job.cs.h, job.h, job.w, planes, divisor)
        tile += planes


cdef bint _is_whole(const Job* job) noexcept nogil:
    if job.lanes or job.oh * job.ow != 1 or job.cs.w != 1:
        return False
    return not job.backward or job.cs.h == job.w


# Bytes of scratch memory that a tile needs for values; where lanes run, as many pointers follow.
cdef Py_ssize_t _room(floating* tag, const Job* job) noexcept nogil:
    cdef Py_ssize_t room = job.ow
    if job.lanes:
        room = (job.oh // job.h + 2) * (job.ow // job.w + 2)
    elif not job.backward:
        room = (job.h // job.oh + 2) * job.w if job.cs.w != 1 else 0
    return round_up(room * sizeof(floating), 64)


cdef void _chunk(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t tile, begin = chunk * job.per_chunk, end = min(job.tiles, (chunk + 1) * job.per_chunk)
    cdef char* memory = job.scratch + <size_t> slot * job.slot_bytes
    if _is_whole(job):
        _whole(tag, job, begin, end)
        return
    for tile in range(begin, end):
        _tile(tag, job, tile, memory, memory + _room(tag, job))


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <Job*> context, chunk, slot)


cdef void _plan(Job* job) noexcept nogil:
    cdef Py_ssize_t rows = job.h if job.backward else job.oh
    if job.w == 1:
        job.cs.w = 1
    job.lanes = False
    job.tiles = job.outer * job.inner
    job.per_chunk = max(1, CELLS_PER_CHUNK // (job.h * job.w))
    if job.w > 1 and job.cs.w == 1:
        return
    if not (job.inner > 1 and job.cs.c == 1 and job.fs.c == 1):
        if not (job.outer > 1 and job.cs.n == 1 and job.fs.n == 1):
            return
        job.outer, job.inner = job.inner, job.outer
        swap_channels(&job.cs)
        swap_channels(&job.fs)
    job.lanes = True
    job.blocks = ceil_div(job.inner, LANES)
    job.block = min(job.inner, round_up(ceil_div(job.inner, job.blocks), 16))
    job.blocks = ceil_div(job.inner, job.block)
    job.tiles = job.outer * job.blocks * rows
    job.per_chunk = max(1, CELLS_PER_CHUNK // max(1, job.w * job.h // rows * job.block))


cdef object _run(floating* tag, Job* job):
    cdef Workspace place
    cdef Py_ssize_t o, room
    cdef bint ready
    if job.outer * job.inner == 0:
        return None
    with nogil:
        begin_call(&place, NULL, 0)
        job.rows = active_rows()
        _plan(job)
        room = _room(tag, job)
        job.slot_bytes = room + (room // sizeof(floating) * sizeof(void*) if job.lanes else 0)
        job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
        job.begin = <Py_ssize_t*> allocate(2 * job.ow * sizeof(Py_ssize_t))
        ready = job.scratch != NULL and job.begin != NULL
        if ready:
            job.end = job.begin + job.ow
            for o in range(job.ow):
                job.begin[o] = _first(o, job.ow, job.w)
                job.end[o] = _end(o, job.ow, job.w)
            parallel_for(_chunk_f32 if floating is float else _chunk_f64, job, ceil_div(job.tiles, job.per_chunk))
        release(job.scratch)
        release(job.begin)
        end_call(&place, NULL, ready)
    if not ready:
        raise MemoryError("pycnn: no memory for the workspace of a pooling")
    return None


cdef object _call(few, cells, tuple order, double divisor, bint backward):
    cdef Job job
    cdef View fv, cv
    read_volume(&fv, few, order)
    read_volume(&cv, cells, order, fv.size)
    job.outer, job.inner, job.h, job.w = cv.shape[0], cv.shape[1], cv.shape[3], cv.shape[4]
    job.oh, job.ow, job.divisor, job.backward = fv.shape[3], fv.shape[4], divisor, backward
    job.cells, job.few, job.cs, job.fs = cv.data, fv.data, steps_of(&cv), steps_of(&fv)
    if cv.size == sizeof(float):
        _run(<float*> NULL, &job)
    else:
        _run(<double*> NULL, &job)


def mean_forward(x,                # IN  (N, C, H, W) or (N, C, L), its axes `order`
                 y,                # OUT (N, C, OH, OW) or (N, C, OL), its axes `order`
                 tuple order,
                 double divisor):  # of every bin; 0: its number of cells
    """Mean over each bin; a divisor only where one bin is the whole image."""
    _call(y, x, order, divisor, False)


def mean_backward(dy,               # IN  (N, C, OH, OW) or (N, C, OL), its axes `order`
                  dx,               # OUT (N, C, H, W) or (N, C, L), its axes `order`
                  tuple order,
                  double divisor):  # as mean_forward
    """Each dy is spread evenly over its bin."""
    _call(dy, dx, order, divisor, True)

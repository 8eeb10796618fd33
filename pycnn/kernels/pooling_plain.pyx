# Max pooling one window at a time: every number type, every step between cells, windows of any size, adaptive ones,
# and the gradient that is shared among equal maxima.
#
# Taps are compared in scan order and only a better one takes over; a NaN is better than any number, the first stays.
# Taps outside the image are skipped. One chunk of the pool is some channels.

from cython cimport floating

from pycnn.kernels._call cimport View, read_volume
from pycnn.kernels._integers cimport ceil_div
from pycnn.kernels._runtime cimport parallel_for
from pycnn.kernels.pooling_common cimport Axis, Steps, axis_of, byte, end_tap, first_tap, place_t, steps_of

ctypedef fused number:
    signed char
    unsigned char
    short
    unsigned short
    int
    unsigned int
    long long
    unsigned long long
    float
    double

cdef enum:
    TAPS_PER_CHUNK = 16384

ctypedef struct Job:
    const void* x
    const void* dy
    void* y                     # forward; backward: dx
    byte* codes                 # or NULL
    place_t* places             # or NULL
    Steps xs
    Steps gs
    Steps ys
    Steps cs
    Steps ps
    Py_ssize_t images
    Py_ssize_t channels
    Axis d                      # stride 0: adaptive
    Axis h
    Axis w
    Py_ssize_t per_chunk
    bint split                  # backward: equal parts, else the whole to each

# The cells begin, begin + step, ... below end that one window sees along an axis, and its first tap among them.
ctypedef struct Cells:
    Py_ssize_t begin
    Py_ssize_t end
    Py_ssize_t step
    Py_ssize_t tap


cdef inline Cells _cells(const Axis* a, Py_ssize_t o) noexcept nogil:
    cdef Cells cells
    cells.step = 1
    if a.stride == 0:
        cells.tap = 0
        cells.begin = o * a.size // a.out
        cells.end = ceil_div((o + 1) * a.size, a.out)
        return cells
    cells.step = a.dilation
    cells.tap = first_tap(a, o)
    cells.begin = o * a.stride - a.pad + cells.tap * a.dilation
    cells.end = cells.begin + (end_tap(a, o) - cells.tap) * a.dilation
    return cells


cdef inline bint _better(number v, number best) noexcept nogil:
    if number is float or number is double:
        return best == best and not v <= best
    else:
        return v > best


# Loops over the cells of one window are written out as `while`: the steps are not known when this is compiled.
cdef void _window(number* tag, const Job* job, const number* x, Cells d, Cells h, Cells w, number* y, byte* code,
                  place_t* place) noexcept nogil:
    cdef number best = x[d.begin * job.xs.d + h.begin * job.xs.h + w.begin * job.xs.w]
    cdef Py_ssize_t i = d.begin, j, k, won_i = d.begin, won_j = h.begin, won_k = w.begin
    cdef const number* row
    while i < d.end:
        j = h.begin
        while j < h.end:
            row = x + i * job.xs.d + j * job.xs.h
            k = w.begin
            while k < w.end:
                if _better(row[k * job.xs.w], best):
                    best = row[k * job.xs.w]
                    won_i, won_j, won_k = i, j, k
                k += w.step
            j += h.step
        i += d.step
    y[0] = best
    if place != NULL:
        place[0] = (<place_t> won_i * job.h.size + won_j) * job.w.size + won_k
    if code != NULL:
        won_i = d.tap + (won_i - d.begin) // d.step
        won_j = h.tap + (won_j - h.begin) // h.step
        won_k = w.tap + (won_k - w.begin) // w.step
        code[0] = <byte> ((won_i * job.h.kernel + won_j) * job.w.kernel + won_k)


cdef void _forward(number* tag, const Job* job, Py_ssize_t n, Py_ssize_t c) noexcept nogil:
    cdef const number* x = <const number*> job.x + n * job.xs.n + c * job.xs.c
    cdef number* y = <number*> job.y + n * job.ys.n + c * job.ys.c
    cdef Py_ssize_t i, j, k
    cdef Cells d, h, w
    cdef byte* code = NULL
    cdef place_t* place = NULL
    for i in range(job.d.out):
        d = _cells(&job.d, i)
        for j in range(job.h.out):
            h = _cells(&job.h, j)
            for k in range(job.w.out):
                w = _cells(&job.w, k)
                if job.codes != NULL:
                    code = job.codes + n * job.cs.n + c * job.cs.c + i * job.cs.d + j * job.cs.h + k * job.cs.w
                if job.places != NULL:
                    place = job.places + n * job.ps.n + c * job.ps.c + i * job.ps.d + j * job.ps.h + k * job.ps.w
                _window(tag, job, x, d, h, w, y + i * job.ys.d + j * job.ys.h + k * job.ys.w, code, place)


# Adds `part` to the cells equal to `best` (NaN: to the NaNs); with dx NULL only counts them.
cdef Py_ssize_t _share(floating* tag, const Job* job, const floating* x, floating* dx, Cells d, Cells h, Cells w,
                       floating best, floating part) noexcept nogil:
    cdef Py_ssize_t i = d.begin, j, k, equal = 0
    cdef floating v
    while i < d.end:
        j = h.begin
        while j < h.end:
            k = w.begin
            while k < w.end:
                v = x[i * job.xs.d + j * job.xs.h + k * job.xs.w]
                if v == best or (v != v and best != best):
                    equal += 1
                    if dx != NULL:
                        dx[i * job.ys.d + j * job.ys.h + k * job.ys.w] += part
                k += w.step
            j += h.step
        i += d.step
    return equal


cdef void _backward(floating* tag, const Job* job, Py_ssize_t n, Py_ssize_t c) noexcept nogil:
    cdef const floating* x = <const floating*> job.x + n * job.xs.n + c * job.xs.c
    cdef const floating* dy = <const floating*> job.dy + n * job.gs.n + c * job.gs.c
    cdef floating* dx = <floating*> job.y + n * job.ys.n + c * job.ys.c
    cdef Py_ssize_t i, j, k
    cdef Cells d, h, w
    cdef floating best, part
    for i in range(job.d.size):
        for j in range(job.h.size):
            for k in range(job.w.size):
                dx[i * job.ys.d + j * job.ys.h + k * job.ys.w] = 0
    for i in range(job.d.out):
        d = _cells(&job.d, i)
        for j in range(job.h.out):
            h = _cells(&job.h, j)
            for k in range(job.w.out):
                w = _cells(&job.w, k)
                _window(tag, job, x, d, h, w, &best, NULL, NULL)
                part = dy[i * job.gs.d + j * job.gs.h + k * job.gs.w]
                if job.split:
                    part /= _share(tag, job, x, <floating*> NULL, d, h, w, best, part)
                _share(tag, job, x, dx, d, h, w, best, part)


cdef inline void _channels(number* tag, const Job* job, Py_ssize_t chunk, bint backward) noexcept nogil:
    cdef Py_ssize_t channel, n, c
    for channel in range(chunk * job.per_chunk, min(job.images * job.channels, (chunk + 1) * job.per_chunk)):
        n = channel // job.channels
        c = channel % job.channels
        if number is float or number is double:
            if backward:
                _backward(tag, job, n, c)
                continue
        _forward(tag, job, n, c)


cdef void _i8(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<signed char*> NULL, <const Job*> job, chunk, False)


cdef void _u8(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<unsigned char*> NULL, <const Job*> job, chunk, False)


cdef void _i16(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<short*> NULL, <const Job*> job, chunk, False)


cdef void _u16(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<unsigned short*> NULL, <const Job*> job, chunk, False)


cdef void _i32(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<int*> NULL, <const Job*> job, chunk, False)


cdef void _u32(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<unsigned int*> NULL, <const Job*> job, chunk, False)


cdef void _i64(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<long long*> NULL, <const Job*> job, chunk, False)


cdef void _u64(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<unsigned long long*> NULL, <const Job*> job, chunk, False)


cdef void _f32(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<float*> NULL, <const Job*> job, chunk, False)


cdef void _f64(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<double*> NULL, <const Job*> job, chunk, False)


cdef void _back_f32(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<float*> NULL, <const Job*> job, chunk, True)


cdef void _back_f64(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _channels(<double*> NULL, <const Job*> job, chunk, True)


ctypedef void (*chunk_fn)(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil


cdef chunk_fn _forward_of(str kind, Py_ssize_t size):
    if kind == "f":
        return _f32 if size == 4 else _f64
    if kind == "u":
        return _u8 if size == 1 else _u16 if size == 2 else _u32 if size == 4 else _u64
    return _i8 if size == 1 else _i16 if size == 2 else _i32 if size == 4 else _i64


cdef void _run(Job* job, chunk_fn fn) noexcept nogil:
    cdef Py_ssize_t cells = job.d.size * job.h.size * job.w.size
    cdef Py_ssize_t taps = job.d.out * job.h.out * job.w.out * job.d.kernel * job.h.kernel * job.w.kernel
    job.per_chunk = max(1, TAPS_PER_CHUNK // max(1, max(taps, cells)))
    parallel_for(fn, job, ceil_div(job.images * job.channels, job.per_chunk))


def max_forward(x,               # IN  (N, C, *spatial), its axes `order`; floats or integers
                y,               # OUT (N, C, *windows), its axes `order`
                indices,         # OUT y's shape, or None. Bytes: places within the window, row-major; else in D * H * W
                tuple order,
                tuple numbers):  # kernel, stride (0: adaptive), dilation, pad before, pad after: D, H, W each
    """Largest cell of each window."""
    cdef Job job
    cdef View xv, yv, v
    cdef chunk_fn fn
    read_volume(&xv, x, order)
    read_volume(&yv, y, order, xv.size)
    fn = _forward_of(x.dtype.kind, xv.size)
    job.d, job.h, job.w = axis_of(numbers, 0, &xv, &yv), axis_of(numbers, 1, &xv, &yv), axis_of(numbers, 2, &xv, &yv)
    job.images, job.channels = xv.shape[0], xv.shape[1]
    job.x, job.y, job.codes, job.places = xv.data, yv.data, NULL, NULL
    job.xs, job.ys = steps_of(&xv), steps_of(&yv)
    if indices is not None:
        read_volume(&v, indices, order)
        if v.size == 1:
            job.codes, job.cs = <byte*> v.data, steps_of(&v)
        else:
            job.places, job.ps = <place_t*> v.data, steps_of(&v)
    with nogil:
        _run(&job, fn)


def ties_backward(dy,             # IN  (N, C, *windows), its axes `order`
                  x,              # IN  (N, C, *spatial), its axes `order`
                  dx,             # OUT x's shape
                  tuple order,
                  tuple numbers,  # as max_forward
                  bint split):
    """Each dy goes to all cells that equal the maximum of its window: in equal parts, or the whole to each."""
    cdef Job job
    cdef View gv, xv, yv
    read_volume(&gv, dy, order)
    read_volume(&xv, x, order, gv.size)
    read_volume(&yv, dx, order, gv.size)
    job.d, job.h, job.w = axis_of(numbers, 0, &xv, &gv), axis_of(numbers, 1, &xv, &gv), axis_of(numbers, 2, &xv, &gv)
    job.images, job.channels = xv.shape[0], xv.shape[1]
    job.x, job.dy, job.y = xv.data, gv.data, yv.data
    job.codes, job.places, job.split = NULL, NULL, split
    job.xs, job.ys, job.gs = steps_of(&xv), steps_of(&yv), steps_of(&gv)
    with nogil:
        _run(&job, _back_f32 if xv.size == sizeof(float) else _back_f64)

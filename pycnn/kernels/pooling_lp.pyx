# y[n,c,o] = (sum of |x[n,c,i]|**p over the cells i of window o)**(1/p)
# dx[n,c,i] = sum over the windows o that see cell i of dy[n,c,o] * sign(x[i]) * (|x[i]| / y[o])**(p - 1), 0 at x = 0
#
# Padding adds 0. All arithmetic is in double, also for float32, so that powers neither overflow nor lose digits early.
# One chunk of the pool is some channels; the rows that a row of windows sees are raised to the power once for it.

from cython cimport floating
from libc.math cimport fabs, pow, sqrt

from pycnn.kernels._call cimport View, read_volume
from pycnn.kernels._integers cimport ceil_div, round_up
from pycnn.kernels._runtime cimport Workspace, allocate, begin_call, end_call, num_slots, parallel_for, release
from pycnn.kernels.pooling_common cimport Axis, Steps, axis_of, end_tap, first_tap, steps_of

cdef enum:
    TAPS_PER_CHUNK = 8192

ctypedef struct Job:
    const void* x
    const void* dy              # NULL: forward
    void* y                     # backward: dx
    Steps xs
    Steps gs
    Steps ys
    Py_ssize_t images
    Py_ssize_t channels
    Axis h
    Axis w
    double p
    Py_ssize_t per_chunk
    double* powers              # slot_powers for each slot of the pool
    Py_ssize_t slot_powers


cdef inline double _power(double x, double p) noexcept nogil:
    if p == 2:
        return x * x
    return fabs(x) if p == 1 else pow(fabs(x), p)


cdef inline double _root(double sum, double p) noexcept nogil:
    if p == 2:
        return sqrt(sum)
    return sum if p == 1 else pow(sum, 1 / p)


cdef inline double _slope(double x, double norm, double p) noexcept nogil:
    if x == 0:
        return 0
    if p == 2:
        return x / norm
    return pow(fabs(x) / norm, p - 1) * (-1.0 if x < 0 else (1.0 if x > 0 else x))


# power[(kh - first) * W + i] = |x|**p of the rows that window row oh sees; their number.
cdef Py_ssize_t _raise_rows(const floating* x, const Job* job, Py_ssize_t oh, double* power) noexcept nogil:
    cdef Py_ssize_t k, i, rows = 0
    cdef const floating* row
    for k in range(first_tap(&job.h, oh), end_tap(&job.h, oh)):
        row = x + (oh * job.h.stride + k * job.h.dilation - job.h.pad) * job.xs.h
        for i in range(job.w.size):
            power[rows * job.w.size + i] = _power(row[i * job.xs.w], job.p)
        rows += 1
    return rows


cdef inline double _norm(const Job* job, const double* power, Py_ssize_t rows, Py_ssize_t ow) noexcept nogil:
    cdef Py_ssize_t r, k, start = ow * job.w.stride - job.w.pad
    cdef double sum = 0
    for r in range(rows):
        for k in range(first_tap(&job.w, ow), end_tap(&job.w, ow)):
            sum += power[r * job.w.size + start + k * job.w.dilation]
    return _root(sum, job.p)


cdef void _forward(floating* tag, const Job* job, Py_ssize_t n, Py_ssize_t c, double* power) noexcept nogil:
    cdef const floating* x = <const floating*> job.x + n * job.xs.n + c * job.xs.c
    cdef floating* y = <floating*> job.y + n * job.ys.n + c * job.ys.c
    cdef Py_ssize_t oh, ow, rows
    for oh in range(job.h.out):
        rows = _raise_rows(x, job, oh, power)
        for ow in range(job.w.out):
            y[oh * job.ys.h + ow * job.ys.w] = <floating> _norm(job, power, rows, ow)


# dx of one window, added.
cdef void _spread(const floating* x, floating* dx, const Job* job, Py_ssize_t oh, Py_ssize_t ow, double norm,
                  double delta) noexcept nogil:
    cdef Py_ssize_t i, j, ih, iw
    for i in range(first_tap(&job.h, oh), end_tap(&job.h, oh)):
        ih = oh * job.h.stride + i * job.h.dilation - job.h.pad
        for j in range(first_tap(&job.w, ow), end_tap(&job.w, ow)):
            iw = ow * job.w.stride + j * job.w.dilation - job.w.pad
            dx[ih * job.ys.h + iw * job.ys.w] += <floating> (
                delta * _slope(x[ih * job.xs.h + iw * job.xs.w], norm, job.p))


cdef void _backward(floating* tag, const Job* job, Py_ssize_t n, Py_ssize_t c, double* power) noexcept nogil:
    cdef const floating* x = <const floating*> job.x + n * job.xs.n + c * job.xs.c
    cdef const floating* dy = <const floating*> job.dy + n * job.gs.n + c * job.gs.c
    cdef floating* dx = <floating*> job.y + n * job.ys.n + c * job.ys.c
    cdef Py_ssize_t i, j, oh, ow, rows
    for i in range(job.h.size):
        for j in range(job.w.size):
            dx[i * job.ys.h + j * job.ys.w] = 0
    for oh in range(job.h.out):
        rows = _raise_rows(x, job, oh, power)
        for ow in range(job.w.out):
            _spread(x, dx, job, oh, ow, _norm(job, power, rows, ow), dy[oh * job.gs.h + ow * job.gs.w])


cdef void _chunk(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t channel
    cdef double* power = job.powers + slot * job.slot_powers
    for channel in range(chunk * job.per_chunk, min(job.images * job.channels, (chunk + 1) * job.per_chunk)):
        if job.dy == NULL:
            _forward(tag, job, channel // job.channels, channel % job.channels, power)
        else:
            _backward(tag, job, channel // job.channels, channel % job.channels, power)


cdef void _chunk_f32(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <Job*> job, chunk, slot)


cdef void _chunk_f64(void* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <Job*> job, chunk, slot)


cdef object _run(floating* tag, Job* job):
    cdef Workspace place
    if job.images * job.channels == 0:
        return None
    job.per_chunk = max(1, TAPS_PER_CHUNK // max(1, job.h.out * job.w.out * job.h.kernel * job.w.kernel))
    job.slot_powers = round_up(min(job.h.kernel, job.h.size) * job.w.size, 8)
    with nogil:
        begin_call(&place, NULL, 0)
        job.powers = <double*> allocate(job.slot_powers * num_slots() * sizeof(double))
        if job.powers != NULL:
            parallel_for(_chunk_f32 if floating is float else _chunk_f64, job,
                         ceil_div(job.images * job.channels, job.per_chunk))
            release(job.powers)
        end_call(&place, NULL, job.powers != NULL)
    if job.powers == NULL:
        raise MemoryError("pycnn: no memory for the workspace of a pooling")
    return None


def forward(x,              # IN  (N, C, H, W), its axes `order`
            y,              # OUT (N, C, OH, OW), its axes `order`
            tuple order,
            tuple numbers,  # kernel, stride, dilation, pad before, pad after: D, H, W each
            double p):
    """p-norm of each window."""
    cdef View xv, yv
    read_volume(&xv, x, order)
    read_volume(&yv, y, order, xv.size)
    _call(&xv, NULL, &yv, numbers, p)


def backward(dy,             # IN  (N, C, OH, OW), its axes `order`
             x,              # IN  (N, C, H, W), its axes `order`
             dx,             # OUT x's shape
             tuple order,
             tuple numbers,  # as forward
             double p):
    """What each cell contributes to the p-norms, times dy."""
    cdef View gv, xv, yv
    read_volume(&gv, dy, order)
    read_volume(&xv, x, order, gv.size)
    read_volume(&yv, dx, order, gv.size)
    _call(&xv, &gv, &yv, numbers, p)


cdef object _call(const View* x, const View* dy, const View* y, tuple numbers, double p):
    cdef Job job
    cdef const View* windows = y if dy == NULL else dy
    job.h, job.w = axis_of(numbers, 1, x, windows), axis_of(numbers, 2, x, windows)
    job.images, job.channels, job.p = x.shape[0], x.shape[1], p
    job.x, job.dy, job.y = x.data, NULL, y.data
    job.xs, job.ys, job.gs = steps_of(x), steps_of(y), steps_of(windows)
    if dy != NULL:
        job.dy = dy.data
    if x.size == sizeof(float):
        _run(<float*> NULL, &job)
    else:
        _run(<double*> NULL, &job)

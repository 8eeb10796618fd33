# Batch normalisation and local response normalisation of x seen as (outer, channels, inner).
#
# Sums: S_c = sum u and P_c = sum u (x - shift_c) over all values of channel c, in double; u = x - shift_c gives the
# mean and the variance (the shifted-data algorithm of Chan, Golub and LeVeque, Algorithms for Computing the Sample
# Variance, 1983), u = dy the gradients. Then one linear map per channel: y = (x - shift) scale + offset, with the part
# of the mean that the number type cannot hold moved into the offset, so that data far from zero lose nothing.
#
# Blocking: inner > 1 (NCHW, HWCN): runs of `inner` values; a chunk of the sums is a slice of `outer` and some channels.
# inner = 1 (NHWC, NC): vectors along the channels, a chunk is a slice of rows. The partial sums of the slices are added
# in order, so the result does not depend on the number of threads.

from cython cimport floating
from libc.math cimport sqrt

from pycnn.kernels._integers cimport ceil_div
from pycnn.kernels._runtime cimport allocate, parallel_work, release, response, tiles, vector_table

cdef Py_ssize_t GRAIN = 16384  # values of a chunk
cdef Py_ssize_t SITES = 64     # of a chunk of the local response
cdef str NO_MEMORY = "pycnn: no memory for the sums of a normalisation"

ctypedef struct Job:
    char* y
    const char* x
    const char* dy
    const char* coefficients
    const double* shift
    double* sums           # (slices, 2, channels)
    Py_ssize_t outer, channels, inner
    Py_ssize_t slice       # of outer: rows of a chunk
    Py_ssize_t together    # channels of a chunk, or runs
    Py_ssize_t blocks      # of channels, or pieces of a run
    Py_ssize_t size        # bytes of a value
    const vector_table* table
    response where
    bint failed


cdef inline const vector_table* _table(floating* tag) noexcept nogil:
    return tiles().vector_f32 if floating is float else tiles().vector_f64


cdef inline const char* _offset(const char* p, Py_ssize_t bytes) noexcept nogil:
    if p == NULL:
        return NULL
    return p + bytes


# In multiply-adds: what moving a value takes of the time of one.
cdef inline double _work(const Job* job) noexcept nogil:
    return <double> (job.outer * job.channels * job.inner * job.size)


cdef void _moments_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t part = chunk // job.blocks, row = part * job.slice, rows = min(job.slice, job.outer - row)
    cdef Py_ssize_t c = (chunk - part * job.blocks) * job.together, last = min(c + job.together, job.channels), at
    cdef double* sums = job.sums + 2 * part * job.channels
    cdef double pair[2]
    if job.inner == 1:
        at = row * job.channels * job.size
        job.table.moments_columns(sums, sums + job.channels, _offset(job.dy, at), job.x + at, rows, job.channels,
                                  job.channels, job.shift)
        return
    while c < last:
        at = (row * job.channels + c) * job.inner * job.size
        pair[0] = pair[1] = 0
        job.table.moments(pair, _offset(job.dy, at), job.x + at, rows, job.channels * job.inner, job.inner,
                          job.shift[c])
        sums[c] = pair[0]
        sums[job.channels + c] = pair[1]
        c += 1


# Cuts the sums into chunks by shape alone and returns the number of slices of `outer`.
cdef Py_ssize_t _lay_moments(Job* job) noexcept nogil:
    cdef Py_ssize_t values = job.outer * job.inner
    if job.inner == 1:
        job.slice = max(64, GRAIN // job.channels)
        job.together = job.channels
    else:
        job.slice = ceil_div(job.outer, max(1, min(job.outer, values // GRAIN)))
        job.together = max(1, GRAIN // values)
    job.blocks = ceil_div(job.channels, job.together)
    return ceil_div(job.outer, job.slice)


# sums (2, channels) = S, P; dy is NULL for u = x - shift. False where there is no memory.
cdef bint _moments(Job* job, const double* shift, double* sums) noexcept nogil:
    cdef Py_ssize_t part, i, pairs = 2 * job.channels, slices = _lay_moments(job)
    job.shift = shift
    job.sums = <double*> allocate(slices * pairs * sizeof(double))
    if job.sums == NULL:
        return False
    for i in range(slices * pairs):
        job.sums[i] = 0
    parallel_work(_moments_chunk, job, slices * job.blocks, _work(job))
    for i in range(pairs):
        sums[i] = 0
    for part in range(slices):
        for i in range(pairs):
            sums[i] += job.sums[part * pairs + i]
    release(job.sums)
    return True


# mean and (biased) variance of each channel; NaN where there are no values
def batch_stats(const floating[:, :, ::1] x,  # IN  (outer, channels, inner)
                double[::1] mean,             # OUT (channels,)
                double[::1] var):             # OUT (channels,)
    cdef Job job
    cdef Py_ssize_t c, channels = x.shape[1]
    cdef double n, away, spread
    cdef double* work
    cdef bint done
    if x.shape[0] * x.shape[2] * channels == 0:
        mean[:] = float("nan")
        var[:] = float("nan")
        return
    job.outer = x.shape[0]
    job.channels = channels
    job.inner = x.shape[2]
    job.x = <const char*> &x[0, 0, 0]
    job.dy = NULL
    job.size = sizeof(floating)
    work = <double*> allocate(3 * channels * sizeof(double))
    if work == NULL:
        raise MemoryError(NO_MEMORY)
    with nogil:
        job.table = _table(<floating*> NULL)
        for c in range(channels):
            work[c] = x[0, c, 0]
        done = _moments(&job, work, work + channels)
        n = <double> (job.outer * job.inner)
        for c in range(channels):
            away = work[channels + c] / n
            spread = work[2 * channels + c] / n - away * away
            mean[c] = work[c] + away
            var[c] = 0 if spread < 0 else spread
        release(work)
    if not done:
        raise MemoryError(NO_MEMORY)


# S = sum dy and P = sum dy (x - mean) of each channel
def gradient_sums(const floating[:, :, ::1] dy,  # IN  (outer, channels, inner)
                  const floating[:, :, ::1] x,   # IN  (outer, channels, inner)
                  const double[::1] mean,        # IN  (channels,)
                  double[:, ::1] sums):          # OUT (2, channels): S, P
    cdef Job job
    cdef bint done
    if x.shape[0] * x.shape[1] * x.shape[2] == 0:
        sums[:, :] = 0
        return
    job.outer = x.shape[0]
    job.channels = x.shape[1]
    job.inner = x.shape[2]
    job.x = <const char*> &x[0, 0, 0]
    job.dy = <const char*> &dy[0, 0, 0]
    job.size = sizeof(floating)
    with nogil:
        job.table = _table(<floating*> NULL)
        done = _moments(&job, &mean[0], &sums[0, 0])
    if not done:
        raise MemoryError(NO_MEMORY)


# running = (1 - share) * running + share * factor * batch
def move(floating[:] running,       # IN, OUT (channels,), any stride
         const double[::1] batch,   # IN (channels,)
         double share, double factor):
    cdef Py_ssize_t c
    for c in range(running.shape[0]):
        running[c] = <floating> ((1 - share) * running[c] + share * factor * batch[c])


# Cuts the map into chunks: runs of one channel or pieces of them where inner > 1, rows where it is not.
cdef Py_ssize_t _lay_map(Job* job) noexcept nogil:
    job.blocks = 1
    if job.inner == 1:
        job.together = max(1, GRAIN // job.channels)
        return ceil_div(job.outer, job.together)
    if job.inner > GRAIN:
        job.together = 1
        job.blocks = ceil_div(job.inner, GRAIN)
        return job.outer * job.channels * job.blocks
    job.together = GRAIN // job.inner
    return ceil_div(job.outer * job.channels, job.together)


# y = map(x), or dx = map(dy, x) where there is a dy. Coefficients: columns of `channels` each where inner is 1, else 3
# or 4 neighbours for each channel.
cdef void _map_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t run = chunk // job.blocks * job.together, count, at, first, n, each = 3 if job.dy == NULL else 4
    cdef const char* k
    if job.inner == 1:
        count = min(job.together, job.outer - run)
        at = run * job.channels * job.size
        if job.dy == NULL:
            job.table.affine_columns(job.y + at, job.x + at, count, job.channels, job.coefficients)
        else:
            job.table.combine_columns(job.y + at, job.dy + at, _offset(job.x, at), count, job.channels,
                                      job.coefficients)
        return
    first = (chunk % job.blocks) * GRAIN
    n = min(GRAIN, job.inner - first)
    for run in range(run, min(run + job.together, job.outer * job.channels)):
        at = (run * job.inner + first) * job.size
        k = job.coefficients + (run % job.channels) * each * job.size
        if job.dy == NULL:
            job.table.affine(job.y + at, job.x + at, n, k)
        else:
            job.table.combine(job.y + at, job.dy + at, _offset(job.x, at), n, k)


cdef inline floating* _cell(floating* k, Job* job, Py_ssize_t each, Py_ssize_t which, Py_ssize_t c) noexcept nogil:
    return k + (which * job.channels + c if job.inner == 1 else c * each + which)


# inv_std = 1 / sqrt(var + eps)
def invert(const double[::1] var,   # IN  (channels,)
           double eps,
           double[::1] inv_std):    # OUT (channels,)
    cdef Py_ssize_t c
    for c in range(var.shape[0]):
        inv_std[c] = 1 / sqrt(var[c] + eps)


# y = (x - mean) inv_std weight + bias
def normalise(const floating[:, :, ::1] x,   # IN  (outer, channels, inner)
              const double[::1] mean,        # IN  (channels,)
              const double[::1] inv_std,     # IN  (channels,)
              const floating[::1] weight,    # IN  (channels,) or None for 1
              const floating[::1] bias,      # IN  (channels,) or None for 0
              floating[:, :, ::1] y):        # OUT (outer, channels, inner)
    cdef Job job
    cdef Py_ssize_t c
    cdef floating* k
    cdef double scale, offset
    if x.shape[0] * x.shape[1] * x.shape[2] == 0:
        return
    job.outer = x.shape[0]
    job.channels = x.shape[1]
    job.inner = x.shape[2]
    job.x = <const char*> &x[0, 0, 0]
    job.dy = NULL
    job.y = <char*> &y[0, 0, 0]
    job.size = sizeof(floating)
    k = <floating*> allocate(3 * job.channels * job.size)
    if k == NULL:
        raise MemoryError(NO_MEMORY)
    for c in range(job.channels):
        scale = inv_std[c] if weight is None else inv_std[c] * weight[c]
        offset = 0 if bias is None else bias[c]
        _cell(k, &job, 3, 0, c)[0] = <floating> mean[c]
        _cell(k, &job, 3, 1, c)[0] = <floating> scale
        _cell(k, &job, 3, 2, c)[0] = <floating> (offset - (mean[c] - <double> <floating> mean[c]) * scale)
    job.coefficients = <const char*> k
    with nogil:
        job.table = _table(<floating*> NULL)
        parallel_work(_map_chunk, &job, _lay_map(&job), _work(&job))
        release(k)


# dx = w inv_std (dy - S / n - (x - mean) inv_std**2 P / n) in training, w inv_std dy otherwise (sums is None).
def input_gradient(const floating[:, :, ::1] dy,  # IN  (outer, channels, inner)
                   const floating[:, :, ::1] x,   # IN  (outer, channels, inner)
                   const double[::1] mean,        # IN  (channels,)
                   const double[::1] inv_std,     # IN  (channels,)
                   const floating[::1] weight,    # IN  (channels,) or None for 1
                   const double[:, ::1] sums,     # IN  (2, channels): S, P about the mean; or None
                   floating[:, :, ::1] dx):       # OUT (outer, channels, inner)
    cdef Job job
    cdef Py_ssize_t c
    cdef floating* k
    cdef double a, b = 0, n
    if x.shape[0] * x.shape[1] * x.shape[2] == 0:
        return
    job.outer = x.shape[0]
    job.channels = x.shape[1]
    job.inner = x.shape[2]
    job.x = NULL
    if sums is not None:
        job.x = <const char*> &x[0, 0, 0]
    job.dy = <const char*> &dy[0, 0, 0]
    job.y = <char*> &dx[0, 0, 0]
    job.size = sizeof(floating)
    k = <floating*> allocate(4 * job.channels * job.size)
    if k == NULL:
        raise MemoryError(NO_MEMORY)
    n = <double> (job.outer * job.inner)
    for c in range(job.channels):
        a = inv_std[c] if weight is None else inv_std[c] * weight[c]
        _cell(k, &job, 4, 0, c)[0] = <floating> mean[c]
        _cell(k, &job, 4, 1, c)[0] = <floating> a
        if sums is not None:
            b = -a * inv_std[c] * inv_std[c] * sums[1, c] / n
            _cell(k, &job, 4, 2, c)[0] = <floating> b
            _cell(k, &job, 4, 3, c)[0] = <floating> (-a * sums[0, c] / n - (mean[c] - <double> <floating> mean[c]) * b)
    job.coefficients = <const char*> k
    with nogil:
        job.table = _table(<floating*> NULL)
        parallel_work(_map_chunk, &job, _lay_map(&job), _work(&job))
        release(k)


cdef void _response_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef response where = job.where
    cdef Py_ssize_t row = chunk // job.blocks, site = (chunk - row * job.blocks) * SITES, at
    cdef void* scratch = allocate(3 * job.channels * job.table.vl * job.size)
    if scratch == NULL:
        job.failed = True
        return
    where.width = min(SITES, job.where.width - site)
    at = (row * job.channels * job.inner + site * where.site_step) * job.size
    if job.dy == NULL:
        job.table.response_norm(job.y + at, job.x + at, scratch, &where)
    else:
        job.table.response_norm_backward(job.y + at, job.dy + at, job.x + at, scratch, &where)
    release(scratch)


# y = x (k + scale * sum of x**2 over the window)**-beta; the gradient of that where dy is not None.
def response_norm(const floating[:, :, ::1] dy,  # IN  (outer, channels, inner) or None
                  const floating[:, :, ::1] x,   # IN  (outer, channels, inner)
                  floating[:, :, ::1] y,         # OUT (outer, channels, inner)
                  Py_ssize_t before, Py_ssize_t after, double scale, double beta, double k):
    cdef Job job
    cdef Py_ssize_t rows
    if x.shape[0] * x.shape[1] * x.shape[2] == 0:
        return
    job.outer = x.shape[0]
    job.channels = x.shape[1]
    job.inner = x.shape[2]
    job.x = <const char*> &x[0, 0, 0]
    job.dy = NULL
    if dy is not None:
        job.dy = <const char*> &dy[0, 0, 0]
    job.y = <char*> &y[0, 0, 0]
    job.size = sizeof(floating)
    job.failed = False
    job.where.channels = job.channels
    job.where.before = before
    job.where.after = after
    job.where.scale = scale
    job.where.beta = beta
    job.where.k = k
    if job.inner == 1:  # the rows are the sites
        rows = 1
        job.where.step = 1
        job.where.site_step = job.channels
        job.where.width = x.shape[0]
    else:
        rows = x.shape[0]
        job.where.step = job.inner
        job.where.site_step = 1
        job.where.width = job.inner
    job.blocks = ceil_div(job.where.width, SITES)
    with nogil:
        job.table = _table(<floating*> NULL)
        parallel_work(_response_chunk, &job, rows * job.blocks, 8 * _work(&job))
    if job.failed:
        raise MemoryError(NO_MEMORY)

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
#
# A ReLU behind it costs no pass of its own: where y <= 0 a result is 0, and so is dy, whose y is found once more from x
# with the coefficients of the forward pass; both a PIECE at a time, in the first cache.

from libc.math cimport NAN, sqrt
from libc.string cimport memcpy

from pycnn.kernels._call cimport Flat, read_flat, values
from pycnn.kernels._integers cimport ceil_div
from pycnn.kernels._runtime cimport (
    PYCNN_RELU, Workspace, allocate, begin_call, end_call, num_slots, parallel_work, release, response, tiles,
    vector_table,
)

cdef Py_ssize_t GRAIN = 16384  # values of a chunk
cdef enum:
    PIECE = 1024           # values
cdef Py_ssize_t SITES = 64     # of a chunk of the local response
cdef str NO_MEMORY = "pycnn: no memory for the sums of a normalisation"

ctypedef struct Job:
    char* y
    const char* x
    const char* dy
    const char* coefficients
    bint relu              # behind the forward map
    const char* gate       # in `backward`: coefficients of the forward map, where a ReLU was behind it, or NULL
    const double* shift
    double* sums           # (slices, 2, channels)
    Py_ssize_t outer, channels, inner
    Py_ssize_t slice       # of outer: rows of a chunk
    Py_ssize_t together    # channels of a chunk, or runs
    Py_ssize_t blocks      # of channels, or pieces of a run
    Py_ssize_t size        # bytes of a value
    const vector_table* table
    response where
    char* scratch          # of the local response: slot_bytes for each slot of the pool
    Py_ssize_t slot_bytes


cdef inline double _get(const void* p, Py_ssize_t i, Py_ssize_t size) noexcept nogil:
    return (<const float*> p)[i] if size == sizeof(float) else (<const double*> p)[i]


cdef inline void _put(void* p, Py_ssize_t i, Py_ssize_t size, double value) noexcept nogil:
    if size == sizeof(float):
        (<float*> p)[i] = <float> value
    else:
        (<double*> p)[i] = value


# Where the contiguous arrays of a call lie: all of the shape `folded`, (outer, channels, inner), or None.
cdef int _begin(Job* job, x, dy, y, tuple folded) except -1:
    cdef Flat f
    read_flat(&f, x)
    job.outer, job.channels, job.inner = folded
    if f.count != job.outer * job.channels * job.inner:
        raise ValueError("pycnn: a kernel got an array that is not of the shape it should have")
    job.size = f.size
    job.table = tiles().vector_f32 if f.size == sizeof(float) else tiles().vector_f64
    job.x = <const char*> f.data
    job.dy = <const char*> values(dy, f.size, f.count)
    job.y = <char*> values(y, f.size, f.count)
    job.relu = False
    job.gate = NULL
    return 0


cdef inline bint _is_empty(const Job* job) noexcept nogil:
    return job.outer * job.channels * job.inner == 0


cdef inline const char* _offset(const char* p, Py_ssize_t bytes) noexcept nogil:
    if p == NULL:
        return NULL
    return p + bytes


# In multiply-adds: what moving a value takes of the time of one.
cdef inline double _work(const Job* job) noexcept nogil:
    return <double> (job.outer * job.channels * job.inner * job.size)


# masked = dy where the ReLU let y pass, else 0: m values of channel c.
cdef inline void _mask(const Job* job, Py_ssize_t c, const char* dy, const char* x, Py_ssize_t m,
                       char* masked) noexcept nogil:
    job.table.affine(masked, x, m, job.gate + 3 * c * job.size)
    job.table.backward[PYCNN_RELU](masked, dy, masked, m, 0)


# The sums of m neighbouring values of channel c.
cdef inline void _masked_sums(const Job* job, Py_ssize_t c, const char* dy, const char* x, Py_ssize_t m,
                              double* pair) noexcept nogil:
    cdef double[PIECE] masked
    _mask(job, c, dy, x, m, <char*> masked)
    job.table.moments(pair, masked, x, 1, 0, m, job.shift[c])


# The sums of channel c over `rows` runs. Short ones are laid side by side: each call costs as much as many values.
cdef void _masked_moments(const Job* job, Py_ssize_t c, const char* dy, const char* x, Py_ssize_t rows,
                          double* pair) noexcept nogil:
    cdef double[PIECE] near_dy, near_x
    cdef Py_ssize_t run = job.inner * job.size, step = job.channels * run, r, done, n
    while rows > 0 and 2 * job.inner <= PIECE:
        n = min(rows, PIECE // job.inner)
        for r in range(n):
            memcpy(<char*> near_dy + r * run, dy + r * step, run)
            memcpy(<char*> near_x + r * run, x + r * step, run)
        _masked_sums(job, c, <const char*> near_dy, <const char*> near_x, n * job.inner, pair)
        dy += n * step
        x += n * step
        rows -= n
    for r in range(rows):
        done = 0
        while done < job.inner:
            n = min(<Py_ssize_t> PIECE, job.inner - done)
            _masked_sums(job, c, dy + r * step + done * job.size, x + r * step + done * job.size, n, pair)
            done += n


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
        if job.dy != NULL and job.gate != NULL:
            _masked_moments(job, c, job.dy + at, job.x + at, rows, pair)
        else:
            job.table.moments(pair, _offset(job.dy, at), job.x + at, rows, job.channels * job.inner, job.inner,
                              job.shift[c])
        sums[c] = pair[0]
        sums[job.channels + c] = pair[1]
        c += 1


# Cuts the sums into chunks by shape alone and returns the number of slices of `outer`.
cdef Py_ssize_t _lay_moments(Job* job) noexcept nogil:
    cdef Py_ssize_t cells = job.outer * job.inner
    if job.inner == 1:
        job.slice = max(64, GRAIN // job.channels)
        job.together = job.channels
    else:
        job.slice = ceil_div(job.outer, max(1, min(job.outer, cells // GRAIN)))
        job.together = max(1, GRAIN // cells)
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


# mean and (biased) variance of each channel of x; NaN where there are no values. `sums`: 2 * channels. False where
# there is no memory.
cdef bint _batch_stats(Job* job, double* mean, double* var, double* sums) noexcept nogil:
    cdef Py_ssize_t c
    cdef const char* dy = job.dy
    cdef double n = <double> (job.outer * job.inner), away, spread
    cdef bint done = True
    if not _is_empty(job):
        for c in range(job.channels):
            mean[c] = _get(job.x, c * job.inner, job.size)
        job.dy = NULL
        done = _moments(job, mean, sums)
        job.dy = dy
    for c in range(job.channels):
        if n == 0:
            mean[c] = var[c] = NAN
            continue
        away = sums[c] / n
        spread = sums[job.channels + c] / n - away * away
        mean[c] += away
        var[c] = 0 if spread < 0 else spread
    return done


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


# The map of n values of channel c with a ReLU behind it, or before it on the way back.
cdef void _map_relu(const Job* job, Py_ssize_t c, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    cdef double[PIECE] masked
    cdef Py_ssize_t m
    while n > 0:
        m = min(<Py_ssize_t> PIECE, n)
        if job.dy == NULL:
            job.table.affine(job.y + at, job.x + at, m, job.coefficients + 3 * c * job.size)
            job.table.forward[PYCNN_RELU](job.y + at, job.y + at, m, 0)
        else:
            _mask(job, c, job.dy + at, job.x + at, m, <char*> masked)
            job.table.combine(job.y + at, masked, job.x + at, m, job.coefficients + 4 * c * job.size)
        at += m * job.size
        n -= m


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
            if job.relu:
                job.table.forward[PYCNN_RELU](job.y + at, job.y + at, count * job.channels, 0)
        else:
            job.table.combine_columns(job.y + at, job.dy + at, _offset(job.x, at), count, job.channels,
                                      job.coefficients)
        return
    first = (chunk % job.blocks) * GRAIN
    n = min(GRAIN, job.inner - first)
    for run in range(run, min(run + job.together, job.outer * job.channels)):
        at = (run * job.inner + first) * job.size
        k = job.coefficients + (run % job.channels) * each * job.size
        if job.relu or job.gate != NULL:
            _map_relu(job, run % job.channels, at, n)
        elif job.dy == NULL:
            job.table.affine(job.y + at, job.x + at, n, k)
        else:
            job.table.combine(job.y + at, job.dy + at, _offset(job.x, at), n, k)


# Coefficient `which` of the `each` that channel c has.
cdef inline void _set(Job* job, void* k, Py_ssize_t each, Py_ssize_t which, Py_ssize_t c, double value) noexcept nogil:
    _put(k, which * job.channels + c if job.inner == 1 else c * each + which, job.size, value)


cdef inline double _rounded(double value, Py_ssize_t size) noexcept nogil:
    return <double> <float> value if size == sizeof(float) else value


# y = (x - mean) inv_std weight + bias
cdef void _normalise(Job* job, const double* mean, const double* inv_std, const void* weight, const void* bias,
                     void* k) noexcept nogil:
    cdef Py_ssize_t c
    cdef double scale, offset
    if _is_empty(job):
        return
    for c in range(job.channels):
        scale = inv_std[c] if weight == NULL else inv_std[c] * _get(weight, c, job.size)
        offset = 0 if bias == NULL else _get(bias, c, job.size)
        _set(job, k, 3, 0, c, mean[c])
        _set(job, k, 3, 1, c, scale)
        _set(job, k, 3, 2, c, offset - (mean[c] - _rounded(mean[c], job.size)) * scale)
    job.coefficients = <const char*> k
    parallel_work(_map_chunk, job, _lay_map(job), _work(job))


# dx = w inv_std (dy - S / n - (x - mean) inv_std**2 P / n) where there are sums, S and P about the mean; w inv_std dy
# where sums is NULL.
cdef void _slopes(Job* job, const double* mean, const double* inv_std, const void* weight, const double* sums,
                  void* k) noexcept nogil:
    cdef Py_ssize_t c
    cdef double a, b, n = <double> (job.outer * job.inner)
    if _is_empty(job):
        return
    if sums == NULL:
        job.x = NULL
    for c in range(job.channels):
        a = inv_std[c] if weight == NULL else inv_std[c] * _get(weight, c, job.size)
        _set(job, k, 4, 0, c, mean[c])
        _set(job, k, 4, 1, c, a)
        if sums != NULL:
            b = -a * inv_std[c] * inv_std[c] * sums[job.channels + c] / n
            _set(job, k, 4, 2, c, b)
            _set(job, k, 4, 3, c, -a * sums[c] / n - (mean[c] - _rounded(mean[c], job.size)) * b)
    job.coefficients = <const char*> k
    parallel_work(_map_chunk, job, _lay_map(job), _work(job))


# running = (1 - share) * running + share * factor * batch
cdef void _move(void* running, Py_ssize_t size, const double* batch, Py_ssize_t channels, double share,
                double factor) noexcept nogil:
    cdef Py_ssize_t c
    if running != NULL:
        for c in range(channels):
            _put(running, c, size, (1 - share) * _get(running, c, size) + share * factor * batch[c])


cdef void _copy(double* out, const void* numbers, Py_ssize_t size, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = _get(numbers, i, size)


cdef void _invert(double* inv_std, const double* var, Py_ssize_t n, double eps) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        inv_std[i] = 1 / sqrt(var[i] + eps)


# y = (x - mean) / sqrt(var + eps) * weight + bias. In training mean and var are the batch's, and the running ones,
# where there are any, move towards them by `share`.
def forward(x,                    # IN  (outer, channels, inner)
            tuple folded,         # (outer, channels, inner)
            running_mean,         # IN, in training IN and OUT (channels,) or None
            running_var,          # IN, in training IN and OUT (channels,) or None
            weight,               # IN  (channels,) or None for 1
            bias,                 # IN  (channels,) or None for 0
            bint training,
            double share,
            double eps,
            y,                    # OUT (outer, channels, inner)
            mean_out,             # OUT (channels,) or None: the mean that was used
            inv_std_out,          # OUT (channels,) or None: 1 / sqrt(var + eps)
            bint relu,            # whether results below 0 become 0
            gate_out):            # OUT (channels, 3) or None: `backward` finds with it which are; inner > 1
    cdef Job job
    cdef Py_ssize_t c, count
    cdef bint done = True
    _begin(&job, x, None, y, folded)
    job.relu = relu
    cdef Py_ssize_t n = job.channels
    cdef void* old_mean = values(running_mean, job.size, n)
    cdef void* old_var = values(running_var, job.size, n)
    cdef const void* w = values(weight, job.size, n)
    cdef const void* b = values(bias, job.size, n)
    cdef void* used_mean = values(mean_out, job.size, n)
    cdef void* used_inv_std = values(inv_std_out, job.size, n)
    cdef void* gate = values(gate_out, job.size, 3 * n)
    cdef double* mean = <double*> allocate(8 * n * sizeof(double))
    cdef double* var = mean + n
    cdef double* inv_std = mean + 2 * n
    if mean == NULL:
        raise MemoryError(NO_MEMORY)
    with nogil:
        if training:
            done = _batch_stats(&job, mean, var, mean + 3 * n)
        else:
            _copy(mean, old_mean, job.size, n)
            _copy(var, old_var, job.size, n)
        if done:
            _invert(inv_std, var, n, eps)
            _normalise(&job, mean, inv_std, w, b, mean + 5 * n if gate == NULL else gate)
    count = job.outer * job.inner
    if done and training and count:  # under the GIL: two threads never mix their updates
        _move(old_mean, job.size, mean, n, share, 1)
        _move(old_var, job.size, var, n, share, <double> count / <double> (count - 1))
    if done and used_mean != NULL:
        for c in range(n):
            _put(used_mean, c, job.size, mean[c])
            _put(used_inv_std, c, job.size, inv_std[c])
    release(mean)
    if not done:
        raise MemoryError(NO_MEMORY)


def backward(dy,                  # IN  (outer, channels, inner)
             x,                   # IN  (outer, channels, inner)
             tuple folded,        # (outer, channels, inner)
             given_mean,          # IN  (channels,) or None: the batch's
             given_var,           # IN  (channels,) or None: inv_std is given, or the batch's
             given_inv_std,       # IN  (channels,) or None
             weight,              # IN  (channels,) or None for 1
             bint training,
             double eps,
             gate,                # IN  (channels, 3) or None: of a pass in training, for a ReLU behind it
             dx,                  # OUT (outer, channels, inner) or None
             dweight,             # OUT (channels,) or None
             dbias):              # OUT (channels,) or None
    cdef Job job
    cdef Py_ssize_t c
    cdef bint done = True
    _begin(&job, x, dy, dx, folded)
    cdef Py_ssize_t n = job.channels
    job.gate = <const char*> values(gate, job.size, 3 * n)
    cdef const void* old_mean = values(given_mean, job.size, n)
    cdef const void* old_var = values(given_var, job.size, n)
    cdef const void* old_inv_std = values(given_inv_std, job.size, n)
    cdef const void* w = values(weight, job.size, n)
    cdef void* dw = values(dweight, job.size, n)
    cdef void* db = values(dbias, job.size, n)
    cdef double* mean = <double*> allocate(9 * n * sizeof(double))
    cdef double* var = mean + n
    cdef double* inv_std = mean + 2 * n
    cdef double* sums = mean + 3 * n
    if mean == NULL:
        raise MemoryError(NO_MEMORY)
    with nogil:
        if old_mean == NULL:
            done = _batch_stats(&job, mean, var, sums)
        else:
            _copy(mean, old_mean, job.size, n)
        if old_inv_std != NULL:
            _copy(inv_std, old_inv_std, job.size, n)
        else:
            if old_var != NULL:
                _copy(var, old_var, job.size, n)
            _invert(inv_std, var, n, eps)
        for c in range(2 * n):
            sums[c] = 0
        if done and not _is_empty(&job) and (training or dw != NULL or db != NULL):
            done = _moments(&job, mean, sums)
        if done and job.y != NULL:
            _slopes(&job, mean, inv_std, w, sums if training else NULL, mean + 5 * n)
        if done:
            for c in range(n):
                if dw != NULL:
                    _put(dw, c, job.size, sums[n + c] * inv_std[c] if job.outer * job.inner else 0)
                if db != NULL:
                    _put(db, c, job.size, sums[c])
        release(mean)
    if not done:
        raise MemoryError(NO_MEMORY)


cdef void _response_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef response where = job.where
    cdef Py_ssize_t row = chunk // job.blocks, site = (chunk - row * job.blocks) * SITES, at
    cdef void* scratch = job.scratch + slot * job.slot_bytes
    where.width = min(SITES, job.where.width - site)
    at = (row * job.channels * job.inner + site * where.site_step) * job.size
    if job.dy == NULL:
        job.table.response_norm(job.y + at, job.x + at, scratch, &where)
    else:
        job.table.response_norm_backward(job.y + at, job.dy + at, job.x + at, scratch, &where)


# y = x (k + scale * sum of x**2 over the window)**-beta; the gradient of that where dy is not None.
def response_norm(dy,            # IN  (outer, channels, inner) or None
                  x,             # IN  (outer, channels, inner)
                  y,             # OUT (outer, channels, inner)
                  tuple folded,  # (outer, channels, inner)
                  Py_ssize_t before, Py_ssize_t after, double scale, double beta, double k):
    cdef Job job
    cdef Workspace place
    cdef Py_ssize_t rows
    _begin(&job, x, dy, y, folded)
    if _is_empty(&job):
        return
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
        job.where.width = job.outer
    else:
        rows = job.outer
        job.where.step = job.inner
        job.where.site_step = 1
        job.where.width = job.inner
    job.blocks = ceil_div(job.where.width, SITES)
    job.slot_bytes = 3 * job.channels * job.table.vl * job.size
    with nogil:
        begin_call(&place, NULL, 0)
        job.scratch = <char*> allocate(job.slot_bytes * num_slots())
        if job.scratch != NULL:
            parallel_work(_response_chunk, &job, rows * job.blocks, 8 * _work(&job))
            release(job.scratch)
        end_call(&place, NULL, job.scratch != NULL)
    if job.scratch == NULL:
        raise MemoryError(NO_MEMORY)

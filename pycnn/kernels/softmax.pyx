# Softmax and log-softmax over one axis, cross entropy, and the losses of one value against another.
#
# x is seen as (outer, n, inner), the axis in the middle. inner = 1: each row of n values is contiguous, a chunk is a
# few rows. inner > 1: neighbouring columns share vectors, a chunk is COLUMNS of them. The work is cut by shape alone;
# the sums of a loss are taken chunk by chunk and added up in order. The arithmetic is in csrc/vector_softmax.inc.h and
# csrc/vector_loss.inc.h.

from cython cimport floating

from pycnn.kernels._runtime cimport allocate, chunk_fn, parallel_work, release, tiles, vector_table

cdef Py_ssize_t GRAIN = 8192  # values of a chunk
cdef Py_ssize_t COLUMNS = 256
cdef double WORK = 16  # of a value, in multiply-adds

ctypedef struct Job:
    char* y
    const char* x
    const char* dy
    const char* t        # targets, weights of values and of positives of the losses
    const char* w
    const char* p
    double* sums         # one for each sample or chunk; scratch memory
    const Py_ssize_t* labels
    Py_ssize_t outer, n, inner
    Py_ssize_t rows      # of a chunk, where inner is 1
    Py_ssize_t blocks    # of columns, where it is not
    Py_ssize_t size      # bytes of a value
    Py_ssize_t ignored   # the label that counts for nothing, where there is one
    bint has_ignored
    double scale, smooth, total_weight
    bint log
    const vector_table* table


cdef inline const vector_table* _table(floating* tag) noexcept nogil:
    return tiles().vector_f32 if floating is float else tiles().vector_f64


# Lays the chunks of (outer, n, inner) and returns how many there are.
cdef Py_ssize_t _lay(Job* job, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner) noexcept nogil:
    job.outer = outer
    job.n = n
    job.inner = inner
    job.rows = max(1, GRAIN // n)
    job.blocks = (inner + COLUMNS - 1) // COLUMNS
    return (outer + job.rows - 1) // job.rows if inner == 1 else outer * job.blocks


cdef void _run(chunk_fn fn, Job* job, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner) noexcept nogil:
    parallel_work(fn, job, _lay(job, outer, n, inner), WORK * outer * n * inner)


# First value and first sample of a chunk, and how many rows or columns it has.
cdef inline void _place(Job* job, Py_ssize_t chunk, Py_ssize_t* at, Py_ssize_t* sample,
                        Py_ssize_t* count) noexcept nogil:
    cdef Py_ssize_t row, column
    if job.inner == 1:
        row = chunk * job.rows
        at[0] = row * job.n
        sample[0] = row
        count[0] = min(job.rows, job.outer - row)
    else:
        row = chunk // job.blocks
        column = (chunk - row * job.blocks) * COLUMNS
        at[0] = row * job.n * job.inner + column
        sample[0] = row * job.inner + column
        count[0] = min(COLUMNS, job.inner - column)


cdef void _softmax_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t at, sample, count
    _place(job, chunk, &at, &sample, &count)
    at *= job.size
    if job.inner == 1:
        job.table.softmax_rows(job.y + at, job.x + at, count, job.n, job.log)
    else:
        job.table.softmax_columns(job.y + at, job.x + at, job.n, job.inner, count, job.log)


def softmax(const floating[:, :, ::1] x,  # IN  (outer, n, inner)
            floating[:, :, ::1] y,        # OUT (outer, n, inner)
            bint log):
    cdef Job job
    if x.shape[0] * x.shape[1] * x.shape[2] == 0:
        return
    job.x = <const char*> &x[0, 0, 0]
    job.y = <char*> &y[0, 0, 0]
    job.size = sizeof(floating)
    job.log = log
    with nogil:
        job.table = _table(<floating*> NULL)
        _run(_softmax_chunk, &job, x.shape[0], x.shape[1], x.shape[2])


cdef void _softmax_backward_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t at, sample, count
    _place(job, chunk, &at, &sample, &count)
    at *= job.size
    if job.inner == 1:
        job.table.softmax_rows_backward(job.y + at, job.dy + at, job.x + at, count, job.n, job.log)
    else:
        job.table.softmax_columns_backward(job.y + at, job.dy + at, job.x + at, job.n, job.inner, count, job.log)


def softmax_backward(const floating[:, :, ::1] dy,  # IN  (outer, n, inner)
                     const floating[:, :, ::1] y,   # IN  (outer, n, inner), the forward result
                     floating[:, :, ::1] dx,        # OUT (outer, n, inner)
                     bint log):
    cdef Job job
    if y.shape[0] * y.shape[1] * y.shape[2] == 0:
        return
    job.x = <const char*> &y[0, 0, 0]
    job.dy = <const char*> &dy[0, 0, 0]
    job.y = <char*> &dx[0, 0, 0]
    job.size = sizeof(floating)
    job.log = log
    with nogil:
        job.table = _table(<floating*> NULL)
        _run(_softmax_backward_chunk, &job, y.shape[0], y.shape[1], y.shape[2])


# Cross entropy of sample s with label t: losses[s] = sum_c q_c (lse - x_c), lse = log sum exp(x), where the wanted
# q_c = smooth / n * w_c + (1 - smooth) * w_t [c = t].

cdef inline double _number(const char* p, Py_ssize_t i, Py_ssize_t size) noexcept nogil:
    return (<const float*> p)[i] if size == sizeof(float) else (<const double*> p)[i]


cdef inline double _weight(Job* job, Py_ssize_t c) noexcept nogil:
    return 1.0 if job.w == NULL else _number(job.w, c, job.size)


cdef inline double _sample_loss(Job* job, Py_ssize_t first, Py_ssize_t label, double lse) noexcept nogil:
    cdef double loss = 0, w
    cdef Py_ssize_t c
    if job.smooth != 1:
        loss = (1 - job.smooth) * _weight(job, label) * (lse - _number(job.x, first + label * job.inner, job.size))
    if job.smooth != 0:
        for c in range(job.n):
            w = _weight(job, c) * job.smooth / <double> job.n
            if w != 0:  # a class without weight counts for nothing, whatever its logit
                loss += w * (lse - _number(job.x, first + c * job.inner, job.size))
    return loss


cdef void _cross_entropy_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t at, sample, count, i
    _place(job, chunk, &at, &sample, &count)
    if job.inner == 1:
        job.table.log_sum_exp_rows(job.sums + sample, job.x + at * job.size, count, job.n)
    else:
        job.table.log_sum_exp_columns(job.sums + sample, job.x + at * job.size, job.n, job.inner, count)
    for i in range(count):
        if job.has_ignored and job.labels[sample + i] == job.ignored:
            job.sums[sample + i] = 0
        else:
            job.sums[sample + i] = _sample_loss(job, at + i * (job.n if job.inner == 1 else 1),
                                                job.labels[sample + i], job.sums[sample + i])


# Returns the sum of the losses and of the labels' weights.
def cross_entropy(const floating[:, :, ::1] x,      # IN  (outer, n, inner)
                  const Py_ssize_t[::1] labels,     # IN  (outer * inner,), 0 .. n - 1 or ignored
                  const floating[::1] w,            # IN  (n,) or None
                  double smooth, bint has_ignored, Py_ssize_t ignored,
                  double[::1] losses):              # OUT (outer * inner,)
    cdef Job job
    cdef Py_ssize_t i, samples = labels.shape[0]
    cdef double total = 0, weight = 0
    if samples == 0:
        return 0.0, 0.0
    job.x = <const char*> &x[0, 0, 0]
    job.w = NULL
    if w is not None:
        job.w = <const char*> &w[0]
    job.labels = &labels[0]
    job.sums = &losses[0]
    job.size = sizeof(floating)
    job.smooth = smooth
    job.has_ignored = has_ignored
    job.ignored = ignored
    with nogil:
        job.table = _table(<floating*> NULL)
        _run(_cross_entropy_chunk, &job, x.shape[0], x.shape[1], x.shape[2])
        for i in range(samples):
            total += losses[i]
            if not (has_ignored and labels[i] == ignored):
                weight += _weight(&job, labels[i])
    return total, weight


# dx = g (softmax(x) sum(q) - q), g = scale * dy. y holds the softmax when this begins.
cdef void _slopes(floating* tag, Job* job, Py_ssize_t at, Py_ssize_t sample, Py_ssize_t count) noexcept nogil:
    cdef floating* y = <floating*> job.y + at
    cdef Py_ssize_t i, c, label, step = job.n if job.inner == 1 else 1, along = job.inner
    cdef double g, wanted, share
    for i in range(count):
        label = job.labels[sample + i]
        if job.has_ignored and label == job.ignored:
            for c in range(job.n):
                y[i * step + c * along] = 0
            continue
        g = job.scale if job.dy == NULL else job.scale * _number(job.dy, sample + i, job.size)
        share = job.smooth / <double> job.n
        wanted = (1 - job.smooth) * _weight(job, label)
        if job.smooth == 0:
            for c in range(job.n):
                y[i * step + c * along] = <floating> (g * wanted * y[i * step + c * along])
        else:
            for c in range(job.n):
                y[i * step + c * along] = <floating> (
                    g * ((wanted + share * job.total_weight) * y[i * step + c * along] - share * _weight(job, c)))
        y[i * step + label * along] -= <floating> (g * wanted)


cdef void _cross_entropy_backward_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t at, sample, count
    _softmax_chunk(context, chunk, slot)
    _place(job, chunk, &at, &sample, &count)
    if job.size == sizeof(float):
        _slopes(<float*> NULL, job, at, sample, count)
    else:
        _slopes(<double*> NULL, job, at, sample, count)


def cross_entropy_backward(const floating[::1] dy,        # IN  (outer * inner,), or None for 1
                           const floating[:, :, ::1] x,   # IN  (outer, n, inner)
                           const Py_ssize_t[::1] labels,  # IN  (outer * inner,)
                           const floating[::1] w,         # IN  (n,) or None
                           double smooth, bint has_ignored, Py_ssize_t ignored, double scale,
                           floating[:, :, ::1] dx):       # OUT (outer, n, inner)
    cdef Job job
    cdef Py_ssize_t c
    if labels.shape[0] == 0:
        return
    job.x = <const char*> &x[0, 0, 0]
    job.y = <char*> &dx[0, 0, 0]
    job.dy = NULL
    if dy is not None:
        job.dy = <const char*> &dy[0]
    job.w = NULL
    if w is not None:
        job.w = <const char*> &w[0]
    job.labels = &labels[0]
    job.size = sizeof(floating)
    job.smooth = smooth
    job.has_ignored = has_ignored
    job.ignored = ignored
    job.scale = scale
    job.log = False
    job.total_weight = 0
    for c in range(x.shape[1]):
        job.total_weight += _weight(&job, c)
    with nogil:
        job.table = _table(<floating*> NULL)
        _run(_cross_entropy_backward_chunk, &job, x.shape[0], x.shape[1], x.shape[2])


# The first place with a label that is neither a class nor ignored; -1 where there is none.
def bad_label(const Py_ssize_t[::1] labels,  # IN
              Py_ssize_t classes, bint has_ignored, Py_ssize_t ignored):
    cdef Py_ssize_t i, found = -1
    with nogil:
        for i in range(labels.shape[0]):
            if (labels[i] < 0 or labels[i] >= classes) and not (has_ignored and labels[i] == ignored):
                found = i
                break
    return found


# Losses of one value against another: squares of the difference, or cross entropy of a logit with a probability.

SQUARE, LOGIT = 0, 1


cdef inline const char* _offset(const char* p, Py_ssize_t bytes) noexcept nogil:
    if p == NULL:
        return NULL
    return p + bytes


cdef double _error_sum(Job* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef double piece[512]
    cdef double total = 0
    cdef Py_ssize_t i, n, at
    if not job.log:
        return job.table.square_error_sum(job.x + begin * job.size, job.t + begin * job.size, end - begin)
    for i in range(begin, end, 512):
        n = min(512, end - i)
        at = i * job.size
        job.table.logit_error(piece, job.x + at, job.t + at, _offset(job.w, at), _offset(job.p, at), n)
        total += job.table.sum(piece, n)
    return total


cdef void _error_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t begin = chunk * GRAIN, n = min(GRAIN, job.outer - begin), at = begin * job.size
    if job.sums != NULL:
        job.sums[chunk] = _error_sum(job, begin, begin + n)
    elif job.log:
        job.table.logit_error(job.y + at, job.x + at, job.t + at, _offset(job.w, at), _offset(job.p, at), n)
    else:
        job.table.square_error(job.y + at, job.x + at, job.t + at, n)


# Writes the losses to y, or returns their sum where y is None.
def error(int kind,
          const floating[::1] x,  # IN
          const floating[::1] t,  # IN
          const floating[::1] w,  # IN  or None
          const floating[::1] p,  # IN  or None
          floating[::1] y):       # OUT or None
    cdef Job job
    cdef Py_ssize_t i, chunks
    cdef double total = 0
    job.outer = x.shape[0]
    if job.outer == 0:
        return 0.0
    job.x = <const char*> &x[0]
    job.t = <const char*> &t[0]
    job.w = NULL
    if w is not None:
        job.w = <const char*> &w[0]
    job.p = NULL
    if p is not None:
        job.p = <const char*> &p[0]
    job.size = sizeof(floating)
    job.log = kind == 1
    job.sums = NULL
    chunks = (job.outer + GRAIN - 1) // GRAIN
    if y is None:
        job.sums = <double*> allocate(chunks * sizeof(double))
        if job.sums == NULL:
            raise MemoryError("pycnn: no memory for the partial sums of a loss")
    else:
        job.y = <char*> &y[0]
    with nogil:
        job.table = _table(<floating*> NULL)
        parallel_work(_error_chunk, &job, chunks, WORK * job.outer)
        if job.sums != NULL:
            for i in range(chunks):
                total += job.sums[i]
            release(job.sums)
    return total


cdef void _error_backward_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t begin = chunk * GRAIN, n = min(GRAIN, job.outer - begin), at = begin * job.size
    cdef const char* dy = _offset(job.dy, at)
    if job.log:
        job.table.logit_error_backward(job.y + at, dy, job.x + at, job.t + at, _offset(job.w, at),
                                       _offset(job.p, at), n, job.scale)
    else:
        job.table.square_error_backward(job.y + at, dy, job.x + at, job.t + at, n, 2 * job.scale)


def error_backward(int kind,
                   const floating[::1] dy,  # IN  or None for 1
                   const floating[::1] x,   # IN
                   const floating[::1] t,   # IN
                   const floating[::1] w,   # IN  or None
                   const floating[::1] p,   # IN  or None
                   double scale,
                   floating[::1] dx):       # OUT
    cdef Job job
    job.outer = x.shape[0]
    if job.outer == 0:
        return
    job.dy = NULL
    if dy is not None:
        job.dy = <const char*> &dy[0]
    job.x = <const char*> &x[0]
    job.t = <const char*> &t[0]
    job.w = NULL
    if w is not None:
        job.w = <const char*> &w[0]
    job.p = NULL
    if p is not None:
        job.p = <const char*> &p[0]
    job.y = <char*> &dx[0]
    job.size = sizeof(floating)
    job.log = kind == 1
    job.scale = scale
    with nogil:
        job.table = _table(<floating*> NULL)
        parallel_work(_error_backward_chunk, &job, (job.outer + GRAIN - 1) // GRAIN, WORK * job.outer)

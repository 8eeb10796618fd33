# Softmax and log-softmax over one axis, cross entropy, and the losses of one value against another.
#
# x is seen as (outer, n, inner), the axis in the middle. inner = 1: each row of n values is contiguous, a chunk is a
# few rows. inner > 1: neighbouring columns share vectors, a chunk is COLUMNS of them. The work is cut by shape alone;
# the sums of a loss are taken chunk by chunk and added up in order. The arithmetic is in csrc/vector_softmax.inc.h and
# csrc/vector_loss.inc.h.

from cython cimport floating

from pycnn.kernels._call cimport Flat, read_flat, values
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


cdef inline const vector_table* _table(Py_ssize_t size) noexcept nogil:
    return tiles().vector_f32 if size == sizeof(float) else tiles().vector_f64


# Where the contiguous arrays of a call lie, all of the shape `folded`, (outer, n, inner), or none of it.
cdef int _begin(Job* job, x, dy, y, tuple folded, bint log) except -1:
    cdef Flat f
    read_flat(&f, x)
    job.outer, job.n, job.inner = folded
    job.size, job.log, job.table = f.size, log, _table(f.size)
    job.x = <const char*> f.data
    job.dy = <const char*> values(dy, f.size, f.count)
    job.y = <char*> values(y, f.size, f.count)
    if f.count != job.outer * job.n * job.inner:
        raise ValueError("pycnn: a kernel got an array that is not of the shape it should have")
    return 0


# Lays the chunks of (outer, n, inner) and runs them.
cdef void _run(chunk_fn fn, Job* job) noexcept nogil:
    cdef Py_ssize_t chunks
    if job.outer * job.n * job.inner == 0:
        return
    job.rows = max(1, GRAIN // job.n)
    job.blocks = (job.inner + COLUMNS - 1) // COLUMNS
    chunks = (job.outer + job.rows - 1) // job.rows if job.inner == 1 else job.outer * job.blocks
    parallel_work(fn, job, chunks, WORK * job.outer * job.n * job.inner)


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


def softmax(x,             # IN
            y,             # OUT
            tuple folded,  # (outer, n, inner)
            bint log):
    cdef Job job
    _begin(&job, x, None, y, folded, log)
    with nogil:
        _run(_softmax_chunk, &job)


cdef void _softmax_backward_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t at, sample, count
    _place(job, chunk, &at, &sample, &count)
    at *= job.size
    if job.inner == 1:
        job.table.softmax_rows_backward(job.y + at, job.dy + at, job.x + at, count, job.n, job.log)
    else:
        job.table.softmax_columns_backward(job.y + at, job.dy + at, job.x + at, job.n, job.inner, count, job.log)


def softmax_backward(dy,            # IN
                     y,             # IN  the forward result
                     dx,            # OUT
                     tuple folded,  # (outer, n, inner)
                     bint log):
    cdef Job job
    _begin(&job, y, dy, dx, folded, log)
    with nogil:
        _run(_softmax_backward_chunk, &job)


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


cdef int _begin_labels(Job* job, x, y, labels, w, tuple folded, double smooth, bint has_ignored,
                       Py_ssize_t ignored) except -1:
    _begin(job, x, None, y, folded, False)
    job.labels = <const Py_ssize_t*> values(labels, sizeof(Py_ssize_t), job.outer * job.inner)
    job.w = <const char*> values(w, job.size, job.n)
    job.smooth, job.has_ignored, job.ignored = smooth, has_ignored, ignored
    return 0


# Returns the sum of the losses and of the labels' weights.
def cross_entropy(x,             # IN
                  labels,        # IN  (outer * inner,) of intp, 0 .. n - 1 or ignored
                  w,             # IN  (n,) or None
                  tuple folded,  # (outer, n, inner)
                  double smooth, bint has_ignored, Py_ssize_t ignored,
                  losses):       # OUT (outer * inner,) of double
    cdef Job job
    cdef Py_ssize_t i
    cdef double total = 0, weight = 0
    _begin_labels(&job, x, None, labels, w, folded, smooth, has_ignored, ignored)
    job.sums = <double*> values(losses, sizeof(double), job.outer * job.inner)
    with nogil:
        _run(_cross_entropy_chunk, &job)
        for i in range(job.outer * job.inner):
            total += job.sums[i]
            if not (has_ignored and job.labels[i] == ignored):
                weight += _weight(&job, job.labels[i])
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


def cross_entropy_backward(dy,            # IN  (outer * inner,), or None for 1
                           x,             # IN
                           labels,        # IN  (outer * inner,) of intp
                           w,             # IN  (n,) or None
                           tuple folded,  # (outer, n, inner)
                           double smooth, bint has_ignored, Py_ssize_t ignored, double scale,
                           dx):           # OUT
    cdef Job job
    cdef Py_ssize_t c
    _begin_labels(&job, x, dx, labels, w, folded, smooth, has_ignored, ignored)
    job.dy = <const char*> values(dy, job.size, job.outer * job.inner)
    job.scale = scale
    job.total_weight = 0
    for c in range(job.n):
        job.total_weight += _weight(&job, c)
    with nogil:
        _run(_cross_entropy_backward_chunk, &job)


# The first place with a label that is neither a class nor ignored; -1 where there is none.
def bad_label(labels,  # IN, of intp
              Py_ssize_t classes, bint has_ignored, Py_ssize_t ignored):
    cdef Flat f
    cdef Py_ssize_t i, found = -1
    cdef const Py_ssize_t* label
    read_flat(&f, labels)
    label = <const Py_ssize_t*> f.data
    with nogil:
        for i in range(f.count):
            if (label[i] < 0 or label[i] >= classes) and not (has_ignored and label[i] == ignored):
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


cdef int _begin_error(Job* job, int kind, x, dy, t, w, p, y) except -1:
    cdef Flat f
    read_flat(&f, x)
    _begin(job, x, dy, y, (f.count, 1, 1), kind == 1)
    job.t = <const char*> values(t, f.size, f.count)
    job.w, job.p = <const char*> values(w, f.size, f.count), <const char*> values(p, f.size, f.count)
    job.sums = NULL
    return 0


# Writes the losses to y, or returns their sum where y is None. All arrays are contiguous and of one shape.
def error(int kind,
          x,   # IN
          t,   # IN
          w,   # IN  or None
          p,   # IN  or None
          y):  # OUT or None
    cdef Job job
    cdef Py_ssize_t i, chunks
    cdef double total = 0
    _begin_error(&job, kind, x, None, t, w, p, y)
    chunks = (job.outer + GRAIN - 1) // GRAIN
    if y is None:
        job.sums = <double*> allocate(chunks * sizeof(double))
        if job.sums == NULL:
            raise MemoryError("pycnn: no memory for the partial sums of a loss")
    with nogil:
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
                   dy,   # IN  or None for 1
                   x,    # IN
                   t,    # IN
                   w,    # IN  or None
                   p,    # IN  or None
                   double scale,
                   dx):  # OUT
    cdef Job job
    _begin_error(&job, kind, x, dy, t, w, p, dx)
    job.scale = scale
    with nogil:
        parallel_work(_error_backward_chunk, &job, (job.outer + GRAIN - 1) // GRAIN, WORK * job.outer)

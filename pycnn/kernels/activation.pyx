# y[i] = f(x[i]) and dx[i] = dy[i] * f'(x[i]) over contiguous runs.
#
# Blocking: runs of GRAIN values, one chunk of the pool each; the work is cut by size alone, so the result does not
# depend on the number of threads.

from cython cimport floating

from pycnn.kernels._runtime cimport parallel_for, tiles

cdef Py_ssize_t GRAIN = 32768

ctypedef struct Job:
    void* y
    const void* x
    const void* dy
    Py_ssize_t n


cdef inline Py_ssize_t _chunks(Py_ssize_t n) noexcept nogil:
    return (n + GRAIN - 1) // GRAIN


# `tag` only chooses the number type: NULL at run time.
cdef void _relu(floating* tag, Job* job, Py_ssize_t begin, Py_ssize_t n) noexcept nogil:
    if floating is float:
        tiles().vector_f32.relu(<float*> job.y + begin, <const float*> job.x + begin, n)
    else:
        tiles().vector_f64.relu(<double*> job.y + begin, <const double*> job.x + begin, n)


cdef void _relu_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t begin = chunk * GRAIN
    _relu(<float*> NULL, job, begin, min(GRAIN, job.n - begin))


cdef void _relu_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t begin = chunk * GRAIN
    _relu(<double*> NULL, job, begin, min(GRAIN, job.n - begin))


def relu(const floating[::1] x,   # IN
         floating[::1] y):        # OUT
    cdef Job job
    job.n = x.shape[0]
    if job.n == 0:
        return
    job.x = &x[0]
    job.y = &y[0]
    with nogil:
        parallel_for(_relu_f32 if floating is float else _relu_f64, &job, _chunks(job.n))

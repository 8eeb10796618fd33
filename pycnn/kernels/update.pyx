# The updates of an optimiser, in place: p and what it keeps for p, from the gradient g.
#
# sgd:  g += decay p;  v = momentum v + g;  p -= rate v, or rate (g + momentum v) with Nesterov's momentum
# adam: g += decay p;  m += (1 - b1) (g - m);  v = b2 v + (1 - b2) g**2;  p = shrink p - rate m / (sqrt(v) / root + eps)
#
# One pass over all arrays. Runs of GRAIN values, one chunk of the pool each, cut by size alone. The functions are in
# csrc/vector_update.inc.h.

from pycnn.kernels._call cimport Flat, read_flat, values
from pycnn.kernels._integers cimport ceil_div
from pycnn.kernels._runtime cimport parallel_work, tiles, vector_table

cdef Py_ssize_t GRAIN = 16384  # values of a chunk

ctypedef struct Job:
    char* p
    char* first
    char* second
    const char* grad
    Py_ssize_t n
    Py_ssize_t size  # bytes of a value
    double k[8]
    const vector_table* table


cdef inline char* _at(char* run, Py_ssize_t bytes) noexcept nogil:
    if run == NULL:
        return NULL
    return run + bytes


cdef void _sgd_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t begin = chunk * GRAIN, at = begin * job.size
    job.table.sgd(job.p + at, _at(job.first, at), job.grad + at, min(GRAIN, job.n - begin), job.k)


cdef void _adam_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t begin = chunk * GRAIN, at = begin * job.size
    job.table.adam(job.p + at, job.first + at, job.second + at, job.grad + at, min(GRAIN, job.n - begin), job.k)


cdef int _begin(Job* job, p, first, second, grad, tuple numbers) except -1:
    cdef Flat f
    cdef Py_ssize_t i
    read_flat(&f, p)
    job.p, job.n, job.size = <char*> f.data, f.count, f.size
    job.first = <char*> values(first, f.size, f.count)
    job.second = <char*> values(second, f.size, f.count)
    job.grad = <const char*> values(grad, f.size, f.count)
    job.table = tiles().vector_f32 if f.size == sizeof(float) else tiles().vector_f64
    for i in range(len(numbers)):
        job.k[i] = numbers[i]
    return 0


# In multiply-adds: what moving a value takes of the time of one.
cdef inline double _work(const Job* job) noexcept nogil:
    return 2.0 * job.n * job.size


# All arrays are contiguous and of one shape.

def sgd(p,               # IN and OUT
        velocity,        # IN and OUT, or None: no momentum
        grad,            # IN
        tuple numbers):  # rate, momentum, decay, Nesterov's momentum (0 or 1)
    cdef Job job
    _begin(&job, p, velocity, None, grad, numbers)
    with nogil:
        parallel_work(_sgd_chunk, &job, ceil_div(job.n, GRAIN), _work(&job))


def adam(p,               # IN and OUT
         mean,            # IN and OUT: m
         square,          # IN and OUT: v
         grad,            # IN
         tuple numbers):  # rate, 1 - b1, b2, 1 - b2, eps, root, decay, shrink
    cdef Job job
    _begin(&job, p, mean, square, grad, numbers)
    with nogil:
        parallel_work(_adam_chunk, &job, ceil_div(job.n, GRAIN), _work(&job))

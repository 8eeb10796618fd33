# y[i] = f(x[i]) and dx[i] = dy[i] * f'(x[i]) over contiguous runs; y may be x, and dx may be dy or x. Sums of two
# arrays. Dropout.
#
# Blocking: runs of GRAIN values, one chunk of the pool each; the work is cut by size alone, so the result does not
# depend on the number of threads. The functions are in csrc/vector.inc.h.

from pycnn.kernels._call cimport Flat, read_flat, values
from pycnn.kernels._runtime cimport (PYCNN_EXP, PYCNN_GELU, PYCNN_GELU_TANH, PYCNN_HARDSWISH, PYCNN_LEAKY_RELU,
                                     PYCNN_LOG, PYCNN_RELU, PYCNN_SIGMOID, PYCNN_SILU, PYCNN_TANH, parallel_work,
                                     slope_fn, tiles, unary_fn, vector_table)

RELU, LEAKY_RELU, SIGMOID, TANH = PYCNN_RELU, PYCNN_LEAKY_RELU, PYCNN_SIGMOID, PYCNN_TANH
SILU, GELU, GELU_TANH, HARDSWISH = PYCNN_SILU, PYCNN_GELU, PYCNN_GELU_TANH, PYCNN_HARDSWISH
EXP, LOG = PYCNN_EXP, PYCNN_LOG

# Values of a chunk: about 10 us of work, from memory or from arithmetic.
cdef Py_ssize_t GRAIN_MOVE = 32768
cdef Py_ssize_t GRAIN_MATH = 8192

ctypedef struct Job:
    char* y
    const char* x
    const char* dy
    const unsigned char* kept
    Py_ssize_t n
    Py_ssize_t grain
    Py_ssize_t size  # bytes of a value
    double a
    unary_fn forward
    slope_fn backward
    const vector_table* table


cdef inline const vector_table* _table(Py_ssize_t size) noexcept nogil:
    return tiles().vector_f32 if size == sizeof(float) else tiles().vector_f64


cdef inline Py_ssize_t _grain(int op) noexcept nogil:
    return GRAIN_MOVE if op == PYCNN_RELU or op == PYCNN_LEAKY_RELU or op == PYCNN_HARDSWISH else GRAIN_MATH


cdef void _forward_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t begin = chunk * job.grain
    job.forward(job.y + begin * job.size, job.x + begin * job.size, min(job.grain, job.n - begin), job.a)


cdef void _backward_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t begin = chunk * job.grain, at = begin * job.size
    job.backward(job.y + at, job.dy + at, job.x + at, min(job.grain, job.n - begin), job.a)


cdef void _keep_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t begin = chunk * job.grain, at = begin * job.size
    job.table.keep(job.y + at, job.x + at, job.kept + begin, min(job.grain, job.n - begin), job.a)


cdef void _add_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Job* job = <Job*> context
    cdef Py_ssize_t begin = chunk * job.grain, at = begin * job.size
    job.table.add(job.y + at, job.x + at, job.dy + at, min(job.grain, job.n - begin))


cdef inline Py_ssize_t _chunks(Job* job) noexcept nogil:
    return (job.n + job.grain - 1) // job.grain


# In multiply-adds: what moving or computing a value takes of the time of one.
cdef inline double _work(Job* job) noexcept nogil:
    return <double> (job.n * job.size) * (1 if job.grain == GRAIN_MOVE else 4)


cdef int _begin(Job* job, x, y, double a, Py_ssize_t grain) except -1:
    cdef Flat f
    read_flat(&f, x)
    job.n, job.size, job.grain, job.a = f.count, f.size, grain, a
    job.x, job.y = <const char*> f.data, <char*> values(y, f.size, f.count)
    job.table = _table(f.size)
    return 0


# All arrays are contiguous and of one shape.

def forward(int op,
            x,  # IN
            y,  # OUT
            double a):
    cdef Job job
    _begin(&job, x, y, a, _grain(op))
    job.forward = job.table.forward[op]
    with nogil:
        parallel_work(_forward_chunk, &job, _chunks(&job), _work(&job))


def backward(int op,
             dy,  # IN
             x,   # IN
             dx,  # OUT
             double a):
    cdef Job job
    _begin(&job, x, dx, a, _grain(op))
    job.dy = <const char*> values(dy, job.size, job.n)
    job.backward = job.table.backward[op]
    with nogil:
        parallel_work(_backward_chunk, &job, _chunks(&job), _work(&job))


# y[i] = a[i] + b[i]; y may be one of them
def add(a,   # IN
        b,   # IN
        y):  # OUT
    cdef Job job
    _begin(&job, a, y, 0, GRAIN_MOVE)
    job.dy = <const char*> values(b, job.size, job.n)
    with nogil:
        parallel_work(_add_chunk, &job, _chunks(&job), _work(&job))


# y[i] = kept[i] ? scale * x[i] : 0
def keep(x,     # IN
         kept,  # IN, bytes
         y,     # OUT
         double scale):
    cdef Job job
    _begin(&job, x, y, scale, GRAIN_MOVE)
    job.kept = <const unsigned char*> values(kept, 1, job.n)
    with nogil:
        parallel_work(_keep_chunk, &job, _chunks(&job), _work(&job))


ctypedef unsigned long long uint64

ctypedef struct Dice:
    unsigned char* kept
    Py_ssize_t n
    uint64 key
    uint64 threshold


# Value i of the stream that splitmix64 gives for `key`. Source: Steele, Lea and Flood, Fast Splittable Pseudorandom
# Number Generators, OOPSLA 2014; the mixing constants are D. Stafford's variant 13, which the paper uses.
cdef inline uint64 _random(uint64 key, uint64 i) noexcept nogil:
    cdef uint64 z = key + (i + 1) * 0x9E3779B97F4A7C15ULL
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL
    return z ^ (z >> 31)


cdef void _dice_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Dice* job = <Dice*> context
    cdef Py_ssize_t i = chunk * GRAIN_MOVE, end = min(i + GRAIN_MOVE, job.n)
    cdef uint64 z
    while i < end:  # 32 bits for each value, two values a number; GRAIN_MOVE is even
        z = _random(job.key, <uint64> (i // 2))
        job.kept[i] = <unsigned int> z >= job.threshold
        if i + 1 < end:
            job.kept[i + 1] = (z >> 32) >= job.threshold
        i += 2


# kept[i] = 1 with probability 1 - threshold / 2**32, a function of `key` and i alone
def roll(kept,  # OUT, bytes
         uint64 key, uint64 threshold):
    cdef Dice job
    cdef Flat f
    read_flat(&f, kept)
    job.kept, job.n, job.key, job.threshold = <unsigned char*> f.data, f.count, key, threshold
    with nogil:
        parallel_work(_dice_chunk, &job, (job.n + GRAIN_MOVE - 1) // GRAIN_MOVE, 32.0 * job.n)

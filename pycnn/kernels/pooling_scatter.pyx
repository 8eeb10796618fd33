# dx[n,c,cell(o, code[o])] += dy[n,c,o] for the windows o in their order: the gradient of a maximum where a gather as in
# pooling_backward.pyx, which looks into every window over a cell, would compare many codes for one value that counts.
#
# Edges: codes are trusted to name cells.
# A piece of work is some planes: each is zeroed and filled while it is in the first caches, by one thread, and its sums
# run in the order of the windows as those of the gather do, so both give the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._integers cimport ceil_div
from pycnn.kernels._runtime cimport num_slots, parallel_for
from pycnn.kernels.pooling_backward cimport Job as BackwardJob
from pycnn.kernels.pooling_common cimport byte, list_taps, place_t

cdef enum:
    CELLS_PER_CHUNK = 32768   # about 10 us of work
    PLANE_BYTES = 262144      # a part of L2

ctypedef struct Scatter:
    const BackwardJob* pool
    place_t offset[256]       # from a window's first tap to the cell of a code, in elements of dx
    bint dense                # the cells of a plane are contiguous
    Py_ssize_t per_chunk


# The windows of one row, a value each. Most of the time goes into waiting for the sum before, where the next window has
# the same maximum; several planes at once, or reading some windows ahead, took longer still.
cdef inline void _row(floating* cells, Py_ssize_t step, const floating* dy, const byte* codes, Py_ssize_t code_step,
                      const place_t* offset, Py_ssize_t windows) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(windows):
        cells[i * step + offset[codes[i * code_step]]] += dy[i]


cdef void _zero(floating* tag, const Scatter* job, floating* dx) noexcept nogil:
    cdef const BackwardJob* p = job.pool
    cdef Py_ssize_t i, j, k
    if job.dense:
        memset(dx, 0, <size_t> (p.d.size * p.h.size * p.w.size) * sizeof(floating))
        return
    for i in range(p.d.size):
        for j in range(p.h.size):
            for k in range(p.w.size):
                dx[i * p.xs.d + j * p.xs.h + k * p.xs.w] = 0


cdef void _plane(floating* tag, const Scatter* job, Py_ssize_t n, Py_ssize_t c) noexcept nogil:
    cdef const BackwardJob* p = job.pool
    cdef floating* dx = <floating*> p.dx + n * p.xs.n + c * p.xs.c
    cdef const floating* dy = <const floating*> p.dy + n * p.gs.n + c * p.gs.c
    cdef const byte* codes = p.codes + n * p.cs.n + c * p.cs.c
    cdef floating* corner
    cdef Py_ssize_t i, j
    _zero(tag, job, dx)
    for i in range(p.d.out):
        for j in range(p.h.out):
            corner = (dx + (i * p.d.stride - p.d.pad) * p.xs.d + (j * p.h.stride - p.h.pad) * p.xs.h
                      - p.w.pad * p.xs.w)
            _row(corner, p.w.stride * p.xs.w, dy + i * p.gs.d + j * p.gs.h,
                 codes + i * p.cs.d + j * p.cs.h, p.cs.w, job.offset, p.w.out)


cdef inline void _chunk(floating* tag, const Scatter* job, Py_ssize_t chunk) noexcept nogil:
    cdef Py_ssize_t plane, last = min(job.pool.outer * job.pool.inner, (chunk + 1) * job.per_chunk)
    for plane in range(chunk * job.per_chunk, last):
        _plane(tag, job, plane // job.pool.inner, plane % job.pool.inner)


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <const Scatter*> context, chunk)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <const Scatter*> context, chunk)


# Whether this takes less time than to gather: that compares the codes of all windows over a cell, for a vector of cells
# at a time, and pays for each row. Fitted to timings with AVX2.
cdef bint _pays(const BackwardJob* p, Py_ssize_t value_bytes) noexcept nogil:
    cdef double overlap = 1
    overlap = overlap * p.d.kernel * p.h.kernel * p.w.kernel / (p.d.stride * p.h.stride * p.w.stride)
    if p.outer * p.inner < num_slots() or p.d.size * p.h.size * p.w.size * value_bytes > PLANE_BYTES:
        return False
    if overlap <= 1:
        return p.w.size < 24 or p.w.stride > 2
    return overlap > 4 or p.w.size < (48 if p.w.stride == 1 else 96)


cdef bint scatter_codes(const BackwardJob* pool, Py_ssize_t value_bytes) noexcept nogil:
    cdef Scatter job
    cdef Py_ssize_t cells = pool.d.size * pool.h.size * pool.w.size
    if (pool.xs.w != 1 and pool.w.size > 1) or (pool.gs.w != 1 and pool.w.out > 1) or not _pays(pool, value_bytes):
        return False
    job.pool = pool
    job.dense = ((pool.xs.w == 1 or pool.w.size == 1) and (pool.xs.h == pool.w.size or pool.h.size == 1)
                 and (pool.xs.d == pool.h.size * pool.w.size or pool.d.size == 1))
    list_taps(&pool.d, &pool.h, &pool.w, pool.xs.d, pool.xs.h, pool.xs.w, job.offset)
    job.per_chunk = max(1, CELLS_PER_CHUNK // max(1, cells))
    parallel_for(_chunk_f32 if value_bytes == sizeof(float) else _chunk_f64, &job,
                 ceil_div(pool.outer * pool.inner, job.per_chunk))
    return True

# out[g, m, p] = bias[g, m] + sum_{c, t} src[g, c, p + t] * w[g, m, c, t] for groups of few rows m: depthwise and thinly
# grouped convolution, and the gradients for an input of few channels.
#
# A register tile of many rows would be almost empty here, and packing would cost more than the sum. So each line of
# pixels is summed straight from src: the line falls into segments in each of which the same taps are inside (the two
# margins, and all between them), a segment is a list of offsets and weights, and four vectors of it are summed at once.
# Lines whose taps are inside in the same way, all but the first and last few of an image, share their lists.
#
# Edges: taps outside contribute nothing. The order of a sum is (channel, tap), whatever the number of threads.

from cython cimport floating
from libc.string cimport memcmp, memcpy

from pycnn.kernels._integers cimport slot_size
from pycnn.kernels._patches cimport Patches
from pycnn.kernels._runtime cimport allocate, num_slots, parallel_work, release
from pycnn.kernels._tiles cimport store_run, weigh_line

cdef enum:
    MOST_ROWS = 3         # of a group
    MOST_ENTRIES = 32768  # of the lists of a line: 640 KB in float32 with three rows
    CHUNK_WORK = 1 << 17  # multiply-adds in a piece of work

ctypedef struct Segment:
    Py_ssize_t begin, end, first, count  # pixels of the line, entries of the lists

ctypedef struct Job:
    const Patches* p
    const void* src
    const void* w
    const void* bias
    void* dst
    Py_ssize_t lines, chunk_lines, chunks  # of a group
    Py_ssize_t segments, entries           # room for them
    char* scratch
    size_t slot_bytes

# What a thread works with; the lists are of one group.
ctypedef struct Lists:
    Segment* segments
    Py_ssize_t n_segments
    Py_ssize_t* offset
    void* weight    # [row][entry]
    void* line      # a line of results, where they are not stored side by side
    char* inside    # [tap] of this line
    char* before    # [tap] of the line that the lists were made for


cdef Py_ssize_t _most_segments(const Patches* p) noexcept nogil:
    # A segment ends where a tap comes in or goes out: at most twice for each place along the line that taps have.
    cdef Py_ssize_t t, u, distinct = 0
    cdef bint seen
    for t in range(p.taps.count):
        seen = False
        for u in range(t):
            if p.taps.lo[4 * u + 3] == p.taps.lo[4 * t + 3] and p.taps.hi[4 * u + 3] == p.taps.hi[4 * t + 3]:
                seen = True
                break
        distinct += not seen
    return 2 * distinct + 1


# True where summing line by line beats packing and multiplying.
cdef bint is_thin(const Patches* p) noexcept nogil:
    if p.rows > MOST_ROWS or p.taps.count > 512 or p.channels * p.taps.count == 0:
        return False
    if p.src_pixel[3] < 1 or p.src_pixel[3] > 2:  # lines that are not side by side in src
        return False
    return _most_segments(p) * p.channels * p.taps.count <= MOST_ENTRIES


cdef void _make_lists(const Job* job, Lists* lists, const floating* w) noexcept nogil:
    cdef const Patches* p = job.p
    cdef floating* weight = <floating*> lists.weight
    cdef Segment* segment
    cdef Py_ssize_t begin = 0, end, n = 0, c, t, m, lo, hi
    lists.n_segments = 0
    while begin < p.extent[3]:
        end = p.extent[3]
        for t in range(p.taps.count):
            if lists.inside[t]:
                lo = p.taps.lo[4 * t + 3]
                hi = p.taps.hi[4 * t + 3]
                if begin < lo < end and lo < hi:
                    end = lo
                if begin < hi < end:
                    end = hi
        segment = &lists.segments[lists.n_segments]
        segment.begin = begin
        segment.end = end
        segment.first = n
        for c in range(p.channels):
            for t in range(p.taps.count):
                if lists.inside[t] and p.taps.lo[4 * t + 3] <= begin < p.taps.hi[4 * t + 3]:
                    lists.offset[n] = c * p.src_channel + p.taps.offset[t]
                    for m in range(p.rows):
                        weight[m * job.entries + n] = w[m * p.w_row + c * p.w_channel + p.taps.weight[t]]
                    n += 1
        segment.count = n - segment.first
        lists.n_segments += 1
        begin = end
    memcpy(lists.before, lists.inside, <size_t> p.taps.count)


cdef void _sum_line(const Job* job, const Lists* lists, const floating* src, const floating* bias,
                    floating* dst) noexcept nogil:
    cdef const Patches* p = job.p
    cdef bint side_by_side = p.dst_pixel[3] == 1
    cdef const Segment* segment
    cdef floating* line
    cdef Py_ssize_t m, i
    for m in range(p.rows):
        line = dst + m * p.dst_row if side_by_side else <floating*> lists.line
        for i in range(lists.n_segments):
            segment = &lists.segments[i]
            weigh_line(line + segment.begin, src + segment.begin * p.src_pixel[3], lists.offset + segment.first,
                       <const floating*> lists.weight + m * job.entries + segment.first, segment.count,
                       segment.end - segment.begin, p.src_pixel[3], bias[m] if bias != NULL else <floating> 0)
        if not side_by_side:
            store_run(dst + m * p.dst_row, line, p.extent[3], p.dst_pixel[3], <floating> 0)


cdef void _chunk(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef const Patches* p = job.p
    cdef Py_ssize_t g = chunk // job.chunks
    cdef Py_ssize_t number = chunk % job.chunks * job.chunk_lines
    cdef Py_ssize_t last = min(number + job.chunk_lines, job.lines)
    cdef char* memory = job.scratch + <size_t> slot * job.slot_bytes
    cdef const floating* bias = NULL if job.bias == NULL else <const floating*> job.bias + g * p.rows
    cdef Py_ssize_t[3] place
    cdef Py_ssize_t t, a, rest, src, dst
    cdef Lists lists
    cdef bint made = False
    lists.segments = <Segment*> memory
    lists.offset = <Py_ssize_t*> (lists.segments + job.segments)
    lists.weight = lists.offset + job.entries
    lists.line = <floating*> lists.weight + p.rows * job.entries
    lists.inside = <char*> (<floating*> lists.line + p.extent[3])
    lists.before = lists.inside + p.taps.count
    while number < last:
        rest = number
        src = g * p.src_group
        dst = g * p.dst_group
        for a in range(2, -1, -1):
            place[a] = rest % p.extent[a]
            rest //= p.extent[a]
            src += place[a] * p.src_pixel[a]
            dst += place[a] * p.dst_pixel[a]
        for t in range(p.taps.count):
            lists.inside[t] = (p.taps.lo[4 * t] <= place[0] < p.taps.hi[4 * t]
                               and p.taps.lo[4 * t + 1] <= place[1] < p.taps.hi[4 * t + 1]
                               and p.taps.lo[4 * t + 2] <= place[2] < p.taps.hi[4 * t + 2])
        if not made or memcmp(lists.inside, lists.before, <size_t> p.taps.count) != 0:
            _make_lists(job, &lists, <const floating*> job.w + g * p.w_group)
            made = True
        _sum_line(job, &lists, <const floating*> job.src + src, bias, <floating*> job.dst + dst)
        number += 1


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <Job*> context, chunk, slot)


# Writes the sum for all pixels to dst; False where there is no memory for the lists.
cdef bint run_thin(const Patches* p, const floating* src, const floating* w, const floating* bias,
                   floating* dst) noexcept nogil:
    cdef Job job
    cdef Py_ssize_t work
    job.p = p
    job.src = src
    job.w = w
    job.bias = bias
    job.dst = dst
    job.lines = p.pixels // p.extent[3]
    work = max(<Py_ssize_t> 1, p.extent[3] * p.rows * p.channels * p.taps.count)
    job.chunk_lines = max(<Py_ssize_t> 1, CHUNK_WORK // work)
    job.chunks = (job.lines + job.chunk_lines - 1) // job.chunk_lines
    job.segments = _most_segments(p)
    job.entries = job.segments * p.channels * p.taps.count
    job.slot_bytes = <size_t> job.segments * sizeof(Segment) + <size_t> job.entries * sizeof(Py_ssize_t)
    job.slot_bytes += <size_t> (p.rows * job.entries + p.extent[3]) * sizeof(floating) + 2 * <size_t> p.taps.count
    job.slot_bytes = slot_size(job.slot_bytes)
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    if job.scratch == NULL:
        return False
    parallel_work(_chunk_f32 if floating is float else _chunk_f64, &job, p.groups * job.chunks,
                  <double> p.groups * job.lines * work)
    release(job.scratch)
    return True


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Patches p
    run_thin(&p, <const float*> NULL, <const float*> NULL, <const float*> NULL, <float*> NULL)
    run_thin(&p, <const double*> NULL, <const double*> NULL, <const double*> NULL, <double*> NULL)

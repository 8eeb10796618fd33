# dx[n,c,i] = sum over the windows o that see cell i by a tap t of dy[n,c,o] where the window's code is t (maximum), or
# of dy[n,c,o] / count[o] (mean).
#
# Every cell of dx gathers what reaches it and is written once: no zeroing, no two writers. A maximum adds in the order
# of the windows; a mean adds the windows above each other first, then these sums from left to right.
# Codes are trusted to be places within the window.
# Planar: rows of dy and of the codes are copied with a margin, so that a shift never leaves them; cell q * stride + f
# - pad sees the windows q - shift of the taps with t * dilation = shift * stride + f, one phase f of the row at a time;
# the phases are then interleaved. Rows of dx that lie a stride apart see dy alike and are done in one go.
# Lanes: the same without copies, each cell a run of channels or images.
# Tiles are cut by shape alone and share nothing, so any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memcpy, memset

from pycnn.kernels._integers cimport ceil_div, floor_div, round_up
from pycnn.kernels._runtime cimport allocate, num_slots, parallel_for, release
from pycnn.kernels.pooling_common cimport (
    active_rows, all_counted, byte, cells_alike, mean_rows, merge, select_rows, share_rows, split,
    sum_rows, swap_channels, taps_counted, windows_over,
)

cdef enum:
    CELLS_PER_CHUNK = 32768   # of dx: about 10 us of work
    KEPT_BYTES = 40960        # scratch memory of a planar tile
    COLUMNS = 1024            # of a planar tile
    LANES = 512               # of a tile of channels or images
    NO_TAP = 255              # a code that no tap has
    SLACK = 16                # PYCNN_POOL_SLACK


# Copies of the rows of dy, divided by what their windows count, and of the codes, with margins.
cdef void _copy_rows(floating* tag, const Job* job, const Scratch* s, const Tile* t, Py_ssize_t oh_end) noexcept nogil:
    cdef Py_ssize_t i, oh, begin, end, lead = job.reach - t.quotient, rows = oh_end - t.oh
    cdef const floating* dy
    cdef floating* row
    cdef const floating* self
    cdef const byte* codes
    cdef byte* code
    begin = max(0, lead)                                  # of a copied row: the columns that exist
    end = max(begin, min(job.kept, job.w.out + lead))
    for i in range(t.planes):
        dy = (<const floating*> job.dy + t.n * job.gs.n + t.c * job.gs.c + s.window[i] * job.gs.d + t.oh * job.gs.h)
        row = <floating*> s.dy + i * job.slots * job.kept
        split(&job.rows, row, job.kept, 0, dy, job.gs.h, job.gs.w, job.w.out, lead, 1, 1, job.kept, rows, <floating> 0)
        for oh in range(t.oh, oh_end):
            if job.codes == NULL:
                if not job.uniform:
                    self = row + (oh - t.oh) * job.kept + begin
                    mean_rows(&job.rows, <floating*> self, 0, &self, 0, 1, 1, end - begin, 1,
                              <const floating*> job.counts + begin - lead, row_count(job, tag, s.window[i], oh))
                continue
            codes = job.codes + t.n * job.cs.n + t.c * job.cs.c + s.window[i] * job.cs.d + oh * job.cs.h
            code = s.codes + (i * job.slots + oh - t.oh) * job.kept
            _copy_codes(code, codes, begin, end, begin - lead, job.cs.w, job.kept)


cdef void _copy_codes(byte* dst, const byte* src, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t first, Py_ssize_t step,
                      Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    memset(dst, NO_TAP, begin)
    if step == 1:
        memcpy(dst + begin, src + first, end - begin)
    else:
        for j in range(end - begin):
            dst[begin + j] = src[(first + j) * step]
    memset(dst + end, NO_TAP, n - end)


# Phase f of the rows ih, ih + stride, ...: `pairs` windows along H each, lists at tap[at].
cdef void _phase(floating* tag, const Job* job, const Scratch* s, const Tile* t, Py_ssize_t ih, Py_ssize_t rows,
                 Py_ssize_t at, Py_ssize_t pairs, Py_ssize_t f, const floating* down,
                 Py_ssize_t down_step) noexcept nogil:
    cdef const floating** src = <const floating**> s.src
    cdef floating* dst
    cdef Py_ssize_t dst_step, n, i, j, k, slot, taps = 0
    if job.direct:
        dst = (<floating*> job.dx + t.n * job.xs.n + t.c * job.xs.c + t.id * job.xs.d + ih * job.xs.h + t.iw)
        dst_step = job.h.stride * job.xs.h
        n = t.iw_end - t.iw
    else:
        dst = <floating*> s.phase + ((ih - t.ih) * job.w.stride + f) * job.quotients
        dst_step = job.h.stride * job.w.stride * job.quotients
        n = job.quotients
    for i in range(t.planes if down == NULL else 1):
        for j in range(pairs if down == NULL else 1):
            slot = 0 if down != NULL else (i * job.slots + s.window[at + j] - t.oh) * job.kept
            for k in range(job.w.kernel - 1, -1, -1):
                if k * job.w.dilation % job.w.stride != f:
                    continue
                src[taps] = (<const floating*> s.dy if down == NULL else down) + (
                    slot + job.reach - k * job.w.dilation // job.w.stride)
                if down == NULL:
                    s.place[taps] = s.codes + slot + job.reach - k * job.w.dilation // job.w.stride
                    s.code[taps] = <byte> ((s.tap[i] * job.h.kernel + s.tap[at + j]) * job.w.kernel + k)
                taps += 1
    if taps == 0:
        for i in range(rows):
            for j in range(n):
                dst[i * dst_step + j] = 0
    elif job.codes == NULL:
        mean_rows(&job.rows, dst, dst_step, src, down_step, taps, taps, n, rows, NULL, <floating> job.divisor)
    else:
        select_rows(&job.rows, dst, dst_step, src, job.kept, s.place, job.kept, s.code, taps, n, rows)


# Rows ih, ih + stride, ... of dx.
cdef void _rows_alike(floating* tag, const Job* job, const Scratch* s, const Tile* t, Py_ssize_t ih, Py_ssize_t rows,
                      Py_ssize_t at, Py_ssize_t pairs) noexcept nogil:
    cdef const floating** src = <const floating**> s.src
    cdef const floating* down = NULL
    cdef Py_ssize_t i, j, f, taps = 0
    if job.codes == NULL and t.planes * pairs > 0:
        for i in range(t.planes):
            for j in range(pairs):
                src[taps] = <const floating*> s.dy + (i * job.slots + s.window[at + j] - t.oh) * job.kept
                taps += 1
        down = src[0]
        if taps > 1:
            down = <const floating*> s.down
            sum_rows(&job.rows, <floating*> s.down, job.kept, src, job.kept, taps, job.kept, rows)
    for f in range(job.w.stride):
        _phase(tag, job, s, t, ih, rows, at, pairs, f, down, job.kept)


cdef void _planar_tile(floating* tag, const Job* job, const Scratch* s, Py_ssize_t tile) noexcept nogil:
    cdef Tile t
    cdef Py_ssize_t first, ih, rows, pairs, at, rest = tile // job.blocks
    cdef floating* dx
    cdef bint whole
    t.iw = tile % job.blocks * job.block
    t.iw_end = min(job.w.size, t.iw + job.block)
    t.ih = rest % job.bands * job.band
    t.ih_end = min(job.h.size, t.ih + job.band)
    rest //= job.bands
    t.id = rest % job.d.size
    rest //= job.d.size
    t.n = rest // job.inner
    t.c = rest % job.inner
    t.oh = max(0, ceil_div(t.ih + job.h.pad - (job.h.kernel - 1) * job.h.dilation, job.h.stride))
    t.quotient = (t.iw + job.w.pad) // job.w.stride
    t.planes = windows_over(&job.d, t.id, s.tap, s.window, &whole)
    rows = min(job.h.out, floor_div(t.ih_end - 1 + job.h.pad, job.h.stride) + 1)
    if rows > t.oh:
        _copy_rows(tag, job, s, &t, rows)
    at = t.planes
    for first in range(t.ih, min(t.ih_end, t.ih + job.h.stride)):
        ih = first
        while ih < t.ih_end:
            pairs = windows_over(&job.h, ih, s.tap + at, s.window + at, &whole)
            rows = cells_alike(&job.h, ih, t.ih_end, pairs, s.window + at, whole)
            _rows_alike(tag, job, s, &t, ih, rows, at, pairs)
            ih += rows * job.h.stride
    if not job.direct:
        dx = (<floating*> job.dx + t.n * job.xs.n + t.c * job.xs.c + t.id * job.xs.d + t.ih * job.xs.h
              + t.iw * job.xs.w)
        merge(&job.rows, dx, job.xs.h, job.xs.w, <const floating*> s.phase, job.w.stride * job.quotients, job.quotients,
              t.iw_end - t.iw, t.iw + job.w.pad - t.quotient * job.w.stride, job.w.stride, t.ih_end - t.ih)


# Cells iw, iw + stride, ... of one row of dx over the lanes c .. c + lanes - 1. The lists along D, H and W lie one
# after the other: `planes`, `pairs` and `columns` long.
cdef void _lanes_run(floating* tag, const Job* job, const Scratch* s, const Tile* t, Py_ssize_t lanes, Py_ssize_t pairs,
                     Py_ssize_t columns, Py_ssize_t iw, Py_ssize_t cells) noexcept nogil:
    cdef const floating** src = <const floating**> s.src
    cdef floating* count = <floating*> s.count
    cdef const floating* dy = <const floating*> job.dy + t.n * job.gs.n + t.c
    cdef floating* dx = <floating*> job.dx + t.n * job.xs.n + t.c + t.id * job.xs.d + t.ih * job.xs.h + iw * job.xs.w
    cdef Py_ssize_t i, j, k, od, oh, ow, step = job.w.stride * job.xs.w, taps = 0, group = t.planes * pairs
    for k in range(t.planes + pairs, t.planes + pairs + columns):
        ow = s.window[k]
        for i in range(t.planes):
            od = s.window[i]
            for j in range(t.planes, t.planes + pairs):
                oh = s.window[j]
                src[taps] = dy + od * job.gs.d + oh * job.gs.h + ow * job.gs.w
                if not job.uniform:
                    count[taps] = row_count(job, tag, od, oh) * taps_counted(&job.w, ow, job.padded)
                taps += 1
    if taps == 0:
        for i in range(cells):
            for j in range(lanes):
                dx[i * step + j] = 0
    elif job.uniform:
        mean_rows(&job.rows, dx, step, src, job.gs.w, taps, group, lanes, cells, NULL, <floating> job.divisor)
    else:
        share_rows(&job.rows, dx, step, src, job.gs.w, count, taps, group, lanes, cells)


# The same for codes, in the order of the windows.
cdef void _lanes_codes(floating* tag, const Job* job, const Scratch* s, const Tile* t, Py_ssize_t lanes,
                       Py_ssize_t pairs, Py_ssize_t columns, Py_ssize_t iw, Py_ssize_t cells) noexcept nogil:
    cdef const floating** src = <const floating**> s.src
    cdef const floating* dy = <const floating*> job.dy + t.n * job.gs.n + t.c
    cdef const byte* codes = job.codes + t.n * job.cs.n + t.c
    cdef floating* dx = <floating*> job.dx + t.n * job.xs.n + t.c + t.id * job.xs.d + t.ih * job.xs.h + iw * job.xs.w
    cdef Py_ssize_t i, j, k, step = job.w.stride * job.xs.w, taps = 0
    for i in range(t.planes):
        for j in range(t.planes, t.planes + pairs):
            for k in range(t.planes + pairs, t.planes + pairs + columns):
                src[taps] = dy + s.window[i] * job.gs.d + s.window[j] * job.gs.h + s.window[k] * job.gs.w
                s.place[taps] = codes + s.window[i] * job.cs.d + s.window[j] * job.cs.h + s.window[k] * job.cs.w
                s.code[taps] = <byte> ((s.tap[i] * job.h.kernel + s.tap[j]) * job.w.kernel + s.tap[k])
                taps += 1
    if taps == 0:
        for i in range(cells):
            for j in range(lanes):
                dx[i * step + j] = 0
    else:
        select_rows(&job.rows, dx, step, src, job.gs.w, s.place, job.cs.w, s.code, taps, lanes, cells)


cdef void _lanes_tile(floating* tag, const Job* job, const Scratch* s, Py_ssize_t tile) noexcept nogil:
    cdef Tile t
    cdef Py_ssize_t first, iw, cells, lanes, pairs, columns, at, rest = tile // job.h.size
    cdef Py_ssize_t* window
    cdef bint whole
    t.ih = tile % job.h.size
    t.id = rest % job.d.size
    rest //= job.d.size
    t.c = rest % job.blocks * job.block
    t.n = rest // job.blocks
    lanes = min(job.block, job.inner - t.c)
    t.planes = windows_over(&job.d, t.id, s.tap, s.window, &whole)
    pairs = windows_over(&job.h, t.ih, s.tap + t.planes, s.window + t.planes, &whole)
    at = t.planes + pairs
    window = s.window + at
    for first in range(min(job.w.size, job.w.stride)):
        iw = first
        while iw < job.w.size:
            columns = windows_over(&job.w, iw, s.tap + at, window, &whole)
            cells = cells_alike(&job.w, iw, job.w.size, columns, window, whole)
            if cells > 1 and columns > 0 and not job.uniform:   # their counts have to agree
                if window[0] < job.full_from:
                    cells = 1
                else:
                    cells = max(1, min(cells, job.full_to - window[columns - 1]))
            if job.codes != NULL:
                _lanes_codes(tag, job, s, &t, lanes, pairs, columns, iw, cells)
            else:
                _lanes_run(tag, job, s, &t, lanes, pairs, columns, iw, cells)
            iw += cells * job.w.stride


# Hands out the scratch memory of one slot; with memory NULL only adds up its bytes.
cdef size_t _lay_out(const Job* job, Py_ssize_t itemsize, char* memory, Scratch* s) noexcept nogil:
    cdef Py_ssize_t pointers = job.d.kernel * job.h.kernel * job.w.kernel
    cdef Py_ssize_t lists = job.d.kernel + job.h.kernel + job.w.kernel
    cdef Py_ssize_t kept = 0 if job.lanes else job.d.kernel * job.slots * job.kept
    cdef bint mean = job.codes == NULL
    cdef Py_ssize_t sizes[10]
    cdef Py_ssize_t i, total = 0
    cdef void* parts[10]
    if mean and not job.lanes:
        pointers = max(job.d.kernel * job.h.kernel, job.w.kernel)
    sizes[0] = kept * itemsize
    sizes[1] = job.band * job.kept * itemsize if mean and not job.lanes else 0
    sizes[2] = 0 if job.lanes or job.direct else (job.band * job.w.stride * job.quotients + SLACK) * itemsize
    sizes[3] = pointers * itemsize
    sizes[4] = pointers * sizeof(void*)
    sizes[5] = 0 if mean else pointers * sizeof(void*)
    sizes[6] = lists * sizeof(Py_ssize_t)
    sizes[7] = lists * sizeof(Py_ssize_t)
    sizes[8] = pointers
    sizes[9] = 0 if mean else kept
    for i in range(10):
        parts[i] = memory + total if memory != NULL else NULL
        total += round_up(sizes[i], 64)
    if memory != NULL:
        s.dy, s.down, s.phase, s.count = parts[0], parts[1], parts[2], parts[3]
        s.src, s.place = <const void**> parts[4], <const byte**> parts[5]
        s.tap, s.window = <Py_ssize_t*> parts[6], <Py_ssize_t*> parts[7]
        s.code, s.codes = <byte*> parts[8], <byte*> parts[9]
    return total


cdef void _chunk(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Scratch s
    cdef Py_ssize_t tile
    _lay_out(job, sizeof(floating), job.scratch + <size_t> slot * job.slot_bytes, &s)
    for tile in range(chunk * job.per_chunk, min(job.tiles, (chunk + 1) * job.per_chunk)):
        if job.lanes:
            _lanes_tile(tag, job, &s, tile)
        else:
            _planar_tile(tag, job, &s, tile)


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <Job*> context, chunk, slot)


# Channels or images as lanes where they are contiguous in every array and columns are not.
cdef void _choose_lanes(Job* job) noexcept nogil:
    if job.w.size == 1:
        job.xs.w = 1
    if job.w.out == 1:
        job.gs.w = job.cs.w = 1
    job.lanes = False
    if job.w.size > 1 and job.xs.w == 1 and job.gs.w == 1:
        return
    if not (job.inner > 1 and job.xs.c == 1 and job.gs.c == 1 and (job.codes == NULL or job.cs.c == 1)):
        if not (job.outer > 1 and job.xs.n == 1 and job.gs.n == 1 and (job.codes == NULL or job.cs.n == 1)):
            return
        job.outer, job.inner = job.inner, job.outer
        swap_channels(&job.xs)
        swap_channels(&job.gs)
        swap_channels(&job.cs)
    job.lanes = True
    if job.xs.n == job.inner and job.gs.n == job.inner and (job.codes == NULL or job.cs.n == job.inner):
        job.inner *= job.outer
        job.outer = 1


cdef void _plan_lanes(Job* job) noexcept nogil:
    job.blocks = ceil_div(job.inner, LANES)
    job.block = min(job.inner, round_up(ceil_div(job.inner, job.blocks), 16))
    job.blocks = ceil_div(job.inner, job.block)
    job.tiles = job.outer * job.blocks * job.d.size * job.h.size
    job.per_chunk = max(1, CELLS_PER_CHUNK // (job.w.size * job.block))
    job.direct = False
    job.band = job.kept = job.slots = job.quotients = 0


cdef void _plan_planar(Job* job, Py_ssize_t itemsize) noexcept nogil:
    cdef Py_ssize_t row
    job.blocks = ceil_div(job.w.size, COLUMNS)
    job.block = ceil_div(job.w.size, job.blocks)
    job.blocks = ceil_div(job.w.size, job.block)
    job.direct = job.w.stride == 1 and job.xs.w == 1
    job.reach = (job.w.kernel - 1) * job.w.dilation // job.w.stride
    job.quotients = (job.block - 1) // job.w.stride + 2 if job.w.stride > 1 else job.block
    if job.w.stride <= 4:
        job.quotients = round_up(job.quotients, 16)
    job.kept = job.reach + job.quotients
    row = (0 if job.direct else job.w.stride * job.quotients * itemsize) + (
        job.kept * (itemsize + 1) * job.d.kernel // job.h.stride)
    job.band = max(1, KEPT_BYTES // max(1, row))
    job.bands = ceil_div(job.h.size, job.band)
    job.band = ceil_div(job.h.size, job.bands)
    job.bands = ceil_div(job.h.size, job.band)
    job.slots = (job.band - 1 + (job.h.kernel - 1) * job.h.dilation) // job.h.stride + 2
    job.tiles = job.outer * job.inner * job.d.size * job.bands * job.blocks
    job.per_chunk = max(1, CELLS_PER_CHUNK // (job.band * job.block))


# What a mean divides by. True where the tiles need the counts of the columns.
cdef bint _choose_divisor(Job* job) noexcept nogil:
    cdef Py_ssize_t o
    job.full_from = job.full_to = 0
    job.uniform = True
    if job.codes != NULL or job.divisor != 0:
        return False
    if all_counted(&job.d, job.padded) and all_counted(&job.h, job.padded) and all_counted(&job.w, job.padded):
        job.divisor = <double> job.d.kernel * <double> job.h.kernel * <double> job.w.kernel
        return False
    job.uniform = False
    job.divisor = 1
    job.full_from = job.w.out
    for o in range(job.w.out):
        if taps_counted(&job.w, o, job.padded) == job.w.kernel:
            job.full_from = min(job.full_from, o)
            job.full_to = o + 1
    return not job.lanes


# For pooling_turned.pyx, which has channels in lanes: what the rows of dx need, and its bytes.
cdef size_t prepare_backward(Job* job, Py_ssize_t value_bytes) noexcept nogil:
    cdef Scratch s
    job.rows = active_rows()
    job.lanes = True
    job.counts = NULL
    _plan_lanes(job)
    _choose_divisor(job)
    return _lay_out(job, value_bytes, NULL, &s)


cdef void backward_rows(floating* tag, const Job* job, char* scratch, Py_ssize_t ih, Py_ssize_t ih_end) noexcept nogil:
    cdef Scratch s
    _lay_out(job, sizeof(floating), scratch, &s)
    for ih in range(ih, ih_end):
        _lanes_tile(tag, job, &s, ih)


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef Scratch s
    cdef Py_ssize_t o
    cdef bint counts, ready
    job.rows = active_rows()
    _choose_lanes(job)
    if job.lanes:
        _plan_lanes(job)
    else:
        _plan_planar(job, sizeof(floating))
    counts = _choose_divisor(job)
    job.slot_bytes = _lay_out(job, sizeof(floating), NULL, &s)
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    job.counts = allocate(job.w.out * sizeof(floating)) if counts else NULL
    ready = job.scratch != NULL and (job.counts != NULL or not counts)
    if ready:
        if counts:
            for o in range(job.w.out):
                (<floating*> job.counts)[o] = <floating> taps_counted(&job.w, o, job.padded)
        parallel_for(_chunk_f32 if floating is float else _chunk_f64, job, ceil_div(job.tiles, job.per_chunk))
    release(job.scratch)
    release(job.counts)
    return ready


cdef bint pool_backward(Job* job, Py_ssize_t value_bytes) noexcept nogil:
    return _run(<float*> NULL, job) if value_bytes == sizeof(float) else _run(<double*> NULL, job)


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Job job
    backward_rows(<float*> NULL, &job, NULL, 0, 0)
    backward_rows(<double*> NULL, &job, NULL, 0, 0)

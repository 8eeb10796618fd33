# y[n,c,o] = the largest, or the mean, of x[n,c,i] over the cells i = o * stride + t * dilation - pad of window o.
#
# Edges: a cell outside the image is never read; it counts as -inf in a maximum and as 0 in a sum, and it cannot win:
# in a window of -inf the first real cell does.
# Planar (columns are contiguous, or no axis is): every row of the image is cut into `stride` phases, in which a tap is
# a contiguous run; the taps along a row are combined first and kept, then the rows of a window. Strict comparisons in
# that order give the first maximum in scan order. A tile is a band of output rows whose kept rows fit the first cache.
# Lanes (channels or images are contiguous): the taps of a window are runs already and are combined in one go; sums in
# the same order as planar ones, so both give the same bits.
# Tiles are cut by shape alone and share nothing, so any number of threads gives the same bits.

from cython cimport floating

from pycnn.kernels._integers cimport ceil_div, round_up
from pycnn.kernels._runtime cimport allocate, num_slots, parallel_for, release
from pycnn.kernels.pooling_common cimport (
    active_rows, all_counted, byte, end_inside, end_tap, first_inside, first_tap, max_first, max_next,
    mean_rows, place_t, split, sum_rows, swap_channels, taps_counted,
)

cdef enum:
    CELLS_PER_CHUNK = 32768   # of the input: about 10 us of work
    KEPT_BYTES = 40960        # rows that a planar tile keeps
    PHASE_BYTES = 8192        # rows cut into phases at a time
    COLUMNS = 512             # of a planar tile
    LANES = 512               # of a tile of channels or images

cdef float MINUS_INFINITY = -float("inf")


cdef inline floating _fill(const Job* job, floating* tag) noexcept nogil:
    return 0 if job.mean else <floating> MINUS_INFINITY


cdef inline bint _wants_codes(const Job* job) noexcept nogil:
    return job.codes != NULL or job.places != NULL


# Rows row + r * row_step, reduced to kept rows slot + r * slot_step.
cdef void _across(floating* tag, const Job* job, const Scratch* s, const Tile* t, const floating* row,
                  Py_ssize_t row_step, Py_ssize_t rows, Py_ssize_t slot, Py_ssize_t slot_step) noexcept nogil:
    cdef const floating** src = <const floating**> s.src
    cdef floating* phase = <floating*> s.phase
    cdef floating* best = <floating*> s.best + slot * job.kept
    cdef byte* arg = s.best_arg + slot * job.kept if _wants_codes(job) else NULL
    cdef const byte* first = job.first + t.ow if job.first != NULL else NULL
    cdef Py_ssize_t step = slot_step * job.kept, phase_row = job.phases * job.width
    cdef Py_ssize_t k, m, at, r = 0, src_step = row_step, n = t.ow_end - t.ow
    for k in range(job.w.kernel):
        at = k * job.w.dilation
        src[k] = row + t.ow + at if job.direct else phase + at % job.w.stride * job.width + at // job.w.stride
        s.code[k] = <byte> k
    if not job.direct:
        src_step = phase_row
        n = job.kept
    while r < rows:
        m = min(job.batch, rows - r)
        if not job.direct:
            split(&job.rows, phase, phase_row, job.width, row + r * row_step, row_step, job.xs.w, job.w.size,
                  job.w.pad - t.ow * job.w.stride, job.w.stride, job.phases, job.width, m, _fill(job, tag))
        if job.mean:
            sum_rows(&job.rows, best + r * step, step, src, src_step, job.w.kernel, n, m)
        else:
            max_first(&job.rows, best + r * step, step, arg + r * step if arg != NULL else NULL, step, first, src,
                      src_step, s.code, job.w.kernel, n, m)
        r += m


# The rows of one plane that the tile's windows see.
cdef void _plane(floating* tag, const Job* job, const Scratch* s, const Tile* t, const floating* plane,
                 Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t k, i, begin, end
    if not job.apart:
        begin = max(0, t.oh * job.h.stride - job.h.pad)
        end = (t.oh_end - 1) * job.h.stride + (job.h.kernel - 1) * job.h.dilation - job.h.pad + 1
        end = min(job.h.size, end)
        _across(tag, job, s, t, plane + begin * job.xs.h, job.xs.h, end - begin,
                slot + begin - (t.oh * job.h.stride - job.h.pad), 1)
        return
    for k in range(job.h.kernel):
        i = k * job.h.dilation - job.h.pad
        begin = max(t.oh, ceil_div(-i, job.h.stride))
        end = min(t.oh_end, ceil_div(job.h.size - i, job.h.stride))
        if begin < end:
            _across(tag, job, s, t, plane + (begin * job.h.stride + i) * job.xs.h, job.h.stride * job.xs.h,
                    end - begin, slot + (begin - t.oh) * job.h.kernel + k, job.h.kernel)


# Output rows oh .. oh + rows - 1, all with the taps kh .. kh_end - 1, from the kept rows.
cdef void _down(floating* tag, const Job* job, const Scratch* s, const Tile* t, Py_ssize_t oh, Py_ssize_t rows,
                Py_ssize_t kh, Py_ssize_t kh_end) noexcept nogil:
    cdef const floating** src = <const floating**> s.src
    cdef Py_ssize_t taps = 0, i, j, slot, n = t.ow_end - t.ow, y_step = job.ys.h, c_step = job.cs.h
    cdef Py_ssize_t step = (job.h.kernel if job.apart else job.h.stride) * job.kept
    cdef floating* y
    cdef const floating* count = NULL
    cdef byte* codes = NULL
    for i in range(t.kd, t.kd_end):
        for j in range(kh, kh_end):
            slot = (oh - t.oh) * job.h.kernel + j if job.apart else (oh - t.oh) * job.h.stride + j * job.h.dilation
            slot = (slot + (i - t.kd) * job.slots) * job.kept
            src[taps] = <const floating*> s.best + slot
            s.src_arg[taps] = s.best_arg + slot
            s.code[taps] = <byte> ((i * job.h.kernel + j) * job.w.kernel)
            taps += 1
    if taps == 0:
        src[0] = <const floating*> s.zero
        taps, step = 1, 0
    if job.ys.w == 1:
        y = <floating*> job.y + t.n * job.ys.n + t.c * job.ys.c + t.od * job.ys.d + oh * job.ys.h + t.ow
    else:
        y = <floating*> s.y + (oh - t.oh) * job.block
        y_step = job.block
    if job.mean:
        if not job.column_count:
            count = <const floating*> job.counts + t.ow
        mean_rows(&job.rows, y, y_step, src, step, taps, taps, n, rows, count, row_divisor(job, tag, t.od, oh))
        return
    if job.codes != NULL and job.cs.w == 1:
        codes = job.codes + t.n * job.cs.n + t.c * job.cs.c + t.od * job.cs.d + oh * job.cs.h + t.ow
    elif _wants_codes(job):
        codes = s.codes + (oh - t.oh) * job.block
        c_step = job.block
    max_next(&job.rows, y, y_step, codes, c_step, src, step, s.src_arg, step, s.code, taps, n, rows)


# The place in the volume of the first tap of window (od, oh, ow), which may lie in the padding.
cdef inline place_t _corner(const Job* job, Py_ssize_t od, Py_ssize_t oh, Py_ssize_t ow) noexcept nogil:
    cdef place_t at = od * job.d.stride - job.d.pad
    at = at * job.h.size + oh * job.h.stride - job.h.pad
    return at * job.w.size + ow * job.w.stride - job.w.pad


# What went to scratch memory first, to where it belongs.
cdef void _deliver(floating* tag, const Job* job, const Scratch* s, const Tile* t) noexcept nogil:
    cdef Py_ssize_t oh, j, n = t.ow_end - t.ow
    cdef const floating* from_y
    cdef floating* y
    cdef const byte* code
    cdef byte* codes
    cdef place_t* places
    cdef place_t corner
    for oh in range(t.oh, t.oh_end):
        if job.ys.w != 1:
            from_y = <const floating*> s.y + (oh - t.oh) * job.block
            y = (<floating*> job.y + t.n * job.ys.n + t.c * job.ys.c + t.od * job.ys.d + oh * job.ys.h
                 + t.ow * job.ys.w)
            for j in range(n):
                y[j * job.ys.w] = from_y[j]
        code = s.codes + (oh - t.oh) * job.block
        if job.codes != NULL and job.cs.w != 1:
            codes = job.codes + t.n * job.cs.n + t.c * job.cs.c + t.od * job.cs.d + oh * job.cs.h + t.ow * job.cs.w
            for j in range(n):
                codes[j * job.cs.w] = code[j]
        if job.places != NULL:
            places = job.places + t.n * job.ps.n + t.c * job.ps.c + t.od * job.ps.d + oh * job.ps.h + t.ow * job.ps.w
            corner = _corner(job, t.od, oh, t.ow)
            for j in range(n):
                places[j * job.ps.w] = corner + j * job.w.stride + job.distance[code[j]]


cdef void _planar_tile(floating* tag, const Job* job, const Scratch* s, Py_ssize_t tile) noexcept nogil:
    cdef Tile t
    cdef Py_ssize_t kd, oh, begin, end, rest = tile // job.blocks
    cdef const floating* x
    t.ow = tile % job.blocks * job.block
    t.ow_end = min(job.w.out, t.ow + job.block)
    t.oh = rest % job.bands * job.band
    t.oh_end = min(job.h.out, t.oh + job.band)
    rest //= job.bands
    t.od = rest % job.d.out
    rest //= job.d.out
    t.n = rest // job.inner
    t.c = rest % job.inner
    t.kd = first_tap(&job.d, t.od)
    t.kd_end = end_tap(&job.d, t.od)
    x = <const floating*> job.x + t.n * job.xs.n + t.c * job.xs.c
    for kd in range(t.kd, t.kd_end):
        _plane(tag, job, s, &t, x + (t.od * job.d.stride + kd * job.d.dilation - job.d.pad) * job.xs.d,
               (kd - t.kd) * job.slots)
    begin = min(max(job.inside_from, t.oh), t.oh_end)
    end = min(max(job.inside_to, begin), t.oh_end)
    for oh in range(t.oh, begin):
        _down(tag, job, s, &t, oh, 1, first_tap(&job.h, oh), end_tap(&job.h, oh))
    if begin < end:
        _down(tag, job, s, &t, begin, end - begin, 0, job.h.kernel)
    for oh in range(end, t.oh_end):
        _down(tag, job, s, &t, oh, 1, first_tap(&job.h, oh), end_tap(&job.h, oh))
    if job.ys.w != 1 or job.places != NULL or (job.codes != NULL and job.cs.w != 1):
        _deliver(tag, job, s, &t)


# Windows ow .. ow + windows - 1 of one output row, all with the same taps, over the lanes c .. c + lanes - 1.
cdef void _lanes_run(floating* tag, const Job* job, const Scratch* s, const Tile* t, Py_ssize_t lanes, Py_ssize_t ow,
                     Py_ssize_t windows) noexcept nogil:
    cdef const floating** src = <const floating**> s.src
    cdef Py_ssize_t i, j, k, taps = 0, kw = first_tap(&job.w, ow), kw_end = end_tap(&job.w, ow)
    cdef Py_ssize_t step = job.w.stride * job.xs.w, group = kw_end - kw
    cdef const floating* x = <const floating*> job.x + t.n * job.xs.n + t.c
    cdef const floating* row
    cdef floating* y = <floating*> job.y + t.n * job.ys.n + t.c + t.od * job.ys.d + t.oh * job.ys.h + ow * job.ys.w
    cdef byte* codes = NULL
    cdef place_t* places
    cdef place_t corner
    cdef floating scale
    for i in range(t.kd, t.kd_end):
        for j in range(first_tap(&job.h, t.oh), end_tap(&job.h, t.oh)):
            row = (x + (t.od * job.d.stride + i * job.d.dilation - job.d.pad) * job.xs.d
                   + (t.oh * job.h.stride + j * job.h.dilation - job.h.pad) * job.xs.h)
            for k in range(kw, kw_end):
                src[taps] = row + (ow * job.w.stride + k * job.w.dilation - job.w.pad) * job.xs.w
                s.code[taps] = <byte> ((i * job.h.kernel + j) * job.w.kernel + k)
                taps += 1
    if job.mean:
        if taps == 0:
            src[0] = <const floating*> s.zero
            taps, group, step = 1, 1, 0
        scale = row_divisor(job, tag, t.od, t.oh)
        if job.divisor == 0 and not job.column_count:
            scale *= taps_counted(&job.w, ow, job.padded)
        mean_rows(&job.rows, y, job.ys.w, src, step, taps, group, lanes, windows, NULL, scale)
        return
    if job.codes != NULL:
        codes = job.codes + t.n * job.cs.n + t.c + t.od * job.cs.d + t.oh * job.cs.h + ow * job.cs.w
    elif job.places != NULL:
        codes = s.codes
    max_first(&job.rows, y, job.ys.w, codes, job.cs.w if job.codes != NULL else lanes, NULL, src,
              step, s.code, taps, lanes, windows)
    if job.places == NULL:
        return
    for i in range(windows):
        places = (job.places + t.n * job.ps.n + t.c * job.ps.c + t.od * job.ps.d + t.oh * job.ps.h
                  + (ow + i) * job.ps.w)
        corner = _corner(job, t.od, t.oh, ow + i)
        for j in range(lanes):
            places[j * job.ps.c] = corner + job.distance[s.codes[i * lanes + j]]


cdef void _lanes_tile(floating* tag, const Job* job, const Scratch* s, Py_ssize_t tile) noexcept nogil:
    cdef Tile t
    cdef Py_ssize_t ow, begin, end, lanes, rest = tile // job.h.out
    t.oh = tile % job.h.out
    t.od = rest % job.d.out
    rest //= job.d.out
    t.c = rest % job.blocks * job.block
    t.n = rest // job.blocks
    lanes = min(job.block, job.inner - t.c)
    t.kd = first_tap(&job.d, t.od)
    t.kd_end = end_tap(&job.d, t.od)
    begin = first_inside(&job.w)
    end = end_inside(&job.w)
    for ow in range(begin):
        _lanes_run(tag, job, s, &t, lanes, ow, 1)
    if begin < end:
        _lanes_run(tag, job, s, &t, lanes, begin, end - begin)
    for ow in range(end, job.w.out):
        _lanes_run(tag, job, s, &t, lanes, ow, 1)


# Hands out the scratch memory of one slot; with memory NULL only adds up its bytes.
cdef size_t _lay_out(const Job* job, Py_ssize_t itemsize, char* memory, Scratch* s) noexcept nogil:
    cdef Py_ssize_t pointers = job.d.kernel * job.h.kernel * job.w.kernel if job.lanes else max(
        job.w.kernel, job.d.kernel * job.h.kernel)
    cdef Py_ssize_t kept = 0 if job.lanes else min(job.d.kernel, job.d.size) * job.slots * job.kept
    cdef bint codes = job.codes != NULL or job.places != NULL
    cdef Py_ssize_t sizes[9]
    cdef Py_ssize_t i, total = 0
    cdef void* parts[9]
    sizes[0] = kept * itemsize
    sizes[1] = 0 if job.lanes or job.direct else job.batch * job.phases * job.width * itemsize
    sizes[2] = (job.block if job.lanes else job.kept) * itemsize if job.mean else 0
    sizes[3] = 0 if job.lanes or job.ys.w == 1 else job.band * job.block * itemsize
    sizes[4] = pointers * sizeof(void*)
    sizes[5] = pointers * sizeof(void*)
    sizes[6] = pointers
    sizes[7] = kept if codes else 0
    sizes[8] = (job.w.out if job.lanes else job.band) * job.block if codes else 0
    for i in range(9):
        parts[i] = memory + total if memory != NULL else NULL
        total += round_up(sizes[i], 64)
    if memory != NULL:
        s.best, s.phase, s.zero, s.y = parts[0], parts[1], parts[2], parts[3]
        s.src, s.src_arg, s.code = <const void**> parts[4], <const byte**> parts[5], <byte*> parts[6]
        s.best_arg, s.codes = <byte*> parts[7], <byte*> parts[8]
        for i in range(sizes[2]):
            (<char*> s.zero)[i] = 0
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
        job.ys.w = job.cs.w = 1
    job.lanes = False
    if job.w.size > 1 and job.xs.w == 1 and job.ys.w == 1:
        return
    if not (job.inner > 1 and job.xs.c == 1 and job.ys.c == 1 and (job.codes == NULL or job.cs.c == 1)):
        if not (job.outer > 1 and job.xs.n == 1 and job.ys.n == 1 and (job.codes == NULL or job.cs.n == 1)):
            return
        job.outer, job.inner = job.inner, job.outer
        swap_channels(&job.xs)
        swap_channels(&job.ys)
        swap_channels(&job.cs)
        swap_channels(&job.ps)
    job.lanes = True
    if (job.xs.n == job.inner and job.ys.n == job.inner and (job.codes == NULL or job.cs.n == job.inner)
            and (job.places == NULL or job.ps.n == job.inner * job.ps.c)):
        job.inner *= job.outer
        job.outer = 1


cdef void _plan_lanes(Job* job) noexcept nogil:
    job.blocks = ceil_div(job.inner, LANES)
    job.block = min(job.inner, round_up(ceil_div(job.inner, job.blocks), 16))
    job.blocks = ceil_div(job.inner, job.block)
    job.tiles = job.outer * job.blocks * job.d.out * job.h.out
    job.per_chunk = max(1, CELLS_PER_CHUNK // (job.w.size * job.block * min(job.h.kernel, job.h.stride)))


cdef void _plan_planar(Job* job, Py_ssize_t itemsize) noexcept nogil:
    cdef Py_ssize_t span = (job.h.kernel - 1) * job.h.dilation + 1, depth = min(job.d.kernel, job.d.size)
    cdef Py_ssize_t reach = (job.w.kernel - 1) * job.w.dilation, rows
    job.blocks = ceil_div(job.w.out, COLUMNS)
    job.block = ceil_div(job.w.out, job.blocks)
    job.blocks = ceil_div(job.w.out, job.block)
    job.kept = round_up(job.block, 16) if job.w.stride <= 4 else job.block
    job.phases = min(job.w.stride, reach + 1)
    job.width = job.kept + reach // job.w.stride
    job.direct = (job.w.stride == 1 and job.xs.w == 1 and job.w.pad == 0 and job.w.out + reach <= job.w.size)
    job.apart = job.h.stride > job.h.kernel
    rows = max(1, KEPT_BYTES // (depth * job.kept * (itemsize + 1)))
    job.band = max(1, rows // job.h.kernel if job.apart else (rows - span) // job.h.stride + 1)
    job.bands = ceil_div(job.h.out, job.band)
    job.band = ceil_div(job.h.out, job.bands)
    job.bands = ceil_div(job.h.out, job.band)
    job.slots = job.band * job.h.kernel if job.apart else (job.band - 1) * job.h.stride + span
    job.batch = job.slots
    if not job.direct:
        job.batch = max(1, min(job.slots, PHASE_BYTES // (job.phases * job.width * itemsize)))
    job.inside_from = first_inside(&job.h)
    job.inside_to = end_inside(&job.h)
    job.tiles = job.outer * job.inner * job.d.out * job.bands * job.blocks
    job.per_chunk = max(1, CELLS_PER_CHUNK // max(1, depth * job.slots * job.block * job.phases))


# What else the tiles read of the columns: their counts, where they differ, or their first real taps.
cdef void _choose_lists(Job* job, bint* counts, bint* first) noexcept nogil:
    counts[0] = first[0] = False
    job.column_count = 0
    if not job.mean:
        first[0] = _wants_codes(job) and not job.lanes and job.w.pad > 0
    elif job.divisor != 0:
        job.column_count = 1
    elif all_counted(&job.w, job.padded):
        job.column_count = job.w.kernel
    else:
        counts[0] = not job.lanes


cdef void _fill_lists(floating* tag, const Job* job) noexcept nogil:
    cdef Py_ssize_t o
    if job.counts != NULL:
        for o in range(job.w.out):
            (<floating*> job.counts)[o] = <floating> taps_counted(&job.w, o, job.padded)
    if job.first != NULL:
        for o in range(_list_size(job)):
            job.first[o] = <byte> first_tap(&job.w, o)


# Values of a list: whole vectors are read.
cdef inline Py_ssize_t _list_size(const Job* job) noexcept nogil:
    return round_up(job.w.out, 16) + 16


# For pooling_turned.pyx, which has channels in lanes: what the rows of windows need, and its bytes.
cdef size_t prepare_forward(Job* job, Py_ssize_t value_bytes) noexcept nogil:
    cdef Scratch s
    cdef bint counts, first
    job.rows = active_rows()
    job.lanes = True
    job.counts = job.first = NULL
    _plan_lanes(job)
    _choose_lists(job, &counts, &first)
    return _lay_out(job, value_bytes, NULL, &s)


cdef void forward_rows(floating* tag, const Job* job, char* scratch, Py_ssize_t oh, Py_ssize_t oh_end) noexcept nogil:
    cdef Scratch s
    _lay_out(job, sizeof(floating), scratch, &s)
    for oh in range(oh, oh_end):
        _lanes_tile(tag, job, &s, oh)


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef Scratch s
    cdef bint counts, first, ready
    job.rows = active_rows()
    _choose_lanes(job)
    if job.lanes:
        _plan_lanes(job)
    else:
        _plan_planar(job, sizeof(floating))
    _choose_lists(job, &counts, &first)
    job.slot_bytes = _lay_out(job, sizeof(floating), NULL, &s)
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    job.counts = allocate(_list_size(job) * sizeof(floating)) if counts else NULL
    job.first = <byte*> allocate(_list_size(job)) if first else NULL
    ready = job.scratch != NULL and (job.counts != NULL or not counts) and (job.first != NULL or not first)
    if ready:
        _fill_lists(tag, job)
        parallel_for(_chunk_f32 if floating is float else _chunk_f64, job, ceil_div(job.tiles, job.per_chunk))
    release(job.scratch)
    release(job.counts)
    release(job.first)
    return ready


cdef bint pool_forward(Job* job, Py_ssize_t value_bytes) noexcept nogil:
    return _run(<float*> NULL, job) if value_bytes == sizeof(float) else _run(<double*> NULL, job)


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Job job
    forward_rows(<float*> NULL, &job, NULL, 0, 0)
    forward_rows(<double*> NULL, &job, NULL, 0, 0)

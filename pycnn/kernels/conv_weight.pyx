# dw[f, c, k] = sum_{n, o} dy[n, f, o] * x[n, c, o * stride + k * dilation - pad],  db[f] = sum_{n, o} dy[n, f, o]
#
# Edges: taps outside x contribute 0; inf * 0 inside is NaN.
#
# Blocking: a matrix product over the pixels, (channel, tap) by filter. Pixels are taken in slabs of SLAB_BLOCKS blocks
# of BLOCK_PIXELS. For a slab, dy is transposed once to [block][filter panel][pixel][filter in panel]; then each group
# of MR (channel, tap) rows reads its x values as plain rows (copies of runs, no transpose) and multiplies them with all
# filter panels: the rows stay in L1, the panels in L2. With few filters in a group (depthwise) neither is packed: each
# line of dy is multiplied with the lines of x that the taps read, and a vector of sums kept for each (filter, channel,
# tap).
#
# Sums run over the pixels in one order, cut by shape alone (where there are too few (channel, tap) rows to share among
# threads, into slices that are added in order), so any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._call cimport View, read_volume, values
from pycnn.kernels._geometry cimport (
    Geometry, Operands, check_geometry, check_query, group_channels, has_values, read_geometry,
)
from pycnn.kernels._integers cimport ceil_div, slot_size
from pycnn.kernels._patches cimport Patches, Run, find_runs, forward_patches, free_patches, pack_row
from pycnn.kernels._pycnn_h cimport PYCNN_ERROR_POINTER, PYCNN_OK
from pycnn.kernels._runtime cimport (
    Piece, Workspace, allocate, begin_call, begin_measure, end_call, end_measure, measuring, num_slots, parallel_work,
    raise_status, release, tiles, vector_table,
)
from pycnn.kernels._tiles cimport dot_line, gemm_rows, lanes, pack_run, tile_columns, tile_rows, transpose_run
from pycnn.kernels.conv_depthwise_channels cimport channels_weight_run
from pycnn.kernels.conv_depthwise_weight cimport depthwise_weight_run
from pycnn.kernels.conv_few_weight cimport few_weight_run
from pycnn.kernels.conv_filters_weight cimport filters_weight_run
from pycnn.kernels.conv_winograd cimport BACKWARD_WEIGHT, winograd_tile
from pycnn.kernels.conv_winograd_weight cimport winograd_weight_run

cdef enum:
    BLOCK_PIXELS = 384
    SLAB_BYTES = 4 << 20  # of transposed dy: a part of L3
    FEW_FILTERS = 3       # per group, up to which dot products are used
    WANTED_TASKS = 16
    TOGETHER = 16         # filters whose deltas are summed at once

ctypedef struct Job:
    Patches patches       # of the forward pass: src is x, dst is dy
    const void* x
    const void* dy
    void* dw
    void* sums            # [slice][group][row panel][filter panel][mr][width]
    void* turned          # [block][group][filter panel][pixel][width]
    Py_ssize_t mr, nr, vl
    Py_ssize_t depth, row_panels, filter_panels
    Py_ssize_t filter_width   # columns that the panels of a group have together
    Py_ssize_t blocks, slab_blocks, first_block, slices
    Py_ssize_t sums_size      # of a slice
    char* scratch
    size_t slot_bytes


cdef inline Py_ssize_t _block_pixels(const Job* job, Py_ssize_t block) noexcept nogil:
    return min(<Py_ssize_t> BLOCK_PIXELS, job.patches.pixels - block * BLOCK_PIXELS)


# Columns of filter panel i: a full tile, or the vectors that the last filters need.
cdef inline Py_ssize_t _panel_width(const Job* job, Py_ssize_t i) noexcept nogil:
    return min(job.nr, ceil_div(job.patches.rows - i * job.nr, job.vl) * job.vl)


# ---- turning dy: one task a block and group

cdef void _turn(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t block = job.first_block + task // p.groups
    cdef Py_ssize_t g = task % p.groups
    cdef Py_ssize_t count = _block_pixels(job, block)
    cdef Run* runs = <Run*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef Py_ssize_t n_runs = find_runs(p, block * BLOCK_PIXELS, count, runs)
    cdef const floating* dy = <const floating*> job.dy + g * p.dst_group
    cdef floating* out = <floating*> job.turned + task * BLOCK_PIXELS * job.filter_width
    cdef Py_ssize_t i, r, j, width, filters
    for i in range(job.filter_panels):
        width = _panel_width(job, i)
        filters = min(width, p.rows - i * job.nr)
        for r in range(n_runs):
            transpose_run(out + runs[r].begin * width, width, dy + i * job.nr * p.dst_row + runs[r].dst, p.dst_row,
                          filters, runs[r].length, p.dst_pixel[3])
        if filters < width:
            for j in range(count):
                memset(out + j * width + filters, 0, <size_t> (width - filters) * sizeof(floating))
        out += BLOCK_PIXELS * width


cdef void _turn_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _turn(<float*> NULL, <Job*> context, chunk, slot)


cdef void _turn_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _turn(<double*> NULL, <Job*> context, chunk, slot)


# ---- multiplying: one task a slice, group and panel of (channel, tap) rows

cdef void _pack_rows(floating* tag, Job* job, Py_ssize_t g, Py_ssize_t k0, Py_ssize_t rows, const Run* runs,
                     Py_ssize_t n_runs, floating* out, Piece* pieces) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef const floating* x = <const floating*> job.x + g * p.src_group
    cdef Py_ssize_t i
    for i in range(rows):
        pack_row(p, x, runs, n_runs, (k0 + i) // p.taps.count, (k0 + i) % p.taps.count, out + i * BLOCK_PIXELS, pieces)


cdef void _multiply(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t panel = task % job.row_panels
    cdef Py_ssize_t g = task // job.row_panels % p.groups
    cdef Py_ssize_t piece = task // (job.row_panels * p.groups)
    cdef Py_ssize_t k0 = panel * job.mr
    cdef Py_ssize_t rows = min(job.mr, job.depth - k0)
    cdef floating* packed = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef Run* runs = <Run*> (packed + job.mr * BLOCK_PIXELS + job.nr)
    cdef Piece* pieces = <Piece*> (runs + BLOCK_PIXELS)
    cdef floating* sums = (<floating*> job.sums + piece * job.sums_size
                           + (g * job.row_panels + panel) * job.mr * job.filter_width)
    cdef floating* c
    cdef const floating* b
    cdef Py_ssize_t last = min(job.blocks, job.first_block + job.slab_blocks)
    cdef Py_ssize_t block = job.first_block + piece
    cdef Py_ssize_t n_runs, count, i, width
    while block < last:
        count = _block_pixels(job, block)
        n_runs = find_runs(p, block * BLOCK_PIXELS, count, runs)
        _pack_rows(tag, job, g, k0, rows, runs, n_runs, packed, pieces)
        b = <floating*> job.turned + ((block - job.first_block) * p.groups + g) * BLOCK_PIXELS * job.filter_width
        c = sums
        for i in range(job.filter_panels):
            width = _panel_width(job, i)
            gemm_rows(rows, width // job.vl, count, packed, BLOCK_PIXELS, b, c, True)
            b += BLOCK_PIXELS * width
            c += job.mr * width
        block += job.slices


cdef void _multiply_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _multiply(<float*> NULL, <Job*> context, chunk, slot)


cdef void _multiply_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _multiply(<double*> NULL, <Job*> context, chunk, slot)


# ---- adding the slices and writing dw[f][c, t]

cdef void _write(floating* tag, Job* job, Py_ssize_t task) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t panel = task % job.row_panels
    cdef Py_ssize_t g = task // job.row_panels
    cdef Py_ssize_t k0 = panel * job.mr
    cdef Py_ssize_t rows = min(job.mr, job.depth - k0)
    cdef const floating* sums = <const floating*> job.sums + task * job.mr * job.filter_width
    cdef floating* dw = <floating*> job.dw + g * p.rows * job.depth + k0
    cdef Py_ssize_t f, i, piece, place, in_panel, width
    cdef floating value
    for f in range(p.rows):
        in_panel = f % job.nr
        width = _panel_width(job, f // job.nr)
        for i in range(rows):
            place = f // job.nr * job.nr * job.mr + i * width + in_panel
            value = sums[place]
            for piece in range(1, job.slices):
                value += sums[piece * job.sums_size + place]
            dw[f * job.depth + i] = value


cdef void _write_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _write(<float*> NULL, <Job*> context, chunk)


cdef void _write_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _write(<double*> NULL, <Job*> context, chunk)


# ---- few filters in a group: one task a slice, group and filter

cdef void _thin(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t row = task % (p.groups * p.rows)  # filter of all
    cdef Py_ssize_t piece = task // (p.groups * p.rows)
    cdef Py_ssize_t g = row // p.rows
    cdef Py_ssize_t lines = p.pixels // p.extent[3]
    cdef Py_ssize_t number = lines * piece // job.slices
    cdef Py_ssize_t last = lines * (piece + 1) // job.slices
    cdef Py_ssize_t vl = job.vl
    cdef floating* sums = <floating*> job.sums + (piece * p.groups * p.rows + row) * job.depth * vl
    cdef Py_ssize_t* offset = <Py_ssize_t*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef Py_ssize_t* lo = offset + p.taps.count
    cdef Py_ssize_t* hi = lo + 4 * p.taps.count
    cdef floating* line = <floating*> (hi + 4 * p.taps.count)
    cdef const floating* dy
    cdef Py_ssize_t[3] place
    cdef Py_ssize_t a, c, t, rest, x, y
    while number < last:
        rest = number
        x = g * p.src_group
        y = g * p.dst_group + row % p.rows * p.dst_row
        for a in range(2, -1, -1):
            place[a] = rest % p.extent[a]
            rest //= p.extent[a]
            x += place[a] * p.src_pixel[a]
            y += place[a] * p.dst_pixel[a]
        dy = <const floating*> job.dy + y
        if p.dst_pixel[3] != 1:
            pack_run(line, 0, dy, 0, 1, p.extent[3], 0, p.extent[3], p.dst_pixel[3])
            dy = line
        for t in range(p.taps.count):
            offset[t] = p.taps.offset[t]
            lo[4 * t] = p.taps.lo[4 * t + 3]
            hi[4 * t] = p.taps.hi[4 * t + 3]
            for a in range(3):
                if place[a] < p.taps.lo[4 * t + a] or place[a] >= p.taps.hi[4 * t + a]:
                    hi[4 * t] = lo[4 * t]
        for c in range(p.channels):
            dot_line(sums + c * p.taps.count * vl, <const floating*> job.x + x + c * p.src_channel, offset, lo, hi,
                     p.taps.count, dy, p.src_pixel[3])
        number += 1


cdef void _thin_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _thin(<float*> NULL, <Job*> context, chunk, slot)


cdef void _thin_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _thin(<double*> NULL, <Job*> context, chunk, slot)


cdef bint _run_thin(floating* tag, Job* job) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t filters = p.groups * p.rows
    cdef Py_ssize_t i, piece, lane
    cdef floating* dw = <floating*> job.dw
    cdef floating* sums
    cdef floating total
    job.vl = lanes(tag)
    job.depth = p.channels * p.taps.count
    job.slices = max(1, min(p.pixels // p.extent[3], ceil_div(WANTED_TASKS, filters)))
    job.slot_bytes = <size_t> (9 * p.taps.count) * sizeof(Py_ssize_t) + <size_t> p.extent[3] * sizeof(floating)
    job.slot_bytes = slot_size(job.slot_bytes)
    job.sums_size = filters * job.depth * job.vl
    job.sums = allocate(<size_t> (job.slices * job.sums_size) * sizeof(floating))
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    cdef bint ok = job.sums != NULL and job.scratch != NULL
    if ok:
        memset(job.sums, 0, <size_t> (job.slices * job.sums_size) * sizeof(floating))
        parallel_work(_thin_f32 if floating is float else _thin_f64, job, job.slices * filters,
                      <double> p.pixels * filters * job.depth)
        for i in range(0 if measuring() else filters * job.depth):
            total = 0
            for piece in range(job.slices):
                sums = <floating*> job.sums + piece * job.sums_size + i * job.vl
                for lane in range(job.vl):
                    total += sums[lane]
            dw[i] = total
    release(job.sums)
    release(job.scratch)
    return ok


cdef void _plan(floating* tag, Job* job) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t tasks, block_bytes
    job.vl = lanes(tag)
    job.mr = tile_rows(tag)
    job.nr = tile_columns(tag)
    job.depth = p.channels * p.taps.count
    job.row_panels = ceil_div(job.depth, job.mr)
    job.filter_panels = ceil_div(p.rows, job.nr)
    job.filter_width = ceil_div(p.rows, job.vl) * job.vl
    job.blocks = ceil_div(p.pixels, BLOCK_PIXELS)
    tasks = p.groups * job.row_panels
    job.slices = max(1, min(job.blocks, ceil_div(WANTED_TASKS, tasks)))
    block_bytes = BLOCK_PIXELS * job.filter_width * p.groups * sizeof(floating)
    job.slab_blocks = max(job.slices, SLAB_BYTES // block_bytes)
    job.slab_blocks = max(1, min(job.slab_blocks, job.blocks))
    job.sums_size = p.groups * job.row_panels * job.mr * job.filter_width
    job.slot_bytes = <size_t> (job.mr * BLOCK_PIXELS + job.nr) * sizeof(floating)  # a vector to spare, and more
    job.slot_bytes += BLOCK_PIXELS * (sizeof(Run) + sizeof(Piece))
    job.slot_bytes = slot_size(job.slot_bytes)


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t groups_panels, n
    cdef size_t sums_bytes
    cdef double work
    cdef bint ok
    if p.rows <= FEW_FILTERS and 0 < p.src_pixel[3] <= 2:
        return _run_thin(tag, job)
    _plan(tag, job)
    groups_panels = p.groups * job.row_panels
    sums_bytes = <size_t> (job.slices * job.sums_size) * sizeof(floating)
    job.sums = allocate(sums_bytes)
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    n = job.slab_blocks * p.groups * BLOCK_PIXELS * job.filter_width
    job.turned = allocate(<size_t> n * sizeof(floating))
    ok = job.sums != NULL and job.scratch != NULL and job.turned != NULL
    if ok:
        memset(job.sums, 0, sums_bytes)
        job.first_block = 0
        while job.first_block < job.blocks:
            n = min(job.slab_blocks, job.blocks - job.first_block)
            work = <double> n * BLOCK_PIXELS * p.groups * p.rows * job.depth
            if floating is float:
                parallel_work(_turn_f32, job, n * p.groups, work / job.depth)
                parallel_work(_multiply_f32, job, job.slices * groups_panels, work)
            else:
                parallel_work(_turn_f64, job, n * p.groups, work / job.depth)
                parallel_work(_multiply_f64, job, job.slices * groups_panels, work)
            job.first_block += job.slab_blocks
        parallel_work(_write_f32 if floating is float else _write_f64, job, groups_panels,
                      <double> job.slices * job.sums_size)
    release(job.turned)
    release(job.sums)
    release(job.scratch)
    return ok


# The first algorithm that applies: 1, or 0 where there is no memory.
cdef int _weight(floating* tag, Job* job, const Geometry* q) noexcept nogil:
    cdef Py_ssize_t m = winograd_tile(q, BACKWARD_WEIGHT)
    cdef int done = -1
    if m:
        done = winograd_weight_run(q, m, <const floating*> job.x, <const floating*> job.dy, <floating*> job.dw)
    if done < 0:
        done = channels_weight_run(q, <const floating*> job.x, <const floating*> job.dy, <floating*> job.dw)
    if done < 0:
        done = depthwise_weight_run(q, <const floating*> job.x, <const floating*> job.dy, <floating*> job.dw)
    if done < 0:
        done = few_weight_run(q, <const floating*> job.x, <const floating*> job.dy, <floating*> job.dw)
    if done < 0:
        done = filters_weight_run(q, <const floating*> job.x, <const floating*> job.dy, <floating*> job.dw)
    if done < 0:
        done = forward_patches(&job.patches, q.x_shape, q.x_steps, q.y_shape, q.y_steps, q.kernel, q.stride, q.pad,
                               q.dilation, q.groups)
        if done:
            done = _run(tag, job)
        free_patches(&job.patches)
    return done


# ---- as pycnn.h has it

cdef int _zero(floating* dw, const Geometry* q) noexcept nogil:
    cdef Py_ssize_t n = q.y_shape[1] * group_channels(q) * q.kernel[0] * q.kernel[1] * q.kernel[2]
    if n == 0:
        return PYCNN_OK
    if dw == NULL:
        return PYCNN_ERROR_POINTER
    memset(dw, 0, <size_t> n * sizeof(floating))
    return PYCNN_OK


cdef int _checked_weight(const Geometry* q, const floating* dy, const floating* x, floating* dw, void* workspace,
                         size_t n) noexcept nogil:
    cdef Workspace place
    cdef Job job
    cdef int status = check_geometry(q, sizeof(floating))
    if status != PYCNN_OK:
        return status
    if not has_values(q):
        return _zero(dw, q)
    if dw == NULL or dy == NULL or x == NULL:
        return PYCNN_ERROR_POINTER
    job.x, job.dy, job.dw = x, dy, dw
    begin_call(&place, workspace, n)
    return end_call(&place, workspace, _weight(<floating*> NULL, &job, q))


cdef int conv_backward_weight_f32(const Geometry* q, const float* dy, const float* x, float* dw, void* workspace,
                                  size_t n) noexcept nogil:
    return _checked_weight(q, dy, x, dw, workspace, n)


cdef int conv_backward_weight_f64(const Geometry* q, const double* dy, const double* x, double* dw, void* workspace,
                                  size_t n) noexcept nogil:
    return _checked_weight(q, dy, x, dw, workspace, n)


cdef int conv_backward_weight_workspace(const Geometry* q, size_t value_bytes, size_t* needed) noexcept nogil:
    cdef Workspace place
    cdef Job job
    cdef int done, status = check_query(q, value_bytes, needed)
    if status != PYCNN_OK or not has_values(q):
        return status
    job.x = job.dy = job.dw = NULL
    begin_measure(&place)
    done = _weight(<float*> NULL, &job, q) if value_bytes == sizeof(float) else _weight(<double*> NULL, &job, q)
    return end_measure(&place, done, needed)


def conv_backward_weight(dy,              # IN  (N, F, *spatial), its axes `order`
                         x,               # IN  (N, C, *spatial), its axes `order`
                         dw,              # OUT (F, C/groups, *kernel), contiguous
                         tuple order,
                         tuple numbers):  # stride, pad (before) and dilation, each for D, H and W, and groups
    """Write the gradient of a convolution for its weight to dw."""
    cdef Geometry q
    cdef Operands at
    cdef int status
    read_geometry(&q, &at, x, dw, dy, order, numbers)
    with nogil:
        if at.size == sizeof(float):
            status = conv_backward_weight_f32(&q, <float*> at.y, <float*> at.x, <float*> at.w, NULL, 0)
        else:
            status = conv_backward_weight_f64(&q, <double*> at.y, <double*> at.x, <double*> at.w, NULL, 0)
    if status != PYCNN_OK:
        raise_status("conv_backward_weight", status)


# ---- db

ctypedef struct SumJob:
    const void* dy
    void* db
    Py_ssize_t n, filters
    Py_ssize_t together  # filters of a chunk: several where they lie side by side
    Py_ssize_t pixels[3]
    Py_ssize_t step_n, step_f
    Py_ssize_t step[3]


# The sums of the deltas of filters f .. f + count - 1, each rounded once: the running sum is a double.
cdef void _sum_channels(floating* tag, SumJob* job, Py_ssize_t f, Py_ssize_t count) noexcept nogil:
    cdef const floating* row
    cdef double total[TOGETHER]
    cdef Py_ssize_t n, d, h, w, i
    for i in range(count):
        total[i] = 0
    for n in range(job.n):
        for d in range(job.pixels[0]):
            for h in range(job.pixels[1]):
                row = (<const floating*> job.dy + n * job.step_n + f * job.step_f + d * job.step[0] + h * job.step[1])
                for w in range(job.pixels[2]):
                    for i in range(count):
                        total[i] += row[w * job.step[2] + i * job.step_f]
    for i in range(count):
        (<floating*> job.db)[f + i] = <floating> total[i]


# The same for one filter whose pixels lie side by side, by vectors: `lines` of them are runs of one plane.
cdef void _sum_runs(floating* tag, SumJob* job, Py_ssize_t f) noexcept nogil:
    cdef const vector_table* table = tiles().vector_f32 if floating is float else tiles().vector_f64
    cdef bint whole = job.step[1] == job.pixels[2] or job.pixels[1] == 1
    cdef Py_ssize_t lines = 1 if whole else job.pixels[1]
    cdef Py_ssize_t run = job.pixels[2] * (job.pixels[1] if whole else 1)
    cdef const floating* plane
    cdef double total = 0
    cdef Py_ssize_t n, d, h
    for n in range(job.n):
        for d in range(job.pixels[0]):
            plane = <const floating*> job.dy + n * job.step_n + f * job.step_f + d * job.step[0]
            for h in range(lines):
                total += table.sum(plane + h * job.step[1], run)
    (<floating*> job.db)[f] = <floating> total


cdef void _sum_chunk(floating* tag, SumJob* job, Py_ssize_t chunk) noexcept nogil:
    cdef Py_ssize_t f = chunk * job.together
    if job.together == 1 and job.step[2] == 1:
        _sum_runs(tag, job, f)
    elif job.together == 1:
        _sum_channels(tag, job, f, 1)
    else:
        _sum_channels(tag, job, f, min(job.together, job.filters - f))


cdef void _sum_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _sum_chunk(<float*> NULL, <SumJob*> context, chunk)


cdef void _sum_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _sum_chunk(<double*> NULL, <SumJob*> context, chunk)


def channel_sums(dy,            # IN  (N, F, *spatial), its axes `order`
                 db,            # OUT (F,)
                 tuple order):
    """Write the sum of each channel of dy to db."""
    cdef SumJob job
    cdef View v
    cdef Py_ssize_t a
    read_volume(&v, dy, order)
    if v.shape[1] == 0:
        return
    job.db = values(db, v.size, v.shape[1])
    job.dy, job.n, job.filters, job.step_n, job.step_f = v.data, v.shape[0], v.shape[1], v.steps[0], v.steps[1]
    job.together = TOGETHER if job.step_f == 1 else 1
    for a in range(3):
        job.pixels[a] = v.shape[a + 2]
        job.step[a] = v.steps[a + 2]
    with nogil:
        parallel_work(_sum_f32 if v.size == sizeof(float) else _sum_f64, &job, ceil_div(job.filters, job.together),
                      <double> v.shape[0] * v.shape[1] * v.shape[2] * v.shape[3] * v.shape[4])

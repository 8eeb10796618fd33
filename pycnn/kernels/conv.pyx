# y[n, f, o] = b[f] + sum_{c, k} x[n, c, o * stride + k * dilation - pad] * w[f, c, k]
# dx[n, c, i] = sum_{f, k} dy[n, f, (i + pad - k * dilation) / stride] * w[f, c, k]   where the division is exact
#
# Edges: taps outside x (or dy) contribute 0. Zeros inside are multiplied like any value, so inf * 0 is NaN.
# Both are the same sum over taps (_patches.pyx); transposed convolution is the second one with a bias.
#
# Blocking, after Goto and van de Geijn (ACM TOMS 34, 2008), without an im2col matrix: the pixels are cut into panels
# as wide as the register tile (48 in AVX-512 float32). A panel holds, for up to BLOCK_K (channel, tap) pairs at a
# time, the value that each pixel reads: it stays in the L2 cache while the packed weights stream past it. Where a
# single tap reads pixels side by side, x itself is the panel; where such pixels are written, they go there from the
# registers. Weights are packed once per call, [row / MR][channel, tap][MR]. Memory beyond input and output: the packed
# weights and one panel per thread.
#
# The work is cut by shape alone and every sum runs in one order, so any number of threads gives the same bits.

from cython cimport floating

from pycnn.kernels._call cimport values
from pycnn.kernels._geometry cimport Geometry, Operands, check_geometry, check_query, is_empty, read_geometry
from pycnn.kernels._integers cimport ceil_div, part_begin, round_up, slot_size
from pycnn.kernels._pack cimport pack_weights
from pycnn.kernels._patches cimport Patches, Run, all_inside, backward_patches, find_runs, forward_patches, \
    free_patches, pack_columns
from pycnn.kernels._pycnn_h cimport PYCNN_ERROR_POINTER, PYCNN_OK
from pycnn.kernels._runtime cimport (
    Piece, Stretch, Workspace, allocate, begin_call, begin_measure, end_call, end_measure, num_slots, parallel_work,
    plane_choice, raise_status, release,
)
from pycnn.kernels.conv_depthwise cimport depthwise_run
from pycnn.kernels.conv_depthwise_channels cimport channels_run
from pycnn.kernels.conv_direct cimport direct_run
from pycnn.kernels.conv_filters cimport filters_run
from pycnn.kernels.conv_thin cimport is_thin, run_thin
from pycnn.kernels.conv_winograd cimport BACKWARD_INPUT, FORWARD, winograd_run, winograd_tile
from pycnn.kernels._tiles cimport gemm_packed, lanes, store_tile, sum_panel, tile_columns, tile_rows

cdef enum:
    BLOCK_K = 1024      # most (channel, tap) pairs of a panel: 192 KB of L2, and the error stays small
    BLOCK_TAPS = 160    # most taps of a panel: a piece of bookkeeping for each of them and each run of pixels
    WANTED_CHUNKS = 64  # pieces of work, where there is that much: enough to balance threads that lose their core
    LEAST_ROWS = 16     # of 1x1 convolutions that come here first
    FAR_BYTES = 8 << 20  # of results: more are stored past the caches

ctypedef struct Job:
    Patches patches
    const void* src
    const void* w
    const void* bias
    void* dst
    void* packed
    Py_ssize_t mr, nr, vl          # of the register tile
    Py_ssize_t row_panels, pixel_panels
    Py_ssize_t block_channels, block_taps
    Py_ssize_t blocks              # of a sum
    Py_ssize_t panel_size          # values, with a vector to spare
    Py_ssize_t sums_begin          # of the sums of blocks, in values
    Py_ssize_t pixel_chunks, row_chunks
    bint far                       # dst is stored past the caches
    char* scratch
    size_t slot_bytes


# ---- packing the weights: packed[g][row panel][c * taps + t][row in panel]

cdef void _pack_weight_panel(floating* tag, Job* job, Py_ssize_t index) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t g = index // job.row_panels
    cdef Py_ssize_t m0 = index % job.row_panels * job.mr
    pack_weights(<floating*> job.packed + index * p.channels * p.taps.count * job.mr, job.mr,
                 min(job.mr, p.rows - m0), p.channels, p.taps.count, p.taps.weight,
                 <const floating*> job.w + g * p.w_group + m0 * p.w_row, p.w_row, p.w_channel)


cdef void _pack_weights_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _pack_weight_panel(<float*> NULL, <Job*> context, chunk)


cdef void _pack_weights_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _pack_weight_panel(<double*> NULL, <Job*> context, chunk)


# ---- a panel of pixels times some row panels

# The parts of a panel's columns that lie side by side in dst, and whether x itself can stand for the panel: one tap
# that reads a full tile's width of values side by side.
cdef bint _find_stretches(const Job* job, const Run* runs, Py_ssize_t n, Stretch* out) noexcept nogil:
    cdef const Patches* p = &job.patches
    cdef Py_ssize_t i
    for i in range(n):
        out[i].begin = runs[i].begin
        out[i].length = runs[i].length
        out[i].place = runs[i].dst
    return (p.taps.count == 1 and n == 1 and runs[0].length == job.nr and p.src_pixel[3] == 1 and p.dst_pixel[3] == 1
            and job.blocks == 1 and all_inside(p, &runs[0], 0))


# The last value of each vector of a panel, as its first one often lies in a line that the panel before has read too.
cdef void _find_last(const Job* job, const Run* runs, Py_ssize_t n, const floating* src,
                     const floating** last) noexcept nogil:
    cdef Py_ssize_t v, i = 0, column
    for v in range(3):
        column = (v + 1) * job.vl - 1
        while i + 1 < n and runs[i + 1].begin <= column:
            i += 1
        last[v] = src + runs[i].src + (column - runs[i].begin) * job.patches.src_pixel[3]


# All of the sum for panels first .. last - 1 of pixels and the row panels r0 .. r1 - 1 of group g, each in one go.
cdef void _sum(Job* job, Py_ssize_t g, Py_ssize_t first, Py_ssize_t last, Py_ssize_t r0, Py_ssize_t r1,
               const floating* src, const floating* bias, floating* dst, floating* scratch) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t depth = p.channels * p.taps.count
    cdef const floating* a = <const floating*> job.packed + (g * job.row_panels + r0) * depth * job.mr
    cdef Py_ssize_t rows = min(r1 * job.mr, p.rows) - r0 * job.mr
    cdef Run* runs = <Run*> (scratch + job.panel_size)
    cdef Run* next_runs = runs + job.nr
    cdef Stretch* stretches = <Stretch*> (next_runs + job.nr)
    cdef Piece* pieces = <Piece*> (stretches + job.nr)
    cdef const floating* ahead[3]
    cdef const floating* b
    cdef floating* copy
    cdef Py_ssize_t panel, vectors, n, b_step, next_n, count = min(job.nr, p.pixels - first * job.nr)
    next_n = find_runs(p, first * job.nr, count, next_runs)
    ahead[0] = ahead[1] = ahead[2] = scratch
    for panel in range(first, last):
        runs, next_runs, n = next_runs, runs, next_n
        vectors = ceil_div(count, job.vl)
        b = scratch
        copy = NULL
        b_step = vectors * job.vl
        if _find_stretches(job, runs, n, stretches):
            b = src + runs[0].src + p.taps.offset[0]
            b_step = p.src_channel
            copy = scratch
        elif depth > 0:
            pack_columns(p, src, runs, n, 0, p.channels, 0, p.taps.count, scratch, b_step, pieces)
        if panel + 1 < last:
            count = min(job.nr, p.pixels - (panel + 1) * job.nr)
            next_n = find_runs(p, (panel + 1) * job.nr, count, next_runs)
            if p.taps.count == 1:
                _find_last(job, next_runs, next_n, src + p.taps.offset[0], ahead)
        sum_panel(dst + r0 * job.mr * p.dst_row, p.dst_row, p.dst_pixel[3], rows, depth, a, b, b_step, copy,
                  vectors, stretches, n, bias + r0 * job.mr if bias != NULL else NULL, ahead, p.src_channel,
                  job.far * (1 if panel + 1 < last else 2))


# The same, a block of (channel, tap) pairs after the other.
cdef void _sum_blocks(Job* job, Py_ssize_t g, Py_ssize_t panel, Py_ssize_t r0, Py_ssize_t r1, const floating* src,
                      const floating* bias, floating* dst, floating* scratch) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t taps = p.taps.count
    cdef Py_ssize_t first = panel * job.nr
    cdef Py_ssize_t count = min(job.nr, p.pixels - first)
    cdef Py_ssize_t vectors = ceil_div(count, job.vl)
    cdef Py_ssize_t tile_size = job.mr * job.nr
    cdef Run* runs = <Run*> (scratch + job.panel_size)
    cdef Stretch* stretches = <Stretch*> (runs + job.nr)
    cdef floating* sums = scratch + job.sums_begin  # [row panel][mr][width]
    cdef Py_ssize_t n = find_runs(p, first, count, runs)
    cdef const floating* a
    cdef Py_ssize_t cb, tb, c0, c1, t0, t1, r, rows
    _find_stretches(job, runs, n, stretches)
    for cb in range(ceil_div(p.channels, job.block_channels)):
        c0 = cb * job.block_channels
        c1 = min(c0 + job.block_channels, p.channels)
        for tb in range(ceil_div(taps, job.block_taps)):
            t0 = tb * job.block_taps
            t1 = min(t0 + job.block_taps, taps)
            pack_columns(p, src, runs, n, c0, c1, t0, t1, scratch, vectors * job.vl, <Piece*> (stretches + job.nr))
            for r in range(r0, r1):
                a = (<const floating*> job.packed
                     + ((g * job.row_panels + r) * p.channels * taps + c0 * taps + t0) * job.mr)
                gemm_packed(min(job.mr, p.rows - r * job.mr), vectors, (c1 - c0) * (t1 - t0), a, job.mr, scratch,
                            sums + (r - r0) * tile_size, c0 > 0 or t0 > 0)
    for r in range(r0, r1):
        rows = min(job.mr, p.rows - r * job.mr)
        store_tile(dst + r * job.mr * p.dst_row, p.dst_row, p.dst_pixel[3], sums + (r - r0) * tile_size,
                   vectors * job.vl, rows, stretches, n, bias + r * job.mr if bias != NULL else NULL)


cdef void _chunk(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t row_chunk = chunk % job.row_chunks
    cdef Py_ssize_t pixel_chunk = chunk // job.row_chunks % job.pixel_chunks
    cdef Py_ssize_t g = chunk // (job.row_chunks * job.pixel_chunks)
    cdef Py_ssize_t r0 = part_begin(row_chunk, job.row_chunks, job.row_panels)
    cdef Py_ssize_t r1 = part_begin(row_chunk + 1, job.row_chunks, job.row_panels)
    cdef const floating* src = <const floating*> job.src + g * p.src_group
    cdef const floating* bias = NULL if job.bias == NULL else <const floating*> job.bias + g * p.rows
    cdef floating* dst = <floating*> job.dst + g * p.dst_group
    cdef floating* scratch = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef Py_ssize_t panel
    cdef Py_ssize_t first = part_begin(pixel_chunk, job.pixel_chunks, job.pixel_panels)
    cdef Py_ssize_t last = part_begin(pixel_chunk + 1, job.pixel_chunks, job.pixel_panels)
    if job.blocks == 1:
        _sum(job, g, first, last, r0, r1, src, bias, dst, scratch)
        return
    for panel in range(first, last):
        _sum_blocks(job, g, panel, r0, r1, src, bias, dst, scratch)


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <Job*> context, chunk, slot)


# ---- cutting the work and running it

cdef void _plan(floating* tag, Job* job) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t taps = max(p.taps.count, 1)
    cdef Py_ssize_t size = sizeof(floating), notes, cuts
    job.vl = lanes(tag)
    job.mr = tile_rows(tag)
    job.nr = tile_columns(tag)
    job.row_panels = ceil_div(p.rows, job.mr)
    job.pixel_panels = ceil_div(p.pixels, job.nr)
    job.block_taps = min(taps, BLOCK_TAPS)
    # With some of the taps only, one channel: the weights of a block have to follow one another.
    job.block_channels = max(1, BLOCK_K // taps) if taps <= BLOCK_TAPS else 1
    if p.channels > job.block_channels:  # blocks of equal size, no thin last one
        job.block_channels = ceil_div(p.channels, ceil_div(p.channels, job.block_channels))
    else:
        job.block_channels = max(1, p.channels)
    job.blocks = max(1, ceil_div(p.channels, job.block_channels)) * ceil_div(taps, job.block_taps)
    job.far = p.groups * p.rows * p.pixels * size > FAR_BYTES
    # The cut changes no sum, so it may depend on the number of threads. Few pixels, as at 7x7: the rows are cut as
    # well, and the panel packed once for each cut.
    job.pixel_chunks = min(job.pixel_panels, ceil_div(WANTED_CHUNKS, p.groups))
    job.row_chunks = 1
    if num_slots() > 1:
        cuts = min(<Py_ssize_t> WANTED_CHUNKS, 4 * num_slots()) // (job.pixel_chunks * p.groups)
        job.row_chunks = max(1, min(ceil_div(job.row_panels, 4), cuts))
    job.panel_size = round_up((job.block_channels * job.block_taps + 1) * job.nr, 16)
    notes = job.nr * <Py_ssize_t> (2 * sizeof(Run) + sizeof(Stretch) + job.block_taps * sizeof(Piece))
    job.sums_begin = job.panel_size + round_up(notes // size, 16)
    job.slot_bytes = <size_t> job.sums_begin * sizeof(floating)
    if job.blocks > 1:
        job.slot_bytes += <size_t> (ceil_div(job.row_panels, job.row_chunks) * job.mr * job.nr) * sizeof(floating)
    job.slot_bytes = slot_size(job.slot_bytes)


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef size_t packed_bytes
    cdef Py_ssize_t chunks
    cdef double weights
    if p.pixels == 0 or p.rows == 0:
        return True
    if is_thin(p):
        return run_thin(p, <const floating*> job.src, <const floating*> job.w, <const floating*> job.bias,
                        <floating*> job.dst)
    _plan(tag, job)
    packed_bytes = <size_t> (p.groups * job.row_panels * job.mr * p.channels * p.taps.count) * sizeof(floating)
    job.packed = allocate(packed_bytes)
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    chunks = p.groups * job.pixel_chunks * job.row_chunks
    weights = <double> p.groups * p.rows * p.channels * p.taps.count
    cdef bint ok = job.packed != NULL and job.scratch != NULL
    if ok and floating is float:
        parallel_work(_pack_weights_f32, job, p.groups * job.row_panels, weights)
        parallel_work(_chunk_f32, job, chunks, weights * p.pixels)
    elif ok:
        parallel_work(_pack_weights_f64, job, p.groups * job.row_panels, weights)
        parallel_work(_chunk_f64, job, chunks, weights * p.pixels)
    release(job.packed)
    release(job.scratch)
    return ok


# Whether panels come first: a 1x1 convolution with stride 1 reads x itself, and its results go to y from the registers.
# With fewer rows small images, whose panels are copied, are faster elsewhere. Few pixels lose lanes of the last vector
# where the filters' vectors would be full: in vector multiply-adds, the weights' packing counted where it turns them.
cdef bint _suits_panels(floating* tag, const Geometry* q, bint backward) noexcept nogil:
    cdef Py_ssize_t rows = (q.x_shape[1] if backward else q.y_shape[1]) // q.groups
    cdef double channels = (q.y_shape[1] if backward else q.x_shape[1]) // q.groups
    cdef Py_ssize_t pixels = q.x_shape[0] * q.x_shape[2] * q.x_shape[3] * q.x_shape[4]
    cdef Py_ssize_t vl = lanes(tag)
    cdef Py_ssize_t a
    if plane_choice() >= 0 or rows < LEAST_ROWS or q.x_steps[4] != 1 or q.y_steps[4] != 1:
        return False
    for a in range(3):
        if q.kernel[a] != 1 or q.stride[a] != 1 or q.pad[a] != 0 or q.x_shape[a + 2] != q.y_shape[a + 2]:
            return False
    return (rows * (ceil_div(pixels, vl) * (channels + 8) + (6 * channels / vl if backward else 0))
            < pixels * (ceil_div(rows, vl) * (1.05 * channels + 15) + 22 * channels / vl))


# The first algorithm that applies: 1, or 0 where there is no memory.
cdef int _forward(floating* tag, Job* job, const Geometry* q) noexcept nogil:
    cdef Py_ssize_t m = winograd_tile(q, FORWARD)
    cdef int done = -1
    if m:
        done = winograd_run(q, m, False, <const floating*> job.src, <const floating*> job.w,
                            <const floating*> job.bias, <floating*> job.dst)
    if done < 0:
        done = channels_run(q, False, <const floating*> job.src, <const floating*> job.w,
                            <const floating*> job.bias, <floating*> job.dst)
    if done < 0:
        done = depthwise_run(q, False, <const floating*> job.src, <const floating*> job.w,
                             <const floating*> job.bias, <floating*> job.dst)
    cdef bint panels = done < 0 and _suits_panels(tag, q, False)
    if done < 0 and not panels:
        done = filters_run(q, False, <const floating*> job.src, <const floating*> job.w,
                           <const floating*> job.bias, <floating*> job.dst)
    if done < 0 and not panels:
        done = direct_run(q, False, <const floating*> job.src, <const floating*> job.w,
                          <const floating*> job.bias, <floating*> job.dst)
    if done < 0:
        done = forward_patches(&job.patches, q.x_shape, q.x_steps, q.y_shape, q.y_steps, q.kernel, q.stride, q.pad,
                               q.dilation, q.groups)
        if done:
            done = _run(tag, job)
        free_patches(&job.patches)
    return done


# ---- the gradient for the input

cdef bint _backward_phases(floating* tag, Job* job, const Geometry* q) noexcept nogil:
    cdef Py_ssize_t phase[3]
    cdef Py_ssize_t d, h, w, offset
    cdef floating* dx = <floating*> job.dst
    cdef bint ok = True
    for d in range(min(q.stride[0], q.x_shape[2])):
        for h in range(min(q.stride[1], q.x_shape[3])):
            for w in range(min(q.stride[2], q.x_shape[4])):
                phase[0] = d
                phase[1] = h
                phase[2] = w
                ok = ok and backward_patches(&job.patches, q.x_shape, q.x_steps, q.y_shape, q.y_steps, q.kernel,
                                             q.stride, q.pad, q.dilation, q.groups, phase, &offset)
                if ok:
                    job.dst = dx + offset
                    ok = _run(tag, job)
                free_patches(&job.patches)
    return ok


cdef int _backward(floating* tag, Job* job, const Geometry* q) noexcept nogil:
    cdef Py_ssize_t m = winograd_tile(q, BACKWARD_INPUT)
    cdef int done = -1
    if m:
        done = winograd_run(q, m, True, <const floating*> job.src, <const floating*> job.w,
                            <const floating*> job.bias, <floating*> job.dst)
    if done < 0:
        done = channels_run(q, True, <const floating*> job.src, <const floating*> job.w,
                            <const floating*> job.bias, <floating*> job.dst)
    if done < 0:
        done = depthwise_run(q, True, <const floating*> job.src, <const floating*> job.w,
                             <const floating*> job.bias, <floating*> job.dst)
    cdef bint panels = done < 0 and _suits_panels(tag, q, True)
    if done < 0 and not panels:
        done = filters_run(q, True, <const floating*> job.src, <const floating*> job.w,
                           <const floating*> job.bias, <floating*> job.dst)
    if done < 0 and not panels:
        done = direct_run(q, True, <const floating*> job.src, <const floating*> job.w,
                          <const floating*> job.bias, <floating*> job.dst)
    if done < 0:
        done = _backward_phases(tag, job, q)
    return done


# ---- both passes, as pycnn.h has them

cdef int _pass(floating* tag, Job* job, const Geometry* q, bint backward) noexcept nogil:
    return _backward(tag, job, q) if backward else _forward(tag, job, q)


cdef int _checked(const Geometry* q, bint backward, const floating* src, const floating* w, const floating* bias,
                  floating* dst, void* workspace, size_t n) noexcept nogil:
    cdef Workspace place
    cdef Job job
    cdef int status = check_geometry(q, sizeof(floating))
    if status != PYCNN_OK or is_empty(&q.x_shape[0] if backward else &q.y_shape[0]):
        return status
    if dst == NULL or ((src == NULL or w == NULL) and not is_empty(&q.y_shape[0] if backward else &q.x_shape[0])):
        return PYCNN_ERROR_POINTER
    job.src, job.w, job.bias, job.dst = src, w, bias, dst
    job.patches.taps.offset = NULL
    begin_call(&place, workspace, n)
    return end_call(&place, workspace, _pass(<floating*> NULL, &job, q, backward))


cdef int _workspace(const Geometry* q, bint backward, size_t value_bytes, size_t* needed) noexcept nogil:
    cdef Workspace place
    cdef Job job
    cdef int done, status = check_query(q, value_bytes, needed)
    if status != PYCNN_OK or is_empty(&q.x_shape[0] if backward else &q.y_shape[0]):
        return status
    job.src = job.w = job.bias = job.dst = NULL
    job.patches.taps.offset = NULL
    begin_measure(&place)
    if value_bytes == sizeof(float):
        done = _pass(<float*> NULL, &job, q, backward)
    else:
        done = _pass(<double*> NULL, &job, q, backward)
    return end_measure(&place, done, needed)


cdef int conv_forward_f32(const Geometry* q, const float* x, const float* w, const float* bias, float* y,
                          void* workspace, size_t n) noexcept nogil:
    return _checked(q, False, x, w, bias, y, workspace, n)


cdef int conv_forward_f64(const Geometry* q, const double* x, const double* w, const double* bias, double* y,
                          void* workspace, size_t n) noexcept nogil:
    return _checked(q, False, x, w, bias, y, workspace, n)


cdef int conv_forward_workspace(const Geometry* q, size_t value_bytes, size_t* needed) noexcept nogil:
    return _workspace(q, False, value_bytes, needed)


cdef int conv_backward_input_f32(const Geometry* q, const float* dy, const float* w, const float* bias, float* dx,
                                 void* workspace, size_t n) noexcept nogil:
    return _checked(q, True, dy, w, bias, dx, workspace, n)


cdef int conv_backward_input_f64(const Geometry* q, const double* dy, const double* w, const double* bias, double* dx,
                                 void* workspace, size_t n) noexcept nogil:
    return _checked(q, True, dy, w, bias, dx, workspace, n)


cdef int conv_backward_input_workspace(const Geometry* q, size_t value_bytes, size_t* needed) noexcept nogil:
    return _workspace(q, True, value_bytes, needed)


def conv_forward(x,              # IN  (N, C, *spatial), its axes `order`
                 w,              # IN  (F, C/groups, *kernel), contiguous
                 bias,           # IN  (F,) or None
                 y,              # OUT (N, F, *spatial), its axes `order`
                 tuple order,
                 tuple numbers):  # stride, pad (before) and dilation, each for D, H and W, and groups
    """Write the convolution of x with w, plus bias, to y."""
    cdef Geometry q
    cdef Operands at
    cdef void* b
    cdef int status
    read_geometry(&q, &at, x, w, y, order, numbers)
    b = values(bias, at.size, q.y_shape[1])
    with nogil:
        if at.size == sizeof(float):
            status = conv_forward_f32(&q, <float*> at.x, <float*> at.w, <float*> b, <float*> at.y, NULL, 0)
        else:
            status = conv_forward_f64(&q, <double*> at.x, <double*> at.w, <double*> b, <double*> at.y, NULL, 0)
    if status != PYCNN_OK:
        raise_status("conv_forward", status)


def conv_backward_input(dy,              # IN  (N, F, *spatial), its axes `order`
                        w,               # IN  (F, C/groups, *kernel), contiguous
                        bias,            # IN  (C,) or None: for transposed convolution
                        dx,              # OUT (N, C, *spatial), its axes `order`
                        tuple order,
                        tuple numbers):  # as conv_forward
    """Write the gradient of a convolution for its input (plus bias) to dx."""
    cdef Geometry q
    cdef Operands at
    cdef void* b
    cdef int status
    read_geometry(&q, &at, dx, w, dy, order, numbers)
    b = values(bias, at.size, q.x_shape[1])
    with nogil:
        if at.size == sizeof(float):
            status = conv_backward_input_f32(&q, <float*> at.y, <float*> at.w, <float*> b, <float*> at.x, NULL, 0)
        else:
            status = conv_backward_input_f64(&q, <double*> at.y, <double*> at.w, <double*> b, <double*> at.x, NULL, 0)
    if status != PYCNN_OK:
        raise_status("conv_backward_input", status)

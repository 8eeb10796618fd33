# y[n, f, o] = b[f] + sum_{c, k} x[n, c, o * stride + k * dilation - pad] * w[f, c, k]
# dx[n, c, i] = sum_{f, k} dy[n, f, (i + pad - k * dilation) / stride] * w[f, c, k]   where the division is exact
#
# Edges: taps outside x (or dy) contribute 0. Zeros inside are multiplied like any value, so inf * 0 is NaN.
# Both are the same sum over taps (_patches.pyx); transposed convolution is the second one with a bias.
#
# Blocking, after Goto and van de Geijn (ACM TOMS 34, 2008), without an im2col matrix: the pixels are cut into panels
# as wide as the register tile (48 in AVX-512 float32). A panel holds, for up to BLOCK_K (channel, tap) pairs at a
# time, the value that each pixel reads: it stays in the L2 cache while the packed weights stream past it. Weights are
# packed once per call, [row / MR][channel, tap][MR]. Memory beyond input and output: the packed weights and one panel
# per thread.
#
# The work is cut by shape alone and every sum runs in one order, so any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._call cimport values
from pycnn.kernels._geometry cimport Geometry, Operands, check_geometry, is_empty, read_geometry
from pycnn.kernels._integers cimport ceil_div, part_begin
from pycnn.kernels._pack cimport pack_weights
from pycnn.kernels._patches cimport Patches, Run, backward_patches, find_runs, forward_patches, free_patches, \
    pack_columns
from pycnn.kernels._pycnn_h cimport PYCNN_ERROR_POINTER, PYCNN_OK
from pycnn.kernels._runtime cimport (
    Piece, Workspace, allocate, begin_call, begin_measure, end_call, end_measure, num_slots, parallel_work,
    raise_status, release,
)
from pycnn.kernels.conv_depthwise cimport depthwise_run
from pycnn.kernels.conv_depthwise_channels cimport channels_run
from pycnn.kernels.conv_direct cimport direct_run
from pycnn.kernels.conv_filters cimport filters_run
from pycnn.kernels.conv_thin cimport is_thin, run_thin
from pycnn.kernels.conv_winograd cimport BACKWARD_INPUT, FORWARD, winograd_run, winograd_tile
from pycnn.kernels._tiles cimport gemm_packed, lanes, store_run, tile_columns, tile_rows

cdef enum:
    BLOCK_K = 640       # (channel, tap) pairs of a panel: 640 * 48 * 4 bytes = 120 KB of L2
    BLOCK_TAPS = 160    # most taps of a panel: a piece of bookkeeping for each of them and each run of pixels
    WANTED_CHUNKS = 64  # pieces of work, where there is that much: enough to balance threads that lose their core
    GROUP_BYTES = 1 << 20  # packed weights beyond this are used for several panels each time they are read

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
    Py_ssize_t panel_size          # values, with a vector to spare
    Py_ssize_t panels_at_once      # pixel panels that share one pass over the weights
    Py_ssize_t chunk_panels, pixel_chunks, row_chunks
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


# ---- one group of pixel panels times some row panels

cdef void _store_tile(const Patches* p, const floating* tile, Py_ssize_t width, floating* dst, const floating* bias,
                      Py_ssize_t rows, const Run* runs, Py_ssize_t n_runs) noexcept nogil:
    cdef Py_ssize_t m, r
    for m in range(rows):
        for r in range(n_runs):
            store_run(dst + m * p.dst_row + runs[r].dst, tile + m * width + runs[r].begin, runs[r].length,
                      p.dst_pixel[3], bias[m] if bias != NULL else <floating> 0)


# All of the sum for `n` panels of pixels from `first` on and the row panels r0 .. r1 - 1 of group g.
cdef void _panels(floating* tag, Job* job, Py_ssize_t g, Py_ssize_t first, Py_ssize_t n, Py_ssize_t r0, Py_ssize_t r1,
                  floating* scratch) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t taps = p.taps.count
    cdef Py_ssize_t depth = p.channels * taps
    cdef Py_ssize_t panel_size = job.panel_size
    cdef Py_ssize_t tile_size = job.mr * job.nr
    cdef const floating* src = <const floating*> job.src + g * p.src_group
    cdef floating* dst = <floating*> job.dst + g * p.dst_group
    cdef const floating* bias = <const floating*> job.bias
    cdef const floating* a
    cdef floating* sums = scratch + n * panel_size  # [row panel][pixel panel][mr][width]
    cdef floating* tile
    cdef Run* runs = <Run*> (sums + (r1 - r0) * n * tile_size)
    cdef Piece* pieces = <Piece*> (runs + n * job.nr)
    cdef Py_ssize_t n_runs[8]
    cdef Py_ssize_t count[8]
    cdef Py_ssize_t cb, tb, c0, c1, t0, t1, i, r, rows, vectors, k
    for i in range(n):
        count[i] = min(job.nr, p.pixels - (first + i) * job.nr)
        n_runs[i] = find_runs(p, (first + i) * job.nr, count[i], runs + i * job.nr)
    if depth == 0:
        memset(sums, 0, <size_t> ((r1 - r0) * n * tile_size) * sizeof(floating))
    for cb in range(ceil_div(p.channels, job.block_channels)):
        c0 = cb * job.block_channels
        c1 = min(c0 + job.block_channels, p.channels)
        for tb in range(ceil_div(taps, job.block_taps)):
            t0 = tb * job.block_taps
            t1 = min(t0 + job.block_taps, taps)
            k = (c1 - c0) * (t1 - t0)
            for i in range(n):
                vectors = ceil_div(count[i], job.vl)
                pack_columns(p, src, runs + i * job.nr, n_runs[i], c0, c1, t0, t1,
                             scratch + i * panel_size, vectors * job.vl, pieces)
            for r in range(r0, r1):
                rows = min(job.mr, p.rows - r * job.mr)
                a = <const floating*> job.packed + ((g * job.row_panels + r) * depth + c0 * taps + t0) * job.mr
                for i in range(n):
                    gemm_packed(rows, ceil_div(count[i], job.vl), k, a, job.mr, scratch + i * panel_size,
                                sums + ((r - r0) * n + i) * tile_size, c0 > 0 or t0 > 0)
    for r in range(r0, r1):
        rows = min(job.mr, p.rows - r * job.mr)
        for i in range(n):
            tile = sums + ((r - r0) * n + i) * tile_size
            _store_tile(p, tile, ceil_div(count[i], job.vl) * job.vl, dst + r * job.mr * p.dst_row,
                        bias + g * p.rows + r * job.mr if bias != NULL else NULL, rows, runs + i * job.nr, n_runs[i])


cdef void _chunk(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t row_chunk = chunk % job.row_chunks
    cdef Py_ssize_t pixel_chunk = chunk // job.row_chunks % job.pixel_chunks
    cdef Py_ssize_t g = chunk // (job.row_chunks * job.pixel_chunks)
    cdef Py_ssize_t r0 = part_begin(row_chunk, job.row_chunks, job.row_panels)
    cdef Py_ssize_t r1 = part_begin(row_chunk + 1, job.row_chunks, job.row_panels)
    cdef Py_ssize_t first = pixel_chunk * job.chunk_panels
    cdef Py_ssize_t last = min(first + job.chunk_panels, job.pixel_panels)
    while first < last:
        _panels(tag, job, g, first, min(job.panels_at_once, last - first), r0, r1,
                <floating*> (job.scratch + <size_t> slot * job.slot_bytes))
        first += job.panels_at_once


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <Job*> context, chunk, slot)


# ---- cutting the work and running it

cdef void _plan(floating* tag, Job* job) noexcept nogil:
    cdef Patches* p = &job.patches
    cdef Py_ssize_t taps = max(p.taps.count, 1)
    cdef Py_ssize_t weights, wanted, threads
    job.vl = lanes(tag)
    job.mr = tile_rows(tag)
    job.nr = tile_columns(tag)
    job.row_panels = ceil_div(p.rows, job.mr)
    job.pixel_panels = ceil_div(p.pixels, job.nr)
    job.block_taps = min(taps, BLOCK_TAPS)
    job.block_channels = max(1, BLOCK_K // taps)
    if p.channels > job.block_channels:  # blocks of equal size, no thin last one
        job.block_channels = ceil_div(p.channels, ceil_div(p.channels, job.block_channels))
    else:
        job.block_channels = max(1, p.channels)
    weights = p.rows * p.channels * taps * sizeof(floating)
    job.panels_at_once = 4 if weights > GROUP_BYTES else 1
    # The cut changes no sum, so it may depend on the number of threads.
    threads = num_slots()
    wanted = ceil_div(WANTED_CHUNKS, p.groups)
    job.chunk_panels = max(1, job.pixel_panels // wanted)
    job.chunk_panels = ceil_div(job.chunk_panels, job.panels_at_once) * job.panels_at_once
    job.pixel_chunks = ceil_div(job.pixel_panels, job.chunk_panels)
    # Few pixels, as at 7x7: cut the rows as well, and pack the panel once for each cut.
    job.row_chunks = 1
    if threads > 1 and job.pixel_chunks * p.groups < 4 * threads:
        job.row_chunks = min(ceil_div(job.row_panels, 4), ceil_div(4 * threads, job.pixel_chunks * p.groups))
        job.row_chunks = max(1, job.row_chunks)
    job.panel_size = (job.block_channels * job.block_taps + 1) * job.nr
    job.slot_bytes = <size_t> (
        job.panels_at_once * job.panel_size
        + ceil_div(job.row_panels, job.row_chunks) * job.panels_at_once * job.mr * job.nr) * sizeof(floating)
    job.slot_bytes += <size_t> (job.panels_at_once * job.nr) * sizeof(Run)
    job.slot_bytes += <size_t> (job.block_taps * job.nr) * sizeof(Piece)
    job.slot_bytes = (job.slot_bytes + 127) // 64 * 64


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
    if done < 0:
        done = filters_run(q, False, <const floating*> job.src, <const floating*> job.w,
                           <const floating*> job.bias, <floating*> job.dst)
    if done < 0:
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
    if done < 0:
        done = filters_run(q, True, <const floating*> job.src, <const floating*> job.w,
                           <const floating*> job.bias, <floating*> job.dst)
    if done < 0:
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
    cdef const Py_ssize_t* read = &q.y_shape[0] if backward else &q.x_shape[0]
    cdef const Py_ssize_t* written = &q.x_shape[0] if backward else &q.y_shape[0]
    cdef int status = check_geometry(q, sizeof(floating))
    if status != PYCNN_OK or is_empty(written):
        return status
    if dst == NULL or ((src == NULL or w == NULL) and not is_empty(read)):
        return PYCNN_ERROR_POINTER
    job.src, job.w, job.bias, job.dst = src, w, bias, dst
    job.patches.taps.offset = NULL
    begin_call(&place, workspace, n)
    return end_call(&place, workspace, _pass(<floating*> NULL, &job, q, backward))


cdef int _workspace(const Geometry* q, bint backward, size_t value_bytes, size_t* needed) noexcept nogil:
    cdef Workspace place
    cdef Job job
    cdef int done, status = check_geometry(q, value_bytes)
    needed[0] = 0
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

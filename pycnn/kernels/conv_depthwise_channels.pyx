# y[n, c, o] = b[c] + sum_k x[n, c, o * stride + k * dilation - pad] * w[c, k], its gradient for the input
# dx[n, c, i] = sum_k dy[n, c, (i + pad - k * dilation) / stride] * w[c, k]   where the division is exact, and
# dw[c, k] = sum_{n, o} dy[n, c, o] * x[n, c, o * stride + k * dilation - pad]   for channels that lie side by side.
#
# Edges: cells outside are zeros that take part in the sum, so inf * 0 is NaN there too.
#
# Lanes are channels (csrc/depthwise_channels.inc.h), with images last all images of each channel, and the weights are
# turned to be so too. For a few pixels of a row a table of pointers says where each tap finds its cell, whatever the
# kernel, stride and dilation; it is made once for all channels. The gradient for the input falls into phases of the
# stride, each a sum over the taps for which the division is exact.
#
# A piece of work is a stretch of the rows of all images; for the weights, whose sums have to stay in L1, of some
# channels. Those pieces are cut by shape alone and added in order, so any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport Geometry, has_values, is_flat
from pycnn.kernels._integers cimport ceil_div, part_begin, round_up, slot_size
from pycnn.kernels._runtime cimport Ahead, allocate, measuring, num_slots, parallel_work, release
from pycnn.kernels._tiles cimport channels_dot, channels_sum, lanes
from pycnn.kernels._winograd cimport Plane, plane_of
from pycnn.kernels.conv_depthwise cimport Axis, backward_axis, forward_axis

cdef enum:
    WANTED_CHUNKS = 64
    TILE = 8                # pixels, for which the table has pointers
    LONG_TILE = 32          # of the products with dy
    MOST_CELLS = 1 << 15    # of a table
    WANTED_TASKS = 16       # of the weights
    PART_VECTORS = 4        # fewest of channels
    SLICE_PIXELS = 8192     # that are added to one sum
    MOST_SLICES = 64

ctypedef struct Job:
    const Geometry* q
    bint backward
    Plane src, dst          # of the weight gradient: x, dy
    Py_ssize_t images, n    # lanes: channels, or channels * images
    Py_ssize_t rows         # of dst, of all images
    Py_ssize_t chunks, parts, slices
    Py_ssize_t taps, tile
    Py_ssize_t step         # of the sums of a tap
    const void* src_values
    const void* dy
    const void* w
    const void* bias
    const void* zero
    void* dst_values
    char* scratch
    size_t slot_bytes

# Where a row's taps find their cells: pixel p of tap t in cell[at[t] + p]. Source columns that are a stride apart lie
# side by side.
ctypedef struct Table:
    Axis rows, cols
    Py_ssize_t stride, residues, half, line
    Py_ssize_t* at
    Py_ssize_t* weight_at


# ---- the table

# Pointers that any phase needs.
cdef double _most_cells(const Geometry* q, bint backward, Py_ssize_t tile) noexcept nogil:
    cdef double reach = <double> (q.kernel[2] - 1) * q.dilation[2]
    cdef Py_ssize_t stride = 1 if backward else q.stride[2]
    return q.kernel[1] * (tile + reach) * min(<double> stride, reach + 1)


# Taps in the order of the weights, which in the gradient for the input is that of the cells turned.
cdef void _plan_taps(Table* table, const Geometry* q, bint backward, Py_ssize_t tile, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, j, t, place
    cdef Py_ssize_t reach = (table.cols.count - 1) * table.cols.step
    table.half = tile + max(<Py_ssize_t> 0, reach) // table.stride
    table.residues = min(table.stride, reach + 1)
    table.line = table.half * table.residues
    for i in range(table.rows.count):
        for j in range(table.cols.count):
            place = j * table.cols.step
            t = i * table.cols.count + j
            if backward:
                t = table.rows.count * table.cols.count - 1 - t
            table.at[t] = i * table.line + place % table.stride * table.half + place // table.stride
            table.weight_at[t] = n * ((table.rows.weight + i * table.rows.weight_step) * q.kernel[2]
                                      + table.cols.weight + j * table.cols.weight_step)


# The cells of the pixels from `first` on of a row whose first taps see row `top` of src.
cdef void _fill(const Table* table, const Plane* p, const floating* src, const floating* zero, Py_ssize_t top,
                Py_ssize_t first, const floating** cell) noexcept nogil:
    cdef Py_ssize_t i, f, k, row, col, last
    cdef Py_ssize_t step = table.stride * p.pixel
    cdef const floating* at
    cdef const floating** to = cell
    for i in range(table.rows.count):
        row = top + i * table.rows.step
        for f in range(table.residues):
            col = first * table.stride + table.cols.first + f
            at = src + row * p.line + col * p.pixel
            last = col + (table.half - 1) * table.stride
            if 0 <= row < p.height and col >= 0 and last < p.width:
                for k in range(table.half):
                    to[k] = at
                    at += step
            else:
                for k in range(table.half):
                    to[k] = at if 0 <= row < p.height and 0 <= col < p.width else zero
                    at += step
                    col += table.stride
            to += table.half


cdef Table _table(Job* job, Py_ssize_t slot) noexcept nogil:
    cdef Table table
    table.stride = 1 if job.backward else job.q.stride[2]
    table.at = <Py_ssize_t*> (job.scratch + <size_t> slot * job.slot_bytes)
    table.weight_at = table.at + job.taps
    return table


# ---- sums

cdef void _sum_row(floating* tag, Job* job, Py_ssize_t image, Py_ssize_t row, Py_ssize_t slot) noexcept nogil:
    cdef const Geometry* q = job.q
    cdef Table table = _table(job, slot)
    cdef Ahead ahead
    cdef const floating** cell = <const floating**> (table.weight_at + job.taps)
    cdef const floating* src = <const floating*> job.src_values + image * job.src.image
    cdef floating* dst = <floating*> job.dst_values + image * job.dst.image + row * job.dst.line
    cdef Py_ssize_t phases = q.stride[1] if job.backward else 1
    cdef Py_ssize_t columns = min(q.stride[2], q.x_shape[4]) if job.backward else 1
    cdef Py_ssize_t step = (q.stride[2] if job.backward else 1) * job.dst.pixel
    cdef Py_ssize_t f, k, tile, first, top
    table.rows = backward_axis(q, 1, row % phases) if job.backward else forward_axis(q, 1)
    top = (row // phases if job.backward else row * q.stride[1]) + table.rows.first
    ahead.rows = q.stride[1] if not job.backward else row % phases == 0
    ahead.line, ahead.pixel = job.src.line, job.src.pixel
    for f in range(columns):
        table.cols = backward_axis(q, 2, f) if job.backward else forward_axis(q, 2)
        _plan_taps(&table, q, job.backward, TILE, job.n)
        tile = 7 if ceil_div(table.cols.outputs, 7) * 7 <= ceil_div(table.cols.outputs, 8) * 8 else 8
        for k in range(ceil_div(table.cols.outputs, tile)):
            first = k * tile
            if table.rows.count * table.cols.count:
                _fill(&table, &job.src, src, <const floating*> job.zero, top, first, cell)
            ahead.pixels = tile * table.stride if f == 0 else 0
            ahead.src = src + ((top + table.rows.count * table.rows.step) * job.src.line
                               + first * table.stride * job.src.pixel)
            channels_sum(dst + f * job.dst.pixel + first * step, step, min(tile, table.cols.outputs - first), cell,
                         table.rows.count * table.cols.count, table.at, <const floating*> job.w, table.weight_at,
                         <const floating*> job.bias, job.n, &ahead)


cdef void _chunk(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t number
    for number in range(part_begin(chunk, job.chunks, job.rows), part_begin(chunk + 1, job.chunks, job.rows)):
        _sum_row(tag, job, number // job.dst.height, number % job.dst.height, slot)


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <Job*> context, chunk, slot)


# ---- products with dy

# The lanes of a part: whole vectors, the last one with what is over.
cdef Py_ssize_t _lane(const Job* job, Py_ssize_t part, Py_ssize_t vl) noexcept nogil:
    return job.n if part == job.parts else part_begin(part, job.parts, max(<Py_ssize_t> 1, job.n // vl)) * vl


cdef void _dot_chunk(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Table table = _table(job, slot)
    cdef Ahead ahead
    cdef const floating** cell = <const floating**> (table.weight_at + job.taps)
    cdef Py_ssize_t vl = lanes(<floating*> NULL)
    cdef Py_ssize_t part = chunk % job.parts
    cdef Py_ssize_t slice = chunk // job.parts
    cdef Py_ssize_t lane = _lane(job, part, vl)
    cdef floating* sums = <floating*> job.dst_values + chunk * job.taps * job.step
    cdef const floating* src
    cdef const floating* dy
    cdef Py_ssize_t number, row, k, first
    memset(sums, 0, <size_t> (job.taps * job.step) * sizeof(floating))
    table.rows = forward_axis(job.q, 1)
    table.cols = forward_axis(job.q, 2)
    _plan_taps(&table, job.q, False, job.tile, 0)
    ahead.rows, ahead.pixels = job.q.stride[1], job.q.stride[2]
    ahead.line, ahead.pixel = job.src.line, job.src.pixel
    for number in range(part_begin(slice, job.slices, job.rows), part_begin(slice + 1, job.slices, job.rows)):
        row = number % job.dst.height
        src = <const floating*> job.src_values + number // job.dst.height * job.src.image + lane
        dy = <const floating*> job.dy + number // job.dst.height * job.dst.image + row * job.dst.line + lane
        for k in range(ceil_div(job.dst.width, job.tile)):
            first = k * job.tile
            _fill(&table, &job.src, src, <const floating*> job.zero, row * job.q.stride[1] + table.rows.first, first,
                  cell)
            ahead.src = src + ((row * job.q.stride[1] + table.rows.first + table.rows.count * table.rows.step)
                               * job.src.line + first * table.stride * job.src.pixel)
            channels_dot(sums, job.step, dy + first * job.dst.pixel, job.dst.pixel,
                         min(job.tile, job.dst.width - first), cell, job.taps, table.at,
                         _lane(job, part + 1, vl) - lane, &ahead)


cdef void _dot_chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _dot_chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _dot_chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _dot_chunk(<double*> NULL, <Job*> context, chunk, slot)


# dw from the sums of all slices; `images`: lanes of a channel.
cdef void _fold(const Job* job, const floating* sums, Py_ssize_t images, floating* dw) noexcept nogil:
    cdef Py_ssize_t vl = lanes(<floating*> NULL)
    cdef Py_ssize_t part, slice, t, lane, i, begin, n
    memset(dw, 0, <size_t> (job.n // images * job.taps) * sizeof(floating))
    for part in range(job.parts):
        begin = _lane(job, part, vl)
        n = _lane(job, part + 1, vl) - begin
        for lane in range(n):
            i = lane  # the last vector ends with the last lane
            if lane >= n // vl * vl and n > vl:
                i = round_up(n, vl) - n + lane
            for t in range(job.taps):
                for slice in range(job.slices):
                    dw[(begin + lane) // images * job.taps + t] += (
                        sums[((slice * job.parts + part) * job.taps + t) * job.step + i])


# ---- all of it

# Lanes of a channel: its images, where they lie side by side; 0 where the present code is not made for it.
cdef Py_ssize_t _plan(Job* job, const Geometry* q, bint backward, Py_ssize_t tile) noexcept nogil:
    cdef Py_ssize_t images = 1
    job.q = q
    job.backward = backward
    if not is_flat(q) or not has_values(q) or q.groups == 1:
        return 0
    if q.x_shape[1] != q.groups or q.y_shape[1] != q.groups or _most_cells(q, backward, tile) > MOST_CELLS:
        return 0
    if q.x_steps[1] != 1 or q.y_steps[1] != 1:
        images = q.x_shape[0]
        if q.x_steps[0] != 1 or q.y_steps[0] != 1 or q.x_steps[1] != images or q.y_steps[1] != images:
            return 0
    job.src = plane_of(q.y_shape, q.y_steps) if backward else plane_of(q.x_shape, q.x_steps)
    job.dst = plane_of(q.x_shape, q.x_steps) if backward else plane_of(q.y_shape, q.y_steps)
    job.images = q.x_shape[0] // images
    job.n = q.groups * images
    job.rows = job.images * job.dst.height
    job.taps = q.kernel[1] * q.kernel[2]
    job.tile = min(tile, job.dst.width)
    job.slot_bytes = slot_size(<size_t> (2 * job.taps + <Py_ssize_t> _most_cells(q, backward, tile)) * 8)
    return images


cdef int channels_run(const Geometry* q, bint backward, const floating* src, const floating* w, const floating* bias,
                      floating* dst) noexcept nogil:
    cdef Job job
    cdef Py_ssize_t images = _plan(&job, q, backward, TILE)
    cdef Py_ssize_t c, t
    cdef floating* memory
    if images == 0:
        return -1
    memory = <floating*> allocate(<size_t> ((job.taps + 2) * job.n) * sizeof(floating))
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    if memory != NULL and job.scratch != NULL and not measuring():
        memset(memory, 0, <size_t> (2 * job.n) * sizeof(floating))
        for c in range(job.n):
            if bias != NULL:
                memory[job.n + c] = bias[c // images]
            for t in range(job.taps):
                memory[(2 + t) * job.n + c] = w[c // images * job.taps + t]
        job.zero, job.bias, job.w = memory, memory + job.n, memory + 2 * job.n
        job.src_values = src
        job.dst_values = dst
        job.chunks = min(job.rows, <Py_ssize_t> WANTED_CHUNKS)
        parallel_work(_chunk_f32 if floating is float else _chunk_f64, &job, job.chunks,
                      <double> job.images * job.n * q.y_shape[3] * q.y_shape[4] * job.taps)
    release(job.scratch)
    release(memory)
    return memory != NULL and job.scratch != NULL


cdef int channels_weight_run(const Geometry* q, const floating* x, const floating* dy, floating* dw) noexcept nogil:
    cdef Job job
    cdef Py_ssize_t images = _plan(&job, q, False, LONG_TILE)
    cdef Py_ssize_t vl = lanes(<floating*> NULL)
    cdef Py_ssize_t vectors
    cdef floating* memory
    if images == 0:
        return -1
    vectors = max(<Py_ssize_t> 1, job.n // vl)
    job.parts = max(<Py_ssize_t> 1, min(<Py_ssize_t> WANTED_TASKS, vectors // PART_VECTORS))
    job.slices = max(ceil_div(WANTED_TASKS, job.parts),
                     min(<Py_ssize_t> MOST_SLICES, job.rows * job.dst.width // SLICE_PIXELS))
    job.slices = min(job.rows, job.slices)
    job.step = (ceil_div(vectors, job.parts) + 1) * vl
    memory = <floating*> allocate(<size_t> (job.n + job.slices * job.parts * job.taps * job.step) * sizeof(floating))
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    if memory != NULL and job.scratch != NULL and not measuring():
        memset(memory, 0, <size_t> job.n * sizeof(floating))
        job.zero = memory
        job.src_values = x
        job.dy = dy
        job.dst_values = memory + job.n
        parallel_work(_dot_chunk_f32 if floating is float else _dot_chunk_f64, &job, job.slices * job.parts,
                      <double> job.images * job.n * q.y_shape[3] * q.y_shape[4] * job.taps)
        _fold(&job, memory + job.n, images, dw)
    release(job.scratch)
    release(memory)
    return memory != NULL and job.scratch != NULL


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Geometry q
    memset(&q, 0, sizeof(Geometry))
    q.groups = 1
    channels_run(&q, False, <const float*> NULL, NULL, NULL, NULL)
    channels_run(&q, False, <const double*> NULL, NULL, NULL, NULL)
    channels_weight_run(&q, <const float*> NULL, NULL, NULL)
    channels_weight_run(&q, <const double*> NULL, NULL, NULL)

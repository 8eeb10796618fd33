# y[n, f, o] = b[f] + sum_{c, t} planes[n, c][o + offset(t)] * w[f, c, t]    (see _planes.pxd), and the gradient for the
# input, which is one such sum for each phase of the stride.
#
# Edges: pixels outside the source are zeros of the planes, multiplied like any value.
#
# Where one vector after the other fills the rows well, the vectors of a tile lie in rows instead, which nothing is
# dropped of, and go to y as soon as their sum is complete (csrc/few.inc.h).
#
# Blocking: a piece of work is a stripe of output rows of one image, and perhaps a part of the filters. Its planes are
# made once, block_channels at a time, so that they stay in L2; then each register tile of pixels reads them in place, a
# tap at a time, for all filters. Against the packed panels of conv.pyx every input value is copied once, not once per
# tap; but the numbers between two rows are computed for nothing, so narrow images stay there. A 1x1 convolution with
# stride 1 reads x itself.
#
# The cut of the channels depends on the shape alone, and every sum runs in one order: any number of threads gives the
# same bits. Source: the flat padded plane is that of Zhang, Franchetti and Low, "High Performance Zero-Memory Overhead
# Direct Convolutions" (ICML 2018), in another layout.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport group_channels, group_filters, has_values, is_depthwise, is_flat, Geometry
from pycnn.kernels._integers cimport ceil_div, part_begin, quotient, remainder, round_up, slot_size
from pycnn.kernels._pack cimport pack_weights
from pycnn.kernels._planes cimport Planes, backward_planes, cut_planes, fill_planes, flatten_planes, \
    forward_planes
from pycnn.kernels._runtime cimport Spot, Stretch, allocate, num_slots, parallel_work, plane_choice, release
from pycnn.kernels._tiles cimport few_sum, gemm_taps, lanes, pack_run, store_tile, tile_columns, tile_rows

cdef enum:
    PLANES_BYTES = 256 << 10  # of a stripe: a part of L2
    LEAST_TILES = 4           # register tiles of a stripe, before its channels are blocked
    WANTED_CHUNKS = 16
    MOST_COLUMNS = 48         # of a register tile
    FAR_BYTES = 8 << 20       # of outputs: more are stored past the caches

ctypedef struct Job:
    Planes planes
    const void* src
    const void* w
    const void* bias
    void* dst
    Py_ssize_t rows, channels, groups
    Py_ssize_t w_row, w_channel
    Py_ssize_t dst_image, dst_row, dst_line, dst_pixel
    Py_ssize_t mr, nr, vl
    Py_ssize_t row_panels, row_chunks, stripes
    Py_ssize_t block_channels, blocks
    bint in_place                   # the source is its own plane: 1x1, stride 1
    bint far                        # the outputs are stored past the caches
    bint by_rows                    # vectors of pixels lie in rows, not along the numbers, and are stored at once
    Py_ssize_t row_vectors          # of a row of outputs
    void* packed                    # [group][row panel][channel, tap][mr]
    Py_ssize_t packed_group
    Py_ssize_t planes_size, sums_size
    char* scratch
    size_t slot_bytes
    void* whole                     # of a gradient with phases that no tap reaches: where they are filled, or NULL
    Py_ssize_t whole_line, whole_pixel, height, width, phase, stride


cdef void _pack_panel(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t g = chunk // job.row_panels
    cdef Py_ssize_t m0 = chunk % job.row_panels * job.mr
    pack_weights(<floating*> job.packed + g * job.packed_group + m0 * job.channels * p.taps, job.mr,
                 min(job.mr, job.rows - m0), job.channels, p.taps, p.weight,
                 <const floating*> job.w + g * job.rows * job.channels * (job.w_row if job.w_row < job.w_channel
                                                                         else job.w_channel) + m0 * job.w_row,
                 job.w_row, job.w_channel)


# The valid pixels among numbers first .. last - 1, row by row.
cdef Py_ssize_t _find_stretches(const Job* job, Py_ssize_t first, Py_ssize_t last, Stretch* out) noexcept nogil:
    cdef Py_ssize_t pitch = job.planes.pitch
    cdef Py_ssize_t row = first // pitch
    cdef Py_ssize_t n = 0, lo, hi
    while row * pitch < last:
        lo = max(first, row * pitch)
        hi = min(last, row * pitch + job.planes.out_w)
        if hi > lo:
            out[n].begin = lo - first
            out[n].length = hi - lo
            out[n].place = row * job.dst_line + (lo - row * pitch) * job.dst_pixel
            n += 1
        row += 1
    return n


# All filters of row panels r0 .. r1 - 1 for channels c0 .. c1 - 1 and the tiles of a stripe.
cdef void _multiply(Job* job, Py_ssize_t g, const floating* b, Py_ssize_t channel_step, const Py_ssize_t* offset,
                    Py_ssize_t first, Py_ssize_t last, Py_ssize_t vectors, Py_ssize_t r0, Py_ssize_t r1, Py_ssize_t c0,
                    Py_ssize_t c1, floating* sums, floating* dst) noexcept nogil:
    cdef Py_ssize_t taps = job.planes.taps
    cdef const floating* a
    cdef const floating* bias
    cdef floating* tile = sums
    cdef Stretch[MOST_COLUMNS] stretches
    cdef Py_ssize_t r, rows, n = _find_stretches(job, first, last, stretches)
    for r in range(r0, r1):
        rows = min(job.mr, job.rows - r * job.mr)
        a = <const floating*> job.packed + g * job.packed_group + (r * job.channels + c0) * taps * job.mr
        if job.blocks > 1:
            tile = sums + (r - r0) * job.mr * job.nr
        gemm_taps(rows, vectors, c1 - c0, channel_step, taps, offset, a, job.mr, b, tile, c0 > 0)
        if c1 == job.channels:
            bias = NULL if job.bias == NULL else <const floating*> job.bias + g * job.rows + r * job.mr
            store_tile(dst + r * job.mr * job.dst_row, job.dst_row, job.dst_pixel, tile, vectors * job.vl, rows,
                       stretches, n, bias)


# The vectors of pixels of `rows` rows of outputs. The last of a row overlaps the one before it; in rows shorter than a
# vector it spills into the next row, which is written later, where that one follows at once and is of this stripe.
cdef Py_ssize_t _find_spots(const Job* job, Py_ssize_t rows, Spot* spots) noexcept nogil:
    cdef Py_ssize_t out_w = job.planes.out_w
    cdef Py_ssize_t r, v, column, n = 0
    for r in range(rows):
        for v in range(job.row_vectors):
            column = max(<Py_ssize_t> 0, min(v * job.vl, out_w - job.vl))
            spots[n].src = r * job.planes.pitch + column
            spots[n].dst = r * job.dst_line + column
            spots[n].lanes = job.vl
            if out_w < job.vl and (job.dst_line != out_w or spots[n].dst + job.vl > rows * out_w):
                spots[n].lanes = out_w
            n += 1
    return n


# All of a stripe at once: the whole sum of each tile is taken before the next one is begun.
cdef void _sum_rows(Job* job, const floating* src, Py_ssize_t g, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t r0,
                    Py_ssize_t r1, floating* planes, floating* dst) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t none = 0
    cdef Py_ssize_t m0 = r0 * job.mr
    cdef Py_ssize_t used = min(r1 * job.mr, job.rows) - m0
    cdef const floating* weight = <const floating*> job.packed + g * job.packed_group + m0 * job.channels * p.taps
    cdef const floating* bias = NULL if job.bias == NULL else <const floating*> job.bias + g * job.rows + m0
    cdef Spot* spots = <Spot*> (planes + job.planes_size)
    cdef Py_ssize_t n = _find_spots(job, rows, spots)
    if job.in_place:
        few_sum(dst + m0 * job.dst_row, job.dst_row, used, src, job.channels, p.src_channel, 1, &none, weight, bias,
                spots, n, job.far)
        return
    fill_planes(p, src, job.channels, row, rows, planes)
    few_sum(dst + m0 * job.dst_row, job.dst_row, used, planes, job.channels, p.channel_size, p.taps, p.offset, weight,
            bias, spots, n, job.far)


# Every cell of the lines that belong to output rows row .. row + rows - 1, before some of them are written.
cdef void _fill(floating* tag, const Job* job, Py_ssize_t image, Py_ssize_t m0, Py_ssize_t m1, Py_ssize_t row,
                Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t first = job.phase + row * job.stride if row > 0 else 0
    cdef Py_ssize_t last = job.phase + (row + rows) * job.stride if row + rows < job.planes.out_h else job.height
    cdef Py_ssize_t m, _i, j
    cdef floating value
    cdef floating* line
    for m in range(m0, m1):
        value = (<const floating*> job.bias)[m] if job.bias != NULL else <floating> 0
        line = <floating*> job.whole + image * job.dst_image + m * job.dst_row + first * job.whole_line
        for _i in range(first, last):
            if job.bias == NULL and job.whole_pixel == 1:
                memset(line, 0, <size_t> job.width * sizeof(floating))
            else:
                for j in range(job.width):
                    line[j * job.whole_pixel] = value
            line += job.whole_line


cdef void _chunk(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t row_chunk = remainder(chunk, job.row_chunks)
    cdef Py_ssize_t whole_stripe = quotient(chunk, job.row_chunks)
    cdef Py_ssize_t stripe = remainder(whole_stripe, job.stripes)
    cdef Py_ssize_t whole_image = quotient(whole_stripe, job.stripes)
    cdef Py_ssize_t image = remainder(whole_image, p.images)
    cdef Py_ssize_t g = quotient(whole_image, p.images)
    cdef Py_ssize_t r0 = part_begin(row_chunk, job.row_chunks, job.row_panels)
    cdef Py_ssize_t r1 = part_begin(row_chunk + 1, job.row_chunks, job.row_panels)
    cdef Py_ssize_t row = stripe * p.stripe
    cdef Py_ssize_t rows = min(p.stripe, p.out_h - row)
    cdef Py_ssize_t pixels = (rows - 1) * p.pitch + p.out_w
    cdef Py_ssize_t vectors = ceil_div(pixels, job.vl)
    cdef Py_ssize_t tiles = ceil_div(vectors, job.nr // job.vl)
    cdef floating* planes = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* sums = planes + job.planes_size
    cdef const floating* src = <const floating*> job.src + g * job.channels * p.src_channel + image * p.src_image
    cdef floating* dst = (<floating*> job.dst + g * job.rows * job.dst_row + image * job.dst_image
                          + row * job.dst_line)
    cdef Py_ssize_t block, c0, c1, i, first, last, n
    cdef Py_ssize_t none = 0
    cdef Py_ssize_t tile_sums = (r1 - r0) * job.mr * job.nr if job.blocks > 1 else 0
    if job.whole != NULL:
        _fill(tag, job, image, g * job.rows + r0 * job.mr, g * job.rows + min(r1 * job.mr, job.rows), row, rows)
    if job.by_rows:
        _sum_rows(job, src, g, row, rows, r0, r1, planes, dst)
        return
    for block in range(job.blocks):
        c0 = block * job.block_channels
        c1 = min(c0 + job.block_channels, job.channels)
        if not job.in_place:
            fill_planes(p, src + c0 * p.src_channel, c1 - c0, row, rows, planes)
        for i in range(tiles):
            first = part_begin(i, tiles, vectors) * job.vl
            n = part_begin(i + 1, tiles, vectors) - first // job.vl
            last = min(first + n * job.vl, pixels)
            if not job.in_place:
                _multiply(job, g, planes + first, p.channel_size, p.offset, first, last, n, r0, r1, c0, c1,
                          sums + i * tile_sums, dst)
            elif first + n * job.vl <= pixels:
                _multiply(job, g, src + c0 * p.src_channel + first, p.src_channel, &none, first, last, n, r0, r1, c0,
                          c1, sums + i * tile_sums, dst)
            else:  # the last vector would read beyond the plane
                pack_run(planes, n * job.vl, src + c0 * p.src_channel + first, p.src_channel, c1 - c0, last - first, 0,
                         last - first, 1)
                _multiply(job, g, planes, n * job.vl, &none, first, last, n, r0, r1, c0, c1, sums + i * tile_sums, dst)


cdef void _pack_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _pack_panel(<float*> NULL, <Job*> context, chunk, slot)


cdef void _pack_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _pack_panel(<double*> NULL, <Job*> context, chunk, slot)


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <Job*> context, chunk, slot)


# ---- cutting the work and running it

# Rows of a stripe and channels of a block, from the shape alone.
cdef void _cut(floating* tag, Job* job) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t budget = PLANES_BYTES // <Py_ssize_t> sizeof(floating)
    cdef Py_ssize_t row_size = job.channels * p.phases * p.pitch
    cdef Py_ssize_t least = min(p.out_h, ceil_div(LEAST_TILES * job.nr, p.pitch))
    cdef Py_ssize_t stripe = min(p.out_h, budget // max(row_size, 1) - p.halo)
    job.block_channels = max(1, job.channels)
    if stripe < least:
        stripe = least
        job.block_channels = min(job.block_channels, max(8, budget // ((stripe + p.halo) * p.phases * p.pitch)))
    if job.in_place:
        stripe = p.out_h
        job.block_channels = min(max(1, job.channels), 512)
    job.blocks = max(1, ceil_div(job.channels, job.block_channels))
    job.block_channels = max(1, ceil_div(job.channels, job.blocks))
    cut_planes(p, ceil_div(p.out_h, ceil_div(p.out_h, stripe)))


# Whether tiles of vectors that lie in rows beat those along the numbers, which lose fewer lanes where rows are short
# but go through memory at their end.
cdef bint _suits_rows(Job* job) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t depth = job.channels * p.taps
    cdef Py_ssize_t along, rows
    job.row_vectors = ceil_div(p.out_w, job.vl)
    if job.blocks > 1 or job.dst_pixel != 1 or (job.in_place and p.out_w < job.vl):  # which would read beyond x
        return False
    if plane_choice() > 0:
        return plane_choice() == 2
    along = ceil_div((p.out_h - 1) * p.pitch + p.out_w, job.vl)
    rows = round_up(job.rows, max(1, job.mr // 2))  # these tiles have whole or half the rows
    return p.out_h * job.row_vectors * (1.03 * depth + 1) * rows <= along * (depth + 6.0) * job.rows


cdef void _plan(floating* tag, Job* job) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t threads = num_slots()
    cdef Py_ssize_t chunks, stripes, tiles
    job.vl = lanes(tag)
    job.mr = tile_rows(tag)
    job.nr = tile_columns(tag)
    job.row_panels = ceil_div(job.rows, job.mr)
    job.packed_group = job.row_panels * job.mr * job.channels * p.taps
    _cut(tag, job)
    # More pieces for the threads, which changes no sum: shorter stripes, then parts of the filters.
    chunks = job.groups * p.images * ceil_div(p.out_h, p.stripe)
    if threads > 1 and chunks < WANTED_CHUNKS and not job.in_place:
        stripes = min(ceil_div(WANTED_CHUNKS * ceil_div(p.out_h, p.stripe), chunks),
                      ceil_div(p.out_h * p.pitch, LEAST_TILES * job.nr))
        if stripes > ceil_div(p.out_h, p.stripe):
            cut_planes(p, ceil_div(p.out_h, stripes))
    job.stripes = ceil_div(p.out_h, p.stripe)
    chunks = job.groups * p.images * job.stripes
    job.row_chunks = 1
    if threads > 1 and chunks < 4 * threads:
        job.row_chunks = max(1, min(ceil_div(job.row_panels, 4), ceil_div(4 * threads, chunks)))
    tiles = ceil_div(ceil_div(p.stripe * p.pitch, job.vl), job.nr // job.vl)
    job.planes_size = job.block_channels * (job.nr if job.in_place else p.channel_size) + job.nr
    job.sums_size = job.mr * job.nr
    if job.blocks > 1:
        job.sums_size *= tiles * ceil_div(job.row_panels, job.row_chunks)
    job.by_rows = _suits_rows(job)
    job.far = job.groups * p.images * job.rows * p.out_h * p.out_w * <Py_ssize_t> sizeof(floating) > FAR_BYTES
    job.slot_bytes = <size_t> (job.planes_size + job.sums_size) * sizeof(floating)
    if job.by_rows:
        job.planes_size = round_up(job.planes_size, 8)
        job.slot_bytes = (<size_t> job.planes_size * sizeof(floating)
                          + <size_t> (p.stripe * job.row_vectors) * sizeof(Spot))
    job.slot_bytes = slot_size(job.slot_bytes)


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef double weights = <double> job.groups * job.rows * job.channels * p.taps
    cdef Py_ssize_t chunks
    cdef size_t packed_bytes
    job.in_place = flatten_planes(p, job.dst_line, job.dst_pixel)
    _plan(tag, job)
    packed_bytes = (<size_t> (job.groups * job.packed_group) * sizeof(floating) + 63) // 64 * 64
    job.packed = allocate(packed_bytes + job.slot_bytes * <size_t> num_slots())
    if job.packed != NULL:
        job.scratch = <char*> job.packed + packed_bytes
        chunks = job.groups * p.images * job.stripes * job.row_chunks
        parallel_work(_pack_f32 if floating is float else _pack_f64, job, job.groups * job.row_panels, weights)
        parallel_work(_chunk_f32 if floating is float else _chunk_f64, job, chunks,
                      weights * p.images * p.out_h * p.out_w)
        release(job.packed)
    return job.packed != NULL


cdef int _forward(const Geometry* q, Job* job, floating* dst) noexcept nogil:
    cdef Planes* p = &job.planes
    job.rows = group_filters(q)
    job.channels = group_channels(q)
    if not forward_planes(p, q):
        return -1
    job.w_row = job.channels * p.taps
    job.w_channel = p.taps
    job.whole = NULL
    job.dst = dst
    job.dst_image = q.y_steps[0]
    job.dst_row = q.y_steps[1]
    job.dst_line = q.y_steps[3]
    job.dst_pixel = q.y_steps[4]
    return _run(dst, job)


# Whether a tap reaches the cells phase, phase + stride, ... of an axis of dx.
cdef bint _reached(const Geometry* q, int axis, Py_ssize_t phase) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(q.kernel[axis]):
        if remainder(phase + q.pad[axis] - i * q.dilation[axis], q.stride[axis]) == 0:
            return True
    return False


# dx, a phase of the stride at a time. Where no tap reaches some of them, the first one fills all cells on its way.
cdef int _backward(const Geometry* q, Job* job, floating* dst) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t phases_h = min(q.stride[1], q.x_shape[3]), phases_w = min(q.stride[2], q.x_shape[4])
    cdef Py_ssize_t h, w, reached_h = 0, reached_w = 0
    cdef bint ok = True
    for h in range(phases_h):
        reached_h += _reached(q, 1, h)
    for w in range(phases_w):
        reached_w += _reached(q, 2, w)
    if reached_h == 0 or reached_w == 0:
        return -1
    job.whole = dst if reached_h < phases_h or reached_w < phases_w else NULL
    job.whole_line, job.whole_pixel, job.height, job.width = q.x_steps[3], q.x_steps[4], q.x_shape[3], q.x_shape[4]
    job.stride = q.stride[1]
    job.rows = group_channels(q)
    job.channels = group_filters(q)
    job.w_row = q.kernel[1] * q.kernel[2]
    job.w_channel = job.rows * job.w_row
    job.dst_image = q.x_steps[0]
    job.dst_row = q.x_steps[1]
    job.dst_line = q.stride[1] * q.x_steps[3]
    job.dst_pixel = q.stride[2] * q.x_steps[4]
    for h in range(phases_h):
        for w in range(phases_w):
            if not _reached(q, 1, h) or not _reached(q, 2, w):
                continue
            if not backward_planes(p, q, h, w):
                return -1
            job.phase = h
            job.dst = dst + h * q.x_steps[3] + w * q.x_steps[4]
            ok = ok and _run(dst, job)
            job.whole = NULL
    return ok


cdef int direct_run(const Geometry* q, bint backward, const floating* src, const floating* w, const floating* bias,
                    floating* dst) noexcept nogil:
    cdef Job job
    cdef int choice = plane_choice()
    if not is_flat(q) or (q.y_steps[4] if backward else q.x_steps[4]) != 1 or not has_values(q):
        return -1
    if choice == 0 or (choice < 0 and is_depthwise(q)):
        return -1
    job.src = src
    job.w = w
    job.bias = bias
    job.groups = q.groups
    return _backward(q, &job, dst) if backward else _forward(q, &job, dst)


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Geometry q
    memset(&q, 0, sizeof(Geometry))
    direct_run(&q, False, <const float*> NULL, NULL, NULL, NULL)
    direct_run(&q, False, <const double*> NULL, NULL, NULL, NULL)

# y[n, f, o] = b[f] + sum_{c, t} x[n, c, o * stride + reach(t)] * w[f, c, t], and the gradient for the input, which is
# one such sum over dy for each phase of the stride    (see _points.pxd)
#
# Edges: pixels outside the source are zeros of its copy, multiplied like any value.
#
# Blocking: the filters of a register tile lie side by side, in up to four vectors, and its pixels anywhere, so neither
# strides nor narrow rows cost anything. A piece of work is a unit of pixels (a stripe of rows or some small images) and
# perhaps a part of the filters. For a block of channels its source is copied once, into L2; then each panel of packed
# weights is read for every tile of pixels. With some channels or more the copy has them side by side, in cells, and
# the weights are [tap][channel][filter]: the sum runs along a cell. Otherwise they are [channel][tap][filter]. The
# finished panel is turned while it is stored, and the phases of a gradient meet in it, so that dx is written once, in
# order.
#
# The blocks of channels depend on the shape alone, and every sum runs in one order: any number of threads gives the
# same bits. Source: the loop order is that of Goto and van de Geijn (ACM TOMS 34, 2008) with the roles of weights and
# pixels exchanged, as Georganas et al., "Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures"
# (SC18), have it for blocked layouts.

from cython cimport floating
from libc.string cimport memcpy, memset

from pycnn.kernels._geometry cimport Geometry, group_channels, group_filters, has_values, is_depthwise, is_flat
from pycnn.kernels._integers cimport ceil_div, part_begin, round_up, slot_size
from pycnn.kernels._pack cimport pack_cells, pack_weights
from pycnn.kernels._points cimport MOST_TAPS, Points, backward_points, copy_rows, copy_unit, find_unit, \
    flatten_points, forward_points, lay_out, list_pixels, set_unit
from pycnn.kernels._runtime cimport allocate, num_slots, parallel_work, plane_choice, release
from pycnn.kernels._tiles cimport cells_rows, cells_widest, gemm_cells, gemm_points, lanes, store_points, \
    tile_columns, tile_rows

cdef enum:
    UNIT_PIXELS = 256        # about as many: a panel of weights comes from L3 or memory once for them
    COPY_BYTES = 256 << 10   # of a unit's source: a part of L2
    # Most products of a sum begun at zero: a panel's weights stay in L2, and the error small. A quarter more for whole
    # vectors of channels in cells.
    BLOCK_DEPTH = 1024
    SUMS_BYTES = 256 << 10   # of a unit's sums, where channels come in blocks
    WANTED_CHUNKS = 16
    LEAST_CELL = 16          # channels that are put into cells and summed for each tap, not taps for each channel,
    CELLS_PIXELS = 300       # if there are so many pixels, or one tap: the order of the weights takes longer to make

ctypedef struct Job:
    Points points
    const void* src
    const void* w
    const void* bias
    void* dst
    Py_ssize_t groups, filters, channels    # of a group; what this sum writes and reads
    bint by_cells                           # channels are the inner loop
    Py_ssize_t w_row, w_channel
    Py_ssize_t dst_image, dst_row, dst_line, dst_pixel
    Py_ssize_t mr, nr, vl
    Py_ssize_t vectors, panels, parts
    Py_ssize_t pack_parts                   # of the channels, in which a panel's weights are packed
    Py_ssize_t block_channels, blocks
    Py_ssize_t packed_group
    void* packed                            # [group][panel][phase], each as it is read
    void* padded_bias                       # [group][filter], zeros behind the last
    Py_ssize_t sums_size, unit_pixels
    char* scratch
    size_t slot_bytes


# ---- packing the weights

# Channels c0 .. c1 - 1 of one panel and phase; in cells the channels of a block are the inner ones.
cdef void _pack_phase(Job* job, Py_ssize_t phase, floating* out, Py_ssize_t width, Py_ssize_t rows, Py_ssize_t c0,
                      Py_ssize_t c1, const floating* w) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t taps = p.first[phase + 1] - p.first[phase]
    cdef const Py_ssize_t* weight = &p.weight[p.first[phase]]
    cdef Py_ssize_t begin, end
    if not job.by_cells:
        pack_weights(out + c0 * taps * width, width, rows, c1 - c0, taps, weight, w + c0 * job.w_channel, job.w_row,
                     job.w_channel)
        return
    begin = c0 // job.block_channels * job.block_channels
    while begin < c1:
        end = min(begin + job.block_channels, job.channels)
        pack_cells(out + begin * taps * width, width, rows, end - begin, max(c0, begin) - begin, min(c1, end) - begin,
                   taps, weight, w + begin * job.w_channel, job.w_row, job.w_channel)
        begin = end


# A part of the channels of one panel.
cdef void _pack(floating* tag, Job* job, Py_ssize_t task) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t part = task % job.pack_parts
    cdef Py_ssize_t panel = task // job.pack_parts % job.panels
    cdef Py_ssize_t g = task // (job.pack_parts * job.panels)
    cdef Py_ssize_t m0 = part_begin(panel, job.panels, job.vectors) * job.vl
    cdef Py_ssize_t width = part_begin(panel + 1, job.panels, job.vectors) * job.vl - m0
    cdef Py_ssize_t rows = min(width, job.filters - m0)
    cdef Py_ssize_t c0 = part_begin(part, job.pack_parts, job.channels)
    cdef Py_ssize_t c1 = part_begin(part + 1, job.pack_parts, job.channels)
    cdef Py_ssize_t group = job.filters * job.channels * min(job.w_row, job.w_channel)
    cdef floating* out = <floating*> job.packed + g * job.packed_group + m0 * job.channels * p.taps
    cdef floating* bias
    cdef Py_ssize_t phase
    for phase in range(p.phases):
        _pack_phase(job, phase, out, width, rows, c0, c1, <const floating*> job.w + g * group + m0 * job.w_row)
        out += width * job.channels * (p.first[phase + 1] - p.first[phase])
    if job.bias != NULL and part == 0:
        bias = <floating*> job.padded_bias + g * job.vectors * job.vl + m0
        memset(bias, 0, <size_t> width * sizeof(floating))
        memcpy(bias, <const floating*> job.bias + g * job.filters + m0, <size_t> rows * sizeof(floating))


# ---- a unit

# The sums of one panel over channels c0 .. c1 - 1.
cdef void _panel(Job* job, Py_ssize_t g, Py_ssize_t panel, Py_ssize_t c0, Py_ssize_t c1, const floating* copy,
                 const Py_ssize_t* begin, const Py_ssize_t* pixel, const Py_ssize_t* place,
                 floating* sums) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t first = part_begin(panel, job.panels, job.vectors)
    cdef Py_ssize_t vectors = part_begin(panel + 1, job.panels, job.vectors) - first
    cdef Py_ssize_t width = vectors * job.vl
    # Of two vectors by eight pixels Zen 4 does a tenth less a cycle than of two by six.
    cdef Py_ssize_t pixels = cells_rows(sums, vectors) if job.by_cells else min(job.mr, 6) if vectors == 2 else job.mr
    cdef const floating* b = <const floating*> job.packed + g * job.packed_group
    cdef const floating* bias = NULL
    cdef Py_ssize_t phase, taps, tiles, i, m, n, count
    if job.bias != NULL and c1 == job.channels:
        bias = <const floating*> job.padded_bias + (g * job.vectors + first) * job.vl
    b += first * job.vl * job.channels * p.taps
    for phase in range(p.phases):
        taps = p.first[phase + 1] - p.first[phase]
        count = begin[phase + 1] - begin[phase]
        tiles = ceil_div(count, pixels)
        for i in range(tiles):
            m = begin[phase] + part_begin(i, tiles, count)
            n = begin[phase] + part_begin(i + 1, tiles, count) - m
            if job.by_cells:
                gemm_cells(n, vectors, c1 - c0, taps, &p.offset[p.first[phase]], copy, pixel + m,
                           b + c0 * taps * width, bias, sums, place + m, c0 > 0)
            else:
                gemm_points(n, vectors, c1 - c0, p.channel_step, taps, &p.offset[p.first[phase]], copy, pixel + m,
                            b + c0 * taps * width, bias, sums, place + m, c0 > 0)
        b += job.channels * taps * width


# Turns a finished panel into dst.
cdef void _store(const Job* job, Py_ssize_t g, Py_ssize_t panel, Py_ssize_t image, Py_ssize_t images, Py_ssize_t row,
                 Py_ssize_t rows, const floating* sums) noexcept nogil:
    cdef const Points* p = &job.points
    cdef Py_ssize_t first = part_begin(panel, job.panels, job.vectors) * job.vl
    cdef Py_ssize_t filters = min(part_begin(panel + 1, job.panels, job.vectors) * job.vl, job.filters) - first
    cdef floating* dst = (<floating*> job.dst + image * job.dst_image + (g * job.filters + first) * job.dst_row
                          + row * job.dst_line)
    cdef Py_ssize_t i, r
    cdef Py_ssize_t run = rows if job.dst_line == p.w.out * job.dst_pixel else 1  # rows that follow one another
    for i in range(images):
        for r in range(rows // run):
            store_points(dst + i * job.dst_image + r * run * job.dst_line, job.dst_row, job.dst_pixel, sums, job.nr,
                         run * p.w.out, filters)
            sums += run * p.w.out * job.nr


cdef void _chunk(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t part = chunk % job.parts
    cdef Py_ssize_t unit = chunk // job.parts % p.units
    cdef Py_ssize_t g = chunk // (job.parts * p.units)
    cdef Py_ssize_t panel0 = part_begin(part, job.parts, job.panels)
    cdef Py_ssize_t panel1 = part_begin(part + 1, job.parts, job.panels)
    cdef floating* copy = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* sums = copy + round_up(p.size, job.vl)
    cdef Py_ssize_t* pixel = <Py_ssize_t*> (sums + job.sums_size)
    cdef Py_ssize_t* place = pixel + job.unit_pixels
    cdef Py_ssize_t[MOST_TAPS + 1] begin
    cdef Py_ssize_t image, images, row, rows, block, c0, c1, panel
    cdef floating* tile = sums
    find_unit(p, unit, &image, &images, &row, &rows)
    list_pixels(p, images, rows, job.nr, begin, pixel, place)
    for block in range(job.blocks):
        c0 = block * job.block_channels
        c1 = min(c0 + job.block_channels, job.channels)
        copy_unit(p, <const floating*> job.src + (g * job.channels + c0) * p.src_channel, c1 - c0, image, images, row,
                  copy)
        for panel in range(panel0, panel1):
            if job.blocks > 1:
                tile = sums + (panel - panel0) * job.unit_pixels * job.nr
            _panel(job, g, panel, c0, c1, copy, begin, pixel, place, tile)
            if c1 == job.channels:
                _store(job, g, panel, image, images, row, rows, tile)


cdef void _pack_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _pack(<float*> NULL, <Job*> context, chunk)


cdef void _pack_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _pack(<double*> NULL, <Job*> context, chunk)


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <Job*> context, chunk, slot)


# ---- cutting the work and running it

# Units and blocks of channels from the shape alone.
cdef void _cut(floating* tag, Job* job) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t size = sizeof(floating)
    cdef Py_ssize_t pitch = copy_rows(&p.w, p.w.out)
    cdef Py_ssize_t wanted = UNIT_PIXELS
    cdef Py_ssize_t fits, images, rows, whole
    job.block_channels = max(1, min(job.channels, BLOCK_DEPTH // max(p.taps // p.phases, 1)))
    job.blocks = max(1, ceil_div(job.channels, job.block_channels))
    job.block_channels = max(1, ceil_div(job.channels, job.blocks))
    whole = round_up(job.block_channels, job.vl)
    if job.by_cells and job.blocks > 1 and whole * max(p.taps // p.phases, 1) <= BLOCK_DEPTH + BLOCK_DEPTH // 4:
        job.block_channels = whole
        job.blocks = ceil_div(job.channels, whole)
    if job.blocks > 1:
        wanted = max(min(wanted, SUMS_BYTES // (job.vectors * job.vl * size)), 4 * job.mr)
    fits = max(1, COPY_BYTES // (job.block_channels * size))  # cells of the copy
    images = min(p.images, max(1, min(wanted // (p.h.out * p.w.out), fits // (copy_rows(&p.h, p.h.out) * pitch))))
    rows = p.h.out
    if images == 1:
        rows = min(rows, max(1, ceil_div(wanted, p.w.out)))
        while rows > 1 and copy_rows(&p.h, rows) * pitch > fits:
            rows -= 1
        rows = ceil_div(p.h.out, ceil_div(p.h.out, rows))
        rows = min(p.h.out, round_up(rows, p.h.phases))
    set_unit(p, images, rows)


cdef void _plan(floating* tag, Job* job) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t threads = num_slots()
    cdef Py_ssize_t images, rows, least
    job.vl = lanes(tag)
    job.mr = tile_rows(tag)
    job.by_cells = job.channels >= LEAST_CELL and (p.taps <= p.phases or p.images * p.h.out * p.w.out >= CELLS_PIXELS)
    job.nr = cells_widest(tag) * job.vl if job.by_cells else tile_columns(tag)
    job.vectors = ceil_div(job.filters, job.vl)
    job.panels = ceil_div(job.vectors, job.nr // job.vl)
    job.packed_group = job.vectors * job.vl * job.channels * p.taps
    _cut(tag, job)
    # More pieces for the threads, which changes no sum: smaller units, then parts of the filters. Of few pixels and few
    # filters the units are as small as a tile.
    images = p.unit_images
    rows = p.unit_rows
    while threads > 1 and job.groups * p.units < WANTED_CHUNKS:
        least = job.mr if job.groups * p.units * job.panels < threads else 8 * job.mr
        if images * rows * p.w.out <= least:
            break
        if images > 1:
            images = (images + 1) // 2
        elif rows > p.h.phases:
            rows = round_up((rows + 1) // 2, p.h.phases)
            if rows >= p.unit_rows:
                break
        else:
            break
        set_unit(p, images, rows)
    job.pack_parts = min(job.channels, ceil_div(2 * threads, job.groups * job.panels)) if threads > 1 else 1
    job.parts = 1
    if threads > 1 and job.groups * p.units < 4 * threads:
        job.parts = min(job.panels, ceil_div(4 * threads, job.groups * p.units))
    lay_out(p, job.block_channels, job.vl, job.by_cells or p.src_pixel != 1)
    job.unit_pixels = p.unit_images * p.unit_rows * p.w.out
    job.sums_size = job.unit_pixels * job.nr
    if job.blocks > 1:
        job.sums_size *= ceil_div(job.panels, job.parts)
    job.slot_bytes = <size_t> (round_up(p.size, job.vl) + job.sums_size) * sizeof(floating)
    job.slot_bytes += <size_t> (2 * job.unit_pixels) * sizeof(Py_ssize_t)
    job.slot_bytes = slot_size(job.slot_bytes)


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef Points* p = &job.points
    cdef double weights = <double> job.groups * job.filters * job.channels * p.taps
    cdef bint ok
    _plan(tag, job)
    job.packed = allocate(<size_t> (job.groups * job.packed_group) * sizeof(floating))
    job.padded_bias = allocate(<size_t> (job.groups * job.vectors * job.vl) * sizeof(floating))
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    ok = job.packed != NULL and job.padded_bias != NULL and job.scratch != NULL
    if ok:
        parallel_work(_pack_f32 if floating is float else _pack_f64, job,
                      job.groups * job.panels * job.pack_parts, weights)
        parallel_work(_chunk_f32 if floating is float else _chunk_f64, job, job.groups * p.units * job.parts,
                      weights * p.images * p.h.out * p.w.out / p.phases)
    release(job.packed)
    release(job.padded_bias)
    release(job.scratch)
    return ok


# Whether this takes less time than the planes of conv_direct.pyx. In vector multiply-adds: a tile here loses filters to
# the last vector, there pixels between rows; turning or storing a vector of results, copying a vector of the source and
# beginning a row of it. A tile of one vector waits for its loads. Fitted to timings of 1 to 256
# channels and filters, 7 to 224 pixels a side, kernels of 1 to 11 and strides 1 to 4, on one thread and on two, with
# AVX-512.
cdef bint _pays(floating* tag, const Job* job) noexcept nogil:
    cdef const Points* p = &job.points
    cdef Py_ssize_t vl = lanes(tag)
    cdef double depth = <double> job.channels * p.taps / p.phases
    cdef double images = <double> p.images * job.groups
    cdef double planes = images * job.channels
    cdef Py_ssize_t out_h = ceil_div(p.h.out, p.h.phases), out_w = ceil_div(p.w.out, p.w.phases)
    cdef Py_ssize_t pitch = out_w + p.w.span // p.w.step
    cdef double narrow = 1 if job.filters > vl else 1.7 if tile_rows(tag) == 4 else 1.35
    cdef double here = images * p.h.out * p.w.out * ceil_div(job.filters, vl) * (narrow * depth + 18)
    cdef double there = ceil_div(out_h * pitch, vl) * (depth + (16 if p.phases == 1 else 20))
    cdef double vector
    if p.phases == 1:
        there = min(there, out_h * ceil_div(out_w, vl) * (1.02 * depth + 4))
    there *= images * p.phases * job.filters
    here += planes * copy_rows(&p.h, p.h.out) * (9.0 / vl * copy_rows(&p.w, p.w.out) + 6)
    if p.taps != 1 or p.h.grain != 1 or p.w.grain != 1 or p.h.low != 0 or p.w.low != 0:
        # A stride of 3 or more takes a row apart one value at a time.
        vector = 8 if p.phases > 1 else 20 if p.w.step <= 2 else 150
        planes *= p.phases * p.h.step * p.w.step
        there += planes * (out_h + p.h.span // p.h.step) * (vector / vl * pitch + 6)
    return here < there


# What `_pays` denies in any case, seen at once, for small calls: filters that fill half a vector at most, and rows in
# which the numbers that planes add between two of them are half as many at most.
cdef bint _never_pays(floating* tag, const Geometry* q, bint backward) noexcept nogil:
    cdef Py_ssize_t filters = group_channels(q) if backward else group_filters(q)
    cdef Py_ssize_t width = q.x_shape[4] if backward else q.y_shape[4]
    if q.stride[2] > (1 if backward else 2):
        return False
    return 2 * filters <= lanes(tag) and 2 * (q.kernel[2] - 1) * q.dilation[2] <= width


cdef int filters_run(const Geometry* q, bint backward, const floating* src, const floating* w, const floating* bias,
                     floating* dst) noexcept nogil:
    cdef Job job
    cdef Py_ssize_t taps = q.kernel[1] * q.kernel[2]
    cdef const Py_ssize_t* steps = &q.y_steps[0] if backward else &q.x_steps[0]
    cdef Py_ssize_t choice = plane_choice()
    if not is_flat(q) or not has_values(q) or (steps[4] != 1 and steps[1] != 1):
        return -1
    if 0 <= choice < 3 or (choice < 0 and (is_depthwise(q) or (steps[4] == 1 and _never_pays(dst, q, backward)))):
        return -1
    if not (backward_points(&job.points, q) if backward else forward_points(&job.points, q)):
        return -1
    job.src = src
    job.w = w
    job.bias = bias
    job.dst = dst
    job.groups = q.groups
    job.filters = group_channels(q) if backward else group_filters(q)
    job.channels = group_filters(q) if backward else group_channels(q)
    job.w_row = taps if backward else job.channels * taps
    job.w_channel = job.filters * taps if backward else taps
    if choice < 0 and steps[4] == 1 and not _pays(dst, &job):
        return -1
    steps = &q.x_steps[0] if backward else &q.y_steps[0]
    job.dst_image = steps[0]
    job.dst_row = steps[1]
    job.dst_line = steps[3]
    job.dst_pixel = steps[4]
    flatten_points(&job.points, job.dst_line, job.dst_pixel, UNIT_PIXELS)
    return _run(dst, &job)


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Geometry q
    memset(&q, 0, sizeof(Geometry))
    filters_run(&q, False, <const float*> NULL, NULL, NULL, NULL)
    filters_run(&q, False, <const double*> NULL, NULL, NULL, NULL)

# dw[f, c] = C' [sum_tiles (H dy[f] H') * (B' x[c] B)] C for a 3x3 convolution with stride 1: the deltas of an m x m
# tile are a filter of m x m taps over the tile's (m + 2)^2 inputs, with nine outputs (csrc/winograd.inc.h).
#
# Edges: pixels outside x and dy are 0. A result that is not finite is left to the direct sum, as in conv_winograd.pyx.
#
# Steps:  V[panel][xi][tile][channel of panel] from x,  P[xi][tile][filter] from dy,  sums[panel][part][xi][filter of
# part][channel of panel] += P[xi]' * V[xi], a matrix product over the tiles whose register tile is a part of the
# filters by a panel of channels,  dw from the sums. There are two ways to share the work:
#
#   by slices  the sums are small beside V and P: the tiles are dealt out to slices with sums of their own, added in
#              order at the end. A slice takes its tiles in blocks whose V and P stay in the caches of its core: no
#              thread reads what another has written, which is slow where two cores have no cache in common.
#   by points  tiles are taken in blocks whose V and P fit L3: the threads make these together, then each takes points
#              xi of the product.
#
# The cut depends on the shape alone, and each sum runs in one order, so any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport group_channels, group_filters, Geometry
from pycnn.kernels._integers cimport ceil_div, part_begin, part_of
from pycnn.kernels._runtime cimport allocate, measuring, num_slots, parallel_work, release
from pycnn.kernels._tiles cimport from_lanes, gemm_packed, lanes, tile_rows, winograd_delta, winograd_gradient, \
    winograd_input
from pycnn.kernels._winograd cimport Grid, Plane, Segment, find_segment, first_tile, grid_of, load_lines, plane_of

cdef enum:
    BLOCK_BYTES = 4 << 20  # of V and P, by points: a part of L3
    SLICE_BYTES = 1 << 20  # of V and P, by slices: about L2
    MOST_SLICES = 16
    SUMS_BYTES = 5 << 20   # of all slices
    LEAST_SLICES = 4       # fewer would not share evenly
    LEAST_TILES = 24       # of a block

ctypedef struct Job:
    Grid grid
    Plane x_plane, dy_plane
    Py_ssize_t pad_h, pad_w
    Py_ssize_t filters, channels   # of a group
    const void* x
    const void* dy
    void* dw
    Py_ssize_t vl, mr
    Py_ssize_t vectors, panels     # of channels; a panel has up to 3 vectors
    Py_ssize_t width               # of all panels
    Py_ssize_t parts               # of the filters; each up to mr
    Py_ssize_t block_tiles         # most tiles of a block
    Py_ssize_t block_segments
    Py_ssize_t first, last         # segments of the block in work
    Py_ssize_t p_row, p_step       # of P: from tile to tile, from point to point
    Py_ssize_t v_size, p_size      # values of a block
    Py_ssize_t slices              # 0: by points
    Py_ssize_t sums_size           # of a slice
    void* sums
    void* v                        # and behind it p
    Py_ssize_t lines_size, space_size
    char* scratch
    size_t slot_bytes
    int not_finite


# Values from point to point of a panel's V. The extra vector keeps the points of a tile off the same cache sets.
cdef inline Py_ssize_t _v_step(const Job* job, Py_ssize_t width) noexcept nogil:
    return job.block_tiles * width + job.vl


# A panel's V begins behind those of the panels before it.
cdef inline Py_ssize_t _v_begin(const Job* job, Py_ssize_t panel) noexcept nogil:
    return job.grid.points * (part_begin(panel, job.panels, job.vectors) * job.vl * job.block_tiles + panel * job.vl)


# ---- the steps

# V of one segment and one vector of channels; tile: the place of its first tile in the block.
cdef void _make_v(Job* job, const Segment* s, Py_ssize_t vector, Py_ssize_t tile, floating* v, floating* lines,
                  floating* space) noexcept nogil:
    cdef Py_ssize_t m = job.grid.m
    cdef Py_ssize_t panel = part_of(vector, job.panels, job.vectors)
    cdef Py_ssize_t first = part_begin(panel, job.panels, job.vectors)
    cdef Py_ssize_t width = (part_begin(panel + 1, job.panels, job.vectors) - first) * job.vl
    cdef Py_ssize_t c0 = vector * job.vl
    cdef Py_ssize_t cols, left
    load_lines(<const floating*> job.x + c0 * job.x_plane.channel, &job.x_plane, s, s.row * m - job.pad_h,
               s.first * m - job.pad_w, m + 2, m * s.tiles + 2, min(job.vl, job.channels - c0), job.vl, lines, &cols,
               &left)
    winograd_input(m, v + _v_begin(job, panel) + tile * width + (vector - first) * job.vl, _v_step(job, width), width,
                   s.tiles, space, lines, cols, cols, left)


cdef void _make_p(Job* job, const Segment* s, Py_ssize_t vector, Py_ssize_t tile, floating* p, floating* lines,
                  floating* space) noexcept nogil:
    cdef Py_ssize_t m = job.grid.m
    cdef Py_ssize_t f0 = vector * job.vl
    cdef Py_ssize_t cols, left
    load_lines(<const floating*> job.dy + f0 * job.dy_plane.channel, &job.dy_plane, s, s.row * m, s.first * m, m,
               m * s.tiles, min(job.vl, job.filters - f0), job.vl, lines, &cols, &left)
    winograd_delta(m, p + tile * job.p_row + f0, job.p_step, job.p_row, s.tiles, space, lines, cols, cols)


# sums[xi] (+)= P[xi]' * V[xi] for one panel and `count` tiles.
cdef void _multiply(Job* job, Py_ssize_t panel, Py_ssize_t xi, Py_ssize_t count, const floating* v, const floating* p,
                    floating* sums, bint accumulate) noexcept nogil:
    cdef Py_ssize_t first = part_begin(panel, job.panels, job.vectors)
    cdef Py_ssize_t vectors = part_begin(panel + 1, job.panels, job.vectors) - first
    cdef Py_ssize_t width = vectors * job.vl
    cdef Py_ssize_t i, f0, f1
    v += _v_begin(job, panel) + xi * _v_step(job, width)
    p += xi * job.p_step
    sums += job.filters * job.grid.points * first * job.vl
    for i in range(job.parts):
        f0 = i * job.filters // job.parts
        f1 = (i + 1) * job.filters // job.parts
        gemm_packed(f1 - f0, vectors, count, p + f0, job.p_row, v,
                    sums + (f0 * job.grid.points + xi * (f1 - f0)) * width, accumulate)


# V or P of one segment and one vector of channels or filters.
cdef void _make(Job* job, Py_ssize_t number, Py_ssize_t vector, Py_ssize_t base, floating* v,
                floating* lines) noexcept nogil:
    cdef Segment seg = find_segment(&job.grid, number)
    if vector < job.vectors:
        _make_v(job, &seg, vector, seg.index - base, v, lines, lines + job.lines_size)
    else:
        _make_p(job, &seg, vector - job.vectors, seg.index - base, v + job.v_size, lines, lines + job.lines_size)


cdef void _transform(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t count = job.vectors + ceil_div(job.filters, job.vl)
    _make(job, job.first + chunk // count, chunk % count, first_tile(&job.grid, job.first), <floating*> job.v,
          <floating*> (job.scratch + <size_t> slot * job.slot_bytes))


cdef void _product(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef floating* v = <floating*> job.v
    cdef Py_ssize_t count = first_tile(&job.grid, job.last) - first_tile(&job.grid, job.first)
    _multiply(job, chunk % job.panels, chunk // job.panels, count, v, v + job.v_size, <floating*> job.sums,
              job.first > 0)


# All of a slice's tiles.
cdef void _slice(floating* tag, Job* job, Py_ssize_t piece, Py_ssize_t slot) noexcept nogil:
    cdef floating* lines = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* v = lines + job.lines_size + job.space_size
    cdef floating* sums = <floating*> job.sums + piece * job.sums_size
    cdef Py_ssize_t begin = part_begin(piece, job.slices, job.grid.segments)
    cdef Py_ssize_t end = part_begin(piece + 1, job.slices, job.grid.segments)
    cdef Py_ssize_t blocks = ceil_div(end - begin, job.block_segments)
    cdef Py_ssize_t count = job.vectors + ceil_div(job.filters, job.vl)
    cdef Py_ssize_t block, s0, s1, base, number, i
    for block in range(blocks):
        s0 = begin + part_begin(block, blocks, end - begin)
        s1 = begin + part_begin(block + 1, blocks, end - begin)
        base = first_tile(&job.grid, s0)
        for number in range(s0, s1):
            for i in range(count):
                _make(job, number, i, base, v, lines)
        for i in range(job.grid.points * job.panels):
            _multiply(job, i % job.panels, i // job.panels, first_tile(&job.grid, s1) - base, v, v + job.v_size, sums,
                      block > 0)


# ---- dw from the sums

cdef void _write(floating* tag, Job* job, Py_ssize_t part, Py_ssize_t slot) noexcept nogil:
    cdef floating* lines = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef Py_ssize_t points = job.grid.points
    cdef Py_ssize_t f0 = part * job.filters // job.parts
    cdef Py_ssize_t rows = (part + 1) * job.filters // job.parts - f0
    cdef Py_ssize_t panel, first, vectors, width, i, row, used, piece
    cdef floating* sums
    for panel in range(job.panels):
        first = part_begin(panel, job.panels, job.vectors)
        vectors = part_begin(panel + 1, job.panels, job.vectors) - first
        width = vectors * job.vl
        sums = <floating*> job.sums + job.filters * points * first * job.vl + f0 * points * width
        for piece in range(1, job.slices):
            for i in range(points * rows * width):
                sums[i] += sums[piece * job.sums_size + i]
        for row in range(rows):
            for i in range(vectors):
                used = min(job.vl, job.channels - (first + i) * job.vl)
                if not winograd_gradient(job.grid.m, lines, sums + row * width + i * job.vl, rows * width, used):
                    job.not_finite = 1
                from_lanes(<floating*> job.dw + ((f0 + row) * job.channels + (first + i) * job.vl) * 9, lines, 9, 1, 9,
                           used)


cdef void _transform_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _transform(<float*> NULL, <Job*> context, chunk, slot)


cdef void _transform_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _transform(<double*> NULL, <Job*> context, chunk, slot)


cdef void _product_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _product(<float*> NULL, <Job*> context, chunk, slot)


cdef void _product_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _product(<double*> NULL, <Job*> context, chunk, slot)


cdef void _slice_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _slice(<float*> NULL, <Job*> context, chunk, slot)


cdef void _slice_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _slice(<double*> NULL, <Job*> context, chunk, slot)


cdef void _write_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _write(<float*> NULL, <Job*> context, chunk, slot)


cdef void _write_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _write(<double*> NULL, <Job*> context, chunk, slot)


# ---- cutting the work and running it

cdef void _plan(floating* tag, Job* job) noexcept nogil:
    cdef Grid* g = &job.grid
    cdef Py_ssize_t tile_bytes, fits, padded, data, segments
    job.vl = lanes(tag)
    job.mr = tile_rows(tag)
    job.vectors = ceil_div(job.channels, job.vl)
    job.panels = ceil_div(job.vectors, 3)
    job.width = job.vectors * job.vl
    padded = ceil_div(job.filters, job.vl)
    job.p_row = padded * job.vl
    job.parts = ceil_div(job.filters, job.mr)
    job.sums_size = g.points * job.filters * job.width
    tile_bytes = g.points * (job.width + job.p_row) * <Py_ssize_t> sizeof(floating)
    # Every block reads and writes the sums once: the larger they are, the larger the blocks.
    fits = max(<Py_ssize_t> BLOCK_BYTES, job.sums_size * <Py_ssize_t> sizeof(floating) * 2 // 5) // tile_bytes
    segments = g.segments
    # All slices' sums are at most half of V and P, and a part of L3.
    data = g.tiles * g.points * (job.width + job.p_row)
    job.slices = min(min(data // (2 * job.sums_size), <Py_ssize_t> MOST_SLICES), segments)
    job.slices = min(job.slices, SUMS_BYTES // (job.sums_size * <Py_ssize_t> sizeof(floating)))
    if job.slices >= LEAST_SLICES:
        fits = SLICE_BYTES // tile_bytes
        segments = ceil_div(segments, job.slices)
    else:
        job.slices = 0
    job.block_segments = max(1, min(max(fits, <Py_ssize_t> LEAST_TILES) // g.most_tiles, segments))
    job.block_tiles = job.block_segments * g.most_tiles
    job.v_size = _v_begin(job, job.panels)
    job.p_step = job.block_tiles * job.p_row + job.vl
    job.p_size = g.points * job.p_step
    job.lines_size = max((g.m + 2) * (g.m * g.most_tiles + 2), <Py_ssize_t> 9) * job.vl
    job.space_size = (g.m + 2) * (g.m * g.most_tiles + 2) * job.vl
    job.slot_bytes = <size_t> (job.lines_size + job.space_size) * sizeof(floating)
    if job.slices:
        job.slot_bytes += <size_t> (job.v_size + job.p_size) * sizeof(floating)
    job.slot_bytes = (job.slot_bytes + 127) // 64 * 64


cdef void _run_blocks(floating* tag, Job* job) noexcept nogil:
    cdef Py_ssize_t per_segment = job.vectors + ceil_div(job.filters, job.vl)
    cdef double work
    job.first = 0
    while job.first < job.grid.segments:
        job.last = min(job.first + job.block_segments, job.grid.segments)
        work = <double> (job.last - job.first) * job.grid.most_tiles * job.grid.points
        parallel_work(_transform_f32 if floating is float else _transform_f64, job,
                      (job.last - job.first) * per_segment, work * (job.filters + job.channels) * 4)
        parallel_work(_product_f32 if floating is float else _product_f64, job, job.grid.points * job.panels,
                      work * job.filters * job.channels)
        job.first = job.last


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef bint ok
    _plan(tag, job)
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    job.sums = allocate(<size_t> (max(job.slices, 1) * job.sums_size) * sizeof(floating))
    job.v = NULL if job.slices else allocate(<size_t> (job.v_size + job.p_size) * sizeof(floating))
    ok = job.scratch != NULL and job.sums != NULL and (job.slices > 0 or job.v != NULL)
    if ok and job.slices:
        parallel_work(_slice_f32 if floating is float else _slice_f64, job, job.slices,
                      <double> job.grid.tiles * job.grid.points * job.filters * job.channels)
    elif ok:
        _run_blocks(tag, job)
    if ok:
        parallel_work(_write_f32 if floating is float else _write_f64, job, job.parts,
                      <double> max(job.slices, 1) * job.sums_size * 2)
    release(job.v)
    release(job.sums)
    release(job.scratch)
    return ok


cdef int winograd_weight_run(const Geometry* q, Py_ssize_t m, const floating* x, const floating* dy,
                             floating* dw) noexcept nogil:
    cdef Job job
    cdef Py_ssize_t g
    job.grid = grid_of(q.y_shape, m)
    job.x_plane = plane_of(q.x_shape, q.x_steps)
    job.dy_plane = plane_of(q.y_shape, q.y_steps)
    job.filters = group_filters(q)
    job.channels = group_channels(q)
    job.pad_h = q.pad[1]
    job.pad_w = q.pad[2]
    job.not_finite = measuring()
    for g in range(q.groups):
        job.x = x + g * job.channels * job.x_plane.channel
        job.dy = dy + g * job.filters * job.dy_plane.channel
        job.dw = dw + g * job.filters * job.channels * 9
        if not _run(<floating*> NULL, &job):
            return 0
        if job.not_finite:
            return -1
    return 1


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Geometry q
    memset(&q, 0, sizeof(Geometry))
    winograd_weight_run(&q, 2, <const float*> NULL, <const float*> NULL, <float*> NULL)
    winograd_weight_run(&q, 2, <const double*> NULL, <const double*> NULL, <double*> NULL)

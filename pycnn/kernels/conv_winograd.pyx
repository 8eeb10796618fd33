# y = A' [sum_c (G w[f, c] G') * (B' x[c] B)] A   for tiles of m x m outputs (m = 2, 4) of a 3x3 convolution with stride
# 1, and its gradient for the input, which is the same with the kernel turned and padded by 2 - pad. With stride 2 the
# tiles have 4 x 4 outputs, or 8 x 8 pixels of the gradient, and 81 points, of which some share their weights.
#
# Edges: pixels outside x are 0. A tile mixes its inputs, so inf and NaN would spread over it, and huge values
# overflow: the output transform notices a result that is not finite, and the caller falls back to the direct sum.
#
# Three steps, lanes are channels and then filters:  V[xi][tile][channel] from x,  S[xi][tile][filter] = V[xi] * U[xi]
# with the transformed weights U[panel][xi][channel][filter of panel],  y from S. Two ways to cut them:
#
#   by tiles    U is made first, for all filters; then a piece of work is a block of tiles, whose V and S stay in L2
#               while U streams past them.
#   by filters  few tiles, as at 7x7, or a large U, whose tiles are then done in parts: V is made first, for all tiles
#               of a part; then a piece of work is a panel of filters, whose U is made BLOCK_CHANNELS at a time where it
#               is used: it never goes to memory.
#
# The order of each sum over channels is fixed by the shape, so any number of threads gives the same bits.
# Sources: csrc/winograd.inc.h; the fused blocking is that of Jia et al., "Optimizing N-dimensional, Winograd-based
# convolution for manycore CPUs" (PPoPP 2018), with other blocks.

from cython cimport floating
from libc.string cimport memcpy, memset

from pycnn.kernels._geometry cimport group_channels, group_filters, has_values, Geometry
from pycnn.kernels._integers cimport ceil_div, part_begin, part_of, round_up, slot_size
from pycnn.kernels._runtime cimport algorithm, allocate, last_cache, measuring, num_slots, parallel_work, release
from pycnn.kernels._tiles cimport from_lanes, gemm_rows, lanes, tile_rows, to_lanes, winograd_input, \
    winograd_output, winograd_weights
from pycnn.kernels._winograd cimport STRIDED, Block, Grid, Plane, Segment, block_of, cut_points, find_segment, \
    find_tiles, grid_of, lines_pixels, load_lines, plane_of, space_pixels, tile_pad

cdef enum:
    BLOCK_CHANNELS = 96       # summed at a time: shorter sums, smaller errors; by filters their U is made at once
    BLOCK_BYTES = 512 << 10   # of V and S, by tiles
    FAR_BYTES = 1536 << 10    # the same where U streams from beyond L2: more tiles for each time that it does
    LEAST_BLOCKS = 16         # where there are so many segments, so that threads share evenly; of a U from beyond L2
    THREAD_BLOCKS = 4         # so many for each of several threads, since each of them reads it
    FEW_TILES = 128           # up to which work is cut by filters
    FEW_STRIDED = 50          # and with stride 2
    LEAST_VECTORS = 4         # of filters, for work to be cut by them
    LEAST_TILES = 16          # unless there are fewer tiles than this
    STREAM = 700              # in the rule: of a U from beyond L2, for a channel, a filter
    STREAM_TILES = 16         # and so many tiles
    NEAR_BYTES = 3 << 20      # of U or V, up to which each thread makes its own
    OWN_SHARE = 8             # of the last cache, what those of all threads take up to which it does if making it is
    OWN_TILES = 64            # little work beside its tiles; otherwise,
    LARGE_BYTES = 8 << 20     # beyond such a U, work is cut by filters
    THREAD_VECTORS = 4        # if there are so many vectors of them for each thread
    SUMS_BYTES = 1200 << 10   # of S, by filters

ctypedef struct Job:
    Grid grid
    Plane src_plane, dst_plane
    Py_ssize_t pad_h, pad_w
    Py_ssize_t rows, channels      # filters and channels of a group
    Py_ssize_t w_row, w_channel    # steps of the weights
    bint turned, spread            # spread: a tile writes more pixels than it reads
    const void* src
    const void* w
    const void* bias
    void* dst
    Py_ssize_t vl, mr
    Py_ssize_t vectors, panels     # of filters; a panel has up to 3 vectors
    bint by_filters
    Py_ssize_t block_tiles         # most tiles whose V and S are held at once
    Py_ssize_t blocks              # pieces of work by tiles; one after the other by filters:
    Py_ssize_t begin, end          # the segments of one
    Py_ssize_t tile_step, v_step   # of V: from tile to tile, from point to point
    Py_ssize_t lines_size, space_size, v_size, s_size, u_size  # values of a thread's memory
    char* scratch
    size_t slot_bytes
    Py_ssize_t common_size         # values of U, by tiles, or of V, by filters, which all pieces of work read
    void* common
    bint own                       # each thread has a common of its own
    char* made                     # which have been made
    int not_finite                 # set by any thread


# Steps of U and S. The extra vectors keep the points of a tile off the same cache sets.
cdef inline Py_ssize_t _u_step(const Job* job, Py_ssize_t channels, Py_ssize_t width) noexcept nogil:
    return channels * width + 3 * job.vl


cdef inline Py_ssize_t _s_step(const Job* job, Py_ssize_t count, Py_ssize_t width) noexcept nogil:
    return count * width + job.vl


# ---- the three steps

# U of one vector of filters for channels c0 .. c1 - 1: u is the panel's block, vector `vector` of `width` values.
cdef void _make_u(Job* job, Py_ssize_t row0, Py_ssize_t c0, Py_ssize_t c1, floating* u, Py_ssize_t u_step,
                  Py_ssize_t width, floating* lines) noexcept nogil:
    cdef Py_ssize_t filters = min(job.vl, job.rows - row0)
    cdef const floating* w = <const floating*> job.w + row0 * job.w_row
    cdef Py_ssize_t c, n
    while c0 < c1:
        n = min(c1 - c0, <Py_ssize_t> 16)  # their nine vectors fit L1
        if job.w_channel == 9:
            to_lanes(lines, w + c0 * 9, job.w_row, 1, 9 * n, filters)
        else:
            for c in range(n):
                to_lanes(lines + 9 * c * job.vl, w + (c0 + c) * job.w_channel, job.w_row, 1, 9, filters)
        winograd_weights(job.grid.kind, u, u_step, width, lines, n, job.turned)
        u += n * width
        c0 += n


# V of one segment and one vector of channels.
cdef void _make_v(Job* job, const Segment* s, Py_ssize_t c0, floating* v, floating* lines,
                  floating* space) noexcept nogil:
    cdef Grid* g = &job.grid
    cdef Py_ssize_t cols, left
    load_lines(<const floating*> job.src + c0 * job.src_plane.channel, &job.src_plane, g, s, job.pad_h, job.pad_w,
               min(job.vl, job.channels - c0), job.vl, lines, &cols, &left)
    winograd_input(g.kind, v + c0, job.v_step, job.tile_step, s.tiles, space, lines, cols, left, &s.phases)


# S[xi] (+)= V[xi] * U[xi] over channels c0 .. c1 - 1, for a block's tiles and one panel.
cdef void _multiply(Job* job, const Block* tiles, const floating* v, const floating* u, Py_ssize_t u_step,
                    Py_ssize_t vectors, Py_ssize_t c0, Py_ssize_t c1, floating* s) noexcept nogil:
    cdef Py_ssize_t width = vectors * job.vl
    cdef Py_ssize_t s_step = _s_step(job, tiles.begin[4], width)
    cdef Py_ssize_t blocks = ceil_div(c1 - c0, BLOCK_CHANNELS)
    cdef Py_ssize_t has[2]
    cdef Py_ssize_t n, k, xi, i, parts, t0, t1, block, b0, b1
    for n in range(job.grid.weights):
        for block in range(blocks):
            b0 = part_begin(block, blocks, c1 - c0)
            b1 = part_begin(block + 1, blocks, c1 - c0)
            for k in range(job.grid.first[n], job.grid.first[n + 1]):
                xi = job.grid.point[k]
                find_tiles(&job.grid, tiles, xi, has)
                parts = ceil_div(has[1] - has[0], job.mr)
                for i in range(parts):
                    t0 = has[0] + part_begin(i, parts, has[1] - has[0])
                    t1 = has[0] + part_begin(i + 1, parts, has[1] - has[0])
                    gemm_rows(t1 - t0, vectors, b1 - b0, v + xi * job.v_step + t0 * job.tile_step + c0 + b0,
                              job.tile_step, u + n * u_step + b0 * width, s + xi * s_step + t0 * width, c0 + b0 > 0)


# y of one segment and one vector of filters, from the S of its first tile.
cdef void _make_y(Job* job, const Segment* seg, Py_ssize_t row0, const floating* s, Py_ssize_t s_step, Py_ssize_t width,
                  floating* lines) noexcept nogil:
    cdef Plane* p = &job.dst_plane
    cdef Py_ssize_t m = job.grid.written
    cdef Py_ssize_t filters = min(job.vl, job.rows - row0)
    cdef Py_ssize_t rows = min(m, p.height - seg.row * m)
    cdef Py_ssize_t cols = min(m * seg.tiles, p.width - seg.first * m)
    cdef bint dense = p.line == cols * p.pixel
    cdef Py_ssize_t pitch = cols if dense else m * seg.tiles
    cdef floating* bias = lines + job.lines_size - job.vl
    cdef floating* dst = (<floating*> job.dst + row0 * p.channel + seg.image * p.image + seg.slice * p.slice
                          + seg.row * m * p.line + seg.first * m * p.pixel)
    cdef Py_ssize_t row
    if job.bias != NULL:
        memcpy(bias, <const floating*> job.bias + row0, <size_t> filters * sizeof(floating))
    else:
        memset(bias, 0, <size_t> filters * sizeof(floating))
    if not winograd_output(job.grid.kind + job.spread, lines, pitch, s, s_step, width, seg.tiles, bias, filters,
                           &seg.phases):
        job.not_finite = 1
    if dense:
        from_lanes(dst, lines, p.channel, p.pixel, rows * cols, filters)
        return
    for row in range(rows):
        from_lanes(dst + row * p.line, lines + row * pitch * job.vl, p.channel, p.pixel, cols, filters)


# ---- U by tiles, or V by filters: what all pieces of work read

# How many pieces it is made in: a vector of filters, or one segment of a vector of channels.
cdef Py_ssize_t _common_pieces(const Job* job) noexcept nogil:
    return (job.end - job.begin) * ceil_div(job.channels, job.vl) if job.by_filters else job.vectors


cdef void _make_common(Job* job, Py_ssize_t piece, floating* common, floating* lines) noexcept nogil:
    cdef Py_ssize_t groups = ceil_div(job.channels, job.vl)
    cdef Py_ssize_t panel, first, width
    cdef Segment seg
    cdef Block all
    if job.by_filters:
        all = block_of(&job.grid, job.begin, job.end)
        seg = find_segment(&job.grid, &all, job.begin + piece // groups)
        _make_v(job, &seg, piece % groups * job.vl, common + seg.place * job.tile_step, lines, lines + job.lines_size)
        return
    panel = part_of(piece, job.panels, job.vectors)
    first = part_begin(panel, job.panels, job.vectors)
    width = (part_begin(panel + 1, job.panels, job.vectors) - first) * job.vl
    _make_u(job, piece * job.vl, 0, job.channels, common + panel * job.u_size + (piece - first) * job.vl,
            _u_step(job, job.channels, width), width, lines)


cdef void _common_chunk(floating* tag, Job* job, Py_ssize_t piece, Py_ssize_t slot) noexcept nogil:
    _make_common(job, piece, <floating*> job.common, <floating*> (job.scratch + <size_t> slot * job.slot_bytes))


# What thread `slot` reads; its own it makes when it first asks.
cdef const floating* _common_of(floating* tag, Job* job, Py_ssize_t slot, floating* lines) noexcept nogil:
    cdef floating* common = <floating*> job.common
    cdef Py_ssize_t piece
    if job.own:
        common += slot * job.common_size
        if not job.made[slot]:
            job.made[slot] = 1
            for piece in range(_common_pieces(job)):
                _make_common(job, piece, common, lines)
    return common


# ---- by tiles

cdef void _tiles_chunk(floating* tag, Job* job, Py_ssize_t block, Py_ssize_t slot) noexcept nogil:
    cdef floating* lines = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* space = lines + job.lines_size
    cdef floating* v = space + job.space_size
    cdef floating* s = v + job.v_size
    cdef const floating* u = _common_of(tag, job, slot, lines)
    cdef Py_ssize_t s0 = part_begin(block, job.blocks, job.grid.segments)
    cdef Py_ssize_t s1 = part_begin(block + 1, job.blocks, job.grid.segments)
    cdef Block tiles = block_of(&job.grid, s0, s1)
    cdef Py_ssize_t number, panel, first, vectors, i
    cdef Segment seg
    for number in range(s0, s1):
        seg = find_segment(&job.grid, &tiles, number)
        for i in range(ceil_div(job.channels, job.vl)):
            _make_v(job, &seg, i * job.vl, v + seg.place * job.tile_step, lines, space)
    for panel in range(job.panels):
        first = part_begin(panel, job.panels, job.vectors)
        vectors = part_begin(panel + 1, job.panels, job.vectors) - first
        _multiply(job, &tiles, v, u + panel * job.u_size, _u_step(job, job.channels, vectors * job.vl), vectors, 0,
                  job.channels, s)
        for number in range(s0, s1):
            seg = find_segment(&job.grid, &tiles, number)
            for i in range(vectors):
                _make_y(job, &seg, (first + i) * job.vl, s + seg.place * vectors * job.vl + i * job.vl,
                        _s_step(job, tiles.begin[4], vectors * job.vl), vectors * job.vl, lines)


# ---- by filters

cdef void _filters_chunk(floating* tag, Job* job, Py_ssize_t panel, Py_ssize_t slot) noexcept nogil:
    cdef floating* lines = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* u = lines + job.lines_size + job.space_size
    cdef floating* s = u + job.u_size
    cdef const floating* v = _common_of(tag, job, slot, lines)
    cdef Py_ssize_t first = part_begin(panel, job.panels, job.vectors)
    cdef Py_ssize_t vectors = part_begin(panel + 1, job.panels, job.vectors) - first
    cdef Py_ssize_t width = vectors * job.vl
    cdef Block all = block_of(&job.grid, job.begin, job.end)
    cdef Py_ssize_t blocks = ceil_div(job.channels, BLOCK_CHANNELS)
    cdef Py_ssize_t block, c0, c1, u_step, i, number
    cdef Segment seg
    for block in range(blocks):
        c0 = part_begin(block, blocks, job.channels)
        c1 = part_begin(block + 1, blocks, job.channels)
        u_step = _u_step(job, c1 - c0, width)
        for i in range(vectors):
            _make_u(job, (first + i) * job.vl, c0, c1, u + i * job.vl, u_step, width, lines)
        _multiply(job, &all, v, u, u_step, vectors, c0, c1, s)
    for number in range(job.begin, job.end):
        seg = find_segment(&job.grid, &all, number)
        for i in range(vectors):
            _make_y(job, &seg, (first + i) * job.vl, s + seg.place * width + i * job.vl,
                    _s_step(job, all.begin[4], width), width, lines)


cdef void _common_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _common_chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _common_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _common_chunk(<double*> NULL, <Job*> context, chunk, slot)


cdef void _tiles_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _tiles_chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _tiles_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _tiles_chunk(<double*> NULL, <Job*> context, chunk, slot)


cdef void _filters_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _filters_chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _filters_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _filters_chunk(<double*> NULL, <Job*> context, chunk, slot)


# ---- cutting the work and running it

# The most tiles for which work is cut by filters.
cdef inline Py_ssize_t _few_tiles(Py_ssize_t kind) noexcept nogil:
    return FEW_STRIDED if kind == STRIDED else FEW_TILES


cdef inline bint _is_near(floating* tag, const Job* job) noexcept nogil:
    return job.common_size * <Py_ssize_t> sizeof(floating) <= NEAR_BYTES


cdef void _plan(floating* tag, Job* job) noexcept nogil:
    cdef Grid* g = &job.grid
    cdef Py_ssize_t width, widest, fits, padded, least
    cdef double u_bytes
    cdef bint near, far, shares
    job.vl = lanes(tag)
    job.mr = tile_rows(tag)
    job.vectors = ceil_div(job.rows, job.vl)
    u_bytes = 1.0 * g.weights * job.vectors * job.vl * job.channels * sizeof(floating)
    # The number of threads, and of bytes in a cache, changes no sum.
    shares = g.tiles >= OWN_TILES * num_slots() and u_bytes * num_slots() * OWN_SHARE <= last_cache()
    far = u_bytes > LARGE_BYTES and not shares and job.vectors >= THREAD_VECTORS * num_slots()
    job.by_filters = far or g.tiles <= _few_tiles(g.kind)
    # Of few filters there are few panels, not enough for the threads; of very few tiles there are no blocks either.
    if job.vectors < LEAST_VECTORS and g.tiles >= LEAST_TILES:
        job.by_filters = False
    # By filters a panel is a piece of work, so narrower ones share out better.
    widest = 3 if not job.by_filters else 2 if job.vectors >= LEAST_VECTORS else 1
    job.panels = ceil_div(job.vectors, widest)
    width = ceil_div(job.vectors, job.panels) * job.vl
    # An odd number of vectors from tile to tile: the rows of a register tile lie in different cache sets.
    padded = ceil_div(job.channels, job.vl)
    job.tile_step = (padded | 1) * job.vl
    if job.by_filters:
        fits = SUMS_BYTES // (g.points * width * <Py_ssize_t> sizeof(floating))
        job.blocks = ceil_div(g.tiles, fits) if far else 1
        job.blocks = max(1, min(g.segments, job.blocks))
        job.v_size = 0
        job.u_size = g.weights * _u_step(job, BLOCK_CHANNELS, width)
    else:
        job.u_size = g.weights * _u_step(job, job.channels, width)
        job.common_size = job.panels * job.u_size
        near = _is_near(tag, job)
        fits = BLOCK_BYTES if near else FAR_BYTES
        fits //= g.points * (job.tile_step + width) * <Py_ssize_t> sizeof(floating)
        fits = min(max(fits // job.mr, <Py_ssize_t> 2), <Py_ssize_t> 8) * job.mr
        job.own = near or shares
        least = LEAST_BLOCKS if near else THREAD_BLOCKS * num_slots() if num_slots() > 1 else 1
        job.blocks = max(1, min(g.segments, max(least, ceil_div(g.tiles, fits))))
    job.block_tiles = ceil_div(g.segments, job.blocks) * g.most_tiles
    job.v_step = job.block_tiles * job.tile_step + job.vl
    if job.by_filters:
        job.common_size = g.points * job.v_step
        job.own = _is_near(tag, job)
    else:
        job.v_size = g.points * job.v_step
    job.s_size = g.points * _s_step(job, job.block_tiles, width)
    job.lines_size = (max(lines_pixels(g), <Py_ssize_t> 9 * 16) + 1) * job.vl
    job.space_size = space_pixels(g) * job.vl
    job.slot_bytes = <size_t> (job.lines_size + job.space_size + job.v_size + job.s_size) * sizeof(floating)
    if job.by_filters:
        job.slot_bytes += <size_t> job.u_size * sizeof(floating)
    job.slot_bytes = slot_size(job.slot_bytes)


# Makes what all pieces of work read, or marks it as not made where each thread makes its own.
cdef void _begin(floating* tag, Job* job, size_t slots, double work) noexcept nogil:
    if job.own:
        job.made = job.scratch + job.slot_bytes * slots
        memset(job.made, 0, slots)
    else:
        parallel_work(_common_f32 if floating is float else _common_f64, job, _common_pieces(job), work)


cdef int _run(floating* tag, Job* job) noexcept nogil:
    cdef double weights = <double> job.rows * job.channels * job.grid.points
    cdef double work = weights * job.grid.tiles
    cdef size_t slots = <size_t> num_slots()
    cdef Py_ssize_t block
    cdef bint ok
    _plan(tag, job)
    job.scratch = <char*> allocate((job.slot_bytes + 1) * slots)
    job.common = allocate(<size_t> job.common_size * sizeof(floating) * (slots if job.own else 1))
    ok = job.scratch != NULL and job.common != NULL
    if ok and job.by_filters:
        work /= job.blocks
        for block in range(job.blocks):
            job.begin = part_begin(block, job.blocks, job.grid.segments)
            job.end = part_begin(block + 1, job.blocks, job.grid.segments)
            _begin(tag, job, slots, work / job.rows * 4)
            parallel_work(_filters_f32 if floating is float else _filters_f64, job, job.panels, work + weights)
    elif ok:
        _begin(tag, job, slots, weights)
        parallel_work(_tiles_f32 if floating is float else _tiles_f64, job, job.blocks, work)
    release(job.common)
    release(job.scratch)
    return ok


# ---- choosing

# The time of a pass in multiply-adds of the direct sum. A transform counts as `transform` of them for a tile of one
# channel on its way in or out, and `pair` for a channel and a filter; STREAM for both where a block of tiles reads a U
# that is beyond the caches of a core. Fitted to timings of 3 to 512 channels and 7 to 224 pixels a side with AVX-512.
cdef inline double _cost(const Geometry* q, Py_ssize_t m, const Py_ssize_t* out, Pass which) noexcept nogil:
    cdef Py_ssize_t channels = group_channels(q)
    cdef Py_ssize_t filters = group_filters(q)
    cdef Py_ssize_t side = m
    cdef Py_ssize_t points = m + 2  # of a side
    cdef double transform = 350 if m == 4 else 140
    cdef double pair = 100 if m == 2 else (150 if which == BACKWARD_WEIGHT else 245)
    cdef Py_ssize_t kind = m // 4
    cdef double images = <double> out[0] * out[2]
    cdef Py_ssize_t rows, cols
    cdef Py_ssize_t vl = lanes(<float*> NULL)
    if q.stride[1] == 2:
        side = 8 if which == BACKWARD_INPUT else 4
        points, pair, kind = 9, 150, STRIDED
        # Their gradient's inputs, deltas and sums do not fit a core's cache together; against AVX-512 that weighs more.
        transform = (8000 if vl == 16 else 2000) if which == BACKWARD_WEIGHT else 300
    rows = ceil_div(out[3], side)
    cols = ceil_div(out[4], side)
    cdef double tiles = images * rows * cols
    if (which != BACKWARD_WEIGHT and tiles > _few_tiles(kind)
            and 36.0 * sizeof(float) * channels * filters > NEAR_BYTES):
        pair += <double> STREAM / STREAM_TILES * tiles
    # A register tile takes as long for fewer of the one than its rows, and for parts of a vector of the other.
    cdef double products = max(min(channels, filters), tile_rows(<float*> NULL)) * round_up(max(channels, filters), vl)
    products *= (points * rows - cut_points(kind, out[3])) * (points * cols - cut_points(kind, out[4]))
    return images * (products + transform * rows * cols * (channels + filters)) + pair * channels * filters


cdef bint _allowed(const Geometry* q) noexcept nogil:
    cdef Py_ssize_t a
    if q.kernel[0] != 1 or q.kernel[1] != 3 or q.kernel[2] != 3 or q.pad[0] != 0 or q.x_shape[2] != q.y_shape[2]:
        return False
    for a in range(3):
        if q.dilation[a] != 1 and q.kernel[a] != 1:
            return False
    if q.stride[0] != 1 or q.stride[1] > 2 or q.stride[2] != q.stride[1]:
        return False
    return has_values(q)


cdef Py_ssize_t winograd_tile(const Geometry* q, Pass which) noexcept nogil:
    cdef Py_ssize_t m = algorithm()
    cdef const Py_ssize_t* out = &q.x_shape[0] if which == BACKWARD_INPUT else &q.y_shape[0]
    cdef double direct, two, four
    if m == 0 or not _allowed(q):
        return 0
    if m > 0:
        return m if q.stride[1] == 1 or m == 4 else 0
    direct = 9.0 * out[0] * out[2] * out[3] * out[4] * group_channels(q) * group_filters(q)
    if which == BACKWARD_INPUT:
        direct /= q.stride[1] * q.stride[2]
    four = _cost(q, 4, out, which)
    two = _cost(q, 2, out, which) if q.stride[1] == 1 else four
    if min(two, four) >= direct:
        return 0
    return 4 if four <= two else 2


cdef int winograd_run(const Geometry* q, Py_ssize_t m, bint backward, const floating* src, const floating* w,
                      const floating* bias, floating* dst) noexcept nogil:
    cdef Job job
    cdef Py_ssize_t g
    cdef int done
    cdef Py_ssize_t filters = group_filters(q)
    cdef Py_ssize_t channels = group_channels(q)
    job.grid = grid_of(q, m, backward)
    if backward:
        job.src_plane = plane_of(q.y_shape, q.y_steps)
        job.dst_plane = plane_of(q.x_shape, q.x_steps)
    else:
        job.src_plane = plane_of(q.x_shape, q.x_steps)
        job.dst_plane = plane_of(q.y_shape, q.y_steps)
    job.rows = channels if backward else filters
    job.channels = filters if backward else channels
    job.turned = backward
    job.spread = job.grid.written > job.grid.read
    job.pad_h = tile_pad(q, 1, backward)
    job.pad_w = tile_pad(q, 2, backward)
    job.w_row = 9 if backward else 9 * job.channels
    job.w_channel = 9 * job.rows if backward else 9
    job.not_finite = measuring()  # the memory of what is then done instead counts too
    for g in range(q.groups):
        job.src = src + g * job.channels * job.src_plane.channel
        job.w = w + g * job.rows * job.channels * 9
        job.bias = bias + g * job.rows if bias != NULL else NULL
        job.dst = dst + g * job.rows * job.dst_plane.channel
        done = _run(<floating*> NULL, &job)
        if done != 1 or job.not_finite:
            return -1 if done == 1 else 0
    return 1


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Geometry q
    memset(&q, 0, sizeof(Geometry))
    winograd_run(&q, 2, False, <const float*> NULL, NULL, NULL, NULL)
    winograd_run(&q, 2, False, <const double*> NULL, NULL, NULL, NULL)

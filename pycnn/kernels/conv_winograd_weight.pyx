# dw[f, c] = C' [sum_tiles (H dy[f] H') * (B' x[c] B)] C for a 3x3 convolution with stride 1: the deltas of an m x m
# tile are a filter of m x m taps over the tile's (m + 2)^2 inputs, with nine outputs (csrc/winograd.inc.h).
#
# Edges: pixels outside x and dy are 0. A result that is not finite is left to the direct sum, as in conv_winograd.pyx.
#
# Steps:  V[panel][xi][tile][channel of panel] from x,  P[xi][tile][filter] from dy,  sums[panel][part][xi][filter of
# part][channel of panel] += P[xi]' * V[xi], a matrix product over the tiles whose register tile is a part of the
# filters by a panel of channels,  dw from the sums. There are two ways to share the work:
#
#   by slices   the sums are small beside V and P: the tiles are dealt out to slices with sums of their own, added in
#               order at the end. A slice takes its tiles in blocks whose V and P stay in the caches of its core.
#   by filters  a piece of work is some filters: it makes their P, and takes their sums to dw panel by panel while they
#               are in L2. V is made first, by each thread for itself where it fits L2. Where it is beyond L3, the tiles
#               are taken in blocks, and the sums go to memory between them.
#
# So threads read little of what others have written, which is slow where two cores have no cache in common.
# The cut depends on the shape alone, and each sum runs in one order, so any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport group_channels, group_filters, Geometry
from pycnn.kernels._integers cimport ceil_div, part_begin, part_of, slot_size
from pycnn.kernels._runtime cimport allocate, measuring, num_slots, parallel_work, release
from pycnn.kernels._tiles cimport from_lanes, gemm_packed, lanes, tile_rows, winograd_delta, winograd_gradient, \
    winograd_input
from pycnn.kernels._winograd cimport Block, Grid, Plane, Segment, block_of, find_segment, find_tiles, grid_of, \
    lines_pixels, load_lines, plane_of, space_pixels

cdef enum:
    OWN_BYTES = 3 << 20    # of V, up to which each thread makes its own
    BLOCK_BYTES = 2 << 20  # of V, by filters, at least
    MOST_BYTES = 16 << 20
    SLICE_BYTES = 1 << 20  # of V and P, by slices: about L2
    MOST_SLICES = 16
    SUMS_BYTES = 5 << 20   # of all slices
    LEAST_SLICES = 4       # fewer would not share evenly
    LEAST_TILES = 40       # of a block
    LEAST_PIECES = 8       # of filters, by filters
    LEAST_GROUPS = 4       # of panels and pieces of filters together
    PIECE_FILTERS = 32     # at most: V is read once for each piece

ctypedef struct Job:
    Grid grid, deltas              # of x and of dy: the same tiles
    Plane x_plane, dy_plane
    Py_ssize_t pad_h, pad_w
    Py_ssize_t filters, channels   # of a group
    const void* x
    const void* dy
    void* dw
    Py_ssize_t vl, mr
    Py_ssize_t vectors, panels     # of channels; a panel has up to 3 vectors
    Py_ssize_t filter_vectors
    Py_ssize_t block_tiles         # most tiles of a block
    Py_ssize_t block_segments
    Py_ssize_t first, last         # segments of the block in work
    Py_ssize_t p_row, p_step       # of P: from tile to tile, from point to point
    Py_ssize_t v_size, p_size      # values of a block
    Py_ssize_t slices              # 0: by filters
    Py_ssize_t pieces, groups      # by filters: of the filters, and of the panels
    bint whole                     # one block holds all tiles
    bint own                       # each thread makes its own V
    char* made                     # which have
    Py_ssize_t sums_size           # of a slice, or of all filters
    void* sums                     # by slices, and between blocks
    void* v                        # by filters
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


# The sums of `filters` filters, the panels before it, come before a panel's.
cdef inline Py_ssize_t _sums_begin(const Job* job, Py_ssize_t panel, Py_ssize_t filters) noexcept nogil:
    return job.grid.weights * filters * part_begin(panel, job.panels, job.vectors) * job.vl


# ---- the steps

# V of one segment and one vector of channels.
cdef void _make_v(Job* job, const Segment* s, Py_ssize_t vector, floating* v, floating* lines,
                  floating* space) noexcept nogil:
    cdef Grid* g = &job.grid
    cdef Py_ssize_t panel = part_of(vector, job.panels, job.vectors)
    cdef Py_ssize_t first = part_begin(panel, job.panels, job.vectors)
    cdef Py_ssize_t width = (part_begin(panel + 1, job.panels, job.vectors) - first) * job.vl
    cdef Py_ssize_t c0 = vector * job.vl
    cdef Py_ssize_t cols, left
    load_lines(<const floating*> job.x + c0 * job.x_plane.channel, &job.x_plane, g, s, job.pad_h, job.pad_w,
               min(job.vl, job.channels - c0), job.vl, lines, &cols, &left)
    winograd_input(g.kind, v + _v_begin(job, panel) + s.place * width + (vector - first) * job.vl, _v_step(job, width),
                   width, s.tiles, space, lines, cols, left, &s.phases)


# P of one segment and one vector of filters; p: of its first tile.
cdef void _make_p(Job* job, const Segment* s, Py_ssize_t vector, floating* p, floating* lines) noexcept nogil:
    cdef Py_ssize_t f0 = vector * job.vl
    cdef Py_ssize_t cols, left
    load_lines(<const floating*> job.dy + f0 * job.dy_plane.channel, &job.dy_plane, &job.deltas, s, 0, 0,
               min(job.vl, job.filters - f0), job.vl, lines, &cols, &left)
    winograd_delta(job.grid.kind, p, job.p_step, job.p_row, s.tiles, lines + job.lines_size, lines, cols,
                   &s.phases)


# V of one piece of the block of segments s0 .. s1 - 1: one segment of one vector of channels.
cdef void _make_v_piece(Job* job, Py_ssize_t s0, Py_ssize_t s1, Py_ssize_t piece, floating* v,
                        floating* lines) noexcept nogil:
    cdef Block tiles = block_of(&job.grid, s0, s1)
    cdef Segment seg = find_segment(&job.grid, &tiles, s0 + piece // job.vectors)
    _make_v(job, &seg, piece % job.vectors, v, lines, lines + job.lines_size)


# P of the vectors of filters vector0 .. vector1 - 1 and the segments from s0 to s1 - 1.
cdef void _make_ps(Job* job, Py_ssize_t s0, Py_ssize_t s1, Py_ssize_t vector0, Py_ssize_t vector1, floating* p,
                   floating* lines) noexcept nogil:
    cdef Block tiles = block_of(&job.grid, s0, s1)
    cdef Py_ssize_t number, i
    cdef Segment seg
    for number in range(s0, s1):
        seg = find_segment(&job.grid, &tiles, number)
        for i in range(vector0, vector1):
            _make_p(job, &seg, i, p + seg.place * job.p_row + (i - vector0) * job.vl, lines)


# sums (+)= P' * V for one panel, the `filters` of P and a block's tiles. Points that share their weights share a sum.
cdef void _multiply(Job* job, Py_ssize_t panel, Py_ssize_t filters, Py_ssize_t s0, Py_ssize_t s1, const floating* v,
                    const floating* p, floating* sums, bint accumulate) noexcept nogil:
    cdef Grid* g = &job.grid
    cdef Py_ssize_t first = part_begin(panel, job.panels, job.vectors)
    cdef Py_ssize_t vectors = part_begin(panel + 1, job.panels, job.vectors) - first
    cdef Py_ssize_t width = vectors * job.vl
    cdef Py_ssize_t parts = ceil_div(filters, job.mr)
    cdef Block tiles = block_of(g, s0, s1)
    cdef Py_ssize_t has[2]
    cdef Py_ssize_t u, k, xi, i, f0, f1
    v += _v_begin(job, panel)
    for u in range(g.weights):
        for i in range(parts):
            f0 = part_begin(i, parts, filters)
            f1 = part_begin(i + 1, parts, filters)
            for k in range(g.first[u], g.first[u + 1]):
                xi = g.point[k]
                find_tiles(g, &tiles, xi, has)
                gemm_packed(f1 - f0, vectors, has[1] - has[0], p + xi * job.p_step + has[0] * job.p_row + f0,
                            job.p_row, v + xi * _v_step(job, width) + has[0] * width,
                            sums + (f0 * g.weights + u * (f1 - f0)) * width, accumulate or k > g.first[u])


# dw of one panel and one part, the filters f0 .. f0 + rows - 1, from their sums.
cdef void _write(Job* job, Py_ssize_t panel, Py_ssize_t f0, Py_ssize_t rows, const floating* sums,
                 floating* lines) noexcept nogil:
    cdef Py_ssize_t first = part_begin(panel, job.panels, job.vectors)
    cdef Py_ssize_t vectors = part_begin(panel + 1, job.panels, job.vectors) - first
    cdef Py_ssize_t row, i, c0, used
    for row in range(rows):
        for i in range(vectors):
            c0 = (first + i) * job.vl
            used = min(job.vl, job.channels - c0)
            if not winograd_gradient(job.grid.kind, lines, sums, rows * vectors * job.vl, used):
                job.not_finite = 1
            from_lanes(<floating*> job.dw + ((f0 + row) * job.channels + c0) * 9, lines, 9, 1, 9, used)
            sums += job.vl


# ---- by slices

cdef void _slice(floating* tag, Job* job, Py_ssize_t piece, Py_ssize_t slot) noexcept nogil:
    cdef floating* lines = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* v = lines + job.lines_size + job.space_size
    cdef floating* p = v + job.v_size
    cdef floating* sums = <floating*> job.sums + piece * job.sums_size
    cdef Py_ssize_t begin = part_begin(piece, job.slices, job.grid.segments)
    cdef Py_ssize_t end = part_begin(piece + 1, job.slices, job.grid.segments)
    cdef Py_ssize_t blocks = ceil_div(end - begin, job.block_segments)
    cdef Py_ssize_t block, s0, s1, i
    for block in range(blocks):
        s0 = begin + part_begin(block, blocks, end - begin)
        s1 = begin + part_begin(block + 1, blocks, end - begin)
        for i in range((s1 - s0) * job.vectors):
            _make_v_piece(job, s0, s1, i, v, lines)
        _make_ps(job, s0, s1, 0, job.filter_vectors, p, lines)
        for i in range(job.panels):
            _multiply(job, i, job.filters, s0, s1, v, p, sums + _sums_begin(job, i, job.filters), block > 0)


cdef void _add(floating* tag, Job* job, Py_ssize_t part, Py_ssize_t slot) noexcept nogil:
    cdef floating* lines = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef Py_ssize_t parts = ceil_div(job.filters, job.mr)
    cdef Py_ssize_t f0 = part_begin(part, parts, job.filters)
    cdef Py_ssize_t rows = part_begin(part + 1, parts, job.filters) - f0
    cdef Py_ssize_t panel, size, i, piece
    cdef floating* sums
    for panel in range(job.panels):
        size = _sums_begin(job, panel + 1, 1) - _sums_begin(job, panel, 1)
        sums = <floating*> job.sums + _sums_begin(job, panel, job.filters) + f0 * size
        for piece in range(1, job.slices):
            for i in range(rows * size):
                sums[i] += sums[piece * job.sums_size + i]
        _write(job, panel, f0, rows, sums, lines)


# ---- by filters

cdef void _inputs(floating* tag, Job* job, Py_ssize_t piece, Py_ssize_t slot) noexcept nogil:
    _make_v_piece(job, job.first, job.last, piece, <floating*> job.v,
                  <floating*> (job.scratch + <size_t> slot * job.slot_bytes))


# The V that thread `slot` reads; its own it makes when it first asks.
cdef const floating* _v_of(floating* tag, Job* job, Py_ssize_t slot, floating* lines) noexcept nogil:
    cdef floating* v = <floating*> job.v
    cdef Py_ssize_t piece
    if job.own:
        v += slot * job.v_size
        if not job.made[slot]:
            job.made[slot] = 1
            for piece in range(job.grid.segments * job.vectors):
                _make_v_piece(job, 0, job.grid.segments, piece, v, lines)
    return v


cdef void _filters(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef floating* lines = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* p = lines + job.lines_size + job.space_size
    cdef const floating* v = _v_of(tag, job, slot, lines)
    cdef Py_ssize_t piece = chunk // job.groups
    cdef Py_ssize_t group = chunk % job.groups
    cdef Py_ssize_t vector0 = part_begin(piece, job.pieces, job.filter_vectors)
    cdef Py_ssize_t vector1 = part_begin(piece + 1, job.pieces, job.filter_vectors)
    cdef Py_ssize_t begin = vector0 * job.vl
    cdef Py_ssize_t filters = min(vector1 * job.vl, job.filters) - begin
    cdef Py_ssize_t parts = ceil_div(filters, job.mr)
    cdef Py_ssize_t panel, i, f0, f1, size
    cdef floating* sums
    _make_ps(job, job.first, job.last, vector0, vector1, p, lines)
    for panel in range(part_begin(group, job.groups, job.panels), part_begin(group + 1, job.groups, job.panels)):
        if job.whole:
            sums = p + job.p_size
        else:
            sums = <floating*> job.sums + _sums_begin(job, job.panels, begin) + _sums_begin(job, panel, filters)
        _multiply(job, panel, filters, job.first, job.last, v, p, sums, job.first > 0)
        if job.last < job.grid.segments:
            continue
        size = _sums_begin(job, panel + 1, 1) - _sums_begin(job, panel, 1)
        for i in range(parts):
            f0 = part_begin(i, parts, filters)
            f1 = part_begin(i + 1, parts, filters)
            _write(job, panel, begin + f0, f1 - f0, sums + f0 * size, lines)


cdef void _slice_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _slice(<float*> NULL, <Job*> context, chunk, slot)


cdef void _slice_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _slice(<double*> NULL, <Job*> context, chunk, slot)


cdef void _add_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _add(<float*> NULL, <Job*> context, chunk, slot)


cdef void _add_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _add(<double*> NULL, <Job*> context, chunk, slot)


cdef void _inputs_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _inputs(<float*> NULL, <Job*> context, chunk, slot)


cdef void _inputs_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _inputs(<double*> NULL, <Job*> context, chunk, slot)


cdef void _filters_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _filters(<float*> NULL, <Job*> context, chunk, slot)


cdef void _filters_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _filters(<double*> NULL, <Job*> context, chunk, slot)


# ---- cutting the work and running it

# How many slices the tiles are dealt out to; 0: by filters. All slices' sums are at most half of V and P, and a part
# of L3.
cdef Py_ssize_t _slices(const Job* job, Py_ssize_t bytes) noexcept nogil:
    cdef Py_ssize_t data = job.grid.tiles * job.grid.points * (job.vectors + job.filter_vectors) * job.vl
    cdef Py_ssize_t slices = min(min(data // (2 * job.sums_size), <Py_ssize_t> MOST_SLICES), job.grid.segments)
    slices = min(slices, SUMS_BYTES // (job.sums_size * bytes))
    return slices if slices >= LEAST_SLICES else 0


cdef void _plan(floating* tag, Job* job) noexcept nogil:
    cdef Grid* g = &job.grid
    cdef Py_ssize_t bytes = sizeof(floating)
    cdef Py_ssize_t fits, segments, widest, values
    job.vl = lanes(tag)
    job.mr = tile_rows(tag)
    job.vectors = ceil_div(job.channels, job.vl)
    job.filter_vectors = ceil_div(job.filters, job.vl)
    job.panels = ceil_div(job.vectors, 3)
    job.sums_size = _sums_begin(job, job.panels, job.filters)
    job.slices = _slices(job, bytes)
    job.pieces = 1
    segments = g.segments
    if job.slices:
        fits = SLICE_BYTES // (g.points * (job.vectors + job.filter_vectors) * job.vl * bytes)
        segments = ceil_div(segments, job.slices)
    else:
        job.pieces = max(ceil_div(job.filters, PIECE_FILTERS), min(<Py_ssize_t> LEAST_PIECES, job.filter_vectors))
        job.groups = min(job.panels, ceil_div(LEAST_GROUPS, job.pieces))
        # Between blocks the sums are read and written: the larger they are, the larger the blocks.
        fits = min(max(<Py_ssize_t> BLOCK_BYTES, job.sums_size * bytes), <Py_ssize_t> MOST_BYTES)
        fits //= g.points * job.vectors * job.vl * bytes
    job.block_segments = max(1, min(max(fits, <Py_ssize_t> LEAST_TILES) // g.most_tiles, segments))
    job.block_tiles = job.block_segments * g.most_tiles
    job.whole = job.block_segments == g.segments
    job.v_size = _v_begin(job, job.panels)
    job.own = not job.slices and job.whole and job.v_size * bytes <= OWN_BYTES
    widest = ceil_div(job.filter_vectors, job.pieces)
    job.p_row = widest * job.vl
    job.p_step = job.block_tiles * job.p_row + job.vl
    job.p_size = g.points * job.p_step
    job.lines_size = max(lines_pixels(g), <Py_ssize_t> 9) * job.vl
    job.space_size = space_pixels(g) * job.vl
    values = job.lines_size + job.space_size + job.p_size
    if job.slices:
        values += job.v_size
    elif job.whole:
        values += g.weights * job.p_row * ceil_div(job.vectors, job.panels) * job.vl
    job.slot_bytes = slot_size(<size_t> (values * bytes))


cdef void _run_filters(floating* tag, Job* job) noexcept nogil:
    cdef double work
    job.first = 0
    while job.first < job.grid.segments:
        job.last = min(job.first + job.block_segments, job.grid.segments)
        work = <double> (job.last - job.first) * job.grid.most_tiles * job.grid.points * job.channels
        if not job.own:
            parallel_work(_inputs_f32 if floating is float else _inputs_f64, job,
                          (job.last - job.first) * job.vectors, work * 4)
        parallel_work(_filters_f32 if floating is float else _filters_f64, job, job.pieces * job.groups,
                      work * job.filters)
        job.first = job.last


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef size_t slots = <size_t> num_slots()
    cdef size_t sums, v
    cdef bint ok
    _plan(tag, job)
    sums = <size_t> job.slices if job.slices else <size_t> (not job.whole)
    v = <size_t> (not job.slices) * (slots if job.own else 1)
    job.scratch = <char*> allocate((job.slot_bytes + 1) * slots)
    job.sums = allocate(sums * <size_t> job.sums_size * sizeof(floating)) if sums else NULL
    job.v = allocate(v * <size_t> job.v_size * sizeof(floating)) if v else NULL
    ok = job.scratch != NULL and (job.sums != NULL or not sums) and (job.v != NULL or not v)
    if ok:
        job.made = job.scratch + job.slot_bytes * slots
        memset(job.made, 0, slots)
    if ok and job.slices:
        parallel_work(_slice_f32 if floating is float else _slice_f64, job, job.slices,
                      <double> job.grid.tiles * job.grid.points * job.filters * job.channels)
        parallel_work(_add_f32 if floating is float else _add_f64, job, ceil_div(job.filters, job.mr),
                      <double> job.slices * job.sums_size * 2)
    elif ok:
        _run_filters(tag, job)
    release(job.v)
    release(job.sums)
    release(job.scratch)
    return ok


cdef int winograd_weight_run(const Geometry* q, Py_ssize_t m, const floating* x, const floating* dy,
                             floating* dw) noexcept nogil:
    cdef Job job
    cdef Py_ssize_t g
    job.grid = job.deltas = grid_of(q, m, False)
    job.deltas.step = job.deltas.read = job.grid.written
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

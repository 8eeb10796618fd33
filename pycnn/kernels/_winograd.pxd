# How Winograd's tiles cover a convolution's outputs, and the way of their pixels into lanes: what the forward pass and
# the two gradients share. The transforms: csrc/winograd.inc.h.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport Geometry
from pycnn.kernels._integers cimport ceil_div, part_begin
from pycnn.kernels._runtime cimport Phases
from pycnn.kernels._tiles cimport to_lanes

# A tensor (N, C, D, H, W) as tiles see it. Steps in elements.
ctypedef struct Plane:
    Py_ssize_t image, channel, slice, line, pixel
    Py_ssize_t height, width

# The tiles, numbered along a line of tiles, lines, slices (D), images. Long lines are cut so that a segment's pixels
# stay in the first caches.
ctypedef struct Grid:
    Py_ssize_t kind                 # of transforms: csrc/winograd_table.inc.h
    Py_ssize_t read, step, written  # pixels of a tile's side: read, from a tile to the next, written
    Phases phases
    Py_ssize_t side, points         # of a transformed tile: side^2
    Py_ssize_t weights              # points of the transformed weights
    unsigned char first[37]         # those of a tile that meet weights i: point[first[i]] .. point[first[i + 1] - 1]
    unsigned char point[81]
    Py_ssize_t slices, tile_rows, tile_cols, cuts
    Py_ssize_t segments, tiles
    Py_ssize_t most_tiles           # of a segment

# Some segments whose tiles lie together. Tiles of the last row and of the last column may lack points, so that where
# those are, others close up: first the tiles of the last row, then those of neither, of the last column, and of both.
# So the tiles that have a point are a range.
ctypedef struct Block:
    Py_ssize_t before[4]            # tiles of each sort before the block
    Py_ssize_t begin[5]             # where each sort begins, and the last one ends

ctypedef struct Segment:
    Py_ssize_t image, slice, row, first, tiles  # its line of tiles, its first tile in the line, how many
    Py_ssize_t place                            # of its first tile in the block
    Phases phases

cdef enum:
    SEGMENT_TILES = 14  # 58 pixels x 6 lines x 16 channels of float32: 22 KB
    STRIDED = 2         # the kind of a stride of 2: its tiles have 4 x 4 outputs


cdef inline Plane plane_of(const Py_ssize_t* shape, const Py_ssize_t* steps) noexcept nogil:
    cdef Plane p
    p.image = steps[0]
    p.channel = steps[1]
    p.slice = steps[2]
    p.line = steps[3]
    p.pixel = steps[4]
    p.height = shape[3]
    p.width = shape[4]
    return p


# `own` points of a side have weights of their own, the others share one.
cdef inline void _set_points(Grid* g, Py_ssize_t side, Py_ssize_t own) noexcept nogil:
    cdef Py_ssize_t wide = min(side, own + 1)
    cdef Py_ssize_t n = 0
    cdef Py_ssize_t u, i, j
    g.side = side
    g.points = side * side
    g.weights = wide * wide
    for u in range(g.weights):
        g.first[u] = n
        for i in range(u // wide, side if u // wide == own else u // wide + 1):
            for j in range(u % wide, side if u % wide == own else u % wide + 1):
                g.point[n] = i * side + j
                n += 1
    g.first[g.weights] = n


# How many of their points the last tiles of so many pixels lack: the side of two or three outputs has one or two less.
cdef inline Py_ssize_t cut_points(Py_ssize_t kind, Py_ssize_t pixels) noexcept nogil:
    return min((4 - pixels % 4) % 4, <Py_ssize_t> 2) if kind == 1 else 0


# Tiles of m x m outputs; turned: of the gradient for the input, whose pixels they write.
cdef inline Grid grid_of(const Geometry* q, Py_ssize_t m, bint turned) noexcept nogil:
    cdef Grid g
    cdef const Py_ssize_t* out = &q.x_shape[0] if turned else &q.y_shape[0]
    if q.stride[1] == 2:
        g.kind = STRIDED
        g.phases.spacing = 1 if turned else 2
        # Forward the odd pixels follow the even ones. Here the first pixel's phase decides: an even one comes from two
        # deltas, of which the odd one behind it has the second.
        g.phases.row = 1 - q.pad[1] % 2 if turned else 1
        g.phases.col = 1 - q.pad[2] % 2 if turned else 1
        g.step = 4 * g.phases.spacing
        g.read = g.step + 1
        g.written = 8 if turned else 4
        _set_points(&g, 9, 5)
    else:
        g.kind = m // 4
        g.phases.spacing = 1
        g.phases.row = g.phases.col = 0
        g.step = g.written = m
        g.read = m + 2
        _set_points(&g, m + 2, m + 2)
    g.phases.cut_rows = cut_points(g.kind, out[3])
    g.phases.cut_cols = cut_points(g.kind, out[4])
    g.phases.jump = 0
    g.slices = out[2]
    g.tile_rows = ceil_div(out[3], g.written)
    g.tile_cols = ceil_div(out[4], g.written)
    g.cuts = ceil_div(g.tile_cols, SEGMENT_TILES)
    g.most_tiles = ceil_div(g.tile_cols, g.cuts) if g.cuts else 0
    g.segments = out[0] * g.slices * g.tile_rows * g.cuts
    g.tiles = out[0] * g.slices * g.tile_rows * g.tile_cols
    return g


# What a thread needs for a segment, in pixels: `lines` of it before or after its transforms, `space` between them.
cdef inline Py_ssize_t lines_pixels(const Grid* g) noexcept nogil:
    cdef Py_ssize_t width = g.step * g.most_tiles + g.read - g.step
    return max(g.read * width, g.written * g.written * g.most_tiles)


cdef inline Py_ssize_t space_pixels(const Grid* g) noexcept nogil:
    return g.side * (g.step * g.most_tiles + g.read - g.step)


# The padding of what is read on axis a: of the deltas, turned.
cdef inline Py_ssize_t tile_pad(const Geometry* q, Py_ssize_t a, bint turned) noexcept nogil:
    if not turned:
        return q.pad[a]
    return 2 - q.pad[a] if q.stride[a] == 1 else 1 - (q.pad[a] + 1) // 2


# Number of the first tile of a segment; segment g.segments starts behind the last tile.
cdef inline Py_ssize_t first_tile(const Grid* g, Py_ssize_t number) noexcept nogil:
    return number // g.cuts * g.tile_cols + part_begin(number % g.cuts, g.cuts, g.tile_cols)


# Tiles of each sort before a segment.
cdef inline void _count_sorts(const Grid* g, Py_ssize_t number, Py_ssize_t* n) noexcept nogil:
    cdef Py_ssize_t line = number // g.cuts
    cdef Py_ssize_t plane = line // g.tile_rows
    cdef Py_ssize_t tile = first_tile(g, number)
    cdef Py_ssize_t below = 0
    if g.phases.cut_rows:
        below = plane * g.tile_cols
        if line % g.tile_rows == g.tile_rows - 1:
            below += tile - line * g.tile_cols
    n[2] = line if g.phases.cut_cols else 0
    n[3] = plane if g.phases.cut_rows and g.phases.cut_cols else 0
    n[2] -= n[3]
    n[0] = below - n[3]
    n[1] = tile - n[0] - n[2] - n[3]


cdef inline Block block_of(const Grid* g, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Block b
    cdef Py_ssize_t end[4]
    cdef Py_ssize_t i
    _count_sorts(g, first, b.before)
    _count_sorts(g, last, end)
    b.begin[0] = 0
    for i in range(4):
        b.begin[i + 1] = b.begin[i] + end[i] - b.before[i]
    return b


cdef inline bint _has_point(Py_ssize_t cut, Py_ssize_t i) noexcept nogil:
    return i < 3 or i == 5 or (cut < 2 if i == 3 else cut < 1)


# The tiles of a block that have point xi: [0] .. [1] - 1.
cdef inline void find_tiles(const Grid* g, const Block* b, Py_ssize_t xi, Py_ssize_t* tiles) noexcept nogil:
    cdef bint row = not g.phases.cut_rows or _has_point(g.phases.cut_rows, xi // g.side)
    cdef bint col = not g.phases.cut_cols or _has_point(g.phases.cut_cols, xi % g.side)
    tiles[0] = b.begin[0 if row else 1]
    tiles[1] = b.begin[2 if not col else 4 if row else 3]


cdef inline Segment find_segment(const Grid* g, const Block* b, Py_ssize_t number) noexcept nogil:
    cdef Segment s
    cdef Py_ssize_t cut = number % g.cuts
    cdef Py_ssize_t rest = number // g.cuts
    cdef Py_ssize_t n[4]
    cdef Py_ssize_t sort, last
    s.first = part_begin(cut, g.cuts, g.tile_cols)
    s.tiles = part_begin(cut + 1, g.cuts, g.tile_cols) - s.first
    s.row = rest % g.tile_rows
    rest //= g.tile_rows
    s.slice = rest % g.slices
    s.image = rest // g.slices
    s.phases = g.phases
    if s.row < g.tile_rows - 1:
        s.phases.cut_rows = 0
    if cut < g.cuts - 1:
        s.phases.cut_cols = 0
    _count_sorts(g, number, n)
    sort = 0 if s.phases.cut_rows else 1
    s.place = b.begin[sort] + n[sort] - b.before[sort]
    if s.phases.cut_cols:
        last = 3 if s.phases.cut_rows else 2
        s.phases.jump = b.begin[last] + n[last] - b.before[last] - (s.place + s.tiles - 1)
    return s


# Brings the pixels that the tiles of a segment read, of `channels` channels, into lanes. Rows outside the plane are 0;
# of each row only the *cols pixels inside the plane come, which are *left pixels off the first. lines: [rows][*cols].
cdef inline void load_lines(const floating* src, const Plane* p, const Grid* g, const Segment* s, Py_ssize_t pad_h,
                            Py_ssize_t pad_w, Py_ssize_t channels, Py_ssize_t vl, floating* lines, Py_ssize_t* cols,
                            Py_ssize_t* left) noexcept nogil:
    cdef Py_ssize_t rows = g.read
    cdef Py_ssize_t wanted = g.step * s.tiles + g.read - g.step
    cdef Py_ssize_t top = s.row * g.step - pad_h
    cdef Py_ssize_t first = s.first * g.step - pad_w
    cdef Py_ssize_t lo = min(max(first, 0), p.width)
    cdef Py_ssize_t hi = max(lo, min(first + wanted, p.width))
    cdef Py_ssize_t row0 = min(max(-top, 0), rows)  # rows row0 .. row1 - 1 are inside
    cdef Py_ssize_t row1 = max(row0, min(rows, p.height - top))
    cdef Py_ssize_t n = hi - lo
    cdef Py_ssize_t row
    cols[0] = n
    left[0] = min(lo - first, wanted) if n else wanted
    if n == 0:
        return
    memset(lines, 0, <size_t> (row0 * n * vl) * sizeof(floating))
    memset(lines + row1 * n * vl, 0, <size_t> ((rows - row1) * n * vl) * sizeof(floating))
    src += s.image * p.image + s.slice * p.slice + (top + row0) * p.line + lo * p.pixel
    if p.line == n * p.pixel:
        to_lanes(lines + row0 * n * vl, src, p.channel, p.pixel, (row1 - row0) * n, channels)
        return
    for row in range(row0, row1):
        to_lanes(lines + row * n * vl, src, p.channel, p.pixel, n, channels)
        src += p.line

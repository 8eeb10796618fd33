# How Winograd's tiles cover a convolution's outputs, and the way of their pixels into lanes: what the forward pass and
# the two gradients share. The transforms: csrc/winograd.inc.h.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport Geometry
from pycnn.kernels._runtime cimport Phases
from pycnn.kernels._tiles cimport to_lanes

# A tensor (N, C, D, H, W) as tiles see it. Steps in elements.
ctypedef struct Plane:
    Py_ssize_t image, channel, slice, line, pixel
    Py_ssize_t height, width

# The tiles, numbered along a line of tiles, lines, slices (D), images. Long lines are cut so that a segment's pixels
# fit L1.
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

ctypedef struct Segment:
    Py_ssize_t image, slice, row, first, tiles  # its line of tiles, its first tile in the line, how many
    Py_ssize_t index                            # number of its first tile among all

cdef enum:
    SEGMENT_PIXELS = 58  # x 6 lines x 16 channels of float32: 22 KB
    STRIDED = 2          # the kind of a stride of 2: its tiles have 4 x 4 outputs


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


# Tiles of m x m outputs; turned: of the gradient for the input, whose pixels they write.
cdef inline Grid grid_of(const Geometry* q, Py_ssize_t m, bint turned) noexcept nogil:
    cdef Grid g
    cdef const Py_ssize_t* out = &q.x_shape[0] if turned else &q.y_shape[0]
    cdef Py_ssize_t most
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
    g.slices = out[2]
    g.tile_rows = (out[3] + g.written - 1) // g.written
    g.tile_cols = (out[4] + g.written - 1) // g.written
    most = SEGMENT_PIXELS // g.step
    g.cuts = (g.tile_cols + most - 1) // most
    g.most_tiles = (g.tile_cols + g.cuts - 1) // g.cuts if g.cuts else 0
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


cdef inline Segment find_segment(const Grid* g, Py_ssize_t number) noexcept nogil:
    cdef Segment s
    cdef Py_ssize_t cut = number % g.cuts
    cdef Py_ssize_t rest = number // g.cuts
    s.first = cut * g.tile_cols // g.cuts
    s.tiles = (cut + 1) * g.tile_cols // g.cuts - s.first
    s.index = rest * g.tile_cols + s.first
    s.row = rest % g.tile_rows
    rest //= g.tile_rows
    s.slice = rest % g.slices
    s.image = rest // g.slices
    return s


# Number of the first tile of a segment; segment g.segments starts behind the last tile.
cdef inline Py_ssize_t first_tile(const Grid* g, Py_ssize_t number) noexcept nogil:
    return number // g.cuts * g.tile_cols + number % g.cuts * g.tile_cols // g.cuts


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

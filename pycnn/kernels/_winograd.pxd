# How Winograd's tiles cover a convolution's outputs, and the way of their pixels into lanes: what the forward pass and
# the two gradients share. The transforms: csrc/winograd.inc.h.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._tiles cimport to_lanes

# A tensor (N, C, D, H, W) as tiles see it. Steps in elements.
ctypedef struct Plane:
    Py_ssize_t image, channel, slice, line, pixel
    Py_ssize_t height, width

# The tiles: m x m outputs each, numbered along a line of tiles, lines, slices (D), images. Long lines are cut so that a
# segment's pixels fit L1.
ctypedef struct Grid:
    Py_ssize_t m, points            # points: (m + 2)^2
    Py_ssize_t slices, tile_rows, tile_cols, cuts
    Py_ssize_t segments, tiles
    Py_ssize_t most_tiles           # of a segment

ctypedef struct Segment:
    Py_ssize_t image, slice, row, first, tiles  # its line of tiles, its first tile in the line, how many
    Py_ssize_t index                            # number of its first tile among all

cdef enum:
    SEGMENT_TILES = 14  # 58 pixels x 6 lines x 16 channels of float32: 22 KB


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


cdef inline Grid grid_of(const Py_ssize_t* y_shape, Py_ssize_t m) noexcept nogil:
    cdef Grid g
    g.m = m
    g.points = (m + 2) * (m + 2)
    g.slices = y_shape[2]
    g.tile_rows = (y_shape[3] + m - 1) // m
    g.tile_cols = (y_shape[4] + m - 1) // m
    g.cuts = (g.tile_cols + SEGMENT_TILES - 1) // SEGMENT_TILES
    g.most_tiles = (g.tile_cols + g.cuts - 1) // g.cuts if g.cuts else 0
    g.segments = y_shape[0] * g.slices * g.tile_rows * g.cuts
    g.tiles = y_shape[0] * g.slices * g.tile_rows * g.tile_cols
    return g


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


# Brings `rows` x `wanted` pixels from (top, first) on of `channels` channels into lanes. Rows outside the plane are 0;
# of each row only the *cols pixels inside the plane come, which are *left pixels off the first. lines: [rows][*cols].
cdef inline void load_lines(const floating* src, const Plane* p, const Segment* s, Py_ssize_t top, Py_ssize_t first,
                            Py_ssize_t rows, Py_ssize_t wanted, Py_ssize_t channels, Py_ssize_t vl, floating* lines,
                            Py_ssize_t* cols, Py_ssize_t* left) noexcept nogil:
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

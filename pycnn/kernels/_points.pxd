# A convolution as a sum over taps of pixels that lie anywhere in a padded copy of the input.
#
# A unit of work is a stripe of output rows of one image, or some whole images. For a block of channels its part of the
# source is copied once, zeros outside, and the sum for output pixel (i, j) reads, for tap t, the row
# (i // phases_h) * step_h + tap_h[t] and the column (j // phases_w) * step_w + tap_w[t] of that copy.
#
# Forward: steps are the strides, and there is one phase. Gradient for the input: the source is dy, steps are 1, and
# pixel (i, j) belongs to phase (i % stride_h, j % stride_w), each with the taps that reach it. A source row that no tap
# reads, as between the strides of a 1x1 kernel, is not copied.

from cython cimport floating
from libc.string cimport memcpy, memset

from pycnn.kernels._geometry cimport Geometry
from pycnn.kernels._integers cimport ceil_div, quotient, remainder
from pycnn.kernels._tiles cimport pack_plane, transpose_run

cdef enum:
    MOST_TAPS = 128    # and most phases

ctypedef struct Axis:
    Py_ssize_t size     # of the source
    Py_ssize_t out      # pixels
    Py_ssize_t phases
    Py_ssize_t step     # rows of the copy from a pixel to the next of its phase
    Py_ssize_t grain    # rows of the source from a row of the copy to the next
    Py_ssize_t low      # row of the source that pixel 0 reads first
    Py_ssize_t span     # rows of the copy that a pixel reads beyond its first

ctypedef struct Points:
    Py_ssize_t images, src_image, src_channel, src_line, src_pixel
    Axis h, w
    Py_ssize_t phases                  # h.phases * w.phases
    Py_ssize_t taps                    # of all phases, sorted by phase
    Py_ssize_t first[MOST_TAPS + 1]    # tap of each phase
    Py_ssize_t weight[MOST_TAPS]       # of the tap: place among the kernel's elements
    Py_ssize_t tap_h[MOST_TAPS]
    Py_ssize_t tap_w[MOST_TAPS]
    # of the copy, from here on
    Py_ssize_t unit_images, unit_rows, stripes, units
    bint in_cells                      # the channels of a pixel side by side
    Py_ssize_t rows, pitch             # of an image's part
    Py_ssize_t channel_step, place_step, size
    Py_ssize_t offset[MOST_TAPS]


# Reaches are counted from the row of pixel 0; `stride`: rows of the source from a pixel to the next of its phase.
cdef inline void _set_axis(Axis* a, Py_ssize_t* reach, Py_ssize_t taps, Py_ssize_t stride) noexcept nogil:
    cdef Py_ssize_t t, high
    a.low = high = reach[0] if taps else 0
    for t in range(taps):
        a.low = min(a.low, reach[t])
        high = max(high, reach[t])
    a.grain = stride if high == a.low else 1
    a.step = stride // a.grain
    a.span = quotient(high - a.low, a.grain)
    for t in range(taps):
        reach[t] = quotient(reach[t] - a.low, a.grain)


cdef inline void _set_source(Points* p, const Py_ssize_t* shape, const Py_ssize_t* steps,
                             const Py_ssize_t* out) noexcept nogil:
    p.images = shape[0]
    p.src_image, p.src_channel, p.src_line, p.src_pixel = steps[0], steps[1], steps[3], steps[4]
    p.h.size, p.w.size = shape[3], shape[4]
    p.h.out, p.w.out = out[3], out[4]


cdef inline bint forward_points(Points* p, const Geometry* q) noexcept nogil:
    cdef Py_ssize_t i, j, t = 0
    p.taps = q.kernel[1] * q.kernel[2]
    if p.taps > MOST_TAPS:
        return False
    _set_source(p, q.x_shape, q.x_steps, q.y_shape)
    p.phases = p.h.phases = p.w.phases = 1
    for i in range(q.kernel[1]):
        for j in range(q.kernel[2]):
            p.tap_h[t] = i * q.dilation[1] - q.pad[1]
            p.tap_w[t] = j * q.dilation[2] - q.pad[2]
            p.weight[t] = t
            t += 1
    p.first[0] = 0
    p.first[1] = p.taps
    _set_axis(&p.h, p.tap_h, p.taps, q.stride[1])
    _set_axis(&p.w, p.tap_w, p.taps, q.stride[2])
    return True


# Makes a small image one row where a single tap reads it from end to end: rows cost more than pixels.
cdef inline void flatten_points(Points* p, Py_ssize_t line, Py_ssize_t pixel, Py_ssize_t most) noexcept nogil:
    if (p.taps != 1 or p.phases != 1 or p.h.grain != 1 or p.w.grain != 1 or p.h.low != 0 or p.w.low != 0
            or p.h.out != p.h.size or p.w.out != p.w.size or p.src_line != p.w.size * p.src_pixel
            or line != p.w.out * pixel or p.h.out * p.w.out > most):
        return
    p.w.out = p.w.size = p.h.out * p.w.out
    p.h.out = p.h.size = 1


cdef inline bint backward_points(Points* p, const Geometry* q) noexcept nogil:
    cdef Py_ssize_t i, j, h, w, phase, n = 0
    p.h.phases = min(q.stride[1], q.x_shape[3])
    p.w.phases = min(q.stride[2], q.x_shape[4])
    if q.kernel[1] * q.kernel[2] > MOST_TAPS or p.h.phases > MOST_TAPS or p.w.phases > MOST_TAPS // p.h.phases:
        return False
    p.phases = p.h.phases * p.w.phases
    _set_source(p, q.y_shape, q.y_steps, q.x_shape)
    for phase in range(p.phases):
        p.first[phase] = n
        for i in range(q.kernel[1]):
            for j in range(q.kernel[2]):
                h = quotient(phase, p.w.phases) + q.pad[1] - i * q.dilation[1]
                w = remainder(phase, p.w.phases) + q.pad[2] - j * q.dilation[2]
                if remainder(h, q.stride[1]) == 0 and remainder(w, q.stride[2]) == 0:
                    p.tap_h[n] = quotient(h, q.stride[1])  # exact
                    p.tap_w[n] = quotient(w, q.stride[2])
                    p.weight[n] = i * q.kernel[2] + j
                    n += 1
    p.first[p.phases] = p.taps = n
    _set_axis(&p.h, p.tap_h, n, 1)
    _set_axis(&p.w, p.tap_w, n, 1)
    return True


# Rows (or columns) of the copy for `pixels` pixels from one on whose number is a multiple of the phases.
cdef inline Py_ssize_t copy_rows(const Axis* a, Py_ssize_t pixels) noexcept nogil:
    return (pixels - 1) // a.phases * a.step + a.span + 1


# Sets the unit: whole images, or rows of one.
cdef inline void set_unit(Points* p, Py_ssize_t images, Py_ssize_t rows) noexcept nogil:
    p.unit_images = images
    p.unit_rows = rows
    p.stripes = ceil_div(p.h.out, rows)
    p.units = ceil_div(p.images, images) * p.stripes
    p.rows = copy_rows(&p.h, rows)
    p.pitch = copy_rows(&p.w, p.w.out)


# Lays out the copy for `channels` channels at once: apart, or side by side in cells.
cdef inline void lay_out(Points* p, Py_ssize_t channels, Py_ssize_t lanes, bint in_cells) noexcept nogil:
    cdef Py_ssize_t t, cells = p.unit_images * p.rows * p.pitch
    p.in_cells = in_cells
    if not in_cells:
        # A vector to spare, and an odd number of lines, so that channels fall on different cache sets.
        p.channel_step = (ceil_div(cells, lanes) + 1) // 2 * 2 * lanes + lanes
        p.place_step = 1
        p.size = channels * p.channel_step + lanes
    else:
        # An odd number of vectors: the cells of a register tile lie in different cache sets.
        p.channel_step = 1
        p.place_step = (ceil_div(channels, lanes) | 1) * lanes if channels > lanes else channels
        p.size = p.place_step * cells
    for t in range(p.taps):
        p.offset[t] = (p.tap_h[t] * p.pitch + p.tap_w[t]) * p.place_step


# The first image, the images, the first row and the rows of a unit.
cdef inline void find_unit(const Points* p, Py_ssize_t unit, Py_ssize_t* image, Py_ssize_t* images, Py_ssize_t* row,
                           Py_ssize_t* rows) noexcept nogil:
    image[0] = unit // p.stripes * p.unit_images
    images[0] = min(p.unit_images, p.images - image[0])
    row[0] = unit % p.stripes * p.unit_rows
    rows[0] = min(p.unit_rows, p.h.out - row[0])


# For the pixels of a unit, phase by phase: where in the copy each lies, and its number among the unit's pixels times
# `width`. begin[phase]: the first of each phase.
cdef inline void list_pixels(const Points* p, Py_ssize_t images, Py_ssize_t rows, Py_ssize_t width, Py_ssize_t* begin,
                             Py_ssize_t* pixel, Py_ssize_t* place) noexcept nogil:
    cdef Py_ssize_t phase, image, i, j, line, n = 0
    for phase in range(p.phases):
        begin[phase] = n
        for image in range(images):
            i = phase // p.w.phases
            while i < rows:
                line = (image * p.rows + i // p.h.phases * p.h.step) * p.pitch
                j = phase % p.w.phases
                while j < p.w.out:
                    pixel[n] = (line + j // p.w.phases * p.w.step) * p.place_step
                    place[n] = ((image * rows + i) * p.w.out + j) * width
                    n += 1
                    j += p.w.phases
                i += p.h.phases
    begin[p.phases] = n


# The rows i of a copy for which first + i * grain lies in 0 .. size - 1: lo .. hi - 1.
cdef inline void _inside(Py_ssize_t first, const Axis* a, Py_ssize_t count, Py_ssize_t* lo,
                         Py_ssize_t* hi) noexcept nogil:
    lo[0] = min(max(ceil_div(-first, a.grain), 0), count)
    hi[0] = min(max(ceil_div(a.size - first, a.grain), lo[0]), count)


cdef inline void _copy_lines(const Points* p, const floating* src, Py_ssize_t channels, Py_ssize_t row_lo,
                             Py_ssize_t row_hi, Py_ssize_t lo, Py_ssize_t hi, floating* copy) noexcept nogil:
    cdef Py_ssize_t i, j, step = p.w.grain * p.src_pixel
    cdef Py_ssize_t cell = p.place_step  # which has room for more channels than there are in the last block
    cdef floating* line
    for i in range(p.rows):
        line = copy + i * p.pitch * cell
        if i < row_lo or i >= row_hi:
            memset(line, 0, <size_t> (p.pitch * cell) * sizeof(floating))
            continue
        memset(line, 0, <size_t> (lo * cell) * sizeof(floating))
        memset(line + hi * cell, 0, <size_t> ((p.pitch - hi) * cell) * sizeof(floating))
        if p.src_pixel == 1:
            transpose_run(line + lo * cell, cell, src + i * p.h.grain * p.src_line + lo * step, p.src_channel, channels,
                          hi - lo, step)
            continue
        for j in range(lo, hi):
            memcpy(line + j * cell, src + i * p.h.grain * p.src_line + j * step,
                   <size_t> channels * sizeof(floating))


# Copies `channels` channels for the unit that begins at (image, row); src: the first channel of image 0.
cdef inline void copy_unit(const Points* p, const floating* src, Py_ssize_t channels, Py_ssize_t image,
                           Py_ssize_t images, Py_ssize_t row, floating* copy) noexcept nogil:
    cdef Py_ssize_t top = row // p.h.phases * p.h.step * p.h.grain + p.h.low
    cdef Py_ssize_t row_lo, row_hi, lo, hi, i
    _inside(top, &p.h, p.rows, &row_lo, &row_hi)
    _inside(p.w.low, &p.w, p.pitch, &lo, &hi)
    src += image * p.src_image + top * p.src_line + p.w.low * p.src_pixel
    for i in range(images):
        if not p.in_cells:
            pack_plane(copy + i * p.rows * p.pitch, p.channel_step, p.pitch, src, p.src_channel,
                       p.h.grain * p.src_line, channels, p.rows, row_lo, row_hi, lo, hi, p.w.grain)
        else:
            _copy_lines(p, src, channels, row_lo, row_hi, lo, hi, copy + i * p.rows * p.pitch * p.place_step)
        src += p.src_image

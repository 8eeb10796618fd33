# The input of a convolution as padded planes, so that every tap reads at a fixed distance from every pixel.
#
# Output pixel (i, j) reads, for tap t, row i * step_h + reach_h[t] and column j * step_w + reach_w[t] of the source.
# For a stripe of output rows the source is copied once: per channel, and per remainder of row and column modulo the
# step ("phase"), a plane with `pitch` columns, zeros outside the source. In it the pixel has the number i * pitch + j
# and tap t reads `offset[t]` further on; a register tile runs along the numbers, and the pitch - out_w numbers between
# two rows are computed and dropped.
#
# Forward: steps are the strides. Backward to the input: the source is dy, each phase of dx a sum with steps of 1.

from cython cimport floating

from pycnn.kernels._geometry cimport Geometry
from pycnn.kernels._integers cimport floor_div, quotient, remainder
from pycnn.kernels._tiles cimport pack_plane

cdef enum:
    MOST_TAPS = 128

ctypedef struct Planes:
    Py_ssize_t images, height, width             # of the source
    Py_ssize_t src_image, src_channel, src_line  # steps; pixels lie side by side
    Py_ssize_t out_h, out_w
    Py_ssize_t step_h, step_w
    Py_ssize_t taps
    Py_ssize_t reach_h[MOST_TAPS]
    Py_ssize_t reach_w[MOST_TAPS]
    Py_ssize_t weight[MOST_TAPS]                 # of the tap: place among the kernel's elements
    Py_ssize_t phases                            # that any tap reads
    Py_ssize_t phase_h[MOST_TAPS]                # row and column of the source at which a phase begins
    Py_ssize_t phase_w[MOST_TAPS]
    Py_ssize_t halo                              # rows that a stripe reads beyond its own
    Py_ssize_t pitch
    Py_ssize_t stripe                            # most output rows at once
    Py_ssize_t channel_size                      # of a channel's planes, in values
    Py_ssize_t offset[MOST_TAPS]


# Phases, pitch and halo from sizes, steps and reaches.
cdef inline void prepare_planes(Planes* p) noexcept nogil:
    cdef Py_ssize_t t, i, h, w, low_h = p.reach_h[0], low_w = p.reach_w[0], most_w = 0
    for t in range(1, p.taps):
        low_h = min(low_h, p.reach_h[t])
        low_w = min(low_w, p.reach_w[t])
    p.phases = 0
    p.halo = 0
    for t in range(p.taps):
        h = low_h + remainder(p.reach_h[t] - low_h, p.step_h)
        w = low_w + remainder(p.reach_w[t] - low_w, p.step_w)
        i = 0
        while i < p.phases and (p.phase_h[i] != h or p.phase_w[i] != w):
            i += 1
        if i == p.phases:
            p.phase_h[i] = h
            p.phase_w[i] = w
            p.phases += 1
        p.halo = max(p.halo, quotient(p.reach_h[t] - h, p.step_h))
        most_w = max(most_w, quotient(p.reach_w[t] - w, p.step_w))
    p.pitch = p.out_w + most_w


# Whether the source is its own plane: one tap that reads its own pixel, and rows that follow one another. Where they
# do, `line` and `pixel` steps apart, in what is written too, all rows are made one.
cdef inline bint flatten_planes(Planes* p, Py_ssize_t line, Py_ssize_t pixel) noexcept nogil:
    if (p.taps != 1 or p.step_h != 1 or p.step_w != 1 or p.reach_h[0] != 0 or p.reach_w[0] != 0
            or p.out_h != p.height or p.out_w != p.width or p.src_line != p.width):
        return False
    if line == p.out_w * pixel:
        p.out_w = p.width = p.pitch = p.out_h * p.out_w
        p.out_h = p.height = 1
    return True


# Sets the stripe and with it the offsets.
cdef inline void cut_planes(Planes* p, Py_ssize_t stripe) noexcept nogil:
    cdef Py_ssize_t t, i, size = (stripe + p.halo) * p.pitch
    p.stripe = stripe
    p.channel_size = p.phases * size + 16  # a vector to spare
    for t in range(p.taps):
        i = 0
        while (remainder(p.reach_h[t] - p.phase_h[i], p.step_h) != 0
                or remainder(p.reach_w[t] - p.phase_w[i], p.step_w) != 0):
            i += 1
        p.offset[t] = (i * size + quotient(p.reach_h[t] - p.phase_h[i], p.step_h) * p.pitch
                       + quotient(p.reach_w[t] - p.phase_w[i], p.step_w))


# The planes of `channels` channels for output rows row .. row + rows - 1; src: the first channel of the image. Writes
# up to a vector beyond channel_size.
cdef inline void fill_planes(const Planes* p, const floating* src, Py_ssize_t channels, Py_ssize_t row, Py_ssize_t rows,
                             floating* planes) noexcept nogil:
    cdef Py_ssize_t i, line, lo, hi, row_lo, row_hi
    for i in range(p.phases):
        lo = min(max(floor_div(p.step_w - 1 - p.phase_w[i], p.step_w), 0), p.pitch)
        hi = min(max(floor_div(p.width - 1 - p.phase_w[i], p.step_w) + 1, lo), p.pitch)
        line = row * p.step_h + p.phase_h[i]
        row_lo = max(floor_div(p.step_h - 1 - line, p.step_h), 0)
        row_hi = floor_div(p.height - 1 - line, p.step_h) + 1
        pack_plane(planes + i * (p.stripe + p.halo) * p.pitch, p.channel_size, p.pitch,
                   src + line * p.src_line + p.phase_w[i], p.src_channel, p.step_h * p.src_line, channels,
                   rows + p.halo, row_lo, row_hi, lo, hi, p.step_w)


# The planes of the forward pass, without steps of the output. False where they do not apply.
cdef inline bint forward_planes(Planes* p, const Geometry* q) noexcept nogil:
    cdef Py_ssize_t i, j, t = 0
    p.taps = q.kernel[1] * q.kernel[2]
    if p.taps == 0 or p.taps > MOST_TAPS:
        return False
    p.images = q.x_shape[0]
    p.height = q.x_shape[3]
    p.width = q.x_shape[4]
    p.src_image = q.x_steps[0]
    p.src_channel = q.x_steps[1]
    p.src_line = q.x_steps[3]
    p.out_h = q.y_shape[3]
    p.out_w = q.y_shape[4]
    p.step_h = q.stride[1]
    p.step_w = q.stride[2]
    for i in range(q.kernel[1]):
        for j in range(q.kernel[2]):
            p.reach_h[t] = i * q.dilation[1] - q.pad[1]
            p.reach_w[t] = j * q.dilation[2] - q.pad[2]
            p.weight[t] = t
            t += 1
    prepare_planes(p)
    return True


# The planes of the cells (phase_h + i * stride, phase_w + j * stride) of dx. With no tap they are 0: p.taps.
cdef inline bint backward_planes(Planes* p, const Geometry* q, Py_ssize_t phase_h, Py_ssize_t phase_w) noexcept nogil:
    cdef Py_ssize_t i, j, h, w, t = -1
    if q.kernel[1] * q.kernel[2] > MOST_TAPS:
        return False
    p.images = q.y_shape[0]
    p.height = q.y_shape[3]
    p.width = q.y_shape[4]
    p.src_image = q.y_steps[0]
    p.src_channel = q.y_steps[1]
    p.src_line = q.y_steps[3]
    p.out_h = (q.x_shape[3] - phase_h + q.stride[1] - 1) // q.stride[1]
    p.out_w = (q.x_shape[4] - phase_w + q.stride[2] - 1) // q.stride[2]
    p.step_h = p.step_w = 1
    p.taps = 0
    for i in range(q.kernel[1]):
        for j in range(q.kernel[2]):
            t += 1
            h = phase_h + q.pad[1] - i * q.dilation[1]
            w = phase_w + q.pad[2] - j * q.dilation[2]
            if remainder(h, q.stride[1]) == 0 and remainder(w, q.stride[2]) == 0:
                p.reach_h[p.taps] = quotient(h, q.stride[1])  # exact
                p.reach_w[p.taps] = quotient(w, q.stride[2])
                p.weight[p.taps] = t
                p.taps += 1
    if p.taps:
        prepare_planes(p)
    return True

# Convolution and its gradient for the input as one kind of sum:
#
#     out[g, m, p] = sum_{c, t} src[g, c, place(p) + offset(t)] * w[g, m, c, t]
#
# over the pixels p of (N, D, H, W), the channels c of a group and the taps t of the kernel; a tap that would read
# outside src contributes 0. Forward, a pixel is a cell of y, src is x and a tap is a kernel element. Backward to the
# input a pixel is a cell of x, src is dy and the taps are the kernel turned by 180 degrees; with stride s the cells of
# x fall into s phases per axis (cells i with i % s = phase), each with the taps that reach it: a sum of the same kind,
# so no scatter and no zeros in between.
#
# Everything about stride, dilation and padding is in the tap tables: an offset, and per axis the range of pixels for
# which the tap is inside. 1-d and 2-d convolutions have extents of 1.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._integers cimport floor_div
from pycnn.kernels._runtime cimport Piece, allocate, release
from pycnn.kernels._tiles cimport pack_panel


cdef inline Py_ssize_t _clip(Py_ssize_t v, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    return lo if v < lo else (hi if v > hi else v)


cdef bint _alloc_taps(Taps* taps, Py_ssize_t count) noexcept nogil:
    taps.count = count
    cdef Py_ssize_t* memory = <Py_ssize_t*> allocate(<size_t> (count * 10 + 1) * sizeof(Py_ssize_t))
    taps.offset = memory
    if memory == NULL:
        return False
    taps.weight = memory + count
    taps.lo = memory + 2 * count
    taps.hi = memory + 6 * count
    return True


cdef void free_patches(Patches* p) noexcept nogil:
    release(p.taps.offset)
    p.taps.offset = NULL


# Puts the pixel axes in order: the axis that is contiguous in src runs fastest, W unless the images do (HWCN).
cdef void _order_axes(Patches* p) noexcept nogil:
    cdef Py_ssize_t i, t, a, b, k
    if not (p.src_pixel[0] == 1 and p.src_pixel[3] != 1 and p.extent[0] > 1):
        return
    for k in range(3):  # bubble N from place 0 to place 3
        a = k
        b = k + 1
        p.extent[a], p.extent[b] = p.extent[b], p.extent[a]
        p.src_pixel[a], p.src_pixel[b] = p.src_pixel[b], p.src_pixel[a]
        p.dst_pixel[a], p.dst_pixel[b] = p.dst_pixel[b], p.dst_pixel[a]
        for t in range(p.taps.count):
            i = 4 * t
            p.taps.lo[i + a], p.taps.lo[i + b] = p.taps.lo[i + b], p.taps.lo[i + a]
            p.taps.hi[i + a], p.taps.hi[i + b] = p.taps.hi[i + b], p.taps.hi[i + a]


# True where every tap is inside for every pixel of the axis.
cdef bint _all_inside(const Patches* p, Py_ssize_t axis) noexcept nogil:
    cdef Py_ssize_t t
    for t in range(p.taps.count):
        if p.taps.lo[4 * t + axis] > 0 or p.taps.hi[4 * t + axis] < p.extent[axis]:
            return False
    return True


# Joins axis 2 to axis 3 (and so on outwards) where pixels go on in one step through both: a 1x1 convolution of whole
# planes is then a few long runs.
cdef void _merge_axes(Patches* p) noexcept nogil:
    cdef Py_ssize_t a, t, _
    for _ in range(3):
        if not (_all_inside(p, 2) and _all_inside(p, 3)):
            return
        if p.extent[3] != 1 and p.extent[2] != 1:
            if p.src_pixel[2] != p.src_pixel[3] * p.extent[3] or p.dst_pixel[2] != p.dst_pixel[3] * p.extent[3]:
                return
        elif p.extent[3] == 1:
            p.src_pixel[3] = p.src_pixel[2]
            p.dst_pixel[3] = p.dst_pixel[2]
        p.extent[3] *= p.extent[2]
        for a in range(2, 0, -1):
            p.extent[a] = p.extent[a - 1]
            p.src_pixel[a] = p.src_pixel[a - 1]
            p.dst_pixel[a] = p.dst_pixel[a - 1]
        p.extent[0] = 1
        p.src_pixel[0] = p.dst_pixel[0] = 0
        for t in range(p.taps.count):
            for a in range(2, 0, -1):
                p.taps.lo[4 * t + a] = p.taps.lo[4 * t + a - 1]
                p.taps.hi[4 * t + a] = p.taps.hi[4 * t + a - 1]
            p.taps.lo[4 * t] = 0
            p.taps.hi[4 * t] = 1
            p.taps.hi[4 * t + 3] = p.extent[3]


# shapes and steps are of (N, C, D, H, W) views; kernel, stride, pad (before) and dilation of (D, H, W).
cdef bint forward_patches(Patches* p, const Py_ssize_t* x_shape, const Py_ssize_t* x_steps, const Py_ssize_t* y_shape,
                          const Py_ssize_t* y_steps, const Py_ssize_t* kernel, const Py_ssize_t* stride,
                          const Py_ssize_t* pad, const Py_ssize_t* dilation, Py_ssize_t groups) noexcept nogil:
    cdef Py_ssize_t volume = kernel[0] * kernel[1] * kernel[2]
    cdef Py_ssize_t t, a, reach
    cdef Py_ssize_t place[3]
    p.groups = groups
    p.rows = y_shape[1] // groups
    p.channels = x_shape[1] // groups
    p.src_channel = x_steps[1]
    p.src_group = p.channels * x_steps[1]
    p.dst_row = y_steps[1]
    p.dst_group = p.rows * y_steps[1]
    p.w_channel = volume
    p.w_row = p.channels * volume
    p.w_group = p.rows * p.w_row
    p.extent[0] = x_shape[0]
    p.src_pixel[0] = x_steps[0]
    p.dst_pixel[0] = y_steps[0]
    p.pixels = x_shape[0]
    for a in range(3):
        p.extent[a + 1] = y_shape[a + 2]
        p.src_pixel[a + 1] = stride[a] * x_steps[a + 2]
        p.dst_pixel[a + 1] = y_steps[a + 2]
        p.pixels *= y_shape[a + 2]
    if not _alloc_taps(&p.taps, volume):
        return False
    for t in range(volume):
        place[0] = t // (kernel[1] * kernel[2])
        place[1] = t // kernel[2] % kernel[1]
        place[2] = t % kernel[2]
        p.taps.weight[t] = t
        p.taps.offset[t] = 0
        p.taps.lo[4 * t] = 0
        p.taps.hi[4 * t] = p.extent[0]
        for a in range(3):
            reach = place[a] * dilation[a] - pad[a]  # pixel o reads cell o * stride + reach
            p.taps.offset[t] += reach * x_steps[a + 2]
            p.taps.lo[4 * t + a + 1] = _clip(-floor_div(reach, stride[a]), 0, p.extent[a + 1])
            p.taps.hi[4 * t + a + 1] = _clip(
                floor_div(x_shape[a + 2] - 1 - reach, stride[a]) + 1, 0, p.extent[a + 1])
    _order_axes(p)
    _merge_axes(p)
    return True


# The pixels of one phase of the input's gradient; dst_offset: elements from dx to the phase's first cell.
cdef bint backward_patches(Patches* p, const Py_ssize_t* x_shape, const Py_ssize_t* x_steps, const Py_ssize_t* y_shape,
                           const Py_ssize_t* y_steps, const Py_ssize_t* kernel, const Py_ssize_t* stride,
                           const Py_ssize_t* pad, const Py_ssize_t* dilation, Py_ssize_t groups,
                           const Py_ssize_t* phase, Py_ssize_t* dst_offset) noexcept nogil:
    cdef Py_ssize_t volume = kernel[0] * kernel[1] * kernel[2]
    cdef Py_ssize_t t, a, reach, used = 0
    cdef Py_ssize_t place[3]
    cdef bint reaches
    p.groups = groups
    p.rows = x_shape[1] // groups
    p.channels = y_shape[1] // groups
    p.src_channel = y_steps[1]
    p.src_group = p.channels * y_steps[1]
    p.dst_row = x_steps[1]
    p.dst_group = p.rows * x_steps[1]
    p.w_row = volume
    p.w_channel = p.rows * volume
    p.w_group = p.channels * p.w_channel
    p.extent[0] = x_shape[0]
    p.src_pixel[0] = y_steps[0]
    p.dst_pixel[0] = x_steps[0]
    p.pixels = x_shape[0]
    dst_offset[0] = 0
    for a in range(3):
        p.extent[a + 1] = (x_shape[a + 2] - phase[a] + stride[a] - 1) // stride[a] if phase[a] < x_shape[a + 2] else 0
        p.src_pixel[a + 1] = y_steps[a + 2]
        p.dst_pixel[a + 1] = stride[a] * x_steps[a + 2]
        p.pixels *= p.extent[a + 1]
        dst_offset[0] += phase[a] * x_steps[a + 2]
    if not _alloc_taps(&p.taps, volume):
        return False
    for t in range(volume):
        place[0] = t // (kernel[1] * kernel[2])
        place[1] = t // kernel[2] % kernel[1]
        place[2] = t % kernel[2]
        reaches = True
        for a in range(3):
            if (phase[a] + pad[a] - place[a] * dilation[a]) % stride[a] != 0:
                reaches = False
        if not reaches:
            continue
        p.taps.weight[used] = t
        p.taps.offset[used] = 0
        p.taps.lo[4 * used] = 0
        p.taps.hi[4 * used] = p.extent[0]
        for a in range(3):
            reach = (phase[a] + pad[a] - place[a] * dilation[a]) // stride[a]  # exact: cell i reads output i + reach
            p.taps.offset[used] += reach * y_steps[a + 2]
            p.taps.lo[4 * used + a + 1] = _clip(-reach, 0, p.extent[a + 1])
            p.taps.hi[4 * used + a + 1] = _clip(y_shape[a + 2] - reach, 0, p.extent[a + 1])
        used += 1
    p.taps.count = used
    _order_axes(p)
    _merge_axes(p)
    return True


# Cuts `count` pixels from `first` on into runs along the last axis; at most `count` runs. Returns their number.
cdef Py_ssize_t find_runs(const Patches* p, Py_ssize_t first, Py_ssize_t count, Run* runs) noexcept nogil:
    cdef Py_ssize_t n = 0, begin = 0, rest = first, a
    cdef Py_ssize_t place[4]
    for a in range(3, -1, -1):
        place[a] = rest % p.extent[a]
        rest //= p.extent[a]
    while begin < count:
        runs[n].begin = begin
        runs[n].length = min(count - begin, p.extent[3] - place[3])
        runs[n].src = runs[n].dst = 0
        for a in range(4):
            runs[n].place[a] = place[a]
            runs[n].src += place[a] * p.src_pixel[a]
            runs[n].dst += place[a] * p.dst_pixel[a]
        begin += runs[n].length
        n += 1
        place[3] = 0
        for a in range(2, -1, -1):
            place[a] += 1
            if place[a] < p.extent[a]:
                break
            place[a] = 0
    return n


# lo and hi of the part of a run that tap t reads inside src; (0, 0) where there is none.
cdef inline void _inside(const Patches* p, const Run* run, Py_ssize_t t, Py_ssize_t* lo, Py_ssize_t* hi) noexcept nogil:
    cdef Py_ssize_t a
    for a in range(3):
        if run.place[a] < p.taps.lo[4 * t + a] or run.place[a] >= p.taps.hi[4 * t + a]:
            lo[0] = hi[0] = 0
            return
    lo[0] = _clip(p.taps.lo[4 * t + 3] - run.place[3], 0, run.length)
    hi[0] = _clip(p.taps.hi[4 * t + 3] - run.place[3], lo[0], run.length)


cdef bint all_inside(const Patches* p, const Run* run, Py_ssize_t t) noexcept nogil:
    cdef Py_ssize_t lo, hi
    _inside(p, run, t, &lo, &hi)
    return lo == 0 and hi == run.length


# panel[(c - c0) * (t1 - t0) + t - t0][j] = what tap t of channel c reads for pixel j. Columns from the last pixel on
# hold anything. The panel has a vector to spare at its end; `pieces` has room for (t1 - t0) * n_runs.
cdef void pack_columns(const Patches* p, const floating* src, const Run* runs, Py_ssize_t n_runs,
                       Py_ssize_t c0, Py_ssize_t c1, Py_ssize_t t0, Py_ssize_t t1,
                       floating* panel, Py_ssize_t width, Piece* pieces) noexcept nogil:
    cdef Py_ssize_t r, t
    cdef Piece* piece = pieces
    for t in range(t0, t1):
        for r in range(n_runs):
            piece.begin = runs[r].begin
            piece.length = runs[r].length
            piece.src = runs[r].src + p.taps.offset[t]
            _inside(p, &runs[r], t, &piece.lo, &piece.hi)
            piece += 1
    pack_panel(panel, width, src + c0 * p.src_channel, p.src_channel, c1 - c0, pieces, t1 - t0, n_runs, p.src_pixel[3])


# row[j] = what tap t of channel c reads for pixel j. The row has a vector to spare; `pieces` has room for n_runs.
cdef void pack_row(const Patches* p, const floating* src, const Run* runs, Py_ssize_t n_runs, Py_ssize_t c,
                   Py_ssize_t t, floating* row, Piece* pieces) noexcept nogil:
    pack_columns(p, src, runs, n_runs, c, c + 1, t, t + 1, row, 0, pieces)


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Patches p
    cdef Run run
    memset(&p, 0, sizeof(Patches))
    pack_columns(&p, <const float*> NULL, &run, 0, 0, 0, 0, 0, <float*> NULL, 0, NULL)
    pack_columns(&p, <const double*> NULL, &run, 0, 0, 0, 0, 0, <double*> NULL, 0, NULL)
    pack_row(&p, <const float*> NULL, &run, 0, 0, 0, <float*> NULL, NULL)
    pack_row(&p, <const double*> NULL, &run, 0, 0, 0, <double*> NULL, NULL)

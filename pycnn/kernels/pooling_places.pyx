# Places (int64, into the D * H * W cells of a channel) and codes (bytes, within a window): checking them, adding,
# writing and reading where they point.
#
#     scatter_add   dx[n,c,place[n,c,o]] += dy[n,c,o]      places may repeat and need not lie in window o
#     scatter       y[n,c,place[n,c,o]]   = x[n,c,o]       the last of equal places wins
#     gather        dx[n,c,o] = dy[n,c,place[n,c,o]]
#
# One chunk of the pool is one channel, or some channels side by side where they are contiguous; within it the order is
# that of the windows, so the result does not depend on the number of threads.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._call cimport View, read_volume
from pycnn.kernels._integers cimport ceil_div
from pycnn.kernels._pycnn_h cimport PoolGeometry
from pycnn.kernels._runtime cimport parallel_for, parallel_work, tiles
from pycnn.kernels.pooling_common cimport (
    Axis, Steps, axis_from, axis_of, byte, end_inside, end_tap, first_inside, first_tap, place_t, steps_of,
)

# Moving a value needs to know its width only.
ctypedef fused word:
    unsigned int
    unsigned long long

cdef enum:
    CELLS_PER_CHUNK = 32768
    SIDE_BY_SIDE = 64         # channels of a chunk, where they are contiguous

ctypedef struct Job:
    void* few                   # one value per window
    void* cells                 # the volume
    const place_t* places
    Steps fs
    Steps cs
    Steps ps
    Py_ssize_t images
    Py_ssize_t channels
    Py_ssize_t d                # windows
    Py_ssize_t h
    Py_ssize_t w
    Py_ssize_t depth            # cells
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t side             # channels of a chunk
    Py_ssize_t sides
    Py_ssize_t per_chunk        # groups of channels
    bint flat                   # cell p lies p * cs.w from the first
    bint add                    # else move: `write` to the volume, or read from it
    bint write
    Py_ssize_t itemsize

ctypedef struct Check:
    const byte* codes
    const place_t* places
    Steps s
    Py_ssize_t images
    Py_ssize_t channels
    Axis d
    Axis h
    Axis w
    place_t cells
    Py_ssize_t taps
    byte kd[256]                # code -> tap along each axis
    byte kh[256]
    byte kw[256]
    Py_ssize_t from_d, to_d     # windows that lie on cells only
    Py_ssize_t from_h, to_h
    Py_ssize_t from_w, to_w
    Py_ssize_t windows
    bint dense                  # codes are contiguous
    bint inside                 # no window reaches beyond the cells
    Py_ssize_t per_chunk
    int bad


cdef inline Py_ssize_t _cell(const Job* job, place_t place) noexcept nogil:
    if job.flat:
        return place * job.cs.w
    return (place // job.width // job.height * job.cs.d + place // job.width % job.height * job.cs.h
            + place % job.width * job.cs.w)


cdef void _clear(const Job* job, char* cells, Py_ssize_t channels, Py_ssize_t itemsize) noexcept nogil:
    cdef Py_ssize_t i, j, k, c
    cdef char* row
    if job.flat and job.cs.w == 1 and channels == 1:
        memset(cells, 0, job.depth * job.height * job.width * itemsize)
        return
    for i in range(job.depth):
        for j in range(job.height):
            for k in range(job.width):
                row = cells + (i * job.cs.d + j * job.cs.h + k * job.cs.w) * itemsize
                if job.cs.c == 1:
                    memset(row, 0, channels * itemsize)
                    continue
                for c in range(channels):
                    memset(row + c * job.cs.c * itemsize, 0, itemsize)


# The channels first .. first + channels - 1 of image n.
cdef void _add(floating* tag, const Job* job, Py_ssize_t n, Py_ssize_t first, Py_ssize_t channels) noexcept nogil:
    cdef floating* cells = <floating*> job.cells + n * job.cs.n + first * job.cs.c
    cdef const floating* few = <const floating*> job.few + n * job.fs.n + first * job.fs.c
    cdef const place_t* places = job.places + n * job.ps.n + first * job.ps.c
    cdef Py_ssize_t i, j, k, _k, c, at, p
    _clear(job, <char*> cells, channels, sizeof(floating))
    for i in range(job.d):
        for j in range(job.h):
            at = i * job.fs.d + j * job.fs.h
            p = i * job.ps.d + j * job.ps.h
            if job.flat and channels == 1 and job.cs.w == 1:
                for k in range(job.w):
                    cells[places[p + k * job.ps.w]] += few[at + k * job.fs.w]
                continue
            for _k in range(job.w):
                for c in range(channels):
                    cells[_cell(job, places[p + c * job.ps.c]) + c * job.cs.c] += few[at + c * job.fs.c]
                at += job.fs.w
                p += job.ps.w


cdef void _move(word* tag, const Job* job, Py_ssize_t n, Py_ssize_t first, Py_ssize_t channels,
                bint write) noexcept nogil:
    cdef word* cells = <word*> job.cells + n * job.cs.n + first * job.cs.c
    cdef word* few = <word*> job.few + n * job.fs.n + first * job.fs.c
    cdef const place_t* places = job.places + n * job.ps.n + first * job.ps.c
    cdef Py_ssize_t i, j, k, c, at, p
    if write:
        _clear(job, <char*> cells, channels, sizeof(word))
    for i in range(job.d):
        for j in range(job.h):
            for k in range(job.w):
                at = i * job.fs.d + j * job.fs.h + k * job.fs.w
                p = i * job.ps.d + j * job.ps.h + k * job.ps.w
                for c in range(channels):
                    if write:
                        cells[_cell(job, places[p + c * job.ps.c]) + c * job.cs.c] = few[at + c * job.fs.c]
                    else:
                        few[at + c * job.fs.c] = cells[_cell(job, places[p + c * job.ps.c]) + c * job.cs.c]


cdef void _group(const Job* job, Py_ssize_t n, Py_ssize_t first, Py_ssize_t channels) noexcept nogil:
    if job.add and job.itemsize == sizeof(float):
        _add(<float*> NULL, job, n, first, channels)
    elif job.add:
        _add(<double*> NULL, job, n, first, channels)
    elif job.itemsize == 4:
        _move(<unsigned int*> NULL, job, n, first, channels, job.write)
    else:
        _move(<unsigned long long*> NULL, job, n, first, channels, job.write)


cdef void _chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef const Job* job = <const Job*> context
    cdef Py_ssize_t group, first
    for group in range(chunk * job.per_chunk, min(job.images * job.sides, (chunk + 1) * job.per_chunk)):
        first = group % job.sides * job.side
        _group(job, group // job.sides, first, min(job.side, job.channels - first))


cdef void _run(Job* job) noexcept nogil:
    cdef Py_ssize_t cells = job.depth * job.height * job.width
    if job.images * job.channels == 0:
        return
    job.flat = ((job.cs.h == job.width * job.cs.w or job.height == 1)
                and (job.cs.d == job.width * job.height * job.cs.w or job.depth == 1))
    job.side = 1
    if job.cs.c == 1 and job.cs.w != 1:
        job.side = min(job.channels, SIDE_BY_SIDE)
    job.sides = ceil_div(job.channels, job.side)
    job.per_chunk = max(1, CELLS_PER_CHUNK // (cells * job.side))
    parallel_for(_chunk, job, ceil_div(job.images * job.sides, job.per_chunk))


# `few`: (N, C, *windows), `cells`: (N, C, *spatial), `places`: like few, each 0 .. D * H * W - 1; `order`: their axes.
cdef object _call(few, cells, places, tuple order, bint add, bint write):
    cdef Job job
    cdef View fv, cv, pv
    read_volume(&fv, few, order)
    read_volume(&cv, cells, order, fv.size)
    read_volume(&pv, places, order, sizeof(place_t))
    job.images, job.channels = fv.shape[0], fv.shape[1]
    job.d, job.h, job.w = fv.shape[2], fv.shape[3], fv.shape[4]
    job.depth, job.height, job.width = cv.shape[2], cv.shape[3], cv.shape[4]
    job.few, job.cells, job.places = fv.data, cv.data, <const place_t*> pv.data
    job.fs, job.cs, job.ps = steps_of(&fv), steps_of(&cv), steps_of(&pv)
    job.add, job.write, job.itemsize = add, write, fv.size
    with nogil:
        _run(&job)


def scatter_add(dy, places, dx, tuple order):
    """Add each dy where its place says, to zeros."""
    _call(dy, dx, places, order, True, True)


def scatter(x, places, y, tuple order):
    """Put each x where its place says, zeros elsewhere."""
    _call(x, y, places, order, False, True)


def gather(dy, places, dx, tuple order):
    """Read dy where the places say."""
    _call(dx, dy, places, order, False, False)


# Whether a code of the rows begin .. end - 1 of a plane is no tap at all.
cdef bint _rows_have_bad(const Check* check, const byte* plane, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t j, k
    cdef const byte* row
    if check.s.w == 1 and check.s.h == check.w.out:
        return tiles().pool_f32.top_code(plane + begin * check.s.h, (end - begin) * check.w.out) >= check.taps
    for j in range(begin, end):
        row = plane + j * check.s.h
        for k in range(check.w.out):
            if row[k * check.s.w] >= check.taps:
                return True
    return False


# Whether a code of row j of plane i is no tap, or one above, below, before or behind the volume.
cdef bint _border_has_bad(const Check* check, const byte* row, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    cdef Py_ssize_t k, kd = first_tap(&check.d, i), kd_end = end_tap(&check.d, i)
    cdef Py_ssize_t kh = first_tap(&check.h, j), kh_end = end_tap(&check.h, j)
    cdef byte code
    cdef bint bad = False  # without branches: hardly any code is
    for k in range(check.w.out):
        code = row[k * check.s.w]
        bad |= ((code >= check.taps) | (check.kd[code] < kd) | (check.kd[code] >= kd_end)
                | (check.kh[code] < kh) | (check.kh[code] >= kh_end))
    return bad


# Whether a code of column k, each below `taps`, is left or right of the volume.
cdef bint _column_has_bad(const Check* check, const byte* plane, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t j, kw = first_tap(&check.w, k), kw_end = end_tap(&check.w, k)
    cdef byte tap
    cdef bint bad = False
    for j in range(check.h.out):
        tap = check.kw[plane[j * check.s.h + k * check.s.w]]
        bad |= (tap < kw) | (tap >= kw_end)
    return bad


# Codes of one channel: in a window that lies on cells only, any tap will do.
cdef bint _channel_has_bad(const Check* check, const byte* codes) noexcept nogil:
    cdef Py_ssize_t i, j, k, top, bottom
    cdef const byte* plane
    for i in range(check.d.out):
        plane = codes + i * check.s.d
        top = bottom = 0
        if check.from_d <= i < check.to_d:
            top, bottom = check.from_h, check.to_h
            if not check.dense and top < bottom and _rows_have_bad(check, plane, top, bottom):
                return True
        for j in range(top):
            if _border_has_bad(check, plane + j * check.s.h, i, j):
                return True
        for j in range(bottom, check.h.out):
            if _border_has_bad(check, plane + j * check.s.h, i, j):
                return True
        for k in range(check.from_w):
            if _column_has_bad(check, plane, k):
                return True
        for k in range(check.to_w, check.w.out):
            if _column_has_bad(check, plane, k):
                return True
    return False


cdef bint _places_have_bad(const Check* check, const place_t* places) noexcept nogil:
    cdef Py_ssize_t i, j, k
    cdef const place_t* row
    cdef place_t low, high
    for i in range(check.d.out):
        for j in range(check.h.out):
            row = places + i * check.s.d + j * check.s.h
            low = high = row[0]
            for k in range(1, check.w.out):
                low = min(low, row[k * check.s.w])
                high = max(high, row[k * check.s.w])
            if low < 0 or high >= check.cells:
                return True
    return False


cdef void _check_chunk(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Check* check = <Check*> context
    cdef Py_ssize_t channel, at, begin = chunk * check.per_chunk
    cdef Py_ssize_t end = min(check.images * check.channels, begin + check.per_chunk)
    if check.dense:
        at = (end - begin) * check.windows
        if tiles().pool_f32.top_code(check.codes + begin * check.windows, at) >= check.taps:
            check.bad = 1
        if check.bad or check.inside:
            return
    for channel in range(begin, end):
        at = channel // check.channels * check.s.n + channel % check.channels * check.s.c
        if check.codes != NULL:
            if _channel_has_bad(check, check.codes + at):
                check.bad = 1
        elif _places_have_bad(check, check.places + at):
            check.bad = 1


# The time of a code, in multiply-adds.
cdef inline double _work(const Check* check) noexcept nogil:
    if not check.dense:
        return 16
    return 0.5 if check.inside else 2


cdef bint _check(Check* check) noexcept nogil:
    cdef Py_ssize_t all_channels = check.images * check.channels
    check.bad = 0
    check.windows = check.d.out * check.h.out * check.w.out
    if all_channels * check.windows > 0:
        check.per_chunk = max(1, CELLS_PER_CHUNK // check.windows)
        parallel_work(_check_chunk, check, ceil_div(all_channels, check.per_chunk),
                      _work(check) * all_channels * check.windows)
    return check.bad == 0


cdef Axis _axis(tuple numbers, int which, tuple cells, const View* windows):
    cdef View volume
    volume.shape[2 + which] = cells[which]
    return axis_of(numbers, which, &volume, windows)


cdef bint _codes_inside(Check* check, const byte* codes) noexcept nogil:
    cdef Py_ssize_t code, rest
    check.codes, check.places, check.cells = codes, NULL, 0
    check.taps = check.d.kernel * check.h.kernel * check.w.kernel
    for code in range(check.taps):
        rest = code // check.w.kernel
        check.kw[code] = <byte> (code % check.w.kernel)
        check.kh[code] = <byte> (rest % check.h.kernel)
        check.kd[code] = <byte> (rest // check.h.kernel)
    check.from_d, check.to_d = first_inside(&check.d), end_inside(&check.d)
    check.from_h, check.to_h = first_inside(&check.h), end_inside(&check.h)
    check.from_w, check.to_w = first_inside(&check.w), end_inside(&check.w)
    check.inside = (check.to_d - check.from_d == check.d.out and check.to_h - check.from_h == check.h.out
                    and check.to_w - check.from_w == check.w.out)
    check.dense = (check.s.w == 1 and check.s.h == check.w.out and check.s.d == check.h.out * check.w.out
                   and check.s.c == check.d.out * check.s.d and check.s.n == check.channels * check.s.c)
    return _check(check)


cdef bint codes_fit(const PoolGeometry* g, const byte* codes) noexcept nogil:
    cdef Check check
    check.s.n, check.s.c, check.s.d = g.code_steps[0], g.code_steps[1], g.code_steps[2]
    check.s.h, check.s.w = g.code_steps[3], g.code_steps[4]
    check.images, check.channels = g.y_shape[0], g.y_shape[1]
    check.d, check.h, check.w = axis_from(g, 0), axis_from(g, 1), axis_from(g, 2)
    return _codes_inside(&check, codes)


def codes_inside(codes,          # IN  (N, C, *windows), its axes `order`
                 tuple order,
                 tuple numbers,  # kernel, stride, dilation, pad before, pad after: D, H, W each
                 tuple cells):   # D, H, W
    """Whether every code names a tap of its window that falls on a cell; at most 255 taps."""
    cdef Check check
    cdef View v
    cdef bint inside
    read_volume(&v, codes, order, 1)
    check.s = steps_of(&v)
    check.images, check.channels = v.shape[0], v.shape[1]
    check.d, check.h, check.w = (
        _axis(numbers, 0, cells, &v), _axis(numbers, 1, cells, &v), _axis(numbers, 2, cells, &v))
    with nogil:
        inside = _codes_inside(&check, <const byte*> v.data)
    return inside


def places_inside(places,          # IN  (N, C, *windows), its axes `order`
                  tuple order,
                  place_t cells):  # D * H * W
    """Whether every place is that of a cell."""
    cdef Check check
    cdef View v
    read_volume(&v, places, order, sizeof(place_t))
    check.codes, check.places, check.cells = NULL, <const place_t*> v.data, cells
    check.s = steps_of(&v)
    check.images, check.channels = v.shape[0], v.shape[1]
    check.d.out, check.h.out, check.w.out = v.shape[2], v.shape[3], v.shape[4]
    check.dense = check.inside = False
    with nogil:
        _check(&check)
    return check.bad == 0


# The places of one channel's codes.
cdef void _locate(const byte* codes, const Steps* cs, place_t* places, const Steps* ps, const Axis* d, const Axis* h,
                  const Axis* w) noexcept nogil:
    cdef Py_ssize_t i, j, k, code, rest
    cdef place_t at
    for i in range(d.out):
        for j in range(h.out):
            for k in range(w.out):
                code = codes[i * cs.d + j * cs.h + k * cs.w]
                rest = code // w.kernel
                at = i * d.stride - d.pad + rest // h.kernel * d.dilation
                at = at * h.size + j * h.stride - h.pad + rest % h.kernel * h.dilation
                places[i * ps.d + j * ps.h + k * ps.w] = (
                    at * w.size + k * w.stride - w.pad + code % w.kernel * w.dilation)


def places_of(codes,          # IN  (N, C, *windows), its axes `order`; each of a tap that falls on a cell
              places,         # OUT codes' shape
              tuple order,
              tuple numbers,  # as codes_inside
              tuple cells):   # D, H, W
    """Places in the volume of codes within windows."""
    cdef View cv, pv
    cdef Axis d, h, w
    cdef Steps cs, ps
    cdef Py_ssize_t n, c
    read_volume(&cv, codes, order, 1)
    read_volume(&pv, places, order, sizeof(place_t))
    d, h, w = _axis(numbers, 0, cells, &cv), _axis(numbers, 1, cells, &cv), _axis(numbers, 2, cells, &cv)
    cs, ps = steps_of(&cv), steps_of(&pv)
    with nogil:
        for n in range(cv.shape[0]):
            for c in range(cv.shape[1]):
                _locate(<const byte*> cv.data + n * cs.n + c * cs.c, &cs, <place_t*> pv.data + n * ps.n + c * ps.c,
                        &ps, &d, &h, &w)

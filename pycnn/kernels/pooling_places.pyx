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

from pycnn.kernels._integers cimport ceil_div
from pycnn.kernels._runtime cimport parallel_for, tiles
from pycnn.kernels.pooling_common cimport (
    Axis, Steps, axis_of, byte, end_inside, end_tap, first_inside, first_tap, place_t, steps_of,
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
    cdef Py_ssize_t i, j, k, c, at, p
    _clear(job, <char*> cells, channels, sizeof(floating))
    for i in range(job.d):
        for j in range(job.h):
            for k in range(job.w):
                at = i * job.fs.d + j * job.fs.h + k * job.fs.w
                p = i * job.ps.d + j * job.ps.h + k * job.ps.w
                for c in range(channels):
                    cells[_cell(job, places[p + c * job.ps.c]) + c * job.cs.c] += few[at + c * job.fs.c]


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


cdef void _windows(Job* job, const Py_ssize_t* shape) noexcept nogil:
    job.images, job.channels = shape[0], shape[1]
    job.d, job.h, job.w = shape[2], shape[3], shape[4]


cdef void _volume(Job* job, const Py_ssize_t* shape) noexcept nogil:
    job.depth, job.height, job.width = shape[2], shape[3], shape[4]


def scatter_add(const floating[:, :, :, :, :] dy,       # IN  (N, C, OD, OH, OW)
                const place_t[:, :, :, :, :] places,    # IN  dy's shape, each 0 .. D * H * W - 1
                floating[:, :, :, :, :] dx):            # OUT (N, C, D, H, W)
    """Add each dy where its place says, to zeros."""
    cdef Job job
    _windows(&job, dy.shape)
    _volume(&job, dx.shape)
    job.few, job.cells, job.places = <void*> &dy[0, 0, 0, 0, 0], &dx[0, 0, 0, 0, 0], &places[0, 0, 0, 0, 0]
    job.fs, job.cs = steps_of(dy.strides, sizeof(floating)), steps_of(dx.strides, sizeof(floating))
    job.ps = steps_of(places.strides, sizeof(place_t))
    job.add, job.write, job.itemsize = True, True, sizeof(floating)
    with nogil:
        _run(&job)


def scatter(const word[:, :, :, :, :] x,                # IN  (N, C, OD, OH, OW)
            const place_t[:, :, :, :, :] places,        # IN  x's shape, each 0 .. D * H * W - 1
            word[:, :, :, :, :] y):                     # OUT (N, C, D, H, W)
    """Put each x where its place says, zeros elsewhere."""
    cdef Job job
    _windows(&job, x.shape)
    _volume(&job, y.shape)
    job.few, job.cells, job.places = <void*> &x[0, 0, 0, 0, 0], &y[0, 0, 0, 0, 0], &places[0, 0, 0, 0, 0]
    job.fs, job.cs = steps_of(x.strides, sizeof(word)), steps_of(y.strides, sizeof(word))
    job.ps = steps_of(places.strides, sizeof(place_t))
    job.add, job.write, job.itemsize = False, True, sizeof(word)
    with nogil:
        _run(&job)


def gather(const word[:, :, :, :, :] dy,                # IN  (N, C, D, H, W)
           const place_t[:, :, :, :, :] places,         # IN  dx's shape, each 0 .. D * H * W - 1
           word[:, :, :, :, :] dx):                     # OUT (N, C, OD, OH, OW)
    """Read dy where the places say."""
    cdef Job job
    _windows(&job, dx.shape)
    _volume(&job, dy.shape)
    job.few, job.cells, job.places = &dx[0, 0, 0, 0, 0], <void*> &dy[0, 0, 0, 0, 0], &places[0, 0, 0, 0, 0]
    job.fs, job.cs = steps_of(dx.strides, sizeof(word)), steps_of(dy.strides, sizeof(word))
    job.ps = steps_of(places.strides, sizeof(place_t))
    job.add, job.write, job.itemsize = False, False, sizeof(word)
    with nogil:
        _run(&job)


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
    for k in range(check.w.out):
        code = row[k * check.s.w]
        if code >= check.taps or not (kd <= check.kd[code] < kd_end and kh <= check.kh[code] < kh_end):
            return True
    return False


# Whether a code of column k, each below `taps`, is left or right of the volume.
cdef bint _column_has_bad(const Check* check, const byte* plane, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t j, kw = first_tap(&check.w, k), kw_end = end_tap(&check.w, k)
    for j in range(check.h.out):
        if not kw <= check.kw[plane[j * check.s.h + k * check.s.w]] < kw_end:
            return True
    return False


# Codes of one channel: in a window that lies on cells only, any tap will do.
cdef bint _channel_has_bad(const Check* check, const byte* codes) noexcept nogil:
    cdef Py_ssize_t i, j, k, left = first_inside(&check.w), right = end_inside(&check.w), top, bottom
    cdef const byte* plane
    for i in range(check.d.out):
        plane = codes + i * check.s.d
        top = bottom = 0
        if first_inside(&check.d) <= i < end_inside(&check.d):
            top, bottom = first_inside(&check.h), end_inside(&check.h)
            if top < bottom and _rows_have_bad(check, plane, top, bottom):
                return True
        for j in range(check.h.out):
            if not top <= j < bottom and _border_has_bad(check, plane + j * check.s.h, i, j):
                return True
        for k in range(check.w.out):
            if not left <= k < right and _column_has_bad(check, plane, k):
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
    cdef Py_ssize_t channel, at
    for channel in range(chunk * check.per_chunk, min(check.images * check.channels, (chunk + 1) * check.per_chunk)):
        at = channel // check.channels * check.s.n + channel % check.channels * check.s.c
        if check.codes != NULL:
            if _channel_has_bad(check, check.codes + at):
                check.bad = 1
        elif _places_have_bad(check, check.places + at):
            check.bad = 1


cdef bint _check(Check* check) noexcept nogil:
    cdef Py_ssize_t windows = check.d.out * check.h.out * check.w.out
    check.bad = 0
    if check.images * check.channels * windows > 0:
        check.per_chunk = max(1, CELLS_PER_CHUNK // windows)
        parallel_for(_check_chunk, check, ceil_div(check.images * check.channels, check.per_chunk))
    return check.bad == 0


def codes_inside(const byte[:, :, :, :, :] codes,       # IN  (N, C, OD, OH, OW)
                 tuple numbers,                         # kernel, stride, dilation, pad before, pad after: D, H, W each
                 tuple cells):                          # D, H, W
    """Whether every code names a tap of its window that falls on a cell; at most 255 taps."""
    cdef Check check
    cdef Py_ssize_t code, rest
    check.codes, check.places, check.cells = &codes[0, 0, 0, 0, 0], NULL, 0
    check.s = steps_of(codes.strides, 1)
    check.images, check.channels = codes.shape[0], codes.shape[1]
    check.d = axis_of(numbers, 0, cells[0], codes.shape[2])
    check.h = axis_of(numbers, 1, cells[1], codes.shape[3])
    check.w = axis_of(numbers, 2, cells[2], codes.shape[4])
    check.taps = check.d.kernel * check.h.kernel * check.w.kernel
    for code in range(check.taps):
        rest = code // check.w.kernel
        check.kw[code] = <byte> (code % check.w.kernel)
        check.kh[code] = <byte> (rest % check.h.kernel)
        check.kd[code] = <byte> (rest // check.h.kernel)
    with nogil:
        _check(&check)
    return check.bad == 0


def places_inside(const place_t[:, :, :, :, :] places,  # IN  (N, C, OD, OH, OW)
                  place_t cells):                       # D * H * W
    """Whether every place is that of a cell."""
    cdef Check check
    check.codes, check.places, check.cells = NULL, &places[0, 0, 0, 0, 0], cells
    check.s = steps_of(places.strides, sizeof(place_t))
    check.images, check.channels = places.shape[0], places.shape[1]
    check.d.out, check.h.out, check.w.out = places.shape[2], places.shape[3], places.shape[4]
    with nogil:
        _check(&check)
    return check.bad == 0


def places_of(const byte[:, :, :, :, :] codes,          # IN  (N, C, OD, OH, OW), each of a tap that falls on a cell
              place_t[:, :, :, :, :] places,            # OUT codes' shape
              tuple numbers,                            # as codes_inside
              tuple cells):                             # D, H, W
    """Places in the volume of codes within windows."""
    cdef Axis d = axis_of(numbers, 0, cells[0], codes.shape[2])
    cdef Axis h = axis_of(numbers, 1, cells[1], codes.shape[3])
    cdef Axis w = axis_of(numbers, 2, cells[2], codes.shape[4])
    cdef Py_ssize_t n, c, i, j, k, code, rest
    cdef place_t at
    with nogil:
        for n in range(codes.shape[0]):
            for c in range(codes.shape[1]):
                for i in range(d.out):
                    for j in range(h.out):
                        for k in range(w.out):
                            code = codes[n, c, i, j, k]
                            rest = code // w.kernel
                            at = i * d.stride - d.pad + rest // h.kernel * d.dilation
                            at = at * h.size + j * h.stride - h.pad + rest % h.kernel * h.dilation
                            places[n, c, i, j, k] = (
                                at * w.size + k * w.stride - w.pad + code % w.kernel * w.dilation)

# Poolings of images whose columns are contiguous, computed as pooling_forward.pyx and pooling_backward.pyx do where
# channels are: a vector of channels at a time is turned so that it lies in lanes, and what comes out is turned back.
#
# Turning costs some 20 instructions for a vector of cells, whatever the windows are like, and then each tap is one
# vector. Means without dilation have loops here: the taps along a row are added up once for all windows that see the
# row, so nothing but small windows side by side in long rows is faster elsewhere. Maxima are those of the other files,
# which take each tap for each window, so for them this suits short rows, whose phases would be shorter than a vector,
# and windows that hardly overlap.
# A piece of work is a band of rows of one vector of channels, cut by the shape alone. Pieces share nothing but cells
# that they read, so any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._integers cimport ceil_div, floor_div, round_up
from pycnn.kernels._runtime cimport allocate, measuring, num_slots, parallel_for, release
from pycnn.kernels._tiles cimport from_lanes, lanes, to_lanes
from pycnn.kernels.pooling_backward cimport Job as BackwardJob, backward_rows, prepare_backward, row_count
from pycnn.kernels.pooling_common cimport Axis, Steps, byte, mean_rows, share_lanes, sum_rows, taps_counted
from pycnn.kernels.pooling_forward cimport Job as ForwardJob, forward_rows, prepare_forward, row_divisor

cdef enum:
    CELLS_PER_CHUNK = 32768  # about 10 us of work
    TURNED_BYTES = 65536     # of a piece's cells, if one row of windows sees no more
    MOST_TAPS = 1 << 16      # of a window: a list of them has to fit too
    MOST_BYTES = 2 << 20     # of a thread: of windows that want more the planar way wants less
    ALIGNMENT = 64

# The array that rows of a plane are turned from or to.
ctypedef struct Side:
    void* array
    Steps steps
    Py_ssize_t width
    Py_ssize_t rows             # of a piece at most

ctypedef struct Turned:
    ForwardJob forward          # of the turned arrays; without what differs from piece to piece
    BackwardJob backward
    bint back
    Side cells                  # x or dx
    Side windows                # y or dy
    byte* codes                 # or NULL
    Steps cs
    Axis h
    Py_ssize_t images
    Py_ssize_t channels
    Py_ssize_t vl
    Py_ssize_t blocks           # vectors of channels of an image
    Py_ssize_t band             # rows of what is written
    Py_ssize_t bands
    Py_ssize_t per_chunk
    Py_ssize_t* first           # of means without dilation: the cells of each window along a row, or
    Py_ssize_t* last            # for their gradients the windows of each cell; NULL elsewhere
    void* counts                # of means: for each column and lane, where columns count differently, or NULL
    char* scratch
    size_t cells_bytes
    size_t windows_bytes
    size_t codes_bytes
    size_t slot_bytes

# What differs.
ctypedef struct Piece:
    Py_ssize_t n
    Py_ssize_t c
    Py_ssize_t channels
    Py_ssize_t cell             # first row of cells, and how many
    Py_ssize_t cell_rows
    Py_ssize_t window           # of windows
    Py_ssize_t window_rows
    void* cells                 # turned: [row][column][lane]
    void* windows
    byte* codes
    char* scratch               # of the rows' functions


cdef inline Steps _turned_steps(Py_ssize_t vl, Py_ssize_t width) noexcept nogil:
    cdef Steps s
    s.n = s.d = 0
    s.c, s.w, s.h = 1, vl, vl * width
    return s


cdef inline Side _side(const void* array, Steps steps, Py_ssize_t width) noexcept nogil:
    cdef Side side
    side.array, side.steps, side.width, side.rows = <void*> array, steps, width, 0
    return side


cdef void _find_piece(const Turned* job, Py_ssize_t number, Py_ssize_t slot, Piece* p) noexcept nogil:
    cdef Py_ssize_t band = number % job.bands, block = number // job.bands
    cdef Py_ssize_t first = band * job.band, reach = (job.h.kernel - 1) * job.h.dilation
    cdef char* memory = job.scratch + <size_t> slot * job.slot_bytes
    cdef Py_ssize_t last
    p.n = block // job.blocks
    p.c = block % job.blocks * job.vl
    p.channels = min(job.vl, job.channels - p.c)
    p.cells, memory = memory, memory + job.cells_bytes
    p.windows, memory = memory, memory + job.windows_bytes
    p.codes = <byte*> memory if job.codes != NULL else NULL
    p.scratch = memory + job.codes_bytes
    if job.back:
        last = min(first + job.band, job.h.size)
        p.cell, p.cell_rows = first, last - first
        p.window = min(max(0, ceil_div(first + job.h.pad - reach, job.h.stride)), job.h.out)
        p.window_rows = max(0, min(job.h.out, floor_div(last - 1 + job.h.pad, job.h.stride) + 1) - p.window)
    else:
        last = min(first + job.band, job.h.out)
        p.window, p.window_rows = first, last - first
        p.cell = min(max(0, first * job.h.stride - job.h.pad), job.h.size)
        p.cell_rows = max(0, min(job.h.size, (last - 1) * job.h.stride - job.h.pad + reach + 1) - p.cell)


# Rows row .. row + rows - 1 of a side from its array to lines, or back.
cdef void _turn(const Side* side, const Piece* p, Py_ssize_t row, Py_ssize_t rows, floating* lines, Py_ssize_t vl,
                bint back) noexcept nogil:
    cdef floating* array = (<floating*> side.array + p.n * side.steps.n + p.c * side.steps.c + row * side.steps.h)
    cdef Py_ssize_t _r, run = rows if side.steps.h == side.width * side.steps.w else 1  # rows that follow one another
    if run == 0:
        return
    for _r in range(rows // run):
        if back:
            from_lanes(array, lines, side.steps.c, side.steps.w, run * side.width, p.channels)
        else:
            to_lanes(lines, array, side.steps.c, side.steps.w, run * side.width, p.channels)
        array += side.steps.h
        lines += side.width * vl


cdef void _turn_codes(const Turned* job, const Piece* p, bint back) noexcept nogil:
    cdef Py_ssize_t c, r, i, width = job.windows.width, vl = job.vl
    cdef byte* row
    cdef byte* line
    for c in range(p.channels):
        for r in range(p.window_rows):
            row = job.codes + p.n * job.cs.n + (p.c + c) * job.cs.c + (p.window + r) * job.cs.h
            line = p.codes + r * width * vl + c
            if back:
                for i in range(width):
                    row[i * job.cs.w] = line[i * vl]
            else:
                for i in range(width):
                    line[i * vl] = row[i * job.cs.w]


cdef void _forward_piece(floating* tag, const Turned* job, const Piece* p, ForwardJob* turned) noexcept nogil:
    cdef Py_ssize_t skipped = p.window * job.windows.width * job.vl
    _turn(&job.cells, p, p.cell, p.cell_rows, <floating*> p.cells, job.vl, False)
    turned.inner = p.channels
    turned.x = <floating*> p.cells - p.cell * job.cells.width * job.vl
    turned.y = <floating*> p.windows - skipped
    if p.codes != NULL:
        turned.codes = p.codes - skipped
    if turned.places != NULL:
        turned.places = job.forward.places + p.n * turned.ps.n + p.c * turned.ps.c
    forward_rows(tag, turned, p.scratch, p.window, p.window + p.window_rows)
    _turn(&job.windows, p, p.window, p.window_rows, <floating*> p.windows, job.vl, True)
    if p.codes != NULL:
        _turn_codes(job, p, True)


cdef void _backward_piece(floating* tag, const Turned* job, const Piece* p, BackwardJob* turned) noexcept nogil:
    cdef Py_ssize_t skipped = p.window * job.windows.width * job.vl
    _turn(&job.windows, p, p.window, p.window_rows, <floating*> p.windows, job.vl, False)
    if p.codes != NULL:
        _turn_codes(job, p, False)
        turned.codes = p.codes - skipped
    turned.inner = p.channels
    turned.dy = <floating*> p.windows - skipped
    turned.dx = <floating*> p.cells - p.cell * job.cells.width * job.vl
    backward_rows(tag, turned, p.scratch, p.cell, p.cell + p.cell_rows)
    _turn(&job.cells, p, p.cell, p.cell_rows, <floating*> p.cells, job.vl, True)


# Means: the taps along each row of cells, which stay for all rows of windows that see it, then the rows of a window.
cdef void _mean_piece(floating* tag, const Turned* job, const Piece* p) noexcept nogil:
    cdef const ForwardJob* f = &job.forward
    cdef Py_ssize_t row_size = job.windows.width * job.vl
    cdef const floating** src = <const floating**> p.scratch
    cdef floating* across = <floating*> p.windows + job.windows.rows * row_size
    cdef Py_ssize_t i, o, first, last
    _turn(&job.cells, p, p.cell, p.cell_rows, <floating*> p.cells, job.vl, False)
    for i in range(p.cell_rows):
        share_lanes(&f.rows, across + i * row_size, <const floating*> p.cells + i * job.cells.width * job.vl, job.first,
                    job.last, job.windows.width, <floating> 1)
    for o in range(p.window, p.window + p.window_rows):
        first = max(p.cell, o * job.h.stride - job.h.pad)
        last = min(p.cell + p.cell_rows, o * job.h.stride - job.h.pad + job.h.kernel)
        for i in range(first, last):
            src[i - first] = across + (i - p.cell) * row_size
        if last <= first:  # a window of nothing but padding
            memset(across + p.cell_rows * row_size, 0, <size_t> row_size * sizeof(floating))
            src[0], first, last = across + p.cell_rows * row_size, 0, 1
        mean_rows(&f.rows, <floating*> p.windows + (o - p.window) * row_size, 0, src, 0, last - first, last - first,
                  row_size, 1, <const floating*> job.counts, row_divisor(f, tag, 0, o))
    _turn(&job.windows, p, p.window, p.window_rows, <floating*> p.windows, job.vl, True)


# Divides each delta by what its window counts.
cdef void _divide(floating* tag, const Turned* job, const Piece* p) noexcept nogil:
    cdef const BackwardJob* b = &job.backward
    cdef Py_ssize_t r, o, end
    cdef floating* row
    cdef const floating* src
    for r in range(p.window_rows):
        row = <floating*> p.windows + r * job.windows.width * job.vl
        o = 0
        while o < b.w.out:
            end = o + 1
            while end < b.w.out and taps_counted(&b.w, end, b.padded) == taps_counted(&b.w, o, b.padded):
                end += 1
            src = row + o * job.vl
            mean_rows(&b.rows, <floating*> src, 0, &src, 0, 1, 1, (end - o) * job.vl, 1, <const floating*> NULL,
                      row_count(b, tag, 0, p.window + r) * taps_counted(&b.w, o, b.padded))
            o = end


# A gradient of means: for each row of cells first its windows above each other, then these sums from left to right.
cdef void _share_piece(floating* tag, const Turned* job, const Piece* p) noexcept nogil:
    cdef const BackwardJob* b = &job.backward
    cdef Py_ssize_t row_size = job.windows.width * job.vl
    cdef const floating** src = <const floating**> p.scratch
    cdef const floating* sums
    cdef floating* down = <floating*> p.windows + job.windows.rows * row_size
    cdef Py_ssize_t i, o, first, last
    _turn(&job.windows, p, p.window, p.window_rows, <floating*> p.windows, job.vl, False)
    if not b.uniform:
        _divide(tag, job, p)
    for i in range(p.cell_rows):
        first = max(p.window, ceil_div(p.cell + i + job.h.pad - job.h.kernel + 1, job.h.stride))
        last = min(p.window + p.window_rows, (p.cell + i + job.h.pad) // job.h.stride + 1)
        for o in range(first, last):
            src[o - first] = <floating*> p.windows + (o - p.window) * row_size
        sums = src[0]
        if last <= first:
            memset(down, 0, <size_t> row_size * sizeof(floating))
            sums = down
        elif last - first > 1:
            sum_rows(&b.rows, down, 0, src, 0, last - first, row_size, 1)
            sums = down
        share_lanes(&b.rows, <floating*> p.cells + i * job.cells.width * job.vl, sums, job.first, job.last,
                    job.cells.width, <floating> b.divisor)
    _turn(&job.cells, p, p.cell, p.cell_rows, <floating*> p.cells, job.vl, True)


cdef inline void _chunk(floating* tag, const Turned* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t number, last = min(job.images * job.blocks * job.bands, (chunk + 1) * job.per_chunk)
    cdef ForwardJob forward
    cdef BackwardJob backward
    cdef Piece p
    if job.back:
        backward = job.backward
    else:
        forward = job.forward
    for number in range(chunk * job.per_chunk, last):
        _find_piece(job, number, slot, &p)
        if job.first != NULL and job.back:
            _share_piece(tag, job, &p)
        elif job.first != NULL:
            _mean_piece(tag, job, &p)
        elif job.back:
            _backward_piece(tag, job, &p, &backward)
        else:
            _forward_piece(tag, job, &p, &forward)


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <const Turned*> context, chunk, slot)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <const Turned*> context, chunk, slot)


# ---- cutting the work and running it

cdef void _cut(Turned* job, Py_ssize_t value_bytes, bint means) noexcept nogil:
    cdef Py_ssize_t reach = (job.h.kernel - 1) * job.h.dilation
    cdef Py_ssize_t row = job.cells.width * job.vl * value_bytes
    cdef Py_ssize_t sums = 0
    cdef Py_ssize_t fits = max(1, TURNED_BYTES // row), tall = job.h.size if job.back else job.h.out
    job.band = fits if job.back else max(1, (fits - reach - 1) // job.h.stride + 1)
    job.bands = ceil_div(tall, job.band)
    job.band = ceil_div(tall, job.bands)
    job.bands = ceil_div(tall, job.band)
    if job.back:
        job.cells.rows = job.band
        job.windows.rows = min(job.h.out, (job.band - 1 + reach) // job.h.stride + 2)
    else:
        job.windows.rows = job.band
        job.cells.rows = min(job.h.size, (job.band - 1) * job.h.stride + reach + 1)
    job.blocks = ceil_div(job.channels, job.vl)
    job.per_chunk = max(1, CELLS_PER_CHUNK // (job.cells.rows * job.cells.width * job.vl))
    job.cells_bytes = round_up(job.cells.rows * row, ALIGNMENT)
    if means:  # rows of sums: one of a gradient, else one for each row of cells and one of zeros
        sums = 1 if job.back else job.cells.rows + 1
    job.windows_bytes = round_up((job.windows.rows + sums) * job.windows.width * job.vl * value_bytes, ALIGNMENT)
    job.codes_bytes = 0
    if job.codes != NULL:
        job.codes_bytes = round_up(job.windows.rows * job.windows.width * job.vl, ALIGNMENT)
    job.slot_bytes += job.cells_bytes + job.windows_bytes + job.codes_bytes


cdef void _list_cells(const Axis* w, Py_ssize_t* first, Py_ssize_t* last) noexcept nogil:
    cdef Py_ssize_t o
    for o in range(w.out):
        first[o] = min(max(0, o * w.stride - w.pad), w.size)
        last[o] = max(first[o], min(w.size, o * w.stride - w.pad + w.kernel))


cdef void _list_windows(const Axis* w, Py_ssize_t* first, Py_ssize_t* last) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(w.size):
        first[i] = max(0, ceil_div(i + w.pad - w.kernel + 1, w.stride))
        last[i] = min(w.out, (i + w.pad) // w.stride + 1)


# The lists of means, behind the slots.
cdef void _fill_lists(floating* tag, Turned* job, char* memory, size_t list_bytes) noexcept nogil:
    cdef const ForwardJob* f = &job.forward
    cdef Py_ssize_t o, c
    cdef floating* counts = <floating*> (memory + 2 * list_bytes)
    job.first, job.last = <Py_ssize_t*> memory, <Py_ssize_t*> (memory + list_bytes)
    if job.back:
        _list_windows(&job.backward.w, job.first, job.last)
        return
    _list_cells(&f.w, job.first, job.last)
    if f.divisor != 0 or f.column_count != 0:
        return
    job.counts = counts
    for o in range(f.w.out):
        for c in range(job.vl):
            counts[o * job.vl + c] = <floating> taps_counted(&f.w, o, f.padded)


cdef int _run(Turned* job, Py_ssize_t value_bytes, bint means) noexcept nogil:
    cdef Py_ssize_t columns = job.cells.width if job.back else job.windows.width
    cdef size_t list_bytes = <size_t> columns * sizeof(Py_ssize_t) if means else 0
    cdef size_t counts_bytes = <size_t> (columns * job.vl * value_bytes) if means and not job.back else 0
    cdef char* lists
    _cut(job, value_bytes, means)
    if job.slot_bytes > MOST_BYTES:
        return -1
    job.first = job.last = NULL
    job.counts = NULL
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots() + 2 * list_bytes + counts_bytes)
    if job.scratch == NULL:
        return 0
    if means and not measuring():
        lists = job.scratch + job.slot_bytes * <size_t> num_slots()
        if value_bytes == sizeof(float):
            _fill_lists(<float*> NULL, job, lists, list_bytes)
        else:
            _fill_lists(<double*> NULL, job, lists, list_bytes)
    parallel_for(_chunk_f32 if value_bytes == sizeof(float) else _chunk_f64, job,
                 ceil_div(job.images * job.blocks * job.bands, job.per_chunk))
    release(job.scratch)
    return 1


# Images and channels, as one axis where they are evenly spaced.
cdef void _set_planes(Turned* job, Py_ssize_t images, Py_ssize_t channels) noexcept nogil:
    job.images, job.channels = images, channels
    if (job.cells.steps.n == channels * job.cells.steps.c and job.windows.steps.n == channels * job.windows.steps.c
            and (job.codes == NULL or job.cs.n == channels * job.cs.c)):
        job.images, job.channels = 1, images * channels


# Images of one plane, and channels that fill half of the lanes.
cdef inline bint _fits(const Axis* d, const Axis* h, const Axis* w, Py_ssize_t channels, Py_ssize_t vl) noexcept nogil:
    if <double> h.kernel * w.kernel > MOST_TAPS:
        return False
    return d.size == 1 and d.out == 1 and d.kernel == 1 and d.pad == 0 and w.size > 1 and 2 * channels >= vl


# Whether turning pays: strides that vectors cannot take apart, or rows of windows shorter than a vector, unless they
# overlap so much that it counts how often each tap is taken. Fitted to timings with AVX2.
cdef inline bint _pays(const Axis* h, const Axis* w, Py_ssize_t vl) noexcept nogil:
    return w.stride >= 3 or (w.out < vl and <double> h.out * w.out * h.kernel * w.kernel <= 16.0 * h.size * w.size)


cdef int turned_forward(const ForwardJob* job, Py_ssize_t value_bytes) noexcept nogil:
    cdef Turned turned
    cdef ForwardJob* t = &turned.forward
    cdef bint means
    cdef Py_ssize_t vl = lanes(<float*> NULL) if value_bytes == sizeof(float) else lanes(<double*> NULL)
    if job.xs.w != 1 or (job.ys.w != 1 and job.w.out > 1):
        return -1
    turned.back = False
    turned.vl, turned.h, turned.codes, turned.cs = vl, job.h, job.codes, job.cs
    turned.cells, turned.windows = _side(job.x, job.xs, job.w.size), _side(job.y, job.ys, job.w.out)
    _set_planes(&turned, job.outer, job.inner)
    if job.places != NULL and job.ps.n != job.inner * job.ps.c:
        turned.images, turned.channels = job.outer, job.inner
    means = job.mean and job.h.dilation == 1 and job.w.dilation == 1
    if not _fits(&job.d, &job.h, &job.w, turned.channels, vl):
        return -1
    if not (_pays(&job.h, &job.w, vl) or (means and (job.w.stride > 1 or job.w.kernel > 3 or job.w.out < 4 * vl))):
        return -1
    t[0] = job[0]
    t.outer, t.inner = 1, vl
    t.xs, t.ys = _turned_steps(vl, job.w.size), _turned_steps(vl, job.w.out)
    t.cs = t.ys
    turned.slot_bytes = prepare_forward(t, value_bytes)
    return _run(&turned, value_bytes, means)


cdef int turned_backward(const BackwardJob* job, Py_ssize_t value_bytes) noexcept nogil:
    cdef Turned turned
    cdef BackwardJob* t = &turned.backward
    cdef bint means
    cdef Py_ssize_t vl = lanes(<float*> NULL) if value_bytes == sizeof(float) else lanes(<double*> NULL)
    if job.xs.w != 1 or (job.gs.w != 1 and job.w.out > 1):
        return -1
    turned.back = True
    turned.vl, turned.h, turned.codes, turned.cs = vl, job.h, <byte*> job.codes, job.cs
    turned.cells, turned.windows = _side(job.dx, job.xs, job.w.size), _side(job.dy, job.gs, job.w.out)
    _set_planes(&turned, job.outer, job.inner)
    means = job.codes == NULL and job.h.dilation == 1 and job.w.dilation == 1
    if not _fits(&job.d, &job.h, &job.w, turned.channels, vl) or not (means or _pays(&job.h, &job.w, vl)):
        return -1
    t[0] = job[0]
    t.outer, t.inner = 1, vl
    t.xs, t.gs = _turned_steps(vl, job.w.size), _turned_steps(vl, job.w.out)
    t.cs = t.gs
    turned.slot_bytes = prepare_backward(t, value_bytes)
    return _run(&turned, value_bytes, means)

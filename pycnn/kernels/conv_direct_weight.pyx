# dw[f, c, t] = sum_{n, o} turned[n][o][f] * planes[n, c][o + offset(t)]   with the planes of _planes.pxd and `turned`,
# the deltas with the filters side by side
#
# Edges: pixels outside x are zeros of the planes. Where a delta is not finite that product is NaN, so a result that is
# not finite is left to conv_weight.pyx.
#
# Blocking: a matrix product over the pixels, (channel, tap) by filter. A unit is a stripe of one image. For a slab of
# units, which fits L3, the threads make the planes and the turned deltas together; then a piece of work is a panel of
# (channel, tap) rows, which reads its lines of the planes in place, a unit at a time: no line is copied per tap. Where
# there are too few panels to share, the units are dealt out to `slices` with sums of their own, added in order.
#
# The cut depends on the shape alone, and each sum runs in one order: any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport Geometry, has_values, is_depthwise, is_flat
from pycnn.kernels._integers cimport ceil_div, part_begin
from pycnn.kernels._planes cimport Planes, cut_planes, fill_planes, flatten_planes, forward_planes
from pycnn.kernels._runtime cimport allocate, parallel_work, plane_choice, release
from pycnn.kernels._tiles cimport gemm_lines, lanes, tile_columns, tile_rows, transpose_run

cdef enum:
    UNIT_PIXELS = 512     # about as many, so that a unit's lines and deltas stay in L1 and L2
    SLAB_BYTES = 4 << 20  # a part of L3
    FILL_CHANNELS = 16    # whose planes one task makes
    WANTED_TASKS = 16
    MOST_ROWS = 8         # of a register tile
    LEAST_WIDTH = 4       # of an image: the tile goes through it a row at a time

ctypedef struct Job:
    Planes planes
    const void* x
    const void* dy
    void* dw
    Py_ssize_t groups, filters, channels    # of a group
    Py_ssize_t dy_image, dy_channel, dy_line, dy_pixel
    Py_ssize_t mr, nr, vl
    Py_ssize_t depth, row_panels            # (channel, tap) pairs of a group
    Py_ssize_t filter_panels, filter_width  # of a group
    bint in_place                           # x is its own plane: 1x1, stride 1
    Py_ssize_t stripes, units, slab_units, first_unit
    Py_ssize_t slices, sums_size
    Py_ssize_t fills                        # tasks that make the planes of a unit
    Py_ssize_t filled_size, turned_size     # of a unit
    void* filled
    void* turned
    int not_finite                          # set by any thread
    void* sums                              # [slice][group][row panel][filter panel][row][width]


# Columns of filter panel i: a full tile, or the vectors that the last filters need.
cdef inline Py_ssize_t _panel_width(const Job* job, Py_ssize_t i) noexcept nogil:
    return min(job.nr, ceil_div(job.filters - i * job.nr, job.vl) * job.vl)


# Output rows of a unit.
cdef inline Py_ssize_t _unit_rows(const Job* job, Py_ssize_t unit) noexcept nogil:
    return min(job.planes.stripe, job.planes.out_h - unit % job.stripes * job.planes.stripe)


# ---- a slab's planes and turned deltas

# turned[panel][pixel][filter in panel], zeros for filters that are none.
cdef void _turn(Job* job, Py_ssize_t unit, Py_ssize_t g, const floating* dy, floating* out) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t rows = _unit_rows(job, unit)
    cdef Py_ssize_t i, r, width, filters
    dy += (unit // job.stripes * job.dy_image + unit % job.stripes * p.stripe * job.dy_line
           + g * job.filters * job.dy_channel)
    for i in range(job.filter_panels):
        width = _panel_width(job, i)
        filters = min(width, job.filters - i * job.nr)
        if filters < width:
            memset(out, 0, <size_t> (rows * p.out_w * width) * sizeof(floating))
        for r in range(rows):
            transpose_run(out + r * p.out_w * width, width, dy + i * job.nr * job.dy_channel + r * job.dy_line,
                          job.dy_channel, filters, p.out_w, job.dy_pixel)
        out += p.stripe * p.out_w * width


cdef void _prepare(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t place = task // (job.fills + job.groups)
    cdef Py_ssize_t i = task % (job.fills + job.groups)
    cdef Py_ssize_t unit = job.first_unit + place
    cdef Py_ssize_t c0, g
    if i < job.fills:
        c0 = i * FILL_CHANNELS
        fill_planes(p, <const floating*> job.x + unit // job.stripes * p.src_image + c0 * p.src_channel,
                    min(<Py_ssize_t> FILL_CHANNELS, job.groups * job.channels - c0),
                    unit % job.stripes * p.stripe, _unit_rows(job, unit),
                    <floating*> job.filled + place * job.filled_size + c0 * p.channel_size)
    else:
        g = i - job.fills
        _turn(job, unit, g, <const floating*> job.dy,
              <floating*> job.turned + place * job.turned_size + g * p.stripe * p.out_w * job.filter_width)


# ---- the product

cdef void _multiply(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t panel = task % job.row_panels
    cdef Py_ssize_t g = task // job.row_panels % job.groups
    cdef Py_ssize_t piece = task // (job.row_panels * job.groups)
    cdef Py_ssize_t k0 = part_begin(panel, job.row_panels, job.depth)
    cdef Py_ssize_t rows = part_begin(panel + 1, job.row_panels, job.depth) - k0
    cdef Py_ssize_t channel_step = p.src_channel if job.in_place else p.channel_size
    cdef Py_ssize_t last = min(job.units, job.first_unit + job.slab_units)
    cdef Py_ssize_t unit = job.first_unit + piece
    cdef floating* sums = (<floating*> job.sums + piece * job.sums_size
                           + (g * job.row_panels + panel) * job.mr * job.filter_width)
    cdef floating* c
    cdef const floating* a
    cdef const floating* b
    cdef Py_ssize_t[MOST_ROWS] offset
    cdef Py_ssize_t i, width
    for i in range(rows):
        offset[i] = (k0 + i) // p.taps * channel_step
        if not job.in_place:
            offset[i] += p.offset[(k0 + i) % p.taps]
    while unit < last:
        if job.in_place:
            a = <const floating*> job.x + unit * p.src_image + g * job.channels * p.src_channel
        else:
            a = (<const floating*> job.filled + (unit - job.first_unit) * job.filled_size
                 + g * job.channels * p.channel_size)
        b = (<const floating*> job.turned + (unit - job.first_unit) * job.turned_size
             + g * p.stripe * p.out_w * job.filter_width)
        c = sums
        for i in range(job.filter_panels):
            width = _panel_width(job, i)
            gemm_lines(rows, width // job.vl, _unit_rows(job, unit), p.out_w, a, p.pitch, offset, b, c,
                       unit >= job.slices)
            b += p.stripe * p.out_w * width
            c += job.mr * width
        unit += job.slices


# dw from the sums of one panel, the slices added in order.
cdef void _write(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t panel = task % job.row_panels
    cdef Py_ssize_t g = task // job.row_panels
    cdef Py_ssize_t k0 = part_begin(panel, job.row_panels, job.depth)
    cdef Py_ssize_t rows = part_begin(panel + 1, job.row_panels, job.depth) - k0
    cdef const floating* sums = <const floating*> job.sums + task * job.mr * job.filter_width
    cdef floating* dw = <floating*> job.dw + g * job.filters * job.depth + k0
    cdef Py_ssize_t f, i, piece, place, width
    cdef floating value, zeros = 0
    for f in range(job.filters):
        width = _panel_width(job, f // job.nr)
        for i in range(rows):
            place = f // job.nr * job.nr * job.mr + i * width + f % job.nr
            value = sums[place]
            for piece in range(1, job.slices):
                value += sums[piece * job.sums_size + place]
            dw[f * job.depth + i] = value
            zeros += value * 0
    if zeros != 0:
        job.not_finite = 1


cdef void _prepare_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _prepare(<float*> NULL, <Job*> context, chunk, slot)


cdef void _prepare_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _prepare(<double*> NULL, <Job*> context, chunk, slot)


cdef void _multiply_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _multiply(<float*> NULL, <Job*> context, chunk, slot)


cdef void _multiply_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _multiply(<double*> NULL, <Job*> context, chunk, slot)


cdef void _write_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _write(<float*> NULL, <Job*> context, chunk, slot)


cdef void _write_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _write(<double*> NULL, <Job*> context, chunk, slot)


# ---- cutting the work and running it

cdef void _plan(floating* tag, Job* job) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t unit_bytes, stripe
    job.vl = lanes(tag)
    job.mr = tile_rows(tag)
    job.nr = tile_columns(tag)
    job.depth = job.channels * p.taps
    job.row_panels = ceil_div(job.depth, job.mr)
    job.filter_panels = ceil_div(job.filters, job.nr)
    job.filter_width = ceil_div(job.filters, job.vl) * job.vl
    job.in_place = flatten_planes(p, job.dy_line, job.dy_pixel)
    stripe = max(1, min(p.out_h, UNIT_PIXELS // p.out_w))
    cut_planes(p, ceil_div(p.out_h, ceil_div(p.out_h, stripe)))
    job.stripes = ceil_div(p.out_h, p.stripe)
    job.units = p.images * job.stripes
    job.slices = max(1, min(job.units, ceil_div(WANTED_TASKS, job.groups * job.row_panels)))
    job.fills = 0 if job.in_place else ceil_div(job.groups * job.channels, FILL_CHANNELS)
    job.filled_size = 0 if job.in_place else job.groups * job.channels * p.channel_size + job.nr
    job.turned_size = job.groups * p.stripe * p.out_w * job.filter_width
    unit_bytes = (job.filled_size + job.turned_size) * <Py_ssize_t> sizeof(floating)
    # A multiple of the slices, so that a slice gets the same units whatever the slab.
    job.slab_units = min(job.units, max(1, SLAB_BYTES // unit_bytes // job.slices) * job.slices)
    job.sums_size = job.groups * job.row_panels * job.mr * job.filter_width


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef Py_ssize_t n, panels
    cdef double work
    cdef bint ok
    _plan(tag, job)
    panels = job.groups * job.row_panels
    job.filled = allocate(<size_t> (job.slab_units * job.filled_size + job.nr) * sizeof(floating))
    job.turned = allocate(<size_t> (job.slab_units * job.turned_size) * sizeof(floating))
    job.sums = allocate(<size_t> (job.slices * job.sums_size) * sizeof(floating))
    ok = job.filled != NULL and job.turned != NULL and job.sums != NULL
    job.first_unit = 0
    while ok and job.first_unit < job.units:
        n = min(job.slab_units, job.units - job.first_unit)
        work = <double> n * job.planes.stripe * job.planes.out_w * job.groups
        parallel_work(_prepare_f32 if floating is float else _prepare_f64, job, n * (job.fills + job.groups),
                      work * (job.filters + job.channels * job.planes.phases))
        parallel_work(_multiply_f32 if floating is float else _multiply_f64, job, min(job.slices, n) * panels,
                      work * job.filters * job.depth)
        job.first_unit += job.slab_units
    if ok:
        parallel_work(_write_f32 if floating is float else _write_f64, job, panels,
                      <double> job.slices * job.sums_size)
    release(job.filled)
    release(job.turned)
    release(job.sums)
    return ok


cdef int direct_weight_run(const Geometry* q, const floating* x, const floating* dy, floating* dw) noexcept nogil:
    cdef Job job
    cdef int choice = plane_choice()
    if choice == 0 or not is_flat(q) or q.x_steps[4] != 1 or not has_values(q) or not forward_planes(&job.planes, q):
        return -1
    if choice < 0 and (is_depthwise(q) or job.planes.out_w < LEAST_WIDTH):
        return -1
    job.x = x
    job.dy = dy
    job.dw = dw
    job.groups = q.groups
    job.filters = q.y_shape[1] // q.groups
    job.channels = q.x_shape[1] // q.groups
    job.dy_image = q.y_steps[0]
    job.dy_channel = q.y_steps[1]
    job.dy_line = q.y_steps[3]
    job.dy_pixel = q.y_steps[4]
    job.not_finite = 0
    if not _run(<floating*> NULL, &job):
        return 0
    return -1 if job.not_finite else 1


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Geometry q
    memset(&q, 0, sizeof(Geometry))
    direct_weight_run(&q, <const float*> NULL, <const float*> NULL, <float*> NULL)
    direct_weight_run(&q, <const double*> NULL, <const double*> NULL, <double*> NULL)

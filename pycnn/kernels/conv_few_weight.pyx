# dw[f, c, t] = sum_{n, o} dy[n, f, o] * planes[n, c][o + offset(t)]   with the planes of _planes.pxd, for few filters
# or few (channel, tap) pairs in a group.
#
# Edges: pixels outside x are zeros of the planes. Where dy is not finite that product is NaN, so a result that is not
# finite is left to conv_weight.pyx.
#
# Blocking: dot products along the pixels, which lie side by side in both: nothing is transposed. A unit is a stripe of
# one image, or some small images; its planes are made, then a register tile of 8 filters x 3 pairs keeps a vector of
# sums for each through all pixels of the unit. The rows of dy are read in place, the end of a row in part; or, where
# rows are short, they are copied to the pitch of the planes with zeros between them, and each image is one long row.
#
# The units are dealt out to slices with sums of their own, cut by shape alone; lanes and slices are added at the end,
# in one order, so any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport group_channels, group_filters, has_values, is_depthwise, is_flat, Geometry
from pycnn.kernels._integers cimport ceil_div, part_begin, round_up, slot_size
from pycnn.kernels._planes cimport Planes, cut_planes, fill_planes, forward_planes
from pycnn.kernels._runtime cimport allocate, measuring, num_slots, parallel_work, plane_choice, release
from pycnn.kernels._tiles cimport few_dot, lanes, pack_plane, plane_fold, tile_rows

cdef enum:
    UNIT_PIXELS = 1024    # about as many: the rows of dy of a tile stay in L1
    WANTED_TASKS = 16
    SLICE_VECTORS = 128   # of pixels, at least: a slice's sums are cleared and added at a cost
    MOST_SUMS = 1 << 20   # bytes of a slice: L2

ctypedef struct Job:
    Planes planes
    const void* x
    const void* dy
    void* dw
    Py_ssize_t groups, filters, channels, depth  # of a group
    Py_ssize_t dy_image, dy_channel, dy_line, dy_pixel
    Py_ssize_t vl, mr
    bint copied                     # dy is copied to the pitch of the planes
    Py_ssize_t batch                # images of a unit
    Py_ssize_t stripes, units, slices
    Py_ssize_t filter_parts         # tasks that share a slice of a group
    Py_ssize_t planes_size, dy_size, copied_filter
    void* sums                      # [slice][group][filter][channel, tap][lane]
    Py_ssize_t group_sums, slice_sums
    int not_finite                  # set by any thread
    char* scratch
    size_t slot_bytes


# One unit: its products for filters f0 .. f0 + n - 1 of group g.
cdef void _add_unit(Job* job, Py_ssize_t unit, Py_ssize_t g, Py_ssize_t f0, Py_ssize_t n, const Py_ssize_t* offset,
                    floating* planes, floating* sums) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t image = unit // job.stripes * job.batch
    cdef Py_ssize_t count = min(job.batch, p.images - image)
    cdef Py_ssize_t row = unit % job.stripes * p.stripe
    cdef Py_ssize_t rows = min(p.stripe, p.out_h - row)
    cdef const floating* dy = (<const floating*> job.dy + image * job.dy_image
                               + (g * job.filters + f0) * job.dy_channel + row * job.dy_line)
    cdef const floating* x = <const floating*> job.x + image * p.src_image + g * job.channels * p.src_channel
    cdef floating* copy = planes + job.batch * job.planes_size
    cdef Py_ssize_t i
    for i in range(count):
        fill_planes(p, x + i * p.src_image, job.channels, row, rows, planes + i * job.planes_size)
    if job.copied:
        for i in range(count):
            pack_plane(copy + i * job.dy_size, job.copied_filter, p.pitch, dy + i * job.dy_image, job.dy_channel,
                       job.dy_line, n, rows, 0, rows, 0, p.out_w, job.dy_pixel)
        few_dot(sums, copy, job.copied_filter, job.dy_size, n, planes, job.planes_size, offset, job.depth, count,
                (rows - 1) * p.pitch + p.out_w)
    else:
        few_dot(sums, dy, job.dy_channel, job.dy_line, n, planes, p.pitch, offset, job.depth, rows, p.out_w)


cdef void _multiply(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t part = task % job.filter_parts
    cdef Py_ssize_t g = task // job.filter_parts % job.groups
    cdef Py_ssize_t piece = task // (job.filter_parts * job.groups)
    cdef Py_ssize_t panels = ceil_div(job.filters, job.mr)
    cdef Py_ssize_t f0 = part_begin(part, job.filter_parts, panels) * job.mr
    cdef Py_ssize_t n = min(part_begin(part + 1, job.filter_parts, panels) * job.mr, job.filters) - f0
    cdef Py_ssize_t* offset = <Py_ssize_t*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* planes = <floating*> (offset + round_up(job.depth, 8))
    cdef floating* sums = (<floating*> job.sums + piece * job.slice_sums + g * job.group_sums
                           + f0 * job.depth * job.vl)
    cdef Py_ssize_t k, unit
    for k in range(job.depth):
        offset[k] = k // p.taps * p.channel_size + p.offset[k % p.taps]
    memset(sums, 0, <size_t> (n * job.depth * job.vl) * sizeof(floating))
    for unit in range(part_begin(piece, job.slices, job.units), part_begin(piece + 1, job.slices, job.units)):
        _add_unit(job, unit, g, f0, n, offset, planes, sums)


# dw of one group from the sums of all slices.
cdef void _write(floating* tag, Job* job, Py_ssize_t g, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t i, count = job.filters * job.depth
    cdef floating* dw = <floating*> job.dw + g * count
    cdef floating zeros = 0
    plane_fold(dw, <const floating*> job.sums + g * job.group_sums, count, job.slices, job.slice_sums)
    for i in range(count):
        zeros += dw[i] * 0
    if zeros != 0:
        job.not_finite = 1


cdef void _multiply_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _multiply(<float*> NULL, <Job*> context, chunk, slot)


cdef void _multiply_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _multiply(<double*> NULL, <Job*> context, chunk, slot)


cdef void _write_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _write(<float*> NULL, <Job*> context, chunk, slot)


cdef void _write_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _write(<double*> NULL, <Job*> context, chunk, slot)


# ---- cutting the work and running it

# Vectors of pixels of an image, and whether dy is copied for them. A copy costs about three multiply-adds a value; rows
# of filters near a multiple of 4 KiB apart push each other out of L1.
cdef Py_ssize_t _choose_vectors(Job* job, Py_ssize_t value_size) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t in_place = p.out_h * ceil_div(p.out_w, job.vl)
    cdef Py_ssize_t along = ceil_div(p.out_h * p.pitch, job.vl)
    cdef Py_ssize_t apart = (job.dy_channel * value_size + 128) % 4096
    job.copied = job.dy_pixel != 1 or in_place * job.depth > along * (job.depth + 3) or apart <= 256
    return along if job.copied else in_place


cdef void _plan(floating* tag, Job* job, Py_ssize_t vectors) noexcept nogil:
    cdef Planes* p = &job.planes
    cdef Py_ssize_t stripe = max(1, min(p.out_h, UNIT_PIXELS // p.pitch))
    cdef Py_ssize_t panels = ceil_div(job.filters, job.mr)
    cut_planes(p, ceil_div(p.out_h, ceil_div(p.out_h, stripe)))
    job.stripes = ceil_div(p.out_h, p.stripe)
    job.batch = 1
    if job.copied and job.stripes == 1:
        job.batch = max(1, min(p.images, UNIT_PIXELS // (p.out_h * p.pitch)))
        job.batch = ceil_div(p.images, ceil_div(p.images, job.batch))
    job.units = ceil_div(p.images, job.batch) * job.stripes
    job.slices = max(1, min(min(job.units, ceil_div(WANTED_TASKS, job.groups)), p.images * vectors // SLICE_VECTORS))
    # More pieces for the threads, which changes no sum.
    job.filter_parts = 1
    if num_slots() > 1:
        job.filter_parts = max(1, min(panels, ceil_div(WANTED_TASKS, job.groups * job.slices)))
    job.group_sums = job.filters * job.depth * job.vl
    job.slice_sums = job.groups * job.group_sums
    job.planes_size = round_up(job.channels * p.channel_size + job.vl, 16)
    job.copied_filter = 16 * (ceil_div(p.stripe * p.pitch, 16) | 1)
    job.dy_size = ceil_div(panels, job.filter_parts) * job.mr * job.copied_filter + 16 if job.copied else 0
    job.slot_bytes = slot_size(<size_t> round_up(job.depth, 8) * sizeof(Py_ssize_t)
                               + <size_t> (job.batch * (job.planes_size + job.dy_size)) * sizeof(floating))


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef bint ok
    job.sums = allocate(<size_t> (job.slices * job.slice_sums) * sizeof(floating))
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    ok = job.sums != NULL and job.scratch != NULL
    if ok:
        parallel_work(_multiply_f32 if floating is float else _multiply_f64, job,
                      job.slices * job.groups * job.filter_parts,
                      <double> job.planes.images * job.planes.out_h * job.planes.out_w * job.slice_sums / job.vl)
        parallel_work(_write_f32 if floating is float else _write_f64, job, job.groups,
                      <double> job.slices * job.slice_sums)
    release(job.sums)
    release(job.scratch)
    return ok


# An estimate in multiply-adds of vectors, of dot products against conv_direct_weight.pyx, which turns dy so that its
# lanes are filters. Fitted with AVX-512 to 4 to 64 filters, 9 to 500 pairs.
cdef bint _pays(const Job* job, Py_ssize_t vectors) noexcept nogil:
    cdef double here = vectors * round_up(job.filters, job.mr // 2) * (1.35 * round_up(job.depth, 3) + 7)
    cdef double there = 1.05 * ceil_div(job.filters, job.vl) * job.depth + job.filters
    return here <= there * job.planes.out_h * job.planes.out_w


cdef int few_weight_run(const Geometry* q, const floating* x, const floating* dy, floating* dw) noexcept nogil:
    cdef Job job
    cdef int choice = plane_choice()
    cdef Py_ssize_t vectors
    if (choice >= 0 and choice != 2) or not is_flat(q) or q.x_steps[4] != 1 or not has_values(q):
        return -1
    if not forward_planes(&job.planes, q):
        return -1
    job.vl = lanes(<floating*> NULL)
    job.mr = tile_rows(<floating*> NULL)
    job.groups = q.groups
    job.filters = group_filters(q)
    job.channels = group_channels(q)
    job.depth = job.channels * job.planes.taps
    job.dy_image = q.y_steps[0]
    job.dy_channel = q.y_steps[1]
    job.dy_line = q.y_steps[3]
    job.dy_pixel = q.y_steps[4]
    if job.planes.taps == 1 or job.filters * job.depth * job.vl * <Py_ssize_t> sizeof(floating) > MOST_SUMS:
        return -1
    vectors = _choose_vectors(&job, sizeof(floating))
    if choice < 0 and (is_depthwise(q) or not _pays(&job, vectors)):
        return -1
    job.x = x
    job.dy = dy
    job.dw = dw
    job.not_finite = measuring()
    _plan(dw, &job, vectors)
    if not _run(dw, &job):
        return 0
    return -1 if job.not_finite else 1


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Geometry q
    memset(&q, 0, sizeof(Geometry))
    few_weight_run(&q, <const float*> NULL, <const float*> NULL, <float*> NULL)
    few_weight_run(&q, <const double*> NULL, <const double*> NULL, <double*> NULL)

# dw[f, c, k] = sum_{n, o} dy[n, f, o] * x[n, c, o * stride + k * dilation - pad]   for groups of one or few planes.
#
# Edges: cells outside are zeros that take part in the sum, so an infinite dy gives NaN there.
#
# Blocking: as conv_depthwise.pyx, the usual kernels read the planes where they lie. For all others a stripe of rows of
# x is copied between zeros; then one call multiplies it with the rows of dy. One vector of sums for each tap stays in
# registers from row to row (csrc/depthwise_direct.inc.h, csrc/depthwise.inc.h).
#
# A piece of work is a group of planes and a slice of the stripes of all images: one slice, unless there are too few
# groups to share among threads. Slices are cut by shape alone and added in order, so any number of threads gives the
# same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport group_filters, Geometry
from pycnn.kernels._integers cimport ceil_div, part_begin, round_up, slot_size
from pycnn.kernels._runtime cimport Direct, Window, allocate, measuring, num_slots, parallel_work, release
from pycnn.kernels._tiles cimport lanes, plane_dot, plane_fold, plane_pad, planes_products
from pycnn.kernels.conv_depthwise cimport PlaneSum, copy_plane, find_window, plan_direct, plan_planes
from pycnn.kernels._winograd cimport Plane, plane_of

cdef enum:
    WANTED_TASKS = 16
    WANTED_CHUNKS = 64
    MOST_FILTERS = 4      # of a group, where the planes are read where they lie
    STRIPE_ROWS = 28

ctypedef struct Job:
    PlaneSum planes       # of the convolution: src is x, dst is dy
    const void* x
    const void* dy
    void* sums            # [slice][group][filter][channel][tap][lane]
    Py_ssize_t vl, taps
    Py_ssize_t stripes    # of all images
    Py_ssize_t slices
    Py_ssize_t group_sums
    Py_ssize_t line       # of a copy of dy, where its cells lie apart
    char* scratch
    size_t slot_bytes


# One stripe of one image: its products for the planes of one group.
cdef void _add_stripe(Job* job, Py_ssize_t number, Py_ssize_t g, floating* sums, floating* copy) noexcept nogil:
    cdef PlaneSum* p = &job.planes
    cdef Py_ssize_t t0 = number % p.stripes * p.stripe
    cdef Py_ssize_t t1 = min(t0 + p.stripe, p.axis[0][0].outputs)
    cdef Py_ssize_t slice = number // p.stripes % p.slices
    cdef Py_ssize_t image = number // (p.stripes * p.slices)
    cdef const floating* x = (<const floating*> job.x + image * p.src.image + slice * p.src.slice
                              + g * p.channels * p.src.channel)
    cdef const floating* dy = (<const floating*> job.dy + image * p.dst.image + slice * p.dst.slice
                               + g * p.rows * p.dst.channel + t0 * p.dst.line)
    cdef floating* copied = copy + p.plane
    cdef const floating* src
    cdef const floating* other
    cdef Window window
    cdef Py_ssize_t c, m, offset
    for c in range(p.channels):
        src = copy_plane(p, x + c * p.src.channel, t0, t1, copy)
        offset = find_window(p, &window, 0, 0, t0, t1)
        for m in range(p.rows):
            other = dy + m * p.dst.channel
            window.dst_line = p.dst.line
            if p.dst.pixel != 1:
                plane_pad(copied, job.line, other, p.dst.line, p.dst.pixel, window.cols, 0, 1, window.rows)
                other = copied
                window.dst_line = job.line
            plane_dot(sums + (m * p.channels + c) * job.taps * job.vl, src + offset, other, &window)


cdef void _chunk(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t piece = task // job.planes.groups
    cdef floating* copy = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* sums = <floating*> job.sums + task * job.group_sums
    cdef Py_ssize_t number
    memset(sums, 0, <size_t> job.group_sums * sizeof(floating))
    for number in range(piece * job.stripes // job.slices, (piece + 1) * job.stripes // job.slices):
        _add_stripe(job, number, task % job.planes.groups, sums, copy)


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <Job*> context, chunk, slot)


# ---- planes where they lie

ctypedef struct PlanesJob:
    Direct direct
    Plane dst
    const void* x
    const void* dy
    const void* zero
    void* sums            # [slice][filter][tap]
    Py_ssize_t images, groups, filters, parts
    Py_ssize_t stripes, stripe, slices  # slices of the images, or of the rows of each
    Py_ssize_t values     # of dw


cdef bint _plan_planes(PlanesJob* job, const Geometry* q) noexcept nogil:
    cdef Direct* d = &job.direct
    cdef Plane src = plane_of(q.x_shape, q.x_steps)
    cdef Py_ssize_t wanted
    job.dst = plane_of(q.y_shape, q.y_steps)
    job.filters = group_filters(q)
    if q.x_shape[1] != q.groups or job.filters > MOST_FILTERS or q.x_shape[2] != 1:
        return False
    if not plan_direct(d, q, &src, &job.dst, q.stride[1]):
        return False
    job.images = q.x_shape[0]
    job.groups = q.groups
    d.src_image = src.image
    d.src_plane = src.channel
    d.dst_image = job.dst.image
    d.dst_plane = job.filters * job.dst.channel
    d.weight_plane = job.filters * d.kh * d.kw
    job.values = job.groups * d.weight_plane
    wanted = ceil_div(WANTED_TASKS, job.groups)
    job.stripe = max(<Py_ssize_t> STRIPE_ROWS, round_up(ceil_div(d.rows, ceil_div(wanted, job.images)), STRIPE_ROWS))
    job.stripes = ceil_div(d.rows, job.stripe)
    job.slices = job.images * job.stripes if job.stripes > 1 else min(job.images, wanted)
    job.parts = min(job.groups, ceil_div(WANTED_CHUNKS, job.slices))
    return True


cdef void _planes_chunk(floating* tag, PlanesJob* job, Py_ssize_t chunk) noexcept nogil:
    cdef Direct d = job.direct
    cdef Py_ssize_t part = chunk % job.parts
    cdef Py_ssize_t piece = chunk // job.parts
    cdef Py_ssize_t g0 = part_begin(part, job.parts, job.groups)
    cdef Py_ssize_t image, m
    cdef const floating* dy
    cdef floating* sums = <floating*> job.sums + piece * job.values + g0 * d.weight_plane
    d.planes = part_begin(part + 1, job.parts, job.groups) - g0
    if job.stripes > 1:
        image = piece // job.stripes
        d.first = piece % job.stripes * job.stripe
        d.rows = min(d.first + job.stripe, d.rows)
    else:
        image = part_begin(piece, job.slices, job.images)
        d.images = part_begin(piece + 1, job.slices, job.images) - image
    dy = <const floating*> job.dy + image * d.dst_image + g0 * d.dst_plane
    for m in range(job.filters):
        planes_products(sums + m * d.kh * d.kw, <const floating*> job.x + image * d.src_image + g0 * d.src_plane,
                        dy + m * job.dst.channel, <const floating*> job.zero, &d)


cdef void _planes_chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _planes_chunk(<float*> NULL, <PlanesJob*> context, chunk)


cdef void _planes_chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _planes_chunk(<double*> NULL, <PlanesJob*> context, chunk)


cdef int _run_planes(const Geometry* q, const floating* x, const floating* dy, floating* dw) noexcept nogil:
    cdef PlanesJob job
    cdef size_t bytes
    cdef floating* memory
    cdef floating* sums
    cdef Py_ssize_t i, k
    if not _plan_planes(&job, q):
        return -1
    bytes = <size_t> job.direct.width * sizeof(floating)
    memory = <floating*> allocate(bytes + <size_t> (job.slices * job.values) * sizeof(floating))
    if memory == NULL:
        return 0
    memset(memory, 0, bytes)
    sums = memory + job.direct.width
    job.zero = memory
    job.sums = dw if job.slices == 1 else sums
    job.x = x
    job.dy = dy
    parallel_work(_planes_chunk_f32 if floating is float else _planes_chunk_f64, &job, job.slices * job.parts,
                  <double> job.images * q.y_shape[3] * q.y_shape[4] * job.values)
    if job.slices > 1 and not measuring():
        for i in range(job.values):
            dw[i] = sums[i]
            for k in range(1, job.slices):
                dw[i] += sums[k * job.values + i]
    release(memory)
    return 1


# ---- all of it

cdef int depthwise_weight_run(const Geometry* q, const floating* x, const floating* dy, floating* dw) noexcept nogil:
    cdef Job job
    cdef PlaneSum* p = &job.planes
    cdef Py_ssize_t all_sums
    cdef bint ok
    cdef int done = _run_planes(q, x, dy, dw)
    if done >= 0:
        return done
    job.vl = lanes(<floating*> NULL)
    if not plan_planes(p, q, False, job.vl, sizeof(floating)):
        return -1
    job.x = x
    job.dy = dy
    job.taps = q.kernel[1] * q.kernel[2]
    job.stripes = p.images * p.slices * p.stripes
    job.slices = max(1, min(job.stripes, (WANTED_TASKS + p.groups - 1) // p.groups))
    job.group_sums = p.rows * p.channels * job.taps * job.vl
    all_sums = p.groups * job.group_sums
    job.line = (p.axis[1][0].outputs + job.vl - 1) // job.vl * job.vl
    job.slot_bytes = <size_t> p.plane * sizeof(floating)
    if p.dst.pixel != 1:
        job.slot_bytes += <size_t> (p.stripe * job.line + job.vl) * sizeof(floating)
    job.slot_bytes = slot_size(job.slot_bytes)
    job.sums = allocate(<size_t> (job.slices * all_sums) * sizeof(floating))
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    ok = job.sums != NULL and job.scratch != NULL
    if ok:
        parallel_work(_chunk_f32 if floating is float else _chunk_f64, &job, job.slices * p.groups,
                      <double> p.images * p.slices * q.y_shape[1] * p.channels * q.y_shape[3] * q.y_shape[4] * job.taps)
        if not measuring():
            plane_fold(dw, <const floating*> job.sums, all_sums // job.vl, job.slices, all_sums)
    release(job.sums)
    release(job.scratch)
    return ok


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Geometry q
    memset(&q, 0, sizeof(Geometry))
    q.groups = 1
    depthwise_weight_run(&q, <const float*> NULL, NULL, NULL)
    depthwise_weight_run(&q, <const double*> NULL, NULL, NULL)

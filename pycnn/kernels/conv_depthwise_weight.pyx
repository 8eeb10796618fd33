# dw[f, c, k] = sum_{n, o} dy[n, f, o] * x[n, c, o * stride + k * dilation - pad]   for groups of one or few planes.
#
# Edges: cells outside are zeros that take part in the sum, so an infinite dy gives NaN there.
#
# Blocking: as conv_depthwise.pyx, a stripe of rows of x is copied between zeros; then one call multiplies it with the
# rows of dy, one vector of sums for each tap, which stay in registers from row to row (csrc/depthwise.inc.h).
#
# A piece of work is a group of planes and a slice of the stripes of all images: one slice, unless there are too few
# groups to share among threads. Slices are cut by shape alone and added in order, so any number of threads gives the
# same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport Geometry
from pycnn.kernels._runtime cimport Window, allocate, num_slots, parallel_work, release
from pycnn.kernels._tiles cimport lanes, plane_dot, plane_fold, plane_pad
from pycnn.kernels.conv_depthwise cimport PlaneSum, copy_plane, find_window, plan_planes

cdef enum:
    WANTED_TASKS = 16

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


cdef int depthwise_weight_run(const Geometry* q, const floating* x, const floating* dy, floating* dw) noexcept nogil:
    cdef Job job
    cdef PlaneSum* p = &job.planes
    cdef Py_ssize_t all_sums
    cdef bint ok
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
    job.slot_bytes = (job.slot_bytes + 127) // 64 * 64
    job.sums = allocate(<size_t> (job.slices * all_sums) * sizeof(floating))
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    ok = job.sums != NULL and job.scratch != NULL
    if ok:
        parallel_work(_chunk_f32 if floating is float else _chunk_f64, &job, job.slices * p.groups,
                      <double> p.images * p.slices * q.y_shape[1] * p.channels * q.y_shape[3] * q.y_shape[4] * job.taps)
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

# y[n, f, o] = b[f] + sum_{c, k} x[n, c, o * stride + k * dilation - pad] * w[f, c, k]   for groups of one or few
# planes, depthwise convolution above all, and its gradient for the input
# dx[n, c, i] = sum_{f, k} dy[n, f, (i + pad - k * dilation) / stride] * w[f, c, k]   where the division is exact.
#
# Edges: cells outside are zeros that take part in the sum, so inf * 0 is NaN there too.
#
# Both are sums of planes times kernels. The gradient with stride 2 falls into phases, the even and the odd rows and
# columns of dx: each has the taps for which the division is exact, and reads dy with stride 1; nothing is scattered.
#
# Blocking: the usual kernels, on planes that lie along their rows, read the planes where they are, several at a call
# (csrc/depthwise_direct.inc.h). For all others a piece of work is a stripe of rows of one image and group. The rows
# that it reads are copied between zeros (csrc/depthwise.inc.h), into L1, unless no tap is outside; then each plane of
# the result is one call. Columns of dx that lie apart are made side by side and put together at the end.
#
# Every sum runs in one order, (channel, kernel column, kernel row), so any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport group_channels, group_filters, has_values, Geometry
from pycnn.kernels._integers cimport ceil_div, part_begin, round_up, slot_size
from pycnn.kernels._runtime cimport Direct, Window, allocate, num_slots, parallel_work, release
from pycnn.kernels._tiles cimport lanes, plane_merge, plane_pad, plane_sum, planes_in_place, planes_sum
from pycnn.kernels._winograd cimport plane_of

cdef enum:
    MOST_PLANES = 4            # rows * channels of a group
    MOST_TAPS = 1024
    STRIPE_BYTES = 24 << 10    # of copies: they share L1 with what is written
    FEWEST_ROWS = 8            # of a stripe: the rows that two stripes read are copied twice
    MOST_BYTES = 1 << 20       # of copies: half of L2 on small machines
    WANTED_CHUNKS = 64
    STRIPE_ROWS = 28           # of planes that are cut: whole tiles of 4 and of 7 rows

ctypedef struct Job:
    PlaneSum planes
    const void* src
    const void* w
    const void* bias
    void* dst
    Py_ssize_t w_group, w_row, w_channel
    Py_ssize_t kernel[2]
    Py_ssize_t line       # of the outputs of a phase of columns, where they are put together
    bint together
    char* scratch
    size_t slot_bytes

# Planes where they lie.
ctypedef struct PlanesJob:
    Direct direct
    Plane src, dst
    const void* src_values
    const void* w
    const void* bias
    const void* zero
    void* dst_values
    Py_ssize_t images, slices, groups, rows, w_row
    Py_ssize_t parts       # of the groups
    Py_ssize_t stripes     # of a plane
    Py_ssize_t stripe      # rows
    bint spread


# ---- geometry

cdef Axis forward_axis(const Geometry* q, Py_ssize_t a) noexcept nogil:
    cdef Axis axis
    axis.outputs = q.y_shape[a + 2]
    axis.count = q.kernel[a]
    axis.first = -q.pad[a]
    axis.step = q.dilation[a]
    axis.weight = 0
    axis.weight_step = 1
    return axis


# The taps k with (phase + pad - k * dilation) divisible by the stride, from the last to the first: offsets ascend.
cdef Axis backward_axis(const Geometry* q, Py_ssize_t a, Py_ssize_t phase) noexcept nogil:
    cdef Axis axis
    cdef Py_ssize_t stride = q.stride[a]
    cdef Py_ssize_t k, place
    axis.outputs = ceil_div(q.x_shape[a + 2] - phase, stride)
    axis.count = 0
    axis.first = axis.weight = 0
    axis.step = axis.weight_step = 1
    for k in range(q.kernel[a] - 1, -1, -1):
        place = phase + q.pad[a] - k * q.dilation[a]
        if place % stride:
            continue
        if axis.count == 0:
            axis.first = place // stride
            axis.weight = k
        elif axis.count == 1:
            axis.step = place // stride - axis.first
            axis.weight_step = k - axis.weight
        axis.count += 1
    return axis


cdef void _find_reach(PlaneSum* p, Py_ssize_t a) noexcept nogil:
    cdef Py_ssize_t f, last, high = 0
    cdef bint any_taps = False
    cdef Axis* axis
    p.low[a] = 0
    for f in range(p.phases[a]):
        axis = &p.axis[a][f]
        if axis.count == 0:
            continue
        last = axis.first + (axis.count - 1) * axis.step
        p.low[a] = min(p.low[a], axis.first) if any_taps else axis.first
        high = max(high, last) if any_taps else last
        any_taps = True
    p.span[a] = high - p.low[a] if any_taps else 0


cdef bint _in_place(const PlaneSum* p, Py_ssize_t vl) noexcept nogil:
    cdef Py_ssize_t a
    cdef Py_ssize_t[2] size
    size[0] = p.src.height
    size[1] = p.src.width
    for a in range(2):
        if p.low[a] < 0 or p.low[a] + p.span[a] + (p.axis[a][0].outputs - 1) * p.stride[a] >= size[a]:
            return False
    # What is added to a sum is not computed twice, so the last vector of its row reads beyond it, perhaps beyond x.
    if p.channels > 1 and p.axis[1][0].outputs % vl:
        return False
    return p.src.pixel == 1 and p.stride[1] == 1 and p.phases[1] == 1 and p.axis[1][0].outputs >= vl


cdef void _plan_copy(PlaneSum* p, Py_ssize_t vl, size_t value_size) noexcept nogil:
    cdef Py_ssize_t f, j, place, end
    cdef Py_ssize_t stride = p.stride[1]
    cdef Py_ssize_t[2] most
    most[0] = p.axis[0][0].outputs  # phase 0 has the most
    most[1] = p.axis[1][0].outputs
    # Cell 0 comes to an aligned place: there are `lead` places before it.
    p.lead = round_up(max(-p.low[1], 0), stride * vl) if p.low[1] < 0 else p.low[1] // (stride * vl) * (-stride * vl)
    for f in range(p.phases[1]):
        for j in range(p.axis[1][f].count):
            place = p.lead + p.axis[1][f].first + j * p.axis[1][f].step
            p.column[f][j] = place  # with stride 2 once more below
    # What is read of a row, which may end in the zeros that the next one begins with; what lies in it.
    end = ceil_div(p.lead + p.low[1] + p.span[1], stride) + round_up(most[1], vl) - max(p.lead, 0) // stride
    p.width = round_up(max(end, ceil_div(p.lead + p.src.width, stride)), vl)
    if stride == 2:
        for j in range(p.axis[1][0].count):
            place = p.column[0][j]
            p.column[0][j] = place % 2 * p.width + place // 2
    p.pitch = p.width * stride
    p.stripe = STRIPE_BYTES // (p.channels * p.pitch * <Py_ssize_t> value_size) - p.span[0]
    p.stripe = max(<Py_ssize_t> FEWEST_ROWS, p.stripe // p.stride[0])
    p.stripes = max(<Py_ssize_t> 1, ceil_div(most[0], p.stripe))
    p.stripe = ceil_div(most[0], p.stripes)
    p.plane = ((p.stripe - 1) * p.stride[0] + p.span[0] + 1) * p.pitch + round_up(max(p.lead, 0), vl) + 2 * vl


cdef bint plan_planes(PlaneSum* p, const Geometry* q, bint backward, Py_ssize_t vl, size_t value_size) noexcept nogil:
    cdef Py_ssize_t channels = group_channels(q)
    cdef Py_ssize_t filters = group_filters(q)
    cdef Py_ssize_t a, f
    if q.kernel[0] != 1 or q.stride[0] != 1 or q.pad[0] != 0 or not has_values(q) or q.x_shape[2] != q.y_shape[2]:
        return False
    if q.kernel[2] > MOST_COLUMNS or q.kernel[1] * q.kernel[2] > MOST_TAPS:
        return False
    if channels * filters == 0 or channels * filters > MOST_PLANES or q.stride[1] > 2 or q.stride[2] > 2:
        return False
    p.src = plane_of(q.y_shape, q.y_steps) if backward else plane_of(q.x_shape, q.x_steps)
    p.dst = plane_of(q.x_shape, q.x_steps) if backward else plane_of(q.y_shape, q.y_steps)
    if p.src.pixel < 1 or p.src.pixel > 2:
        return False
    p.images = q.x_shape[0]
    p.slices = q.x_shape[2]
    p.groups = q.groups
    p.rows = channels if backward else filters
    p.channels = filters if backward else channels
    for a in range(2):
        p.stride[a] = 1 if backward else q.stride[a + 1]
        p.phases[a] = min(q.stride[a + 1], q.x_shape[a + 3]) if backward else 1
        for f in range(p.phases[a]):
            p.axis[a][f] = backward_axis(q, a + 1, f) if backward else forward_axis(q, a + 1)
        _find_reach(p, a)
    _plan_copy(p, vl, value_size)
    p.in_place = _in_place(p, vl)
    return p.channels * p.plane * <Py_ssize_t> value_size <= MOST_BYTES


# ---- one stripe of one plane

cdef const floating* copy_plane(const PlaneSum* p, const floating* src, Py_ssize_t t0, Py_ssize_t t1,
                                floating* copy) noexcept nogil:
    cdef Py_ssize_t first = t0 * p.stride[0] + p.low[0]
    cdef Py_ssize_t rows = (t1 - t0 - 1) * p.stride[0] + p.span[0] + 1
    cdef Py_ssize_t above = min(max(-first, 0), rows)
    cdef Py_ssize_t below = min(max(first + rows - p.src.height, 0), rows - above)
    cdef const floating* lines = src + (first + above) * p.src.line
    cdef floating* to = copy + above * p.pitch
    if p.in_place:
        return src + first * p.src.line - p.lead
    memset(copy, 0, <size_t> (above * p.pitch) * sizeof(floating))
    plane_pad(to, p.width, lines, p.src.line, p.src.pixel, p.src.width, p.lead, p.stride[1], rows - above - below)
    if below:
        memset(copy + (rows - below) * p.pitch, 0, <size_t> (p.plane - (rows - below) * p.pitch) * sizeof(floating))
    return copy


cdef Py_ssize_t find_window(const PlaneSum* p, Window* window, Py_ssize_t row, Py_ssize_t column, Py_ssize_t t0,
                            Py_ssize_t t1) noexcept nogil:
    cdef Py_ssize_t line = p.src.line if p.in_place else p.pitch
    cdef const Axis* axis = &p.axis[0][row]
    window.rows = min(t1, axis.outputs) - t0
    window.cols = p.axis[1][column].outputs
    window.src_line = line * p.stride[0]
    window.kh = axis.count
    window.kw = p.axis[1][column].count
    window.tap_line = axis.step * line
    window.column = &p.column[column][0]
    return (axis.first - p.low[0]) * line if axis.count else 0


# ---- the sums

# The weights of the taps of two phases, in the order of their cells.
cdef void _gather(const Job* job, const floating* w, Py_ssize_t row, Py_ssize_t column, floating* out) noexcept nogil:
    cdef const Axis* rows = &job.planes.axis[0][row]
    cdef const Axis* cols = &job.planes.axis[1][column]
    cdef Py_ssize_t i, j
    for i in range(rows.count):
        for j in range(cols.count):
            out[i * cols.count + j] = w[(rows.weight + i * rows.weight_step) * job.kernel[1]
                                        + cols.weight + j * cols.weight_step]


# One plane of the result: its stripe's outputs of phase `row`.
cdef void _sum_planes(const Job* job, const floating** src, const floating* w, floating bias, Py_ssize_t row,
                      Py_ssize_t t0, Py_ssize_t t1, floating* weights, floating* lines, floating* dst) noexcept nogil:
    cdef const PlaneSum* p = &job.planes
    cdef Window window
    cdef floating* to
    cdef Py_ssize_t line = p.dst.line * p.phases[0]
    cdef Py_ssize_t column, c, offset
    dst += (t0 * p.phases[0] + row) * p.dst.line
    for column in range(p.phases[1]):
        offset = find_window(p, &window, row, column, t0, t1)
        if window.rows <= 0:
            return
        window.dst_line = job.line * p.phases[1] if job.together else line
        window.spill = (job.together or line == window.cols) and not p.in_place
        to = lines + column * job.line if job.together else dst
        for c in range(p.channels):
            _gather(job, w + c * job.w_channel, row, column, weights)
            plane_sum(to, src[c] + offset, weights, &window, bias, c > 0)
    if job.together:
        plane_merge(dst, line, p.dst.pixel, lines, job.line * p.phases[1], job.line, p.dst.width, p.phases[1],
                    window.rows)


cdef void _chunk(floating* tag, Job* job, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    cdef PlaneSum* p = &job.planes
    cdef Py_ssize_t stripe = chunk % p.stripes
    cdef Py_ssize_t g = chunk // p.stripes % p.groups
    cdef Py_ssize_t slice = chunk // (p.stripes * p.groups) % p.slices
    cdef Py_ssize_t image = chunk // (p.stripes * p.groups * p.slices)
    cdef Py_ssize_t t0 = stripe * p.stripe
    cdef Py_ssize_t t1 = min(t0 + p.stripe, p.axis[0][0].outputs)
    cdef const floating* src = (<const floating*> job.src + image * p.src.image + slice * p.src.slice
                                + g * p.channels * p.src.channel)
    cdef floating* dst = (<floating*> job.dst + image * p.dst.image + slice * p.dst.slice
                          + g * p.rows * p.dst.channel)
    cdef const floating* w = <const floating*> job.w + g * job.w_group
    cdef const floating* bias = <const floating*> job.bias
    cdef floating* copies = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* weights = copies + p.channels * p.plane
    cdef floating* lines = weights + job.kernel[0] * job.kernel[1]
    cdef const floating* planes[MOST_PLANES]
    cdef Py_ssize_t c, m, row
    for c in range(p.channels):
        planes[c] = copy_plane(p, src + c * p.src.channel, t0, t1, copies + c * p.plane)
    for m in range(p.rows):
        for row in range(p.phases[0]):
            _sum_planes(job, planes, w + m * job.w_row, bias[g * p.rows + m] if bias != NULL else <floating> 0, row, t0,
                        t1, weights, lines, dst + m * p.dst.channel)


cdef void _chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<float*> NULL, <Job*> context, chunk, slot)


cdef void _chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _chunk(<double*> NULL, <Job*> context, chunk, slot)


# ---- planes where they lie

# False where a kernel, or what lies in memory, is not for planes_sum.
cdef bint plan_direct(Direct* d, const Geometry* q, const Plane* src, const Plane* dst,
                      Py_ssize_t stride) noexcept nogil:
    cdef Py_ssize_t kh = q.kernel[1]
    cdef Py_ssize_t kw = q.kernel[2]
    if not planes_in_place() or q.kernel[0] != 1 or q.stride[0] != 1 or q.pad[0] != 0:
        return False
    if not has_values(q) or q.x_shape[2] != q.y_shape[2]:
        return False
    if kw > 7 or kh != 3 and kh != 5 and kh != 7 or kh == 3 and kw != 3 or src.pixel != 1 or dst.pixel != 1:
        return False
    if q.stride[1] != q.stride[2] or q.stride[1] > 2:
        return False
    if q.stride[1] == 2 and (kh == 7 or q.dilation[1] != 1 or q.dilation[2] != 1):
        return False
    d.images = d.planes = 1
    d.src_line = src.line
    d.dst_line = dst.line
    d.weight_plane = d.bias_plane = d.first = 0
    d.weight_step = 1
    d.src_image = d.src_plane = d.dst_image = d.dst_plane = 0
    d.rows = dst.height
    d.cols = dst.width
    d.height = src.height
    d.width = src.width
    d.top = q.pad[1]
    d.left = q.pad[2]
    d.kh = kh
    d.kw = kw
    d.stride = stride
    d.row_step = q.dilation[1]
    d.col_step = q.dilation[2]
    return True


cdef bint _plan_planes(PlanesJob* job, const Geometry* q, bint backward) noexcept nogil:
    cdef Direct* d = &job.direct
    cdef Py_ssize_t channels = group_channels(q)
    cdef Py_ssize_t filters = group_filters(q)
    cdef Py_ssize_t taps = q.kernel[1] * q.kernel[2]
    job.src = plane_of(q.y_shape, q.y_steps) if backward else plane_of(q.x_shape, q.x_steps)
    job.dst = plane_of(q.x_shape, q.x_steps) if backward else plane_of(q.y_shape, q.y_steps)
    job.rows = channels if backward else filters
    if (filters if backward else channels) != 1 or job.rows == 0 or job.rows > MOST_PLANES:
        return False
    job.spread = backward and q.stride[1] == 2
    if not plan_direct(d, q, &job.src, &job.dst, 1 if backward else q.stride[1]):
        return False
    if backward and not job.spread:  # the same sum with the taps from the last to the first
        d.weight_step = -1
        d.top = (d.kh - 1) * d.row_step - d.top
        d.left = (d.kw - 1) * d.col_step - d.left
    job.images = q.x_shape[0]
    job.slices = q.x_shape[2]
    job.groups = q.groups
    job.w_row = taps
    d.src_plane = job.src.channel
    d.dst_plane = job.rows * job.dst.channel
    d.weight_plane = job.rows * taps
    d.bias_plane = job.rows
    job.parts = min(q.groups, max(<Py_ssize_t> 1, WANTED_CHUNKS // max(<Py_ssize_t> 1, job.images * job.slices)))
    job.stripes = max(<Py_ssize_t> 1, WANTED_CHUNKS // (4 * max(<Py_ssize_t> 1, job.images * job.slices * job.parts)))
    job.stripe = max(<Py_ssize_t> STRIPE_ROWS, round_up(ceil_div(d.rows, job.stripes), STRIPE_ROWS))
    job.stripes = ceil_div(d.rows, job.stripe)
    return True


cdef void _planes_chunk(floating* tag, PlanesJob* job, Py_ssize_t chunk) noexcept nogil:
    cdef Direct d = job.direct
    cdef Py_ssize_t stripe = chunk % job.stripes
    cdef Py_ssize_t part = chunk // job.stripes % job.parts
    cdef Py_ssize_t slice = chunk // (job.stripes * job.parts) % job.slices
    cdef Py_ssize_t image = chunk // (job.stripes * job.parts * job.slices)
    cdef Py_ssize_t g0 = part_begin(part, job.parts, job.groups)
    cdef Py_ssize_t g1 = part_begin(part + 1, job.parts, job.groups)
    cdef const floating* src = (<const floating*> job.src_values + image * job.src.image + slice * job.src.slice
                                + g0 * d.src_plane)
    cdef floating* dst = <floating*> job.dst_values + image * job.dst.image + slice * job.dst.slice + g0 * d.dst_plane
    cdef const floating* w = <const floating*> job.w + g0 * d.weight_plane + (job.w_row - 1 if d.weight_step < 0 else 0)
    cdef const floating* bias = <const floating*> job.bias
    cdef Py_ssize_t m
    d.planes = g1 - g0
    d.first = stripe * job.stripe
    d.rows = min(d.first + job.stripe, d.rows)
    for m in range(job.rows):
        planes_sum(job.spread, dst + m * job.dst.channel, src, w + m * job.w_row,
                   bias + g0 * job.rows + m if bias != NULL else NULL, <const floating*> job.zero, &d)


cdef void _planes_chunk_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _planes_chunk(<float*> NULL, <PlanesJob*> context, chunk)


cdef void _planes_chunk_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _planes_chunk(<double*> NULL, <PlanesJob*> context, chunk)


cdef int _run_planes(const Geometry* q, bint backward, const floating* src, const floating* w, const floating* bias,
                     floating* dst) noexcept nogil:
    cdef PlanesJob job
    cdef size_t bytes
    cdef void* zero
    if not _plan_planes(&job, q, backward):
        return -1
    bytes = <size_t> job.direct.width * sizeof(floating)
    zero = allocate(bytes)
    if zero == NULL:
        return 0
    memset(zero, 0, bytes)
    job.zero = zero
    job.src_values = src
    job.w = w
    job.bias = bias
    job.dst_values = dst
    parallel_work(_planes_chunk_f32 if floating is float else _planes_chunk_f64, &job,
                  job.images * job.slices * job.parts * job.stripes,
                  <double> job.images * job.slices * job.groups * job.rows * q.y_shape[3] * q.y_shape[4] * job.w_row)
    release(zero)
    return 1


# ---- all of it

cdef int depthwise_run(const Geometry* q, bint backward, const floating* src, const floating* w, const floating* bias,
                       floating* dst) noexcept nogil:
    cdef Job job
    cdef PlaneSum* p = &job.planes
    cdef Py_ssize_t vl = lanes(<floating*> NULL)
    cdef Py_ssize_t taps = q.kernel[1] * q.kernel[2]
    cdef Py_ssize_t values
    cdef int done = _run_planes(q, backward, src, w, bias, dst)
    if done >= 0:
        return done
    if not plan_planes(p, q, backward, vl, sizeof(floating)):
        return -1
    job.src = src
    job.w = w
    job.bias = bias
    job.dst = dst
    job.kernel[0] = q.kernel[1]
    job.kernel[1] = q.kernel[2]
    job.w_group = p.rows * p.channels * taps
    job.w_row = taps if backward else p.channels * taps
    job.w_channel = p.rows * taps if backward else taps
    job.together = p.phases[1] > 1 or p.dst.pixel != 1
    job.line = round_up(p.axis[1][0].outputs, vl) + vl
    values = p.channels * p.plane + taps
    if job.together:
        values += p.stripe * p.phases[1] * job.line + 2 * vl
    job.slot_bytes = slot_size(<size_t> values * sizeof(floating))
    job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    if job.scratch == NULL:
        return 0
    parallel_work(_chunk_f32 if floating is float else _chunk_f64, &job, p.images * p.slices * p.groups * p.stripes,
                  <double> p.images * p.slices * p.groups * p.rows * p.channels * q.y_shape[3] * q.y_shape[4] * taps)
    release(job.scratch)
    return 1


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Geometry q
    memset(&q, 0, sizeof(Geometry))
    q.groups = 1
    depthwise_run(&q, False, <const float*> NULL, NULL, NULL, NULL)
    depthwise_run(&q, False, <const double*> NULL, NULL, NULL, NULL)

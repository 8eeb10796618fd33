# dw[f, c, t] = sum_{n, o} turned[n][o][f] * x[n, c, o * stride + reach(t)]   with the copy of x of _points.pxd
#
# Edges: pixels outside x are zeros of its copy, multiplied like any value. Without padding x is read in place.
#
# Blocking: a matrix product over the pixels, (channel, tap) by filter: the register tile of conv_filters.pyx with rows
# of (channel, tap) for its pixels and the pixels for its channels and taps. `turned` are the deltas with the filters
# side by side. A block of rows and filters, whose sums stay in L2, takes DEEP_PIXELS at a time: a panel of their turned
# deltas stays in L1 while the rows pass by.
#
# Two ways to share the work:
#
#   by slices   the sums are small: the units are dealt out to slices with sums of their own, added in order. A unit's
#               copy and turned deltas stay in L2.
#   by blocks   for a slab of units, which fits L3, the threads make copies and turned deltas together; then a piece of
#               work is a block. Where there are too few to share, there are slices too.
#
# A kernel of one cell is the same with x and dy exchanged: what is turned is the one with fewer channels, and the other
# is read in place.
#
# The cut depends on the shape alone, and each sum runs in one order: any number of threads gives the same bits.

from cython cimport floating
from libc.string cimport memset

from pycnn.kernels._geometry cimport group_channels, group_filters, has_values, is_depthwise, is_flat, Geometry
from pycnn.kernels._integers cimport ceil_div, part_begin, round_up, slot_size
from pycnn.kernels._points cimport Points, copy_unit, find_unit, flatten_points, forward_points, lay_out, \
    set_unit
from pycnn.kernels._runtime cimport allocate, num_slots, parallel_work, plane_choice, release
from pycnn.kernels._tiles cimport ask_points, gemm_cells, gemm_points, lanes, store_points, tile_columns, tile_rows, \
    transpose_run

cdef enum:
    UNIT_PIXELS = 512     # about as many, so that a unit's lines and deltas stay in L2
    DEEP_PIXELS = 128     # so that a panel's deltas stay in L1
    LONG_PIXELS = 40      # from which on they are a loop of their own
    BLOCK_ROWS = 128      # of (channel, tap), and
    BLOCK_PANELS = 4      # of filters, so that a block's sums and its deltas stay in L2
    LEAST_PIXELS = 128    # by slices: shorter sums would cost more to add up than to make
    UNIT_BYTES = 512 << 10  # by slices: a part of L2
    SLAB_BYTES = 7 << 20  # a part of L3; after each the threads wait for one another
    FILL_CHANNELS = 16    # that one task copies
    WANTED_TASKS = 16
    MOST_ROWS = 8         # of a register tile
    WRITE_ROWS = 64       # of dw that one task writes
    TURN_COST = 24        # of a value, in multiply-adds

ctypedef struct Job:
    Points points
    const void* x
    const void* dy
    void* dw
    Py_ssize_t groups, filters, channels    # of a group
    Py_ssize_t dy_image, dy_channel, dy_line, dy_pixel
    Py_ssize_t mr, nr, vl
    Py_ssize_t depth, row_panels            # (channel, tap) pairs of a group
    Py_ssize_t vectors, filter_panels       # of the filters of a group
    Py_ssize_t filter_width
    Py_ssize_t row_blocks, filter_blocks    # of a group
    Py_ssize_t dw_row, dw_filter            # steps of dw: to the next (channel, tap), and filter
    bint in_place, by_slices
    Py_ssize_t channel_step, line_step      # of the copy, or of x: to the next channel, and row of pixels
    Py_ssize_t slab_units, first_unit
    Py_ssize_t slices, sums_size
    Py_ssize_t fills, fill_channels         # tasks that make the copy of a unit, and channels of each
    Py_ssize_t copy_size, turned_size       # of a unit
    Py_ssize_t unit_pixels
    void* copies
    void* turned
    char* scratch                           # by slices: copy and turned deltas of each thread's unit
    size_t slot_bytes
    void* sums                              # [slice][group][filter panel][(channel, tap)][width]
    Py_ssize_t write_tasks                  # of a group
    Py_ssize_t* column                      # [pixel of a row]: where its value lies
    Py_ssize_t tap[128]


# A part of a group's sums: panels of (channel, tap) rows and of filters.
ctypedef struct Block:
    Py_ssize_t panels
    Py_ssize_t[BLOCK_ROWS + 1] begin  # the first row of each panel
    Py_ssize_t[BLOCK_ROWS] line       # where each row begins in the copy, from the block's first on
    Py_ssize_t first, last            # panels of filters


# The first filter of panel i: panels are whole vectors, up to three.
cdef inline Py_ssize_t _panel_begin(const Job* job, Py_ssize_t i) noexcept nogil:
    return part_begin(i, job.filter_panels, job.vectors) * job.vl


# ---- a slab's copies and turned deltas

# turned[panel][pixel][filter in panel], zeros for filters that are none.
cdef void _turn(Job* job, Py_ssize_t unit, Py_ssize_t g, const floating* dy, floating* out) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t i, n, r, f0, width, filters, image, images, row, rows
    cdef const floating* src
    find_unit(p, unit, &image, &images, &row, &rows)
    for i in range(job.filter_panels):
        f0 = _panel_begin(job, i)
        width = _panel_begin(job, i + 1) - f0
        filters = min(width, job.filters - f0)
        if filters < width:
            memset(out, 0, <size_t> (images * rows * p.w.out * width) * sizeof(floating))
        for n in range(images):
            src = dy + (image + n) * job.dy_image + (g * job.filters + f0) * job.dy_channel + row * job.dy_line
            if job.dy_line == p.w.out * job.dy_pixel:
                transpose_run(out + n * rows * p.w.out * width, width, src, job.dy_channel, filters, rows * p.w.out,
                              job.dy_pixel)
                continue
            for r in range(rows):
                transpose_run(out + (n * rows + r) * p.w.out * width, width, src + r * job.dy_line, job.dy_channel,
                              filters, p.w.out, job.dy_pixel)
        out += job.unit_pixels * width


cdef void _prepare(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t place = task // (job.fills + job.groups)
    cdef Py_ssize_t i = task % (job.fills + job.groups)
    cdef Py_ssize_t unit = job.first_unit + place
    cdef Py_ssize_t c0, g, image, images, row, rows
    if i < job.fills:
        c0 = i * job.fill_channels
        find_unit(p, unit, &image, &images, &row, &rows)
        copy_unit(p, <const floating*> job.x + c0 * p.src_channel,
                  min(job.fill_channels, job.groups * job.channels - c0), image, images, row,
                  <floating*> job.copies + place * job.copy_size + c0 * p.channel_step)
    else:
        g = i - job.fills
        _turn(job, unit, g, <const floating*> job.dy,
              <floating*> job.turned + place * job.turned_size + g * job.unit_pixels * job.filter_width)


# ---- the product

# The panels of block `rows` of the rows and `filters` of the filters.
cdef void _find_block(const Job* job, Py_ssize_t rows, Py_ssize_t filters, Block* out) noexcept nogil:
    cdef Py_ssize_t first = part_begin(rows, job.row_blocks, job.row_panels)
    cdef Py_ssize_t i, k, channel, tap
    out.panels = part_begin(rows + 1, job.row_blocks, job.row_panels) - first
    for i in range(out.panels + 1):
        out.begin[i] = part_begin(first + i, job.row_panels, job.depth)
    channel = out.begin[0] // job.points.taps
    tap = out.begin[0] % job.points.taps
    for k in range(out.begin[out.panels] - out.begin[0]):
        out.line[k] = channel * job.channel_step + job.tap[tap]
        tap += 1
        if tap == job.points.taps:
            channel += 1
            tap = 0
    out.first = part_begin(filters, job.filter_blocks, job.filter_panels)
    out.last = part_begin(filters + 1, job.filter_blocks, job.filter_panels)


# Adds `lines` lines of `pixels` pixels to the sums of a block; a: where they begin in the copy or in x; pixel: the
# number of the first among the unit's.
cdef void _add_pixels(Job* job, const Block* block, const floating* a, Py_ssize_t lines, Py_ssize_t line_step,
                      const Py_ssize_t* column, Py_ssize_t pixels, const floating* turned, Py_ssize_t pixel, bint add,
                      floating* sums) noexcept nogil:
    cdef Py_ssize_t i, j, m, f0, width, rows
    cdef Py_ssize_t[MOST_ROWS] place
    cdef Py_ssize_t[DEEP_PIXELS] offset
    cdef const Py_ssize_t* line
    cdef const floating* b
    cdef bint beside = pixels >= LONG_PIXELS and column[1] - column[0] == 1
    cdef bint asks = job.in_place and job.points.taps == 1  # several taps read the same lines again
    for m in range(lines):
        offset[m] = m * line_step + column[0]
    for i in range(block.first, block.last):
        f0 = _panel_begin(job, i)
        width = _panel_begin(job, i + 1) - f0
        b = turned + f0 * job.unit_pixels + pixel * width
        for j in range(block.panels):
            if asks and i == block.first and j + 1 < block.panels:
                for m in range(lines):
                    ask_points(a + m * line_step + column[0], &block.line[block.begin[j + 1] - block.begin[0]],
                               block.begin[j + 2] - block.begin[j + 1], column[pixels - 1] - column[0] + 1)
            rows = block.begin[j + 1] - block.begin[j]
            line = &block.line[block.begin[j] - block.begin[0]]
            for m in range(rows):
                place[m] = (block.begin[j] + m) * width
            if beside:  # as if they were the channels of a cell, and the lines its taps
                gemm_cells(rows, width // job.vl, pixels, lines, offset, a, line, b, NULL, sums + f0 * job.depth, place,
                           add)
            else:
                gemm_points(rows, width // job.vl, lines, line_step, pixels, column, a, line, b, NULL,
                            sums + f0 * job.depth, place, add)


# Adds a unit to the sums of a block.
cdef void _add_unit(Job* job, Py_ssize_t unit, Py_ssize_t g, const Block* block, const floating* copy,
                    const floating* turned, bint add, floating* sums) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t image, images, row, lines, n, i, j, groups, parts, l0, l1, j0, j1, pixel
    cdef Py_ssize_t image_step = p.rows * p.pitch * p.place_step
    cdef Py_ssize_t line_step = job.line_step
    cdef const floating* a = copy + g * job.channels * p.channel_step
    turned += g * job.unit_pixels * job.filter_width
    sums += g * job.depth * job.filter_width
    find_unit(p, unit, &image, &images, &row, &lines)
    if job.in_place:
        a = (<const floating*> job.x + image * p.src_image + g * job.channels * p.src_channel
             + (row * p.h.step * p.h.grain + p.h.low) * p.src_line + p.w.low * p.src_pixel)
        image_step = p.src_image
    if lines == 1:  # the images take the place of its lines
        line_step = image_step
        lines = images
        images = 1
    groups = ceil_div(lines, max(<Py_ssize_t> 1, DEEP_PIXELS // p.w.out))
    parts = ceil_div(p.w.out, DEEP_PIXELS)
    for n in range(images):
        for i in range(groups):
            l0 = part_begin(i, groups, lines)
            l1 = part_begin(i + 1, groups, lines)
            for j in range(parts):
                j0 = part_begin(j, parts, p.w.out)
                j1 = part_begin(j + 1, parts, p.w.out)
                pixel = (n * lines + l0) * p.w.out + j0
                _add_pixels(job, block, a + n * image_step + l0 * line_step, l1 - l0, line_step, job.column + j0,
                            j1 - j0, turned, pixel, add or pixel > 0, sums)


cdef void _multiply(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t filters = task % job.filter_blocks
    cdef Py_ssize_t rows = task // job.filter_blocks % job.row_blocks
    cdef Py_ssize_t g = task // (job.filter_blocks * job.row_blocks) % job.groups
    cdef Py_ssize_t piece = task // (job.filter_blocks * job.row_blocks * job.groups)
    cdef Py_ssize_t last = min(job.points.units, job.first_unit + job.slab_units)
    cdef Py_ssize_t unit = job.first_unit + piece
    cdef floating* sums = <floating*> job.sums + piece * job.sums_size
    cdef Block block
    _find_block(job, rows, filters, &block)
    while unit < last:
        _add_unit(job, unit, g, &block, <const floating*> job.copies + (unit - job.first_unit) * job.copy_size,
                  <const floating*> job.turned + (unit - job.first_unit) * job.turned_size, unit >= job.slices, sums)
        unit += job.slices


# All of a slice's units.
cdef void _slice(floating* tag, Job* job, Py_ssize_t piece, Py_ssize_t slot) noexcept nogil:
    cdef Points* p = &job.points
    cdef floating* turned = <floating*> (job.scratch + <size_t> slot * job.slot_bytes)
    cdef floating* copy = turned + round_up(job.turned_size, job.vl)
    cdef floating* sums = <floating*> job.sums + piece * job.sums_size
    cdef Py_ssize_t first = part_begin(piece, job.slices, p.units)
    cdef Py_ssize_t unit, g, i, image, images, row, rows
    cdef Block block
    for unit in range(first, part_begin(piece + 1, job.slices, p.units)):
        find_unit(p, unit, &image, &images, &row, &rows)
        if not job.in_place:
            copy_unit(p, <const floating*> job.x, job.groups * job.channels, image, images, row, copy)
        for g in range(job.groups):
            _turn(job, unit, g, <const floating*> job.dy, turned + g * job.unit_pixels * job.filter_width)
        for i in range(job.row_blocks):
            _find_block(job, i, 0, &block)
            for g in range(job.groups):
                _add_unit(job, unit, g, &block, copy, turned, unit > first, sums)


# Some rows of dw from their sums, the slices added in order.
cdef void _write(floating* tag, Job* job, Py_ssize_t task, Py_ssize_t slot) noexcept nogil:
    cdef Py_ssize_t g = task // job.write_tasks
    cdef Py_ssize_t k0 = task % job.write_tasks * WRITE_ROWS
    cdef Py_ssize_t rows = min(<Py_ssize_t> WRITE_ROWS, job.depth - k0)
    cdef floating* dw = <floating*> job.dw + g * job.filters * job.depth + k0 * job.dw_row
    cdef floating* sums
    cdef Py_ssize_t i, j, piece, f0, width
    for i in range(job.filter_panels):
        f0 = _panel_begin(job, i)
        width = _panel_begin(job, i + 1) - f0
        sums = <floating*> job.sums + g * job.depth * job.filter_width + f0 * job.depth + k0 * width
        for piece in range(1, job.slices):
            for j in range(rows * width):
                sums[j] += sums[piece * job.sums_size + j]
        store_points(dw + f0 * job.dw_filter, job.dw_filter, job.dw_row, sums, width, rows,
                     min(width, job.filters - f0))


cdef void _prepare_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _prepare(<float*> NULL, <Job*> context, chunk, slot)


cdef void _prepare_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _prepare(<double*> NULL, <Job*> context, chunk, slot)


cdef void _multiply_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _multiply(<float*> NULL, <Job*> context, chunk, slot)


cdef void _multiply_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _multiply(<double*> NULL, <Job*> context, chunk, slot)


cdef void _slice_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _slice(<float*> NULL, <Job*> context, chunk, slot)


cdef void _slice_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _slice(<double*> NULL, <Job*> context, chunk, slot)


cdef void _write_f32(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _write(<float*> NULL, <Job*> context, chunk, slot)


cdef void _write_f64(void* context, Py_ssize_t chunk, Py_ssize_t slot) noexcept nogil:
    _write(<double*> NULL, <Job*> context, chunk, slot)


# ---- cutting the work and running it

# Where the rows and taps of the copy lie, or of x, which needs no copy where no tap leaves it.
cdef void _place(Job* job) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t t
    cdef Py_ssize_t last_h = p.h.low + ((p.h.out - 1) * p.h.step + p.h.span) * p.h.grain
    cdef Py_ssize_t last_w = p.w.low + ((p.w.out - 1) * p.w.step + p.w.span) * p.w.grain
    job.in_place = p.h.low >= 0 and p.w.low >= 0 and last_h < p.h.size and last_w < p.w.size
    lay_out(p, job.groups * job.channels, job.vl, p.src_pixel != 1)
    job.channel_step = p.channel_step
    job.line_step = p.h.step * p.pitch * p.place_step
    job.copy_size = p.size
    if job.in_place:
        job.channel_step = p.src_channel
        job.line_step = p.h.step * p.h.grain * p.src_line
        job.copy_size = 0
    for t in range(p.taps):
        job.tap[t] = p.offset[t]
        if job.in_place:
            job.tap[t] = p.tap_h[t] * p.h.grain * p.src_line + p.tap_w[t] * p.w.grain * p.src_pixel


# Units of about so many pixels.
cdef void _cut(Job* job, Py_ssize_t pixels) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t stripe = max(1, min(p.h.out, pixels // p.w.out))
    set_unit(p, max(1, min(p.images, pixels // (p.h.out * p.w.out))), ceil_div(p.h.out, ceil_div(p.h.out, stripe)))
    _place(job)
    job.unit_pixels = p.unit_images * p.unit_rows * p.w.out
    job.turned_size = job.groups * job.unit_pixels * job.filter_width


# Whether to share by slices, and then the units for it: smaller ones, so that they fit L2 and there are enough.
cdef bint _suits_slices(floating* tag, Job* job) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t pixels = p.images * p.h.out * p.w.out // WANTED_TASKS
    cdef Py_ssize_t size = sizeof(floating)
    pixels = max(min(pixels, <Py_ssize_t> UNIT_PIXELS), <Py_ssize_t> LEAST_PIXELS)
    _cut(job, pixels)
    while pixels > LEAST_PIXELS and (job.copy_size + job.turned_size) * size > UNIT_BYTES:
        pixels = max(pixels // 2, <Py_ssize_t> LEAST_PIXELS)
        _cut(job, pixels)
    job.slices = max(1, min(p.units, <Py_ssize_t> WANTED_TASKS))
    return (job.sums_size * size <= UNIT_BYTES
            and job.slices * job.sums_size <= p.units * (job.copy_size + job.turned_size) // 2)


cdef void _plan(floating* tag, Job* job) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t unit_bytes, blocks
    job.nr = tile_columns(tag)
    job.row_panels = ceil_div(job.depth, job.mr)
    job.vectors = ceil_div(job.filters, job.vl)
    job.filter_panels = ceil_div(job.vectors, job.nr // job.vl)
    job.filter_width = job.vectors * job.vl
    job.row_blocks = ceil_div(job.row_panels * job.mr, BLOCK_ROWS)
    job.filter_blocks = 1
    job.sums_size = job.groups * job.depth * job.filter_width
    job.write_tasks = ceil_div(job.depth, WRITE_ROWS)
    job.by_slices = _suits_slices(tag, job)
    if job.by_slices:
        job.slot_bytes = <size_t> (round_up(job.turned_size, job.vl) + job.copy_size + job.nr) * sizeof(floating)
        job.slot_bytes = slot_size(job.slot_bytes)
        return
    _cut(job, UNIT_PIXELS)
    job.filter_blocks = ceil_div(job.filter_panels, BLOCK_PANELS)
    blocks = ceil_div(WANTED_TASKS, job.groups * job.filter_blocks)
    job.row_blocks = max(job.row_blocks, min(blocks, job.row_panels))
    job.slices = max(1, min(p.units, ceil_div(WANTED_TASKS, job.groups * job.filter_blocks * job.row_blocks)))
    job.fill_channels = FILL_CHANNELS if p.src_pixel == 1 else job.groups * job.channels
    job.fills = 0 if job.in_place else ceil_div(job.groups * job.channels, job.fill_channels)
    unit_bytes = (job.copy_size + job.turned_size) * <Py_ssize_t> sizeof(floating)
    # A multiple of the slices, so that a slice gets the same units whatever the slab.
    job.slab_units = min(p.units, max(1, SLAB_BYTES // unit_bytes // job.slices) * job.slices)


cdef void _run_slabs(floating* tag, Job* job) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t blocks = job.groups * job.row_blocks * job.filter_blocks
    cdef Py_ssize_t n
    cdef double work
    job.first_unit = 0
    while job.first_unit < p.units:
        n = min(job.slab_units, p.units - job.first_unit)
        work = <double> n * job.unit_pixels * job.groups
        parallel_work(_prepare_f32 if floating is float else _prepare_f64, job, n * (job.fills + job.groups),
                      work * (job.filters + job.channels))
        parallel_work(_multiply_f32 if floating is float else _multiply_f64, job, min(job.slices, n) * blocks,
                      work * job.filters * job.depth)
        job.first_unit += job.slab_units


cdef bint _run(floating* tag, Job* job) noexcept nogil:
    cdef Points* p = &job.points
    cdef Py_ssize_t j
    cdef bint ok
    _plan(tag, job)
    job.copies = job.turned = NULL
    job.scratch = NULL
    if job.by_slices:
        job.scratch = <char*> allocate(job.slot_bytes * <size_t> num_slots())
    else:
        job.copies = allocate(<size_t> (job.slab_units * job.copy_size + job.nr) * sizeof(floating))
        job.turned = allocate(<size_t> (job.slab_units * job.turned_size) * sizeof(floating))
    job.sums = allocate(<size_t> (job.slices * job.sums_size) * sizeof(floating))
    job.column = <Py_ssize_t*> allocate(<size_t> p.w.out * sizeof(Py_ssize_t))
    ok = job.sums != NULL and job.column != NULL
    ok = ok and (job.scratch != NULL if job.by_slices else job.copies != NULL and job.turned != NULL)
    if ok:
        for j in range(p.w.out):
            job.column[j] = j * p.w.step * (p.w.grain * p.src_pixel if job.in_place else p.place_step)
        if job.by_slices:
            parallel_work(_slice_f32 if floating is float else _slice_f64, job, job.slices,
                          <double> p.units * job.unit_pixels * job.groups * job.filters * job.depth)
        else:
            _run_slabs(tag, job)
        parallel_work(_write_f32 if floating is float else _write_f64, job, job.groups * job.write_tasks,
                      <double> job.slices * job.sums_size)
    release(job.scratch)
    release(job.copies)
    release(job.turned)
    release(job.sums)
    release(job.column)
    return ok


# The time of the multiplications and of turning, in multiply-adds of a pixel.
cdef Py_ssize_t _pixel_cost(Py_ssize_t rows, Py_ssize_t mr, Py_ssize_t filters, Py_ssize_t vl) noexcept nogil:
    return round_up(rows, mr) * round_up(filters, vl) + TURN_COST * filters


# Exchanges x and dy of a kernel of one cell: what was x is turned, dy is read in place.
cdef void _exchange(Geometry* q) noexcept nogil:
    cdef Py_ssize_t a, steps
    q.x_shape[1], q.y_shape[1] = q.y_shape[1], q.x_shape[1]
    for a in range(5):
        steps = q.x_steps[a] * (q.stride[a - 2] if a >= 2 else 1)
        q.x_steps[a], q.y_steps[a] = q.y_steps[a], steps
        if a >= 2:
            q.x_shape[a] = q.y_shape[a]
            q.stride[a - 2] = 1


# Whether the kernel has one cell, which never leaves x.
cdef bint _is_product(const Geometry* q) noexcept nogil:
    cdef Py_ssize_t a
    for a in range(3):
        if q.kernel[a] != 1 or q.pad[a] != 0 or (q.y_shape[2 + a] - 1) * q.stride[a] >= q.x_shape[2 + a]:
            return False
    return True


cdef int filters_weight_run(const Geometry* geometry, const floating* x, const floating* dy,
                            floating* dw) noexcept nogil:
    cdef Geometry q = geometry[0]
    cdef Job job
    cdef Py_ssize_t choice = plane_choice()
    cdef Py_ssize_t filters = group_filters(&q)
    cdef Py_ssize_t channels = group_channels(&q)
    cdef bint exchanged
    if not is_flat(&q) or not has_values(&q) or (q.x_steps[4] != 1 and q.x_steps[1] != 1) or choice == 0:
        return -1
    if choice < 0 and is_depthwise(&q):
        return -1
    job.vl = lanes(dw)
    job.mr = tile_rows(dw)
    exchanged = _is_product(&q) and (_pixel_cost(filters, job.mr, channels, job.vl)
                                     < _pixel_cost(channels, job.mr, filters, job.vl))
    if exchanged:
        _exchange(&q)
    if not forward_points(&job.points, &q):
        return -1
    job.x = dy if exchanged else x
    job.dy = x if exchanged else dy
    job.dw = dw
    job.groups = q.groups
    job.filters = group_filters(&q)
    job.channels = group_channels(&q)
    job.depth = job.channels * job.points.taps
    job.dw_row = job.filters if exchanged else 1
    job.dw_filter = 1 if exchanged else job.depth
    job.dy_image = q.y_steps[0]
    job.dy_channel = q.y_steps[1]
    job.dy_line = q.y_steps[3]
    job.dy_pixel = q.y_steps[4]
    flatten_points(&job.points, job.dy_line, job.dy_pixel, UNIT_PIXELS)
    return _run(dw, &job)


# Fused functions that other modules cimport have to be used once here to exist in both types.
def _instantiate():
    cdef Geometry q
    memset(&q, 0, sizeof(Geometry))
    filters_weight_run(&q, <const float*> NULL, <const float*> NULL, <float*> NULL)
    filters_weight_run(&q, <const double*> NULL, <const double*> NULL, <double*> NULL)

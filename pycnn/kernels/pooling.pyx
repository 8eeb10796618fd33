# y[n,c,o] = the largest, or the mean, of x[n,c,i] over the cells i = o * stride + t * dilation - pad of window o, and
# the gradients: the entries for Python, Cython and C. pooling_planes.pyx computes the poolings that most networks have,
# pooling_forward.pyx and pooling_backward.pyx the rest.
#
# Edges: codes are checked before anything is written. A window of more than MOST_TAPS cells has no codes.

from libc.string cimport memset

from pycnn.kernels._call cimport View, read_volume
from pycnn.kernels._geometry cimport check_windows, is_empty
from pycnn.kernels._integers cimport too_many_bytes
from pycnn.kernels._pycnn_h cimport (
    PYCNN_ERROR_CODES, PYCNN_ERROR_PADDING, PYCNN_ERROR_POINTER, PYCNN_ERROR_SHAPE, PYCNN_ERROR_VALUE_BYTES,
    PYCNN_ERROR_WINDOW, PYCNN_OK, PoolGeometry,
)
from pycnn.kernels._runtime cimport (
    Workspace, begin_call, begin_measure, end_call, end_measure, measuring, raise_status,
)
from pycnn.kernels.pooling_backward cimport Job as BackwardJob, pool_backward
from pycnn.kernels.pooling_common cimport Axis, axis_from, byte, end_tap, first_tap, list_taps, place_t, steps_of
from pycnn.kernels.pooling_forward cimport Job as ForwardJob, pool_forward
from pycnn.kernels.pooling_places cimport codes_fit
from pycnn.kernels.pooling_planes cimport max_planes, max_planes_backward, mean_planes, mean_planes_backward
from pycnn.kernels.pooling_scatter cimport scatter_codes
from pycnn.kernels.pooling_turned cimport turned_backward, turned_forward

cdef enum:
    MOST_TAPS = 255


# ---- what a geometry has to be like

# Whether each window of an axis holds a cell.
cdef bint _sees_cells(const PoolGeometry* g, int which) noexcept nogil:
    cdef Axis a = axis_from(g, which)
    cdef Py_ssize_t o
    if a.size >= a.dilation and a.size > 0:  # no gap between taps swallows the input: only its end can be passed
        return a.out == 0 or (a.out - 1) * a.stride - a.pad < a.size
    for o in range(a.out):
        if first_tap(&a, o) == end_tap(&a, o):
            return False
    return True


cdef int _check_axis(const PoolGeometry* g, int a) noexcept nogil:
    cdef int status = check_windows(g.kernel[a], g.stride[a], g.dilation[a], g.pad[a], g.y_shape[2 + a])
    cdef Py_ssize_t reach
    if status != PYCNN_OK:
        return status
    reach = (g.kernel[a] - 1) * g.dilation[a]
    if g.pad_after[a] < 0 or g.pad[a] > reach or g.pad_after[a] > reach:
        return PYCNN_ERROR_PADDING
    return PYCNN_OK


# The first rule of pycnn.h that a pooling breaks, or PYCNN_OK.
cdef int _check(const PoolGeometry* g, size_t value_bytes, bint needs_cells, bint has_codes) noexcept nogil:
    cdef double x = 1, y = 1, taps = 1
    cdef int a, status
    if g == NULL:
        return PYCNN_ERROR_POINTER
    if value_bytes != sizeof(float) and value_bytes != sizeof(double):
        return PYCNN_ERROR_VALUE_BYTES
    for a in range(5):
        if g.x_shape[a] < 0 or g.y_shape[a] < 0 or (a < 2 and g.x_shape[a] != g.y_shape[a]):
            return PYCNN_ERROR_SHAPE
        x *= g.x_shape[a]
        y *= g.y_shape[a]
    if too_many_bytes(max(x, y) * value_bytes):
        return PYCNN_ERROR_SHAPE
    for a in range(3):
        status = _check_axis(g, a)
        if status != PYCNN_OK:
            return status
        taps *= g.kernel[a]
    if has_codes and taps > MOST_TAPS:
        return PYCNN_ERROR_WINDOW
    if needs_cells and y > 0 and not (_sees_cells(g, 0) and _sees_cells(g, 1) and _sees_cells(g, 2)):
        return PYCNN_ERROR_WINDOW
    return PYCNN_OK


# ---- forward

cdef View _view(const void* data, Py_ssize_t size, const Py_ssize_t* shape, const Py_ssize_t* steps) noexcept nogil:
    cdef View v
    cdef int a
    v.data, v.size = <void*> data, size
    for a in range(5):
        v.shape[a] = shape[a]
        v.steps[a] = steps[a]
    return v


# An array in which no window and cell meet.
cdef bint _zero(void* array, Py_ssize_t size, const Py_ssize_t* shape, const Py_ssize_t* steps) noexcept nogil:
    cdef Py_ssize_t n, c, d, h, w
    if measuring():
        return True
    for n in range(shape[0]):
        for c in range(shape[1]):
            for d in range(shape[2]):
                for h in range(shape[3]):
                    for w in range(shape[4]):
                        memset(<char*> array + size * (n * steps[0] + c * steps[1] + d * steps[2] + h * steps[3]
                                                       + w * steps[4]), 0, size)
    return True


cdef bint _forward(const PoolGeometry* g, Py_ssize_t size, const void* x, void* y, byte* codes, const View* places,
                   bint mean) noexcept nogil:
    cdef ForwardJob job
    cdef View xv = _view(x, size, g.x_shape, g.x_steps), yv = _view(y, size, g.y_shape, g.y_steps)
    cdef View cv = _view(codes, 1, g.y_shape, g.code_steps)
    cdef int done = -1
    if is_empty(g.x_shape):  # means of padding alone
        return _zero(y, size, g.y_shape, g.y_steps)
    job.d, job.h, job.w = axis_from(g, 0), axis_from(g, 1), axis_from(g, 2)
    if mean:
        done = mean_planes(&xv, &yv, &job.d, &job.h, &job.w, g.count_include_pad, g.divisor)
    elif places == NULL and max_planes(&xv, &yv, &cv if codes != NULL else NULL, &job.d, &job.h, &job.w):
        done = True
    if done >= 0:
        return done
    job.outer, job.inner = xv.shape[0], xv.shape[1]
    job.x, job.y, job.codes, job.places = x, y, codes, NULL
    job.xs, job.ys, job.cs = steps_of(&xv), steps_of(&yv), steps_of(&cv)
    job.ps = job.ys
    job.mean, job.padded, job.divisor = mean, g.count_include_pad, g.divisor
    if places != NULL:
        job.places, job.ps = <place_t*> places.data, steps_of(places)
        list_taps(&job.d, &job.h, &job.w, job.h.size * job.w.size, job.w.size, 1, job.distance)
    done = turned_forward(&job, size)
    return done if done >= 0 else pool_forward(&job, size)


cdef int _checked_forward(const PoolGeometry* g, Py_ssize_t size, const void* x, void* y, byte* codes,
                          const View* places, bint mean, void* workspace, size_t n) noexcept nogil:
    cdef Workspace place
    cdef int status = _check(g, size, not mean, codes != NULL or places != NULL)
    if status != PYCNN_OK or is_empty(g.y_shape):
        return status
    if y == NULL or (x == NULL and not is_empty(g.x_shape)):
        return PYCNN_ERROR_POINTER
    begin_call(&place, workspace, n)
    return end_call(&place, workspace, _forward(g, size, x, y, codes, places, mean))


cdef int max_pool_forward_f32(const PoolGeometry* g, const float* x, float* y, byte* codes, void* workspace,
                              size_t n) noexcept nogil:
    return _checked_forward(g, sizeof(float), x, y, codes, NULL, False, workspace, n)


cdef int max_pool_forward_f64(const PoolGeometry* g, const double* x, double* y, byte* codes, void* workspace,
                              size_t n) noexcept nogil:
    return _checked_forward(g, sizeof(double), x, y, codes, NULL, False, workspace, n)


cdef int avg_pool_forward_f32(const PoolGeometry* g, const float* x, float* y, void* workspace,
                              size_t n) noexcept nogil:
    return _checked_forward(g, sizeof(float), x, y, NULL, NULL, True, workspace, n)


cdef int avg_pool_forward_f64(const PoolGeometry* g, const double* x, double* y, void* workspace,
                              size_t n) noexcept nogil:
    return _checked_forward(g, sizeof(double), x, y, NULL, NULL, True, workspace, n)


# ---- backward; without codes, of means

cdef bint _backward(const PoolGeometry* g, Py_ssize_t size, const void* dy, const byte* codes,
                    void* dx) noexcept nogil:
    cdef BackwardJob job
    cdef View dyv = _view(dy, size, g.y_shape, g.y_steps), dxv = _view(dx, size, g.x_shape, g.x_steps)
    cdef View cv = _view(codes, 1, g.y_shape, g.code_steps)
    cdef int done = -1
    if is_empty(g.y_shape):
        return _zero(dx, size, g.x_shape, g.x_steps)
    job.d, job.h, job.w = axis_from(g, 0), axis_from(g, 1), axis_from(g, 2)
    job.outer, job.inner = dxv.shape[0], dxv.shape[1]
    job.dy, job.dx, job.codes = dy, dx, codes
    job.gs, job.xs, job.cs = steps_of(&dyv), steps_of(&dxv), steps_of(&cv)
    job.padded, job.divisor = g.count_include_pad, g.divisor
    if codes == NULL:
        done = mean_planes_backward(&dyv, &dxv, &job.d, &job.h, &job.w, g.count_include_pad, g.divisor)
    elif scatter_codes(&job, size):
        done = True
    elif max_planes_backward(&dyv, &cv, &dxv, &job.d, &job.h, &job.w):
        done = True
    if done < 0:
        done = turned_backward(&job, size)
    return done if done >= 0 else pool_backward(&job, size)


cdef int _checked_backward(const PoolGeometry* g, Py_ssize_t size, const void* dy, const byte* codes, void* dx,
                           bint mean, void* workspace, size_t n) noexcept nogil:
    cdef Workspace place
    cdef int status = _check(g, size, not mean, not mean)
    if status != PYCNN_OK or is_empty(g.x_shape):
        return status
    if dx == NULL or ((dy == NULL or (codes == NULL and not mean)) and not is_empty(g.y_shape)):
        return PYCNN_ERROR_POINTER
    if not mean and not codes_fit(g, codes):
        return PYCNN_ERROR_CODES
    begin_call(&place, workspace, n)
    return end_call(&place, workspace, _backward(g, size, dy, codes, dx))


cdef int max_pool_backward_f32(const PoolGeometry* g, const float* dy, const byte* codes, float* dx, void* workspace,
                               size_t n) noexcept nogil:
    return _checked_backward(g, sizeof(float), dy, codes, dx, False, workspace, n)


cdef int max_pool_backward_f64(const PoolGeometry* g, const double* dy, const byte* codes, double* dx, void* workspace,
                               size_t n) noexcept nogil:
    return _checked_backward(g, sizeof(double), dy, codes, dx, False, workspace, n)


cdef int avg_pool_backward_f32(const PoolGeometry* g, const float* dy, float* dx, void* workspace,
                               size_t n) noexcept nogil:
    return _checked_backward(g, sizeof(float), dy, NULL, dx, True, workspace, n)


cdef int avg_pool_backward_f64(const PoolGeometry* g, const double* dy, double* dx, void* workspace,
                               size_t n) noexcept nogil:
    return _checked_backward(g, sizeof(double), dy, NULL, dx, True, workspace, n)


cdef int pool_workspace(const PoolGeometry* g, size_t value_bytes, size_t* needed) noexcept nogil:
    cdef Workspace place
    cdef size_t most = 0
    cdef byte code = 0  # not read: a place to point at
    cdef double taps
    cdef bint done, has_codes
    cdef int which, status
    if needed == NULL:
        return PYCNN_ERROR_POINTER
    needed[0] = 0
    status = _check(g, value_bytes, False, False)
    if status != PYCNN_OK:
        return status
    taps = <double> g.kernel[0] * g.kernel[1] * g.kernel[2]
    for which in range(5):  # forward: means, maxima, those with codes; backward: means, maxima
        has_codes = which == 2 or which == 4
        if (has_codes and taps > MOST_TAPS) or (is_empty(g.y_shape) if which < 3 else is_empty(g.x_shape)):
            continue
        begin_measure(&place)
        if which < 3:
            done = _forward(g, value_bytes, NULL, NULL, &code if has_codes else NULL, NULL, which == 0)
        else:
            done = _backward(g, value_bytes, NULL, &code if has_codes else NULL, NULL)
        status = end_measure(&place, done, needed)
        if status != PYCNN_OK:
            break
        most = max(most, needed[0])
    needed[0] = most
    return status


# ---- for Python

cdef int _read(PoolGeometry* g, View* xv, View* yv, View* iv, x, y, indices, tuple order, tuple numbers) except -1:
    cdef int a
    read_volume(xv, x, order)
    read_volume(yv, y, order, xv.size)
    iv.data = NULL
    if indices is not None:
        read_volume(iv, indices, order)
    for a in range(5):
        g.x_shape[a], g.x_steps[a] = xv.shape[a], xv.steps[a]
        g.y_shape[a], g.y_steps[a] = yv.shape[a], yv.steps[a]
        g.code_steps[a] = iv.steps[a] if indices is not None else yv.steps[a]
    for a in range(3):
        g.kernel[a], g.stride[a], g.dilation[a] = numbers[a], numbers[3 + a], numbers[6 + a]
        g.pad[a], g.pad_after[a] = numbers[9 + a], numbers[12 + a]
    g.count_include_pad, g.divisor = False, 0
    return 0


def max_forward(x,               # IN  (N, C, *spatial), its axes `order`
                y,               # OUT (N, C, *windows), its axes `order`
                indices,         # OUT y's shape, or None. Bytes: places within the window, row-major; else in D * H * W
                tuple order,
                tuple numbers):  # kernel, stride, dilation, pad before, pad after: D, H, W each
    """Largest cell of each window; with indices at most 255 taps."""
    cdef PoolGeometry g
    cdef View xv, yv, iv
    cdef bint places
    cdef int status
    _read(&g, &xv, &yv, &iv, x, y, indices, order, numbers)
    places = indices is not None and iv.size > 1
    with nogil:
        if places:
            status = _checked_forward(&g, xv.size, xv.data, yv.data, NULL, &iv, False, NULL, 0)
        elif xv.size == sizeof(float):
            status = max_pool_forward_f32(&g, <float*> xv.data, <float*> yv.data, <byte*> iv.data, NULL, 0)
        else:
            status = max_pool_forward_f64(&g, <double*> xv.data, <double*> yv.data, <byte*> iv.data, NULL, 0)
    if status != PYCNN_OK:
        raise_status("max_forward", status)


def mean_forward(x,               # IN  (N, C, *spatial), its axes `order`
                 y,               # OUT (N, C, *windows), its axes `order`
                 tuple order,
                 tuple numbers,   # as max_forward
                 bint padded,     # count the declared padding
                 double divisor):  # of every window; 0: what is counted
    """Mean of each window."""
    cdef PoolGeometry g
    cdef View xv, yv, iv
    cdef int status
    _read(&g, &xv, &yv, &iv, x, y, None, order, numbers)
    g.count_include_pad, g.divisor = padded, divisor
    with nogil:
        if xv.size == sizeof(float):
            status = avg_pool_forward_f32(&g, <float*> xv.data, <float*> yv.data, NULL, 0)
        else:
            status = avg_pool_forward_f64(&g, <double*> xv.data, <double*> yv.data, NULL, 0)
    if status != PYCNN_OK:
        raise_status("mean_forward", status)


def max_backward(dy,              # IN  (N, C, *windows), its axes `order`
                 codes,           # IN  dy's shape: place within the window, row-major
                 dx,              # OUT (N, C, *spatial), its axes `order`
                 tuple order,
                 tuple numbers):  # as max_forward
    """Each dy goes to the cell that its code names. False, and nothing is written, where one names none."""
    cdef PoolGeometry g
    cdef View dyv, cv, dxv
    cdef byte* b
    cdef int status
    _read(&g, &dxv, &dyv, &cv, dx, dy, codes, order, numbers)
    b = <byte*> cv.data
    with nogil:
        if dxv.size == sizeof(float):
            status = max_pool_backward_f32(&g, <float*> dyv.data, b, <float*> dxv.data, NULL, 0)
        else:
            status = max_pool_backward_f64(&g, <double*> dyv.data, b, <double*> dxv.data, NULL, 0)
    if status != PYCNN_OK and status != PYCNN_ERROR_CODES:
        raise_status("max_backward", status)
    return status == PYCNN_OK


def mean_backward(dy,               # IN  (N, C, *windows), its axes `order`
                  dx,               # OUT (N, C, *spatial), its axes `order`
                  tuple order,
                  tuple numbers,    # as max_forward
                  bint padded,      # the mean counted the declared padding
                  double divisor):  # of every window; 0: what is counted
    """Each dy is spread evenly over its window."""
    cdef PoolGeometry g
    cdef View dyv, dxv, iv
    cdef int status
    _read(&g, &dxv, &dyv, &iv, dx, dy, None, order, numbers)
    g.count_include_pad, g.divisor = padded, divisor
    with nogil:
        if dxv.size == sizeof(float):
            status = avg_pool_backward_f32(&g, <float*> dyv.data, <float*> dxv.data, NULL, 0)
        else:
            status = avg_pool_backward_f64(&g, <double*> dyv.data, <double*> dxv.data, NULL, 0)
    if status != PYCNN_OK:
        raise_status("mean_backward", status)

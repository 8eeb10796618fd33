# cython: boundscheck=False, wraparound=False, cdivision=True
"""The levels of a pyramid, computed without the GIL.

On each level: blur with a Gaussian, along the rows and then along the columns; the edges are the length of the gradient
that Sobel's two kernels find in the blurred image; the largest of every 2 x 2 pixels of the blurred image make the next
level's image. Outside of an image there is 0.
"""

from libc.math cimport exp, sqrtf
from libc.stdlib cimport free, malloc

from pycnn.kernels cimport (
    PYCNN_OK,
    ConvGeometry,
    PoolGeometry,
    conv_forward_f32,
    conv_forward_workspace,
    limit_threads,
    max_pool_forward_f32,
    pool_workspace,
    pycnn_contiguous,
    pycnn_conv2d,
    pycnn_pool2d,
    pycnn_strerror,
)

cdef enum:
    MOST_LEVELS = 16
    MOST_TAPS = 129  # of a Gaussian with a deviation of 16

cdef float[18] SOBEL = [-1, 0, 1, -2, 0, 2, -1, 0, 1, -1, -2, -1, 0, 0, 0, 1, 2, 1]

cdef struct Level:
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t begin       # of its pixels in a plane of all levels
    ConvGeometry rows      # the Gaussian along W
    ConvGeometry columns   # and along H
    ConvGeometry sobel     # two filters
    PoolGeometry pool


cdef class Scratch:
    """The memory of one thread: what lies between the steps, and the workspace of pycnn's functions."""

    cdef float* values
    cdef void* workspace
    cdef size_t bytes

    def __cinit__(self, Py_ssize_t pixels, size_t bytes):
        self.bytes = bytes
        self.values = <float*> malloc(5 * pixels * sizeof(float))
        self.workspace = malloc(bytes + 1)
        if self.values == NULL or self.workspace == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.values)
        free(self.workspace)


cdef class Levels:
    """The geometry of a pyramid, which any number of threads may share."""

    cdef Level[MOST_LEVELS] levels
    cdef float[MOST_TAPS] taps
    cdef readonly int count
    cdef readonly Py_ssize_t size  # pixels of all levels together

    def __init__(self, Py_ssize_t height, Py_ssize_t width, int count, double sigma):
        cdef int radius, i
        cdef double total = 0
        if not 0 < sigma <= 16:
            raise ValueError(f"sigma must be above 0 and at most 16, got {sigma}")
        if not 1 <= count <= MOST_LEVELS or min(height, width) >> (count - 1) < 1:
            raise ValueError(f"images of {height} x {width} do not have {count} levels")
        radius = <int> (4 * sigma + 0.5)
        for i in range(2 * radius + 1):
            total += exp(-0.5 * ((i - radius) / sigma) ** 2)
        for i in range(2 * radius + 1):
            self.taps[i] = <float> (exp(-0.5 * ((i - radius) / sigma) ** 2) / total)
        self.count = count
        self.size = 0
        for i in range(count):
            self._plan(&self.levels[i], height >> i, width >> i, radius)
            self.size += (height >> i) * (width >> i)

    cdef void _plan(self, Level* level, Py_ssize_t height, Py_ssize_t width, int radius) noexcept:
        level.height = height
        level.width = width
        level.begin = self.size
        level.rows = pycnn_conv2d(1, 1, height, width, 1, 1, 2 * radius + 1, 1, 0)
        level.columns = pycnn_conv2d(1, 1, height, width, 1, 2 * radius + 1, 1, 1, 0)
        level.rows.pad[2] = level.columns.pad[1] = radius
        same_size(&level.rows)
        same_size(&level.columns)
        level.sobel = pycnn_conv2d(1, 1, height, width, 2, 3, 3, 1, 1)
        level.pool = pycnn_pool2d(1, 1, height, width, 2, 2, 0)

    def shapes(self):
        """Return height and width of each level."""
        return [(self.levels[i].height, self.levels[i].width) for i in range(self.count)]

    def scratch(self):
        """Return the memory that a thread needs for its calls."""
        cdef Py_ssize_t before = limit_threads(1)
        try:
            return self._scratch()
        finally:
            limit_threads(before)

    cdef Scratch _scratch(self):
        cdef size_t[4] needed
        cdef size_t most = 0
        cdef int i
        cdef Level* level
        for i in range(self.count):
            level = &self.levels[i]
            check(conv_forward_workspace(&level.rows, sizeof(float), &needed[0]))
            check(conv_forward_workspace(&level.columns, sizeof(float), &needed[1]))
            check(conv_forward_workspace(&level.sobel, sizeof(float), &needed[2]))
            check(pool_workspace(&level.pool, sizeof(float), &needed[3]))
            most = max(most, needed[0], needed[1], needed[2], needed[3])
        return Scratch(self.levels[0].height * self.levels[0].width, most)

    def compute(self, const float[:, ::1] image, float[::1] edges, Scratch scratch not None):
        """Write the edges of all levels, one behind the other."""
        cdef Py_ssize_t before
        cdef int status
        if image.shape[0] != self.levels[0].height or image.shape[1] != self.levels[0].width:
            raise ValueError(f"an image must have the shape {self.shapes()[0]}, got {(image.shape[0], image.shape[1])}")
        if edges.shape[0] != self.size:
            raise ValueError(f"edges must have {self.size} values")
        with nogil:
            # Images are shared out among the caller's threads, so each of them computes alone.
            before = limit_threads(1)
            status = run(self, &image[0, 0], &edges[0], scratch)
            limit_threads(before)
        check(status)


cdef int check(int status) except -1:
    if status != PYCNN_OK:
        raise RuntimeError((<bytes> pycnn_strerror(status)).decode())
    return 0


cdef void same_size(ConvGeometry* g) noexcept:
    """Let the output have the size of the input."""
    g.y_shape[3] = g.x_shape[3]
    g.y_shape[4] = g.x_shape[4]
    pycnn_contiguous(g.y_shape, g.y_steps)


cdef int run(Levels p, const float* image, float* edges, Scratch s) noexcept nogil:
    cdef Py_ssize_t pixels = p.levels[0].height * p.levels[0].width
    cdef float* between = s.values
    cdef float* blurred = s.values + pixels
    cdef float* gradient = s.values + 2 * pixels
    cdef float* smaller = s.values + 4 * pixels
    cdef Level* level
    cdef int i, status
    for i in range(p.count):
        level = &p.levels[i]
        status = conv_forward_f32(&level.rows, image, p.taps, NULL, between, s.workspace, s.bytes)
        if status == PYCNN_OK:
            status = conv_forward_f32(&level.columns, between, p.taps, NULL, blurred, s.workspace, s.bytes)
        if status == PYCNN_OK:
            status = conv_forward_f32(&level.sobel, blurred, SOBEL, NULL, gradient, s.workspace, s.bytes)
        if status == PYCNN_OK and i + 1 < p.count:
            status = max_pool_forward_f32(&level.pool, blurred, smaller, NULL, s.workspace, s.bytes)
        if status != PYCNN_OK:
            return status
        lengths(gradient, edges + level.begin, level.height * level.width)
        image = smaller
    return PYCNN_OK


cdef void lengths(const float* gradient, float* edges, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    cdef float dx, dy
    for i in range(count):
        dx = gradient[i]
        dy = gradient[count + i]
        edges[i] = sqrtf(dx * dx + dy * dy)

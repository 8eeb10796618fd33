# What the functions of pooling_forward.pyx hand each other.

from cython cimport floating

from pycnn.kernels.pooling_common cimport Axis, Rows, Steps, byte, place_t, taps_counted

ctypedef struct Job:
    Rows rows
    const void* x
    void* y
    byte* codes                 # places within the window, or NULL
    place_t* places             # places in the volume, or NULL
    Steps xs
    Steps ys
    Steps cs
    Steps ps
    Axis d
    Axis h
    Axis w
    Py_ssize_t outer            # images and channels; of lanes, `inner` is the contiguous axis
    Py_ssize_t inner
    bint mean
    bint padded                 # the mean counts the padding
    double divisor              # of every window; 0: count
    Py_ssize_t column_count     # taps counted along a row where all columns agree, else 0 and
    void* counts                # one per column
    byte* first                 # planar with padding: the first real tap of each column
    place_t distance[256]       # code -> places from the first tap
    bint lanes
    Py_ssize_t block            # columns or lanes of a tile
    Py_ssize_t blocks
    Py_ssize_t band             # output rows of a tile
    Py_ssize_t bands
    Py_ssize_t tiles
    Py_ssize_t per_chunk
    bint apart                  # planar: no row is shared by windows, so kept rows go by (window, tap)
    bint direct                 # planar: taps are contiguous runs of x itself
    Py_ssize_t slots            # kept rows of one plane
    Py_ssize_t kept             # columns of a kept row
    Py_ssize_t phases
    Py_ssize_t width
    Py_ssize_t batch            # rows cut into phases at a time
    Py_ssize_t inside_from      # output rows whose taps all fall on cells
    Py_ssize_t inside_to
    char* scratch               # slot_bytes for each slot of the pool
    size_t slot_bytes

# 0 where there is no memory.
cdef bint pool_forward(Job* job, Py_ssize_t value_bytes) noexcept nogil

# With channels in lanes: bytes of scratch memory, and rows of windows.
cdef size_t prepare_forward(Job* job, Py_ssize_t value_bytes) noexcept nogil
cdef void forward_rows(floating* tag, const Job* job, char* scratch, Py_ssize_t oh, Py_ssize_t oh_end) noexcept nogil

ctypedef struct Scratch:
    void* best                  # kept rows
    void* phase
    void* zero                  # one row
    void* y                     # results on their way to a y without contiguous columns
    const void** src
    const byte** src_arg
    byte* code
    byte* best_arg
    byte* codes

ctypedef struct Tile:
    Py_ssize_t n
    Py_ssize_t c
    Py_ssize_t od
    Py_ssize_t oh
    Py_ssize_t oh_end
    Py_ssize_t ow
    Py_ssize_t ow_end
    Py_ssize_t kd               # taps along D that fall on cells
    Py_ssize_t kd_end


# What the windows of a row are divided by; without `divisor` and `column_count` times what each column counts.
cdef inline floating row_divisor(const Job* job, floating* tag, Py_ssize_t od, Py_ssize_t oh) noexcept nogil:
    cdef double count
    if job.divisor != 0:
        return <floating> job.divisor
    count = <double> taps_counted(&job.d, od, job.padded) * <double> taps_counted(&job.h, oh, job.padded)
    return <floating> (count * job.column_count if job.column_count else count)

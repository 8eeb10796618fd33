# What the functions of pooling_backward.pyx hand each other.

from cython cimport floating

from pycnn.kernels.pooling_common cimport Axis, Rows, Steps, byte, taps_counted

ctypedef struct Job:
    Rows rows
    const void* dy
    const byte* codes           # NULL: a mean
    void* dx
    Steps gs                    # of dy
    Steps cs
    Steps xs                    # of dx
    Axis d
    Axis h
    Axis w
    Py_ssize_t outer            # images and channels; of lanes, `inner` is the contiguous axis
    Py_ssize_t inner
    bint padded                 # the mean counts the padding
    bint uniform                # every window has the divisor `divisor`: it comes last; else 1 stands there and
    double divisor
    void* counts                # one per column, times those of the other axes, come first
    Py_ssize_t full_from        # the columns that count all taps
    Py_ssize_t full_to
    bint lanes
    Py_ssize_t block            # columns or lanes of a tile
    Py_ssize_t blocks
    Py_ssize_t band             # rows of dx in a tile
    Py_ssize_t bands
    Py_ssize_t tiles
    Py_ssize_t per_chunk
    bint direct                 # planar: a phase is the row of dx itself
    Py_ssize_t reach            # windows that a phase looks back
    Py_ssize_t quotients        # cells of a phase
    Py_ssize_t kept             # columns of a copied row: reach + quotients
    Py_ssize_t slots            # copied rows of one plane of dy
    char* scratch               # slot_bytes for each slot of the pool
    size_t slot_bytes

# 0 where there is no memory.
cdef bint pool_backward(Job* job, Py_ssize_t value_bytes) noexcept nogil

# With channels in lanes: bytes of scratch memory, and rows of dx.
cdef size_t prepare_backward(Job* job, Py_ssize_t value_bytes) noexcept nogil
cdef void backward_rows(floating* tag, const Job* job, char* scratch, Py_ssize_t ih, Py_ssize_t ih_end) noexcept nogil

ctypedef struct Scratch:
    void* dy
    void* down                  # sums over the rows of a window
    void* phase
    void* count
    const void** src
    const byte** place
    Py_ssize_t* tap             # pairs of tap and window along D, H and W, one list after the other
    Py_ssize_t* window
    byte* code
    byte* codes

ctypedef struct Tile:
    Py_ssize_t n
    Py_ssize_t c
    Py_ssize_t id
    Py_ssize_t ih
    Py_ssize_t ih_end
    Py_ssize_t iw
    Py_ssize_t iw_end
    Py_ssize_t oh               # first window of the copied rows
    Py_ssize_t quotient         # of the first cell
    Py_ssize_t planes           # pairs along D


# Taps counted along D and H.
cdef inline floating row_count(const Job* job, floating* tag, Py_ssize_t od, Py_ssize_t oh) noexcept nogil:
    return <floating> (<double> taps_counted(&job.d, od, job.padded) * <double> taps_counted(&job.h, oh, job.padded))

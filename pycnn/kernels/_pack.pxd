# Weights as the register tiles read them.

from cython cimport floating
from libc.string cimport memcpy, memset

from pycnn.kernels._tiles cimport transpose_run

cdef enum:
    TURNED_BYTES = 128 * 256  # MOST_TAPS rows of four vectors
    TURNED_ROWS = 64


# A call of memcpy costs more than so short a copy: with a known number there is none.
cdef inline void copy_row(floating* out, const floating* src, Py_ssize_t rows) noexcept nogil:
    if rows == 8:
        memcpy(out, src, 8 * sizeof(floating))
    else:
        memcpy(out, src, <size_t> rows * sizeof(floating))


# out[c * taps + t][m] = w[m * w_row + c * w_channel + weight[t]] for m < rows, 0 for the other m < mr.
cdef inline void pack_weights(floating* out, Py_ssize_t mr, Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t taps,
                              const Py_ssize_t* weight, const floating* w, Py_ssize_t w_row,
                              Py_ssize_t w_channel) noexcept nogil:
    cdef Py_ssize_t c, t, m
    cdef bint whole = taps > 0 and weight[taps - 1] - weight[0] == taps - 1
    if rows < mr:
        memset(out, 0, <size_t> (channels * taps * mr) * sizeof(floating))
    if taps == 1 and w_row == 1:
        for c in range(channels):
            copy_row(out + c * mr, w + c * w_channel + weight[0], rows)
        return
    if whole and w_channel == taps:
        transpose_run(out, mr, w + weight[0], w_row, rows, channels * taps, 1)
        return
    for c in range(channels):
        if whole:
            transpose_run(out + c * taps * mr, mr, w + c * w_channel + weight[0], w_row, rows, taps, 1)
            continue
        for t in range(taps):
            for m in range(rows):
                out[(c * taps + t) * mr + m] = w[c * w_channel + weight[t] + m * w_row]


# The same for channels c0 .. c1 - 1 of a block of `block` channels, which are the inner ones of it:
# out[t * block + c][m] = w[m * w_row + c * w_channel + weight[t]]; w: of the block's first channel.
cdef inline void pack_cells(floating* out, Py_ssize_t mr, Py_ssize_t rows, Py_ssize_t block, Py_ssize_t c0,
                            Py_ssize_t c1, Py_ssize_t taps, const Py_ssize_t* weight, const floating* w,
                            Py_ssize_t w_row, Py_ssize_t w_channel) noexcept nogil:
    cdef char[TURNED_BYTES] memory  # for most taps of a widest panel
    cdef floating* turned = <floating*> memory
    # Some channels at a time, as long runs of w, in the first cache; their rows go to where they belong from there.
    cdef Py_ssize_t most = max(1, TURNED_ROWS // max(taps, 1))
    cdef Py_ssize_t c, t, i, n
    if taps <= 1:
        pack_weights(out + c0 * mr, mr, rows, c1 - c0, taps, weight, w + c0 * w_channel, w_row, w_channel)
        return
    c = c0
    while c < c1:
        n = min(most, c1 - c)
        pack_weights(turned, mr, rows, n, taps, weight, w + c * w_channel, w_row, w_channel)
        for i in range(n):
            for t in range(taps):
                memcpy(out + (t * block + c + i) * mr, turned + (i * taps + t) * mr, <size_t> mr * sizeof(floating))
        c += n

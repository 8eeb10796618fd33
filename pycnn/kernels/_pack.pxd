# Weights as the register tiles read them.

from cython cimport floating
from libc.string cimport memcpy, memset

from pycnn.kernels._tiles cimport transpose_run


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

# Integer arithmetic of cutting work into pieces; b > 0 throughout.
#
# A division costs more than asking whether there is one: in a small call most things fit once, most strides and parts
# are 1. The question is b > 1, not b == 1, which the compiler would answer by dividing.


# Division that rounds up and down, also below zero.
cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    if a <= b and a > 0:
        return 1
    if b > 1:
        return (a + b - 1) // b if a > 0 else -((-a) // b)
    return a


cdef inline Py_ssize_t floor_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    if b > 1:
        return a // b if a >= 0 else -((b - 1 - a) // b)
    return a


cdef inline Py_ssize_t quotient(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a // b if b > 1 else a


cdef inline Py_ssize_t remainder(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a % b if b > 1 else 0


# The least multiple of b that is at least a >= 0.
cdef inline Py_ssize_t round_up(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) // b * b


# Where part i begins when n things are dealt out to `parts` parts as evenly as can be; part `parts` begins at n.
cdef inline Py_ssize_t part_begin(Py_ssize_t i, Py_ssize_t parts, Py_ssize_t n) noexcept nogil:
    return i * n // parts if parts > 1 else i * n


# The part to which thing number k belongs.
cdef inline Py_ssize_t part_of(Py_ssize_t k, Py_ssize_t parts, Py_ssize_t n) noexcept nogil:
    return ((k + 1) * parts - 1) // n


# What a thread's slot of scratch memory takes: whole lines of cache, with some bytes to spare.
cdef inline size_t slot_size(size_t n) noexcept nogil:
    return (n + 127) // 64 * 64


# Whether an array of so many bytes, or a product on the way there, is beyond what a signed 64-bit size can hold.
cdef inline bint too_many_bytes(double n) noexcept nogil:
    return n > 4e18

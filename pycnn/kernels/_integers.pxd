# Integer arithmetic of cutting work into pieces; b > 0 throughout.


# Division that rounds up and down, also below zero.
cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) // b if a > 0 else -((-a) // b)


cdef inline Py_ssize_t floor_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a // b if a >= 0 else -((b - 1 - a) // b)


# By a stride, which is 1 mostly: asking costs less than a division, and there is one for each tap.
cdef inline Py_ssize_t quotient(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if b == 1 else a // b


cdef inline Py_ssize_t remainder(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return 0 if b == 1 else a % b


# The least multiple of b that is at least a >= 0.
cdef inline Py_ssize_t round_up(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) // b * b


# Where part i begins when n things are dealt out to `parts` parts as evenly as can be; part `parts` begins at n.
cdef inline Py_ssize_t part_begin(Py_ssize_t i, Py_ssize_t parts, Py_ssize_t n) noexcept nogil:
    return i * n // parts


# The part to which thing number k belongs.
cdef inline Py_ssize_t part_of(Py_ssize_t k, Py_ssize_t parts, Py_ssize_t n) noexcept nogil:
    return ((k + 1) * parts - 1) // n


# Whether an array of so many bytes, or a product on the way there, is beyond what a signed 64-bit size can hold.
cdef inline bint too_many_bytes(double n) noexcept nogil:
    return n > 4e18

# What the entries that Python calls read of their arrays.
#
# Through the buffer protocol and no typed memoryviews: of those each costs a tenth of a microsecond, and with a fused
# type every call tries the types one by one and every type has an entry of its own, a third of the wheel in all. The
# callers in pycnn/functional have checked the arrays; what is checked here keeps memory safe from mistakes of theirs.

# An array as (N, C, D, H, W); axes that it lacks have size 1 and step 0.
ctypedef struct View:
    void* data
    Py_ssize_t size      # bytes of a value
    Py_ssize_t shape[5]
    Py_ssize_t steps[5]  # in values

# `order`: the axes (N, C, *spatial) of the array; None: they are in that order, and the array is C-contiguous.
# `size`: the bytes that a value has to have; 0: any.
cdef int read_volume(View* v, object array, tuple order, Py_ssize_t size=*) except -1

# A matrix: the first two of shape and steps.
cdef int read_matrix(View* v, object array) except -1

# The values of a C-contiguous array of any shape.
ctypedef struct Flat:
    void* data
    Py_ssize_t size      # bytes of a value
    Py_ssize_t count

cdef int read_flat(Flat* f, object array) except -1

# Address of the values of a C-contiguous array, which has to have `count` of `size` bytes each; NULL for None.
cdef void* values(object array, Py_ssize_t size, Py_ssize_t count) except? NULL

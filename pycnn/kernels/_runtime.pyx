# The C floor as seen from Python: instruction set, threads, recycled memory.

from cpython.buffer cimport PyBuffer_FillInfo

from pycnn.kernels._pycnn_h cimport PYCNN_ERROR_MEMORY, PYCNN_ERROR_WORKSPACE, PYCNN_OK

import math

import numpy as np


cdef extern from "tiles.h" nogil:
    const tile_tables* pycnn_active
    int pycnn_active_isa()
    int pycnn_select_isa(int isa)
    int pycnn_best_isa()
    int pycnn_isa_available(int isa)
    const char* pycnn_isa_name(int isa)

cdef extern from "cpu.h" nogil:
    size_t pycnn_last_cache()

cdef extern from "threadpool.h" nogil:
    void pycnn_parallel_for(chunk_fn fn, void* context, Py_ssize_t n_chunks)
    int pycnn_num_threads()
    void pycnn_set_num_threads(int n)
    int pycnn_set_local_threads(int n)
    int PYCNN_MAX_THREADS

cdef extern from "workspace.h" nogil:
    void pycnn_workspace_enter(Workspace* w, void* memory, size_t n)
    void pycnn_workspace_leave(Workspace* w)
    int pycnn_workspace_measures()
    size_t pycnn_workspace_needed(const Workspace* w)
    void* pycnn_workspace_malloc(size_t n)
    void pycnn_workspace_free(void* block)

cdef extern from "status.h" nogil:
    const char* pycnn_strerror(int status)

cdef extern from "allocator.h" nogil:
    void* pycnn_malloc(size_t n)
    void pycnn_free(void* block)
    size_t pycnn_cached_bytes()
    void pycnn_empty_cache()
    void pycnn_set_cache_limit(size_t n)
    void pycnn_set_poison(int on)
    void pycnn_fail_after(long n)


cdef const tile_tables* tiles() noexcept nogil:
    return pycnn_active


cdef void parallel_for(chunk_fn fn, void* context, Py_ssize_t n_chunks) noexcept nogil:
    if not pycnn_workspace_measures():
        pycnn_parallel_for(fn, context, n_chunks)


# About what one core does in 10 microseconds.
cdef double SERIAL_WORK = 400_000


cdef void parallel_work(chunk_fn fn, void* context, Py_ssize_t n_chunks, double work) noexcept nogil:
    cdef Py_ssize_t chunk
    if pycnn_workspace_measures():
        return
    if work > SERIAL_WORK:
        pycnn_parallel_for(fn, context, n_chunks)
        return
    for chunk in range(n_chunks):
        fn(context, chunk, 0)


cdef Py_ssize_t num_slots() noexcept nogil:
    return pycnn_num_threads()


cdef size_t _last_cache = pycnn_last_cache()


cdef size_t last_cache() noexcept nogil:
    return _last_cache


def set_last_cache(bytes: int = 0) -> None:
    """Plan for a last cache of that many bytes, for tests; 0: the processor's own."""
    global _last_cache
    _last_cache = bytes or pycnn_last_cache()


cdef Py_ssize_t limit_threads(int n) noexcept nogil:
    return pycnn_set_local_threads(n)


cdef void* allocate(size_t n) noexcept nogil:
    return pycnn_workspace_malloc(n)


cdef void release(void* memory) noexcept nogil:
    pycnn_workspace_free(memory)


cdef bint measuring() noexcept nogil:
    return pycnn_workspace_measures()


# The number of threads stays as it is until the end of the call: scratch memory is laid out for each of them.
cdef void begin_call(Workspace* w, void* memory, size_t n) noexcept nogil:
    w.threads_before = pycnn_set_local_threads(pycnn_num_threads())
    if memory != NULL:
        pycnn_workspace_enter(w, memory, n)


cdef int end_call(Workspace* w, const void* memory, bint done) noexcept nogil:
    pycnn_set_local_threads(w.threads_before)
    if memory != NULL:
        pycnn_workspace_leave(w)
    if done:
        return PYCNN_OK
    return PYCNN_ERROR_WORKSPACE if memory != NULL else PYCNN_ERROR_MEMORY


cdef const char* strerror(int status) noexcept nogil:
    return pycnn_strerror(status)


cdef int raise_status(str fn, int status) except -1:
    words = pycnn_strerror(status).decode()
    if status == PYCNN_ERROR_MEMORY:
        raise MemoryError(f"{fn}: {words}")
    raise ValueError(f"{fn}: {words}")


cdef void begin_measure(Workspace* w) noexcept nogil:
    w.threads_before = pycnn_set_local_threads(pycnn_num_threads())
    pycnn_workspace_enter(w, NULL, 0)


cdef int end_measure(Workspace* w, bint done, size_t* needed) noexcept nogil:
    pycnn_set_local_threads(w.threads_before)
    pycnn_workspace_leave(w)
    needed[0] = pycnn_workspace_needed(w)
    return PYCNN_OK if done else PYCNN_ERROR_MEMORY


cdef Py_ssize_t _algorithm = -1
cdef Py_ssize_t _planes = -1
cdef bint _exact = False


cdef Py_ssize_t algorithm() noexcept nogil:
    return 0 if _exact else _algorithm


cdef Py_ssize_t plane_choice() noexcept nogil:
    return _planes


MAX_THREADS = PYCNN_MAX_THREADS
# Name: what algorithm() and plane_choice() return.
ALGORITHMS = {
    "": (-1, -1), "direct": (0, -1), "packed": (0, 0), "planes": (0, 1), "few": (0, 2), "filters": (0, 3),
    "winograd2": (2, -1), "winograd4": (4, -1),
}


def set_algorithm(name: str = "") -> None:
    """Compute every convolution that allows it by the named algorithm; "" leaves the choice to the rules."""
    global _algorithm, _planes
    _algorithm, _planes = ALGORITHMS[name]


def set_exact(on: bool) -> None:
    """Use no fast algorithm that rounds differently from the plain sum."""
    global _exact
    _exact = on


def exact() -> bool:
    """Whether fast algorithms are off."""
    return _exact


def available_isas() -> list:
    """Names of the instruction sets that this processor and this build have."""
    return [pycnn_isa_name(i).decode() for i in range(4) if pycnn_isa_available(i)]


def active_isa() -> str:
    """Name of the instruction set in use."""
    return pycnn_isa_name(pycnn_active_isa()).decode()


def select_isa(name: str = "") -> None:
    """Use the named instruction set from the next call on; "" chooses the best one."""
    if name == "":
        pycnn_select_isa(pycnn_best_isa())
        return
    if name not in available_isas():
        raise ValueError(f"PYCNN_ISA: must be one of {', '.join(available_isas())} on this machine, got {name!r}")
    for i in range(4):
        if pycnn_isa_name(i).decode() == name:
            pycnn_select_isa(i)


def num_threads() -> int:
    """Threads that a call made here and now may use."""
    return pycnn_num_threads()


def set_num_threads(n: int) -> None:
    """Threads that any call may use, from the next call on."""
    pycnn_set_num_threads(n)


def set_local_threads(n: int) -> int:
    """Limit for calls of this Python thread (0: none); returns the old one."""
    return pycnn_set_local_threads(n)


def cached_bytes() -> int:
    """Bytes kept for the next output or workspace."""
    return pycnn_cached_bytes()


def empty_cache() -> None:
    """Give the kept memory back to the system."""
    pycnn_empty_cache()


def set_cache_limit(n: int) -> None:
    """Most bytes to keep."""
    pycnn_set_cache_limit(n)


def set_poison(on: bool) -> None:
    """For tests: fill recycled memory with NaN before use."""
    pycnn_set_poison(on)


def fail_after(n: int) -> None:
    """For tests: let the n-th allocation from now fail; 0 never."""
    pycnn_fail_after(n)


cdef class Block:
    """Recycled memory, writable through the buffer protocol; goes back to the allocator with its last view."""

    cdef void* memory
    cdef Py_ssize_t size

    def __cinit__(self, Py_ssize_t size):
        self.memory = pycnn_malloc(size)
        self.size = size
        if self.memory == NULL:
            raise MemoryError(f"pycnn: no memory for {size} bytes")

    def __dealloc__(self):
        pycnn_free(self.memory)

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.memory, self.size, 0, flags)


# Below this NumPy's own cache of small blocks is faster than a Block, and page faults do not matter.
cdef Py_ssize_t SMALL = 16384
cdef object _empty = np.empty
cdef object _ndarray = np.ndarray


cpdef object empty(tuple shape, dtype):
    """An uninitialised C-contiguous array in recycled memory. dtype: an np.dtype."""
    cdef double size = dtype.itemsize
    cdef object extent, n
    for extent in shape:
        size *= extent
    if size < SMALL:
        return _empty(shape, dtype)
    n = math.prod(shape) * dtype.itemsize
    if n > (<size_t> -1) // 4:
        raise MemoryError(f"pycnn: no memory for an array of shape {shape} and type {dtype}")
    return _ndarray(shape, dtype, Block(n))

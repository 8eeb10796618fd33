/* The recycling allocator: see allocator.h.
 *
 * Size classes are powers of two cut in four (at most 25 % over), each with a list of free blocks, last in first out so
 * that a block still in the cache is used first. A 64-byte header in front of a block keeps its class. */
#include "allocator.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform_threads.h"
#include "sanitize.h"

#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef _WIN32
#include <malloc.h>
#endif

enum { HEADER = 64, CLASSES = 256, SMALLEST_LOG = 8, SMALLEST = 1 << SMALLEST_LOG };
#define HUGE_PAGE ((size_t)2 << 20)

typedef struct block {
    struct block *next;
    size_t bytes; /* header included */
    int class_index;
} block_t;

static struct {
    pycnn_mutex mutex;
    block_t *free[CLASSES];
    size_t cached, limit;
    int poison;
    long fail_after;
} heap = {PYCNN_MUTEX_INIT, {0}, 0, (size_t)512 << 20, 0, 0};

/* The class of a request and, through *rounded, the bytes a block of that class has. */
static int size_class(size_t bytes, size_t *rounded) {
    int log = SMALLEST_LOG;
    if (bytes <= SMALLEST) {
        *rounded = SMALLEST;
        return 0;
    }
    bytes--;
    while (bytes >> (log + 1)) log++;
    const int quarter = (int)(bytes >> (log - 2)) & 3;
    *rounded = (size_t)(quarter + 5) << (log - 2);
    return 4 * (log - SMALLEST_LOG) + quarter + 1;
}

static block_t *system_alloc(size_t bytes) {
    const size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
#ifdef _WIN32
    return (block_t *)_aligned_malloc(bytes, alignment);
#else
    void *block = NULL;
    if (posix_memalign(&block, alignment, bytes)) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (bytes >= HUGE_PAGE) madvise(block, bytes, MADV_HUGEPAGE);
#endif
    return (block_t *)block;
#endif
}

static void system_free(block_t *block) {
    unhide(block, block->bytes);
#ifdef _WIN32
    _aligned_free(block);
#else
    free(block);
#endif
}

#ifndef _WIN32
/* Another thread may hold the lock at the moment of the fork; the lists are only touched under it, so at worst the
 * child loses the blocks of one list. */
static void after_fork_in_child(void) {
    pycnn_mutex fresh = PYCNN_MUTEX_INIT;
    if (!pycnn_trylock(&heap.mutex)) {
        memset(heap.free, 0, sizeof heap.free);
        heap.cached = 0;
    }
    heap.mutex = fresh;
}
static void register_fork_handler(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }
static pthread_once_t fork_handler = PTHREAD_ONCE_INIT;
#endif

void *pycnn_malloc(size_t bytes) {
    size_t rounded;
    if (bytes > SIZE_MAX / 4) return NULL;
#ifndef _WIN32
    pthread_once(&fork_handler, register_fork_handler);
#endif
    const int index = size_class(bytes + HEADER, &rounded);
    if (index >= CLASSES) return NULL;
    pycnn_lock(&heap.mutex);
    if (heap.fail_after && --heap.fail_after == 0) {
        pycnn_unlock(&heap.mutex);
        return NULL;
    }
    const int poison = heap.poison;
    block_t *block = heap.free[index];
    if (block) {
        heap.free[index] = block->next;
        heap.cached -= block->bytes;
    }
    pycnn_unlock(&heap.mutex);
    if (!block) block = system_alloc(rounded);
    if (!block) { /* what is kept for reuse may be what is missing */
        pycnn_empty_cache();
        block = system_alloc(rounded);
        if (!block) return NULL;
    }
    block->bytes = rounded;
    block->class_index = index;
    char *memory = (char *)block + HEADER;
    unhide(memory, rounded - HEADER);
    if (poison) memset(memory, 0xFF, rounded - HEADER);
    hide(block, HEADER); /* of the block only what was asked for may be touched */
    hide(memory + bytes, rounded - HEADER - bytes);
    return memory;
}

void pycnn_free(void *memory) {
    if (!memory) return;
    block_t *block = (block_t *)((char *)memory - HEADER);
    unhide(block, HEADER);
    hide(memory, block->bytes - HEADER);
    pycnn_lock(&heap.mutex);
    const int keep = heap.cached + block->bytes <= heap.limit;
    if (keep) {
        block->next = heap.free[block->class_index];
        heap.free[block->class_index] = block;
        heap.cached += block->bytes;
    }
    pycnn_unlock(&heap.mutex);
    if (!keep) system_free(block);
}

size_t pycnn_cached_bytes(void) {
    pycnn_lock(&heap.mutex);
    const size_t bytes = heap.cached;
    pycnn_unlock(&heap.mutex);
    return bytes;
}

void pycnn_empty_cache(void) {
    for (int index = 0; index < CLASSES; index++) {
        pycnn_lock(&heap.mutex);
        block_t *block = heap.free[index];
        heap.free[index] = NULL;
        for (block_t *b = block; b; b = b->next) heap.cached -= b->bytes;
        pycnn_unlock(&heap.mutex);
        while (block) {
            block_t *next = block->next;
            system_free(block);
            block = next;
        }
    }
}

void pycnn_set_cache_limit(size_t bytes) {
    pycnn_lock(&heap.mutex);
    heap.limit = bytes;
    const int over = heap.cached > bytes;
    pycnn_unlock(&heap.mutex);
    if (over) pycnn_empty_cache();
}

void pycnn_set_poison(int on) {
    pycnn_lock(&heap.mutex);
    heap.poison = on;
    pycnn_unlock(&heap.mutex);
}

void pycnn_fail_after(long n) {
    pycnn_lock(&heap.mutex);
    heap.fail_after = n;
    pycnn_unlock(&heap.mutex);
}

/* Memory for outputs and workspaces: 64-byte aligned, kept for the next call instead of going back to the system.
 *
 * A freshly mapped page costs a fault and a zeroing that take longer than many a convolution (0.6 to 2 GB/s measured),
 * so blocks are recycled by size class and large ones ask for huge pages. */
#ifndef PYCNN_ALLOCATOR_H
#define PYCNN_ALLOCATOR_H

#include <stddef.h>

/* NULL when there is no memory. pycnn_free(NULL) does nothing. Both may be called from any thread. */
void *pycnn_malloc(size_t bytes);
void pycnn_free(void *block);

/* Bytes held for reuse, and giving them all back to the system. */
size_t pycnn_cached_bytes(void);
void pycnn_empty_cache(void);

/* Most bytes kept for reuse (default 512 MiB). */
void pycnn_set_cache_limit(size_t bytes);

/* For tests: fill every block with 0xFF bytes (a NaN in float32 and float64) before it is handed out; and make the
 * n-th call of pycnn_malloc from now fail (0: never). */
void pycnn_set_poison(int on);
void pycnn_fail_after(long n);

#endif

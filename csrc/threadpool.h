/* A small thread pool for loops over independent chunks.
 *
 * The caller takes part; chunks are claimed one at a time, a thread's own share first and then those of the others, so
 * nobody waits for a thread that has not woken up. One job runs at a time: a caller that finds the pool busy (another
 * thread, or a nested call) runs its chunks itself, in order. The pool starts its threads at the first job that can use
 * them, and again after fork(). */
#ifndef PYCNN_THREADPOOL_H
#define PYCNN_THREADPOOL_H

#include <stddef.h>

/* chunk: 0 .. n_chunks - 1.  slot: 0 .. pycnn_num_threads() - 1, never the same for two chunks at work at once, so a
 * caller may give each slot a piece of scratch memory. */
typedef void (*pycnn_chunk_fn)(void *context, ptrdiff_t chunk, ptrdiff_t slot);

void pycnn_parallel_for(pycnn_chunk_fn fn, void *context, ptrdiff_t n_chunks);

/* Threads a job may use, the caller included: >= 1. */
int pycnn_num_threads(void);

/* Takes effect at the next job; n is cut to 1 .. PYCNN_MAX_THREADS. */
#define PYCNN_MAX_THREADS 256
void pycnn_set_num_threads(int n);

/* What this Python thread (or any caller) may use for its own jobs: 0 = no limit of its own. Returns the old value. */
int pycnn_set_local_threads(int n);

#endif

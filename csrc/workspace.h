/* Where a kernel's workspace comes from: the recycling allocator, or memory that its caller hands in.
 *
 * A kernel asks for memory on the thread that called it, before its first parallel loop. Where that thread is inside a
 * pycnn_workspace, blocks are cut from the front of the memory given; when the last of them is released, the next one
 * starts at the front again. To measure what a call needs, it is made without its loops: memory comes from the
 * allocator and is counted as if it were cut. */
#ifndef PYCNN_WORKSPACE_H
#define PYCNN_WORKSPACE_H

#include <stddef.h>

typedef struct pycnn_workspace {
    char *memory; /* NULL: measure */
    size_t bytes;
    size_t used, most;
    ptrdiff_t blocks; /* not yet released */
    int threads_before; /* the caller's: what the calling thread's limit was */
    struct pycnn_workspace *outer;
} pycnn_workspace;

/* From enter to leave, the memory of this thread's kernels comes from the workspace. They may be nested. */
void pycnn_workspace_enter(pycnn_workspace *w, void *memory, size_t bytes);
void pycnn_workspace_leave(pycnn_workspace *w);

/* Whether this thread's kernels are only measured: then loops are not run, and arrays are not there. */
int pycnn_workspace_measures(void);

/* Bytes to hand in for what was measured, wherever they begin. */
size_t pycnn_workspace_needed(const pycnn_workspace *w);

/* 64-byte aligned; NULL when there is no memory. pycnn_workspace_free(NULL) does nothing. */
void *pycnn_workspace_malloc(size_t bytes);
void pycnn_workspace_free(void *block);

#endif

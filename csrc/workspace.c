/* Workspaces of kernels: see workspace.h. */
#include "workspace.h"

#include <stdint.h>

#include "allocator.h"
#include "platform_threads.h"

enum { LINE = 64 };

static PYCNN_THREAD_LOCAL pycnn_workspace *current;

void pycnn_workspace_enter(pycnn_workspace *w, void *memory, size_t bytes) {
    const size_t skipped = memory ? (LINE - (uintptr_t)memory % LINE) % LINE : 0;
    w->memory = memory ? (char *)memory + skipped : NULL;
    w->bytes = bytes > skipped ? bytes - skipped : 0;
    w->used = w->most = 0;
    w->blocks = 0;
    w->outer = current;
    current = w;
}

void pycnn_workspace_leave(pycnn_workspace *w) { current = w->outer; }

int pycnn_workspace_measures(void) { return current && !current->memory; }

size_t pycnn_workspace_needed(const pycnn_workspace *w) { return w->most ? w->most + LINE - 1 : 0; }

void *pycnn_workspace_malloc(size_t bytes) {
    pycnn_workspace *w = current;
    void *block;
    if (!w) return pycnn_malloc(bytes);
    if (bytes > SIZE_MAX / 4) return NULL;
    const size_t rounded = bytes ? (bytes + LINE - 1) / LINE * LINE : LINE;
    if (w->memory) {
        if (rounded > w->bytes - w->used) return NULL;
        block = w->memory + w->used;
    } else {
        block = pycnn_malloc(bytes);
        if (!block) return NULL;
    }
    w->used += rounded;
    if (w->used > w->most) w->most = w->used;
    w->blocks++;
    return block;
}

void pycnn_workspace_free(void *block) {
    pycnn_workspace *w = current;
    if (!block) return;
    if (!w || !w->memory) pycnn_free(block);
    if (w && --w->blocks == 0) w->used = 0;
}

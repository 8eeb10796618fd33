/* Many threads use the pool, the allocator and their settings at once, for ThreadSanitizer: tools/check_races.sh. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "allocator.h"
#include "threadpool.h"

enum { CALLERS = 6, ROUNDS = 400, CHUNKS = 40, VALUES = 64 };

typedef struct {
    long *out;
    long base;
} job;

static void chunk(void *context, ptrdiff_t index, ptrdiff_t slot) {
    const job *mine = (const job *)context;
    long sum = 0;
    (void)slot;
    for (long i = 0; i < VALUES; i++) sum += mine->base + i;
    mine->out[index] += sum; /* twice would be seen too */
}

/* One of many Python threads without a lock between them: computes, and now and then changes what all share. */
static void *caller(void *argument) {
    const long number = (long)(ptrdiff_t)argument;
    ptrdiff_t wrong = 0;
    for (int round = 0; round < ROUNDS; round++) {
        job mine = {(long *)pycnn_malloc(CHUNKS * sizeof(long)), number * 1000 + round};
        if (!mine.out) return (void *)1;
        memset(mine.out, 0, CHUNKS * sizeof(long));
        pycnn_parallel_for(chunk, &mine, CHUNKS);
        for (int i = 0; i < CHUNKS; i++) wrong += mine.out[i] != VALUES * mine.base + VALUES * (VALUES - 1) / 2;
        pycnn_free(mine.out);
        if (round % 50 == number) pycnn_set_num_threads(2 + (int)number % 3);
        if (round % 70 == number) pycnn_empty_cache();
        if (round % 90 == number) pycnn_set_cache_limit((size_t)(1 + number) << 20);
        const int before = pycnn_set_local_threads(round % 3);
        pycnn_set_local_threads(before);
        wrong += pycnn_cached_bytes() > (size_t)1 << 30;
    }
    return (void *)wrong;
}

int main(void) {
    pthread_t threads[CALLERS];
    int failed = 0;
    pycnn_set_num_threads(4);
    for (long i = 0; i < CALLERS; i++) failed |= pthread_create(&threads[i], NULL, caller, (void *)(ptrdiff_t)i);
    for (int i = 0; i < CALLERS; i++) {
        void *wrong = NULL;
        failed |= pthread_join(threads[i], &wrong) || wrong;
    }
    printf("%d threads, %d jobs each: %s\n", CALLERS, ROUNDS, failed ? "wrong" : "right");
    return failed;
}

/* What the machine can do: multiply-adds in registers and copies, on several threads.

   Built on demand by probe.py with the vector width in VECTOR_BYTES and the flags that the active instruction set
   needs. Each thread counts its own work over its own time, so that nobody waits for a late one. */
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#define MOST_THREADS 256
#define CHAINS 12 /* independent sums: more than latency x units of every CPU, fewer than registers */

typedef struct {
    double seconds, rate, factor, term;
    char *to, *from;
    size_t bytes;
} job;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double on_threads(int threads, job *jobs, void *(*work)(void *)) {
    pthread_t ids[MOST_THREADS];
    double total = 0;
    int started = 1;
    for (; started < threads; started++)
        if (pthread_create(&ids[started], NULL, work, &jobs[started])) break;
    work(&jobs[0]);
    for (int i = 0; i < started; i++) {
        if (i) pthread_join(ids[i], NULL);
        total += jobs[i].rate;
    }
    return total;
}

/* Named sums: GCC keeps an array of vectors in memory. */
#define EACH(DO, T)                                                                                             \
    DO(0, T) DO(1, T) DO(2, T) DO(3, T) DO(4, T) DO(5, T) DO(6, T) DO(7, T) DO(8, T) DO(9, T) DO(10, T) DO(11, T)
#define START(k, T) T s##k = term * k;
#define STEP(k, T) s##k = s##k * factor + term;
#define TOTAL(k, T) +s##k[0]

#define DEFINE_FMA(TYPE, NAME)                                                                                  \
    typedef TYPE NAME##_vector __attribute__((vector_size(VECTOR_BYTES)));                                      \
    static void *NAME##_work(void *argument) {                                                                  \
        job *j = argument;                                                                                      \
        const NAME##_vector zero = {0}, factor = zero + (TYPE)j->factor, term = zero + (TYPE)j->term;           \
        EACH(START, NAME##_vector)                                                                              \
        const double begin = now();                                                                             \
        double loops = 0, spent = 0;                                                                            \
        for (; spent < j->seconds; spent = now() - begin, loops += 1)                                           \
            for (int i = 0; i < 10000; i++) {                                                                   \
                __asm__ volatile("" : "+m"(j->bytes)); /* keeps the loop, leaves the sums in registers */       \
                EACH(STEP, )                                                                                    \
            }                                                                                                   \
        j->bytes = (size_t)(0 EACH(TOTAL, ));                                                                   \
        j->rate = loops * 10000 * CHAINS * 2 * (double)(VECTOR_BYTES / sizeof(TYPE)) / spent;                   \
        return NULL;                                                                                            \
    }                                                                                                           \
    /* Operations per second of all threads, measured for so many seconds. */                                   \
    double NAME(int threads, double seconds) {                                                                  \
        job jobs[MOST_THREADS];                                                                                 \
        if (threads < 1 || threads > MOST_THREADS) return 0;                                                    \
        for (int i = 0; i < threads; i++) jobs[i] = (job){.seconds = seconds, .factor = 0.5, .term = 1};        \
        return on_threads(threads, jobs, NAME##_work);                                                          \
    }

DEFINE_FMA(float, fma_float32)
DEFINE_FMA(double, fma_float64)

static void *copy_work(void *argument) {
    job *j = argument;
    const double begin = now();
    double copies = 0, spent = 0;
    while (spent < j->seconds) {
        memcpy(j->to, j->from, j->bytes);
        copies += 1;
        spent = now() - begin;
    }
    j->rate = 2 * copies * (double)j->bytes / spent;
    return NULL;
}

/* Bytes read plus bytes written per second by threads that copy their shares of so many bytes again and again. */
double copy(int threads, double seconds, char *to, char *from, size_t bytes) {
    job jobs[MOST_THREADS];
    if (threads < 1 || threads > MOST_THREADS) return 0;
    const size_t share = bytes / (size_t)threads;
    for (int i = 0; i < threads; i++)
        jobs[i] = (job){
            .seconds = seconds, .to = to + share * (size_t)i, .from = from + share * (size_t)i, .bytes = share};
    return on_threads(threads, jobs, copy_work);
}

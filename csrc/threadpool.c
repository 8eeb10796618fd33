/* The thread pool: see threadpool.h for what it promises.
 *
 * A worker that waits spins for about 20 us on the job number, then sleeps on a condition variable. To take part it
 * joins the job under the mutex and leaves it under the mutex; the caller closes the job and waits only for those that
 * joined. So a thread that wakes late finds the job closed and never touches memory that the caller has given back.
 *
 * Each thread begins with chunks of its own, those that it had in the last job of so many: a layer finds in its cache
 * what the same chunks of the layer before left there. Then it takes what others have not begun.
 *
 * Linux wakes a thread on the CPU where it last ran, and looks for an idle one only while the CPUs as a whole are not
 * busy. After both have been, a worker can sit beside its caller, with the other CPU idle, for as long as jobs are
 * shorter than a tick: each job then takes as long as on one thread. So a worker that went to sleep on a CPU of the
 * caller or of another worker is forbidden those while it is woken, and allowed them again at once. */
#define _GNU_SOURCE /* CPU sets */
#include "threadpool.h"

#include <stdint.h>
#include <string.h>

#include "platform_cpus.h"
#include "platform_threads.h"

enum { SPIN_ROUNDS = 2000, MOST_MOVED = 8 };

typedef struct {
    pycnn_chunk_fn fn;
    void *context;
    ptrdiff_t n_chunks;
    int shares; /* its chunks are cut into: one for the caller and each helper */
} job_t;

static struct {
    pycnn_mutex owner;  /* held by the thread whose job runs */
    pycnn_mutex mutex;  /* guards everything below but the atomics */
    pycnn_cond work;    /* a job was posted */
    pycnn_cond done;    /* the last worker left the job */
    atomic_long number; /* of the job: workers spin on it */
    job_t job;
    int open;           /* workers may join */
    atomic_long active; /* workers that joined: the caller spins on it */
    int started;        /* threads that exist */
    atomic_long limit;  /* threads a job may use, the caller included: read without the lock */
    int helpers;        /* workers the open job may use */
    long home;          /* CPU of the caller */
} pool = {PYCNN_MUTEX_INIT, PYCNN_MUTEX_INIT, PYCNN_COND_INIT, PYCNN_COND_INIT, 0, {0}, 0, 0, 0, 1, 0, -1};

/* The next chunk of each share, on a line of its own. */
static struct {
    atomic_ptrdiff next;
    char apart[64 - sizeof(atomic_ptrdiff)];
} shares[PYCNN_MAX_THREADS];

static PYCNN_THREAD_LOCAL int local_limit;

/* Of each worker: its number for the system (0: not yet running), and the CPU where it last waited. */
static struct {
    atomic_long thread, cpu;
} crew[PYCNN_MAX_THREADS];

typedef struct {
    int count;
    long thread[MOST_MOVED];
    pycnn_cpus before[MOST_MOVED];
} moved_t;

/* Moves the calling worker off the caller's CPU, should it be there after all. */
static void step_aside(long thread, long home) {
    pycnn_cpus taken, before;
    if (home < 0 || pycnn_this_cpu() != home) return;
    memset(&taken, 0, sizeof taken);
    pycnn_put_in(home, &taken);
    if (pycnn_keep_off(thread, &taken, &before)) pycnn_allow(thread, &before);
}

/* Where a share begins, and the one before it ends: n_chunks * share / shares without its overflow. */
static ptrdiff_t share_begin(const job_t *job, int share) {
    const ptrdiff_t each = job->n_chunks / job->shares, rest = job->n_chunks % job->shares;
    return share * each + share * rest / job->shares;
}

static void run_chunks(const job_t *job, int slot) {
    for (int turn = 0; turn < job->shares; turn++) {
        const int share = (slot + turn) % job->shares;
        const ptrdiff_t end = share_begin(job, share + 1);
        /* A look first: many threads that end together would wait for one another to count. */
        while (atomic_get(&shares[share].next) < end) {
            const ptrdiff_t chunk = atomic_add(&shares[share].next, 1);
            if (chunk >= end) break;
            job->fn(job->context, chunk, slot);
        }
    }
}

static void *worker(void *argument) {
    const int index = (int)(intptr_t)argument;
    long seen = 0;
    atomic_set(&crew[index].thread, pycnn_this_thread());
    for (;;) {
        for (int i = 0; i < SPIN_ROUNDS && atomic_get(&pool.number) == seen; i++) pycnn_pause();
        atomic_set(&crew[index].cpu, pycnn_this_cpu());
        pycnn_lock(&pool.mutex);
        while (atomic_get(&pool.number) == seen) pycnn_wait(&pool.work, &pool.mutex);
        seen = atomic_get(&pool.number);
        if (!pool.open || index >= pool.helpers) {
            pycnn_unlock(&pool.mutex);
            continue;
        }
        atomic_add(&pool.active, 1);
        const long home = pool.home;
        pycnn_unlock(&pool.mutex);
        step_aside(atomic_get(&crew[index].thread), home);
        run_chunks(&pool.job, index + 1);
        pycnn_lock(&pool.mutex);
        if (atomic_add(&pool.active, -1) == 1) pycnn_signal(&pool.done);
        pycnn_unlock(&pool.mutex);
    }
    return NULL;
}

#ifndef _WIN32
/* The child has only the thread that called fork(): forget the workers and whatever locks they held. */
static void after_fork_in_child(void) {
    pycnn_mutex fresh = PYCNN_MUTEX_INIT;
    pycnn_cond fresh_cond = PYCNN_COND_INIT;
    pool.owner = fresh;
    pool.mutex = fresh;
    pool.work = fresh_cond;
    pool.done = fresh_cond;
    pool.open = pool.active = pool.started = 0;
}

static void register_fork_handler(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }
static pthread_once_t fork_handler = PTHREAD_ONCE_INIT;
#endif

/* Called with the mutex held. A thread that cannot be had is not an error: the job runs on fewer. */
static void start_workers(int wanted) {
#ifndef _WIN32
    pthread_once(&fork_handler, register_fork_handler);
#endif
    while (pool.started < wanted) {
        atomic_set(&crew[pool.started].thread, 0);
        if (!pycnn_start_thread(worker, (void *)(intptr_t)pool.started)) return;
        pool.started++;
    }
}

/* Keeps workers off each other's CPUs and the caller's. Called with the mutex held, before they are woken. */
static void keep_apart(moved_t *moved) {
    const int count = pool.helpers < pool.started ? pool.helpers : pool.started;
    pycnn_cpus taken;
    moved->count = 0;
    pool.home = pycnn_this_cpu();
    if (pool.home < 0) return;
    memset(&taken, 0, sizeof taken);
    pycnn_put_in(pool.home, &taken);
    for (int i = 0; i < count; i++) {
        const long thread = atomic_get(&crew[i].thread), cpu = atomic_get(&crew[i].cpu);
        if (!pycnn_is_in(cpu, &taken))
            pycnn_put_in(cpu, &taken);
        else if (thread && moved->count < MOST_MOVED)
            if (pycnn_keep_off(thread, &taken, &moved->before[moved->count])) moved->thread[moved->count++] = thread;
    }
}

void pycnn_parallel_for(pycnn_chunk_fn fn, void *context, ptrdiff_t n_chunks) {
    const int limit = pycnn_num_threads();
    if (n_chunks <= 1 || limit <= 1 || !pycnn_trylock(&pool.owner)) {
        for (ptrdiff_t chunk = 0; chunk < n_chunks; chunk++) fn(context, chunk, 0);
        return;
    }
    moved_t moved;
    pycnn_lock(&pool.mutex);
    const int helpers = (int)(n_chunks < limit ? n_chunks : limit) - 1;
    start_workers(helpers);
    pool.job.fn = fn;
    pool.job.context = context;
    pool.job.n_chunks = n_chunks;
    pool.job.shares = helpers + 1;
    for (int i = 0; i <= helpers; i++) atomic_set(&shares[i].next, share_begin(&pool.job, i));
    pool.open = 1;
    pool.helpers = helpers;
    keep_apart(&moved);
    atomic_add(&pool.number, 1);
    pycnn_unlock(&pool.mutex);
    pycnn_broadcast(&pool.work);
    for (int i = 0; i < moved.count; i++) pycnn_allow(moved.thread[i], &moved.before[i]);

    run_chunks(&pool.job, 0);

    for (int i = 0; i < SPIN_ROUNDS && atomic_get(&pool.active); i++) pycnn_pause();
    pycnn_lock(&pool.mutex);
    pool.open = 0;
    while (atomic_get(&pool.active)) pycnn_wait(&pool.done, &pool.mutex);
    pycnn_unlock(&pool.mutex);
    pycnn_unlock(&pool.owner);
}

int pycnn_num_threads(void) {
    const int limit = (int)atomic_get(&pool.limit);
    return local_limit > 0 && local_limit < limit ? local_limit : limit;
}

void pycnn_set_num_threads(int n) {
    if (n < 1) n = 1;
    if (n > PYCNN_MAX_THREADS) n = PYCNN_MAX_THREADS;
    atomic_set(&pool.limit, n);
}

int pycnn_set_local_threads(int n) {
    const int old = local_limit;
    local_limit = n > 0 ? n : 0;
    return old;
}

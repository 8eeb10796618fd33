/* Threads, locks and atomics under one set of names: POSIX and Win32. Included by threadpool.c and allocator.c only. */
#ifndef PYCNN_PLATFORM_THREADS_H
#define PYCNN_PLATFORM_THREADS_H

#include <stddef.h>

#ifdef _MSC_VER
#define PYCNN_THREAD_LOCAL __declspec(thread)
#else
#define PYCNN_THREAD_LOCAL __thread
#endif

#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

typedef SRWLOCK pycnn_mutex;
typedef CONDITION_VARIABLE pycnn_cond;
#define PYCNN_MUTEX_INIT SRWLOCK_INIT
#define PYCNN_COND_INIT CONDITION_VARIABLE_INIT

static inline void pycnn_lock(pycnn_mutex *m) { AcquireSRWLockExclusive(m); }
static inline int pycnn_trylock(pycnn_mutex *m) { return TryAcquireSRWLockExclusive(m) != 0; }
static inline void pycnn_unlock(pycnn_mutex *m) { ReleaseSRWLockExclusive(m); }
static inline void pycnn_wait(pycnn_cond *c, pycnn_mutex *m) { SleepConditionVariableSRW(c, m, INFINITE, 0); }
static inline void pycnn_signal(pycnn_cond *c) { WakeConditionVariable(c); }
static inline void pycnn_broadcast(pycnn_cond *c) { WakeAllConditionVariable(c); }
static inline void pycnn_pause(void) { YieldProcessor(); }

typedef struct {
    void *(*fn)(void *);
    void *argument;
} pycnn_thread_start;

static DWORD WINAPI pycnn_thread_main(LPVOID argument) {
    pycnn_thread_start start = *(pycnn_thread_start *)argument;
    HeapFree(GetProcessHeap(), 0, argument);
    start.fn(start.argument);
    return 0;
}

static inline int pycnn_start_thread(void *(*fn)(void *), void *argument) {
    pycnn_thread_start *start = (pycnn_thread_start *)HeapAlloc(GetProcessHeap(), 0, sizeof *start);
    if (!start) return 0;
    start->fn = fn;
    start->argument = argument;
    HANDLE thread = CreateThread(NULL, 0, pycnn_thread_main, start, 0, NULL);
    if (!thread) {
        HeapFree(GetProcessHeap(), 0, start);
        return 0;
    }
    CloseHandle(thread);
    return 1;
}

#else

#include <pthread.h>
#include <signal.h>

typedef pthread_mutex_t pycnn_mutex;
typedef pthread_cond_t pycnn_cond;
#define PYCNN_MUTEX_INIT PTHREAD_MUTEX_INITIALIZER
#define PYCNN_COND_INIT PTHREAD_COND_INITIALIZER

static inline void pycnn_lock(pycnn_mutex *m) { pthread_mutex_lock(m); }
static inline int pycnn_trylock(pycnn_mutex *m) { return pthread_mutex_trylock(m) == 0; }
static inline void pycnn_unlock(pycnn_mutex *m) { pthread_mutex_unlock(m); }
static inline void pycnn_wait(pycnn_cond *c, pycnn_mutex *m) { pthread_cond_wait(c, m); }
static inline void pycnn_signal(pycnn_cond *c) { pthread_cond_signal(c); }
static inline void pycnn_broadcast(pycnn_cond *c) { pthread_cond_broadcast(c); }

static inline void pycnn_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Detached, and with every signal blocked: signals are the host program's business, on its own threads. */
static inline int pycnn_start_thread(void *(*fn)(void *), void *argument) {
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, old;
    if (pthread_attr_init(&attributes)) return 0;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const int failed = pthread_create(&thread, &attributes, fn, argument);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return !failed;
}

#endif

/* Sequentially consistent atomics: a job costs a handful of them, a chunk one. */
#if defined(_MSC_VER) && !defined(__clang__)
typedef volatile LONG64 atomic_ptrdiff;
typedef volatile LONG atomic_long;
#define atomic_add(p, n) \
    (sizeof(*(p)) == 8 ? InterlockedExchangeAdd64((LONG64 *)(p), (n)) : InterlockedExchangeAdd((LONG *)(p), (LONG)(n)))
#define atomic_set(p, n) \
    (sizeof(*(p)) == 8 ? InterlockedExchange64((LONG64 *)(p), (n)) : InterlockedExchange((LONG *)(p), (LONG)(n)))
#define atomic_get(p) (*(p))
#else
typedef ptrdiff_t atomic_ptrdiff;
typedef long atomic_long;
#define atomic_add(p, n) __atomic_fetch_add((p), (n), __ATOMIC_SEQ_CST)
#define atomic_set(p, n) __atomic_store_n((p), (n), __ATOMIC_SEQ_CST)
#define atomic_get(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#endif

#endif

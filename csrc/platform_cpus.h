/* The CPUs that threads run on. Linux only: elsewhere nobody is moved, and no CPU has a number. Included by threadpool.c,
 * which defines _GNU_SOURCE first. */
#ifndef PYCNN_PLATFORM_CPUS_H
#define PYCNN_PLATFORM_CPUS_H

#ifdef __linux__

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef cpu_set_t pycnn_cpus;

static inline long pycnn_this_thread(void) { return syscall(SYS_gettid); }
static inline long pycnn_this_cpu(void) { return sched_getcpu(); }
static inline int pycnn_is_in(long cpu, const pycnn_cpus *cpus) {
    return cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET((size_t)cpu, cpus);
}
static inline void pycnn_put_in(long cpu, pycnn_cpus *cpus) {
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET((size_t)cpu, cpus);
}

/* Forbids a thread the CPUs in `taken`, where that leaves it one; *before: what it was allowed. Returns whether. */
static inline int pycnn_keep_off(long thread, const pycnn_cpus *taken, pycnn_cpus *before) {
    pycnn_cpus rest;
    if (sched_getaffinity((pid_t)thread, sizeof *before, before)) return 0;
    CPU_AND(&rest, before, taken);
    CPU_XOR(&rest, before, &rest);
    return CPU_COUNT(&rest) > 0 && !sched_setaffinity((pid_t)thread, sizeof rest, &rest);
}
static inline void pycnn_allow(long thread, const pycnn_cpus *cpus) {
    (void)sched_setaffinity((pid_t)thread, sizeof *cpus, cpus);
}

#else

typedef int pycnn_cpus;
static inline long pycnn_this_thread(void) { return 0; }
static inline long pycnn_this_cpu(void) { return -1; }
static inline int pycnn_is_in(long cpu, const pycnn_cpus *cpus) { return (void)cpu, (void)cpus, 0; }
static inline void pycnn_put_in(long cpu, pycnn_cpus *cpus) { (void)cpu, (void)cpus; }
static inline int pycnn_keep_off(long thread, const pycnn_cpus *taken, pycnn_cpus *before) {
    return (void)thread, (void)taken, (void)before, 0;
}
static inline void pycnn_allow(long thread, const pycnn_cpus *cpus) { (void)thread, (void)cpus; }

#endif

#endif

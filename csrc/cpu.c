/* CPU detection: CPUID for the processor's features, XGETBV for the registers the operating system saves.
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, sections 14.3 (AVX), 14.7 (AVX2)
 * and 15.2 (AVX-512), volume 2, CPUID leaf 4 (caches), of which AMD has the same at 0x8000001d.
 * Nothing here is an ifunc: musl, macOS and Windows have none. */
#include "cpu.h"

#if defined(__x86_64__) || defined(_M_X64)
#define PYCNN_X86 1
#endif

#ifdef PYCNN_X86

#ifdef _MSC_VER
#include <immintrin.h>
#include <intrin.h>
static void cpuid(unsigned leaf, unsigned sub, unsigned r[4]) { __cpuidex((int *)r, (int)leaf, (int)sub); }
static unsigned long long xgetbv0(void) { return _xgetbv(0); }
#else
#include <cpuid.h>
static void cpuid(unsigned leaf, unsigned sub, unsigned r[4]) { __cpuid_count(leaf, sub, r[0], r[1], r[2], r[3]); }
static unsigned long long xgetbv0(void) {
    unsigned lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return ((unsigned long long)hi << 32) | lo;
}
#endif

static int bit(unsigned word, int index) { return (int)((word >> index) & 1u); }

static int x86_supports(pycnn_isa isa) {
    unsigned r[4] = {0, 0, 0, 0};
    cpuid(0, 0, r);
    if (r[0] < 7) return 0;
    cpuid(1, 0, r);
    const unsigned ecx1 = r[2];
    if (!bit(ecx1, 27)) return 0; /* OSXSAVE: XGETBV may be used */
    const unsigned long long saved = xgetbv0();
    cpuid(7, 0, r);
    const unsigned ebx7 = r[1];
    const int ymm = (saved & 0x6) == 0x6;
    const int zmm = (saved & 0xe6) == 0xe6;
    const int avx2 = ymm && bit(ecx1, 28) && bit(ecx1, 12) && bit(ebx7, 5); /* AVX, FMA, AVX2 */
    if (isa == PYCNN_AVX2) return avx2;
    /* F, DQ, BW, VL: what every AVX-512 server and desktop core since Skylake-SP has. */
    return avx2 && zmm && bit(ebx7, 16) && bit(ebx7, 17) && bit(ebx7, 30) && bit(ebx7, 31);
}

/* The largest of the caches that a leaf lists. */
static size_t x86_last_cache(unsigned leaf) {
    size_t most = 0;
    for (unsigned sub = 0; sub < 16; sub++) {
        unsigned r[4] = {0, 0, 0, 0};
        cpuid(leaf, sub, r);
        if ((r[0] & 31) == 0) break; /* no more caches */
        const size_t ways = (r[1] >> 22) + 1, parts = ((r[1] >> 12) & 1023) + 1, line = (r[1] & 4095) + 1;
        const size_t bytes = ways * parts * line * ((size_t)r[2] + 1);
        if (bytes > most) most = bytes;
    }
    return most;
}

#endif

size_t pycnn_last_cache(void) {
#ifdef PYCNN_X86
    unsigned r[4] = {0, 0, 0, 0};
    size_t bytes = 0;
    cpuid(0, 0, r);
    if (r[0] >= 4) bytes = x86_last_cache(4);
    cpuid(0x80000000u, 0, r);
    if (bytes == 0 && r[0] >= 0x8000001du) bytes = x86_last_cache(0x8000001du);
    if (bytes > 0) return bytes;
#endif
    return (size_t)32 << 20;
}

int pycnn_cpu_supports(pycnn_isa isa) {
    if (isa == PYCNN_GENERIC) return 1;
#ifdef PYCNN_X86
    if (isa == PYCNN_AVX2 || isa == PYCNN_AVX512) return x86_supports(isa);
#endif
#if defined(__aarch64__) || defined(_M_ARM64)
    if (isa == PYCNN_NEON) return 1; /* Advanced SIMD is part of the 64-bit ARM baseline */
#endif
    return 0;
}

const char *pycnn_isa_name(pycnn_isa isa) {
    static const char *const names[PYCNN_ISA_COUNT] = {"generic", "avx2", "avx512", "neon"};
    return (int)isa >= 0 && isa < PYCNN_ISA_COUNT ? names[isa] : NULL;
}

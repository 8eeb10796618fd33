/* Which instruction sets this processor and its operating system can run. */
#ifndef PYCNN_CPU_H
#define PYCNN_CPU_H

#include <stddef.h>

typedef enum { PYCNN_GENERIC = 0, PYCNN_AVX2 = 1, PYCNN_AVX512 = 2, PYCNN_NEON = 3, PYCNN_ISA_COUNT = 4 } pycnn_isa;

/* 1 where the processor, the operating system and this build all have the instruction set. */
int pycnn_cpu_supports(pycnn_isa isa);

/* Bytes of the last cache before memory, which cores share; a guess where the processor does not say. */
size_t pycnn_last_cache(void);

/* "generic", "avx2", "avx512", "neon"; NULL outside the enumeration. */
const char *pycnn_isa_name(pycnn_isa isa);

#endif

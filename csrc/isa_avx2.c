/* x86-64 with AVX2 and FMA. */
#define ISA_NAME avx2
#define PYCNN_ISA_AVX2
#include "isa.inc.h"

/* x86-64 with AVX-512 F, DQ, BW and VL. */
#define ISA_NAME avx512
#define PYCNN_ISA_AVX512
#include "isa.inc.h"

/* 64-bit ARM with Advanced SIMD. */
#define ISA_NAME neon
#define PYCNN_ISA_NEON
#include "isa.inc.h"

/* Portable C: the baseline of the platform, and the twin that the other instruction sets are compared with. */
#define ISA_NAME generic
#define PYCNN_ISA_GENERIC
#include "isa.inc.h"

/* Chooses the table of register tiles. Called once at import; tests call it again to go through every set. */
#include "tiles.h"

extern const pycnn_tiles pycnn_tiles_generic;
#ifdef PYCNN_HAVE_AVX2
extern const pycnn_tiles pycnn_tiles_avx2;
#endif
#ifdef PYCNN_HAVE_AVX512
extern const pycnn_tiles pycnn_tiles_avx512;
#endif
#ifdef PYCNN_HAVE_NEON
extern const pycnn_tiles pycnn_tiles_neon;
#endif

static const pycnn_tiles *const tables[PYCNN_ISA_COUNT] = {
    &pycnn_tiles_generic,
#ifdef PYCNN_HAVE_AVX2
    &pycnn_tiles_avx2,
#else
    0,
#endif
#ifdef PYCNN_HAVE_AVX512
    &pycnn_tiles_avx512,
#else
    0,
#endif
#ifdef PYCNN_HAVE_NEON
    &pycnn_tiles_neon,
#else
    0,
#endif
};

const pycnn_tiles *pycnn_active = &pycnn_tiles_generic;
static pycnn_isa active_isa = PYCNN_GENERIC;

pycnn_isa pycnn_active_isa(void) { return active_isa; }

int pycnn_isa_available(pycnn_isa isa) {
    return (int)isa >= 0 && isa < PYCNN_ISA_COUNT && tables[isa] && pycnn_cpu_supports(isa);
}

pycnn_isa pycnn_best_isa(void) {
    static const pycnn_isa order[] = {PYCNN_AVX512, PYCNN_AVX2, PYCNN_NEON};
    for (int i = 0; i < 3; i++)
        if (pycnn_isa_available(order[i])) return order[i];
    return PYCNN_GENERIC;
}

int pycnn_select_isa(pycnn_isa isa) {
    if (!pycnn_isa_available(isa)) return -1;
    pycnn_active = tables[isa];
    active_isa = isa;
    return 0;
}

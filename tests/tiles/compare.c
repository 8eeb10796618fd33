/* Compares every register tile of one instruction set with that of generic C, on random sizes and numbers.
 *
 * Usage: compare [neon|avx2|avx512]       the best set of this processor otherwise. See tools/compare_tiles.sh. */
#include "compare.h"

const pycnn_tiles *sets[2];
static int compared, different;

void verdict(const char *name, const char *type, int same) {
    compared++;
    if (same) return;
    different++;
    if (different <= 20) printf("different: %s, %s\n", name, type);
}

#define REAL float
#define T(name) name##_f32
#define TYPE "float32"
#define TOLERANCE 2e-5
#include "compare_gemm.inc.h"
#include "compare_planes.inc.h"
#include "compare_pool.inc.h"
#include "compare_vector.inc.h"
#undef REAL
#undef T
#undef TYPE
#undef TOLERANCE
#define REAL double
#define T(name) name##_f64
#define TYPE "float64"
#define TOLERANCE 1e-11
#include "compare_gemm.inc.h"
#include "compare_planes.inc.h"
#include "compare_pool.inc.h"
#include "compare_vector.inc.h"

int main(int argc, char **argv) {
    pycnn_isa isa = pycnn_best_isa();
    for (int i = 0; i < PYCNN_ISA_COUNT && argc > 1; i++)
        if (!strcmp(argv[1], pycnn_isa_name((pycnn_isa)i))) isa = (pycnn_isa)i;
    pycnn_select_isa(PYCNN_GENERIC);
    sets[0] = pycnn_active;
    if (pycnn_select_isa(isa)) {
        printf("this processor or build lacks %s\n", pycnn_isa_name(isa));
        return 1;
    }
    sets[1] = pycnn_active;
    for (int round = 0; round < ROUNDS; round++) {
        compare_gemm_f32();
        compare_planes_f32();
        compare_pool_f32();
        compare_vector_f32();
        compare_gemm_f64();
        compare_planes_f64();
        compare_pool_f64();
        compare_vector_f64();
    }
    printf("%s: %d results compared with generic C, %d different\n", pycnn_isa_name(isa), compared, different);
    return different != 0;
}

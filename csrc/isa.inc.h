/* Everything that is compiled once per instruction set. isa_<name>.c defines ISA_NAME and PYCNN_ISA_<NAME> and includes
 * this; each template is included once for float and once for double, and NAME(x) keeps their names apart. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <math.h>

#include "sanitize.h"
#include "tiles.h"

#if defined(PYCNN_ISA_AVX512) || defined(PYCNN_ISA_AVX2)
#include <immintrin.h>
#elif defined(PYCNN_ISA_NEON)
#include <arm_neon.h>
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define ALWAYS_INLINE static __forceinline
#define RESTRICT __restrict
#elif defined(PYCNN_ASAN) /* a check at every access of every inlined copy would take the compiler many minutes */
#define ALWAYS_INLINE static inline __attribute__((unused))
#define RESTRICT __restrict__
#else
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define RESTRICT __restrict__
#endif

#if defined(__GNUC__)
#define NEVER_INLINE static __attribute__((noinline))
#else
#define NEVER_INLINE static
#endif

/* Before a loop of at most 16 rounds whose body indexes an array of vectors: unrolled whole, the array stays in
 * registers. GCC leaves loops of 24 vectors alone otherwise and goes through the stack. Not under AddressSanitizer, for
 * the compiler's time as above, nor in plain C, where a vector is no register and the code would be a third of the wheel. */
#if defined(PYCNN_ASAN) || defined(PYCNN_ISA_GENERIC)
#define UNROLL
#elif defined(__clang__)
#define UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif

/* Asks for a line of the cache; any address will do. */
#if defined(__GNUC__)
#define PREFETCH(p) __builtin_prefetch(p)
#define PREFETCH_L2(p) __builtin_prefetch(p, 0, 2)
#else
#define PREFETCH(p) ((void)(p))
#define PREFETCH_L2(p) ((void)(p))
#endif

#define PASTE3_(a, b, c) a##_##b##_##c
#define PASTE3(a, b, c) PASTE3_(a, b, c)
#define NAME(x) PASTE3(x, TYPE_NAME, ISA_NAME)

#define TYPE_NAME f32
#define TYPED(name) name##_f32
#define PYCNN_F32
#include "simd.inc.h"
#include "lanes.inc.h"
#include "gemm.inc.h"
#include "points.inc.h"
#include "winograd.inc.h"
#include "pool.inc.h"
#include "depthwise.inc.h"
#include "few.inc.h"
#include "vector.inc.h"
#include "undef.inc.h"
#undef TYPED
#undef PYCNN_F32
#undef TYPE_NAME

#define TYPE_NAME f64
#define TYPED(name) name##_f64
#define PYCNN_F64
#include "simd.inc.h"
#include "lanes.inc.h"
#include "gemm.inc.h"
#include "points.inc.h"
#include "winograd.inc.h"
#include "pool.inc.h"
#include "depthwise.inc.h"
#include "few.inc.h"
#include "vector.inc.h"
#include "undef.inc.h"
#undef TYPED
#undef PYCNN_F64
#undef TYPE_NAME

#define TABLE_(type, isa, topic) &topic##_table_##type##_##isa
#define TABLE(type, isa, topic) TABLE_(type, isa, topic)
#define TILES_(isa) pycnn_tiles_##isa
#define TILES(isa) TILES_(isa)
extern const pycnn_tiles TILES(ISA_NAME);
const pycnn_tiles TILES(ISA_NAME) = {
    TABLE(f32, ISA_NAME, gemm),      TABLE(f64, ISA_NAME, gemm),
    TABLE(f32, ISA_NAME, points),    TABLE(f64, ISA_NAME, points),
    TABLE(f32, ISA_NAME, winograd),  TABLE(f64, ISA_NAME, winograd),
    TABLE(f32, ISA_NAME, pool),      TABLE(f64, ISA_NAME, pool),
    TABLE(f32, ISA_NAME, vector),    TABLE(f64, ISA_NAME, vector),
    TABLE(f32, ISA_NAME, depthwise), TABLE(f64, ISA_NAME, depthwise),
    TABLE(f32, ISA_NAME, few),       TABLE(f64, ISA_NAME, few),
};

/* Takes back what simd.inc.h defined, so that the next number type can define it again. */
#undef REAL
#undef VL
#undef vec
#undef vload
#undef vstore
#undef vset
#undef vzero
#undef vadd
#undef vsub
#undef vmul
#undef vdiv
#undef vmax
#undef vmin
#undef vfma
#undef vsum

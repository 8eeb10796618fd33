/* Takes back the names that depthwise_tile.inc.h was given. */
#undef T
#undef TL
#undef tvec
#undef tload
#undef tset
#undef tzero
#undef tfma
#undef tstore
#undef tstore_part
#undef teven
#undef todd
#undef tlow
#undef thigh
#undef theld
#undef twide

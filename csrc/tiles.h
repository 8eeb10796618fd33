/* The tables of register tiles: one pycnn_tiles per instruction set, one of them active.
 *
 * A topic `x` is two templates: x_table.inc.h declares the struct of its function pointers, x.inc.h defines the
 * functions and the table. Both are included once per number type; T(name) ends the name in _f32 or _f64. */
#ifndef PYCNN_TILES_H
#define PYCNN_TILES_H

#include <stddef.h>
#include <stdint.h>

#include "cpu.h"

/* A stretch of one row of a packed panel: see pack_panel in gemm_table.inc.h. */
typedef struct {
    ptrdiff_t src, begin, length, lo, hi;
} pycnn_piece;

/* A part of a finished tile's columns that lies in one row of pixels: see store_tile in gemm_table.inc.h. */
typedef struct {
    ptrdiff_t begin, length, place;
} pycnn_stretch;

/* Pixels of one row of outputs, at most a vector: where its taps begin in the source, where it goes. All lanes of a
 * vector are stored where lanes is that many: see few_table.inc.h. */
typedef struct {
    ptrdiff_t src, dst, lanes;
} pycnn_spot;

/* One plane times one kernel: see depthwise.inc.h. Steps in values. */
typedef struct {
    ptrdiff_t rows, cols;         /* of outputs */
    ptrdiff_t src_line, dst_line; /* from a row of outputs to the next, in src and in dst (or dy) */
    ptrdiff_t kh, kw;             /* taps */
    ptrdiff_t tap_line;           /* from a row of taps to the next, in src */
    const ptrdiff_t *column;      /* [kw]: from an output's own column to that of a tap, in src */
    int spill;                    /* what lies behind a row of dst, up to the end of its last row, may be overwritten */
} pycnn_window;

/* Planes times small kernels, straight from where they lie: see depthwise_direct.inc.h. Steps in values. */
typedef struct {
    ptrdiff_t images, planes;               /* planes of one image; only the products of planes have several images */
    ptrdiff_t src_image, src_plane, src_line;
    ptrdiff_t dst_image, dst_plane, dst_line;
    ptrdiff_t weight_plane, bias_plane;
    ptrdiff_t first, rows, cols;            /* of dst: rows first .. rows - 1 are wanted */
    ptrdiff_t height, width;                /* of src */
    ptrdiff_t top, left;                    /* padding; what is left out where it is negative */
    ptrdiff_t kh, kw, stride;
    ptrdiff_t row_step, col_step;           /* dilation; 1 with stride 2 */
    ptrdiff_t weight_step;                  /* from a tap to the next: 1, or -1 from the last on */
} pycnn_direct;

/* Pixels that will be read soon, and are asked for; any address will do. */
typedef struct {
    const void *src;
    ptrdiff_t rows, line, pixels, pixel;
} pycnn_ahead;

/* The pixels of a strided tile: see winograd_strided.inc.h. */
typedef struct {
    ptrdiff_t spacing;  /* from a pixel of a phase to the next: 2; 1 where the tile has the deltas */
    ptrdiff_t row, col; /* from the first pixel that goes through a transform to the first that does not: 0 or 1 */
    ptrdiff_t cut_rows, cut_cols; /* points that the tiles lack along their columns, the last tile along its rows */
    ptrdiff_t jump;               /* how many tiles further on the last one is than it were behind the others */
} pycnn_phases;

/* Square windows over a plane of contiguous cells, 2 x 2 or 3 x 3: see pool_window.inc.h. */
typedef struct {
    ptrdiff_t kernel, stride;
    ptrdiff_t height, width;         /* of a plane of the input */
    ptrdiff_t out_height, out_width; /* windows */
    ptrdiff_t top, left;             /* cells of padding, fewer than the kernel has */
} pycnn_pooling;

#define REAL float
#define T(name) name##_f32
#include "gemm_table.inc.h"
#include "points_table.inc.h"
#include "winograd_table.inc.h"
#include "pool_table.inc.h"
#include "vector_table.inc.h"
#include "depthwise_table.inc.h"
#include "few_table.inc.h"
#undef T
#undef REAL
#define REAL double
#define T(name) name##_f64
#include "gemm_table.inc.h"
#include "points_table.inc.h"
#include "winograd_table.inc.h"
#include "pool_table.inc.h"
#include "vector_table.inc.h"
#include "depthwise_table.inc.h"
#include "few_table.inc.h"
#undef T
#undef REAL

typedef struct {
    const pycnn_gemm_f32 *gemm_f32;
    const pycnn_gemm_f64 *gemm_f64;
    const pycnn_points_f32 *points_f32;
    const pycnn_points_f64 *points_f64;
    const pycnn_winograd_f32 *winograd_f32;
    const pycnn_winograd_f64 *winograd_f64;
    const pycnn_pool_f32 *pool_f32;
    const pycnn_pool_f64 *pool_f64;
    const pycnn_vector_f32 *vector_f32;
    const pycnn_vector_f64 *vector_f64;
    const pycnn_depthwise_f32 *depthwise_f32;
    const pycnn_depthwise_f64 *depthwise_f64;
    const pycnn_few_f32 *few_f32;
    const pycnn_few_f64 *few_f64;
} pycnn_tiles;

/* The active table and its name. pycnn_select_isa: 0, or -1 where this processor or build lacks the set. */
extern const pycnn_tiles *pycnn_active;
pycnn_isa pycnn_active_isa(void);
int pycnn_select_isa(pycnn_isa isa);

/* The best set that this processor and build have; what pycnn_select_isa is given when nobody asks for another. */
pycnn_isa pycnn_best_isa(void);

/* 1 where both the processor and this build have the set. */
int pycnn_isa_available(pycnn_isa isa);

#endif

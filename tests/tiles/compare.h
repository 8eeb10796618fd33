/* What the comparisons share: chance, places for inputs and results, and the verdict.
 *
 * Inputs are finite numbers at random; both results start as the same NaN, so that a value which one set writes and the
 * other does not is a difference. */
#ifndef PYCNN_COMPARE_H
#define PYCNN_COMPARE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tiles.h"

enum { PLACES = 1 << 15, ROUNDS = 60 };

/* The two sets: 0 is generic C, 1 the one that is tested. */
extern const pycnn_tiles *sets[2];

void verdict(const char *name, const char *type, int same);

static uint64_t chance_state = 1;

/* 0 .. n */
static inline ptrdiff_t upto(ptrdiff_t n) {
    chance_state = chance_state * 6364136223846793005u + 1442695040888963407u;
    return (ptrdiff_t)((chance_state >> 33) % (uint64_t)(n + 1));
}
static inline ptrdiff_t between(ptrdiff_t lo, ptrdiff_t hi) { return lo + upto(hi - lo); }
static inline double number(void) { return (double)(upto(2000000) - 1000000) / 1000000; }

static inline int close_to(double a, double b, double tolerance) {
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    return a == b || fabs(a - b) <= tolerance * (1 + fabs(b));
}

/* A number that depends on its place only: what both sets find in the lanes of vectors of different lengths. */
static inline double placed(ptrdiff_t a, ptrdiff_t b) { return sin((double)(a * 37 + b * 101 + 7)); }

#endif

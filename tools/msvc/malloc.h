/* Stands in for a header of Microsoft's, with what csrc uses of it: see tools/check_platforms.sh. */
#pragma once
#include <stddef.h>
void *_aligned_malloc(size_t, size_t);
void _aligned_free(void *);

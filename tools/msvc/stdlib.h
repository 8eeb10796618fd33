/* Stands in for a header of Microsoft's, with what csrc uses of it: see tools/check_platforms.sh. */
#pragma once
#include <stddef.h>

#!/usr/bin/env bash
# The kernel tests under AddressSanitizer and UndefinedBehaviorSanitizer (GCC), in a copy of the checkout: the oracle's
# cases on every instruction set, then random and tricky calls on the best one. Blocks are not recycled there
# (PYCNN_CACHE_MB=0), so that a use after the release of one is seen too. Takes about ten minutes, half of them to build.
# Usage: tools/sanitize.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work"
cd "$work"
PYCNN_BUILD=sanitize python setup.py -q build_ext --inplace > build.log 2>&1 || { tail -n 40 build.log; exit 1; }

sanitized=(env PYTHONPATH=. CI=1 # CI: hypothesis without chance
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
    "LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)")
# Where the system places memory at random over a wide range, the sanitizer's own tables may be in its way.
setarch "$(uname -m)" -R true 2> /dev/null && sanitized=(setarch "$(uname -m)" -R "${sanitized[@]}")
tests() { "${sanitized[@]}" "$@"; }

# A net with a hole is worse than none: one value beyond an array in recycled memory has to be caught on every set.
cat > beyond.py <<'PY'
import sys

import numpy as np

from pycnn import functional
from pycnn.kernels import _runtime

_runtime.select_isa(sys.argv[1])
array = _runtime.empty((8192,), np.dtype(np.float32))
array[...] = 1
functional.relu(np.lib.stride_tricks.as_strided(array, (8192 + int(sys.argv[2]),)))
PY
isas=$(tests python -c "from pycnn.kernels import _runtime; print(*_runtime.available_isas())")
for isa in $isas; do
    tests python beyond.py "$isa" 0
    if tests python beyond.py "$isa" 1 2> /dev/null; then
        echo "sanitize: a read beyond an array went unseen with $isa" >&2
        exit 1
    fi
done

run=(python -m pytest -q -s -p no:cacheprovider)
for isa in $isas; do
    printf '\n== %s (%ss)\n' "$isa" "$SECONDS"
    tests PYCNN_ISA="$isa" PYCNN_CACHE_MB=0 "${run[@]}" tests/test_oracle.py tests/test_conv_*.py \
        tests/test_depthwise.py tests/test_winograd.py "$@"
done
printf '\n== random and tricky calls, threads, memory (%ss)\n' "$SECONDS"
tests PYCNN_CACHE_MB=0 "${run[@]}" tests/test_hypothesis_*.py tests/test_activation_*.py \
    tests/test_compact_places.py tests/test_adjoint.py tests/test_gradcheck_functions.py tests/test_nn_threads.py \
    tests/test_capi.py tests/test_sum.py tests/test_optim.py "$@"
tests "${run[@]}" tests/test_runtime.py tests/test_out_of_memory.py "$@"
printf '\n== nothing found (%ss)\n' "$SECONDS"

#!/usr/bin/env bash
# The kernel tests under AddressSanitizer and UndefinedBehaviorSanitizer (GCC), in a copy of the checkout. Blocks are not
# recycled (PYCNN_CACHE_MB=0), so that a write past the end of one is seen. Usage: tools/sanitize.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work"
cd "$work"
PYCNN_BUILD=sanitize python setup.py -q build_ext --inplace > build.log 2>&1 || { tail -n 40 build.log; exit 1; }
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
export LD_PRELOAD="$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)"
PYCNN_CACHE_MB=0 PYTHONPATH=. python -m pytest -q -s -p no:cacheprovider \
    tests/test_oracle.py tests/test_conv*.py tests/test_pooling*.py tests/test_activation*.py tests/test_norm*.py "$@"

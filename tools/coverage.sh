#!/usr/bin/env bash
# Line coverage of the Python and of the .pyx files, by the test suite on one thread (tracing sees only Python's threads).
# Works in a copy, so the checkout keeps its release build. Usage: tools/coverage.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work"
cd "$work"
cat > .coveragerc <<'RC'
[run]
source = pycnn
plugins = Cython.Coverage
branch = False
[report]
exclude_also =
    if TYPE_CHECKING:
    \.\.\.
RC
PYCNN_BUILD=coverage python setup.py -q build_ext --inplace > build.log 2>&1 || { tail -n 40 build.log; exit 1; }
PYCNN_NUM_THREADS=1 PYTHONPATH=. python -m coverage run -m pytest -q -p no:cacheprovider "$@"
python -m coverage report

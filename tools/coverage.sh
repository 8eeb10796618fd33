#!/usr/bin/env bash
# Line coverage of the Python and of the Cython files, by the test suite on one thread (tracing sees only Python's threads);
# fails below 90 % of either kind and below 80 % of any file. Takes about a quarter of an hour, in a copy, so that the
# checkout keeps its release build. Usage: tools/coverage.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work"
cd "$work"
# The head of an inline function in a .pxd is never reported as run, its body is.
cat > .coveragerc <<'RC'
[run]
source = pycnn
plugins = Cython.Coverage
branch = False
[report]
exclude_also =
    if TYPE_CHECKING:
    \.\.\.
    ^cdef inline
RC
PYCNN_BUILD=coverage python setup.py -q build_ext --inplace > build.log 2>&1 || { tail -n 40 build.log; exit 1; }
# The tutorial trains a network for minutes where every line is traced, and runs no line that no other test runs.
PYCNN_NUM_THREADS=1 PYTHONPATH=. python -m coverage run -m pytest -q -p no:cacheprovider \
    --deselect "tests/test_docs_examples.py::test_every_block_of_python_runs[tutorial.md]" "$@"
python tools/coverage_totals.py

#!/usr/bin/env bash
# Builds the wheel, installs it in an empty virtual environment, builds both embedding examples against it there, outside
# the checkout, and runs their tests. Needs a C compiler.
#
# Usage: tools/check_examples.sh [WHEEL]    with a wheel that is there already
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
wheel=${1:+$(realpath "$1")}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
unset PYTHONPATH

if [ -z "$wheel" ]; then
    "$python" -m venv "$work/build"
    "$work/build/bin/pip" install -q build
    "$work/build/bin/pyproject-build" --outdir "$work/dist" "$root" > "$work/build.log" 2>&1 ||
        { tail -n 60 "$work/build.log"; exit 1; }
    wheel=$(echo "$work"/dist/*.whl)
fi

"$python" -m venv "$work/venv"
export PATH="$work/venv/bin:$PATH"
pip install -q "$wheel" "setuptools>=77" "Cython>=3.2" pytest safetensors scipy
cp -r "$root/examples/embed_cython" "$root/examples/embed_c" "$work"
cd "$work"
python -c "import pycnn, sys; assert pycnn.__file__.startswith(sys.prefix), pycnn.__file__; print(pycnn.__file__)"
for example in embed_cython embed_c; do
    # Not isolated, so that it is built against this wheel and not against a published one.
    pip install -q --no-build-isolation --no-deps "./$example"
    (cd "$example" && python -m pytest -q -p no:cacheprovider)
done
printf 'both examples pass with %s (%ss)\n' "$(basename "$wheel")" "$SECONDS"

#!/usr/bin/env bash
# Compares the register tiles of an instruction set with those of generic C, on random sizes and numbers: those of this
# processor, or NEON's, cross-compiled and run under qemu-user.
# Usage: tools/compare_tiles.sh                 CC, CFLAGS: compiler (cc) and options (-O2) for it
#        tools/compare_tiles.sh aarch64         needs aarch64-linux-gnu-gcc and qemu-aarch64
#                                               (Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user)
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case ${1:-native} in
native) machine=$(uname -m) compiler=${CC:-cc} run=() ;;
aarch64) machine=aarch64 compiler=aarch64-linux-gnu-gcc run=(qemu-aarch64 -L /usr/aarch64-linux-gnu) ;;
*) echo "compare_tiles: unknown machine $1" >&2; exit 2 ;;
esac
case $machine in
x86_64) sets=(avx2 avx512) ;;
aarch64 | arm64) sets=(neon) ;;
*) sets=() ;;
esac
flags=(-std=gnu11 -Wall -Wextra -Werror -Icsrc -fno-math-errno -fno-trapping-math)
read -ra wanted <<< "${CFLAGS:--O2}"
for set in "${sets[@]}"; do flags+=("-DPYCNN_HAVE_${set^^}=1"); done
declare -A of_set=([avx2]="-mavx2 -mfma" [avx512]="-mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma" [neon]="")
objects=()
for source in csrc/cpu.c csrc/dispatch.c csrc/isa_generic.c tests/tiles/compare.c; do
    object=$work/$(basename "$source" .c).o
    "$compiler" "${flags[@]}" "${wanted[@]}" -c "$source" -o "$object"
    objects+=("$object")
done
for set in "${sets[@]}"; do
    read -ra extra <<< "${of_set[$set]}"
    "$compiler" "${flags[@]}" "${wanted[@]}" "${extra[@]}" -c "csrc/isa_$set.c" -o "$work/isa_$set.o"
    objects+=("$work/isa_$set.o")
done
"$compiler" "${wanted[@]}" "${objects[@]}" -lm -o "$work/compare"
for set in "${sets[@]}"; do "${run[@]}" "$work/compare" "$set"; done

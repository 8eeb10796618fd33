#!/usr/bin/env bash
# Compiles the C floor for the platforms that wheels are built for and that are not this one, every warning an error: the
# branches of threads, aligned memory and CPU detection for Windows, macOS and musl, with Zig's compiler and, where it is
# installed, MinGW's. Then, with Clang, in the dialect that Microsoft's compiler takes: what is not C11 is an error.
# Needs: pip install ziglang. Debian: gcc-mingw-w64-x86-64, clang.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
common=(cpu threadpool allocator workspace status dispatch isa_generic)
declare -A of_set=([isa_avx2]="-mavx2 -mfma" [isa_neon]=""
    [isa_avx512]="-mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mprefer-vector-width=512")

# compile NAME "INSTRUCTION SETS" COMPILER ...
compile() {
    local name=$1 sets=() source extra
    read -ra sets <<< "$2"
    shift 2
    for source in "${common[@]}" "${sets[@]}"; do
        read -ra extra <<< "${of_set[$source]:-}"
        "$@" -Wall -Wextra -Werror "${extra[@]}" -Icsrc -Ipycnn/include -c "csrc/$source.c" -o "$work/object.o"
    done
    printf '%-28s compiles\n' "$name"
}

zig=(python -m ziglang cc -std=gnu11 -O1)
compile "Windows x86-64 (Zig)" "isa_avx2 isa_avx512" "${zig[@]}" -target x86_64-windows-gnu
compile "macOS arm64 (Zig)" "isa_neon" "${zig[@]}" -target aarch64-macos
compile "macOS x86-64 (Zig)" "isa_avx2 isa_avx512" "${zig[@]}" -target x86_64-macos
compile "musl x86-64 (Zig)" "isa_avx2 isa_avx512" "${zig[@]}" -target x86_64-linux-musl
compile "musl aarch64 (Zig)" "isa_neon" "${zig[@]}" -target aarch64-linux-musl
if command -v x86_64-w64-mingw32-gcc > /dev/null; then
    compile "Windows x86-64 (MinGW)" "isa_avx2 isa_avx512" x86_64-w64-mingw32-gcc -std=gnu11 -O1
fi
if command -v clang > /dev/null; then
    # tools/msvc stands in for the headers that only Microsoft's compiler has. First as its preprocessor sees the sources;
    # then those with intrinsics, whose headers are Clang's own.
    dialect=(clang --target=x86_64-pc-windows-msvc -fms-compatibility-version=19.40 -fms-extensions -std=c11
        -pedantic-errors -Wvla -Itools/msvc -DPYCNN_HAVE_AVX2=1 -DPYCNN_HAVE_AVX512=1)
    sets="isa_avx2 isa_avx512"
    compile "Windows x86-64, MSVC's C" "$sets" "${dialect[@]}"
    common=(threadpool allocator workspace status dispatch)
    compile "the same, not as Clang" "" "${dialect[@]}" -U__clang__
fi

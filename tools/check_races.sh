#!/usr/bin/env bash
# The thread pool and the allocator under ThreadSanitizer, used by many threads at once as a free-threaded Python may.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${CC:-cc}" -std=gnu11 -O1 -g -fsanitize=thread -Wall -Wextra -Werror -Icsrc tests/tiles/races.c csrc/threadpool.c \
    csrc/allocator.c csrc/workspace.c -lpthread -o "$work/races"
run=("$work/races")
# Where the system places memory at random over a wide range, the sanitizer's own tables may be in its way.
setarch "$(uname -m)" -R true 2> /dev/null && run=(setarch "$(uname -m)" -R "${run[@]}")
TSAN_OPTIONS=halt_on_error=0:exitcode=66 "${run[@]}"

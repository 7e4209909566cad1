#!/bin/bash
# make check: every gate, the quick ones first; a line and the seconds for each, one total line at the end.
set -u
cd "$(dirname "$0")/../.." || exit
build=$1
unset MAKEFLAGS # its job slots do not reach through this script; every make below takes its own, JOBS of them
passed=0 failed=0
gate() {
    local name=$1 start=$SECONDS out
    shift
    if out=$("$@" 2>&1); then
        echo "ok     $name ($((SECONDS - start)) s)"
        passed=$((passed + 1))
    else
        echo "FAILED $name ($((SECONDS - start)) s)"
        # what passed or was built says nothing here
        grep -vE '^  [A-Z]+ +|^ok ' <<<"$out" | tail -n 120
        failed=$((failed + 1))
    fi
}
m() { make --no-print-directory BUILD="$build" "$@"; }
gate layers m check-layers
gate sizes m check-sizes
gate format m check-format
gate shellcheck m check-shell
gate cppcheck m check-cppcheck
gate "gcc and clang -Werror" m check-werror
gate "docs as generated" m check-docs BUILD="$build/gcc-werror" CC=gcc ERR=1
gate clang-tidy m check-tidy
gate "unit tests under TSan" m tsan ERR=1
gate "fuzz targets, 3 s each" m fuzz FUZZ_SECONDS=3 ERR=1
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

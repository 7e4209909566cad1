#!/bin/bash
# make check: every gate, then the unit tests of the threaded rooms under TSan; one total line at the end.
set -u
cd "$(dirname "$0")/../.." || exit
build=$1
passed=0 failed=0
gate() {
    local name=$1 start=$SECONDS
    shift
    if out=$("$@" 2>&1); then
        echo "ok     $name ($((SECONDS - start)) s)"
        passed=$((passed + 1))
    else
        echo "FAILED $name"
        tail -n 60 <<<"$out"
        failed=$((failed + 1))
    fi
}
m() { make --no-print-directory BUILD="$build" "$@"; }
gate layers m check-layers
gate sizes m check-sizes
gate format m check-format
gate shellcheck m check-shell
gate "gcc and clang -Werror" m check-werror
gate cppcheck m check-cppcheck
gate clang-tidy m check-tidy
gate "unit tests under TSan" m tsan
gate "fuzz targets, 3 s each" m fuzz FUZZ_SECONDS=3
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

#!/bin/bash
# Runs unit test binaries (cmocka) one after the other and closes with the sum of their totals: 'N passed, N failed'.
set -u
export ASAN_OPTIONS="${ASAN_OPTIONS:-allow_user_segv_handler=0:strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1}"
passed=0 failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for bin in "$@"; do
    "$bin" >"$out" 2>&1
    rc=$?
    p=$(grep -c '^\[       OK \]' "$out")
    f=$(grep -c '^\[  FAILED  \] [^0-9]' "$out")
    n=$(grep -c '^\[ RUN      \]' "$out")
    # cmocka lists a failed test twice (where it happens and in the summary)
    f=$((f > 0 ? n - p : 0))
    if [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    if [ "$n" -eq 0 ]; then f=$((f > 0 ? f : 1)); fi
    passed=$((passed + p)) failed=$((failed + f))
    if [ "$f" -gt 0 ] || [ "$rc" -ne 0 ]; then
        echo "FAILED ${bin} (exit $rc)"
        cat "$out"
    else
        echo "ok     ${bin##*/unit-} ($p)"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

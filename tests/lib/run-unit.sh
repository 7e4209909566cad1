#!/bin/bash
# Runs unit test binaries (cmocka), as many at a time as there are processors, and closes with the sum of their totals: 'N passed, N failed'.
set -u
export ASAN_OPTIONS="${ASAN_OPTIONS:-allow_user_segv_handler=0:strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1}"

# Logs are made and synced by the thousand: in memory that costs nothing, and what survives a crash of the machine is not tested here.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi

# One binary: its output when it failed, and a line 'TOTAL passed failed' for the sum.
run_one() {
    local bin=$1 out rc p f n
    out=$(mktemp)
    timeout "${EA_TEST_TIMEOUT:-600}" "$bin" >"$out" 2>&1
    rc=$?
    p=$(grep -c '^\[       OK \]' "$out")
    n=$(grep -c '^\[ RUN      \]' "$out")
    f=$((n - p))
    # a binary that died, or ran nothing, has failed
    if [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    if [ "$n" -eq 0 ]; then f=1; fi
    {
        if [ "$f" -gt 0 ]; then
            echo "FAILED ${bin##*/unit-} (exit $rc)"
            cat "$out"
        else
            echo "ok     ${bin##*/unit-} ($p)"
        fi
        echo "TOTAL $p $f"
    } >"$out.done"
    cat "$out.done"
    rm -f "$out" "$out.done"
}
export -f run_one

sum=$(mktemp)
trap 'rm -f "$sum"' EXIT
# shellcheck disable=SC2016 # the inner shell expands it
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" bash -c 'run_one "$0"' | tee "$sum" | grep -v '^TOTAL '
awk '$1 == "TOTAL" { p += $2; f += $3 } END { printf "%d passed, %d failed\n", p, f; exit f > 0 || p == 0 }' "$sum"

#!/bin/bash
# Runs every tests/integration/test_* against the binary in EUCS_AGENT. Each prints 'ok NAME' or 'FAILED NAME' lines (or one
# 'N passed, N failed' line) and exits non-zero on a failure.
set -u
cd "$(dirname "$0")/../.." || exit
: "${EUCS_AGENT:?path of the binary}"
export ASAN_OPTIONS="${ASAN_OPTIONS:-strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}"
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
passed=0 failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for t in tests/integration/test_*; do
    case $t in
    *.py) $python "$t" >"$out" 2>&1 ;;
    *.sh) bash "$t" >"$out" 2>&1 ;;
    *) continue ;;
    esac
    rc=$?
    p=$(grep -c '^ok ' "$out") f=$(grep -c '^FAILED ' "$out")
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$out" | tail -1)
    if [ -n "$line" ]; then
        p=${line%% *} f=${line#*, } f=${f%% *}
    fi
    # a test that ran nothing, or died without saying what failed, has failed
    if [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    if [ "$p" -eq 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f))
    if [ "$f" -gt 0 ]; then
        echo "FAILED ${t##*/} ($p passed, $f failed, exit $rc)"
        tail -n 60 "$out"
    else
        echo "ok     ${t##*/} ($p)"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

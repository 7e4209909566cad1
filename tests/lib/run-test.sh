#!/bin/bash
# make test: unit tests, control cases and integration tests; one total line at the end.
set -u
cd "$(dirname "$0")/../.." || exit
build=$1
unset MAKEFLAGS # its job slots do not reach through this script; every make below takes its own, JOBS of them
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs a step, shows it, and adds the totals of its last line 'N passed, N failed'; a step without such a line counts as one.
step() {
    local name=$1 line p f rc
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log"
    rc=${PIPESTATUS[0]}
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -1)
    if [ -n "$line" ]; then
        p=${line%% *} f=${line#*, } f=${f%% *}
        [ "$rc" -ne 0 ] && [ "$f" -eq 0 ] && f=1
    else
        p=$((rc == 0)) f=$((rc != 0))
    fi
    passed=$((passed + p)) failed=$((failed + f))
}

step "unit tests (ASan, UBSan)" make --no-print-directory SAN=address BUILD="$build/asan" unit
export EUCS_AGENT=$PWD/$build/asan/eucs-agent-address
step "controls lint" "$EUCS_AGENT" controls lint --controls controls
step "controls cases" "$EUCS_AGENT" controls test --controls controls
step "integration tests (ASan, UBSan)" tests/lib/run-integration.sh
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

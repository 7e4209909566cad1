#!/bin/bash
# Runs every fuzz target of $1/bin for FUZZ_SECONDS on a copy of its seeds; a finding is kept in $1/crashes and fails the run.
set -u
cd "$(dirname "$0")/../.." || exit
dir=$1
seconds=${FUZZ_SECONDS:-20}
passed=0 failed=0
mkdir -p "$dir/crashes"
for bin in "$dir"/bin/fuzz_*; do
    [ -x "$bin" ] || continue
    case $bin in *.d) continue ;; esac
    name=${bin##*/fuzz_}
    corpus=$dir/corpus/$name
    mkdir -p "$corpus"
    seeds=()
    [ -d "tests/fuzz/seeds/$name" ] && seeds=("tests/fuzz/seeds/$name")
    if out=$("$bin" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$dir/crashes/$name-" \
        -print_final_stats=1 "$corpus" "${seeds[@]}" 2>&1); then
        echo "ok     fuzz_$name ($(grep -o 'number_of_executed_units: [0-9]*' <<<"$out" | grep -o '[0-9]*') runs)"
        passed=$((passed + 1))
    else
        echo "FAILED fuzz_$name"
        tail -n 40 <<<"$out"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

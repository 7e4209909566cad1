#!/bin/bash
# Runs every fuzz target of $1/bin for FUZZ_SECONDS on a copy of its seeds, as many at a time as there are processors; a finding is
# kept in $1/crashes and fails the run.
set -u
cd "$(dirname "$0")/../.." || exit
export dir=$1
export FUZZ_SECONDS="${FUZZ_SECONDS:-20}"
mkdir -p "$dir/crashes"

# One target: what it found, if anything, and a line 'TOTAL passed failed' for the sum, in one write.
run_one() {
    local bin=$1 name corpus out runs
    name=${bin##*/fuzz_}
    corpus=$dir/corpus/$name
    local folders=("$corpus")
    mkdir -p "$corpus"
    [ ! -d "tests/fuzz/seeds/$name" ] || folders+=("tests/fuzz/seeds/$name")
    if out=$("$bin" -max_total_time="$FUZZ_SECONDS" -timeout=25 -rss_limit_mb=2048 -artifact_prefix="$dir/crashes/$name-" \
        -print_final_stats=1 "${folders[@]}" 2>&1); then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' <<<"$out")
        printf 'ok     fuzz_%s (%s runs)\nTOTAL 1 0\n' "$name" "$runs"
    else
        printf 'FAILED fuzz_%s\n%s\nTOTAL 0 1\n' "$name" "$(tail -n 40 <<<"$out")"
    fi
}
export -f run_one

sum=$(mktemp)
trap 'rm -f "$sum"' EXIT
# shellcheck disable=SC2016 # the inner shell expands it
find "$dir/bin" -name 'fuzz_*' ! -name '*.d' -print0 | sort -z | xargs -0 -n 1 -P "$(nproc)" bash -c 'run_one "$0"' | tee "$sum" |
    grep -v '^TOTAL '
awk '$1 == "TOTAL" { p += $2; f += $3 } END { printf "%d passed, %d failed\n", p, f; exit f > 0 || p == 0 }' "$sum"

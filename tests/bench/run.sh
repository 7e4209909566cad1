#!/bin/bash
# make bench: one line a figure, each beside its baseline measured in the same run. run.sh DIR-OF-BENCH-BINARIES
set -u
cd "$(dirname "$0")/../.." || exit
bins=$1
: "${EUCS_AGENT:?path of the binary}"
status=0
for b in "$bins"/bench_*; do
    [ -x "$b" ] || continue
    case $b in *.d) continue ;; esac
    "$b" || status=1
done
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
$python tests/bench/bench_agent.py || status=1
exit $status

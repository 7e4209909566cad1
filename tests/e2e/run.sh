#!/bin/sh
# `make e2e`: builds the control plane (once) and runs the end-to-end tests against build/eucs-agent
# or $EUCS_AGENT. Arguments go to run.py: -k WORD, --list, module names.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=python3
[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
if [ "${EUCS_CLUSTER_BIN:-}" = "" ]; then
    "$here/../cluster/build.sh" >/dev/null
fi
exec "$python" "$here/run.py" "$@"

#!/bin/bash
# Writes the chart with its defaults as plain manifests: render-chart.sh HELM [OUT]. Without OUT the result goes to stdout.
set -euo pipefail
cd "$(dirname "$0")/../.." || exit
helm=$1
{
    echo "# The chart helm/eucs-agent with its defaults, rendered by \`make chart\`. Change the chart, not this file."
    echo "apiVersion: v1"
    echo "kind: Namespace"
    echo "metadata: {name: eucs-agent}"
    # "Helm" as manager would make a later helm install refuse these objects
    "$helm" template eucs-agent helm/eucs-agent --namespace eucs-agent |
        sed -e '/app.kubernetes.io\/managed-by: Helm/d' -e '/helm.sh\/chart:/d'
} >"${2:-/dev/stdout}"

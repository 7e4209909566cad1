#!/bin/bash
# The generated parts of docs/: docs.sh write|check BINARY. A part stands between the lines
#   <!-- generated: eucs-agent COMMAND -->   and   <!-- end -->
# `write` renews it in place, `check` says which are stale. Also: every relative link of README.md and docs/ leads to a file.
set -u
cd "$(dirname "$0")/../.." || exit
mode=$1 bin=$(realpath "$2")
bad=0
new=$(mktemp)
trap 'rm -f "$new"' EXIT

# The file as it should be.
render() {
    local line inside=0
    while IFS= read -r line || [ -n "$line" ]; do
        if [ "$line" = "<!-- end -->" ]; then inside=0; fi
        if [ $inside -eq 0 ]; then printf '%s\n' "$line"; fi
        if [[ $line =~ ^'<!-- generated: eucs-agent '(.*)' -->'$ ]]; then
            inside=1
            read -ra words <<<"${BASH_REMATCH[1]}"
            "$bin" "${words[@]}" || return 1
        fi
    done <"$1"
    if [ $inside -eq 1 ]; then
        echo "$1: no <!-- end -->" >&2
        return 1
    fi
}

parts=0
for doc in docs/*.md; do
    grep -q '^<!-- generated: eucs-agent ' "$doc" || continue
    parts=$((parts + 1))
    if ! render "$doc" >"$new"; then
        echo "$doc: cannot be made"
        bad=1
    elif ! cmp -s "$new" "$doc"; then
        if [ "$mode" = write ]; then
            cat "$new" >"$doc"
        else
            echo "$doc is stale (make docs):"
            diff -u "$doc" "$new" | head -n 20
            bad=1
        fi
    fi
done
if [ $parts -eq 0 ]; then
    echo "docs/ has no generated part"
    bad=1
fi

while IFS=: read -r doc link; do
    link=${link#](} link=${link%)} link=${link%%#*}
    [ -z "$link" ] || [ -e "$(dirname "$doc")/$link" ] || { echo "$doc: $link is not there" && bad=1; }
done < <(grep -HoE '\]\([^):]+\)' README.md docs/*.md)
exit $bad

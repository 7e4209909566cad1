#!/bin/bash
# Every include of a room is listed in agent/LAYERS: prints each wrong one and fails.
set -u
cd "$(dirname "$0")/../.." || exit
bad=0
mapfile -t files < <(find agent -mindepth 2 -name '*.[ch]' | sort)
awk '
NR == FNR {
    if (/^[0-9]/) {
        room = $2; sub(":", "", room); known[room] = floor[room] = $1 + 1
        for (i = 3; i <= NF; i++) {
            may[room, $i] = 1
            # a line may only use rooms of the lines above it: no cycle can be written down
            if (!known[$i] || floor[$i] >= floor[room]) { print "agent/LAYERS: " room " is not above " $i; bad = 1 }
        }
    }
    next
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split(FILENAME, at, "/"); room = at[2]
    inc = $0; sub(/^[^"]*"/, "", inc); sub(/".*/, "", inc)
    to = inc; sub("/.*", "", to)
    if (!known[room]) { print FILENAME ": agent/LAYERS does not know " room; bad = 1 }
    else if (to == inc) { print FILENAME ":" FNR ": include \"" inc "\" does not name its room"; bad = 1 }
    else if (to != room && !may[room, to]) { print FILENAME ":" FNR ": room " room " may not use " to " (" inc ")"; bad = 1 }
}
END { exit bad }
' agent/LAYERS "${files[@]}" || bad=1
while read -r room; do
    if [ ! -f "agent/$room/README.md" ]; then
        echo "agent/$room has no README.md"
        bad=1
    elif [ "$(wc -l <"agent/$room/README.md")" -gt 15 ]; then
        echo "agent/$room/README.md is longer than 15 lines"
        bad=1
    fi
done < <(sed -n 's/^[0-9]* \([a-z]*\):.*/\1/p' agent/LAYERS)
# OpenSSL's keys and digests stay in crypto/, TLS contexts in net/.
if grep -rnE '#include <openssl/(evp|sha|hmac|rand|x509|pem|ec)' agent --include='*.[ch]' | grep -vE '^agent/(crypto|net)/'; then
    echo "OpenSSL keys and digests belong to crypto/"
    bad=1
fi
exit $bad

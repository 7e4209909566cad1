#!/bin/bash
# Every include of a room is listed in agent/LAYERS: prints each wrong one and fails.
set -u
cd "$(dirname "$0")/../.." || exit
bad=0
while IFS= read -r line; do
    file=${line%%:*}
    inc=$(sed -n 's/.*#include "\([^"]*\)".*/\1/p' <<<"$line")
    room=${file#agent/} room=${room%%/*}
    to=${inc%%/*}
    if [ "$to" = "$inc" ]; then
        echo "$file: include \"$inc\" does not name its room"
        bad=1
    elif [ "$to" != "$room" ] && ! sed -n "s/^[0-9]* $room://p" agent/LAYERS | tr ' ' '\n' | grep -qx "$to"; then
        echo "$file: room $room may not use $to ($inc)"
        bad=1
    fi
done < <(grep -rn '^#include "' agent --include='*.c' --include='*.h' | sed 's/:[0-9]*:/:/')
while read -r room; do
    [ -f "agent/$room/README.md" ] || { echo "agent/$room has no README.md" && bad=1; }
    [ "$(wc -l <"agent/$room/README.md")" -le 15 ] || { echo "agent/$room/README.md is longer than 15 lines" && bad=1; }
done < <(sed -n 's/^[0-9]* \([a-z]*\):.*/\1/p' agent/LAYERS)
# OpenSSL's keys and digests stay in crypto/, TLS contexts in net/.
if grep -rnE '#include <openssl/(evp|sha|hmac|rand|x509|pem|ec)' agent --include='*.[ch]' | grep -v '^agent/crypto/' | grep -v '^agent/net/'; then
    echo "OpenSSL keys and digests belong to crypto/"
    bad=1
fi
exit $bad

#!/bin/bash
# Files <= 800 lines, functions <= 80 lines, complexity <= 15, unless named with a reason in tests/lib/sizes.allow. Banned functions.
set -u
cd "$(dirname "$0")/../.." || exit
bad=0
said=$(mktemp)
trap 'rm -f "$said"' EXIT
allowed() { grep -qE "^$1 " tests/lib/sizes.allow; }
while read -r n f; do
    [ "$f" != total ] && [ "$n" -gt 800 ] && ! allowed "$f" && echo "$f: $n lines (at most 800)" && bad=1
done < <(find agent -name '*.[ch]' -print0 | xargs -0 wc -l)
# pmccabe: modified complexity, traditional, statements, first line, lines, file(line): function
while read -r cc _ _ _ lines where fn; do
    file=${where%%(*}
    if [ "$lines" -gt 80 ] && ! allowed "$file:$fn"; then
        echo "$file: $fn has $lines lines (at most 80)"
        bad=1
    fi
    if [ "$cc" -gt 15 ] && ! allowed "$file:$fn"; then
        echo "$file: $fn has complexity $cc (at most 15)"
        bad=1
    fi
done < <(find agent -name '*.[ch]' -print0 | xargs -0 pmccabe 2>"$said")
# a source file that pmccabe cannot read was not measured (headers with tables of macros have no functions)
if grep '\.c", line' "$said"; then bad=1; fi
banned='strcpy|strcat|strncpy|strncat|sprintf|vsprintf|strtok|strtol|strtoul|strtoll|strtoull|atoi|atol|atoll|atof|gets|gmtime|localtime'
banned+='|asctime|ctime|tmpnam|tempnam|mktemp|popen|system|gethostbyname|inet_ntoa|alloca|cJSON_GetObjectItem'
if grep -rnE "(^|[^a-zA-Z0-9_>.])($banned)\(" agent --include='*.[ch]'; then
    echo "a banned function is used"
    bad=1
fi
if grep -rnE '(^|[^a-zA-Z0-9_])(malloc|calloc|realloc)\(' agent --include='*.c' | grep -v '^agent/base/'; then
    echo "bare malloc outside base/ (use arenas, buffers or ea_xalloc)"
    bad=1
fi
# an exception of something that is gone, or without a reason, is none
while read -r what reason; do
    if [ ! -e "${what%%:*}" ] || [ -z "$reason" ]; then
        echo "tests/lib/sizes.allow: $what: no such file, or no reason"
        bad=1
    fi
done < <(grep -v '^#' tests/lib/sizes.allow)
exit $bad

#!/bin/bash
# Files <= 800 lines, functions <= 80 lines, complexity <= 15, unless named with a reason in tests/lib/sizes.allow. Banned functions.
set -u
cd "$(dirname "$0")/../.." || exit
bad=0
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
done < <(find agent -name '*.c' -print0 | xargs -0 pmccabe)
banned='strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|strtol|gets|gmtime|localtime|alloca|system|cJSON_GetObjectItem'
if grep -rnE "(^|[^a-zA-Z0-9_>.])($banned)\(" agent --include='*.[ch]'; then
    echo "a banned function is used"
    bad=1
fi
if grep -rnE '(^|[^a-zA-Z0-9_])(malloc|calloc|realloc)\(' agent --include='*.c' | grep -v '^agent/base/'; then
    echo "bare malloc outside base/ (use arenas, buffers or ea_xalloc)"
    bad=1
fi
exit $bad

/* A watch stream and a list, in pieces whose size the first byte gives: every object that comes out
 * must be whole. */
#include "base/limits.h"
#include "doc/json.h"
#include "kube/scan.h"

static int on_value(void *arg, struct ea_str bytes)
{
    struct ea_arena *a = arg;
    struct ea_val v;
    size_t used;

    if (bytes.n < 2 || bytes.p[0] != '{')
        abort();
    ea_arena_reset(a);
    /* the parser may refuse it, but never for its end */
    if (ea_json_parse(a, bytes, NULL, &v, &used, NULL) == 0 && used != bytes.n)
        abort();
    return 0;
}

static int on_oversize(void *arg, struct ea_str head, uint64_t size)
{
    (void)arg;
    if (head.n > 4096 || size <= 1024)
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ea_arena a;
    struct ea_scan_ops ops = {on_value, on_oversize, &a};
    struct ea_stream_scan s;
    struct ea_list_scan l;
    size_t piece;
    int rc = 0;

    if (size < 2)
        return 0;
    piece = (size_t)data[0] + 1;
    data++;
    size--;
    ea_arena_init(&a, 1 << 20, 0);
    ea_stream_scan_init(&s, 1024, &ops);
    for (size_t at = 0; at < size && rc == 0; at += piece)
        rc = ea_stream_scan_feed(&s, (const char *)data + at, EA_MIN(piece, size - at));
    ea_stream_scan_done(&s);
    ea_list_scan_init(&l, 1024, 512, &ops);
    rc = 0;
    for (size_t at = 0; at < size && rc == 0; at += piece)
        rc = ea_list_scan_feed(&l, (const char *)data + at, EA_MIN(piece, size - at));
    ea_list_scan_done(&l);
    ea_arena_done(&a);
    return 0;
}

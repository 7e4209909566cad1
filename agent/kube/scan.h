/* kube/scan.h - finds the ends of JSON values in bytes that come in pieces, so that each value is
 * parsed once and whole.
 *
 * Thread:  [owner].
 * Owns:    a buffer for the value that is not complete yet; values are handed out as borrowed
 *          slices.
 * Limits:  `cap` bytes a value; a larger one is passed over and reported, and what follows is
 *          still found; 64 x cap ends the stream.
 * Never:   checks the inside of a value (the parser does), recurses.
 */
#ifndef EA_KUBE_SCAN_H
#define EA_KUBE_SCAN_H

#include "base/buf.h"

struct ea_scan_ops {
    /* One complete object. A return other than 0 ends the feed with that code. */
    int (*value)(void *arg, struct ea_str bytes);
    /* An object larger than the cap ended; its first bytes (at most 4 KiB) and its size. */
    int (*oversize)(void *arg, struct ea_str head, uint64_t size);
    void *arg;
};

/* Inside of one value; private to scan.c. */
struct ea_scan_span {
    unsigned depth;
    bool str, esc;
};
struct ea_scan_value {
    struct ea_buf buf;
    struct ea_scan_span span;
    uint64_t size;
    bool skip, open;
};

/* ---- objects one after the other: a watch ---- */

struct ea_stream_scan {
    struct ea_scan_value v;
    struct ea_scan_ops ops;
};
void ea_stream_scan_init(struct ea_stream_scan *s, size_t cap, const struct ea_scan_ops *ops);
void ea_stream_scan_done(struct ea_stream_scan *s);
/* 0, -EINVAL (something that is no object), -E2BIG, or what ops returned. */
EA_MUST_CHECK int ea_stream_scan_feed(struct ea_stream_scan *s, const char *p, size_t n);
/* True between two objects. */
bool ea_stream_scan_idle(const struct ea_stream_scan *s);

/* ---- one list: {"kind": …, "metadata": …, "items": [object, …]} ---- */

struct ea_list_scan {
    struct ea_scan_value v;
    struct ea_scan_ops ops;
    struct ea_buf head; /* the list without its items: complete JSON once done */
    int state;
    struct ea_scan_span out;
    bool expect_key, in_key, items_key;
    char key[8];
    size_t key_n;
};
/* head_cap: bytes of everything but the items. */
void ea_list_scan_init(struct ea_list_scan *s, size_t cap, size_t head_cap,
                       const struct ea_scan_ops *ops);
void ea_list_scan_done(struct ea_list_scan *s);
/* 0, -EINVAL (no list), -E2BIG, or what ops returned. */
EA_MUST_CHECK int ea_list_scan_feed(struct ea_list_scan *s, const char *p, size_t n);
/* True when the list is complete: then s->head is its JSON with an empty items list. */
bool ea_list_scan_complete(const struct ea_list_scan *s);

#endif

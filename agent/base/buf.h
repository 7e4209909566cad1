/* base/buf.h - growing byte buffers that are born with their ceiling.
 *
 * Thread:  [owner].
 * Owns:    its bytes; ea_buf_take moves them out.
 * Limits:  `cap` bytes. An append beyond it sets `failed` (sticky) and returns -E2BIG; the content
 * so far is kept.
 */
#ifndef EA_BASE_BUF_H
#define EA_BASE_BUF_H

#include "base/base.h"

struct ea_buf {
    char *p;
    size_t n;    /* bytes in use */
    size_t size; /* bytes allocated */
    size_t cap;
    int failed; /* 0, or -E2BIG / -ENOMEM of the first append that failed */
};

void ea_buf_init(struct ea_buf *b, size_t cap);
void ea_buf_done(struct ea_buf *b);
static inline void ea_buf_clear(struct ea_buf *b)
{
    b->n = 0;
    b->failed = 0;
}
int ea_buf_reserve(struct ea_buf *b, size_t more);
int ea_buf_add(struct ea_buf *b, const void *p, size_t n);
int ea_buf_addf(struct ea_buf *b, const char *fmt, ...) EA_PRINTF(2, 3);
static inline int ea_buf_adds(struct ea_buf *b, struct ea_str s)
{
    return ea_buf_add(b, s.p, s.n);
}
static inline int ea_buf_addz(struct ea_buf *b, const char *z)
{
    return ea_buf_add(b, z, strlen(z));
}
static inline int ea_buf_addc(struct ea_buf *b, char c)
{
    /* the last byte stays free for the NUL of ea_buf_take */
    if (EA_LIKELY(b->n + 1 < b->size && !b->failed)) {
        b->p[b->n++] = c;
        return 0;
    }
    return ea_buf_add(b, &c, 1);
}
/* Drops the first n bytes. */
void ea_buf_drop(struct ea_buf *b, size_t n);
static inline struct ea_str ea_buf_str(const struct ea_buf *b)
{
    return (struct ea_str){b->p, b->n};
}
/* NUL-terminated content; the caller frees. b becomes empty. */
char *ea_buf_take(struct ea_buf *b);
/* JSON string with quotes; escapes as RFC 8785 (\b \t \n \f \r \" \\ and \u00xx); s must be valid
 * UTF-8. */
int ea_buf_add_json(struct ea_buf *b, struct ea_str s);

#endif

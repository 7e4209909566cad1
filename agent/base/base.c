#include "base/base.h"

#include <stdio.h>
#include <unistd.h>

void ea_auto_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void ea_auto_free(void *pp)
{
    void **p = pp;

    free(*p);
    *p = NULL;
}

#undef ea_fail /* the analyser's */
int ea_fail(struct ea_err *e, int code, const char *fmt, ...)
{
    if (e) {
        va_list ap;

        e->code = code;
        va_start(ap, fmt);
        (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
        va_end(ap);
    }
    return code;
}

int ea_wrap(struct ea_err *e, const char *fmt, ...)
{
    if (!e)
        return -EINVAL;
    char head[sizeof(e->text)];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(head, sizeof(head), fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < sizeof(head) - 3) {
        size_t at = (size_t)n;
        size_t room = sizeof(head) - at - 3;
        size_t have = strnlen(e->text, sizeof(e->text));

        memcpy(head + at, ": ", 2);
        have = EA_MIN(have, room);
        memcpy(head + at + 2, e->text, have);
        head[at + 2 + have] = '\0';
    }
    memcpy(e->text, head, sizeof(head));
    return e->code;
}

void ea_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "eucs-agent: assertion failed: %s (%s:%d)\n", what, file, line);
    abort();
}

void *ea_xalloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);

    if (!p) {
        fputs("eucs-agent: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *ea_xrealloc(void *old, size_t n)
{
    void *p = realloc(old, n ? n : 1);

    if (!p) {
        fputs("eucs-agent: out of memory\n", stderr);
        abort();
    }
    return p;
}

char *ea_xasprintf(const char *fmt, ...)
{
    va_list ap;
    char *p = NULL;

    va_start(ap, fmt);
    int n = vasprintf(&p, fmt, ap);
    va_end(ap);
    if (n < 0) {
        fputs("eucs-agent: out of memory\n", stderr);
        abort();
    }
    return p;
}

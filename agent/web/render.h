/* web/render.h - what web.c, page.c, api.c and style.c share. Thread: [any]; pure functions. */
#ifndef EA_WEB_RENDER_H
#define EA_WEB_RENDER_H

#include "base/buf.h"
#include "web/web.h"

extern const char web_style[];

/* Appends text with & < > " ' escaped and control characters shown as U+FFFD: safe in content and
 * in quoted attributes. */
void web_escape(struct ea_buf *b, struct ea_str s);
void web_page(struct ea_buf *b, const struct ea_web_snapshot *s);
/* why: one sentence above the form, or NULL. */
void web_login_page(struct ea_buf *b, const char *why);
void web_status_json(struct ea_buf *b, const struct ea_web_snapshot *s);

struct web_filter {
    struct ea_str severity, control, ns, kind; /* empty = any */
    uint64_t limit;
};
void web_findings_json(struct ea_buf *b, const struct ea_web_snapshot *s,
                       const struct web_filter *f);

/* The field `token` of a form body (application/x-www-form-urlencoded), decoded into out; cut at
 * cap bytes. */
struct ea_str web_form_token(struct ea_str body, char *out, size_t cap);
/* Value of our session in `rest`, a Cookie header or what is left of one; or empty. */
struct ea_str web_session_cookie(struct ea_str rest);

#endif

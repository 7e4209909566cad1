/* kube/scan.c - where JSON values end. */
#include "kube/scan.h"

#define SKIPPED_HEAD                                                                               \
    4096u /* bytes kept of a value that is passed over, for its name in the report */

enum { L_START, L_OUT, L_ITEMS, L_ELEMENT, L_END };

/* Bytes of p that belong to the value; *done when it ends with them. */
static size_t span_feed(struct ea_scan_span *s, const char *p, size_t n, bool *done)
{
    size_t i = 0;

    while (i < n) {
        if (s->str) {
            if (s->esc) {
                s->esc = false;
                i++;
                continue;
            }
            while (i < n && p[i] != '"' && p[i] != '\\')
                i++;
            if (i == n)
                break;
            if (p[i++] == '\\')
                s->esc = true;
            else
                s->str = false;
            continue;
        }
        char c = p[i++];
        if (c == '"') {
            s->str = true;
        } else if (c == '{' || c == '[') {
            s->depth++;
        } else if ((c == '}' || c == ']') && --s->depth == 0) {
            *done = true;
            return i;
        }
    }
    return i;
}

static void value_init(struct ea_scan_value *v, size_t cap)
{
    memset(v, 0, sizeof(*v));
    ea_buf_init(&v->buf, cap);
}

static void value_start(struct ea_scan_value *v)
{
    ea_buf_clear(&v->buf);
    v->span = (struct ea_scan_span){0};
    v->size = 0;
    v->skip = false;
    v->open = true;
}

/* Hands out the value when it ends within p; *used says how many bytes were its own. */
static int value_feed(struct ea_scan_value *v, const struct ea_scan_ops *ops, const char *p,
                      size_t n, size_t *used)
{
    bool done = false;
    size_t k = span_feed(&v->span, p, n, &done);
    struct ea_str whole = ea_strn(p, k);

    *used = k;
    v->size += k;
    if (v->size > 64ull * v->buf.cap)
        return -E2BIG;
    if (!v->skip && v->size > v->buf.cap)
        v->skip = true;
    if (v->skip) {
        if (v->buf.n < SKIPPED_HEAD)
            (void)ea_buf_add(&v->buf, p,
                             EA_MIN(EA_MIN(k, SKIPPED_HEAD - v->buf.n), v->buf.cap - v->buf.n));
    } else if (!done || v->buf.n) {
        int rc = ea_buf_add(&v->buf, p, k);

        if (rc)
            return rc;
        whole = ea_buf_str(&v->buf);
    }
    if (!done)
        return 0;
    v->open = false;
    if (v->skip)
        return ops->oversize(ops->arg, ea_strn(v->buf.p, EA_MIN(v->buf.n, SKIPPED_HEAD)), v->size);
    return ops->value(ops->arg, whole);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* ---- stream ---- */

void ea_stream_scan_init(struct ea_stream_scan *s, size_t cap, const struct ea_scan_ops *ops)
{
    value_init(&s->v, cap);
    s->ops = *ops;
}

void ea_stream_scan_done(struct ea_stream_scan *s)
{
    ea_buf_done(&s->v.buf);
}

bool ea_stream_scan_idle(const struct ea_stream_scan *s)
{
    return !s->v.open;
}

int ea_stream_scan_feed(struct ea_stream_scan *s, const char *p, size_t n)
{
    while (n) {
        size_t used = 0;
        int rc;

        if (!s->v.open) {
            if (is_space(*p)) {
                p++;
                n--;
                continue;
            }
            if (*p != '{')
                return -EINVAL;
            value_start(&s->v);
        }
        rc = value_feed(&s->v, &s->ops, p, n, &used);
        if (rc)
            return rc;
        if (!s->v.open)
            ea_buf_clear(&s->v.buf);
        p += used;
        n -= used;
    }
    return 0;
}

/* ---- list ---- */

void ea_list_scan_init(struct ea_list_scan *s, size_t cap, size_t head_cap,
                       const struct ea_scan_ops *ops)
{
    memset(s, 0, sizeof(*s));
    value_init(&s->v, cap);
    ea_buf_init(&s->head, head_cap);
    s->ops = *ops;
    s->state = L_START;
}

void ea_list_scan_done(struct ea_list_scan *s)
{
    ea_buf_done(&s->v.buf);
    ea_buf_done(&s->head);
}

bool ea_list_scan_complete(const struct ea_list_scan *s)
{
    return s->state == L_END;
}

static void out_string(struct ea_list_scan *s, char c)
{
    if (s->out.esc) {
        s->out.esc = false;
    } else if (c == '\\') {
        s->out.esc = true;
    } else if (c == '"') {
        s->out.str = false;
        if (s->in_key)
            s->items_key = s->key_n == 5 && memcmp(s->key, "items", 5) == 0;
        s->in_key = false;
        return;
    }
    if (s->in_key && s->key_n < sizeof(s->key))
        s->key[s->key_n++] = c;
}

/* One byte of the list outside its items. */
static void out_byte(struct ea_list_scan *s, char c)
{
    if (s->out.str) {
        out_string(s, c);
        return;
    }
    switch (c) {
    case '"':
        s->out.str = true;
        s->in_key = s->out.depth == 1 && s->expect_key;
        s->expect_key = s->expect_key && !s->in_key;
        s->key_n = 0;
        break;
    case ',':
        if (s->out.depth == 1) {
            s->expect_key = true;
            s->items_key = false;
        }
        break;
    case '[':
        if (s->out.depth == 1 && s->items_key) {
            s->state = L_ITEMS;
            break;
        }
        s->out.depth++;
        break;
    case '{':
        s->out.depth++;
        break;
    case '}':
    case ']':
        if (--s->out.depth == 0)
            s->state = L_END;
        break;
    default:
        break;
    }
}

/* One byte between items. */
static int items_byte(struct ea_list_scan *s, char c)
{
    if (c == ',' || is_space(c))
        return 0;
    if (c == '{') {
        value_start(&s->v);
        s->state = L_ELEMENT;
        return 0;
    }
    if (c != ']')
        return -EINVAL;
    s->state = L_OUT;
    return ea_buf_addc(&s->head, ']');
}

static int start_byte(struct ea_list_scan *s, char c)
{
    if (is_space(c))
        return 0;
    if (c != '{' || s->state == L_END)
        return -EINVAL;
    s->state = L_OUT;
    s->expect_key = true;
    s->out.depth = 1;
    return ea_buf_addc(&s->head, c);
}

int ea_list_scan_feed(struct ea_list_scan *s, const char *p, size_t n)
{
    size_t i = 0;
    int rc = 0;

    while (i < n && rc == 0) {
        size_t used = 1;

        switch (s->state) {
        case L_START:
        case L_END:
            rc = start_byte(s, p[i]);
            break;
        case L_OUT:
            out_byte(s, p[i]);
            rc = ea_buf_addc(&s->head, p[i]);
            break;
        case L_ITEMS:
            rc = items_byte(s, p[i]);
            if (rc || s->state != L_ELEMENT)
                break;
            /* the brace belongs to the element */
            __attribute__((fallthrough));
        case L_ELEMENT:
            rc = value_feed(&s->v, &s->ops, p + i, n - i, &used);
            if (rc == 0 && !s->v.open) {
                ea_buf_clear(&s->v.buf);
                s->state = L_ITEMS;
            }
            break;
        default:
            return -EINVAL;
        }
        i += used;
    }
    return rc;
}

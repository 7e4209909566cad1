/* cluster/token.c - the path token in its Secret or file. */
#include "cluster/token.h"

#include "base/fd.h"
#include "cluster/secret.h"
#include "crypto/crypto.h"

#include <stdio.h>

static const char *const keys[] = {"current", "previous", "rotated", NULL};

static void make(char out[65])
{
    uint8_t raw[32];

    ea_random(raw, sizeof(raw));
    ea_hex(raw, sizeof(raw), out);
    ea_cleanse(raw, sizeof(raw));
}

static bool is_token(struct ea_str s)
{
    uint8_t raw[32];
    size_t n = 0;
    bool ok = ea_unhex(s, raw, sizeof(raw), &n) == 0 && n == sizeof(raw);

    ea_cleanse(raw, sizeof(raw));
    return ok;
}

static int parse(struct ea_str current, struct ea_str previous, struct ea_str rotated,
                 struct ea_path_token *t, struct ea_err *err)
{
    current = ea_str_trim(current);
    previous = ea_str_trim(previous);
    if (!is_token(current) || (previous.n && !is_token(previous)) ||
        ea_rfc3339_parse(ea_str_trim(rotated), &t->rotated) < 0)
        return ea_fail(err, -EINVAL, "it holds no path token of this agent");
    (void)snprintf(t->current, sizeof(t->current), "%.*s", EA_STRF(current));
    (void)snprintf(t->previous, sizeof(t->previous), "%.*s", EA_STRF(previous));
    return 0;
}

static void turn(struct ea_path_token *t)
{
    memcpy(t->previous, t->current, sizeof(t->previous));
    make(t->current);
    t->rotated = ea_wall_now();
}

/* ---- file ---- */

static int file_write(const char *file, const struct ea_path_token *t, struct ea_err *err)
{
    char text[256], when[32];
    int n, rc;

    ea_rfc3339(t->rotated, 3, when);
    n = snprintf(text, sizeof(text), "%s\n%s\n%s\n", t->current, t->previous, when);
    rc = ea_write_file(file, text, (size_t)n, 0600, err);
    ea_cleanse(text, sizeof(text));
    return rc;
}

static int file_load(const char *file, struct ea_path_token *t, struct ea_err *err)
{
    EA_AUTO_FREE char *text = NULL;
    size_t n;
    int rc = ea_read_file(file, 4096, &text, &n, err);

    if (rc == -ENOENT) {
        turn(t);
        return file_write(file, t, err);
    }
    if (rc == 0) {
        struct ea_str rest = ea_strn(text, n), current = ea_str_cut(rest, '\n', &rest),
                      previous = ea_str_cut(rest, '\n', &rest),
                      rotated = ea_str_cut(rest, '\n', &rest);

        rc = parse(current, previous, rotated, t, err);
        ea_cleanse(text, n);
    }
    return rc ? ea_wrap(err, "%s", file) : 0;
}

/* ---- Secret ---- */

static int put_item(struct ea_secret *s, const char *key, const char *text)
{
    struct ea_buf *b = ea_secret_item(s, key);

    ea_buf_clear(b);
    return ea_buf_addz(b, text);
}

static int secret_write(const struct ea_token_place *p, struct ea_secret *s,
                        const struct ea_path_token *t, struct ea_err *err)
{
    char when[32];

    ea_rfc3339(t->rotated, 3, when);
    (void)put_item(s, "current", t->current);
    (void)put_item(s, "previous", t->previous);
    (void)put_item(s, "rotated", when);
    return ea_secret_put(p->kube, p->ns, p->secret, "Opaque", s, err);
}

/* rotate: make a new one unless somebody did since `t`. */
static int secret_step(const struct ea_token_place *p, bool rotate, struct ea_path_token *t,
                       struct ea_err *err)
{
    struct ea_path_token there = {0};
    struct ea_secret s;
    int rc = ea_secret_get(p->kube, p->ns, p->secret, keys, &s, err);

    if (rc)
        return rc;
    if (s.rv[0]) {
        rc = parse(ea_buf_str(ea_secret_item(&s, "current")),
                   ea_buf_str(ea_secret_item(&s, "previous")),
                   ea_buf_str(ea_secret_item(&s, "rotated")), &there, err);
        if (rc)
            ea_wrap(err, "Secret %s/%s", p->ns, p->secret);
        rotate = rotate && strcmp(there.current, t->current) == 0;
    }
    if (rc == 0 && (rotate || !s.rv[0])) {
        turn(&there);
        rc = secret_write(p, &s, &there, err);
    }
    ea_secret_done(&s);
    if (rc == 0)
        *t = there;
    return rc;
}

int ea_token_load(const struct ea_token_place *p, struct ea_path_token *ret, struct ea_err *err)
{
    int rc;

    memset(ret, 0, sizeof(*ret));
    if (!p->kube)
        return file_load(p->file, ret, err);
    rc = secret_step(p, false, ret, err);
    return rc == -EEXIST ? secret_step(p, false, ret, err) : rc;
}

int ea_token_rotate(const struct ea_token_place *p, struct ea_path_token *t, struct ea_err *err)
{
    int rc;

    if (!p->kube) {
        struct ea_path_token next = *t;

        turn(&next);
        rc = file_write(p->file, &next, err);
        if (rc == 0)
            *t = next;
        return rc;
    }
    rc = secret_step(p, true, t, err);
    return rc == -EEXIST ? secret_step(p, false, t, err) : rc;
}

/* cluster/certs.c - own CA and serving certificate. */
#include "cluster/certs.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "cluster/secret.h"
#include "crypto/crypto.h"

#include <stdio.h>

#define CA_DAYS 3650u
#define DAYS 365u

static const char *const keys[] = {"ca.crt",  "ca.key", "ca-old.crt", "tls.crt",
                                   "tls.key", "names",  NULL};

/* Less than a third of its life is left, or it cannot be read. */
static bool due(const struct ea_buf *pem)
{
    struct ea_cert_info i;
    int64_t now = ea_wall_now() / 1000000;

    if (!pem->n || ea_cert_info(ea_buf_str(pem), &i, NULL) < 0)
        return true;
    return now > i.not_after - (i.not_after - i.not_before) / 3;
}

static void join(const char *const *names, struct ea_buf *b)
{
    for (size_t i = 0; names[i]; i++) {
        if (i)
            ea_buf_addc(b, ',');
        ea_buf_addz(b, names[i]);
    }
}

static int new_ca(struct ea_secret *s, struct ea_err *err)
{
    struct ea_cert_req rq = {.common_name = "eucs-agent webhook CA", .days = CA_DAYS, .ca = true};
    struct ea_buf *crt = ea_secret_item(s, "ca.crt"), *key = ea_secret_item(s, "ca.key"),
                  *old = ea_secret_item(s, "ca-old.crt");

    ea_buf_clear(old);
    (void)ea_buf_add(
        old, crt->p,
        crt->n); /* API servers that hold only the old bundle must go on trusting for a while */
    ea_buf_clear(crt);
    ea_buf_clear(key);
    return ea_cert_make(&rq, EA_STR_NULL, EA_STR_NULL, crt, key, err);
}

static int new_leaf(struct ea_secret *s, const struct ea_certs_opts *o, struct ea_err *err)
{
    struct ea_cert_req rq = {.common_name = o->names[0], .dns = o->names, .days = DAYS};
    struct ea_buf *crt = ea_secret_item(s, "tls.crt"), *key = ea_secret_item(s, "tls.key"),
                  *names = ea_secret_item(s, "names");

    ea_buf_clear(crt);
    ea_buf_clear(key);
    ea_buf_clear(names);
    join(o->names, names);
    return ea_cert_make(&rq, ea_buf_str(ea_secret_item(s, "ca.crt")),
                        ea_buf_str(ea_secret_item(s, "ca.key")), crt, key, err);
}

/* Makes what is missing or old; *ret_changed when the Secret must be written. */
static int renew(struct ea_secret *s, const struct ea_certs_opts *o, bool *ret_changed,
                 struct ea_err *err)
{
    struct ea_buf want;
    bool ca = due(ea_secret_item(s, "ca.crt")) || !ea_secret_item(s, "ca.key")->n, leaf;
    int rc = 0;

    ea_buf_init(&want, 4096);
    join(o->names, &want);
    leaf = ca || due(ea_secret_item(s, "tls.crt")) ||
           !ea_str_eq(ea_buf_str(&want), ea_buf_str(ea_secret_item(s, "names")));
    ea_buf_done(&want);
    if (ca)
        rc = new_ca(s, err);
    if (rc == 0 && leaf)
        rc = new_leaf(s, o, err);
    *ret_changed = leaf;
    return rc;
}

static int write_one(const char *dir, const char *name, struct ea_str bytes, bool *changed,
                     struct ea_err *err)
{
    EA_AUTO_FREE char *path = ea_xasprintf("%s/%s", dir, name);
    EA_AUTO_FREE char *old = NULL;
    size_t n = 0;

    if (ea_read_file(path, EA_MAX_CREDENTIAL, &old, &n, NULL) == 0 &&
        ea_str_eq(ea_strn(old, n), bytes))
        return 0;
    *changed = true;
    return ea_write_file(path, bytes.p, bytes.n, 0600, err);
}

static int write_files(struct ea_secret *s, const struct ea_certs_opts *o, bool *changed,
                       struct ea_err *err)
{
    int rc = ea_mkdirs(o->dir, 0700, err);

    /* the key first: a server that reloads on the certificate's change finds the pair */
    if (rc == 0)
        rc = write_one(o->dir, "tls.key", ea_buf_str(ea_secret_item(s, "tls.key")), changed, err);
    if (rc == 0)
        rc = write_one(o->dir, "tls.crt", ea_buf_str(ea_secret_item(s, "tls.crt")), changed, err);
    if (rc == 0)
        rc = write_one(o->dir, "ca.crt", ea_buf_str(ea_secret_item(s, "ca.crt")), changed, err);
    return rc;
}

static int step(struct ea_kube *k, const struct ea_certs_opts *o, struct ea_buf *ca_bundle,
                bool *ret_changed, struct ea_err *err)
{
    struct ea_secret s;
    bool write = false;
    int rc = ea_secret_get(k, o->ns, o->secret, keys, &s, err);

    if (rc)
        return rc;
    rc = renew(&s, o, &write, err);
    if (rc == 0 && write)
        rc = ea_secret_put(k, o->ns, o->secret, "kubernetes.io/tls", &s, err);
    if (rc == 0)
        rc = write_files(&s, o, ret_changed, err);
    if (rc == 0) {
        ea_buf_clear(ca_bundle);
        (void)ea_buf_adds(ca_bundle, ea_buf_str(ea_secret_item(&s, "ca.crt")));
        rc = ea_buf_adds(ca_bundle, ea_buf_str(ea_secret_item(&s, "ca-old.crt")));
    }
    ea_secret_done(&s);
    return rc;
}

int ea_certs_ensure(struct ea_kube *k, const struct ea_certs_opts *o, struct ea_buf *ca_bundle,
                    bool *ret_changed, struct ea_err *err)
{
    int rc;

    *ret_changed = false;
    rc = step(k, o, ca_bundle, ret_changed, err);
    /* another pod made them at the same moment: take theirs */
    return rc == -EEXIST ? step(k, o, ca_bundle, ret_changed, err) : rc;
}

/* cluster/secret.c - one Secret by name. */
#include "cluster/secret.h"

#include "base/limits.h"

#include <stdio.h>

#define ARENA (8u << 20)

static const struct ea_kube_res secrets = {"", "v1", "secrets", "Secret", true};

void ea_secret_init(struct ea_secret *s)
{
    memset(s, 0, sizeof(*s));
}

void ea_secret_done(struct ea_secret *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (s->items[i].value.p)
            explicit_bzero(s->items[i].value.p, s->items[i].value.size);
        ea_buf_done(&s->items[i].value);
    }
    s->n = 0;
}

struct ea_buf *ea_secret_item(struct ea_secret *s, const char *key)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (strcmp(s->items[i].key, key) == 0)
            return &s->items[i].value;
    }
    if (s->n == EA_SECRET_KEYS)
        return NULL;
    s->items[s->n].key = key;
    ea_buf_init(&s->items[s->n].value, EA_MAX_CREDENTIAL);
    return &s->items[s->n++].value;
}

static int take(struct ea_secret *s, const char *key, struct ea_str encoded, struct ea_err *err)
{
    uint8_t *p;
    size_t n;
    int rc;

    if (!encoded.p)
        return 0;
    if (ea_unbase64(encoded, &p, &n) < 0)
        return ea_fail(err, -EINVAL, "%s is not base64", key);
    rc = ea_buf_add(ea_secret_item(s, key), p, n);
    explicit_bzero(p, n);
    free(p);
    return rc ? ea_fail(err, rc, "%s is too large", key) : 0;
}

int ea_secret_get(struct ea_kube *k, const char *ns, const char *name, const char *const *keys,
                  struct ea_secret *ret, struct ea_err *err)
{
    struct ea_arena a;
    struct ea_val v;
    const struct ea_val *data;
    int rc;

    ea_secret_init(ret);
    ea_arena_init(&a, ARENA, 0);
    rc = ea_kube_get(k, &secrets, ns, name, &a, &v, err);
    if (rc == 0) {
        struct ea_str rv = ea_val_path_str(&v, "metadata.resourceVersion");

        data = ea_val_getz(&v, "data");
        (void)snprintf(ret->rv, sizeof(ret->rv), "%.*s", EA_STRF(rv));
        for (size_t i = 0; keys[i] && rc == 0; i++)
            rc = take(ret, keys[i], ea_val_get_str(data, keys[i]), err);
    } else if (rc == -ENOENT) {
        rc = 0;
    }
    ea_arena_done(&a);
    if (rc) {
        ea_secret_done(ret);
        ea_wrap(err, "Secret %s/%s", ns, name);
    }
    return rc;
}

int ea_secret_put(struct ea_kube *k, const char *ns, const char *name, const char *type,
                  struct ea_secret *s, struct ea_err *err)
{
    struct ea_buf b;
    int rc;

    ea_buf_init(&b, EA_SECRET_KEYS * 2 * EA_MAX_CREDENTIAL);
    ea_buf_addf(&b,
                "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"%s\","
                "\"namespace\":\"%s\",\"labels\":{"
                "\"app.kubernetes.io/managed-by\":\"eucs-agent\"}",
                name, ns);
    if (s->rv[0]) {
        ea_buf_addz(&b, ",\"resourceVersion\":");
        ea_buf_add_json(&b, ea_str(s->rv));
    }
    ea_buf_addf(&b, "},\"type\":\"%s\",\"data\":{", type);
    for (unsigned i = 0; i < s->n; i++) {
        char *enc = ea_base64((const uint8_t *)s->items[i].value.p, s->items[i].value.n);

        ea_buf_addf(&b, "%s\"%s\":\"", i ? "," : "", s->items[i].key);
        ea_buf_addz(&b, enc);
        ea_buf_addc(&b, '"');
        explicit_bzero(enc, strlen(enc));
        free(enc);
    }
    ea_buf_addz(&b, "}}");
    if (b.failed)
        rc = ea_fail(err, -E2BIG, "the Secret is too large");
    else if (s->rv[0])
        rc = ea_kube_update(k, &secrets, ns, name, ea_buf_str(&b), NULL, NULL, err);
    else
        rc = ea_kube_create(k, &secrets, ns, ea_buf_str(&b), NULL, NULL, err);
    if (b.p)
        explicit_bzero(b.p, b.size);
    ea_buf_done(&b);
    return rc ? ea_wrap(err, "Secret %s/%s", ns, name) : 0;
}

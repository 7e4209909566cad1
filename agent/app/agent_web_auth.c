/* app/agent_web_auth.c - who may see the web: the agent's own token, or what the API server says
 * about another one. */
#include <pthread.h>
#include <stdio.h>

#include "app/agent_web.h"
#include "base/limits.h"
#include "crypto/crypto.h"

#define CACHE 64u
#define KEEP_US 60000000u
#define CALL_MS 3000u

struct answer {
    uint8_t key[EA_SHA256_LEN]; /* over token, verb and path */
    unsigned status;
    ea_mono_us until;
};

struct ea_agent_web_auth {
    pthread_mutex_t lock;
    struct ea_kube *kube;
    struct answer cache[CACHE];
    unsigned next;
};

struct ea_agent_web *ea_agent_web_new(void)
{
    struct ea_agent_web *w = ea_xalloc(sizeof(*w));

    w->auth = ea_xalloc(sizeof(*w->auth));
    (void)pthread_mutex_init(&w->auth->lock, NULL);
    return w;
}

void ea_agent_web_free(struct ea_agent_web *w)
{
    if (!w)
        return;
    ea_kube_free(w->auth->kube);
    (void)pthread_mutex_destroy(&w->auth->lock);
    free(w->auth);
    ea_cleanse(w->token, sizeof(w->token));
    free(w);
}

static int post(struct ea_kube *k, const char *path, struct ea_buf *body, struct ea_arena *arena,
                struct ea_val *ret)
{
    if (body->failed)
        return body->failed;
    return ea_kube_call(k, "POST", path, "application/json", ea_buf_str(body), arena, ret, NULL);
}

static void add_subject(struct ea_buf *b, const struct ea_val *user)
{
    const struct ea_val *groups = ea_val_getz(user, "groups");

    ea_buf_addz(b, "\"user\":");
    ea_buf_add_json(b, ea_val_get_str(user, "username"));
    ea_buf_addz(b, ",\"uid\":");
    ea_buf_add_json(b, ea_val_get_str(user, "uid"));
    ea_buf_addz(b, ",\"groups\":[");
    for (uint32_t i = 0; groups && i < groups->n; i++) {
        const struct ea_val *g = ea_val_at(groups, i);

        if (i)
            ea_buf_addc(b, ',');
        ea_buf_add_json(b, ea_val_is(g, EA_V_STRING) ? ea_val_text(g) : EA_STR_NULL);
    }
    ea_buf_addc(b, ']');
}

/* TokenReview, then SubjectAccessReview of the path as a non-resource URL: 200, 401, 403, 503. */
static unsigned ask(struct ea_kube *k, struct ea_arena *arena, struct ea_str token,
                    const char *verb, struct ea_str path)
{
    struct ea_val v;
    struct ea_buf b;
    unsigned status = 503;

    ea_buf_init(&b, 64u << 10);
    ea_buf_addz(&b, "{\"apiVersion\":\"authentication.k8s.io/"
                    "v1\",\"kind\":\"TokenReview\",\"spec\":{\"token\":");
    ea_buf_add_json(&b, token);
    ea_buf_addz(&b, "}}");
    if (post(k, "/apis/authentication.k8s.io/v1/tokenreviews", &b, arena, &v) == 0) {
        const struct ea_val *st = ea_val_getz(&v, "status");

        status = ea_val_get_bool(st, "authenticated", false) ? 403 : 401;
        ea_cleanse(b.p, b.n);
        ea_buf_clear(&b);
        ea_buf_addz(&b, "{\"apiVersion\":\"authorization.k8s.io/"
                        "v1\",\"kind\":\"SubjectAccessReview\",\"spec\":{");
        if (status == 403)
            add_subject(&b, ea_val_getz(st, "user"));
        ea_buf_addf(&b, ",\"nonResourceAttributes\":{\"verb\":\"%s\",\"path\":", verb);
        ea_buf_add_json(&b, path);
        ea_buf_addz(&b, "}}}");
    }
    if (status == 403) {
        if (post(k, "/apis/authorization.k8s.io/v1/subjectaccessreviews", &b, arena, &v))
            status = 503;
        else if (ea_val_get_bool(ea_val_getz(&v, "status"), "allowed", false))
            status = 200;
    }
    ea_buf_done(&b);
    return status;
}

static struct answer *cached(struct ea_agent_web_auth *auth, const uint8_t key[EA_SHA256_LEN])
{
    for (unsigned i = 0; i < CACHE; i++) {
        if (auth->cache[i].until > ea_mono_now() &&
            memcmp(auth->cache[i].key, key, EA_SHA256_LEN) == 0)
            return &auth->cache[i];
    }
    return NULL;
}

static unsigned ask_cached(struct ea_agent *a, struct ea_agent_web_auth *auth, struct ea_str token,
                           const char *verb, struct ea_str path)
{
    static const struct ea_kube_opts opts = {.total_ms = CALL_MS, .tries = 1};
    const struct ea_str pieces[] = {token, ea_strn("", 1), ea_str(verb), path};
    uint8_t key[EA_SHA256_LEN];
    struct ea_arena arena;

    ea_sha256v(pieces, EA_COUNT(pieces), key);
    struct answer *found = cached(auth, key);

    if (found)
        return found->status;
    if (!auth->kube && ea_kube_new(a->kube_config, &opts, &auth->kube, NULL))
        return 503;
    ea_arena_init(&arena, EA_MAX_OBJECT * 4, 0);
    unsigned status = ask(auth->kube, &arena, token, verb, path);

    ea_arena_done(&arena);
    if (status != 503) {
        struct answer *at = &auth->cache[auth->next++ % CACHE];

        memcpy(at->key, key, sizeof(at->key));
        at->status = status;
        at->until = ea_mono_now() + KEEP_US;
    }
    return status;
}

unsigned ea_agent_web_authorize(void *agent, struct ea_str token, const char *verb,
                                struct ea_str path)
{
    struct ea_agent *a = agent;
    struct ea_agent_web *w = a->web;

    if (ea_secret_eq(token, ea_str(w->token)))
        return 200;
    if (a->directory)
        return 401;
    (void)pthread_mutex_lock(&w->auth->lock);
    unsigned status = ask_cached(a, w->auth, token, verb, path);

    (void)pthread_mutex_unlock(&w->auth->lock);
    return status;
}

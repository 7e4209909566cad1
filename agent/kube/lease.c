/* kube/lease.c - client-go's leader election on one Lease. */
#include "kube/lease.h"

#include "base/limits.h"
#include "doc/build.h"
#include "doc/json.h"
#include "doc/print.h"

#include <stdatomic.h>

#define LEASE_ARENA (1u << 20)

static const struct ea_kube_res lease_res = {"coordination.k8s.io", "v1", "leases", "Lease", true};

struct ea_lease {
    struct ea_lease_opts o;
    char *ns, *name, *identity;
    struct ea_kube *kube;
    struct ea_buf seen; /* the Lease as last seen, JSON */
    char *holder;
    uint64_t duration_us;       /* of the record seen */
    ea_mono_us observed;        /* when the record was first seen as it is: local clock only */
    _Atomic ea_mono_us renewed; /* 0 = not ours */
    _Atomic uint64_t term;
    uint64_t transitions; /* largest seen */
    bool seen_any;
};

static int check(const struct ea_lease_opts *o, struct ea_err *err)
{
    if (o->lease_s <= o->renew_s || o->renew_s * 10 <= o->retry_s * 12)
        return ea_fail(err, -EINVAL,
                       "lease %u s must be longer than renew %u s, and that than 1.2 x retry %u s",
                       o->lease_s, o->renew_s, o->retry_s);
    return 0;
}

int ea_lease_new(const struct ea_lease_opts *o, struct ea_lease **ret, struct ea_err *err)
{
    struct ea_lease *l = ea_xalloc(sizeof(*l));
    struct ea_kube_opts ko = {.stopping = o->stopping, .stopping_arg = o->stopping_arg, .tries = 2};
    int rc;

    l->o = *o;
    l->o.lease_s = o->lease_s ? o->lease_s : 15;
    l->o.renew_s = o->renew_s ? o->renew_s : 10;
    l->o.retry_s = o->retry_s ? o->retry_s : 2;
    ko.total_ms = l->o.renew_s * 1000;
    rc = check(&l->o, err);
    if (rc == 0)
        rc = ea_kube_new(o->config, &ko, &l->kube, err);
    if (rc) {
        free(l);
        return rc;
    }
    l->ns = ea_str_dupz(ea_str(o->ns));
    l->name = ea_str_dupz(ea_str(o->name));
    l->identity = ea_str_dupz(ea_str(o->identity));
    l->holder = ea_str_dupz(EA_STR(""));
    ea_buf_init(&l->seen, EA_MAX_STATUS_REPLY);
    *ret = l;
    return 0;
}

void ea_lease_free(struct ea_lease *l)
{
    if (!l)
        return;
    ea_kube_free(l->kube);
    ea_buf_done(&l->seen);
    free(l->ns);
    free(l->name);
    free(l->identity);
    free(l->holder);
    free(l);
}

bool ea_lease_held(const struct ea_lease *l)
{
    ea_mono_us at = atomic_load(&l->renewed);

    return at && ea_mono_now() < at + l->o.renew_s * 1000000ull;
}

uint64_t ea_lease_term(const struct ea_lease *l)
{
    return atomic_load(&l->term);
}

struct ea_str ea_lease_holder(const struct ea_lease *l)
{
    return ea_str(l->holder);
}

uint64_t ea_lease_pause_us(const struct ea_lease *l)
{
    uint64_t base = l->o.retry_s * 1000000ull;

    return base + ea_kube_jitter(base / 5) - base / 5;
}

/* Takes over what the server says; notes when it changed by our clock. */
static int observe(struct ea_lease *l, const struct ea_val *doc, ea_mono_us now, struct ea_err *err)
{
    const struct ea_val *spec = ea_val_getz(doc, "spec");
    struct ea_str holder = ea_val_get_str(spec, "holderIdentity");
    int64_t transitions = ea_val_get_int(spec, "leaseTransitions", 0),
            secs = ea_val_get_int(spec, "leaseDurationSeconds", 0);
    struct ea_buf b;

    ea_buf_init(&b, EA_MAX_STATUS_REPLY);
    if (ea_json_print(&b, doc) < 0) {
        ea_buf_done(&b);
        return ea_fail(err, -E2BIG, "the Lease %s/%s is too large", l->ns, l->name);
    }
    if (!ea_str_eq(ea_buf_str(&b), ea_buf_str(&l->seen)))
        l->observed = now;
    ea_buf_done(&l->seen);
    l->seen = b;
    free(l->holder);
    l->holder = ea_str_dupz(holder);
    l->duration_us = secs > 0 && secs < 86400 ? (uint64_t)secs * 1000000 : 0;
    if (transitions > 0 && (uint64_t)transitions > l->transitions)
        l->transitions = (uint64_t)transitions;
    l->seen_any = true;
    return 0;
}

static void mine(struct ea_lease *l, uint64_t term, ea_mono_us since)
{
    if (term > atomic_load(&l->term))
        atomic_store(&l->term, term);
    atomic_store(&l->renewed, since);
}

/* The Lease with a new spec; other fields of an existing one are kept. */
static int render(struct ea_lease *l, struct ea_arena *a, const struct ea_val *old,
                  const char *holder, unsigned secs, struct ea_str acquired, uint64_t transitions,
                  struct ea_buf *out, struct ea_err *err)
{
    struct ea_mapb root, spec, meta;
    char now[32];

    ea_rfc3339(ea_wall_now(), 6, now);
    ea_mapb_init(&spec, a);
    ea_mapb_putz(&spec, "holderIdentity", ea_val_str(ea_str(holder)));
    ea_mapb_putz(&spec, "leaseDurationSeconds", ea_val_int(secs));
    ea_mapb_putz(&spec, "acquireTime", ea_val_str(acquired.n ? acquired : ea_str(now)));
    ea_mapb_putz(&spec, "renewTime", ea_val_str(ea_str(now)));
    ea_mapb_putz(&spec, "leaseTransitions", ea_val_int((int64_t)transitions));
    ea_mapb_init(&root, a);
    ea_mapb_putz(&root, "apiVersion", ea_val_str(EA_STR("coordination.k8s.io/v1")));
    ea_mapb_putz(&root, "kind", ea_val_str(EA_STR("Lease")));
    if (old) {
        ea_mapb_putz(&root, "metadata", *ea_val_getz(old, "metadata"));
    } else {
        ea_mapb_init(&meta, a);
        ea_mapb_putz(&meta, "name", ea_val_str(ea_str(l->name)));
        ea_mapb_putz(&meta, "namespace", ea_val_str(ea_str(l->ns)));
        ea_mapb_putz(&root, "metadata", ea_mapb_end(&meta));
    }
    ea_mapb_putz(&root, "spec", ea_mapb_end(&spec));
    struct ea_val v = ea_mapb_end(&root);
    ea_buf_clear(out);
    return ea_json_print(out, &v) < 0 ? ea_fail(err, -E2BIG, "the Lease is too large") : 0;
}

/* PUT over what was seen last. 0, or a code; -EEXIST = somebody was faster. */
static int put(struct ea_lease *l, struct ea_arena *a, const struct ea_val *old, bool release,
               struct ea_err *err)
{
    const struct ea_val *spec = ea_val_getz(old, "spec");
    bool ours = ea_str_is(ea_val_get_str(spec, "holderIdentity"), l->identity);
    uint64_t transitions = l->transitions + (ours || release ? 0 : 1);
    struct ea_str acquired = ours ? ea_val_get_str(spec, "acquireTime") : EA_STR_NULL;
    ea_mono_us asked = ea_mono_now();
    struct ea_buf b;
    struct ea_val doc;
    int rc;

    ea_buf_init(&b, EA_MAX_STATUS_REPLY);
    rc = render(l, a, old, release ? "" : l->identity, release ? 1 : l->o.lease_s, acquired,
                transitions, &b, err);
    if (rc == 0)
        rc = ea_kube_update(l->kube, &lease_res, l->ns, l->name, ea_buf_str(&b), a, &doc, err);
    ea_buf_done(&b);
    if (rc == 0)
        rc = observe(l, &doc, asked, err);
    if (rc == 0 && !release)
        mine(l, transitions, asked);
    return rc;
}

static int create(struct ea_lease *l, struct ea_arena *a, struct ea_err *err)
{
    uint64_t transitions =
        l->seen_any ? l->transitions + 1 : 0; /* deleted under us: the term must not fall */
    ea_mono_us asked = ea_mono_now();
    struct ea_buf b;
    struct ea_val doc;
    int rc;

    ea_buf_init(&b, EA_MAX_STATUS_REPLY);
    rc = render(l, a, NULL, l->identity, l->o.lease_s, EA_STR_NULL, transitions, &b, err);
    if (rc == 0)
        rc = ea_kube_create(l->kube, &lease_res, l->ns, ea_buf_str(&b), a, &doc, err);
    ea_buf_done(&b);
    if (rc == 0)
        rc = observe(l, &doc, asked, err);
    if (rc == 0)
        mine(l, transitions, asked);
    return rc;
}

/* The quick way: still ours by our clock, so renew without asking first. */
static int renew(struct ea_lease *l, struct ea_arena *a, struct ea_err *err)
{
    struct ea_val old;
    int rc = ea_json_parse(a, ea_buf_str(&l->seen), NULL, &old, NULL, err);

    return rc ? rc : put(l, a, &old, false, err);
}

static int acquire(struct ea_lease *l, struct ea_arena *a, struct ea_err *err)
{
    struct ea_val doc;
    int rc = ea_kube_get(l->kube, &lease_res, l->ns, l->name, a, &doc, err);
    ea_mono_us now = ea_mono_now();

    if (rc == -ENOENT)
        return create(l, a, err);
    if (rc == 0)
        rc = observe(l, &doc, now, err);
    if (rc)
        return rc;
    if (l->holder[0] && strcmp(l->holder, l->identity) != 0) {
        atomic_store(&l->renewed, 0);
        if (l->observed + l->duration_us > now)
            return 0; /* another's, and alive */
    }
    return put(l, a, &doc, false, err);
}

int ea_lease_try(struct ea_lease *l, bool *ret_held, struct ea_err *err)
{
    struct ea_arena a;
    ea_mono_us at = atomic_load(&l->renewed);
    int rc = -EEXIST;

    ea_arena_init(&a, LEASE_ARENA, 8192);
    if (at && ea_mono_now() < at + l->o.lease_s * 1000000ull)
        rc = renew(l, &a, err);
    if (rc == -EEXIST || rc == -ENOENT)
        rc = acquire(l, &a, err);
    if (rc == -EEXIST)
        rc = 0; /* somebody was faster: look again next time */
    ea_arena_done(&a);
    *ret_held = ea_lease_held(l);
    return rc;
}

int ea_lease_release(struct ea_lease *l, struct ea_err *err)
{
    struct ea_arena a;
    struct ea_val old;
    int rc;

    if (!atomic_load(&l->renewed))
        return 0;
    ea_arena_init(&a, LEASE_ARENA, 8192);
    rc = ea_json_parse(&a, ea_buf_str(&l->seen), NULL, &old, NULL, err);
    if (rc == 0)
        rc = put(l, &a, &old, true, err);
    ea_arena_done(&a);
    atomic_store(&l->renewed, 0);
    return rc == -EEXIST || rc == -ENOENT ? 0 : rc;
}

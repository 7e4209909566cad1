/* app/agent_log.c - who this agent is, its evidence log, its sinks. */
#include <stdio.h>

#include "app/agent.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "doc/build.h"

#define SINK_GRACE_US 3000000u

/* uid of one object of the API; "" when it is not there. */
static int uid_of(struct ea_agent *a, const struct ea_kube_res *res, const char *name, char ret[64],
                  struct ea_err *err)
{
    struct ea_arena arena;
    struct ea_val v;

    ea_arena_init(&arena, EA_MAX_OBJECT * 4, 0);
    int r = ea_kube_get(a->kube, res, NULL, name, &arena, &v, err);

    if (!r)
        (void)snprintf(ret, 64, "%.*s", EA_STRF(ea_val_path_str(&v, "metadata.uid")));
    ea_arena_done(&arena);
    return r;
}

static int identity(struct ea_agent *a, struct ea_err *err)
{
    static const struct ea_kube_res namespaces = {"", "v1", "namespaces", "Namespace", false};
    static const struct ea_kube_res nodes = {"", "v1", "nodes", "Node", false};
    const char *node = *a->config->node_name ? a->config->node_name : getenv("NODE_NAME");
    int r = uid_of(a, &namespaces, "kube-system", a->cluster_uid, err);

    if (r)
        return ea_wrap(err, "reading the cluster's identity (uid of namespace kube-system)");
    if (!node || !*node)
        return 0; /* outside of a cluster's node the log keeps a random one */
    r = uid_of(a, &nodes, node, a->node_uid, err);
    return r ? ea_wrap(err, "reading node %s", node) : 0;
}

/* The key that turns a Secret's bytes into a digest which nobody else can try values against. */
static int load_digest_key(struct ea_agent *a, struct ea_err *err)
{
    EA_AUTO_FREE char *path = ea_xasprintf("%s/digest.key", a->config->evidence_dir);
    EA_AUTO_FREE char *text = NULL;
    size_t n;
    int r = ea_read_file(path, sizeof(a->digest_key), &text, &n, err);

    if (!r && n == sizeof(a->digest_key)) {
        memcpy(a->digest_key, text, n);
        ea_cleanse(text, n);
        return 0;
    }
    if (r && r != -ENOENT)
        return r;
    ea_random(a->digest_key, sizeof(a->digest_key));
    return ea_write_file(path, a->digest_key, sizeof(a->digest_key), 0600, err);
}

void ea_agent_digest(void *agent, bool keyed, struct ea_str bytes, char ret_hex[65])
{
    const struct ea_agent *a = agent;
    uint8_t sum[EA_SHA256_LEN];

    if (keyed)
        ea_hmac_sha256(ea_strn((const char *)a->digest_key, sizeof(a->digest_key)), bytes, sum);
    else
        ea_sha256(bytes.p, bytes.n, sum);
    ea_hex(sum, sizeof(sum), ret_hex);
}

int ea_agent_log_open(struct ea_agent *a, struct ea_err *err)
{
    const struct ea_config *c = a->config;
    int r = a->directory ? 0 : identity(a, err);

    if (r)
        return r;
    const struct ea_elog_opts o = {
        .dir = c->evidence_dir,
        .domain = c->evidence_domain,
        .cluster_uid = a->cluster_uid,
        .node_uid = a->node_uid,
        .first_epoch = a->directory ? 1 : (uint64_t)(ea_wall_now() / 1000000),
        .sync = strcmp(c->evidence_sync, "always") == 0 ? EA_SYNC_ALWAYS
                : strcmp(c->evidence_sync, "os") == 0   ? EA_SYNC_OS
                                                        : EA_SYNC_INTERVAL,
        .sync_interval_us = c->sync_interval,
        .segment_bytes = c->segment_size,
        .disk_limit = c->disk_limit,
        .block_when_full = strcmp(c->when_full, "block") == 0,
        .key_type = strcmp(c->evidence_key, "ecdsa-p256") == 0 ? EA_KEY_ECDSA_P256 : EA_KEY_ED25519,
        .agent_version = EA_VERSION,
        .ruleset_sha256 = a->rules->set->sha256,
    };

    r = ea_elog_open(&o, &a->log, err);
    if (r)
        return ea_wrap(err, "evidence log %s", c->evidence_dir);
    struct ea_elog_stat st;

    ea_elog_stat(a->log, &st);
    if (st.volatile_fs)
        ea_log(EA_LOG_WARN, "evidence-volatile", EA_KV_Z("dir", c->evidence_dir),
               EA_KV_Z("why", "the folder lies on a file system that does not survive the node or "
                              "the container"));
    ea_log(EA_LOG_INFO, "evidence-open", EA_KV_Z("origin", st.origin),
           EA_KV_U64("next_seq", st.next_seq));
    return load_digest_key(a, err);
}

void ea_agent_record(struct ea_agent *a, enum ea_record_type type, struct ea_str body)
{
    struct ea_position pos;
    struct ea_err err = {0};

    if (ea_elog_append(a->log, type, body, false, 0, &pos, &err))
        ea_log_err(EA_LOG_ERROR, "record-lost", &err);
}

/* A document for sinks that the configuration does not name: the embedded default writes what `make
 * run` shows. */
static int default_sinks(struct ea_agent *a, struct ea_err *err)
{
    struct ea_mapb m;
    struct ea_listb l;

    if (!a->embedded || a->config->sinks.type != EA_V_NULL)
        return 0;
    ea_mapb_init(&m, &a->config->arena);
    ea_listb_init(&l, &a->config->arena);
    ea_mapb_putz(&m, "name", ea_val_str(EA_STR("file")));
    ea_mapb_putz(&m, "type", ea_val_str(EA_STR("file")));
    ea_mapb_putz(
        &m, "path",
        ea_val_str(ea_arena_printf(&a->config->arena, "%s.ndjson", a->config->evidence_dir)));
    ea_listb_add(&l, ea_mapb_end(&m));
    a->config->sinks = ea_listb_end(&l);
    return m.failed || l.failed ? ea_fail(err, -E2BIG, "sinks") : 0;
}

int ea_agent_sinks_start(struct ea_agent *a, struct ea_err *err)
{
    int r = default_sinks(a, err);
    const struct ea_val *sinks = &a->config->sinks;

    if (r || sinks->type == EA_V_NULL)
        return r;
    if (sinks->type != EA_V_LIST || sinks->n > EA_AGENT_SINKS)
        return ea_fail(err, -EINVAL, "sinks is a list of at most %u destinations", EA_AGENT_SINKS);
    for (uint32_t i = 0; i < sinks->n; i++) {
        const struct ea_val *s = ea_val_at(sinks, i);
        struct ea_str name = ea_val_get_str(s, "name"), type = ea_val_get_str(s, "type");
        const struct ea_sink_ops *ops = ea_sink_find(type);

        if (!name.n || !ops)
            return ea_fail(
                err, -EINVAL,
                "sinks[%u]: name and type are needed; types: see `eucs-agent sinks list`", i);
        EA_AUTO_FREE char *name_z = ea_str_dupz(name);

        r = ea_sink_start(a->log, a->config->evidence_dir, name_z, ops, s, &a->sinks[a->n_sinks],
                          err);
        if (r)
            return ea_wrap(err, "sink %s", name_z);
        a->n_sinks++;
    }
    return 0;
}

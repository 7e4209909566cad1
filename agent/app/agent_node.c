/* app/agent_node.c - this pod's own node: facts, judged into this pod's own log, whoever holds the
 * seat. */
#include "app/agent.h"
#include "app/lookup.h"
#include "base/limits.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "doc/build.h"
#include "doc/print.h"
#include "node/facts.h"

#include <stdio.h>

/* files and settings change rarely; what runs is judged elsewhere */
#define ROUND_US 600000000ull
#define ARENA_BYTES (16u << 20)

struct ea_agent_node {
    struct ea_store *store;
    struct ea_lookup lookup;
    struct ea_audit *audit;
    unsigned namespaces, facts; /* tables */
    bool read;                  /* once at least */
    ea_mono_us next;
};

static const struct ea_kube_res namespaces = {"", "v1", "namespaces", "Namespace", false};
static const struct ea_kube_res nodefacts = {EA_NODE_FACTS_GROUP, EA_NODE_FACTS_VERSION,
                                             "nodefacts", EA_NODE_FACTS_KIND, false};

static const char *node_name(const struct ea_agent *a)
{
    const char *env = getenv("NODE_NAME");

    return *a->config->node_name ? a->config->node_name : env && *env ? env : "node";
}

static struct ea_val wrap(struct ea_agent *a, struct ea_arena *arena, struct ea_str uid,
                          struct ea_val facts)
{
    struct ea_mapb meta, doc;

    ea_mapb_init(&meta, arena);
    ea_mapb_init(&doc, arena);
    ea_mapb_putz(&meta, "name", ea_val_str(ea_str(node_name(a))));
    ea_mapb_putz(&meta, "uid", ea_val_str(uid));
    ea_mapb_putz(&doc, "apiVersion",
                 ea_val_str(EA_STR(EA_NODE_FACTS_GROUP "/" EA_NODE_FACTS_VERSION)));
    ea_mapb_putz(&doc, "kind", ea_val_str(EA_STR(EA_NODE_FACTS_KIND)));
    ea_mapb_putz(&doc, "metadata", ea_mapb_end(&meta));
    ea_mapb_putz(&doc, "facts", facts);
    return ea_mapb_end(&doc);
}

/* Stores the facts as one object and tells the audit; the version is the digest of the bytes. */
static int tell(struct ea_agent *a, struct ea_arena *arena, const struct ea_val *doc,
                struct ea_str uid, struct ea_buf *json, struct ea_err *err)
{
    struct ea_agent_node *n = a->node;
    struct ea_object *old = NULL;
    char rv[2 * EA_SHA256_LEN + 1];
    uint8_t sum[EA_SHA256_LEN];
    bool changed;
    int r = ea_json_print(json, doc);

    if (r)
        return ea_fail(err, r, "node facts are too large");
    ea_sha256(json->p, json->n, sum);
    ea_hex(sum, sizeof(sum), rv);
    const struct ea_object_in in = {
        .name = ea_str(node_name(a)), .uid = uid, .rv = ea_str(rv), .json = ea_buf_str(json)};

    r = ea_store_put(n->store, n->facts, &in, &old, &changed);
    if (old)
        ea_object_unref(old);
    if (r)
        return ea_fail(err, r, "the node's name is too long");
    const struct ea_kube_event e = {.type = EA_KUBE_UPSERT,
                                    .res = ea_store_res(n->store, n->facts),
                                    .key = uid,
                                    .name = in.name,
                                    .rv = in.rv,
                                    .object = doc,
                                    .initial = !n->read};

    ea_audit_event(n->audit, &e);
    return 0;
}

static int read_facts(struct ea_agent *a, struct ea_err *err)
{
    struct ea_elog_stat st;
    struct ea_arena arena;
    struct ea_val facts;
    struct ea_buf json;

    ea_elog_stat(a->log, &st);
    ea_arena_init(&arena, ARENA_BYTES, 0);
    ea_buf_init(&json, EA_MAX_OBJECT);
    int r = ea_node_facts(&arena, a->config->node_root, &facts, err);

    if (!r) {
        const struct ea_val doc = wrap(a, &arena, ea_str(st.node_uid), facts);

        r = tell(a, &arena, &doc, ea_str(st.node_uid), &json, err);
    }
    ea_buf_done(&json);
    ea_arena_done(&arena);
    return r;
}

static void synced(struct ea_agent_node *n, unsigned table)
{
    const struct ea_kube_event e = {.type = EA_KUBE_SYNCED, .res = ea_store_res(n->store, table)};

    ea_audit_event(n->audit, &e);
}

int ea_agent_node_start(struct ea_agent *a, struct ea_err *err)
{
    EA_AUTO_FREE char *digest = ea_xasprintf("%s/verdicts-node", a->config->evidence_dir);

    if (!*a->config->node_root)
        return 0;
    struct ea_agent_node *n = a->node = ea_xalloc(sizeof(*n));

    n->store = ea_store_new();
    /* two tables always fit into an empty store */
    n->namespaces = (unsigned)ea_store_add(n->store, &namespaces, true);
    n->facts = (unsigned)ea_store_add(n->store, &nodefacts, true);
    ea_lookup_from_store(n->store, &n->lookup);
    const struct ea_audit_opts o = {
        .rules = a->rules->set,
        .exemptions = a->rules->exemptions,
        .store = n->store,
        .lookup = n->lookup,
        .log = a->log,
        .digest_path = digest,
        .floor = (enum ea_level)ea_level_parse(ea_str(a->config->level)),
        .record = true,
    };
    int r = ea_audit_new(&o, &n->audit, err);

    if (r)
        return r;
    synced(n, n->namespaces);
    r = read_facts(a, err);
    if (r)
        return r;
    synced(n, n->facts);
    n->read = true;
    n->next = ea_mono_now() + ROUND_US;
    return 0;
}

void ea_agent_node_tick(struct ea_agent *a)
{
    struct ea_err err = {0};

    if (!a->node || ea_mono_now() < a->node->next)
        return;
    a->node->next = ea_mono_now() + ROUND_US;
    if (read_facts(a, &err))
        ea_log_err(EA_LOG_ERROR, "node-facts", &err);
    ea_audit_tick(a->node->audit);
}

void ea_agent_node_rules(struct ea_agent *a)
{
    if (a->node)
        ea_audit_set_rules(a->node->audit, a->rules->set, a->rules->exemptions);
}

void ea_agent_node_stop(struct ea_agent *a)
{
    if (!a->node)
        return;
    if (a->node->audit)
        ea_audit_free(a->node->audit);
    ea_store_free(a->node->store);
    free(a->node);
    a->node = NULL;
}

/* app/cmd_webhook.c - `webhook render`: the webhook configuration that the agent would make, for
 * review. */
#include "app/rules.h"
#include "app/webhook_config.h"
#include "base/fd.h"
#include "base/limits.h"
#include "doc/json.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#define ARENA (32u << 20)

/* ---- block YAML of plain documents ---- */

static void indent(struct ea_buf *b, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        ea_buf_addz(b, "  ");
}

/* Words that stay strings without quotes in every YAML version. */
static bool plain(struct ea_str s)
{
    static const char *const taken[] = {"true", "false", "null", "yes", "no",
                                        "on",   "off",   "y",    "n"};

    if (!s.n || !isalpha((unsigned char)s.p[0]))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!isalnum((unsigned char)s.p[i]) && !strchr("-./_", s.p[i]))
            return false;
    }
    for (size_t i = 0; i < EA_COUNT(taken); i++) {
        if (s.n == strlen(taken[i]) && strncasecmp(s.p, taken[i], s.n) == 0)
            return false;
    }
    return true;
}

static void scalar(struct ea_buf *b, const struct ea_val *v)
{
    struct ea_str s;

    switch (v->type) {
    case EA_V_BOOL:
        ea_buf_addz(b, v->b ? "true" : "false");
        break;
    case EA_V_INT:
        ea_buf_addf(b, "%lld", (long long)v->i);
        break;
    case EA_V_STRING:
        s = ea_val_text(v);
        if (plain(s))
            ea_buf_adds(b, s);
        else
            ea_buf_add_json(b, s); /* a JSON string is a YAML one */
        break;
    case EA_V_MAP:
        ea_buf_addz(b, "{}");
        break;
    case EA_V_LIST:
        ea_buf_addz(b, "[]");
        break;
    default:
        ea_buf_addz(b, "null");
    }
}

static bool is_block(const struct ea_val *v)
{
    return (v->type == EA_V_MAP || v->type == EA_V_LIST) && v->n > 0;
}

/* first: the cursor stands behind "- " already. Recursion is as deep as our own document, six
 * levels. */
static void yaml(struct ea_buf *b, const struct ea_val *v, unsigned depth, bool first)
{
    for (uint32_t i = 0; i < v->n; i++) {
        const struct ea_val *x =
            v->type == EA_V_MAP ? ea_val_force(&v->members[i].val) : ea_val_at(v, i);

        if (!first || i)
            indent(b, depth);
        if (v->type == EA_V_MAP) {
            scalar(b, &v->members[i].key);
            ea_buf_addc(b, ':');
        } else {
            ea_buf_addc(b, '-');
        }
        if (!is_block(x)) {
            ea_buf_addc(b, ' ');
            scalar(b, x);
            ea_buf_addc(b, '\n');
        } else if (v->type == EA_V_MAP) {
            ea_buf_addc(b, '\n');
            yaml(b, x, depth + (x->type == EA_V_MAP ? 1 : 0), false);
        } else {
            ea_buf_addc(b, ' ');
            yaml(b, x, depth + 1, true);
        }
    }
}

/* ---- the command ---- */

/* The CA that the agent would put in, as far as it lies in files: configured, or made by the agent.
 */
static void read_ca(const struct ea_config *c, char **ret, size_t *ret_n)
{
    EA_AUTO_FREE char *own = ea_xasprintf("%s/tls/ca.crt", c->evidence_dir);

    (void)!ea_read_file(*c->webhook_ca ? c->webhook_ca : own, EA_MAX_CREDENTIAL, ret, ret_n, NULL);
}

static int print(struct ea_buf *json, bool as_yaml, struct ea_err *err)
{
    struct ea_arena arena;
    struct ea_buf out;
    struct ea_val v;
    int rc = 0;

    ea_buf_init(&out, 8u << 20);
    if (as_yaml) {
        ea_arena_init(&arena, ARENA, 0);
        rc = ea_json_parse(&arena, ea_buf_str(json), NULL, &v, NULL, err);
        if (rc == 0)
            yaml(&out, &v, 0, false);
        ea_arena_done(&arena);
    } else {
        ea_buf_adds(&out, ea_buf_str(json));
        ea_buf_addc(&out, '\n');
    }
    if (rc == 0 && (out.failed || fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout)))
        rc = ea_fail(err, -EIO, "writing to stdout failed");
    ea_buf_done(&out);
    return rc;
}

static int render(const struct ea_args *a, const struct ea_rules *rules, struct ea_err *err)
{
    EA_AUTO_FREE char *ca = NULL;
    struct ea_config *own = NULL;
    struct ea_webhook_opts o;
    struct ea_buf json;
    size_t n = 0;
    int rc = rules->config ? 0 : ea_config_load(NULL, &own, err);
    const struct ea_config *c = rules->config ? rules->config : own;

    if (rc)
        return rc;
    ea_webhook_from_config(c, ea_release_namespace(c, ea_opt_get(a, "namespace")), &o);
    read_ca(c, &ca, &n);
    o.ca_pem = ea_strn(ca, n);
    ea_buf_init(&json, 4u << 20);
    rc = ea_webhook_render(rules->set, &o, &json, err);
    if (rc == 0)
        rc = print(&json, strcmp(ea_opt_get(a, "output"), "yaml") == 0, err);
    ea_buf_done(&json);
    ea_config_free(own);
    return rc;
}

static int run(const struct ea_args *a)
{
    struct ea_rules rules;
    struct ea_err err = {0};
    int rc = ea_rules_open(a, false, &rules, &err);

    if (rc == 0) {
        (void)ea_rules_warn(&rules);
        rc = render(a, &rules, &err);
        ea_rules_close(&rules);
    }
    if (rc)
        (void)fprintf(stderr, "eucs-agent webhook render: %s\n", ea_err_text(&err));
    return rc ? 2 : 0;
}

static const struct ea_opt options[] = {
    EA_RULES_OPTIONS,
    {.name = "output",
     .letter = 'o',
     .kind = EA_OPT_VALUE,
     .arg = "FORMAT",
     .dflt = "yaml",
     .choices = "yaml|json",
     .help = "yaml or json"},
    {.name = "namespace",
     .kind = EA_OPT_VALUE,
     .arg = "NAME",
     .dflt = "eucs-agent",
     .help = "namespace of the release, when neither the configuration nor POD_NAMESPACE says it"},
    {.name = NULL},
};

extern const struct ea_cmd ea_cmd_webhook_render;
const struct ea_cmd ea_cmd_webhook_render = {
    .name = "webhook render",
    .summary = "print the webhook configuration that the agent would make",
    .usage = "[--config FILE] [--output yaml|json]",
    .text = "Two webhooks: enforce has what some control denies (failurePolicy Fail while the "
            "agent is ready), advise the\n"
            "rest (always Ignore). The path token and the ownerReference are put in by the running "
            "agent.\n\n"
            "Example: eucs-agent webhook render --config config.yaml -o yaml",
    .options = options,
    .run = run,
};

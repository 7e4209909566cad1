/* app/rules.c - loads the rule set of a command. */
#include "app/rules.h"

#include <stdio.h>

#include "crypto/crypto.h"

/* One digest per file, then the digest of the digests: crypto/ hashes pieces, and this needs no
 * copy of all bytes. */
struct digest {
    struct ea_buf sums;
};

static void feed(void *arg, struct ea_str path, struct ea_str bytes)
{
    struct digest *d = arg;
    uint8_t sum[EA_SHA256_LEN];
    char length[32];
    struct ea_str nul = ea_strn("", 1);

    (void)snprintf(length, sizeof(length), "%zu", bytes.n);
    struct ea_str pieces[] = {path, nul, ea_str(length), ea_strn("", 1)};
    struct ea_buf head;

    ea_buf_init(&head, 1u << 20);
    for (size_t i = 0; i < EA_COUNT(pieces); i++)
        ea_buf_adds(&head, pieces[i]);
    struct ea_str whole[] = {ea_buf_str(&head), bytes};

    ea_sha256v(whole, 2, sum);
    ea_buf_done(&head);
    ea_buf_add(&d->sums, sum, sizeof(sum));
}

void ea_rules_digest(struct ea_ruleset *set)
{
    struct digest d;
    uint8_t sum[EA_SHA256_LEN];
    char hex[2 * EA_SHA256_LEN + 1];

    ea_buf_init(&d.sums, 8u << 20);
    ea_ruleset_files(set, feed, &d);
    ea_sha256(d.sums.p, d.sums.n, sum);
    ea_hex(sum, sizeof(sum), hex);
    ea_ruleset_set_digest(set, hex);
    ea_buf_done(&d.sums);
}

int ea_rules_open(const struct ea_args *a, bool lint, struct ea_rules *ret, struct ea_err *err)
{
    const char *dir = ea_opt_get(a, "controls"), *config = ea_opt_get(a, "config");
    struct ea_ruleset_opts o = {.dir = dir, .lint = lint};
    int r;

    memset(ret, 0, sizeof(*ret));
    if (config) {
        r = ea_config_load(config, &ret->config, err);
        if (r < 0)
            return r;
        if (!o.dir && *ret->config->controls_dir)
            o.dir = ret->config->controls_dir;
        if (ret->config->params.type == EA_V_MAP)
            o.params = &ret->config->params;
        if (*ret->config->exemptions) {
            r = ea_exemptions_load(ret->config->exemptions, &ret->exemptions, err);
            if (r < 0)
                goto failed;
        }
    }
    r = ea_ruleset_load(&o, &ret->set, &ret->problems, err);
    if (r < 0)
        goto failed;
    ea_rules_digest(ret->set);
    return 0;
failed:
    ea_rules_close(ret);
    return r;
}

void ea_rules_close(struct ea_rules *r)
{
    ea_ruleset_unref(r->set);
    ea_exemptions_free(r->exemptions);
    if (r->config)
        ea_config_free(r->config);
    memset(r, 0, sizeof(*r));
}

unsigned ea_rules_warn(const struct ea_rules *r)
{
    unsigned n = 0;

    for (size_t i = 0; i < r->problems.n; i++) {
        const struct ea_problem *p = &r->problems.p[i];

        if (!p->fatal)
            continue;
        (void)fprintf(stderr, "%.*s:%u: %.*s\n", EA_STRF(p->file), p->line, EA_STRF(p->text));
        n++;
    }
    return n;
}

/* app/cmd_evidence.c - `evidence verify` and `evidence export`: the log, offline. */
#include <stdio.h>

#include "app/cmd.h"
#include "app/config.h"
#include "evidence/log.h"

static void say(void *arg, const char *line)
{
    (void)arg;
    (void)printf("%s\n", line);
}

static int run_verify(const struct ea_args *a)
{
    const char *path = ea_args_words(a, NULL)[0];
    bool quiet = ea_opt_has(a, "quiet");
    struct ea_verify_report r;
    struct ea_err err = {0};

    memset(&r, 0, sizeof(r));
    if (ea_evidence_verify(path, &r, quiet ? NULL : say, NULL, &err) < 0) {
        (void)fprintf(stderr, "eucs-agent evidence verify: %s\n", ea_err_text(&err));
        return 2;
    }
    if (!r.holds)
        (void)printf("BROKEN: %s\n", r.where);
    (void)printf("%s: %llu epoch%s, %llu records, %llu covered by a signed checkpoint, %llu after "
                 "the last checkpoint (chained, not yet "
                 "signed), %llu absent\n",
                 r.holds ? "holds" : "broken", (unsigned long long)r.epochs,
                 r.epochs == 1 ? "" : "s", (unsigned long long)r.records,
                 (unsigned long long)r.signed_records, (unsigned long long)r.unsigned_tail,
                 (unsigned long long)r.absent);
    return fflush(stdout) ? 2 : r.holds ? 0 : 1;
}

static const struct ea_opt verify_options[] = {
    {.name = "quiet", .letter = 'q', .kind = EA_OPT_FLAG, .help = "only the summary"},
    {.name = NULL},
};

const struct ea_cmd ea_cmd_evidence_verify = {
    .name = "evidence verify",
    .summary = "check chain, tree and signatures of a log or an export",
    .usage = "PATH",
    .text = "PATH is an export folder, one epoch's folder in it, or a log's own folder. Nothing "
            "but the files is needed.\n\n"
            "Exit status: 0 holds, 1 broken (says where), 2 unreadable.\n\n"
            "Example: eucs-agent evidence verify /var/lib/eucs-agent",
    .options = verify_options,
    .min_words = 1,
    .max_words = 1,
    .run = run_verify,
};

/* The log's folder: --log, else that of the configuration, else the default of the configuration.
 */
static int log_dir(const struct ea_args *a, struct ea_config **ret_config, const char **ret,
                   struct ea_err *err)
{
    int r;

    *ret = ea_opt_get(a, "log");
    if (*ret)
        return 0;
    r = ea_config_load(ea_opt_get(a, "config"), ret_config, err);
    if (r < 0)
        return r;
    *ret = (*ret_config)->evidence_dir;
    return 0;
}

extern const struct ea_cmd ea_cmd_evidence_export;

static int run_export(const struct ea_args *a)
{
    struct ea_config *config = NULL;
    const char *out = ea_opt_get(a, "out"), *dir = NULL;
    struct ea_err err = {0};
    int r;

    if (!out)
        return ea_usage_error(&ea_cmd_evidence_export, "--out DIR is needed");
    r = log_dir(a, &config, &dir, &err);
    if (r == 0)
        r = ea_evidence_export(dir, out, &err);
    if (r < 0)
        (void)fprintf(stderr, "eucs-agent evidence export: %s\n", ea_err_text(&err));
    else
        (void)printf("exported %s to %s; check it with: eucs-agent evidence verify %s\n", dir, out,
                     out);
    if (config)
        ea_config_free(config);
    return r < 0 || fflush(stdout) ? 2 : 0;
}

static const struct ea_opt export_options[] = {
    {.name = "out",
     .kind = EA_OPT_VALUE,
     .arg = "DIR",
     .help = "folder to write, one folder in it per epoch"},
    {.name = "log",
     .kind = EA_OPT_VALUE,
     .arg = "DIR",
     .help = "folder of the log; not given: that of the configuration"},
    {.name = "config",
     .kind = EA_OPT_VALUE,
     .arg = "FILE",
     .help = "agent configuration that names the log"},
    {.name = NULL},
};

const struct ea_cmd ea_cmd_evidence_export = {
    .name = "evidence export",
    .summary = "write a log as folders that anyone can verify",
    .text = "Writes one folder per epoch: log.ndjson (one canonical record a line), checkpoint, "
            "key.pem.\n\n"
            "Example: eucs-agent evidence export --out ./evidence --log /var/lib/eucs-agent",
    .options = export_options,
    .run = run_export,
};

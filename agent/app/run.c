/* app/run.c - the start order of the agent, its main loop, and the way back. */
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <poll.h>
#include <unistd.h>

#include "app/agent.h"
#include "app/cmd.h"
#include "base/fd.h"
#include "base/log.h"

#define TICK_MS 200
#define SINK_GRACE_US 3000000u

/* ---- configuration ---- */

static const char default_text[] = "source: {kind: directory, path: %s}\n"
                                   "evidence: {dir: %s/evidence}\n"
                                   "webhook: {address: 127.0.0.1, port: %s}\n"
                                   "web: {address: 127.0.0.1, port: %s}\n"
                                   "health: {address: 127.0.0.1, port: %s}\n";

/* A path inside single quotes of YAML. */
static char *quoted(const char *path)
{
    struct ea_buf b;

    ea_buf_init(&b, 16u << 10);
    ea_buf_addc(&b, '\'');
    for (; *path; path++) {
        ea_buf_addc(&b, *path);
        if (*path == '\'')
            ea_buf_addc(&b, '\'');
    }
    ea_buf_addc(&b, '\'');
    return ea_buf_take(&b);
}

static int load_config(struct ea_agent *a, const struct ea_agent_args *args, struct ea_err *err)
{
    if (args->config) {
        a->config_path = args->config;
        return ea_config_load(args->config, &a->config, err);
    }
    EA_AUTO_FREE char *evidence = ea_xasprintf("%s", args->state_dir);
    EA_AUTO_FREE char *watch_q = quoted(args->watch_dir);
    EA_AUTO_FREE char *text = NULL;

    if (strpbrk(args->state_dir, "'\n{},:"))
        return ea_fail(err, -EINVAL,
                       "--state-dir: ' , : { } and line breaks are not allowed in the path");
    text = ea_xasprintf(default_text, watch_q, evidence, args->webhook_port, args->web_port,
                        args->health_port);
    a->embedded = true;
    return ea_config_parse(ea_str(text), "embedded default", &a->config, err);
}

static enum ea_log_level log_level(const char *name)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    for (size_t i = 0; i < EA_COUNT(names); i++) {
        if (strcmp(names[i], name) == 0)
            return (enum ea_log_level)i;
    }
    return EA_LOG_INFO;
}

static int connect_kube(struct ea_agent *a, struct ea_err *err)
{
    const struct ea_config *c = a->config;
    int r = *c->kubeconfig
                ? ea_kube_config_load(c->kubeconfig, *c->kube_context ? c->kube_context : NULL,
                                      &a->kube_config, err)
                : ea_kube_config_in_cluster(NULL, &a->kube_config, err);

    return r ? r : ea_kube_new(a->kube_config, NULL, &a->kube, err);
}

/* ---- start ---- */

int ea_agent_start(struct ea_agent *a, const struct ea_agent_args *args, struct ea_err *err)
{
    int r = load_config(a, args, err);

    if (r)
        return r;
    a->directory = strcmp(a->config->source_kind, "directory") == 0;
    ea_log_init(log_level(a->config->log_level), strcmp(a->config->log_format, "json") == 0);
    r = ea_agent_rules_load(a->config, &a->rules, err);
    if (!r && !a->directory)
        r = connect_kube(a, err);
    /* from here on everything that happens is recorded */
    if (!r)
        r = ea_agent_log_open(a, err);
    if (!r)
        r = ea_agent_sinks_start(a, err);
    /* nothing is answered before something is known: the source first, then the webhook, then the
     * seat that leads callers to it */
    if (!r)
        r = ea_agent_source_start(a, err);
    if (!r)
        r = ea_agent_node_start(a, err);
    if (!r)
        r = ea_agent_seat_start(a, err);
    if (!r)
        r = ea_agent_serve_start(a, err);
    if (!r)
        r = ea_agent_seat_take(a, err);
    if (!r && a->embedded)
        ea_agent_hello(a, args->state_dir);
    return r;
}

void ea_agent_tick(struct ea_agent *a)
{
    ea_audit_tick(a->audit);
    ea_agent_node_tick(a);
    ea_agent_seat_tick(a);
    if (a->embedded)
        ea_agent_show_changes(a);
}

void ea_agent_reload(struct ea_agent *a)
{
    struct ea_config *config = NULL;
    struct ea_agent_rules *rules = NULL;
    struct ea_err err = {0};
    int r = a->config_path ? ea_config_load(a->config_path, &config, &err) : 0;

    if (!r)
        r = ea_agent_rules_load(config ? config : a->config, &rules, &err);
    ea_config_free(config);
    if (r) {
        ea_log_err(EA_LOG_ERROR, "reload-failed", &err);
        return;
    }
    struct ea_buf b;

    ea_buf_init(&b, 1u << 10);
    ea_buf_addf(&b, "{\"from\":\"%s\",\"to\":\"%s\"}", a->rules->set->sha256, rules->set->sha256);
    ea_agent_record(a, EA_REC_RULESET_CHANGED, ea_buf_str(&b));
    ea_buf_done(&b);
    ea_log(EA_LOG_INFO, "reloaded", EA_KV_Z("ruleset", rules->set->sha256),
           EA_KV_U64("controls", rules->set->n_controls));
    struct ea_agent_rules *old = ea_agent_rules_swap(a, rules);
    struct ea_admission_policy policy;

    ea_audit_set_rules(a->audit, rules->set, rules->exemptions);
    ea_agent_node_rules(a);
    if (a->admission) {
        ea_agent_policy(a, &policy);
        ea_admission_publish(a->admission, &policy);
    }
    ea_agent_rules_unref(old);
    ea_agent_seat_poke(a);
}

void ea_agent_stop(struct ea_agent *a, const char *reason)
{
    struct ea_err err = {0};

    /* callers are led away first, then running reviews end, then the source falls silent, then the
     * log is closed */
    ea_agent_seat_drain(a);
    ea_agent_serve_stop(a);
    ea_agent_seat_release(a);
    ea_agent_shown_free(a);
    ea_agent_node_stop(a);
    ea_agent_source_stop(a);
    for (unsigned i = 0; i < a->n_sinks; i++)
        ea_sink_stop(a->sinks[i], SINK_GRACE_US);
    if (a->log && ea_elog_close(a->log, reason, &err))
        ea_log_err(EA_LOG_ERROR, "evidence-close", &err);
    ea_kube_free(a->kube);
    ea_kube_config_unref(a->kube_config);
    ea_agent_rules_unref(a->rules);
    ea_config_free(a->config);
    free(a->tls_dir);
}

/* ---- the command ---- */

/* Waits for a signal or the next tick. The signal's number, or 0. */
static int wait_signal(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct signalfd_siginfo si;

    if (poll(&p, 1, TICK_MS) <= 0 || read(fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
        return 0;
    return (int)si.ssi_signo;
}

static int signals_fd(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    /* blocked before any thread starts, so that all inherit it */
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static const char *main_loop(struct ea_agent *a, int fd)
{
    for (;;) {
        int sig = wait_signal(fd);

        if (sig == SIGTERM)
            return "sigterm";
        if (sig == SIGINT)
            return "sigint";
        if (sig == SIGHUP)
            ea_agent_reload(a);
        ea_agent_tick(a);
    }
}

static int run(const struct ea_args *args)
{
    const struct ea_agent_args given = {
        .config = ea_opt_get(args, "config"),
        .state_dir = ea_opt_get(args, "state-dir"),
        .watch_dir = ea_opt_get(args, "watch-dir"),
        .webhook_port = ea_opt_get(args, "webhook-port"),
        .web_port = ea_opt_get(args, "web-port"),
        .health_port = ea_opt_get(args, "health-port"),
    };
    struct ea_agent a = {.rules_lock = PTHREAD_MUTEX_INITIALIZER};
    struct ea_err err = {0};
    EA_AUTO_FD int fd = signals_fd();

    if (ea_agent_start(&a, &given, &err)) {
        ea_log_err(EA_LOG_ERROR, "start-failed", &err);
        fprintf(stderr, "eucs-agent run: %s\n", ea_err_text(&err));
        ea_agent_stop(&a, "start-failed");
        return 2;
    }
    const char *reason = main_loop(&a, fd);

    ea_log(EA_LOG_INFO, "stopping", EA_KV_Z("reason", reason));
    ea_agent_stop(&a, reason);
    return 0;
}

static const struct ea_opt options[] = {
    {"config", 'c', EA_OPT_VALUE, "FILE", NULL, NULL,
     "configuration (docs/CONFIG.md); without it the embedded default runs on loopback"},
    {"watch-dir", 'w', EA_OPT_VALUE, "DIR", "manifests/samples", NULL,
     "embedded default: folder of manifests that is watched"},
    {"state-dir", 's', EA_OPT_VALUE, "DIR", "build/run", NULL,
     "embedded default: where evidence, keys and certificates go"},
    {"webhook-port", 0, EA_OPT_VALUE, "PORT", "8443", NULL,
     "embedded default: port of the webhook"},
    {"web-port", 0, EA_OPT_VALUE, "PORT", "8444", NULL,
     "embedded default: port of status page, API and metrics"},
    {"health-port", 0, EA_OPT_VALUE, "PORT", "8081", NULL,
     "embedded default: port of /livez and /readyz"},
    {NULL},
};

const struct ea_cmd ea_cmd_run = {
    .name = "run",
    .summary = "the agent: watch, judge, answer admission reviews, keep evidence",
    .text = "With --config it runs on a cluster or a folder as configured; SIGHUP reads controls, "
            "parameters and exemptions again,\n"
            "SIGTERM drains and closes the log.\n\n"
            "Examples:\n"
            "  eucs-agent run                                    embedded default: "
            "manifests/samples, loopback\n"
            "  eucs-agent run --config /etc/eucs-agent/config.yaml",
    .options = options,
    .run = run,
};

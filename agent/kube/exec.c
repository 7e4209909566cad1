/* kube/exec.c - exec credential plugins: run without a shell, within a time, and their answer read.
 */
#include "base/fd.h"
#include "base/limits.h"
#include "doc/json.h"
#include "kube/config_priv.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLUGIN_US (30ull * 1000000) /* cloud CLIs take seconds; a watch must not wait for ever */

extern char **environ;

static void words_free(char **w)
{
    for (size_t i = 0; w && w[i]; i++) {
        explicit_bzero(w[i], strlen(w[i]));
        free(w[i]);
    }
    free(w);
}

void kube_exec_free(struct kube_exec *e)
{
    if (!e)
        return;
    words_free(e->args);
    words_free(e->env);
    free(e->command);
    free(e->info);
    free(e->hint);
    free(e);
}

/* The plugin's environment: ours, then the configured variables, then KUBERNETES_EXEC_INFO; the
 * later ones win. */
static char **make_env(const struct kube_exec *e)
{
    size_t have = 0, add = 0, n = 0;
    char **env;

    while (environ && environ[have])
        have++;
    while (e->env && e->env[add])
        add++;
    env = ea_xalloc((have + add + 2) * sizeof(*env));
    for (size_t i = 0; i < have; i++) {
        size_t name = strcspn(environ[i], "=") + 1;
        bool over = strncmp(environ[i], "KUBERNETES_EXEC_INFO=", 21) == 0;

        for (size_t k = 0; k < add && !over; k++)
            over = strncmp(environ[i], e->env[k], name) == 0;
        if (!over)
            env[n++] = ea_str_dupz(ea_str(environ[i]));
    }
    for (size_t k = 0; k < add; k++)
        env[n++] = ea_str_dupz(ea_str(e->env[k]));
    env[n] = ea_xasprintf("KUBERNETES_EXEC_INFO=%s", e->info);
    return env;
}

static int spawn(const struct kube_exec *e, int out, pid_t *ret, struct ea_err *err)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none;
    char **env = make_env(e);
    int rc;

    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    sigemptyset(&none);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, out, 1);
    /* its own group, so that a time-out ends its children too */
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&at, 0);
    posix_spawnattr_setsigmask(&at, &none);
    rc = posix_spawnp(ret, e->command, &fa, &at, e->args, env);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    words_free(env);
    if (rc)
        return ea_fail(err, -rc, "exec plugin %s: %s%s%s", e->command, strerror(rc),
                       e->hint ? "; " : "", e->hint ? e->hint : "");
    return 0;
}

static int read_output(int fd, struct ea_buf *b, ea_mono_us end, const char *name,
                       struct ea_err *err)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ea_mono_us now = ea_mono_now();
        char chunk[4096];
        ssize_t n;
        int rc;

        if (now >= end)
            return ea_fail(err, -ETIME, "exec plugin %s did not end within %llu s", name,
                           PLUGIN_US / 1000000);
        rc = poll(&p, 1, (int)((end - now) / 1000 + 1));
        if (rc < 0 && errno != EINTR)
            return ea_fail(err, -errno, "exec plugin %s: %s", name, strerror(errno));
        if (rc <= 0)
            continue;
        n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ea_fail(err, -errno, "exec plugin %s: %s", name, strerror(errno));
        if (n == 0)
            return 0;
        rc = ea_buf_add(b, chunk, (size_t)n);
        explicit_bzero(chunk, sizeof(chunk));
        if (rc)
            return ea_fail(err, -E2BIG, "exec plugin %s printed more than %u bytes", name,
                           EA_MAX_EXEC_OUTPUT);
    }
}

/* Waits for the end of the plugin until `end`, then kills its group. Returns the wait status or a
 * negative errno. */
static int reap(pid_t pid, ea_mono_us end, bool now)
{
    int status = 0;

    while (!now) {
        pid_t r = waitpid(pid, &status, WNOHANG);

        if (r == pid)
            return status;
        if (r < 0 && errno != EINTR)
            return -errno;
        if (ea_mono_now() >= end)
            break;
        ea_sleep_us(5000);
    }
    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return -ETIME;
}

int kube_exec_run(const struct kube_exec *e, struct ea_kube_creds *k, struct ea_err *err)
{
    EA_AUTO_FD int rd = -1;
    ea_mono_us end = ea_mono_now() + PLUGIN_US;
    struct ea_buf b;
    pid_t pid;
    int p[2], rc, status;

    if (pipe2(p, O_CLOEXEC) < 0)
        return ea_fail(err, -errno, "exec plugin: %s", strerror(errno));
    rd = p[0];
    rc = spawn(e, p[1], &pid, err);
    close(p[1]);
    if (rc)
        return rc;
    ea_buf_init(&b, EA_MAX_EXEC_OUTPUT);
    rc = read_output(rd, &b, end, e->command, err);
    status = reap(pid, end, rc != 0);
    if (rc == 0 && status == -ETIME)
        rc = ea_fail(err, -ETIME, "exec plugin %s did not end within %llu s", e->command,
                     PLUGIN_US / 1000000);
    else if (rc == 0 && status != 0)
        rc = ea_fail(err, -EACCES, "exec plugin %s failed (%s %d)", e->command,
                     WIFSIGNALED(status) ? "signal" : "exit status",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (rc == 0) {
        rc = kube_exec_parse(e->v1beta1, ea_buf_str(&b), k, err);
        if (rc)
            ea_wrap(err, "exec plugin %s", e->command);
    }
    if (b.p)
        explicit_bzero(b.p, b.n);
    ea_buf_done(&b);
    return rc;
}

int kube_exec_parse(bool v1beta1, struct ea_str text, struct ea_kube_creds *k, struct ea_err *err)
{
    struct ea_arena a;
    struct ea_val root;
    const struct ea_val *st;
    struct ea_str token, cert, key, expires;
    int rc;

    ea_arena_init(&a, 8 * EA_MAX_EXEC_OUTPUT, 0);
    rc = ea_json_parse(&a, text, NULL, &root, NULL, NULL);
    if (rc) {
        /* the parser's message may quote what it read, which is a secret */
        ea_arena_done(&a);
        return ea_fail(err, -EINVAL, "its output is not JSON");
    }
    st = ea_val_getz(&root, "status");
    token = ea_val_get_str(st, "token");
    cert = ea_val_get_str(st, "clientCertificateData");
    key = ea_val_get_str(st, "clientKeyData");
    expires = ea_val_get_str(st, "expirationTimestamp");
    if (!ea_str_is(ea_val_get_str(&root, "kind"), "ExecCredential") ||
        !ea_str_is(ea_val_get_str(&root, "apiVersion"), v1beta1
                                                            ? "client.authentication.k8s.io/v1beta1"
                                                            : "client.authentication.k8s.io/v1"))
        rc = ea_fail(err, -EINVAL, "its output is no ExecCredential of the configured version");
    else if (!ea_val_is(st, EA_V_MAP))
        rc = ea_fail(err, -EINVAL, "its output has no status");
    else if (!token.n && !cert.n)
        rc = ea_fail(err, -EACCES, "it gave neither a token nor a certificate");
    else if ((cert.n != 0) != (key.n != 0))
        rc = ea_fail(err, -EINVAL,
                     "it gave a certificate without a key or a key without a certificate");
    else if (expires.n && ea_rfc3339_parse(expires, &k->expires) < 0)
        rc = ea_fail(err, -EINVAL, "its expirationTimestamp is no RFC 3339 time");
    if (rc == 0) {
        if (token.n)
            k->token = kube_blob_dup(token);
        if (cert.n) {
            k->cert = kube_blob_dup(cert);
            k->key = kube_blob_dup(key);
        }
    }
    ea_arena_done(&a);
    return rc;
}

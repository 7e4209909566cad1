/* Starts tests/integration/fake_kube.py with a scenario and makes a configuration for it. */
#ifndef TEST_KUBE_FAKE_H
#define TEST_KUBE_FAKE_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "kube/config.h"

struct fake {
    pid_t pid;
    int in;
    char log[64];
    struct ea_kube_config *config;
};

static inline void fake_start(struct fake *f, const char *scenario)
{
    int to[2], from[2];
    char line[64] = "", text[512];
    unsigned port = 0;
    struct ea_err err = {0};

    (void)snprintf(f->log, sizeof(f->log), "/tmp/ea-fake-%d.log", (int)getpid());
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    f->pid = fork();
    if (f->pid == 0) {
        (void)dup2(to[0], 0);
        (void)dup2(from[1], 1);
        execl("/usr/bin/python3", "python3", EA_TEST_DATA "/integration/fake_kube.py", scenario,
              f->log, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    f->in = to[1];
    for (size_t n = 0; n + 1 < sizeof(line) && !strchr(line, '\n');) {
        ssize_t k = read(from[0], line + n, sizeof(line) - 1 - n);

        if (k <= 0)
            fail_msg("fake_kube.py does not start");
        n += (size_t)k;
        line[n] = 0;
    }
    close(from[0]);
    assert_int_equal(sscanf(line, "port %u", &port), 1);
    (void)snprintf(text, sizeof(text),
                   "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
                   "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:%u'}}]\nusers: "
                   "[{name: u, user: {token: t0}}]\n",
                   port);
    if (ea_kube_config_parse(ea_str(text), NULL, NULL, &f->config, &err) < 0)
        fail_msg("%s", err.text);
}

static inline char *fake_log(const struct fake *f)
{
    char *p = NULL;
    size_t n;

    assert_int_equal(ea_read_file(f->log, 1 << 20, &p, &n, NULL), 0);
    return p;
}

/* Fails when the fake saw a request that it did not expect. */
static inline void fake_stop(struct fake *f)
{
    int status = 0;

    ea_kube_config_unref(f->config);
    close(f->in);
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    (void)unlink(f->log);
    assert_int_equal(status, 0);
}

#endif

/* What the evidence tests share: a fresh folder, a log in it, copies, flips, counting. */
#ifndef EA_TEST_EVIDENCE_HELPER_H
#define EA_TEST_EVIDENCE_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "evidence/log.h"
#include "evidence/store.h"

static char test_dir[256], test_dir2[300];

static EA_UNUSED void sh(const char *fmt, ...)
{
    char cmd[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(cmd, sizeof(cmd), fmt, ap);
    va_end(ap);
    if (system(cmd) != 0)
        fail_msg("failed: %s", cmd);
}

static EA_UNUSED int fresh(void **state)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(test_dir, sizeof(test_dir), "%s/ea-evidence-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(test_dir))
        return -1;
    snprintf(test_dir2, sizeof(test_dir2), "%s-copy", test_dir);
    return 0;
}

static EA_UNUSED int gone(void **state)
{
    char cmd[1024];

    snprintf(cmd, sizeof(cmd), "rm -rf '%s' '%s'", test_dir, test_dir2);
    return system(cmd) == 0 ? 0 : -1;
}

static EA_UNUSED struct ea_elog_opts options(void)
{
    return (struct ea_elog_opts){.dir = test_dir,
                                 .domain = "eucs-agent.local",
                                 .cluster_uid = "6f1d0b9e-0000-4000-8000-000000000001",
                                 .node_uid = "9b2c1a4e-0000-4000-8000-00000000000a",
                                 .first_epoch = 1,
                                 .agent_version = "0.1.0",
                                 .boot_id = "boot-a",
                                 .segment_bytes = 16384,
                                 .keep_free_percent = 100};
}

static EA_UNUSED struct ea_elog *open_log(const struct ea_elog_opts *o)
{
    struct ea_err err = {0};
    struct ea_elog *l = NULL;

    if (ea_elog_open(o, &l, &err) != 0)
        fail_msg("open: %s", err.text);
    return l;
}

static EA_UNUSED void close_log(struct ea_elog *l)
{
    struct ea_err err = {0};

    if (ea_elog_close(l, "sigterm", &err) != 0)
        fail_msg("close: %s", err.text);
}

static EA_UNUSED void append(struct ea_elog *l, unsigned n, struct ea_position *last)
{
    for (unsigned i = 0; i < n; i++) {
        struct ea_position pos;
        struct ea_err err = {0};
        char body[64];

        snprintf(body, sizeof(body), "{\"n\":%u,\"result\":\"fail\"}", i);
        if (ea_elog_append(l, EA_REC_ASSESSMENT, ea_str(body), false, 0, &pos, &err) != 0)
            fail_msg("append: %s", err.text);
        if (last)
            *last = pos;
    }
}

static EA_UNUSED void say_line(void *arg, const char *line)
{
    if (getenv("EA_TEST_VERBOSE"))
        fprintf(stderr, "%s\n", line);
}

static EA_UNUSED struct ea_verify_report verify(const char *path)
{
    struct ea_verify_report rep;
    struct ea_err err = {0};
    int r = ea_evidence_verify(path, &rep, say_line, NULL, &err);

    if (r != 0)
        fail_msg("verify %s: %s", path, err.text);
    return rep;
}

static EA_UNUSED void assert_holds(const char *path)
{
    struct ea_verify_report rep = verify(path);

    if (!rep.holds)
        fail_msg("%s does not hold: %s", path, rep.where);
}

/* Counts records that a reader gives from the oldest on; checks that seqs rise by one within an
 * epoch. */
static EA_UNUSED uint64_t count_records(const char *dir, uint64_t *ret_damaged)
{
    struct ea_reader *r = NULL;
    struct ea_record_view v;
    struct ea_err err = {0};
    uint64_t n = 0, damaged = 0, epoch = 0, next = 0;
    int c;

    assert_int_equal(ea_reader_open(dir, 0, 0, &r, &err), 0);
    ea_reader_thorough(r);
    while ((c = ea_reader_next(r, &v, &err)) == 0 || c == -EBADMSG) {
        if (c == -EBADMSG) {
            damaged += v.skipped;
            next = v.seq + v.skipped;
            continue;
        }
        if (v.epoch == epoch)
            assert_int_equal(v.seq, next);
        epoch = v.epoch;
        next = v.seq + 1;
        n++;
    }
    assert_int_equal(c, -ENODATA);
    ea_reader_close(r);
    if (ret_damaged)
        *ret_damaged = damaged;
    return n;
}

static EA_UNUSED uint64_t file_size(const char *dir, const char *file)
{
    char path[EA_PATH];
    struct stat st;

    assert_int_equal(ea_path(path, dir, "%s", file), 0);
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static EA_UNUSED void flip(const char *dir, const char *file, uint64_t off, uint8_t mask)
{
    char path[EA_PATH];
    uint8_t b;
    int fd;

    assert_int_equal(ea_path(path, dir, "%s", file), 0);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &b, 1, (off_t)off), 1);
    b ^= mask;
    assert_int_equal(pwrite(fd, &b, 1, (off_t)off), 1);
    close(fd);
}

/* Runs fn in a child that then kills itself, as the kernel would. */
static EA_UNUSED void in_killed_child(void (*fn)(void *), void *arg)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        fn(arg);
        kill(getpid(), SIGKILL);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

#endif

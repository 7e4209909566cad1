/* Appending records of 1 kB to the evidence log, beside a plain write() of the same bytes, in the
 * same folder and the same run. EA_BENCH_RECORDS (default 1000000) records, in rounds that take
 * turns, so that a busy disk slows both. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "evidence/format.h"
#include "evidence/log.h"

#define ROUNDS 10
#define RECORD 1000

static char dir[512], cmd[1024];

static EA_NORETURN void die(const char *what, const struct ea_err *err)
{
    fprintf(stderr, "bench_evidence: %s: %s\n", what, ea_err_text(err));
    exit(1);
}

/* Body that makes the whole record RECORD bytes long, near enough. */
static char *make_body(size_t envelope, size_t *ret_n)
{
    size_t n = RECORD - envelope;
    char *body = ea_xalloc(n + 1);

    memset(body, 'x', n);
    memcpy(body, "{\"message\":\"", 12);
    memcpy(body + n - 2, "\"}", 2);
    *ret_n = n;
    return body;
}

static double seconds(ea_mono_us from)
{
    return (double)(ea_mono_now() - from) / 1e6;
}

static double plain_writes(int fd, const char *bytes, size_t n, unsigned count)
{
    ea_mono_us t = ea_mono_now();

    for (unsigned i = 0; i < count; i++) {
        int r = ea_write_all(fd, bytes, n);

        if (r < 0)
            die("write", &(struct ea_err){.code = r, .text = "failed"});
    }
    return seconds(t);
}

static double appends(struct ea_elog *l, struct ea_str body, unsigned count)
{
    ea_mono_us t = ea_mono_now();
    struct ea_position pos;
    struct ea_err err;

    for (unsigned i = 0; i < count; i++)
        if (ea_elog_append(l, EA_REC_ASSESSMENT, body, false, 0, &pos, &err) < 0)
            die("append", &err);
    return seconds(t);
}

int main(void)
{
    const char *tmp = getenv("TMPDIR"), *want = getenv("EA_BENCH_RECORDS");
    uint64_t total = 1000000;
    struct ea_elog_opts o = {.domain = "eucs-agent.local",
                             .first_epoch = 1,
                             .agent_version = "bench",
                             .disk_limit = 4ull << 30,
                             .keep_free_percent = 100};
    struct ea_elog *l = NULL;
    struct ea_elog_stat st;
    struct ea_err err = {0};
    double plain = 0, ours = 0;
    size_t body_n;
    char path[600], log_dir[600];
    int fd;

    if (want && ea_str_to_u64(ea_str(want), &total) < 0)
        die("EA_BENCH_RECORDS", NULL);
    snprintf(dir, sizeof(dir), "%s/ea-bench-XXXXXX", tmp && *tmp ? tmp : "/var/tmp");
    if (!mkdtemp(dir))
        die(dir, NULL);
    snprintf(log_dir, sizeof(log_dir), "%s/log", dir);
    snprintf(path, sizeof(path), "%s/plain", dir);
    o.dir = log_dir;
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || ea_elog_open(&o, &l, &err) < 0)
        die("open", &err);
    ea_elog_stat(l, &st);
    char *body = make_body(180 + strlen(st.origin), &body_n);
    char *line = ea_xalloc(ea_rec_size(RECORD));
    unsigned per_round = (unsigned)(total / ROUNDS);

    for (int i = 0; i < ROUNDS; i++) {
        plain += plain_writes(fd, line, ea_rec_size(RECORD), per_round);
        ours += appends(l, ea_strn(body, body_n), per_round);
    }
    ea_elog_stat(l, &st);
    if (ea_elog_close(l, "bench", &err) < 0)
        die("close", &err);
    close(fd);
    printf("evidence_append_1k: %.0f records/s, %.0f %% of plain write() (bar 200000/s and 50 %%; "
           "%.0f writes/s, %llu syncs)\n",
           (double)per_round * ROUNDS / ours, 100.0 * plain / ours,
           (double)per_round * ROUNDS / plain, (unsigned long long)st.syncs);
    snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
    free(body);
    free(line);
    return system(cmd) == 0 ? 0 : 1;
}

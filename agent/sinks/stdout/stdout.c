/* sinks/stdout/stdout.c - the record's bytes and a line feed on standard output, for a node's log
 * collector. */
#include <poll.h>
#include <unistd.h>

#include "base/limits.h"
#include "sinks/sink.h"

#define BUFFER (256u << 10)
#define WAIT_MS 1000

struct ea_sink {
    struct ea_buf lines; /* of the batch */
    struct ea_buf rest;  /* end of a line whose start a full pipe already took */
};

static const struct ea_sink_option options[] = {{NULL}};

static int stdout_open(const struct ea_val *config, struct ea_sink **ret, struct ea_err *err)
{
    struct ea_sink *s = ea_xalloc(sizeof(*s));

    ea_buf_init(&s->lines, BUFFER + EA_MAX_RECORD + 1);
    ea_buf_init(&s->rest, EA_MAX_RECORD + 1);
    *ret = s;
    return 0;
}

static void stdout_close(struct ea_sink *s)
{
    ea_buf_done(&s->lines);
    ea_buf_done(&s->rest);
    free(s);
}

static enum ea_sink_answer stdout_send(struct ea_sink *s, const struct ea_record_view *r,
                                       struct ea_err *err)
{
    if (ea_buf_adds(&s->lines, r->bytes) < 0 || ea_buf_addc(&s->lines, '\n') < 0) {
        ea_buf_clear(&s->lines);
        ea_fail(err, -E2BIG, "a batch does not fit its buffer");
        return EA_SINK_RETRY;
    }
    return EA_SINK_SENT;
}

/* Writes until a reader that does not read stops it for a second. Number of bytes taken; *ret_code
 * says why it ended. */
static size_t write_some(const char *p, size_t n, int *ret_code)
{
    size_t done = 0;

    *ret_code = 0;
    while (done < n) {
        struct pollfd pfd = {.fd = STDOUT_FILENO, .events = POLLOUT};
        int ready = poll(&pfd, 1, WAIT_MS);
        ssize_t w;

        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0) {
            *ret_code = ready == 0 ? -ETIME : -errno;
            break;
        }
        /* A page at a time: a blocking pipe that is ready takes that much without blocking. */
        w = write(STDOUT_FILENO, p + done, EA_MIN(n - done, (size_t)4096));
        if (w < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (w < 0) {
            *ret_code = -errno;
            break;
        }
        done += (size_t)w;
    }
    return done;
}

static enum ea_sink_answer stopped(int code, struct ea_err *err)
{
    ea_fail(err, code, "writing standard output: %s",
            code == -ETIME ? "nobody reads" : strerror(-code));
    return code == -ETIME ? EA_SINK_RETRY : EA_SINK_HOLD;
}

static enum ea_sink_answer stdout_flush(struct ea_sink *s, struct ea_err *err)
{
    size_t done, line;
    int code;

    if (s->rest.n > 0) {
        done = write_some(s->rest.p, s->rest.n, &code);
        ea_buf_drop(&s->rest, done);
        if (s->rest.n > 0) {
            ea_buf_clear(&s->lines);
            return stopped(code, err);
        }
    }
    done = write_some(s->lines.p, s->lines.n, &code);
    if (done == s->lines.n) {
        ea_buf_clear(&s->lines);
        return EA_SINK_SENT;
    }
    /* The batch comes again; the line that was begun is finished first, so that no line is ever
     * torn. */
    line = done;
    while (line > 0 && line < s->lines.n && s->lines.p[line - 1] != '\n')
        line++;
    if (line > done && ea_buf_add(&s->rest, s->lines.p + done, line - done) < 0)
        ea_buf_clear(&s->rest);
    ea_buf_clear(&s->lines);
    return stopped(code, err);
}

extern const struct ea_sink_ops ea_sink_stdout;
const struct ea_sink_ops ea_sink_stdout = {
    .name = "stdout",
    .summary = "JSON lines on standard output, each line a record's exact bytes",
    .options = options,
    .open = stdout_open,
    .send = stdout_send,
    .flush = stdout_flush,
    .close = stdout_close,
};

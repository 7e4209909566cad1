/* The file and stdout sinks by themselves: bytes, half lines, rotation, full disks, slow readers.
 */
#include "../evidence/helper.h"

#include "doc/build.h"
#include "sinks/sink.h"

static struct ea_arena arena;
static char out_path[400];

static int setup(void **state)
{
    int r = fresh(state);

    ea_arena_init(&arena, 1u << 20, 0);
    snprintf(out_path, sizeof(out_path), "%s/folder/out.ndjson", test_dir);
    return r;
}

static int teardown(void **state)
{
    ea_arena_done(&arena);
    return gone(state);
}

static struct ea_val config(const char *key, const char *value)
{
    struct ea_mapb b;

    ea_mapb_init(&b, &arena);
    ea_mapb_putz(&b, "path", ea_val_str(ea_str(out_path)));
    if (key)
        ea_mapb_put(&b, ea_str(key), ea_val_str(ea_str(value)));
    return ea_mapb_end(&b);
}

static struct ea_sink *open_file(struct ea_val c)
{
    struct ea_sink *s = NULL;
    struct ea_err err;

    if (ea_sink_find(EA_STR("file"))->open(&c, &s, &err) != 0)
        fail_msg("%s", err.text);
    return s;
}

static enum ea_sink_answer put(struct ea_sink *s, const char *record)
{
    const struct ea_sink_ops *ops = ea_sink_find(EA_STR("file"));
    struct ea_record_view v = {.bytes = ea_str(record)};
    struct ea_err err;

    assert_int_equal(ops->send(s, &v, &err), EA_SINK_SENT);
    return ops->flush(s, &err);
}

static void assert_content(const char *path, const char *want)
{
    EA_AUTO_FREE char *p = NULL;
    struct ea_err err;
    size_t n = 0;

    if (ea_read_file(path, 1u << 20, &p, &n, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(p, want);
}

static void test_find(void **state)
{
    assert_non_null(ea_sink_find(EA_STR("file")));
    assert_non_null(ea_sink_find(EA_STR("stdout")));
    assert_null(ea_sink_find(EA_STR("fil")));
    assert_null(ea_sink_find(EA_STR("")));
}

static void test_append(void **state)
{
    const struct ea_sink_ops *ops = ea_sink_find(EA_STR("file"));
    struct ea_sink *s = open_file(config(NULL, NULL));
    struct stat st;

    assert_int_equal(put(s, "{\"a\":1}"), EA_SINK_SENT);
    assert_int_equal(put(s, "{\"a\":2}"), EA_SINK_SENT);
    ops->close(s);
    assert_content(out_path, "{\"a\":1}\n{\"a\":2}\n");
    assert_int_equal(stat(out_path, &st), 0);
    assert_int_equal(st.st_mode & 07, 0); /* nobody else reads it */
    /* A line whose end was not written goes. */
    sh("printf '{\"a\":3' >> %s", out_path);
    s = open_file(config(NULL, NULL));
    assert_int_equal(put(s, "{\"a\":3}"), EA_SINK_SENT);
    ops->close(s);
    assert_content(out_path, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    sh("head -c 9000 /dev/zero | tr '\\0' x > %s", out_path);
    s = open_file(config(NULL, NULL));
    assert_int_equal(put(s, "{}"), EA_SINK_SENT);
    ops->close(s);
    assert_content(out_path, "{}\n");
}

static void test_moved_away(void **state)
{
    const struct ea_sink_ops *ops = ea_sink_find(EA_STR("file"));
    struct ea_sink *s = open_file(config(NULL, NULL));

    assert_int_equal(put(s, "1"), EA_SINK_SENT);
    sh("mv %s %s.old", out_path, out_path);
    assert_int_equal(put(s, "2"), EA_SINK_SENT);
    ops->close(s);
    assert_content(out_path, "2\n");
}

static void test_rotation(void **state)
{
    const struct ea_sink_ops *ops = ea_sink_find(EA_STR("file"));
    struct ea_mapb b;
    struct ea_sink *s;
    char path[420];

    ea_mapb_init(&b, &arena);
    ea_mapb_putz(&b, "path", ea_val_str(ea_str(out_path)));
    ea_mapb_putz(&b, "maxBytes", ea_val_int(4));
    ea_mapb_putz(&b, "keep", ea_val_int(2));
    s = open_file(ea_mapb_end(&b));
    for (int i = 1; i <= 9; i++) {
        char text[2] = {(char)('0' + i), '\0'};

        assert_int_equal(put(s, text), EA_SINK_SENT);
    }
    ops->close(s);
    assert_content(out_path, "9\n");
    snprintf(path, sizeof(path), "%s.1", out_path);
    assert_content(path, "7\n8\n");
    snprintf(path, sizeof(path), "%s.2", out_path);
    assert_content(path, "5\n6\n");
    snprintf(path, sizeof(path), "%s.3", out_path);
    assert_true(access(path, F_OK) != 0);
}

static void test_bad_options(void **state)
{
    const struct ea_sink_ops *ops = ea_sink_find(EA_STR("file"));
    struct ea_val bad[] = {config("mode", "rw"),      config("mode", "7777"),
                           config("sync", "perhaps"), config("maxBytes", "many"),
                           config("keep", "0"),       ea_val_null()};
    struct ea_sink *s = NULL;
    struct ea_err err;

    for (size_t i = 0; i < EA_COUNT(bad); i++)
        assert_int_equal(ops->open(&bad[i], &s, &err), -EINVAL);
    sh("mkdir -p %s", out_path); /* a folder is no file */
    bad[0] = config(NULL, NULL);
    assert_true(ops->open(&bad[0], &s, &err) < 0);
}

static void test_full_disk(void **state)
{
    const struct ea_sink_ops *ops = ea_sink_find(EA_STR("file"));
    struct ea_sink *s;

    assert_int_equal(access("/dev/full", W_OK), 0);
    snprintf(out_path, sizeof(out_path), "/dev/full");
    s = open_file(config("sync", "false"));
    assert_int_equal(put(s, "{}"), EA_SINK_HOLD);
    ops->close(s);
}

/* Standard output is a pipe whose reader sleeps: retry, and no torn line in what it reads later. */
static void test_stdout(void **state)
{
    const struct ea_sink_ops *ops = ea_sink_find(EA_STR("stdout"));
    struct ea_val c = ea_val_null();
    struct ea_sink *s = NULL;
    struct ea_err err;
    int p[2], keep, lines = 0;
    static char text[3000], got[1 << 20];
    size_t n = 0;

    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(pipe2(p, O_NONBLOCK), 0);
    fflush(stdout);
    keep = dup(STDOUT_FILENO);
    assert_true(dup2(p[1], STDOUT_FILENO) >= 0);
    close(p[1]);
    assert_int_equal(ops->open(&c, &s, &err), 0);
    for (int i = 0; i < 40; i++) {
        struct ea_record_view v = {.bytes = ea_strn(text, sizeof(text) - 1)};

        (void)ops->send(s, &v, &err);
    }
    enum ea_sink_answer first = ops->flush(s, &err);
    for (ssize_t r; (r = read(p[0], got + n, sizeof(got) - n)) > 0; n += (size_t)r)
        ;
    enum ea_sink_answer second = ops->flush(s, &err); /* the rest of the line that was begun */
    for (ssize_t r; (r = read(p[0], got + n, sizeof(got) - n)) > 0; n += (size_t)r)
        ;
    close(p[0]);
    ops->close(s);
    dup2(keep, STDOUT_FILENO);
    close(keep);
    assert_int_equal(first, EA_SINK_RETRY);
    assert_int_equal(second, EA_SINK_SENT);
    assert_true(n > 60000);
    for (size_t i = 0, line = 0; i < n; i++, line++) {
        if (got[i] != '\n')
            continue;
        assert_int_equal(line, sizeof(text) - 1);
        line = (size_t)-1;
        lines++;
    }
    assert_int_equal(got[n - 1], '\n');
    assert_int_equal((size_t)lines * sizeof(text), n);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_find),        T(test_append),    T(test_moved_away), T(test_rotation),
        T(test_bad_options), T(test_full_disk), T(test_stdout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The webhook over a real socket with a real evidence log: callers, refusals, records, a sick disk,
 * sync: always, a changed rule set. */
#include "util.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "admission/serve.h"
#include "base/limits.h"
#include "evidence/store.h"

#define GOOD CREATE_POD("{\"containers\":[" PLAIN("app") "]}")
#define BAD CREATE_POD("{\"containers\":[" PRIVILEGED("app") "]}")

struct bench {
    char dir[64];
    struct ea_ruleset *rules;
    struct ea_elog *log;
    struct ea_admission *adm;
    struct ea_admission_opts o;
};

/* A disk that can fall ill. */
static struct ea_evidence_io healthy;
static atomic_bool is_sick;

static int try_pwrite(int fd, const void *p, size_t n, uint64_t off)
{
    return atomic_load(&is_sick) ? -EIO : healthy.pwrite_all(fd, p, n, off);
}

static int try_allocate(int fd, uint64_t size)
{
    return atomic_load(&is_sick) ? -EIO : healthy.allocate(fd, size);
}

static int setup(void **state)
{
    struct bench *b = ea_xalloc(sizeof(*b));
    struct ea_elog_opts lo = {.domain = "test",
                              .first_epoch = 1,
                              .key_type = EA_KEY_ED25519,
                              .agent_version = "t",
                              .boot_id = "boot"};
    struct ea_err err = {0};

    signal(SIGPIPE, SIG_IGN);
    if (!healthy.pwrite_all) {
        healthy = ea_evidence_io;
        ea_evidence_io.pwrite_all = try_pwrite;
        ea_evidence_io.allocate = try_allocate;
    }
    snprintf(b->dir, sizeof(b->dir), "/tmp/ea-adm-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    lo.dir = b->dir;
    lo.sync_interval_us = 20000;
    if (ea_elog_open(&lo, &b->log, &err))
        fail_msg("%s", err.text);
    b->rules = load_rules();
    b->o = (struct ea_admission_opts){.server = {.address = "127.0.0.1"},
                                      .log = b->log,
                                      .policy = {.rules = b->rules, .enforcement = EA_DENY},
                                      .tokens = {.unlimited = true}};
    snprintf(b->o.tokens.current, sizeof(b->o.tokens.current), "s3cret");
    *state = b;
    return 0;
}

static void start(struct bench *b)
{
    struct ea_err err = {0};

    if (ea_admission_start(&b->o, &b->adm, &err))
        fail_msg("%s", err.text);
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char cmd[128];

    ea_admission_stop(b->adm, 1000000);
    (void)ea_elog_close(b->log, "test", NULL);
    ea_ruleset_unref(b->rules);
    snprintf(cmd, sizeof(cmd), "rm -rf '%s'", b->dir);
    assert_int_equal(system(cmd), 0);
    free(b);
    return 0;
}

static int dial(struct bench *b)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(ea_admission_port(b->adm))};
    struct timeval tv = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    return fd;
}

static void put(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void send_request(int fd, const char *path, const char *type, const char *body)
{
    EA_AUTO_FREE char *text =
        ea_xasprintf("POST %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: "
                     "%s\r\nContent-Length: %zu\r\n\r\n%s",
                     path, type, strlen(body), body);

    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static const char *receive(int fd)
{
    static char buf[65536];
    size_t n = 0;
    ssize_t r;

    while (n < sizeof(buf) - 1 && (r = recv(fd, buf + n, sizeof(buf) - 1 - n, 0)) > 0)
        n += (size_t)r;
    buf[n] = 0;
    close(fd);
    return buf;
}

static const char *post(struct bench *b, const char *path, const char *type, const char *body)
{
    int fd = dial(b);

    send_request(fd, path, type, body);
    return receive(fd);
}

static const char *review(struct bench *b, const char *path, const char *body)
{
    return post(b, path, "application/json", body);
}

/* Records of one type in the log; the last one's text in ret_last. */
static unsigned records(struct bench *b, enum ea_record_type type, char *ret_last, size_t size)
{
    struct ea_reader *r;
    struct ea_record_view v;
    unsigned n = 0;

    if (ret_last)
        ret_last[0] = 0;
    assert_int_equal(ea_reader_open(b->dir, 0, 0, &r, NULL), 0);
    while (ea_reader_next(r, &v, NULL) == 0)
        if (v.type == type) {
            n++;
            if (ret_last)
                snprintf(ret_last, size, "%.*s", EA_STRF(v.bytes));
        }
    ea_reader_close(r);
    return n;
}

/* ---- tests ---- */

static void test_decisions_are_recorded(void **state)
{
    struct bench *b = *state;
    char last[8192];

    start(b);
    assert_has(review(b, "/validate?timeout=5s", GOOD),
               "\"allowed\":true,\"auditAnnotations\":{\"evidence\":\"");
    assert_has(review(b, "/validate/s3cret", BAD), "\"allowed\":false");
    assert_int_equal(records(b, EA_REC_ADMISSION_DECISION, last, sizeof(last)), 2);
    assert_has(last, "\"allowed\":false,\"caller\":\"path-token\"");
    assert_has(review(b, "/validate/wrong", BAD), "\"allowed\":false");
    (void)records(b, EA_REC_ADMISSION_DECISION, last, sizeof(last));
    assert_has(last, "\"caller\":\"none\"");
}

static void test_dry_run_leaves_no_record(void **state)
{
    struct bench *b = *state;
    struct ea_admission_stat st;
    const char *got;

    start(b);
    got = review(
        b, "/validate",
        REVIEW(GVR_POD, "CREATE",
               "\"dryRun\":true,\"object\":" POD("{\"containers\":[" PRIVILEGED("app") "]}")));
    assert_has(got, "\"allowed\":false");
    assert_has_not(got, "\"evidence\"");
    assert_int_equal(records(b, EA_REC_ADMISSION_DECISION, NULL, 0), 0);
    ea_admission_stat(b->adm, &st);
    assert_int_equal(st.dry_runs, 1);
}

static void test_what_is_no_review(void **state)
{
    struct bench *b = *state;
    int fd;

    start(b);
    assert_has(post(b, "/validate", "text/plain", GOOD), "415 Unsupported");
    assert_has(post(b, "/validate", "application/json; charset=utf-8", GOOD), "200 OK");
    assert_has(post(b, "/validate", "application/jsonx", GOOD), "415 Unsupported");
    assert_has(review(b, "/other", GOOD), "404 Not Found");
    assert_has(review(b, "/validate", "{"), "400 Bad Request");
    assert_has(review(b, "/validate", ""), "the body is empty");
    assert_has(review(b, "/validate", "{\"kind\":\"X\",\"apiVersion\":\"v1\"}"),
               "AdmissionReview is expected");
    fd = dial(b);
    put(fd, "GET /validate HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_has(receive(fd), "Allow: POST\r\n");
    fd = dial(b);
    put(fd, "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Type: "
            "application/json\r\nContent-Length: 8388608\r\n\r\n");
    assert_has(receive(fd), "413 Content Too Large");
    assert_int_equal(records(b, EA_REC_ADMISSION_DECISION, NULL, 0), 1);
}

static void test_deadline_from_the_query(void **state)
{
    struct bench *b = *state;

    start(b);
    /* 80 % of a microsecond is over before the first control */
    assert_has(review(b, "/validate?timeout=1us", BAD), "200 OK");
    assert_has(review(b, "/validate?timeout=nonsense", BAD), "\"allowed\":false");
}

static void test_callers_without_token_are_limited(void **state)
{
    struct bench *b = *state;
    struct ea_admission_tokens t = {
        .current = "s3cret", .previous = "older", .grace_until = ea_mono_now() + 60000000};
    int slow[EA_UNAUTHENTICATED_CALLS];

    start(b);
    ea_admission_set_tokens(b->adm, &t);
    for (unsigned i = 0; i < EA_UNAUTHENTICATED_CALLS; i++) {
        static const char head[] = "POST /validate HTTP/1.1\r\nHost: h\r\nContent-Type: "
                                   "application/json\r\nContent-Length: 100\r\n\r\n";

        slow[i] = dial(b);
        assert_true(send(slow[i], head, sizeof(head) - 1, 0) > 0);
    }
    ea_sleep_us(100000);
    assert_has(review(b, "/validate", GOOD), "429 Too Many Requests");
    assert_has(review(b, "/validate/s3cret", GOOD), "200 OK");
    assert_has(review(b, "/validate/older", GOOD), "200 OK");
    for (unsigned i = 0; i < EA_UNAUTHENTICATED_CALLS; i++)
        close(slow[i]);
    ea_sleep_us(100000);
    /* room again; it is judged, and counted instead of recorded */
    assert_has(review(b, "/validate", BAD), "\"allowed\":false");
    assert_int_equal(records(b, EA_REC_ADMISSION_DECISION, NULL, 0), 2);
    for (int i = 0; i < 40 && records(b, EA_REC_ADMISSION_UNAUTHENTICATED, NULL, 0) == 0; i++)
        ea_sleep_us(50000);
    assert_int_equal(records(b, EA_REC_ADMISSION_UNAUTHENTICATED, NULL, 0), 1);
    t.grace_until = ea_mono_now();
    t.unlimited = true;
    ea_admission_set_tokens(b->adm, &t);
    (void)review(b, "/validate/older", GOOD);
    {
        char last[8192];

        (void)records(b, EA_REC_ADMISSION_DECISION, last, sizeof(last));
        assert_has(last, "\"caller\":\"none\"");
    }
}

/* ---- sync: always ---- */

struct caller {
    pthread_t thread;
    struct bench *b;
    bool good;
};

static void *call_many(void *arg)
{
    struct caller *c = arg;

    c->good = true;
    for (int i = 0; i < 20; i++) {
        EA_AUTO_FREE char *text = ea_xasprintf("POST /validate HTTP/1.1\r\nHost: h\r\nConnection: "
                                               "close\r\nContent-Type: application/json\r\n"
                                               "Content-Length: %zu\r\n\r\n%s",
                                               strlen(GOOD), GOOD);
        char buf[4096];
        size_t n = 0;
        ssize_t r;
        int fd = dial(c->b);

        c->good &= send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
        while (n < sizeof(buf) - 1 && (r = recv(fd, buf + n, sizeof(buf) - 1 - n, 0)) > 0)
            n += (size_t)r;
        buf[n] = 0;
        c->good &= strstr(buf, "\"evidence\"") != NULL;
        close(fd);
    }
    return NULL;
}

static void test_sync_always_parks(void **state)
{
    struct bench *b = *state;
    struct ea_elog_stat st;
    struct caller c[8];

    b->o.sync = EA_SYNC_ALWAYS;
    b->o.server.workers = 2;
    start(b);
    for (unsigned i = 0; i < EA_COUNT(c); i++) {
        c[i].b = b;
        assert_int_equal(pthread_create(&c[i].thread, NULL, call_many, &c[i]), 0);
    }
    for (unsigned i = 0; i < EA_COUNT(c); i++) {
        pthread_join(c[i].thread, NULL);
        assert_true(c[i].good);
    }
    assert_int_equal(records(b, EA_REC_ADMISSION_DECISION, NULL, 0), 160);
    ea_elog_stat(b->log, &st);
    assert_true(st.synced_seq + 1 >= 160);
}

/* ---- a changed policy ---- */

static atomic_int released;

static void on_release(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_policy_is_exchanged(void **state)
{
    struct bench *b = *state;
    struct ea_admission_policy p = {.rules = b->rules, .enforcement = EA_WARN};

    b->o.policy.release = on_release;
    b->o.policy.release_arg = &released;
    start(b);
    assert_has(review(b, "/validate", BAD), "\"allowed\":false");
    assert_int_equal(atomic_load(&released), 0);
    ea_admission_publish(b->adm, &p);
    assert_int_equal(atomic_load(&released), 1);
    assert_has(review(b, "/validate", BAD), "\"allowed\":true");
}

/* ---- a sick disk ---- */

static void test_sick_disk(void **state)
{
    struct bench *b = *state;
    char why[256] = "", last[8192];
    struct ea_admission_stat st;

    start(b);
    assert_has(review(b, "/validate", BAD), "\"evidence\":\"");
    atomic_store(&is_sick, true);
    /* the verdict is given and says what is missing */
    assert_has(review(b, "/validate", BAD), "\"allowed\":false");
    assert_has(review(b, "/validate", BAD), "\"evidence-lost\":\"");
    assert_true(ea_admission_ready(b->adm, why, sizeof(why)));
    ea_sleep_us(2200000);
    assert_false(ea_admission_ready(b->adm, why, sizeof(why)));
    assert_has(why, "evidence log");
    ea_admission_stat(b->adm, &st);
    assert_int_equal(st.lost, 2);
    /* the disk is back: the loss itself is recorded, and the seat is ready again without a new call
     */
    atomic_store(&is_sick, false);
    for (int i = 0; i < 100 && !ea_admission_ready(b->adm, NULL, 0); i++)
        ea_sleep_us(50000);
    assert_true(ea_admission_ready(b->adm, NULL, 0));
    assert_int_equal(records(b, EA_REC_EVIDENCE_LOSS, last, sizeof(last)), 1);
    assert_has(last, "\"count\":2,");
    assert_has(review(b, "/validate", BAD), "\"evidence\":\"");
}

static void test_sick_disk_blocks(void **state)
{
    struct bench *b = *state;

    b->o.block_when_full = true;
    start(b);
    assert_has(review(b, "/validate", BAD), "\"evidence\":\"");
    atomic_store(&is_sick, true);
    assert_has(review(b, "/validate", BAD), "500 Internal Server Error");
    atomic_store(&is_sick, false);
    for (int i = 0; i < 100 && !strstr(review(b, "/validate", GOOD), "200 OK"); i++)
        ea_sleep_us(50000);
    assert_has(review(b, "/validate", GOOD), "\"allowed\":true");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_decisions_are_recorded),
        TEST(test_dry_run_leaves_no_record),
        TEST(test_what_is_no_review),
        TEST(test_deadline_from_the_query),
        TEST(test_callers_without_token_are_limited),
        TEST(test_sync_always_parks),
        TEST(test_policy_is_exchanged),
        TEST(test_sick_disk),
        TEST(test_sick_disk_blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

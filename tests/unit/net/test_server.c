/* The server over real sockets: what it answers, whom it cuts off, and that nobody else notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "net/client.h"
#include "net/server.h"
#include "certs.h"

/* libc guards its time zone with a lock that the sanitizer does not see; libwebsockets asks for
 * local time in each thread. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:tzset_internal\n";
}

static char dir[] = "/tmp/ea-net-XXXXXX";
static struct test_ca ca, leaf, person;
static struct ea_server *parked_server;
static uint64_t parked_ticket;
static atomic_int heads, dones, reports;

/* ---- the handler ---- */

static void *answer_later(void *arg)
{
    (void)arg;
    ea_sleep_us(50000);
    ea_respond_parked(parked_server, parked_ticket, 200, "text/plain", NULL, EA_STR("late\n"));
    return NULL;
}

static void on_request(void *arg, struct ea_request *rq)
{
    struct ea_str path = ea_request_path(rq);
    struct ea_str text;

    (void)arg;
    if (ea_str_is(path, "/park")) {
        pthread_t t;

        parked_ticket = ea_request_park(rq);
        assert_int_equal(pthread_create(&t, NULL, answer_later, NULL), 0);
        pthread_detach(t);
        return;
    }
    if (ea_str_is(path, "/big")) {
        char *big = ea_arena_alloc(ea_request_arena(rq), 3u << 20);

        memset(big, 'b', 3u << 20);
        ea_respond(rq, 200, "text/plain", "X-Big: yes\r\n", ea_strn(big, 3u << 20));
        return;
    }
    text = ea_arena_printf(
        ea_request_arena(rq), "%.*s %.*s timeout=%.*s type=%.*s body=%zu client=%.*s",
        EA_STRF(ea_request_method(rq)), EA_STRF(path), EA_STRF(ea_request_query(rq, "timeout")),
        EA_STRF(ea_request_header(rq, "Content-Type")), ea_request_body(rq).n,
        EA_STRF(ea_request_client(rq)));
    ea_respond(rq, ea_str_is(path, "/missing") ? 404 : 200, "text/plain", NULL, text);
}

static unsigned on_head(void *arg, struct ea_request *rq)
{
    (void)arg;
    if (ea_str_is(ea_request_path(rq), "/limited"))
        return 429;
    if (ea_str_is(ea_request_path(rq), "/own-answer")) {
        ea_respond(rq, 405, "text/plain", "Allow: POST\r\n", EA_STR("own"));
        return 405;
    }
    *ea_request_tag(rq) = 7;
    atomic_fetch_add(&heads, 1);
    return 0;
}

static void on_done(void *arg, struct ea_request *rq)
{
    (void)arg;
    assert_int_equal(*ea_request_tag(rq), 7);
    atomic_fetch_add(&dones, 1);
}

static void on_report(void *arg, const char *slug, const struct ea_err *err)
{
    (void)arg;
    (void)err;
    assert_true(strncmp(slug, "certificate-", 12) == 0);
    atomic_fetch_add(&reports, 1);
}

/* ---- plumbing ---- */

static char *file(const char *name)
{
    return ea_xasprintf("%s/%s", dir, name);
}

static struct ea_server *start(bool tls, struct ea_server_opts o)
{
    struct ea_server *s = NULL;
    struct ea_err err = {0};
    EA_AUTO_FREE char *crt = file("leaf.crt"), *key = file("leaf.key");

    o.address = "127.0.0.1";
    o.tls = tls;
    o.cert_file = tls ? crt : NULL;
    o.key_file = tls ? key : NULL;
    o.workers = o.workers ? o.workers : 1;
    o.max_body = o.max_body ? o.max_body : 1u << 20;
    o.handle = on_request;
    o.head = on_head;
    o.done = on_done;
    o.report = on_report;
    o.name = "test";
    if (ea_server_start(&o, &s, &err))
        fail_msg("start: %s", err.text);
    parked_server = s;
    return s;
}

static int dial(const struct ea_server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(ea_server_port(s))};
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

/* Reads until the text `until` has come, or the end. */
static char *get(int fd, const char *until)
{
    static char buf[8192];
    size_t n = 0;
    ssize_t r;

    buf[0] = 0;
    while (n < sizeof(buf) - 1 && !(until && strstr(buf, until)) &&
           (r = recv(fd, buf + n, sizeof(buf) - 1 - n, 0)) > 0) {
        n += (size_t)r;
        buf[n] = 0;
    }
    return buf;
}

static char *ask(const struct ea_server *s, const char *text)
{
    int fd = dial(s);
    char *got;

    put(fd, text);
    got = get(fd, NULL);
    close(fd);
    return got;
}

#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        const char *t_ = (text);                                                                   \
        if (!strstr(t_, (part)))                                                                   \
            fail_msg("no \"%s\" in \"%s\"", (part), t_);                                           \
    } while (0)

static struct ea_http *client_of(const struct ea_server *s, const char *ca_name, const char *who)
{
    EA_AUTO_FREE char *url = ea_xasprintf("https://127.0.0.1:%u", ea_server_port(s)),
                      *ca_file = file(ca_name);
    EA_AUTO_FREE char *crt = who ? ea_xasprintf("%s/%s.crt", dir, who) : NULL;
    EA_AUTO_FREE char *key = who ? ea_xasprintf("%s/%s.key", dir, who) : NULL;
    struct ea_http_opts o = {.base_url = url,
                             .ca_file = ca_file,
                             .cert_file = crt,
                             .key_file = key,
                             .connect_ms = 5000,
                             .total_ms = 10000,
                             .max_response = 8u << 20};
    struct ea_http *h = NULL;
    struct ea_err err = {0};

    if (ea_http_new(&o, &h, &err))
        fail_msg("%s", err.text);
    return h;
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    assert_non_null(mkdtemp(dir));
    ca = test_cert("test CA", NULL, 1);
    leaf = test_cert("agent", &ca, 2);
    person = test_cert("kube-apiserver", &ca, 3);
    test_cert_write(&ca, dir, "ca");
    test_cert_write(&leaf, dir, "leaf");
    test_cert_write(&person, dir, "person");
    return 0;
}

static int teardown(void **state)
{
    const char *names[] = {"ca", "leaf", "person"};

    (void)state;
    for (size_t i = 0; i < EA_COUNT(names); i++) {
        EA_AUTO_FREE char *a = ea_xasprintf("%s/%s.crt", dir, names[i]),
                          *b = ea_xasprintf("%s/%s.key", dir, names[i]);

        unlink(a);
        unlink(b);
    }
    rmdir(dir);
    test_cert_free(&ca);
    test_cert_free(&leaf);
    test_cert_free(&person);
    return 0;
}

/* ---- plain HTTP: what is answered ---- */

static void test_plain_requests(void **state)
{
    struct ea_server *s = start(false, (struct ea_server_opts){0});

    (void)state;
    assert_has(ask(s, "GET /a%20b?timeout=5s&x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
               "GET /a b timeout=5s type= body=0");
    assert_has(ask(s, "GET /missing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
               "HTTP/1.1 404 Not Found\r\n");
    assert_has(ask(s, "POST /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: "
                      "application/json\r\nContent-Length: 5\r\n\r\nhello"),
               "POST /p timeout= type=application/json body=5");
    assert_has(
        ask(s, "POST /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        "POST /p timeout= type= body=0");
    assert_has(
        ask(s, "PUT /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        "PUT /p timeout= type= body=0");
    assert_has(ask(s, "HEAD /h HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
               "Content-Length: 37\r\n");
    assert_null(
        strstr(ask(s, "HEAD /h HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), "timeout="));
    ea_server_stop(s, 1000000);
}

static void test_refusals(void **state)
{
    struct ea_server *s = start(false, (struct ea_server_opts){.max_body = 1000});

    (void)state;
    assert_has(ask(s, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                      "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
               "411 Length Required");
    assert_has(ask(s, "POST / HTTP/1.1\r\nHost: h\r\n\r\n"), "411 Length Required");
    assert_has(ask(s, "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET "
                      "/\r\n0\r\n\r\n"),
               "411 Length Required");
    assert_has(ask(s, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: "
                      "3\r\n\r\nabc"),
               "411 Length Required");
    assert_has(ask(s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n"),
               "413 Content Too Large: at most 1000 bytes");
    assert_has(ask(s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n"),
               "413 ");
    assert_has(ask(s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n"),
               "400 Bad Request");
    assert_has(
        ask(s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
        "400 Bad Request");
    assert_has(ask(s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: five\r\n\r\nhello"),
               "400 Bad Request");
    assert_has(ask(s, "POST /limited HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
               "Retry-After: 1\r\n");
    assert_has(ask(s, "POST /own-answer HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
               "Allow: POST\r\n");
    assert_has(ask(s, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: "
                      "websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                      "Sec-WebSocket-Version: 13\r\n\r\n"),
               "501 Not Implemented");
    /* whatever these get, the server stays */
    (void)ask(s, "BREW /pot HTTP/1.1\r\n\r\n");
    (void)ask(s, "CONNECT host:1 HTTP/1.1\r\n\r\n");
    (void)ask(s, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    (void)ask(s, "\x16\x03\x01\x02\x01garbage\r\n\r\n");
    assert_has(ask(s, "GET /alive HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), "GET /alive");
    ea_server_stop(s, 1000000);
    assert_int_equal(atomic_load(&heads), atomic_load(&dones));
}

/* The refusal is seen by a client that sends its whole body first. */
static void test_large_body_is_refused_readably(void **state)
{
    struct ea_server *s = start(false, (struct ea_server_opts){.max_body = 7u << 20});
    size_t n = 8u << 20, sent = 0;
    char *body = ea_xalloc(n), *got;
    int fd = dial(s);

    (void)state;
    put(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8388608\r\n\r\n");
    while (sent < n) {
        ssize_t r = send(fd, body + sent, n - sent, MSG_NOSIGNAL);

        assert_true(r > 0);
        sent += (size_t)r;
    }
    got = get(fd, "read\n");
    assert_has(got, "HTTP/1.1 413 ");
    close(fd);
    free(body);
    ea_server_stop(s, 1000000);
}

static void test_long_heads(void **state)
{
    struct ea_server *s = start(false, (struct ea_server_opts){0});
    char *text = ea_xalloc(70000);
    int fd = dial(s);

    (void)state;
    strcpy(text, "GET / HTTP/1.1\r\nHost: h\r\nCookie: ");
    memset(text + strlen(text), 'c', 60000);
    strcat(text, "\r\n\r\n");
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
    assert_null(strstr(get(fd, NULL), "200 OK"));
    close(fd);
    free(text);
    assert_has(ask(s, "GET "
                      "/?a1&a2&a3&a4&a5&a6&a7&a8&a9&b1&b2&b3&b4&b5&b6&b7&b8&b9&c1&c2&c3&c4&c5&c6&"
                      "c7&c8&c9&d1&d2&d3&d4&d5&d6&d7 HTTP/1.1\r\n"
                      "Host: h\r\nConnection: close\r\n\r\n"),
               "400 Bad Request");
    assert_has(ask(s, "GET /alive HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), "GET /alive");
    ea_server_stop(s, 1000000);
}

static void test_keep_alive_and_pipelining(void **state)
{
    struct ea_server *s = start(false, (struct ea_server_opts){0});
    int fd = dial(s);

    (void)state;
    for (int i = 0; i < 3; i++) {
        put(fd, "POST /k HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok");
        assert_has(get(fd, "client="), "body=2");
    }
    put(fd, "GET /one HTTP/1.1\r\nHost: h\r\n\r\nGET /park HTTP/1.1\r\nHost: h\r\n\r\nGET /two "
            "HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    {
        char *got = get(fd, NULL);

        assert_has(got, "GET /one ");
        assert_has(strstr(got, "GET /one "), "late\n");
        assert_has(strstr(got, "late\n"), "GET /two ");
    }
    close(fd);
    ea_server_stop(s, 1000000);
}

static void test_expect_continue(void **state)
{
    struct ea_server *s = start(false, (struct ea_server_opts){0});
    int fd = dial(s);

    (void)state;
    put(fd, "POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
            "2\r\nConnection: close\r\n\r\n");
    assert_has(get(fd, "Continue\r\n\r\n"), "HTTP/1.1 100 Continue");
    put(fd, "ok");
    assert_has(get(fd, NULL), "body=2");
    close(fd);
    ea_server_stop(s, 1000000);
}

/* ---- time-outs and limits ---- */

static void test_slow_clients_are_cut_and_others_served(void **state)
{
    struct ea_server *s = start(false, (struct ea_server_opts){.request_s = 1, .idle_s = 1});
    int silent = dial(s), head = dial(s), body = dial(s), idle = dial(s), ok = dial(s);
    ea_mono_us t0 = ea_mono_now();
    bool open[4] = {true, true, true, true};
    int *fds[4] = {&silent, &head, &body, &idle};

    (void)state;
    put(head, "GET / HTTP/1.1\r\nHo");
    put(body, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n");
    put(idle, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_has(get(idle, "client="), "200 OK");
    while (ea_mono_now() - t0 < 3000000) {
        (void)send(head, "s", 1, MSG_NOSIGNAL);
        (void)send(body, "b", 1, MSG_NOSIGNAL);
        put(ok, "GET /ok HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_has(get(ok, "client="), "GET /ok");
        ea_sleep_us(100000);
        for (int i = 0; i < 4; i++) {
            char c;

            if (open[i] && recv(*fds[i], &c, 1, MSG_DONTWAIT) != -1)
                open[i] = false;
            else if (open[i] && errno != EAGAIN)
                open[i] = false;
        }
    }
    for (int i = 0; i < 4; i++) {
        assert_false(open[i]);
        close(*fds[i]);
    }
    close(ok);
    ea_server_stop(s, 1000000);
}

static void test_silent_connections_give_way(void **state)
{
    struct ea_server *s = start(false, (struct ea_server_opts){.max_connections = 8});
    int fds[40];

    (void)state;
    for (int i = 0; i < 40; i++)
        fds[i] = dial(s);
    for (int i = 0; i < 5; i++)
        assert_has(ask(s, "GET /still HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
                   "GET /still");
    for (int i = 0; i < 40; i++)
        close(fds[i]);
    ea_server_stop(s, 1000000);
}

static void test_body_memory_is_bounded(void **state)
{
    struct ea_server *s =
        start(false, (struct ea_server_opts){.max_body = 100000, .max_body_total = 100000});
    int a = dial(s), b = dial(s);
    char *part = ea_xalloc(60001);

    (void)state;
    memset(part, 'x', 60000);
    put(a, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 60001\r\n\r\n");
    put(a, part);
    ea_sleep_us(200000);
    put(b, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n");
    put(b, part);
    assert_has(get(b, "Unavailable\n"), "503 Service Unavailable");
    put(a, "y");
    assert_has(get(a, "client="), "body=60001");
    close(b);
    put(a, "POST /again HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n");
    put(a, part);
    assert_has(get(a, "client="), "body=60000");
    close(a);
    free(part);
    ea_server_stop(s, 1000000);
}

/* ---- parked ---- */

static void test_parked(void **state)
{
    struct ea_server *s = start(false, (struct ea_server_opts){.workers = 2});
    int gone, fd;

    (void)state;
    fd = dial(s);
    put(fd, "POST /park HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok");
    assert_has(get(fd, "late\n"), "200 OK");
    put(fd, "GET /after HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_has(get(fd, "client="), "GET /after");
    close(fd);
    /* the client goes away while its answer is parked */
    gone = dial(s);
    put(gone, "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    ea_sleep_us(10000);
    close(gone);
    ea_sleep_us(150000);
    assert_has(ask(s, "GET /alive HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), "GET /alive");
    /* stopping waits for what is parked */
    fd = dial(s);
    put(fd, "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    ea_sleep_us(10000);
    ea_server_stop(s, 2000000);
    assert_has(get(fd, NULL), "late\n");
    close(fd);
}

static void test_half_closed(void **state)
{
    struct ea_server *s = start(false, (struct ea_server_opts){0});
    int fd = dial(s);

    (void)state;
    put(fd, "GET /half HTTP/1.1\r\nHost: h\r\n\r\n");
    shutdown(fd, SHUT_WR);
    assert_has(get(fd, NULL), "GET /half");
    close(fd);
    fd = dial(s);
    put(fd, "POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    shutdown(fd, SHUT_WR);
    assert_null(strstr(get(fd, NULL), "200 OK"));
    close(fd);
    ea_server_stop(s, 1000000);
}

/* ---- TLS ---- */

static void test_tls_client_and_server(void **state)
{
    struct ea_server *s = start(true, (struct ea_server_opts){.workers = 2});
    struct ea_http *h = client_of(s, "ca.crt", NULL);
    struct ea_http_reply r;
    struct ea_err err = {0};
    size_t n = 600000;
    char *body = ea_xalloc(n);

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ea_http_do(h, "POST", "/v?timeout=3s", "application/json", NULL,
                                    EA_STR("{}"), &r, &err),
                         0);
        assert_int_equal(r.status, 200);
        assert_string_equal(r.content_type, "text/plain");
        assert_true(ea_str_is(r.body, "POST /v timeout=3s type=application/json body=2 client="));
    }
    assert_int_equal(ea_http_do(h, "POST", "/v", "text/plain", NULL, ea_strn(body, n), &r, &err),
                     0);
    assert_true(ea_str_ends(r.body, EA_STR("body=600000 client=")));
    assert_int_equal(ea_http_do(h, "GET", "/big", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    assert_int_equal(r.body.n, 3u << 20);
    assert_int_equal(ea_http_do(h, "GET", "/park", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    assert_true(ea_str_is(r.body, "late\n"));
    assert_int_equal(ea_http_do(h, "GET", "/limited", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    assert_int_equal(r.status, 429);
    assert_int_equal(r.retry_after_ms, 1000);
    ea_http_free(h);
    /* another authority is not trusted */
    h = client_of(s, "person.crt", NULL);
    assert_int_equal(ea_http_do(h, "GET", "/", NULL, NULL, EA_STR_NULL, &r, &err), -EPROTO);
    ea_http_free(h);
    free(body);
    ea_server_stop(s, 1000000);
}

static void test_tls_client_certificate(void **state)
{
    EA_AUTO_FREE char *ca_file = file("ca.crt");
    struct ea_server *s = start(true, (struct ea_server_opts){.client_ca_file = ca_file});
    struct ea_http *with = client_of(s, "ca.crt", "person"),
                   *without = client_of(s, "ca.crt", NULL);
    struct ea_http_reply r;
    struct ea_err err = {0};

    (void)state;
    assert_int_equal(ea_http_do(with, "GET", "/who", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    assert_true(ea_str_ends(r.body, EA_STR("client=kube-apiserver")));
    assert_int_equal(ea_http_do(without, "GET", "/who", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    assert_true(ea_str_ends(r.body, EA_STR("client=")));
    ea_http_free(with);
    ea_http_free(without);
    ea_server_stop(s, 1000000);
    s = start(true,
              (struct ea_server_opts){.client_ca_file = ca_file, .client_cert_required = true});
    without = client_of(s, "ca.crt", NULL);
    assert_true(ea_http_do(without, "GET", "/who", NULL, NULL, EA_STR_NULL, &r, &err) < 0);
    ea_http_free(without);
    ea_server_stop(s, 1000000);
}

static SSL *tls_dial(const struct ea_server *s, SSL_CTX *ctx)
{
    SSL *ssl = SSL_new(ctx);
    int fd = dial(s);

    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) != 1) {
        close(fd);
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

static void tls_hang_up(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);

    SSL_free(ssl);
    close(fd);
}

static long served_serial(const struct ea_server *s)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = tls_dial(s, ctx);
    X509 *x;
    long serial;

    assert_non_null(ssl);
    x = SSL_get1_peer_certificate(ssl);
    serial = ASN1_INTEGER_get(X509_get0_serialNumber(x));
    X509_free(x);
    tls_hang_up(ssl);
    SSL_CTX_free(ctx);
    return serial;
}

static void test_certificate_reload(void **state)
{
    struct ea_server *s = start(true, (struct ea_server_opts){0});
    struct test_ca next = test_cert("agent", &ca, 77);
    EA_AUTO_FREE char *crt = file("leaf.crt");
    int before = atomic_load(&reports);
    FILE *f;

    (void)state;
    assert_int_equal(served_serial(s), 2);
    test_cert_write(&next, dir, "leaf");
    for (int i = 0; i < 60 && served_serial(s) != 77; i++)
        ea_sleep_us(100000);
    assert_int_equal(served_serial(s), 77);
    /* a broken file is reported and the good certificate goes on being served */
    before = atomic_load(&reports);
    f = fopen(crt, "w");
    fputs("-----BEGIN CERTIFICATE-----\nnonsense\n", f);
    fclose(f);
    for (int i = 0; i < 60 && atomic_load(&reports) == before; i++)
        ea_sleep_us(100000);
    assert_true(atomic_load(&reports) > before);
    assert_int_equal(served_serial(s), 77);
    ea_server_stop(s, 1000000);
    test_cert_write(&leaf, dir, "leaf");
    test_cert_free(&next);
}

static void test_tls_versions_and_alpn(void **state)
{
    struct ea_server *s = start(true, (struct ea_server_opts){0});
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    const unsigned char *alpn = NULL;
    unsigned n = 0;
    SSL *ssl;

    (void)state;
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    ssl = tls_dial(s, ctx);
    assert_non_null(ssl);
    assert_int_equal(SSL_version(ssl), TLS1_3_VERSION);
    SSL_get0_alpn_selected(ssl, &alpn, &n);
    assert_int_equal(n, 8);
    assert_memory_equal(alpn, "http/1.1", 8);
    tls_hang_up(ssl);
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    ssl = tls_dial(s, ctx);
    assert_non_null(ssl);
    tls_hang_up(ssl);
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
    assert_null(tls_dial(s, ctx));
    SSL_CTX_free(ctx);
    ea_server_stop(s, 1000000);
}

static void test_half_closed_tls(void **state)
{
    static const char whole[] = "GET /half HTTP/1.1\r\nHost: h\r\n\r\n",
                      part[] = "POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc";
    struct ea_server *s = start(true, (struct ea_server_opts){.request_s = 2});
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    char buf[1024] = "";
    SSL *ssl;
    int fd;

    (void)state;
    /* a whole request, then close_notify: the answer still comes */
    ssl = tls_dial(s, ctx);
    assert_int_equal(SSL_write(ssl, whole, sizeof(whole) - 1), sizeof(whole) - 1);
    SSL_shutdown(ssl);
    assert_true(SSL_read(ssl, buf, sizeof(buf) - 1) > 0);
    assert_has(buf, "GET /half");
    tls_hang_up(ssl);
    /* half a request, then close_notify; then without it; then in the middle of the handshake */
    ssl = tls_dial(s, ctx);
    assert_int_equal(SSL_write(ssl, part, sizeof(part) - 1), sizeof(part) - 1);
    SSL_shutdown(ssl);
    assert_true(SSL_read(ssl, buf, sizeof(buf) - 1) <= 0);
    tls_hang_up(ssl);
    ssl = tls_dial(s, ctx);
    assert_int_equal(SSL_write(ssl, part, sizeof(part) - 1), sizeof(part) - 1);
    shutdown(SSL_get_fd(ssl), SHUT_WR);
    assert_true(SSL_read(ssl, buf, sizeof(buf) - 1) <= 0);
    tls_hang_up(ssl);
    fd = dial(s);
    (void)!send(fd, "\x16\x03\x01\x00\xf8\x01", 6, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    (void)get(fd, NULL);
    close(fd);
    fd = dial(s);
    put(fd, "GET / HTTP/1.1\r\nHost: plain\r\n\r\n");
    assert_null(strstr(get(fd, NULL), "200 OK"));
    close(fd);
    assert_int_equal(served_serial(s), 2);
    SSL_CTX_free(ctx);
    ea_server_stop(s, 1000000);
}

static void test_start_failures(void **state)
{
    EA_AUTO_FREE char *crt = file("leaf.crt"), *other = file("person.key"), *none = file("none");
    struct ea_server_opts o = {
        .address = "127.0.0.1", .workers = 2, .handle = on_request, .name = "x", .max_body = 1};
    struct ea_server *s = start(false, (struct ea_server_opts){.workers = 2}), *t = NULL;
    struct ea_err err = {0};

    (void)state;
    o.port = ea_server_port(s);
    assert_int_equal(ea_server_start(&o, &t, &err), -EADDRINUSE);
    ea_server_stop(s, 0);
    o.port = 0;
    o.tls = true;
    assert_int_equal(ea_server_start(&o, &t, &err), -EINVAL);
    o.cert_file = crt;
    o.key_file = other;
    assert_int_equal(ea_server_start(&o, &t, &err), -EINVAL);
    assert_has(err.text, "do not belong together");
    o.key_file = none;
    assert_int_equal(ea_server_start(&o, &t, &err), -ENOENT);
    assert_has(err.text, "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_requests),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_large_body_is_refused_readably),
        cmocka_unit_test(test_long_heads),
        cmocka_unit_test(test_keep_alive_and_pipelining),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_slow_clients_are_cut_and_others_served),
        cmocka_unit_test(test_silent_connections_give_way),
        cmocka_unit_test(test_body_memory_is_bounded),
        cmocka_unit_test(test_parked),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_tls_client_and_server),
        cmocka_unit_test(test_tls_client_certificate),
        cmocka_unit_test(test_certificate_reload),
        cmocka_unit_test(test_tls_versions_and_alpn),
        cmocka_unit_test(test_half_closed_tls),
        cmocka_unit_test(test_start_failures),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

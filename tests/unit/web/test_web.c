/* Health and web servers over real sockets: permission, sessions, hostile names in every output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/metrics.h"
#include "doc/json.h"
#include "web/web.h"

#define EVIL "<script>alert(\"1\")</script>&'\x01"

static atomic_bool sick;

static unsigned checks(void *arg, bool ready, struct ea_health_check *ret, unsigned cap)
{
    (void)arg;
    assert_true(cap >= 2);
    ret[0] = (struct ea_health_check){.name = "rules", .ok = true};
    ret[1] =
        (struct ea_health_check){.name = "caches", .ok = !atomic_load(&sick), .why = "not synced"};
    return ready ? 2 : 1;
}

static void fill(void *arg, struct ea_arena *a, struct ea_web_snapshot *s)
{
    static const struct ea_web_listener listeners[] = {
        {EA_STR("webhook"), EA_STR("https://127.0.0.1:8443/validate")}};
    static const struct ea_web_count results[] = {{EA_STR("pass"), 10}, {EA_STR("fail"), 2}};
    static const struct ea_web_count severities[] = {{EA_STR("critical"), 1}, {EA_STR("low"), 1}};
    static const struct ea_health_check check = {.name = "caches", .ok = false, .why = EVIL};
    static const struct ea_web_sink sinks[] = {{.name = EA_STR("file"), .acked = 7, .lost = 1}};
    struct ea_web_finding *f = ea_arena_zalloc(a, 2 * sizeof(*f));

    (void)arg;
    f[0] = (struct ea_web_finding){.control = EA_STR("pod-privileged"),
                                   .severity = EA_STR("critical"),
                                   .action = EA_STR("deny"),
                                   .result = EA_STR("fail"),
                                   .requirement = EA_STR("OPS-21.1B"),
                                   .kind = EA_STR("Pod"),
                                   .ns = EA_STR("shop"),
                                   .name = EA_STR(EVIL),
                                   .path = EA_STR("spec['" EVIL "']"),
                                   .message = EA_STR(EVIL),
                                   .since = 1000000};
    f[1] = (struct ea_web_finding){.control = EA_STR("pod-tag"),
                                   .severity = EA_STR("low"),
                                   .action = EA_STR("warn"),
                                   .result = EA_STR("fail"),
                                   .kind = EA_STR("Deployment"),
                                   .ns = EA_STR("other"),
                                   .name = EA_STR("web"),
                                   .message = EA_STR("latest")};
    *s = (struct ea_web_snapshot){.version = EA_STR("1.2.3"),
                                  .source = EA_STR(EVIL),
                                  .role = EA_STR("embedded"),
                                  .started = 1000000,
                                  .now = 2000000,
                                  .controls = 46,
                                  .ruleset_sha256 = EA_STR("abc"),
                                  .listeners = listeners,
                                  .n_listeners = 1,
                                  .checks = &check,
                                  .n_checks = 1,
                                  .objects = 12,
                                  .results = results,
                                  .n_results = 2,
                                  .severities = severities,
                                  .n_severities = 2,
                                  .findings = f,
                                  .n_findings = 2,
                                  .admission = true,
                                  .reviews = 5,
                                  .origin = EA_STR("test/c/1"),
                                  .epoch = 3,
                                  .next_seq = 9,
                                  .evidence_healthy = true,
                                  .sinks = sinks,
                                  .n_sinks = 1};
}

static unsigned authorize(void *arg, struct ea_str token, const char *verb, struct ea_str path)
{
    (void)arg;
    assert_string_equal(verb, "get");
    assert_true(token.n > 0 && path.n > 0);
    if (ea_str_is(token, "good+token"))
        return 200;
    if (ea_str_is(token, "metrics-only"))
        return ea_str_is(path, "/metrics") ? 200 : 403;
    return ea_str_is(token, "later") ? 503 : 401;
}

/* ---- plumbing ---- */

static const char *ask(uint16_t port, const char *text)
{
    static char buf[1u << 18];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval tv = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t n = 0;
    ssize_t r;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    while (n < sizeof(buf) - 1 && (r = recv(fd, buf + n, sizeof(buf) - 1 - n, 0)) > 0)
        n += (size_t)r;
    buf[n] = 0;
    close(fd);
    return buf;
}

static const char *get(uint16_t port, const char *path, const char *headers)
{
    EA_AUTO_FREE char *text =
        ea_xasprintf("GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s\r\n", path, headers);

    return ask(port, text);
}

#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        const char *t_ = (text);                                                                   \
        if (!strstr(t_, (part)))                                                                   \
            fail_msg("no \"%s\" in \"%s\"", (part), t_);                                           \
    } while (0)
#define assert_has_not(text, part)                                                                 \
    do {                                                                                           \
        const char *t_ = (text);                                                                   \
        if (strstr(t_, (part)))                                                                    \
            fail_msg("\"%s\" in \"%s\"", (part), t_);                                              \
    } while (0)

static struct ea_web *web;

static int setup(void **state)
{
    struct ea_web_opts o = {
        .server = {.address = "127.0.0.1"}, .fill = fill, .authorize = authorize};
    struct ea_err err = {0};

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    if (ea_web_start(&o, &web, &err))
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ea_web_stop(web);
    return 0;
}

#define GOOD "Authorization: Bearer good+token\r\n"

/* ---- health ---- */

static void test_health(void **state)
{
    struct ea_health_opts o = {.server = {.address = "127.0.0.1"}, .checks = checks};
    struct ea_health *h;
    uint16_t port;

    (void)state;
    assert_int_equal(ea_health_start(&o, &h, NULL), 0);
    port = ea_health_port(h);
    assert_has(get(port, "/livez", ""), "HTTP/1.1 200 OK");
    assert_has(get(port, "/readyz", ""), "\r\n\r\nok\n");
    assert_has(get(port, "/readyz?verbose", ""),
               "[+]rules ok\n[+]caches ok\nreadyz check passed\n");
    atomic_store(&sick, true);
    assert_has(get(port, "/livez", ""), "HTTP/1.1 200 OK");
    assert_has(get(port, "/readyz", ""), "HTTP/1.1 503 Service Unavailable");
    assert_has_not(get(port, "/readyz", ""), "not synced");
    assert_has(get(port, "/readyz?verbose", ""),
               "[-]caches failed: not synced\nreadyz check failed\n");
    assert_has(get(port, "/other", ""), "HTTP/1.1 404");
    assert_has(
        ask(port,
            "POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"),
        "405 Method Not Allowed");
    ea_health_stop(h);
}

/* ---- permission ---- */

static void test_every_page_wants_permission(void **state)
{
    static const char *const paths[] = {"/", "/metrics", "/api/v1/status", "/api/v1/findings",
                                        "/nowhere"};
    uint16_t port = ea_web_port(web);

    (void)state;
    for (size_t i = 0; i < EA_COUNT(paths); i++) {
        assert_has(get(port, paths[i], ""), "HTTP/1.1 401 ");
        assert_has(get(port, paths[i], "Authorization: Bearer wrong\r\n"),
                   "WWW-Authenticate: Bearer");
        assert_has(get(port, paths[i], "Authorization: Basic good+token\r\n"), "HTTP/1.1 401 ");
        assert_has(get(port, paths[i], "Authorization: Bearer later\r\n"), "HTTP/1.1 503 ");
        assert_has(
            get(port, paths[i],
                "Cookie: "
                "ea_session=0000000000000000000000000000000000000000000000000000000000000000\r\n"),
            "401 ");
    }
    assert_has(get(port, "/", "Authorization: Bearer metrics-only\r\n"), "HTTP/1.1 403 ");
    assert_has(get(port, "/metrics", "Authorization: Bearer metrics-only\r\n"), "HTTP/1.1 200 ");
    assert_has(get(port, "/nowhere", GOOD), "HTTP/1.1 404 ");
    assert_has(get(port, "/", "Accept: text/html\r\n"), "<form method=\"post\" action=\"/login\">");
    assert_has(get(port, "/style.css", ""), "text/css");
    assert_has(ask(port, "DELETE / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
               "HTTP/1.1 405 ");
}

static void test_sessions(void **state)
{
    uint16_t port = ea_web_port(web);
    char cookie[128], *at;
    const char *got;

    (void)state;
    assert_has(get(port, "/login", ""), "HTTP/1.1 200 OK");
    assert_has(get(port, "/login?token=wrong", ""), "HTTP/1.1 401 ");
    got = get(port, "/login?token=good%2Btoken", "");
    assert_has(got, "HTTP/1.1 303 See Other");
    assert_has(got, "; HttpOnly; Secure; SameSite=Strict\r\n");
    assert_has_not(got, "good");
    at = strstr(got, "ea_session=");
    assert_non_null(at);
    snprintf(cookie, sizeof(cookie), "Cookie: a=b; %.75s; c=d\r\n", at);
    assert_has(get(port, "/", cookie), "HTTP/1.1 200 OK");
    assert_has(get(port, "/logout", cookie), "Max-Age=0");
    assert_has(get(port, "/", cookie), "HTTP/1.1 401 ");
    got = ask(port, "POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: "
                    "application/x-www-form-urlencoded\r\nContent-Length: 20\r\n"
                    "Connection: close\r\n\r\nx=1&token=good%2Btoken");
    assert_has(got, "HTTP/1.1 401 "); /* 20 bytes: the token is cut */
    got = ask(port, "POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: "
                    "application/x-www-form-urlencoded\r\nContent-Length: 22\r\n"
                    "Connection: close\r\n\r\nx=1&token=good%2Btoken");
    assert_has(got, "HTTP/1.1 303 See Other");
    /* more sessions than places: the oldest gives way, nothing else happens */
    for (int i = 0; i < 70; i++)
        assert_has(get(port, "/login?token=good%2Btoken", ""), "303 See Other");
}

/* ---- content ---- */

static void test_page_escapes_everything(void **state)
{
    const char *got = get(ea_web_port(web), "/", GOOD);

    (void)state;
    assert_has(got, "Content-Security-Policy: default-src 'none'");
    assert_has_not(got, "<script");
    assert_has_not(got, "alert(\"1\")");
    assert_has_not(got, "\x01");
    assert_has(got, "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;");
    assert_has(got, "<html lang=\"en\">");
    assert_has(got, "pod-privileged");
    assert_has(got, "epoch 3, next 9");
    assert_has_not(got, "http-equiv");
    assert_has_not(got, "src=");
}

static struct ea_val body_of(struct ea_arena *a, const char *got)
{
    struct ea_err err = {0};
    struct ea_val v;
    const char *at = strstr(got, "\r\n\r\n");

    assert_non_null(at);
    assert_has(got, "application/json");
    if (ea_json_parse(a, ea_arena_str(a, ea_str(at + 4)), NULL, &v, NULL, &err))
        fail_msg("%s in %s", err.text, got);
    return v;
}

static void test_api(void **state)
{
    uint16_t port = ea_web_port(web);
    struct ea_arena a;
    struct ea_val v;

    (void)state;
    ea_arena_init(&a, 8u << 20, 0);
    v = body_of(&a, get(port, "/api/v1/status", GOOD));
    assert_true(ea_str_is(ea_val_path_str(&v, "agent.source"), EVIL));
    assert_int_equal(ea_val_path(&v, "findings.results.pass")->i, 10);
    assert_int_equal(ea_val_path(&v, "evidence.epoch")->i, 3);
    v = body_of(&a, get(port, "/api/v1/findings", GOOD));
    assert_int_equal(ea_val_path(&v, "items")->n, 2);
    assert_true(ea_str_is(ea_val_get_str(ea_val_at(ea_val_path(&v, "items"), 0), "name"), EVIL));
    assert_true(ea_str_is(ea_val_get_str(ea_val_at(ea_val_path(&v, "items"), 0), "since"),
                          "1970-01-01T00:00:01.000Z"));
    v = body_of(&a, get(port, "/api/v1/findings?severity=low", GOOD));
    assert_int_equal(ea_val_path(&v, "items")->n, 1);
    v = body_of(&a,
                get(port, "/api/v1/findings?namespace=shop&kind=Pod&control=pod-privileged", GOOD));
    assert_int_equal(ea_val_path(&v, "items")->n, 1);
    v = body_of(&a, get(port, "/api/v1/findings?limit=1", GOOD));
    assert_int_equal(ea_val_path(&v, "items")->n, 1);
    assert_int_equal(ea_val_path(&v, "total")->i, 2);
    assert_has(get(port, "/api/v1/findings?limit=x", GOOD), "HTTP/1.1 400 ");
    ea_arena_done(&a);
}

static void test_metrics(void **state)
{
    const char *got;

    (void)state;
    ea_metric_add(ea_metric(EA_COUNTER, "eucs_agent_test_total", "A test.", "a=\"b\""), 3);
    got = get(ea_web_port(web), "/metrics", GOOD);
    assert_has(got, "text/plain; version=0.0.4");
    assert_has(got, "eucs_agent_test_total{a=\"b\"} 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health),   cmocka_unit_test(test_every_page_wants_permission),
        cmocka_unit_test(test_sessions), cmocka_unit_test(test_page_escapes_everything),
        cmocka_unit_test(test_api),      cmocka_unit_test(test_metrics),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

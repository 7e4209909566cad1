/* The client against our own server: single requests, streams, errors by name, and what it
 * verifies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>

#include "certs.h"
#include "net/client.h"
#include "net/server.h"

static char dir[] = "/tmp/ea-client-XXXXXX";
static struct test_ca ca, leaf;
static struct ea_server *server;
static char *ca_pem;

static void handle(void *arg, struct ea_request *rq)
{
    struct ea_str path = ea_request_path(rq), text;
    struct ea_arena *a = ea_request_arena(rq);

    (void)arg;
    if (ea_str_is(path, "/prefix/big")) {
        char *big = ea_arena_alloc(a, 1u << 20);

        memset(big, 'b', 1u << 20);
        ea_respond(rq, 200, "text/plain", NULL, ea_strn(big, 1u << 20));
    } else if (ea_str_is(path, "/prefix/never")) {
        (void)ea_request_park(rq);
    } else if (ea_str_is(path, "/prefix/later")) {
        ea_respond(rq, 429, NULL, "Retry-After: Fri, 31 Dec 2999 23:59:59 GMT\r\n", EA_STR(""));
    } else if (ea_str_is(path, "/prefix/moved")) {
        ea_respond(rq, 302, NULL, "Location: /prefix/\r\n", EA_STR(""));
    } else {
        text = ea_arena_printf(a, "%.*s %.*s %.*s %.*s", EA_STRF(ea_request_method(rq)),
                               EA_STRF(ea_request_body(rq)),
                               EA_STRF(ea_request_header(rq, "authorization")),
                               EA_STRF(ea_request_header(rq, "accept")));
        ea_respond(rq, 201, "text/plain", NULL, text);
    }
}

static int authorize(void *arg, struct ea_buf *b, struct ea_err *err)
{
    int *calls = arg;

    if (++*calls == 3)
        return ea_fail(err, -EACCES, "no token");
    return ea_buf_addf(b, "Bearer t%d", *calls);
}

static struct ea_http *client(struct ea_http_opts o)
{
    EA_AUTO_FREE char *url = ea_xasprintf("https://127.0.0.1:%u/prefix/", ea_server_port(server));
    struct ea_http *h = NULL;
    struct ea_err err = {0};

    o.base_url = o.base_url ? o.base_url : url;
    if (!o.insecure_skip_verify && !o.ca_file)
        o.ca_pem = ea_str(ca_pem);
    o.connect_ms = 3000;
    if (ea_http_new(&o, &h, &err))
        fail_msg("%s", err.text);
    return h;
}

static int setup(void **state)
{
    EA_AUTO_FREE char *crt = NULL, *key = NULL;
    struct ea_server_opts o = {.address = "127.0.0.1",
                               .tls = true,
                               .workers = 1,
                               .max_body = 1u << 20,
                               .handle = handle,
                               .name = "test"};
    struct ea_err err = {0};
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    long n;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    assert_non_null(mkdtemp(dir));
    ca = test_cert("test CA", NULL, 1);
    leaf = test_cert("agent", &ca, 2);
    test_cert_write(&leaf, dir, "leaf");
    assert_true(PEM_write_bio_X509(bio, ca.cert));
    n = BIO_get_mem_data(bio, &p);
    ca_pem = ea_str_dupz(ea_strn(p, (size_t)n));
    BIO_free(bio);
    crt = ea_xasprintf("%s/leaf.crt", dir);
    key = ea_xasprintf("%s/leaf.key", dir);
    o.cert_file = crt;
    o.key_file = key;
    if (ea_server_start(&o, &server, &err))
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state)
{
    EA_AUTO_FREE char *crt = ea_xasprintf("%s/leaf.crt", dir);
    EA_AUTO_FREE char *key = ea_xasprintf("%s/leaf.key", dir);

    (void)state;
    ea_server_stop(server, 0);
    unlink(crt);
    unlink(key);
    rmdir(dir);
    free(ca_pem);
    test_cert_free(&ca);
    test_cert_free(&leaf);
    return 0;
}

static void test_requests(void **state)
{
    int calls = 0;
    struct ea_http *h = client(
        (struct ea_http_opts){.authorize = authorize, .authorize_arg = &calls, .total_ms = 5000});
    struct ea_http_reply r;
    struct ea_err err = {0};

    (void)state;
    assert_int_equal(ea_http_do(h, "PATCH", "/x?a=b", "application/json", "application/json",
                                EA_STR("{}"), &r, &err),
                     0);
    assert_int_equal(r.status, 201);
    assert_string_equal(r.content_type, "text/plain");
    assert_true(ea_str_is(r.body, "PATCH {} Bearer t1 application/json"));
    assert_int_equal(ea_http_do(h, "DELETE", "/x", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    assert_true(ea_str_is(r.body, "DELETE  Bearer t2 */*"));
    assert_int_equal(ea_http_do(h, "GET", "/x", NULL, NULL, EA_STR_NULL, &r, &err), -EACCES);
    assert_int_equal(ea_http_do(h, "POST", "/x", "text/plain", NULL, EA_STR(""), &r, &err), 0);
    assert_true(ea_str_is(r.body, "POST  Bearer t4 */*"));
    assert_int_equal(ea_http_do(h, "HEAD", "/x", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    assert_int_equal(r.body.n, 0);
    assert_int_equal(ea_http_do(h, "GET", "/moved", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    assert_int_equal(r.status, 302);
    assert_int_equal(ea_http_do(h, "GET", "/later", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    assert_int_equal(r.retry_after_ms, 86400000);
    ea_http_free(h);
}

static void test_errors(void **state)
{
    struct ea_http *h = client((struct ea_http_opts){.total_ms = 1500, .max_response = 1000});
    struct ea_http_opts bad = {.base_url = "ftp://x"};
    struct ea_http_reply r;
    struct ea_err err = {0};

    (void)state;
    assert_int_equal(ea_http_do(h, "GET", "/big", NULL, NULL, EA_STR_NULL, &r, &err), -E2BIG);
    assert_int_equal(ea_http_do(h, "GET", "/never", NULL, NULL, EA_STR_NULL, &r, &err), -ETIMEDOUT);
    assert_int_equal(ea_http_do(h, "GET", "/x", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    ea_http_free(h);
    h = client((struct ea_http_opts){.base_url = "https://127.0.0.1:1"});
    assert_int_equal(ea_http_do(h, "GET", "/", NULL, NULL, EA_STR_NULL, &r, &err), -ECONNREFUSED);
    ea_http_free(h);
    h = NULL;
    assert_int_equal(ea_http_new(&bad, &h, &err), -EINVAL);
    bad.base_url = "nonsense";
    assert_int_equal(ea_http_new(&bad, &h, &err), -EINVAL);
}

static void test_verification(void **state)
{
    struct ea_http_reply r;
    struct ea_err err = {0};
    struct ea_http *h;

    (void)state;
    /* the system's authorities do not know ours */
    h = client((struct ea_http_opts){.ca_file = "/etc/ssl/certs/ca-certificates.crt"});
    assert_int_equal(ea_http_do(h, "GET", "/", NULL, NULL, EA_STR_NULL, &r, &err), -EPROTO);
    ea_http_free(h);
    h = client((struct ea_http_opts){.tls_server_name = "agent.test"});
    assert_int_equal(ea_http_do(h, "GET", "/", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    ea_http_free(h);
    h = client((struct ea_http_opts){.tls_server_name = "other.test"});
    assert_int_equal(ea_http_do(h, "GET", "/", NULL, NULL, EA_STR_NULL, &r, &err), -EPROTO);
    ea_http_free(h);
    h = client(
        (struct ea_http_opts){.tls_server_name = "other.test", .insecure_skip_verify = true});
    assert_int_equal(ea_http_do(h, "GET", "/", NULL, NULL, EA_STR_NULL, &r, &err), 0);
    ea_http_free(h);
}

/* ---- streams ---- */

struct seen {
    unsigned statuses, pieces, ticks, stop_after_ticks;
    size_t bytes, stop_after_bytes;
    long status;
};

static int on_status(void *arg, const struct ea_http_reply *head)
{
    struct seen *s = arg;

    s->statuses++;
    s->status = head->status;
    return 0;
}

static int on_data(void *arg, const char *p, size_t n)
{
    struct seen *s = arg;

    assert_int_equal(s->statuses, 1);
    assert_non_null(p);
    s->pieces++;
    s->bytes += n;
    return s->stop_after_bytes && s->bytes >= s->stop_after_bytes ? -ECANCELED : 0;
}

static int on_tick(void *arg)
{
    struct seen *s = arg;

    return ++s->ticks == s->stop_after_ticks ? -ESTALE : 0;
}

static void test_streams(void **state)
{
    struct ea_http *h = client((struct ea_http_opts){.max_response = 10, .total_ms = 100});
    struct seen seen = {0};
    struct ea_http_stream s = {on_status, on_data, on_tick, &seen, 0};
    struct ea_err err = {0};

    (void)state;
    assert_int_equal(ea_http_stream(h, "/big", NULL, &s, &err), 0);
    assert_int_equal(seen.bytes, 1u << 20);
    assert_true(seen.pieces > 1);
    assert_int_equal(seen.status, 200);
    seen = (struct seen){0};
    assert_int_equal(ea_http_stream(h, "/later", NULL, &s, &err), 0);
    assert_int_equal(seen.statuses, 1);
    assert_int_equal(seen.status, 429);
    seen = (struct seen){.stop_after_bytes = 5000};
    assert_int_equal(ea_http_stream(h, "/big", NULL, &s, &err), -ECANCELED);
    /* total_ms is for requests alone */
    seen = (struct seen){.stop_after_ticks = 2};
    assert_int_equal(ea_http_stream(h, "/never", NULL, &s, &err), -ESTALE);
    seen = (struct seen){0};
    s.idle_ms = 400;
    assert_int_equal(ea_http_stream(h, "/never", NULL, &s, &err), -ETIMEDOUT);
    ea_http_free(h);
}

static void test_escape(void **state)
{
    struct ea_buf b;

    (void)state;
    ea_buf_init(&b, 256);
    assert_int_equal(ea_url_escape(&b, EA_STR("a-B_9.~/ ?%\xc3\xa4\0z")), 0);
    assert_true(ea_str_is(ea_buf_str(&b), "a-B_9.~%2F%20%3F%25%C3%A4%00z"));
    ea_buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),     cmocka_unit_test(test_errors),
        cmocka_unit_test(test_verification), cmocka_unit_test(test_streams),
        cmocka_unit_test(test_escape),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

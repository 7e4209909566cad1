/* web/health.c - /livez and /readyz. */
#include "web/health.h"

#include "base/buf.h"

struct ea_health {
    struct ea_health_opts o;
    struct ea_server *server;
};

static void answer(struct ea_health *h, struct ea_request *rq, bool ready)
{
    struct ea_health_check checks[EA_MAX_HEALTH_CHECKS];
    bool verbose = ea_request_query(rq, "verbose").p != NULL, ok = true;
    unsigned n = h->o.checks ? h->o.checks(h->o.arg, ready, checks, EA_COUNT(checks)) : 0;
    struct ea_buf b;

    ea_buf_init(&b, 64u << 10);
    for (unsigned i = 0; i < n; i++) {
        ok &= checks[i].ok;
        if (verbose && checks[i].ok)
            (void)ea_buf_addf(&b, "[+]%s ok\n", checks[i].name);
        else if (!checks[i].ok)
            (void)ea_buf_addf(&b, "[-]%s failed: %s\n", checks[i].name,
                              verbose ? checks[i].why : "see ?verbose");
    }
    if (!verbose && ok)
        (void)ea_buf_addz(&b, "ok\n");
    else
        (void)ea_buf_addf(&b, "%s check %s\n", ready ? "readyz" : "livez",
                          ok ? "passed" : "failed");
    ea_respond(rq, ok ? 200 : 503, "text/plain; charset=utf-8",
               "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n", ea_buf_str(&b));
    ea_buf_done(&b);
}

static void handle(void *arg, struct ea_request *rq)
{
    struct ea_str path = ea_request_path(rq), method = ea_request_method(rq);
    bool ready = ea_str_is(path, "/readyz");

    if (!ready && !ea_str_is(path, "/livez") && !ea_str_is(path, "/healthz")) {
        ea_respond(rq, 404, "text/plain; charset=utf-8", NULL,
                   EA_STR("404: /livez and /readyz are served here\n"));
        return;
    }
    if (!ea_str_is(method, "GET") && !ea_str_is(method, "HEAD")) {
        ea_respond(rq, 405, "text/plain; charset=utf-8", "Allow: GET\r\n",
                   EA_STR("405: use GET\n"));
        return;
    }
    answer(arg, rq, ready);
}

int ea_health_start(const struct ea_health_opts *o, struct ea_health **ret, struct ea_err *err)
{
    struct ea_health *h = ea_xalloc(sizeof(*h));
    struct ea_server_opts so = o->server;
    int rc;

    h->o = *o;
    so.tls = false;
    so.handle = handle;
    so.head = NULL;
    so.done = NULL;
    so.arg = h;
    so.name = "health";
    so.max_body = 1024;
    so.arena_cap = 1u << 20;
    so.max_connections = so.max_connections ? so.max_connections : 64;
    rc = ea_server_start(&so, &h->server, err);
    if (rc) {
        free(h);
        return rc;
    }
    *ret = h;
    return 0;
}

uint16_t ea_health_port(const struct ea_health *h)
{
    return ea_server_port(h->server);
}

void ea_health_stop(struct ea_health *h)
{
    if (!h)
        return;
    ea_server_stop(h->server, 200000);
    free(h);
}

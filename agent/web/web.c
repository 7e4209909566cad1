/* web/web.c - paths, permission, sessions. */
#include "web/web.h"

#include <strings.h>

#include "base/limits.h"
#include "base/metrics.h"
#include "web/render.h"
#include "web/session.h"

#define SAFE_HEADERS                                                                               \
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: "              \
    "no-referrer\r\nX-Frame-Options: DENY\r\n"                                                     \
    "Content-Security-Policy: default-src 'none'; style-src 'self'; form-action 'self'; base-uri " \
    "'none'; frame-ancestors 'none'\r\n"
#define HTML "text/html; charset=utf-8"
#define TEXT "text/plain; charset=utf-8"

struct ea_web {
    struct ea_web_opts o;
    struct ea_server *server;
    struct ea_sessions *sessions;
};

static void plain(struct ea_request *rq, unsigned status, const char *text)
{
    ea_respond(rq, status, TEXT, SAFE_HEADERS, ea_str(text));
}

static bool wants_html(const struct ea_request *rq)
{
    return ea_str_find(ea_request_header(rq, "accept"), EA_STR("text/html")) >= 0;
}

static void respond_buf(struct ea_request *rq, unsigned status, const char *type, const char *extra,
                        struct ea_buf *b)
{
    if (b->failed)
        plain(rq, 500, "500: the answer is too large\n");
    else
        ea_respond(rq, status, type, extra, ea_buf_str(b));
    ea_buf_done(b);
}

/* ---- who asks ---- */

struct ea_str web_session_cookie(struct ea_str rest)
{
    struct ea_str name = EA_STR("ea_session=");

    while (rest.n) {
        struct ea_str one = ea_str_trim(ea_str_cut(rest, ';', &rest));

        if (ea_str_starts(one, name))
            return ea_strn(one.p + name.n, one.n - name.n);
    }
    return EA_STR("");
}

static struct ea_str bearer(const struct ea_request *rq)
{
    struct ea_str h = ea_request_header(rq, "authorization");

    if (h.n > 7 && strncasecmp(h.p, "Bearer ", 7) == 0)
        return ea_str_trim(ea_strn(h.p + 7, h.n - 7));
    return EA_STR("");
}

static unsigned allowed(struct ea_web *w, const struct ea_request *rq)
{
    struct ea_str token = bearer(rq);
    unsigned status = 401;
    char *kept = NULL;

    if (!token.n) {
        kept = ea_session_token(w->sessions, web_session_cookie(ea_request_header(rq, "cookie")));
        token = ea_str(kept);
    }
    if (token.n)
        status = w->o.authorize(w->o.arg, token, "get", ea_request_path(rq));
    ea_session_forget(kept);
    return status;
}

static void turn_away(struct ea_request *rq, unsigned status)
{
    struct ea_buf b;

    if (!wants_html(rq) || status != 401) {
        ea_respond(rq, status, TEXT,
                   status == 401 ? SAFE_HEADERS "WWW-Authenticate: Bearer realm=\"eucs-agent\"\r\n"
                                 : SAFE_HEADERS,
                   status == 401
                       ? EA_STR("401: a bearer token is needed, or a session from /login\n")
                   : status == 403 ? EA_STR("403: this token may not read that\n")
                                   : EA_STR("503: the token cannot be checked now\n"));
        return;
    }
    ea_buf_init(&b, 64u << 10);
    web_login_page(&b, NULL);
    respond_buf(rq, 401, HTML, SAFE_HEADERS, &b);
}

/* ---- signing in and out ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct ea_str web_form_token(struct ea_str body, char *out, size_t cap)
{
    struct ea_str name = EA_STR("token=");
    size_t n = 0;

    while (body.n) {
        struct ea_str field = ea_str_cut(body, '&', &body);

        if (!ea_str_starts(field, name))
            continue;
        for (size_t i = name.n; i < field.n && n < cap; i++) {
            if (field.p[i] == '%' && i + 2 < field.n && hex_digit(field.p[i + 1]) >= 0 &&
                hex_digit(field.p[i + 2]) >= 0) {
                out[n++] = (char)(hex_digit(field.p[i + 1]) << 4 | hex_digit(field.p[i + 2]));
                i += 2;
            } else {
                out[n++] = field.p[i] == '+' ? ' ' : field.p[i];
            }
        }
    }
    return ea_str_trim(ea_strn(out, n));
}

static void login(struct ea_web *w, struct ea_request *rq)
{
    bool post = ea_str_is(ea_request_method(rq), "POST");
    char decoded[8192], id[EA_SESSION_ID_LEN + 1];
    struct ea_str token = post ? web_form_token(ea_request_body(rq), decoded, sizeof(decoded))
                               : ea_request_query(rq, "token");
    unsigned status = token.n && !memchr(token.p, 0, token.n)
                          ? w->o.authorize(w->o.arg, token, "get", EA_STR("/"))
                          : 401;
    struct ea_buf b;

    if (status == 200) {
        struct ea_str extra;

        ea_session_begin(w->sessions, token, id);
        extra = ea_arena_printf(
            ea_request_arena(rq),
            SAFE_HEADERS
            "Location: /\r\nSet-Cookie: ea_session=%s; Path=/; Max-Age=43200; HttpOnly; Secure; "
            "SameSite=Strict\r\n",
            id);
        ea_respond(rq, 303, TEXT, extra.p, EA_STR("signed in\n"));
    } else {
        ea_buf_init(&b, 64u << 10);
        web_login_page(&b, status == 403   ? "This token may not read the status."
                           : status == 503 ? "The token cannot be checked now, try again later."
                           : token.p       ? "That token is not known here."
                                           : NULL);
        respond_buf(rq, token.p || post ? status : 200, HTML, SAFE_HEADERS, &b);
    }
    explicit_bzero(decoded, sizeof(decoded));
}

static void logout(struct ea_web *w, struct ea_request *rq)
{
    ea_session_end(w->sessions, web_session_cookie(ea_request_header(rq, "cookie")));
    ea_respond(rq, 303, TEXT,
               SAFE_HEADERS "Location: /login\r\nSet-Cookie: ea_session=; Path=/; Max-Age=0; "
                            "HttpOnly; Secure; SameSite=Strict\r\n",
               EA_STR("signed out\n"));
}

/* ---- what is shown ---- */

static void show_metrics(struct ea_web *w, struct ea_request *rq)
{
    struct ea_buf b;

    (void)w;
    ea_buf_init(&b, 16u << 20);
    (void)ea_metrics_print(&b);
    respond_buf(rq, 200, "text/plain; version=0.0.4; charset=utf-8", SAFE_HEADERS, &b);
}

static void show_page(struct ea_web *w, struct ea_request *rq)
{
    struct ea_web_snapshot s = {0};
    struct ea_buf b;

    w->o.fill(w->o.arg, ea_request_arena(rq), &s);
    ea_buf_init(&b, 16u << 20);
    web_page(&b, &s);
    respond_buf(rq, 200, HTML, SAFE_HEADERS, &b);
}

static void show_status(struct ea_web *w, struct ea_request *rq)
{
    struct ea_web_snapshot s = {0};
    struct ea_buf b;

    w->o.fill(w->o.arg, ea_request_arena(rq), &s);
    ea_buf_init(&b, 16u << 20);
    web_status_json(&b, &s);
    respond_buf(rq, 200, "application/json", SAFE_HEADERS, &b);
}

static void show_findings(struct ea_web *w, struct ea_request *rq)
{
    struct web_filter f = {.severity = ea_request_query(rq, "severity"),
                           .control = ea_request_query(rq, "control"),
                           .ns = ea_request_query(rq, "namespace"),
                           .kind = ea_request_query(rq, "kind")};
    struct ea_str limit = ea_request_query(rq, "limit");
    struct ea_web_snapshot s = {0};
    struct ea_buf b;

    if (limit.n && (ea_str_to_u64(limit, &f.limit) || !f.limit)) {
        plain(rq, 400, "400: limit is a number above 0\n");
        return;
    }
    w->o.fill(w->o.arg, ea_request_arena(rq), &s);
    ea_buf_init(&b, 16u << 20);
    web_findings_json(&b, &s, &f);
    respond_buf(rq, 200, "application/json", SAFE_HEADERS, &b);
}

static const struct {
    const char *path;
    void (*show)(struct ea_web *w, struct ea_request *rq);
} paths[] = {
    {"/", show_page},
    {"/metrics", show_metrics},
    {"/api/v1/status", show_status},
    {"/api/v1/findings", show_findings},
};

static void handle(void *arg, struct ea_request *rq)
{
    struct ea_web *w = arg;
    struct ea_str path = ea_request_path(rq), method = ea_request_method(rq);
    bool get = ea_str_is(method, "GET") || ea_str_is(method, "HEAD");
    unsigned status;

    if (!get && !(ea_str_is(path, "/login") && ea_str_is(method, "POST"))) {
        ea_respond(rq, 405, TEXT, SAFE_HEADERS "Allow: GET\r\n", EA_STR("405: use GET\n"));
        return;
    }
    if (ea_str_is(path, "/style.css")) {
        ea_respond(rq, 200, "text/css; charset=utf-8",
                   "Cache-Control: max-age=3600\r\nX-Content-Type-Options: nosniff\r\n",
                   ea_str(web_style));
        return;
    }
    if (ea_str_is(path, "/login") || ea_str_is(path, "/logout")) {
        (ea_str_is(path, "/login") ? login : logout)(w, rq);
        return;
    }
    status = allowed(w, rq);
    if (status != 200) {
        turn_away(rq, status);
        return;
    }
    for (size_t i = 0; i < EA_COUNT(paths); i++)
        if (ea_str_is(path, paths[i].path)) {
            paths[i].show(w, rq);
            return;
        }
    plain(rq, 404, "404: there are /, /metrics, /api/v1/status and /api/v1/findings\n");
}

static void on_report(void *arg, const char *slug, const struct ea_err *err)
{
    struct ea_web *w = arg;

    w->o.server.report(w->o.report_arg, slug, err);
}

int ea_web_start(const struct ea_web_opts *o, struct ea_web **ret, struct ea_err *err)
{
    struct ea_web *w = ea_xalloc(sizeof(*w));
    struct ea_server_opts so = o->server;
    int rc;

    w->o = *o;
    w->sessions = ea_sessions_new();
    so.handle = handle;
    so.head = NULL;
    so.done = NULL;
    so.report = so.report ? on_report : NULL;
    so.arg = w;
    so.name = "web";
    so.max_body = so.max_body ? so.max_body : 16384;
    so.arena_cap = so.arena_cap ? so.arena_cap : 16u << 20;
    so.max_connections = so.max_connections ? so.max_connections : 128;
    rc = ea_server_start(&so, &w->server, err);
    if (rc) {
        ea_sessions_free(w->sessions);
        free(w);
        return rc;
    }
    *ret = w;
    return 0;
}

uint16_t ea_web_port(const struct ea_web *w)
{
    return ea_server_port(w->server);
}

void ea_web_stop(struct ea_web *w)
{
    if (!w)
        return;
    ea_server_stop(w->server, 500000);
    ea_sessions_free(w->sessions);
    free(w);
}

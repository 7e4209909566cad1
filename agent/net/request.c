/* net/request.c - libwebsockets' callbacks turned into requests and answers.
 *
 * A request is refused as early as its head allows. Whoever is refused may still be sending: what
 * comes is read and thrown away for a moment, because closing at once would make the kernel drop
 * the answer with it. */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "base/limits.h"
#include "net/server_priv.h"

#define KEEP_BUFFER (256u << 10) /* bytes of a connection's buffers that survive a request */

static const struct {
    const char *name;
    enum lws_token_indexes token;
} known_headers[H_COUNT] = {
    [H_CONTENT_TYPE] = {"content-type", WSI_TOKEN_HTTP_CONTENT_TYPE},
    [H_AUTHORIZATION] = {"authorization", WSI_TOKEN_HTTP_AUTHORIZATION},
    [H_ACCEPT] = {"accept", WSI_TOKEN_HTTP_ACCEPT},
    [H_HOST] = {"host", WSI_TOKEN_HOST},
    [H_COOKIE] = {"cookie", WSI_TOKEN_HTTP_COOKIE},
    [H_IF_NONE_MATCH] = {"if-none-match", WSI_TOKEN_HTTP_IF_NONE_MATCH},
    [H_LAST_EVENT_ID] = {"last-event-id", WSI_TOKEN_COUNT}, /* not one of the library's own */
};

static const struct {
    enum lws_token_indexes token;
    const char *name;
    bool needs_length; /* the library waits for a body although none was announced */
} methods[] = {
    {WSI_TOKEN_POST_URI, "POST", true},        {WSI_TOKEN_GET_URI, "GET", false},
    {WSI_TOKEN_HEAD_URI, "HEAD", false},       {WSI_TOKEN_PUT_URI, "PUT", true},
    {WSI_TOKEN_PATCH_URI, "PATCH", true},      {WSI_TOKEN_DELETE_URI, "DELETE", false},
    {WSI_TOKEN_OPTIONS_URI, "OPTIONS", false}, {WSI_TOKEN_CONNECT, "CONNECT", false},
};

static const char *reason_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } known[] = {
        {200, "OK"},
        {204, "No Content"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };

    for (size_t i = 0; i < EA_COUNT(known); i++)
        if (known[i].status == status)
            return known[i].text;
    return "Status";
}

/* ---- reading the head ---- */

/* Takes n bytes of room at the end of rq->head; NULL when the head is too large. */
static char *head_room(struct ea_request *rq, size_t n)
{
    return ea_buf_reserve(&rq->head, n + 1) == 0 ? rq->head.p + rq->head.n : NULL;
}

static int read_header(struct ea_request *rq, enum known_header h)
{
    enum lws_token_indexes token = known_headers[h].token;
    const char *name = "last-event-id:";
    int n = token == WSI_TOKEN_COUNT ? lws_hdr_custom_length(rq->wsi, name, (int)strlen(name))
                                     : lws_hdr_total_length(rq->wsi, token);
    char *to;

    rq->has_header[h] = false;
    if (n <= 0)
        return 0;
    to = head_room(rq, (size_t)n + 1);
    if (!to)
        return 431;
    n = token == WSI_TOKEN_COUNT ? lws_hdr_custom_copy(rq->wsi, to, n + 1, name, (int)strlen(name))
                                 : lws_hdr_copy(rq->wsi, to, n + 1, token);
    if (n < 0)
        return 400;
    rq->headers[h].at = rq->head.n;
    rq->headers[h].n = (size_t)n;
    rq->has_header[h] = true;
    rq->head.n += (size_t)n;
    return 0;
}

static unsigned read_args(struct ea_request *rq)
{
    rq->n_args = 0;
    if (lws_hdr_total_length(rq->wsi, WSI_TOKEN_HTTP_URI_ARGS) <= 0)
        return 0;
    for (int i = 0;; i++) {
        int n = lws_hdr_fragment_length(rq->wsi, WSI_TOKEN_HTTP_URI_ARGS, i);
        char *to;

        if (n <= 0)
            return 0;
        if ((unsigned)i >= EA_COUNT(rq->args))
            return 400;
        to = head_room(rq, (size_t)n + 1);
        if (!to)
            return 431;
        n = lws_hdr_copy_fragment(rq->wsi, to, n + 1, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (n < 0)
            return 400;
        rq->args[i].at = rq->head.n;
        rq->args[i].n = (size_t)n;
        rq->n_args++;
        rq->head.n += (size_t)n;
    }
}

/* 0, 400 (not a plain number), 413 (no number that could be served); *ret_has false when the header
 * is absent. */
static unsigned read_length(struct ea_request *rq, bool *ret_has)
{
    char text[24];
    int n = lws_hdr_total_length(rq->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);

    rq->content_length = 0;
    *ret_has = n > 0;
    if (n <= 0)
        return 0;
    if (n > 18)
        return 413;
    if (lws_hdr_copy(rq->wsi, text, sizeof(text), WSI_TOKEN_HTTP_CONTENT_LENGTH) != n)
        return 400;
    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)text[i]))
            return 400;
        rq->content_length = rq->content_length * 10 + (uint64_t)(text[i] - '0');
    }
    return 0;
}

static unsigned read_line(struct ea_request *rq, const char *path, size_t path_n,
                          bool *ret_needs_length)
{
    char *to;

    rq->method = NULL;
    for (size_t i = 0; i < EA_COUNT(methods) && !rq->method; i++)
        if (lws_hdr_total_length(rq->wsi, methods[i].token) > 0) {
            rq->method = methods[i].name;
            *ret_needs_length = methods[i].needs_length;
        }
    if (!rq->method)
        return 501;
    ea_buf_clear(&rq->head);
    to = head_room(rq, path_n);
    if (!to)
        return 431;
    memcpy(to, path, path_n);
    rq->path.at = 0;
    rq->path.n = path_n;
    rq->head.n = path_n;
    return 0;
}

/* 0 or the status of the refusal. *ret_drain: the library will go on reading a body, so it can be
 * thrown away. */
static unsigned read_head(struct ea_request *rq, const char *path, size_t path_n, bool *ret_drain)
{
    bool needs_length = false, has_length = false;
    unsigned bad = read_line(rq, path, path_n, &needs_length), rc;

    rc = read_length(rq, &has_length);
    *ret_drain = has_length ? rq->content_length > 0 : needs_length;
    rq->has_body = has_length && rq->content_length > 0;
    if (bad || rc)
        return bad ? bad : rc;
    if (lws_hdr_total_length(rq->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0) {
        /* The library hands chunks on undecoded. With both headers nobody can say where the next
         * request begins. */
        *ret_drain = needs_length && !has_length;
        return 411;
    }
    if (needs_length && !has_length)
        return 411;
    if (rq->content_length > rq->w->s->o.max_body)
        return 413;
    for (int h = 0; h < H_COUNT; h++)
        if ((rc = (unsigned)read_header(rq, (enum known_header)h)) != 0)
            return rc;
    return read_args(rq);
}

/* ---- the answer ---- */

static const char *date_header(struct worker *w)
{
    time_t now = time(NULL);

    if (now != w->date_at) {
        struct tm tm;

        w->date_at = now;
        gmtime_r(&now, &tm);
        strftime(w->date, sizeof(w->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }
    return w->date;
}

static void add_number(struct ea_buf *b, size_t n)
{
    char text[24];
    size_t at = sizeof(text);

    do
        text[--at] = (char)('0' + n % 10);
    while (n /= 10);
    (void)ea_buf_add(b, text + at, sizeof(text) - at);
}

static void count_status(struct ea_server *s, unsigned status)
{
    struct ea_metric *m;

    if (status >= EA_COUNT(s->m_status))
        return;
    m = atomic_load_explicit(&s->m_status[status], memory_order_acquire);
    if (!m) {
        struct ea_buf b;

        ea_buf_init(&b, 256);
        ea_metric_label(&b, "server", ea_str(s->o.name));
        (void)ea_buf_addf(&b, ",code=\"%u\"", status);
        m = ea_metric(EA_COUNTER, "eucs_agent_http_requests_total",
                      "Answers given, by server and status.", b.p);
        ea_buf_done(&b);
        atomic_store_explicit(&s->m_status[status], m, memory_order_release);
    }
    ea_metric_add(m, 1);
}

void net_request_set_state(struct ea_request *rq, enum conn_state st)
{
    rq->state = st;
    rq->since = ea_mono_now();
}

static void shrink(struct ea_buf *b)
{
    if (b->size > KEEP_BUFFER) {
        size_t cap = b->cap;

        ea_buf_done(b);
        ea_buf_init(b, cap);
    } else {
        ea_buf_clear(b);
    }
}

void net_request_done(struct ea_request *rq)
{
    struct ea_server *s = rq->w->s;

    if (rq->passed_head && s->o.done)
        s->o.done(s->o.arg, rq);
    rq->passed_head = false;
    if (rq->counted_body)
        atomic_fetch_sub(&s->body_total, rq->body.n);
    rq->counted_body = false;
    shrink(&rq->body);
}

/* Status line and headers, without format parsing: every answer has them. */
static void add_head(struct ea_request *rq, unsigned status, const char *content_type,
                     const char *extra, size_t body_n, bool close)
{
    struct ea_buf *b = &rq->out;

    (void)ea_buf_addz(b, "HTTP/1.1 ");
    add_number(b, status);
    (void)ea_buf_addc(b, ' ');
    (void)ea_buf_addz(b, reason_phrase(status));
    (void)ea_buf_addz(b, "\r\nDate: ");
    (void)ea_buf_addz(b, date_header(rq->w));
    if (content_type) {
        (void)ea_buf_addz(b, "\r\nContent-Type: ");
        (void)ea_buf_addz(b, content_type);
    }
    (void)ea_buf_addz(b, "\r\nContent-Length: ");
    add_number(b, body_n);
    (void)ea_buf_addz(b, close ? "\r\nConnection: close\r\n" : "\r\n");
    if (extra)
        (void)ea_buf_addz(b, extra);
    (void)ea_buf_addz(b, "\r\n");
}

void net_request_answer(struct ea_request *rq, unsigned status, const char *content_type,
                        const char *extra, struct ea_str body)
{
    struct ea_buf *b = &rq->out;
    bool close = rq->want_close || rq->w->stopping;

    rq->responded = true;
    if (close)
        rq->kill_after = true;
    ea_buf_clear(b);
    if (ea_buf_reserve(b, LWS_PRE + 512 + body.n + (extra ? strlen(extra) : 0)) == 0) {
        b->n = LWS_PRE;
        add_head(rq, status, content_type, extra, body.n, close);
        if (!rq->method || strcmp(rq->method, "HEAD") != 0)
            (void)ea_buf_adds(b, body);
    }
    if (b->failed ||
        lws_write(rq->wsi, (unsigned char *)b->p + LWS_PRE, b->n - LWS_PRE, LWS_WRITE_HTTP) < 0)
        rq->kill_after = true;
    count_status(rq->w->s, status);
    net_request_done(rq);
    shrink(b);
}

/* Inside a callback of the connection: what the callback returns. */
static int end_transaction(struct ea_request *rq)
{
    if (rq->kill_after || lws_http_transaction_completed(rq->wsi)) {
        net_request_set_state(rq, CONN_CLOSING);
        return -1;
    }
    net_request_set_state(rq, CONN_IDLE);
    return 0;
}

void net_request_finish(struct ea_request *rq)
{
    lws_rx_flow_control(rq->wsi, 1 | LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
    if (end_transaction(rq))
        lws_set_timeout(rq->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

/* Answers in plain text and closes; drain: the library goes on reading a body. Returns what the
 * callback returns. */
static int refuse(struct ea_request *rq, unsigned status, bool drain)
{
    char text[160];
    int n;

    rq->want_close = true;
    if (!rq->responded) {
        if (status == 413)
            n = snprintf(text, sizeof(text), "413 Content Too Large: at most %zu bytes are read\n",
                         rq->w->s->o.max_body);
        else if (status == 411)
            n = snprintf(text, sizeof(text),
                         "411 Length Required: send Content-Length and no Transfer-Encoding\n");
        else
            n = snprintf(text, sizeof(text), "%u %s\n", status, reason_phrase(status));
        net_request_answer(rq, status, "text/plain; charset=utf-8",
                           status == 429 || status == 503 ? "Retry-After: 1\r\n" : NULL,
                           ea_strn(text, (size_t)n));
    }
    net_request_set_state(rq, drain ? CONN_DRAIN : CONN_CLOSING);
    return drain ? 0 : -1;
}

/* ---- callbacks ---- */

static int handle(struct ea_request *rq)
{
    struct ea_server *s = rq->w->s;

    net_request_set_state(rq, CONN_HANDLE);
    s->o.handle(s->o.arg, rq);
    ea_arena_reset(&rq->w->arena);
    if (rq->responded)
        return end_transaction(rq);
    EA_ASSERT(rq->state == CONN_PARKED);
    /* Nothing more is read from this client until the answer is there. */
    lws_set_timeout(rq->wsi, NO_PENDING_TIMEOUT, 0);
    lws_rx_flow_control(rq->wsi, 0 | LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
    return 0;
}

static int on_head(struct ea_request *rq, const char *path, size_t path_n)
{
    struct ea_server *s = rq->w->s;
    unsigned status;
    bool drain;

    rq->start = ea_mono_now();
    rq->n_requests++;
    rq->responded = rq->want_close = rq->kill_after = false;
    rq->tag = rq->drained = 0;
    ea_buf_clear(&rq->body);
    status = read_head(rq, path, path_n, &drain);
    if (status)
        return refuse(rq, status, drain);
    net_tls_client_name(rq);
    if (s->o.head) {
        rq->want_close = true; /* for a hook that answers by itself */
        status = s->o.head(s->o.arg, rq);
        rq->want_close = false;
        if (status)
            return refuse(rq, status, drain);
    }
    rq->passed_head = true;
    if (!rq->has_body && strcmp(rq->method, "POST") != 0)
        return handle(rq);
    net_request_set_state(rq, CONN_BODY); /* an empty POST too: the library completes it at once */
    if (lws_hdr_total_length(rq->wsi, WSI_TOKEN_HTTP_EXPECT) > 0) {
        unsigned char go[LWS_PRE + 32];
        int n = snprintf((char *)go + LWS_PRE, 32, "HTTP/1.1 100 Continue\r\n\r\n");

        if (lws_write(rq->wsi, go + LWS_PRE, (size_t)n, LWS_WRITE_HTTP) < 0)
            return -1;
    }
    rq->counted_body = true;
    return ea_buf_reserve(&rq->body, EA_MIN((size_t)rq->content_length, (size_t)65536)) ? -1 : 0;
}

static int on_body(struct ea_request *rq, const void *p, size_t n)
{
    struct ea_server *s = rq->w->s;
    size_t total;

    if (rq->state == CONN_DRAIN) {
        rq->drained += n;
        return 0;
    }
    if (rq->state != CONN_BODY || n == 0)
        return 0;
    total = atomic_fetch_add(&s->body_total, n) + n;
    if (ea_buf_add(&rq->body, p, n)) {
        atomic_fetch_sub(&s->body_total, n);
        return refuse(rq, 413, true);
    }
    if (s->o.max_body_total && total > s->o.max_body_total)
        return refuse(rq, 503, true);
    return 0;
}

static int on_body_complete(struct ea_request *rq)
{
    if (rq->state == CONN_DRAIN)
        return -1;
    return rq->state == CONN_BODY ? handle(rq) : 0;
}

static int on_upgrade(struct ea_request *rq)
{
    rq->responded = rq->kill_after = false;
    rq->method = NULL;
    return refuse(rq, 501, false);
}

static int on_request(struct ea_request *rq, enum lws_callback_reasons reason, void *in, size_t len)
{
    if (reason == LWS_CALLBACK_HTTP)
        return on_head(rq, in, len);
    if (reason == LWS_CALLBACK_HTTP_BODY)
        return on_body(rq, in, len);
    if (reason == LWS_CALLBACK_HTTP_BODY_COMPLETION)
        return on_body_complete(rq);
    if (reason == LWS_CALLBACK_HTTP_CONFIRM_UPGRADE)
        return on_upgrade(rq);
    if (reason == LWS_CALLBACK_WSI_DESTROY)
        net_conn_free(rq);
    return 0;
}

/* What concerns the worker and none of its requests. */
static int on_worker(struct lws *wsi, enum lws_callback_reasons reason, void *user)
{
    struct worker *w = lws_context_user(lws_get_context(wsi));

    if (reason == LWS_CALLBACK_RAW_RX_FILE)
        net_worker_accept(w);
    else if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED)
        net_worker_replies(w);
    else if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS)
        return net_tls_setup(w, user, w->init_err) ? -1 : 0;
    else if (wsi == w->listen_wsi)
        w->listen_wsi = NULL;
    return 0;
}

/* The library has about a hundred reasons; those not named here need nothing from a server of plain
 * requests. */
int net_request_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t len)
{
    struct ea_request *rq;

    switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
    case LWS_CALLBACK_HTTP_BODY:
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
    case LWS_CALLBACK_WSI_DESTROY:
        rq = lws_get_opaque_user_data(wsi);
        if (!rq)
            return on_worker(wsi, reason, user);
        rq->wsi = wsi;
        return on_request(rq, reason, in, len);
    case LWS_CALLBACK_RAW_RX_FILE:
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
        return on_worker(wsi, reason, user);
    default:
        return 0;
    }
}

/* ---- what handlers call ---- */

struct ea_str ea_request_method(const struct ea_request *rq)
{
    return ea_str(rq->method);
}

struct ea_str ea_request_path(const struct ea_request *rq)
{
    return ea_strn(rq->head.p + rq->path.at, rq->path.n);
}

struct ea_str ea_request_query(const struct ea_request *rq, const char *name)
{
    size_t n = strlen(name);

    for (unsigned i = 0; i < rq->n_args; i++) {
        const char *p = rq->head.p + rq->args[i].at;
        size_t have = rq->args[i].n;

        if (have >= n && memcmp(p, name, n) == 0 && (have == n || p[n] == '='))
            return have > n ? ea_strn(p + n + 1, have - n - 1) : ea_strn(p + n, 0);
    }
    return EA_STR_NULL;
}

struct ea_str ea_request_header(const struct ea_request *rq, const char *name)
{
    for (int h = 0; h < H_COUNT; h++)
        if (strcasecmp(name, known_headers[h].name) == 0)
            return rq->has_header[h] ? ea_strn(rq->head.p + rq->headers[h].at, rq->headers[h].n)
                                     : EA_STR_NULL;
    return EA_STR_NULL;
}

struct ea_str ea_request_body(const struct ea_request *rq)
{
    return ea_strn(rq->body.p ? rq->body.p : "", rq->body.n);
}

uint64_t ea_request_content_length(const struct ea_request *rq)
{
    return rq->content_length;
}

struct ea_str ea_request_client(const struct ea_request *rq)
{
    return ea_str(rq->client);
}

struct ea_str ea_request_peer(const struct ea_request *rq)
{
    return ea_str(rq->peer);
}

struct ea_arena *ea_request_arena(struct ea_request *rq)
{
    return &rq->w->arena;
}

ea_mono_us ea_request_start(const struct ea_request *rq)
{
    return rq->start;
}

uint64_t *ea_request_tag(struct ea_request *rq)
{
    return &rq->tag;
}

unsigned ea_request_worker(const struct ea_request *rq)
{
    return rq->w->index;
}

void ea_respond(struct ea_request *rq, unsigned status, const char *content_type,
                const char *extra_headers, struct ea_str body)
{
    EA_ASSERT(!rq->responded);
    net_request_answer(rq, status, content_type, extra_headers, body);
}

uint64_t ea_request_park(struct ea_request *rq)
{
    EA_ASSERT(!rq->responded && rq->slot < 1u << 24);
    rq->generation = ++rq->w->next_generation;
    net_request_set_state(rq, CONN_PARKED);
    return (uint64_t)rq->w->index << 56 | (uint64_t)rq->slot << 32 | rq->generation;
}

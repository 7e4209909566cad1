/* net/client.c - HTTP client on libcurl: one easy handle in one multi handle, so that single
 * requests and streams share the connection. */
#include "net/client.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/limits.h"

#define TICK_MS 250
#define KEEP_BODY (1u << 20) /* bytes of the response buffer that survive a request */

struct ea_http {
    struct ea_http_opts o;
    CURL *easy;
    CURLM *multi;
    char *base; /* what precedes the path in the URL */
    char
        *host_header; /* "Host: …" when the URL carries the name to verify instead of the address */
    struct curl_slist *connect_to;
    struct ea_buf body, auth;
    char error[CURL_ERROR_SIZE];
    /* of the transfer under way */
    const struct ea_http_stream *stream;
    bool told_status;
    int failed; /* what a callback of ours wants to be the result */
    ea_mono_us last_byte;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_ALL);
}

/* A peer that vanished without a word is noticed after half a minute, not after the kernel's
 * quarter of an hour. */
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    unsigned ms = 30000;

    (void)arg;
    if (purpose == CURLSOCKTYPE_IPCXN)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
    return CURL_SOCKOPT_OK;
}

static void fill_reply(struct ea_http *h, struct ea_http_reply *r)
{
    char *type = NULL;
    curl_off_t after = 0;

    memset(r, 0, sizeof(*r));
    (void)curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &r->status);
    (void)curl_easy_getinfo(h->easy, CURLINFO_CONTENT_TYPE, &type);
    (void)curl_easy_getinfo(h->easy, CURLINFO_RETRY_AFTER, &after);
    snprintf(r->content_type, sizeof(r->content_type), "%s", type ? type : "");
    r->retry_after_ms = after > 0 ? (uint64_t)EA_MIN(after, (curl_off_t)86400) * 1000 : 0;
    r->body = ea_buf_str(&h->body);
}

static int tell_status(struct ea_http *h)
{
    struct ea_http_reply head;

    if (h->told_status)
        return 0;
    h->told_status = true;
    fill_reply(h, &head);
    head.body = EA_STR_NULL;
    return h->stream->on_status ? h->stream->on_status(h->stream->arg, &head) : 0;
}

static size_t on_write(char *p, size_t size, size_t n, void *arg)
{
    struct ea_http *h = arg;

    n *= size;
    h->last_byte = ea_mono_now();
    if (!h->stream)
        h->failed = ea_buf_add(&h->body, p, n);
    else if ((h->failed = tell_status(h)) == 0)
        h->failed = h->stream->on_data(h->stream->arg, p, n);
    return h->failed ? 0 : n;
}

/* The head is told when it is complete: a stream may stay without a byte of body for long. */
static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct ea_http *h = arg;
    long status = 0;

    n *= size;
    h->last_byte = ea_mono_now();
    if (!h->stream || n > 2 || (p[0] != '\r' && p[0] != '\n'))
        return n;
    (void)curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return n; /* 1xx: another head follows */
    h->failed = tell_status(h);
    return h->failed ? 0 : n;
}

/* ---- making ---- */

/* "https://host:1234/x" -> where the host ends and the path begins. */
static int split_url(struct ea_str url, struct ea_str *scheme, struct ea_str *host,
                     struct ea_str *port, struct ea_str *path)
{
    ptrdiff_t at = ea_str_find(url, EA_STR("://")), slash, colon;
    struct ea_str rest;

    if (at <= 0)
        return -EINVAL;
    *scheme = ea_strn(url.p, (size_t)at);
    rest = ea_strn(url.p + at + 3, url.n - (size_t)at - 3);
    slash = ea_str_find(rest, EA_STR("/"));
    *path = slash < 0 ? ea_strn("", 0) : ea_strn(rest.p + slash, rest.n - (size_t)slash);
    *host = slash < 0 ? rest : ea_strn(rest.p, (size_t)slash);
    while (path->n && path->p[path->n - 1] == '/')
        path->n--;
    for (colon = (ptrdiff_t)host->n - 1;
         colon >= 0 && host->p[colon] != ':' && host->p[colon] != ']'; colon--)
        ;
    if (colon >= 0 && host->p[colon] == ':') {
        *port = ea_strn(host->p + colon + 1, host->n - (size_t)colon - 1);
        host->n = (size_t)colon;
    } else {
        *port = ea_str_is(*scheme, "http") ? EA_STR("80") : EA_STR("443");
    }
    return host->n ? 0 : -EINVAL;
}

/* libcurl verifies the name in the URL: put the wanted name there and lead the connection to the
 * real address. */
static int make_base(struct ea_http *h, const struct ea_http_opts *o, struct ea_err *err)
{
    struct ea_str scheme, host, port, path;
    EA_AUTO_FREE char *to = NULL;

    if (!o->base_url || split_url(ea_str(o->base_url), &scheme, &host, &port, &path))
        return ea_fail(err, -EINVAL, "not a URL: %s", o->base_url ? o->base_url : "(none)");
    if (!ea_str_is(scheme, "http") && !ea_str_is(scheme, "https"))
        return ea_fail(err, -EINVAL, "not an http or https URL: %s", o->base_url);
    if (!o->tls_server_name || !o->tls_server_name[0]) {
        h->base = ea_xasprintf("%.*s://%.*s:%.*s%.*s", EA_STRF(scheme), EA_STRF(host),
                               EA_STRF(port), EA_STRF(path));
        return 0;
    }
    h->base = ea_xasprintf("%.*s://%s:%.*s%.*s", EA_STRF(scheme), o->tls_server_name, EA_STRF(port),
                           EA_STRF(path));
    h->host_header = ea_xasprintf("Host: %.*s:%.*s", EA_STRF(host), EA_STRF(port));
    to = ea_xasprintf("%s:%.*s:%.*s:%.*s", o->tls_server_name, EA_STRF(port), EA_STRF(host),
                      EA_STRF(port));
    h->connect_to = curl_slist_append(NULL, to);
    return 0;
}

static void set_blob(CURL *c, CURLoption opt, struct ea_str s)
{
    struct curl_blob b = {.data = (void *)s.p, .len = s.n, .flags = CURL_BLOB_COPY};

    (void)curl_easy_setopt(c, opt, &b);
}

static void set_tls(CURL *c, const struct ea_http_opts *o)
{
    (void)curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (o->ca_pem.n || o->ca_file)
        (void)curl_easy_setopt(
            c, CURLOPT_CAPATH,
            NULL); /* else the system's authorities are trusted beside the given one */
    if (o->ca_pem.n)
        set_blob(c, CURLOPT_CAINFO_BLOB, o->ca_pem);
    else if (o->ca_file)
        (void)curl_easy_setopt(c, CURLOPT_CAINFO, o->ca_file);
    if (o->cert_pem.n)
        set_blob(c, CURLOPT_SSLCERT_BLOB, o->cert_pem);
    else if (o->cert_file)
        (void)curl_easy_setopt(c, CURLOPT_SSLCERT, o->cert_file);
    if (o->key_pem.n)
        set_blob(c, CURLOPT_SSLKEY_BLOB, o->key_pem);
    else if (o->key_file)
        (void)curl_easy_setopt(c, CURLOPT_SSLKEY, o->key_file);
    if (o->insecure_skip_verify) {
        (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

int ea_http_new(const struct ea_http_opts *o, struct ea_http **ret, struct ea_err *err)
{
    struct ea_http *h;
    int rc;

    pthread_once(&once, init_curl);
    h = ea_xalloc(sizeof(*h));
    ea_buf_init(&h->body, o->max_response ? o->max_response : EA_MAX_LIST_PAGE);
    ea_buf_init(&h->auth, 64u << 10);
    rc = make_base(h, o, err);
    h->easy = rc ? NULL : curl_easy_init();
    h->multi = rc ? NULL : curl_multi_init();
    if (!h->easy || !h->multi) {
        rc = rc ? rc : ea_fail(err, -ENOMEM, "libcurl cannot start");
        ea_http_free(h);
        return rc;
    }
    /* Only what requests need later is kept; files and texts were copied by libcurl. */
    h->o.connect_ms = o->connect_ms;
    h->o.total_ms = o->total_ms;
    h->o.authorize = o->authorize;
    h->o.authorize_arg = o->authorize_arg;
    (void)curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->error);
    (void)curl_easy_setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(h->easy, CURLOPT_NOPROGRESS, 1L);
    (void)curl_easy_setopt(h->easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(h->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(h->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(h->easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(h->easy, CURLOPT_CONNECTTIMEOUT_MS,
                           (long)(o->connect_ms ? o->connect_ms : 10000));
    (void)curl_easy_setopt(h->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(h->easy, CURLOPT_TCP_KEEPIDLE, 30L);
    (void)curl_easy_setopt(h->easy, CURLOPT_TCP_KEEPINTVL, 10L);
    (void)curl_easy_setopt(h->easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
    (void)curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_write);
    (void)curl_easy_setopt(h->easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(h->easy, CURLOPT_WRITEDATA, h);
    (void)curl_easy_setopt(h->easy, CURLOPT_HEADERDATA, h);
    (void)curl_easy_setopt(h->easy, CURLOPT_USERAGENT,
                           o->user_agent ? o->user_agent : "eucs-agent/" EA_VERSION);
    if (o->proxy)
        (void)curl_easy_setopt(h->easy, CURLOPT_PROXY, o->proxy);
    if (h->connect_to)
        (void)curl_easy_setopt(h->easy, CURLOPT_CONNECT_TO, h->connect_to);
    set_tls(h->easy, o);
    *ret = h;
    return 0;
}

void ea_http_free(struct ea_http *h)
{
    if (!h)
        return;
    if (h->easy)
        curl_easy_cleanup(h->easy);
    if (h->multi)
        curl_multi_cleanup(h->multi);
    curl_slist_free_all(h->connect_to);
    if (h->auth.p)
        explicit_bzero(h->auth.p, h->auth.size);
    ea_buf_done(&h->auth);
    ea_buf_done(&h->body);
    free(h->base);
    free(h->host_header);
    free(h);
}

/* ---- one transfer ---- */

static int from_curl(struct ea_http *h, CURLcode c, struct ea_err *err)
{
    long os = 0;
    int code;

    (void)curl_easy_getinfo(h->easy, CURLINFO_OS_ERRNO, &os);
    if (c == CURLE_OPERATION_TIMEDOUT)
        code = -ETIMEDOUT;
    else if (c == CURLE_COULDNT_CONNECT)
        code = os == ECONNREFUSED ? -ECONNREFUSED : os == ETIMEDOUT ? -ETIMEDOUT : -EHOSTUNREACH;
    else if (c == CURLE_COULDNT_RESOLVE_HOST || c == CURLE_COULDNT_RESOLVE_PROXY)
        code = -EHOSTUNREACH;
    else if (c == CURLE_SEND_ERROR || c == CURLE_RECV_ERROR || c == CURLE_GOT_NOTHING ||
             c == CURLE_PARTIAL_FILE)
        code = -EPIPE;
    else if (c == CURLE_OUT_OF_MEMORY)
        code = -ENOMEM;
    else if (c == CURLE_ABORTED_BY_CALLBACK)
        code = -ECANCELED;
    else
        code = -EPROTO;
    return ea_fail(err, code, "%s: %s", h->base, h->error[0] ? h->error : curl_easy_strerror(c));
}

static int add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);

    if (!more)
        return -ENOMEM;
    *list = more;
    return 0;
}

static int add_header(struct curl_slist **list, const char *name, const char *value)
{
    EA_AUTO_FREE char *line = value && value[0] ? ea_xasprintf("%s: %s", name, value) : NULL;
    int rc = line ? add_line(list, line) : 0;

    if (line)
        explicit_bzero(line, strlen(line)); /* it may have been a token */
    return rc;
}

static int make_headers(struct ea_http *h, const char *content_type, const char *accept,
                        struct curl_slist **ret, struct ea_err *err)
{
    int rc = add_header(ret, "Accept", accept ? accept : "*/*");

    if (rc == 0)
        rc = add_header(ret, "Content-Type", content_type);
    ea_buf_clear(&h->auth);
    if (rc == 0 && h->o.authorize) {
        rc = h->o.authorize(h->o.authorize_arg, &h->auth, err);
        if (rc)
            return rc;
        if (h->auth.n && (rc = ea_buf_add(&h->auth, "", 1)) == 0)
            rc = add_header(ret, "Authorization", h->auth.p);
    }
    if (rc == 0 && h->host_header)
        rc = add_line(ret, h->host_header);
    /* libcurl would wait a second for "100 Continue" before larger bodies. */
    if (rc == 0)
        rc = add_line(ret, "Expect:");
    return rc ? ea_fail(err, rc, "request headers: %s", strerror(-rc)) : 0;
}

static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *l = list; l; l = l->next)
        explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(list);
}

static int poll_once(struct ea_http *h, ea_mono_us *next_tick, struct ea_err *err)
{
    const struct ea_http_stream *s = h->stream;
    ea_mono_us now;
    int rc;

    (void)curl_multi_poll(h->multi, NULL, 0, s ? TICK_MS : 1000, NULL);
    if (!s)
        return 0;
    now = ea_mono_now();
    if (s->idle_ms && now - h->last_byte > s->idle_ms * 1000ull)
        return ea_fail(err, -ETIMEDOUT, "%s: no byte for %u ms", h->base, s->idle_ms);
    if (now < *next_tick || !s->tick)
        return 0;
    *next_tick = now + TICK_MS * 1000;
    rc = s->tick(s->arg);
    return rc ? ea_fail(err, rc, "%s: stream ended by its reader", h->base) : 0;
}

/* Drives the transfer to its end. */
static int run(struct ea_http *h, struct ea_err *err)
{
    ea_mono_us next_tick = ea_mono_now() + TICK_MS * 1000;
    CURLMsg *msg;
    int running = 1, left, rc = 0;
    CURLcode code = CURLE_OK;

    h->error[0] = 0;
    h->failed = 0;
    h->told_status = false;
    h->last_byte = ea_mono_now();
    if (curl_multi_add_handle(h->multi, h->easy) != CURLM_OK)
        return ea_fail(err, -ENOMEM, "libcurl cannot begin a transfer");
    while (rc == 0) {
        if (curl_multi_perform(h->multi, &running) != CURLM_OK) {
            rc = ea_fail(err, -EIO, "libcurl cannot go on with a transfer");
            break;
        }
        while ((msg = curl_multi_info_read(h->multi, &left)) != NULL)
            if (msg->msg == CURLMSG_DONE)
                code = msg->data.result;
        if (!running)
            break;
        rc = poll_once(h, &next_tick, err);
    }
    if (rc == 0 && h->failed)
        rc = ea_fail(err, h->failed,
                     h->stream ? "%s: stream ended by its reader"
                               : "%s: the answer is larger than allowed",
                     h->base);
    else if (rc == 0 && code != CURLE_OK)
        rc = from_curl(h, code, err);
    (void)curl_multi_remove_handle(h->multi, h->easy);
    return rc;
}

static int transfer(struct ea_http *h, const char *method, const char *path,
                    const char *content_type, const char *accept, struct ea_str body,
                    struct ea_err *err)
{
    EA_AUTO_FREE char *url = ea_xasprintf("%s%s", h->base, path);
    struct curl_slist *headers = NULL;
    bool head = strcmp(method, "HEAD") == 0, send = content_type != NULL;
    int rc = make_headers(h, content_type, accept, &headers, err);

    if (rc == 0) {
        (void)curl_easy_setopt(h->easy, CURLOPT_URL, url);
        (void)curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, headers);
        (void)curl_easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, h->stream ? 0L : (long)h->o.total_ms);
        (void)curl_easy_setopt(h->easy, CURLOPT_NOBODY, head ? 1L : 0L);
        if (send) {
            (void)curl_easy_setopt(h->easy, CURLOPT_POST, 1L);
            (void)curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, body.n ? body.p : "");
            (void)curl_easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
        } else if (!head) {
            (void)curl_easy_setopt(h->easy, CURLOPT_HTTPGET, 1L);
        }
        (void)curl_easy_setopt(h->easy, CURLOPT_CUSTOMREQUEST, head ? NULL : method);
        if (h->body.size > KEEP_BODY) {
            size_t cap = h->body.cap;

            ea_buf_done(&h->body);
            ea_buf_init(&h->body, cap);
        }
        ea_buf_clear(&h->body);
        rc = run(h, err);
    }
    (void)curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
    (void)curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, NULL);
    free_headers(headers);
    return rc;
}

int ea_http_do(struct ea_http *h, const char *method, const char *path, const char *content_type,
               const char *accept, struct ea_str body, struct ea_http_reply *ret,
               struct ea_err *err)
{
    int rc;

    h->stream = NULL;
    rc = transfer(h, method, path, content_type, accept, body, err);
    if (rc == 0)
        fill_reply(h, ret);
    return rc;
}

int ea_http_stream(struct ea_http *h, const char *path, const char *accept,
                   const struct ea_http_stream *s, struct ea_err *err)
{
    int rc;

    h->stream = s;
    rc = transfer(h, "GET", path, NULL, accept, EA_STR_NULL, err);
    if (rc == 0)
        rc = tell_status(h); /* an answer without a body */
    h->stream = NULL;
    return rc;
}

int ea_url_escape(struct ea_buf *b, struct ea_str s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~", c);

        if (c && plain)
            (void)ea_buf_addc(b, (char)c);
        else
            (void)ea_buf_addf(b, "%%%c%c", hex[c >> 4], hex[c & 15]);
    }
    return b->failed;
}

/* net/worker.c - one thread: its libwebsockets context, listener, connections and their time-outs.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/server_priv.h"

#define SWEEP_US 250000
#define DRAIN_US 2000000u /* a refused client has this long to stop sending */
#define ACCEPT_BATCH                                                                               \
    64 /* connections taken per wake-up, so that those already open are not starved */

/* ---- time-outs ---- */

void net_conn_kill(struct ea_request *rq)
{
    int fd = lws_get_socket_fd(rq->wsi);

    net_request_set_state(rq, CONN_CLOSING);
    if (fd >= 0)
        (void)shutdown(fd,
                       SHUT_RDWR); /* spares the polite close: whoever is killed has had his time */
    lws_set_timeout(rq->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static bool is_overdue(const struct ea_request *rq, ea_mono_us now)
{
    const struct ea_server_opts *o = &rq->w->s->o;
    uint64_t age = now > rq->since ? now - rq->since : 0;

    switch (rq->state) {
    case CONN_IDLE:
        return age > (rq->n_requests ? o->idle_s : o->request_s) * 1000000ull;
    case CONN_BODY:
        return age > o->request_s * 1000000ull;
    case CONN_DRAIN:
        return age > DRAIN_US || rq->drained > EA_HTTP_DRAIN;
    case CONN_CLOSING:
        return age > DRAIN_US;
    case CONN_HANDLE:
    case CONN_PARKED:
        break;
    }
    return false;
}

/* The one that says nothing longest; connections that never asked anything go first. NULL when all
 * are busy. */
static struct ea_request *find_silent(struct worker *w)
{
    struct ea_request *best = NULL;

    for (struct ea_request *rq = w->conns; rq; rq = rq->next) {
        if (rq->state != CONN_IDLE)
            continue;
        if (!best || (rq->n_requests == 0) > (best->n_requests == 0) ||
            ((rq->n_requests == 0) == (best->n_requests == 0) && rq->since < best->since))
            best = rq;
    }
    return best;
}

static void begin_stop(struct worker *w)
{
    if (w->stopping)
        return;
    w->stopping = true;
    if (w->listen_wsi)
        lws_set_timeout(w->listen_wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static bool has_work(const struct worker *w)
{
    for (const struct ea_request *rq = w->conns; rq; rq = rq->next)
        if (rq->state == CONN_BODY || rq->state == CONN_HANDLE || rq->state == CONN_PARKED)
            return true;
    return false;
}

static void cut_slow(struct worker *w)
{
    ea_mono_us now = ea_mono_now();

    for (struct ea_request *rq = w->conns; rq; rq = rq->next) {
        bool overdue = is_overdue(rq, now);

        if (overdue && (rq->state == CONN_BODY || (rq->state == CONN_IDLE && !rq->n_requests)))
            ea_metric_add(w->s->m_slow, 1);
        if (overdue || (w->stopping && rq->state == CONN_IDLE))
            net_conn_kill(rq);
    }
}

static void sweep(lws_sorted_usec_list_t *sul)
{
    struct worker *w = lws_container_of(sul, struct worker, sweep);

    cut_slow(w);
    if (w->accept_paused && !w->stopping && w->listen_wsi) {
        w->accept_paused = false;
        lws_rx_flow_control(w->listen_wsi, 1 | LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
    }
    if (w->ssl && ++w->sweeps % 8 == 0)
        net_tls_check(w);
    if (w->index == 0) {
        double n = 0;

        for (unsigned i = 0; i < w->s->o.workers; i++)
            n += __atomic_load_n(&w->s->workers[i].n_conns, __ATOMIC_RELAXED);
        ea_metric_set(w->s->m_conns, n);
    }
    lws_sul_schedule(w->context, 0, &w->sweep, sweep, w->stopping ? SWEEP_US / 10 : SWEEP_US);
}

/* ---- connections ---- */

static void format_peer(const struct sockaddr_storage *sa, char *out, size_t n)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct sockaddr_in6 six = {0};
    struct sockaddr_in four = {0};

    if (sa->ss_family == AF_INET6) {
        memcpy(&six, sa, sizeof(six));
        (void)inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof(text));
        snprintf(out, n, "[%s]:%u", text, ntohs(six.sin6_port));
    } else {
        memcpy(&four, sa, sizeof(four));
        (void)inet_ntop(AF_INET, &four.sin_addr, text, sizeof(text));
        snprintf(out, n, "%s:%u", text, ntohs(four.sin_port));
    }
}

static uint32_t take_slot(struct worker *w, struct ea_request *rq)
{
    uint32_t i;

    for (i = 0; i < w->n_slots && w->slots[i]; i++)
        ;
    if (i == w->n_slots) {
        uint32_t n = w->n_slots ? w->n_slots * 2 : 64;

        w->slots = ea_xrealloc(w->slots, n * sizeof(*w->slots));
        memset(w->slots + w->n_slots, 0, (n - w->n_slots) * sizeof(*w->slots));
        w->n_slots = n;
    }
    w->slots[i] = rq;
    return i;
}

static struct ea_request *conn_new(struct worker *w, const struct sockaddr_storage *sa)
{
    struct ea_request *rq = ea_xalloc(sizeof(*rq));

    rq->w = w;
    rq->since = ea_mono_now();
    rq->slot = take_slot(w, rq);
    rq->generation = ++w->next_generation;
    format_peer(sa, rq->peer, sizeof(rq->peer));
    ea_buf_init(&rq->head, 2 * EA_MAX_HTTP_HEAD);
    ea_buf_init(&rq->body, w->s->o.max_body + 1);
    ea_buf_init(&rq->out, EA_MAX_HTTP_ANSWER);
    rq->next = w->conns;
    if (w->conns)
        w->conns->prev = rq;
    w->conns = rq;
    __atomic_store_n(&w->n_conns, w->n_conns + 1, __ATOMIC_RELAXED);
    return rq;
}

void net_conn_free(struct ea_request *rq)
{
    struct worker *w = rq->w;

    net_request_done(rq);
    if (rq->prev)
        rq->prev->next = rq->next;
    else
        w->conns = rq->next;
    if (rq->next)
        rq->next->prev = rq->prev;
    w->slots[rq->slot] = NULL;
    if (w->adopting == rq)
        w->adopting = NULL;
    __atomic_store_n(&w->n_conns, w->n_conns - 1, __ATOMIC_RELAXED);
    ea_buf_done(&rq->head);
    ea_buf_done(&rq->body);
    ea_buf_done(&rq->out);
    free(rq);
}

static void tune(int fd)
{
    int on = 1, idle = 30, interval = 10, count = 3;
    unsigned lost_ms = 30000;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof(lost_ms));
}

static void adopt(struct worker *w, int fd, const struct sockaddr_storage *sa)
{
    lws_adopt_desc_t d = {0};
    struct ea_request *rq;
    struct lws *wsi;

    if (w->n_conns >= w->max_conns) {
        struct ea_request *silent = find_silent(w);

        ea_metric_add(w->s->m_refused, 1);
        if (!silent) {
            close(fd);
            return;
        }
        net_conn_kill(silent);
    }
    tune(fd);
    rq = conn_new(w, sa);
    w->adopting = rq;
    d.vh = w->vhost;
    d.type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | (w->s->o.tls ? LWS_ADOPT_ALLOW_SSL : 0);
    d.fd.sockfd = fd;
    d.opaque = rq;
    /* A failure closes the descriptor, and frees rq by LWS_CALLBACK_WSI_DESTROY unless it came
     * before the connection was bound. */
    wsi = lws_adopt_descriptor_vhost_via_info(&d);
    if (wsi)
        rq->wsi = wsi;
    else if (w->adopting)
        net_conn_free(rq);
    w->adopting = NULL;
}

void net_worker_accept(struct worker *w)
{
    for (int i = 0; i < ACCEPT_BATCH && !w->stopping; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t n = sizeof(sa);
        int fd = accept4(w->listen_fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            adopt(w, fd, &sa);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            struct ea_request *silent = find_silent(w);

            /* Accepting again at once would only spin: make room, look again at the next sweep. */
            if (silent)
                net_conn_kill(silent);
            w->accept_paused = true;
            lws_rx_flow_control(w->listen_wsi, 0 | LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
            return;
        }
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

/* ---- answers from other threads ---- */

static void reply_free(struct reply *r)
{
    free(r->content_type);
    free(r->extra);
    free(r->body);
    free(r);
}

void net_worker_replies(struct worker *w)
{
    struct reply *r, *next;

    pthread_mutex_lock(&w->lock);
    r = w->replies;
    w->replies = NULL;
    w->replies_end = &w->replies;
    pthread_mutex_unlock(&w->lock);
    for (; r; r = next) {
        uint32_t slot = (uint32_t)(r->ticket >> 32) & 0xffffff, generation = (uint32_t)r->ticket;
        struct ea_request *rq = slot < w->n_slots ? w->slots[slot] : NULL;

        next = r->next;
        if (rq && rq->generation == generation && rq->state == CONN_PARKED) {
            net_request_answer(rq, r->status, r->content_type, r->extra,
                               ea_strn(r->body, r->body_n));
            net_request_finish(rq);
        }
        reply_free(r);
    }
}

/* ---- the thread ---- */

void net_worker_wake(struct worker *w)
{
    lws_cancel_service(w->context);
}

static void *run(void *arg)
{
    struct worker *w = arg;

    for (;;) {
        if (atomic_load(&w->s->stop)) {
            begin_stop(w);
            if (!has_work(w) || ea_mono_now() >= atomic_load(&w->s->stop_at))
                break;
        }
        if (lws_service(w->context, 0) < 0)
            break;
    }
    return NULL;
}

static const struct lws_protocols protocols[] = {
    {.name = "ea", .callback = net_request_callback, .rx_buffer_size = 0},
    {.name = NULL},
};

static int make_context(struct worker *w, struct ea_err *err)
{
    const struct ea_server_opts *o = &w->s->o;
    struct lws_context_creation_info info = {0};

    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.protocols = protocols;
    info.user = w;
    info.vhost_name = "ea";
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME;
    if (o->tls)
        info.options |=
            LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
    /* Without one of ours, every virtual host loads the system's authorities for clients that it
     * never has: 700 KB each, and leaked when there are two contexts. */
    info.provided_client_ssl_ctx = w->no_client;
    info.alpn = "http/1.1";
    info.pt_serv_buf_size = 32768;
    info.max_http_header_data = EA_MAX_HTTP_HEAD;
    info.max_http_header_pool = (unsigned short)EA_MIN(w->max_conns + 8, 65000u);
    /* The sweep decides; these are the library's own nets below it. */
    info.timeout_secs = o->request_s + 5;
    info.timeout_secs_ah_idle = o->request_s;
    info.keepalive_timeout = (int)o->idle_s + 5;
    w->context = lws_create_context(&info);
    if (!w->context)
        return ea_fail(err, -ENOMEM, "server %s: libwebsockets context", o->name);
    w->init_err = err;
    w->vhost = lws_create_vhost(w->context, &info);
    w->init_err = NULL;
    if (!w->vhost)
        return err && err->code
                   ? err->code
                   : ea_fail(err, -EINVAL, "server %s: libwebsockets virtual host", o->name);
    return 0;
}

int net_worker_init(struct worker *w, struct ea_server *s, unsigned index, int listen_fd,
                    struct ea_err *err)
{
    lws_sock_file_fd_type fd = {.filefd = listen_fd};
    int rc;

    w->s = s;
    w->index = index;
    w->listen_fd = listen_fd;
    w->max_conns = EA_MAX(s->o.max_connections / s->o.workers, 1u);
    w->replies_end = &w->replies;
    pthread_mutex_init(&w->lock, NULL);
    ea_arena_init(&w->arena, s->o.arena_cap, 256u << 10);
    if (err)
        err->code = 0;
    rc = s->o.tls ? net_tls_probe(w, err) : 0;
    w->no_client = s->o.tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    if (rc == 0)
        rc = make_context(w, err);
    if (rc) {
        close(listen_fd);
        return rc;
    }
    w->listen_wsi = lws_adopt_descriptor_vhost(w->vhost, LWS_ADOPT_RAW_FILE_DESC, fd, "ea", NULL);
    if (!w->listen_wsi)
        return ea_fail(err, -ENOMEM, "server %s: adopting the listener", s->o.name);
    lws_sul_schedule(w->context, 0, &w->sweep, sweep, SWEEP_US);
    return 0;
}

int net_worker_start(struct worker *w, struct ea_err *err)
{
    char name[16];
    int rc = pthread_create(&w->thread, NULL, run, w);

    if (rc)
        return ea_fail(err, -rc, "server %s: thread: %s", w->s->o.name, strerror(rc));
    w->started = true;
    snprintf(name, sizeof(name), "%.10s-%u", w->s->o.name, w->index);
    (void)pthread_setname_np(w->thread, name);
    return 0;
}

void net_worker_done(struct worker *w)
{
    struct reply *next;

    if (!w->s)
        return;
    if (w->context)
        lws_context_destroy(w->context);
    SSL_CTX_free(w->no_client);
    for (struct ea_request *rq = w->conns, *after; rq; rq = after) {
        after = rq->next;
        net_conn_free(rq);
    }
    for (struct reply *r = w->replies; r; r = next) {
        next = r->next;
        reply_free(r);
    }
    free(w->slots);
    ea_arena_done(&w->arena);
    pthread_mutex_destroy(&w->lock);
}

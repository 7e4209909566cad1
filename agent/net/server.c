/* net/server.c - starting and stopping: listeners, workers, and the calls that other threads may
 * make. */
#include "net/server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/server_priv.h"

static int resolve(const struct ea_server_opts *o, struct addrinfo **ret, struct ea_err *err)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char port[8];
    int rc;

    snprintf(port, sizeof(port), "%u", o->port);
    rc = getaddrinfo(o->address && o->address[0] ? o->address : NULL, port, &hints, ret);
    if (rc)
        return ea_fail(err, -EADDRNOTAVAIL, "address %s: %s", o->address ? o->address : "(any)",
                       gai_strerror(rc));
    return 0;
}

static void set_port(const struct addrinfo *ai, uint16_t port, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof(*ret));
    memcpy(ret, ai->ai_addr, ai->ai_addrlen);
    if (ai->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)ret)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)ret)->sin_port = htons(port);
}

/* One bound socket; share = SO_REUSEPORT. */
static int bind_one(const struct addrinfo *ai, uint16_t port, bool share, int *ret_fd)
{
    struct sockaddr_storage sa;
    int on = 1, off = 0, rc;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    set_port(ai, port, &sa);
    if (ai->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
        bind(fd, (struct sockaddr *)&sa, ai->ai_addrlen) < 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } sa = {0};
    socklen_t n = sizeof(sa);

    if (getsockname(fd, &sa.any, &n) < 0)
        return 0;
    return ntohs(sa.any.sa_family == AF_INET6 ? sa.six.sin6_port : sa.four.sin_port);
}

/* A shared port would let a second agent of the same user bind beside us unnoticed: ask once
 * without sharing. */
static int bind_checked(const struct ea_server *s, const struct addrinfo *ai, bool share,
                        int *ret_fd)
{
    int rc;

    if (share && s->o.port) {
        rc = bind_one(ai, s->o.port, false, ret_fd);
        if (rc)
            return rc;
        close(*ret_fd);
    }
    return bind_one(ai, s->o.port, share, ret_fd);
}

/* The first socket: IPv6 before IPv4, because with IPV6_V6ONLY off it serves both. */
static int bind_first(const struct ea_server *s, const struct addrinfo *list, bool share,
                      int *ret_fd)
{
    int rc = -EADDRNOTAVAIL;

    for (int pass = 0; pass < 2; pass++)
        for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
            if ((ai->ai_family == AF_INET6) != (pass == 0))
                continue;
            rc = bind_checked(s, ai, share, ret_fd);
            if (rc == 0 || rc == -EADDRINUSE)
                return rc;
        }
    return rc;
}

/* The family that the first socket got. */
static const struct addrinfo *same_family(const struct addrinfo *list, int fd)
{
    int family = 0;
    socklen_t n = sizeof(family);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n) < 0)
        return list;
    while (list->ai_next && list->ai_family != family)
        list = list->ai_next;
    return list;
}

static int listen_all(struct ea_server *s, int *fds, struct ea_err *err)
{
    const char *shown = s->o.address && s->o.address[0] ? s->o.address : "any address";
    bool share = s->o.workers > 1;
    struct addrinfo *list;
    int rc = resolve(&s->o, &list, err);

    if (rc)
        return rc;
    rc = bind_first(s, list, share, &fds[0]);
    if (rc == 0)
        s->port = bound_port(fds[0]);
    for (unsigned i = 1; i < s->o.workers && rc == 0; i++)
        rc = bind_one(same_family(list, fds[0]), s->port, true, &fds[i]);
    for (unsigned i = 0; i < s->o.workers && rc == 0; i++)
        if (listen(fds[i], 1024) < 0)
            rc = -errno;
    freeaddrinfo(list);
    return rc ? ea_fail(err, rc, "listening on %s port %u: %s", shown, s->o.port, strerror(-rc))
              : 0;
}

static void copy_opts(struct ea_server *s, const struct ea_server_opts *o)
{
    s->o = *o;
    s->o.address = o->address ? ea_str_dupz(ea_str(o->address)) : NULL;
    s->o.cert_file = o->cert_file ? ea_str_dupz(ea_str(o->cert_file)) : NULL;
    s->o.key_file = o->key_file ? ea_str_dupz(ea_str(o->key_file)) : NULL;
    s->o.client_ca_file = o->client_ca_file ? ea_str_dupz(ea_str(o->client_ca_file)) : NULL;
    s->o.name = ea_str_dupz(ea_str(o->name ? o->name : "http"));
    if (!s->o.workers)
        s->o.workers = 1;
    if (!s->o.max_connections)
        s->o.max_connections = EA_MAX_HTTP_CONNECTIONS;
    if (!s->o.idle_s)
        s->o.idle_s = 120;
    if (!s->o.request_s)
        s->o.request_s = 10;
    if (!s->o.arena_cap)
        s->o.arena_cap = EA_ARENA_REVIEW;
}

static void make_metrics(struct ea_server *s)
{
    struct ea_buf b;

    ea_buf_init(&b, 256);
    ea_metric_label(&b, "server", ea_str(s->o.name));
    (void)ea_buf_add(&b, "", 1);
    s->m_conns = ea_metric(EA_GAUGE, "eucs_agent_http_connections", "Open connections.", b.p);
    s->m_refused = ea_metric(EA_COUNTER, "eucs_agent_http_connections_refused_total",
                             "Connections closed because the limit was reached.", b.p);
    s->m_slow = ea_metric(EA_COUNTER, "eucs_agent_http_slow_clients_total",
                          "Connections closed by a time-out inside a request.", b.p);
    if (s->o.tls)
        s->m_not_after =
            ea_metric(EA_GAUGE, "eucs_agent_certificate_not_after_seconds",
                      "End of validity of the certificate that is served, Unix seconds.", b.p);
    ea_buf_done(&b);
}

static void server_free(struct ea_server *s)
{
    for (unsigned i = 0; s->workers && i < s->o.workers; i++)
        net_worker_done(&s->workers[i]);
    free(s->workers);
    free((char *)s->o.address);
    free((char *)s->o.cert_file);
    free((char *)s->o.key_file);
    free((char *)s->o.client_ca_file);
    free((char *)s->o.name);
    free(s);
}

/* libwebsockets sizes two tables by the limit of open files, which may be a million: tens of
 * megabytes for nothing. */
static int init_workers(struct ea_server *s, const int *fds, struct ea_err *err)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    struct rlimit was = {0}, less;
    rlim_t enough = EA_MAX(4096u, 2 * s->o.max_connections + 1024u);
    bool lowered;
    int rc = 0;

    pthread_mutex_lock(&one);
    lowered = getrlimit(RLIMIT_NOFILE, &was) == 0 &&
              (was.rlim_cur == RLIM_INFINITY || was.rlim_cur > enough);
    less = was;
    less.rlim_cur = enough;
    if (lowered)
        lowered = setrlimit(RLIMIT_NOFILE, &less) == 0;
    for (unsigned i = 0; i < s->o.workers; i++) {
        int one_rc = rc ? rc : net_worker_init(&s->workers[i], s, i, fds[i], err);

        if (rc)
            close(fds[i]);
        rc = one_rc;
    }
    if (lowered)
        (void)setrlimit(RLIMIT_NOFILE, &was);
    pthread_mutex_unlock(&one);
    return rc;
}

int ea_server_start(const struct ea_server_opts *o, struct ea_server **ret, struct ea_err *err)
{
    struct ea_server *s = ea_xalloc(sizeof(*s));
    EA_AUTO_FREE int *fds = NULL;
    int rc;

    copy_opts(s, o);
    fds = ea_xalloc(s->o.workers * sizeof(*fds));
    for (unsigned i = 0; i < s->o.workers; i++)
        fds[i] = -1;
    if (o->tls && (!o->cert_file || !o->key_file)) {
        rc = ea_fail(err, -EINVAL, "server %s: TLS needs a certificate and a key file", s->o.name);
        server_free(s);
        return rc;
    }
    rc = listen_all(s, fds, err);
    if (rc) {
        for (unsigned i = 0; i < s->o.workers; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        server_free(s);
        return rc;
    }
    make_metrics(s);
    lws_set_log_level(0, NULL);
    s->workers = ea_xalloc(s->o.workers * sizeof(*s->workers));
    rc = init_workers(s, fds, err);
    for (unsigned i = 0; i < s->o.workers && rc == 0; i++)
        rc = net_worker_start(&s->workers[i], err);
    if (rc) {
        ea_server_stop(s, 0);
        return rc;
    }
    *ret = s;
    return 0;
}

uint16_t ea_server_port(const struct ea_server *s)
{
    return s->port;
}

void ea_server_stop(struct ea_server *s, uint64_t grace_us)
{
    if (!s)
        return;
    atomic_store(&s->stop_at, ea_mono_now() + grace_us);
    atomic_store(&s->stop, true);
    for (unsigned i = 0; i < s->o.workers; i++)
        if (s->workers[i].started)
            net_worker_wake(&s->workers[i]);
    for (unsigned i = 0; i < s->o.workers; i++)
        if (s->workers[i].started)
            pthread_join(s->workers[i].thread, NULL);
    server_free(s);
}

void ea_respond_parked(struct ea_server *s, uint64_t ticket, unsigned status,
                       const char *content_type, const char *extra_headers, struct ea_str body)
{
    unsigned index = (unsigned)(ticket >> 56);
    struct reply *r;
    struct worker *w;

    EA_ASSERT(index < s->o.workers);
    w = &s->workers[index];
    r = ea_xalloc(sizeof(*r));
    r->ticket = ticket;
    r->status = status;
    r->content_type = content_type ? ea_str_dupz(ea_str(content_type)) : NULL;
    r->extra = extra_headers ? ea_str_dupz(ea_str(extra_headers)) : NULL;
    r->body = ea_str_dupz(body);
    r->body_n = body.n;
    pthread_mutex_lock(&w->lock);
    *w->replies_end = r;
    w->replies_end = &r->next;
    pthread_mutex_unlock(&w->lock);
    net_worker_wake(w);
}

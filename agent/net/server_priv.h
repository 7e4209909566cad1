/* net/server_priv.h - what server.c, worker.c, request.c and tls.c share.
 *
 * Thread:  a worker and its connections belong to the worker's thread; `lock` guards the replies
 * that other threads hand over.
 */
#ifndef EA_NET_SERVER_PRIV_H
#define EA_NET_SERVER_PRIV_H

#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/metrics.h"
#include "net/server.h"

enum conn_state {
    CONN_IDLE,   /* waiting for a head: new, or kept alive */
    CONN_BODY,   /* head accepted, body on its way */
    CONN_HANDLE, /* the handler runs */
    CONN_PARKED, /* the answer comes later */
    CONN_DRAIN,  /* refused: what still comes is thrown away, then the connection closes */
    CONN_CLOSING /* handed back to libwebsockets for closing */
};

enum known_header {
    H_CONTENT_TYPE,
    H_AUTHORIZATION,
    H_ACCEPT,
    H_HOST,
    H_COOKIE,
    H_IF_NONE_MATCH,
    H_LAST_EVENT_ID,
    H_COUNT
};

struct ea_request {
    struct worker *w;
    struct lws *wsi;
    struct ea_request *next, *prev; /* all connections of the worker */
    enum conn_state state;
    ea_mono_us since; /* when the state began */
    ea_mono_us start; /* when the head was complete */
    const char *method;
    struct ea_buf head; /* bytes of path, arguments and headers, back to back */
    struct {
        size_t at, n;
    } path, headers[H_COUNT], args[32];
    bool has_header[H_COUNT];
    unsigned n_args;
    uint64_t content_length, drained;
    unsigned n_requests;
    bool has_body, want_close, responded, passed_head, counted_body, client_known, kill_after;
    struct ea_buf body, out;
    uint64_t tag;
    uint32_t slot, generation;
    char peer[64];
    char client[128];
};

struct reply {
    struct reply *next;
    uint64_t ticket;
    unsigned status;
    char *content_type, *extra, *body;
    size_t body_n;
};

struct file_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
};

struct worker {
    struct ea_server *s;
    unsigned index;
    pthread_t thread;
    bool started;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct lws *listen_wsi;
    int listen_fd;
    bool accept_paused;
    SSL_CTX *ssl, *no_client;
    struct file_stamp stamps[3]; /* certificate, key, client CA as last tried */
    struct ea_arena arena;
    struct ea_request *conns; /* newest first */
    struct ea_request *adopting;
    unsigned n_conns, max_conns;
    struct ea_request **slots;
    uint32_t n_slots, next_generation;
    lws_sorted_usec_list_t sweep;
    unsigned sweeps;
    bool stopping;
    struct ea_err *init_err; /* set while the context is made: where tls.c leaves its reason */
    time_t date_at;
    char date[40];
    pthread_mutex_t lock;
    struct reply *replies, **replies_end;
};

struct ea_server {
    struct ea_server_opts o;
    uint16_t port;
    struct worker *workers;
    atomic_bool stop;
    _Atomic uint64_t stop_at; /* monotonic us: the end of grace */
    _Atomic size_t body_total;
    struct ea_metric *m_conns, *m_refused, *m_slow, *m_not_after;
    _Atomic(struct ea_metric *) m_status[600];
};

/* worker.c */
int net_worker_init(struct worker *w, struct ea_server *s, unsigned index, int listen_fd,
                    struct ea_err *err);
int net_worker_start(struct worker *w, struct ea_err *err);
void net_worker_done(struct worker *w);
void net_worker_wake(struct worker *w);
/* Closes at once, whatever is under way. */
void net_conn_kill(struct ea_request *rq);
void net_conn_free(struct ea_request *rq);
void net_worker_accept(struct worker *w);
void net_worker_replies(struct worker *w);

/* request.c */
int net_request_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t len);
/* Writes the answer. After it ea_request.kill_after says whether the connection must go. */
void net_request_answer(struct ea_request *rq, unsigned status, const char *content_type,
                        const char *extra, struct ea_str body);
/* Ends the transaction outside a callback of its own connection. */
void net_request_finish(struct ea_request *rq);
void net_request_set_state(struct ea_request *rq, enum conn_state st);
void net_request_done(struct ea_request *rq);

/* tls.c */
int net_tls_probe(struct worker *w, struct ea_err *err);
int net_tls_setup(struct worker *w, SSL_CTX *ctx, struct ea_err *err);
void net_tls_check(struct worker *w);
void net_tls_client_name(struct ea_request *rq);

#endif

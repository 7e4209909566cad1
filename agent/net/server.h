/* net/server.h - HTTPS (or plain HTTP) server on libwebsockets: one context and one service thread
 * per worker, own SO_REUSEPORT listeners.
 *
 * Thread:  start and stop are [owner]; the handler runs on a worker's thread, one call at a time
 * per worker. Owns:    connections, buffers, worker threads. Request views are borrowed until the
 * handler answers or parks. Limits:  opts.max_body (413 above), opts.max_body_total (503 above),
 * request line and headers EA_MAX_HTTP_HEAD, opts.max_connections, idle and request time-outs (slow
 * clients are closed); bodies without a length (chunked too) are answered 411 and closed. At the
 * limit of connections the one that has been silent longest gives way. Never:   blocks in the
 * service thread for another client; logs (see opts.report). Source:  RFC 9112 (HTTP/1.1), RFC 8446
 * (TLS 1.3); HTTP/1.1 only, also by ALPN.
 */
#ifndef EA_NET_SERVER_H
#define EA_NET_SERVER_H

#include "base/arena.h"
#include "base/base.h"
#include "base/clock.h"

struct ea_server;
struct ea_request;

struct ea_server_opts {
    const char *address; /* "127.0.0.1", "::", … NULL = any */
    uint16_t port;       /* 0 = any free one, see ea_server_port */
    bool tls;
    const char *cert_file, *key_file; /* PEM; reloaded when they change and fit together */
    const char *client_ca_file;       /* NULL = no client certificates; set: verified when sent, see
                                         ea_request_client */
    bool client_cert_required;
    unsigned workers;      /* >= 1 */
    size_t max_body;       /* bytes of one body */
    size_t max_body_total; /* bytes of all bodies held at a time; 0 = no limit but max_connections *
                              max_body */
    unsigned max_connections;   /* of all workers together; 0 = 1024 */
    unsigned idle_s, request_s; /* keep-alive idle, whole request (head, body); 0 = 120, 10 */
    size_t arena_cap;           /* bytes of a worker's arena; 0 = EA_ARENA_REVIEW */
    /* Called with a complete request; must call ea_respond exactly once, now or later (parked). */
    void (*handle)(void *arg, struct ea_request *rq);
    /* May be NULL. Called when the head has come and before any of the body is kept: 0 = go on,
     * else the status of a refusal (the answer is the status' text and the connection is closed
     * after it). Body is empty yet. */
    unsigned (*head)(void *arg, struct ea_request *rq);
    /* May be NULL. Called once for every request that `head` let pass: its answer was handed over,
     * or its connection died. */
    void (*done)(void *arg, struct ea_request *rq);
    /* May be NULL. What nobody asked for but somebody should log: slug "certificate-reloaded" (err
     * NULL) or "certificate-unusable". Called on the first worker's thread. */
    void (*report)(void *arg, const char *slug, const struct ea_err *err);
    void *arg;
    const char *name; /* metric label: "webhook", "web", "health" */
};

EA_MUST_CHECK int ea_server_start(const struct ea_server_opts *o, struct ea_server **ret,
                                  struct ea_err *err);
uint16_t ea_server_port(const struct ea_server *s);
/* Stops accepting, lets running requests end for at most grace_us, closes. Tickets are worthless
 * afterwards. NULL is fine. */
void ea_server_stop(struct ea_server *s, uint64_t grace_us);

/* ---- request (handler's thread) ---- */
struct ea_str ea_request_method(const struct ea_request *rq);
struct ea_str ea_request_path(const struct ea_request *rq); /* decoded, without query */
/* Value of a query parameter ("" when it has none) or EA_STR_NULL. */
struct ea_str ea_request_query(const struct ea_request *rq, const char *name);
struct ea_str ea_request_header(const struct ea_request *rq,
                                const char *name); /* content-type, authorization, accept, host,
                                                      cookie, last-event-id, if-none-match */
struct ea_str ea_request_body(const struct ea_request *rq);
/* Bytes that the head announced. */
uint64_t ea_request_content_length(const struct ea_request *rq);
struct ea_str ea_request_client(
    const struct ea_request *rq); /* subject CN of a verified client certificate, or empty */
struct ea_str ea_request_peer(const struct ea_request *rq);
/* Arena of this worker, reset when the handler returns. */
struct ea_arena *ea_request_arena(struct ea_request *rq);
ea_mono_us ea_request_start(const struct ea_request *rq);
/* A word of the caller's, from `head` to `done`; 0 at first. */
uint64_t *ea_request_tag(struct ea_request *rq);
/* 0 … workers-1: lets a handler keep state per worker without a lock. */
unsigned ea_request_worker(const struct ea_request *rq);

/* Headers and body leave in ONE write; extra_headers is NULL or "Name: value\r\n…"; body is copied.
 */
void ea_respond(struct ea_request *rq, unsigned status, const char *content_type,
                const char *extra_headers, struct ea_str body);
/* A parked request is answered later from any thread: park now, then ea_respond_parked with the
 * ticket. Its views and arena are gone when the handler returns. A client that went away meanwhile
 * is no error. */
uint64_t ea_request_park(struct ea_request *rq);
void ea_respond_parked(struct ea_server *s, uint64_t ticket, unsigned status,
                       const char *content_type, const char *extra_headers, struct ea_str body);

#endif

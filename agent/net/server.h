/* net/server.h - HTTPS (or plain HTTP) server on libwebsockets: one context and one service thread per worker, own SO_REUSEPORT listeners.
 *
 * Thread:  start and stop are [owner]; the handler runs on a worker's thread, one call at a time per worker.
 * Owns:    connections, buffers, worker threads. Request views are borrowed until the handler answers.
 * Limits:  opts.max_body (413 above), 64 headers, request line and headers 16 KiB, opts.max_connections, idle and header time-outs
 *          (slow clients are closed), chunked request bodies are answered 411 and closed.
 * Never:   blocks in the service thread for another client; logs.
 */
#ifndef EA_NET_SERVER_H
#define EA_NET_SERVER_H

#include "base/arena.h"
#include "base/base.h"
#include "base/clock.h"

struct ea_server;
struct ea_request;

struct ea_server_opts {
    const char *address;  /* "127.0.0.1", "::", … */
    uint16_t port;        /* 0 = any free one, see ea_server_port */
    bool tls;
    const char *cert_file, *key_file; /* PEM; reloaded when they change */
    const char *client_ca_file;       /* NULL = no client certificates; set: verified when sent, see ea_request_client */
    bool client_cert_required;
    unsigned workers;     /* >= 1 */
    size_t max_body;      /* bytes */
    unsigned max_connections;
    unsigned idle_s, request_s; /* keep-alive idle, whole request */
    /* Called with a complete request; must call ea_respond exactly once, now or later (parked). */
    void (*handle)(void *arg, struct ea_request *rq);
    void *arg;
    const char *name; /* metric label: "webhook", "web", "health" */
};

EA_MUST_CHECK int ea_server_start(const struct ea_server_opts *o, struct ea_server **ret, struct ea_err *err);
uint16_t ea_server_port(const struct ea_server *s);
/* Stops accepting, lets running requests end for at most grace_us, closes. */
void ea_server_stop(struct ea_server *s, uint64_t grace_us);

/* ---- request (handler's thread) ---- */
struct ea_str ea_request_method(const struct ea_request *rq);
struct ea_str ea_request_path(const struct ea_request *rq);  /* decoded, without query */
/* Value of a query parameter or EA_STR_NULL. */
struct ea_str ea_request_query(const struct ea_request *rq, const char *name);
struct ea_str ea_request_header(const struct ea_request *rq, const char *name); /* content-type, authorization, accept, host, cookie, last-event-id, if-none-match */
struct ea_str ea_request_body(const struct ea_request *rq);
struct ea_str ea_request_client(const struct ea_request *rq); /* subject CN of a verified client certificate, or empty */
struct ea_str ea_request_peer(const struct ea_request *rq);
/* Arena of this worker, reset after the answer. */
struct ea_arena *ea_request_arena(struct ea_request *rq);
ea_mono_us ea_request_start(const struct ea_request *rq);

/* Headers and body leave in ONE write; extra_headers is NULL or "Name: value\r\n…"; body is copied. */
void ea_respond(struct ea_request *rq, unsigned status, const char *content_type, const char *extra_headers, struct ea_str body);
/* A parked request is answered later from any thread: park now, then ea_respond_parked with the ticket. */
uint64_t ea_request_park(struct ea_request *rq);
void ea_respond_parked(struct ea_server *s, uint64_t ticket, unsigned status, const char *content_type, const char *extra_headers,
                       struct ea_str body);

#endif

/* net/client.h - HTTP client on libcurl: single requests and streams.
 *
 * Thread:  a client is [owner]: one easy handle, one connection at a time (keep-alive).
 * Owns:    its handle and response buffer; the response body is borrowed until the next call.
 * Limits:  opts.max_response bytes for ea_http_do; streams have none but the caller's.
 * Never:   follows redirects, prints a token or key, logs. HTTP/1.1 (one connection per watch), TLS
 * >= 1.2.
 */
#ifndef EA_NET_CLIENT_H
#define EA_NET_CLIENT_H

#include "base/base.h"
#include "base/buf.h"

struct ea_http;

struct ea_http_opts {
    const char *base_url; /* "https://10.0.0.1:443" */
    const char *ca_file;  /* or ca_pem; both NULL = system store */
    struct ea_str ca_pem, cert_pem, key_pem;
    const char *cert_file, *key_file;
    const char *tls_server_name; /* verify against this name */
    const char *proxy;
    bool insecure_skip_verify;     /* kubeconfig says so; tests only */
    unsigned connect_ms, total_ms; /* total 0 = none (streams) */
    size_t max_response;
    const char *user_agent;
    /* Called before each request: writes the value of the Authorization header ("Bearer …") or
     * leaves it empty. */
    int (*authorize)(void *arg, struct ea_buf *b, struct ea_err *err);
    void *authorize_arg;
};

EA_MUST_CHECK int ea_http_new(const struct ea_http_opts *o, struct ea_http **ret,
                              struct ea_err *err);
void ea_http_free(struct ea_http *h);

struct ea_http_reply {
    long status;
    struct ea_str body;      /* borrowed until the next call on this client */
    uint64_t retry_after_ms; /* of Retry-After (seconds or HTTP date), 0 = absent */
    char content_type[64];
};
/* path starts with '/', already percent-encoded. content_type NULL without a body.
 * 0 = an answer came, whatever its status; -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH, -EPROTO (TLS),
 * -EPIPE, -E2BIG, -ECANCELED. */
EA_MUST_CHECK int ea_http_do(struct ea_http *h, const char *method, const char *path,
                             const char *content_type, const char *accept, struct ea_str body,
                             struct ea_http_reply *ret, struct ea_err *err);

/* A long GET: on_data gets pieces as they come; a return other than 0 ends the stream with that
 * code. on_status is called once, when the answer's head is complete; tick every ~250 ms even when
 * silent (a return other than 0 ends the stream). Blocks until the stream ends: 0 = end of stream.
 */
struct ea_http_stream {
    int (*on_status)(void *arg, const struct ea_http_reply *head);
    int (*on_data)(void *arg, const char *p, size_t n);
    int (*tick)(void *arg);
    void *arg;
    unsigned idle_ms; /* dead after this long without a byte; 0 = none */
};
EA_MUST_CHECK int ea_http_stream(struct ea_http *h, const char *path, const char *accept,
                                 const struct ea_http_stream *s, struct ea_err *err);
/* Percent-encodes one query value or path segment. */
int ea_url_escape(struct ea_buf *b, struct ea_str s);

#endif

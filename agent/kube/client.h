/* kube/client.h - single calls to the API server.
 *
 * Thread:  a client is [owner]: one connection, made when first needed and again when credentials
 *          change.
 * Owns:    its connection and reply buffer. Documents returned live in the caller's arena.
 * Limits:  EA_MAX_API_REPLY a reply; 10 s to connect, 30 s a call; up to 10 tries when the server
 *          says Retry-After.
 * Never:   logs, retries a call that may have been carried out (but for a dropped keep-alive
 *          connection), prints a credential.
 * Source:  Kubernetes API concepts; client-go/rest/request.go (retry), server-side apply.
 */
#ifndef EA_KUBE_CLIENT_H
#define EA_KUBE_CLIENT_H

#include "doc/val.h"
#include "kube/config.h"
#include "kube/store.h"

struct ea_kube;

struct ea_kube_opts {
    unsigned total_ms;           /* of one call; 0 = 30 s */
    unsigned tries;              /* with Retry-After; 0 = 10 */
    bool (*stopping)(void *arg); /* asked while waiting; may be NULL */
    void *stopping_arg;
};

/* Shares c. o may be NULL. Does not connect yet. */
EA_MUST_CHECK int ea_kube_new(struct ea_kube_config *c, const struct ea_kube_opts *o,
                              struct ea_kube **ret, struct ea_err *err);
void ea_kube_free(struct ea_kube *k);

/* "/api/v1/namespaces/NS/pods/NAME/SUB"; ns, name, sub may be NULL or "". For a namespaced resource
 * without ns: all namespaces. */
int ea_kube_path(struct ea_buf *b, const struct ea_kube_res *res, const char *ns, const char *name,
                 const char *sub);

/* One call; any status is an answer. Waits as Retry-After says for 429 and 5xx; new credentials and
 * one more try after 401. 0, -ECANCELED (stopping), -EACCES (no credentials), and those of
 * ea_http_do. */
EA_MUST_CHECK int ea_kube_raw(struct ea_kube *k, const char *method, const char *path,
                              const char *content_type, struct ea_str body,
                              struct ea_http_reply *ret, struct ea_err *err);
/* HTTP status of the last answer; 0 = none came. */
long ea_kube_status(const struct ea_kube *k);

/* The calls below turn the status into: 0 (2xx), -EACCES (401, 403), -ENOENT (404), -EEXIST (409:
 * there already, or another version), -ESTALE (410), -EINVAL (400, 405, 406, 415, 422), -E2BIG
 * (413), -EBUSY (429), -EIO (5xx and the rest); err has the server's message. a and ret may both be
 * NULL when the document is not wanted. */
EA_MUST_CHECK int ea_kube_call(struct ea_kube *k, const char *method, const char *path,
                               const char *content_type, struct ea_str body, struct ea_arena *a,
                               struct ea_val *ret, struct ea_err *err);
EA_MUST_CHECK int ea_kube_get(struct ea_kube *k, const struct ea_kube_res *res, const char *ns,
                              const char *name, struct ea_arena *a, struct ea_val *ret,
                              struct ea_err *err);
EA_MUST_CHECK int ea_kube_create(struct ea_kube *k, const struct ea_kube_res *res, const char *ns,
                                 struct ea_str json, struct ea_arena *a, struct ea_val *ret,
                                 struct ea_err *err);
/* PUT of the whole object; metadata.resourceVersion in it is the precondition. */
EA_MUST_CHECK int ea_kube_update(struct ea_kube *k, const struct ea_kube_res *res, const char *ns,
                                 const char *name, struct ea_str json, struct ea_arena *a,
                                 struct ea_val *ret, struct ea_err *err);
/* type: "application/merge-patch+json", "application/json-patch+json",
 * "application/strategic-merge-patch+json". */
EA_MUST_CHECK int ea_kube_patch(struct ea_kube *k, const struct ea_kube_res *res, const char *ns,
                                const char *name, const char *type, struct ea_str patch,
                                struct ea_arena *a, struct ea_val *ret, struct ea_err *err);
/* Server-side apply as manager eucs-agent, with force. json must hold apiVersion, kind,
 * metadata.name and no managedFields. */
EA_MUST_CHECK int ea_kube_apply(struct ea_kube *k, const struct ea_kube_res *res, const char *ns,
                                const char *name, struct ea_str json, struct ea_arena *a,
                                struct ea_val *ret, struct ea_err *err);
/* Succeeds also when it is gone already. */
EA_MUST_CHECK int ea_kube_delete(struct ea_kube *k, const struct ea_kube_res *res, const char *ns,
                                 const char *name, struct ea_err *err);

/* A long GET (list pages, watches); s as in net/client.h. No time-out but s->idle_ms, no retry. */
EA_MUST_CHECK int ea_kube_stream(struct ea_kube *k, const char *path,
                                 const struct ea_http_stream *s, struct ea_err *err);

/* Turns a failed answer (status and the Status document, as far as it came) into the codes above.
 * Returns the code. */
int ea_kube_answer(long status, struct ea_str body, struct ea_err *err);
/* A value between us and 2*us, so that many agents do not call at the same moment. */
uint64_t ea_kube_jitter(uint64_t us);

#endif

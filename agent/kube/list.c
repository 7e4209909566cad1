/* kube/list.c - paged lists, streamed. */
#include "kube/list.h"

#include "base/limits.h"
#include "doc/json.h"
#include "kube/scan.h"

#define PAGE 500u
#define IDLE_MS 60000u /* the server builds a page before it sends a byte */
#define MAX_CONTINUE 8192u

struct page {
    const struct ea_list_opts *o;
    struct ea_list_scan scan;
    struct ea_buf status_body;
    long status;
    uint64_t retry_after_ms, bytes;
};

static int on_object(void *arg, struct ea_str bytes)
{
    struct page *p = arg;

    return p->o->object(p->o->arg, bytes);
}

static int on_oversize(void *arg, struct ea_str head, uint64_t size)
{
    struct page *p = arg;

    return p->o->oversize ? p->o->oversize(p->o->arg, head, size) : 0;
}

static int on_status(void *arg, const struct ea_http_reply *head)
{
    struct page *p = arg;

    p->status = head->status;
    p->retry_after_ms = head->retry_after_ms;
    return 0;
}

static int on_data(void *arg, const char *bytes, size_t n)
{
    struct page *p = arg;

    if (p->status != 200) {
        if (p->status_body.n + n <= EA_MAX_STATUS_REPLY)
            (void)ea_buf_add(&p->status_body, bytes, n);
        return 0;
    }
    p->bytes += n;
    if (p->bytes > EA_MAX_LIST_PAGE)
        return -E2BIG;
    return ea_list_scan_feed(&p->scan, bytes, n);
}

static int copy_member(const struct ea_val *meta, const char *key, char *out, size_t size,
                       struct ea_err *err)
{
    struct ea_str s = ea_val_get_str(meta, key);

    if (s.n >= size)
        return ea_fail(err, -E2BIG, "metadata.%s of the list is too long", key);
    if (s.n)
        memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return 0;
}

static int read_head(struct page *p, char rv[256], char token[MAX_CONTINUE], struct ea_err *err)
{
    struct ea_arena a;
    struct ea_val root;
    const struct ea_val *meta;
    int rc;

    if (!ea_list_scan_complete(&p->scan))
        return ea_fail(err, -EPIPE, "the list was cut off");
    ea_arena_init(&a, 16 * EA_MAX_LIST_HEAD, 4096);
    rc = ea_json_parse(&a, ea_buf_str(&p->scan.head), NULL, &root, NULL, err);
    if (rc == 0) {
        meta = ea_val_getz(&root, "metadata");
        rc = copy_member(meta, "continue", token, MAX_CONTINUE, err);
        if (rc == 0 && !rv[0]) /* all pages are of the first page's moment */
            rc = copy_member(meta, "resourceVersion", rv, 256, err);
    }
    ea_arena_done(&a);
    return rc;
}

static int page_path(struct ea_buf *b, const struct ea_kube_res *res, const struct ea_list_opts *o,
                     unsigned limit, const char *token)
{
    char sep = '?';
    const struct {
        const char *key, *value;
    } q[] = {{"continue", token},
             {"labelSelector", o->label_selector},
             {"fieldSelector", o->field_selector}};

    (void)ea_kube_path(b, res, o->ns, NULL, NULL);
    if (limit) {
        ea_buf_addf(b, "%climit=%u", sep, limit);
        sep = '&';
    }
    for (size_t i = 0; i < EA_COUNT(q); i++) {
        if (!q[i].value || !*q[i].value)
            continue;
        ea_buf_addf(b, "%c%s=", sep, q[i].key);
        ea_url_escape(b, ea_str(q[i].value));
        sep = '&';
    }
    return ea_buf_addc(b, 0);
}

/* One page: objects to the callback, head to rv and token. */
static int one_page(struct ea_kube *k, const struct ea_kube_res *res, const struct ea_list_opts *o,
                    unsigned limit, char rv[256], char token[MAX_CONTINUE],
                    uint64_t *ret_retry_after_ms, struct ea_err *err)
{
    struct page p = {.o = o};
    struct ea_scan_ops ops = {on_object, on_oversize, &p};
    struct ea_http_stream s = {on_status, on_data, NULL, &p, IDLE_MS};
    struct ea_buf path;
    int rc;

    ea_buf_init(&path, 2 * MAX_CONTINUE + 4096);
    ea_buf_init(&p.status_body, EA_MAX_STATUS_REPLY);
    ea_list_scan_init(&p.scan, EA_MAX_OBJECT, EA_MAX_LIST_HEAD, &ops);
    rc = page_path(&path, res, o, limit, token);
    if (rc == 0)
        rc = ea_kube_stream(k, path.p, &s, err);
    if (rc == 0)
        rc = ea_kube_answer(p.status, ea_buf_str(&p.status_body), err);
    if (rc == 0)
        rc = read_head(&p, rv, token, err);
    *ret_retry_after_ms = p.retry_after_ms;
    ea_list_scan_done(&p.scan);
    ea_buf_done(&p.status_body);
    ea_buf_done(&path);
    return rc;
}

int ea_kube_list(struct ea_kube *k, const struct ea_kube_res *res, const struct ea_list_opts *o,
                 char ret_rv[256], uint64_t *ret_retry_after_ms, struct ea_err *err)
{
    EA_AUTO_FREE char *token = ea_xalloc(MAX_CONTINUE);
    unsigned limit = o->page ? o->page : PAGE;
    int rc;

    ret_rv[0] = 0;
    do {
        bool rest = token[0] != 0;

        rc = one_page(k, res, o, limit, ret_rv, token, ret_retry_after_ms, err);
        if (rc == -ESTALE && rest) {
            token[0] = ret_rv[0] = 0;
            limit = 0;
            if (o->restart)
                o->restart(o->arg);
            rc = one_page(k, res, o, limit, ret_rv, token, ret_retry_after_ms, err);
        }
    } while (rc == 0 && token[0]);
    if (rc)
        ea_wrap(err, "list %s", res->resource);
    return rc;
}

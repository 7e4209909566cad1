/* net/tls.c - the certificate that is served: set up, exchanged when its files change, and who the
 * client is. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/limits.h"
#include "net/server_priv.h"

/* What one certificate file and key file hold. */
struct pair {
    X509 *cert;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
};

static void pair_done(struct pair *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    sk_X509_pop_free(p->chain, X509_free);
}

static const char *ssl_reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;

    return text ? text : "unusable";
}

static int pair_load(const struct ea_server_opts *o, struct pair *p, struct ea_err *err)
{
    BIO *bio;
    X509 *more;

    ERR_clear_error();
    bio = BIO_new_file(o->cert_file, "r");
    if (!bio)
        return ea_fail(err, -ENOENT, "certificate %s: %s", o->cert_file, strerror(errno));
    p->cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    p->chain = sk_X509_new_null();
    while (p->cert && p->chain && (more = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        if (!sk_X509_push(p->chain, more))
            X509_free(more);
    BIO_free(bio);
    if (!p->cert || !p->chain)
        return ea_fail(err, -EINVAL, "certificate %s: %s", o->cert_file, ssl_reason());
    ERR_clear_error();
    bio = BIO_new_file(o->key_file, "r");
    if (!bio)
        return ea_fail(err, -ENOENT, "key %s: %s", o->key_file, strerror(errno));
    p->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (!p->key)
        return ea_fail(err, -EINVAL, "key %s: %s", o->key_file, ssl_reason());
    if (!X509_check_private_key(p->cert, p->key))
        return ea_fail(err, -EINVAL, "certificate %s and key %s do not belong together",
                       o->cert_file, o->key_file);
    return 0;
}

static void note_validity(struct worker *w, const X509 *cert)
{
    struct tm tm = {0};

    if (w->index == 0 && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm))
        ea_metric_set(w->s->m_not_after, (double)timegm(&tm));
}

static int install_pair(struct worker *w, SSL_CTX *ctx, struct ea_err *err)
{
    struct pair p = {0};
    int rc = pair_load(&w->s->o, &p, err);

    /* Both at once or neither: a half exchanged pair would break every handshake. */
    if (rc == 0 && SSL_CTX_use_cert_and_key(ctx, p.cert, p.key, p.chain, 1) != 1)
        rc = ea_fail(err, -EINVAL, "certificate %s: %s", w->s->o.cert_file, ssl_reason());
    if (rc == 0)
        note_validity(w, p.cert);
    pair_done(&p);
    ERR_clear_error();
    return rc;
}

static int install_client_ca(struct worker *w, SSL_CTX *ctx, struct ea_err *err)
{
    const struct ea_server_opts *o = &w->s->o;
    STACK_OF(X509_NAME) * names;
    X509_STORE *store;

    if (!o->client_ca_file)
        return 0;
    ERR_clear_error();
    names = SSL_load_client_CA_file(o->client_ca_file);
    store = X509_STORE_new();
    if (!names || !store || X509_STORE_load_file(store, o->client_ca_file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        X509_STORE_free(store);
        return ea_fail(err, -EINVAL, "client CA %s: %s", o->client_ca_file, ssl_reason());
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_cert_store(ctx, store);
    SSL_CTX_set_verify(ctx,
                       SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE |
                           (o->client_cert_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    (void)SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"ea", 2);
    return 0;
}

static bool stamp_changed(const char *path, struct file_stamp *was)
{
    struct file_stamp now = {0};
    struct stat st;

    if (!path)
        return false;
    if (stat(path, &st) == 0) {
        now.dev = st.st_dev;
        now.ino = st.st_ino;
        now.size = st.st_size;
        now.mtime = st.st_mtim;
    }
    if (now.dev == was->dev && now.ino == was->ino && now.size == was->size &&
        now.mtime.tv_sec == was->mtime.tv_sec && now.mtime.tv_nsec == was->mtime.tv_nsec)
        return false;
    *was = now;
    return true;
}

static bool files_changed(struct worker *w)
{
    const struct ea_server_opts *o = &w->s->o;
    bool a = stamp_changed(o->cert_file, &w->stamps[0]);
    bool b = stamp_changed(o->key_file, &w->stamps[1]);
    bool c = stamp_changed(o->client_ca_file, &w->stamps[2]);

    return a || b || c;
}

/* libwebsockets leaks a virtual host that it could not finish, so what can be wrong is found before
 * there is one. */
int net_tls_probe(struct worker *w, struct ea_err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int rc = ctx ? net_tls_setup(w, ctx, err)
                 : ea_fail(err, -ENOMEM, "server %s: %s", w->s->o.name, ssl_reason());

    w->ssl = NULL;
    SSL_CTX_free(ctx);
    return rc;
}

int net_tls_setup(struct worker *w, SSL_CTX *ctx, struct ea_err *err)
{
    int rc;

    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
        !SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL"))
        return ea_fail(err, -EINVAL, "server %s: TLS settings: %s", w->s->o.name, ssl_reason());
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* The library's own would look for other virtual hosts by an index that a second context has
     * changed. */
    SSL_CTX_set_tlsext_servername_callback(ctx, NULL);
    (void)files_changed(w);
    rc = install_pair(w, ctx, err);
    if (rc == 0)
        rc = install_client_ca(w, ctx, err);
    if (rc == 0)
        w->ssl = ctx;
    return rc;
}

/* Each worker looks for itself: a context is changed by the thread that uses it. */
void net_tls_check(struct worker *w)
{
    struct ea_server_opts *o = &w->s->o;
    struct ea_err err = {0};
    int rc;

    if (!files_changed(w))
        return;
    rc = install_pair(w, w->ssl, &err);
    if (rc == 0)
        rc = install_client_ca(w, w->ssl, &err);
    if (w->index == 0 && o->report)
        o->report(o->arg, rc ? "certificate-unusable" : "certificate-reloaded", rc ? &err : NULL);
}

void net_tls_client_name(struct ea_request *rq)
{
    SSL *ssl;
    X509 *cert;

    if (!rq->w->s->o.client_ca_file || rq->client_known)
        return;
    rq->client_known = true;
    ssl = lws_get_ssl(rq->wsi);
    cert = ssl ? SSL_get1_peer_certificate(ssl) : NULL;
    if (cert && SSL_get_verify_result(ssl) == X509_V_OK) {
        int n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, rq->client,
                                          sizeof(rq->client));

        if (n < 0 || !ea_utf8_valid(rq->client, strlen(rq->client)))
            rq->client[0] = 0;
    }
    X509_free(cert);
}

#include "app/tls_files.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "crypto/crypto.h"

#define PEM_BYTES (64u << 10)
#define CA_DAYS 3650u
#define LEAF_DAYS 365u
#define NAMES_MAX 32u

struct folder {
    char ca_crt[512], ca_key[512], crt[512], key[512], names[512];
};

static void paths(const char *dir, struct folder *f)
{
    (void)snprintf(f->ca_crt, sizeof(f->ca_crt), "%s/ca.crt", dir);
    (void)snprintf(f->ca_key, sizeof(f->ca_key), "%s/ca.key", dir);
    (void)snprintf(f->crt, sizeof(f->crt), "%s/tls.crt", dir);
    (void)snprintf(f->key, sizeof(f->key), "%s/tls.key", dir);
    (void)snprintf(f->names, sizeof(f->names), "%s/names", dir);
}

/* The certificate is there, readable, and more than `share` of its life is left. */
static bool is_fresh(const char *crt, const char *key, double share)
{
    EA_AUTO_FREE char *pem = NULL;
    struct ea_cert_info info;
    int64_t now = ea_wall_now() / 1000000;
    size_t n;

    if (access(key, R_OK) || ea_read_file(crt, PEM_BYTES, &pem, &n, NULL) ||
        ea_cert_info(ea_strn(pem, n), &info, NULL))
        return false;
    return (double)(info.not_after - now) > share * (double)(info.not_after - info.not_before);
}

/* Signed by the folder's CA, or by itself without one. */
static int write_pair(const struct ea_cert_req *req, const struct folder *issuer, const char *crt,
                      const char *key, struct ea_err *err)
{
    EA_AUTO_FREE char *icrt = NULL;
    EA_AUTO_FREE char *ikey = NULL;
    size_t n_crt = 0, n_key = 0;
    struct ea_buf cert, secret;
    int r = 0;

    if (issuer)
        r = ea_read_file(issuer->ca_crt, PEM_BYTES, &icrt, &n_crt, err)
                ?: ea_read_file(issuer->ca_key, PEM_BYTES, &ikey, &n_key, err);
    ea_buf_init(&cert, PEM_BYTES);
    ea_buf_init(&secret, PEM_BYTES);
    if (!r)
        r = ea_cert_make(req, ea_strn(icrt, n_crt), ea_strn(ikey, n_key), &cert, &secret, err);
    if (!r)
        r = ea_write_file(key, secret.p, secret.n, 0600, err);
    if (!r)
        r = ea_write_file(crt, cert.p, cert.n, 0644, err);
    if (secret.p)
        ea_cleanse(secret.p, secret.n);
    if (ikey)
        ea_cleanse(ikey, n_key);
    ea_buf_done(&secret);
    ea_buf_done(&cert);
    return r;
}

/* What the last certificate was made for, one name a line. */
static bool same_names(const char *file, struct ea_str names)
{
    EA_AUTO_FREE char *text = NULL;
    size_t n;

    return ea_read_file(file, PEM_BYTES, &text, &n, NULL) == 0 &&
           ea_str_eq(ea_strn(text, n), names);
}

static int make_leaf(const struct folder *f, const char *const *names, struct ea_str list,
                     struct ea_err *err)
{
    const char *dns[NAMES_MAX + 1] = {NULL}, *ips[NAMES_MAX + 1] = {NULL};
    size_t n_dns = 0, n_ips = 0;

    for (; *names && n_dns < NAMES_MAX && n_ips < NAMES_MAX; names++) {
        uint8_t address[16];

        if (inet_pton(AF_INET, *names, address) == 1 || inet_pton(AF_INET6, *names, address) == 1)
            ips[n_ips++] = *names;
        else
            dns[n_dns++] = *names;
    }
    const struct ea_cert_req req = {
        .common_name = "eucs-agent", .dns = dns, .ips = ips, .days = LEAF_DAYS};
    int r = write_pair(&req, f, f->crt, f->key, err);

    return r ? r : ea_write_file(f->names, list.p, list.n, 0644, err);
}

int ea_tls_files_ensure(const char *dir, const char *const *names, struct ea_err *err)
{
    struct folder f = {0};
    struct ea_buf list;
    int r = ea_mkdirs(dir, 0700, err);
    bool new_ca = false;

    if (r)
        return r;
    paths(dir, &f);
    ea_buf_init(&list, PEM_BYTES);
    for (size_t i = 0; names[i]; i++)
        ea_buf_addf(&list, "%s\n", names[i]);
    if (!is_fresh(f.ca_crt, f.ca_key, 0.2)) {
        const struct ea_cert_req req = {
            .common_name = "eucs-agent CA", .days = CA_DAYS, .ca = true};

        r = write_pair(&req, NULL, f.ca_crt, f.ca_key, err);
        new_ca = true;
    }
    if (!r && (new_ca || !is_fresh(f.crt, f.key, 0.34) || !same_names(f.names, ea_buf_str(&list))))
        r = make_leaf(&f, names, ea_buf_str(&list), err);
    ea_buf_done(&list);
    return r;
}

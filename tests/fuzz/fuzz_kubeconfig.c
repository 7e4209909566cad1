/* Kubeconfigs and the output of exec plugins. Nothing is run and no file is read. */
#include "kube/config_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ea_str text = ea_strn((const char *)data, size);
    struct ea_kube_config *c = NULL;
    struct ea_kube_creds *k = ea_xalloc(sizeof(*k));
    struct ea_err err;

    atomic_init(&k->refs, 1);
    if (ea_kube_config_parse(text, NULL, NULL, &c, &err) == 0)
        ea_kube_config_unref(c);
    (void)kube_exec_parse(size & 1, text, k, &err);
    ea_kube_creds_unref(k);
    return 0;
}

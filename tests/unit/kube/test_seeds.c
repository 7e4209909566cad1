/* The fuzz targets of this room run on their seeds, under the unit tests' sanitizers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>

#include "base/fd.h"

#define LLVMFuzzerTestOneInput fuzz_kubeconfig
#include "fuzz/fuzz_kubeconfig.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_watch
#include "fuzz/fuzz_watch.c"
#undef LLVMFuzzerTestOneInput

static unsigned run_seeds(const char *dir, int (*target)(const uint8_t *data, size_t size))
{
    DIR *d = opendir(dir);
    struct dirent *e;
    unsigned n = 0;

    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        EA_AUTO_FREE char *path = ea_xasprintf("%s/%s", dir, e->d_name);
        EA_AUTO_FREE char *bytes = NULL;
        size_t size;

        if (e->d_name[0] == '.')
            continue;
        assert_int_equal(ea_read_file(path, 1 << 20, &bytes, &size, NULL), 0);
        assert_int_equal(target((const uint8_t *)bytes, size), 0);
        n++;
    }
    closedir(d);
    return n;
}

static void kubeconfig_seeds(void **state)
{
    assert_true(run_seeds(EA_TEST_DATA "/fuzz/seeds/kubeconfig", fuzz_kubeconfig) >= 5);
}

static void watch_seeds(void **state)
{
    assert_true(run_seeds(EA_TEST_DATA "/fuzz/seeds/watch", fuzz_watch) >= 5);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(kubeconfig_seeds),
        cmocka_unit_test(watch_seeds),
    };

    return cmocka_run_group_tests(t, NULL, NULL);
}

/* Every seed of the review fuzz target as a plain test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>

#include "base/fd.h"
#include "fuzz/fuzz_review.c"

static void test_seeds(void **state)
{
    const char *path = EA_TEST_DATA "/fuzz/seeds/review";
    DIR *d = opendir(path);
    struct dirent *e;
    unsigned n = 0;

    (void)state;
    assert_non_null(d);
    while ((e = readdir(d))) {
        EA_AUTO_FREE char *full = ea_xasprintf("%s/%s", path, e->d_name), *bytes = NULL;
        size_t size;

        if (e->d_name[0] == '.')
            continue;
        assert_int_equal(ea_read_file(full, 16u << 20, &bytes, &size, NULL), 0);
        (void)LLVMFuzzerTestOneInput((const uint8_t *)bytes, size);
        n++;
    }
    closedir(d);
    assert_true(n >= 10);
    ea_ruleset_unref(rules());
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

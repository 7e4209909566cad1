/* The seeds of the fuzz targets for control files and manifests, as unit tests. */
#include "unit/doc/doctest.h"

#define LLVMFuzzerTestOneInput control_one
#include "fuzz/fuzz_control.c"
#undef LLVMFuzzerTestOneInput
#undef CHECK
#define LLVMFuzzerTestOneInput manifest_one
#include "fuzz/fuzz_manifest.c"
#undef LLVMFuzzerTestOneInput

static void test_controls(void **state)
{
    (void)state;
    assert_true(run_seeds("control", control_one) >= 5);
}

static void test_manifests(void **state)
{
    (void)state;
    assert_true(run_seeds("manifest", manifest_one) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_controls),
                                       cmocka_unit_test(test_manifests)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

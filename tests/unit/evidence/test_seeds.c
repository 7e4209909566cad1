/* The seeds of the fuzz targets of this room, as unit tests. */
#include "unit/doc/doctest.h"

#define LLVMFuzzerTestOneInput spool_one
#include "fuzz/fuzz_spool.c"
#undef LLVMFuzzerTestOneInput
#undef CHECK
#define LLVMFuzzerTestOneInput checkpoint_one
#include "fuzz/fuzz_checkpoint.c"
#undef LLVMFuzzerTestOneInput

static void test_spool(void **state)
{
    assert_true(run_seeds("spool", spool_one) >= 25);
}

static void test_checkpoint(void **state)
{
    assert_true(run_seeds("checkpoint", checkpoint_one) >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_spool),
                                       cmocka_unit_test(test_checkpoint)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

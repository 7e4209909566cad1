/* The seeds of the fuzz targets of this room, as unit tests. */
#include "unit/doc/doctest.h"

#define LLVMFuzzerTestOneInput compile_one
#include "fuzz/fuzz_cel_compile.c"
#undef LLVMFuzzerTestOneInput
#undef CHECK
#define LLVMFuzzerTestOneInput eval_one
#include "fuzz/fuzz_cel_eval.c"
#undef LLVMFuzzerTestOneInput

static void test_compile(void **state)
{
    assert_true(run_seeds("cel_compile", compile_one) >= 100);
}

static void test_eval(void **state)
{
    assert_true(run_seeds("cel_eval", eval_one) >= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_compile), cmocka_unit_test(test_eval)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

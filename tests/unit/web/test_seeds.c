/* Every seed of the form fuzz target as a plain test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd.h"
#include "fuzz/fuzz_form.c"

static void test_seeds(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 8; i++) {
        EA_AUTO_FREE char *path = ea_xasprintf(EA_TEST_DATA "/fuzz/seeds/form/%u.txt", i);
        EA_AUTO_FREE char *bytes = NULL;
        size_t n;

        assert_int_equal(ea_read_file(path, 1u << 20, &bytes, &n, NULL), 0);
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)bytes, n), 0);
    }
}

static void test_form(void **state)
{
    char out[64];

    (void)state;
    assert_true(ea_str_is(web_form_token(EA_STR("a=b&token=good%2Btoken"), out, sizeof(out)),
                          "good+token"));
    assert_true(ea_str_is(web_form_token(EA_STR("token=+x+y+"), out, sizeof(out)), "x y"));
    assert_true(ea_str_is(web_form_token(EA_STR("nottoken=1"), out, sizeof(out)), ""));
    assert_true(ea_str_is(web_session_cookie(EA_STR("a=1; ea_session=id; b")), "id"));
    assert_true(ea_str_is(web_session_cookie(EA_STR("xea_session=id")), ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds), cmocka_unit_test(test_form)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

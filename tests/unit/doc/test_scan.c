/* doc/json_scan.h: the portable eight-byte scan finds what the sixteen-byte one finds. */
#undef __SSE2__
#include "unit/doc/doctest.h"

#include "doc/json_scan.h"

static bool special(unsigned char c)
{
    return c == '"' || c == '\\' || c < 0x20 || c >= 0x80;
}

static void test_every_byte_everywhere(void **state)
{
    char text[40];
    size_t at, n;
    int c;

    for (n = 0; n <= sizeof text; n++) {
        for (at = 0; at < n; at++) {
            for (c = 0; c < 256; c++) {
                memset(text, 'a', sizeof text);
                text[at] = (char)c;
                assert_ptr_equal(ea_json_scan_plain(text, text + n),
                                 special((unsigned char)c) ? text + at : text + n);
            }
        }
    }
}

/* What follows the first special byte must not move it: carries run upwards. */
static void test_random(void **state)
{
    uint64_t s = 88172645463325252u;
    char text[64];
    int round, i;

    for (round = 0; round < 200000; round++) {
        const char *want = text;

        for (i = 0; i < 64; i++) {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            text[i] = (char)(s % 5 ? 0x20 + (s >> 32) % 0x60 : s >> 40);
        }
        while (want < text + 64 && !special((unsigned char)*want))
            want++;
        assert_ptr_equal(ea_json_scan_plain(text, text + 64), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_everywhere),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

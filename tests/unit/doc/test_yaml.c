/* doc/yaml*.c: both profiles, limits, lines, warnings. What sigs.k8s.io/yaml says itself is
 * compared in the end-to-end tests. */
#include "unit/doc/doctest.h"

#include "base/limits.h"
#include "doc/yaml.h"
#include "fuzz/fuzz_yaml.c"

static struct ea_yaml_stream must_load(struct ea_arena *a, const char *text,
                                       enum ea_yaml_profile profile)
{
    struct ea_yaml_stream s;
    struct ea_err err = {0};

    if (ea_yaml_parse(a, ea_str(text), profile, &s, &err))
        fail_msg("%s: %s", text, ea_err_text(&err));
    return s;
}

struct example {
    const char *yaml;
    const char *json; /* documents one after the other; NULL = refused */
};

static void check_examples(struct ea_arena *a, const struct example *e, size_t n,
                           enum ea_yaml_profile profile)
{
    size_t i, d;

    for (i = 0; i < n; i++) {
        struct ea_yaml_stream s;
        struct ea_err err = {0};
        struct ea_buf b;
        int rc = ea_yaml_parse(a, ea_str(e[i].yaml), profile, &s, &err);

        if ((rc == 0) != (e[i].json != NULL))
            fail_msg("%s: %d %s", e[i].yaml, rc, err.text);
        if (rc) {
            assert_int_equal(rc, err.code);
            assert_true(err.text[0]);
            continue;
        }
        ea_buf_init(&b, 1u << 20);
        for (d = 0; d < s.n; d++) {
            if (d)
                ea_buf_addc(&b, ' ');
            assert_int_equal(ea_json_print(&b, &s.docs[d].root), 0);
        }
        if (!ea_str_is(ea_buf_str(&b), e[i].json))
            fail_msg("%s\n is     %.*s\n not    %s", e[i].yaml, (int)b.n, b.p, e[i].json);
        ea_buf_done(&b);
    }
}

static void test_kubernetes_scalars(void **state)
{
    static const struct example e[] = {
        {"[yes, Yes, YES, on, On, ON, y, Y, true, True, TRUE]",
         "[true,true,true,true,true,true,true,true,true,true,true]"},
        {"[no, No, NO, off, Off, OFF, n, N, false, False, FALSE]",
         "[false,false,false,false,false,false,false,false,false,false,false]"},
        {"[yEs, oN, tRUE, nope, \"yes\", 'on']",
         "[\"yEs\",\"oN\",\"tRUE\",\"nope\",\"yes\",\"on\"]"},
        {"[~, null, Null, NULL, nULL, \"~\", \"\", ]", "[null,null,null,null,\"nULL\",\"~\",\"\"]"},
        {"[0, -0, +0, 12, +12, -12]", "[0,0,0,12,12,-12]"},
        {"[0644, 0o644, 0O17, -017, 00, 08, 09, 0_7]", "[420,420,15,-15,0,8,9,7]"},
        {"[0x1F, 0X1f, -0x10, 0x, 0xg]", "[31,31,-16,\"0x\",\"0xg\"]"},
        {"[0b101, -0b101, +0b1, 0b, 0b2, 0b-11]", "[5,-5,1,\"0b\",\"0b2\",-3]"},
        {"[1_000, 1__000, _1, 1_, 0x_1F]", "[1000,1000,\"_1\",1,31]"},
        {"[9223372036854775807, 9223372036854775808, 18446744073709551615, 18446744073709551616]",
         "[9223372036854775807,9223372036854776000.0,18446744073709552000.0,18446744073709552000."
         "0]"},
        {"[.5, 5., -.5, +.5, 1.50, ._5, .5_0]", "[0.5,5,-0.5,0.5,1.5,\"._5\",0.5]"},
        {"[1.0, 1e3, 1e20, 1e21, -0.0, 1e-7]", "[1,1000,100000000000000000000.0,1e+21,0,1e-7]"},
        {"[1e400, -1e-400, 1e, e1, ., -, +, 1.2.3]",
         "[\"1e400\",0,\"1e\",\"e1\",\".\",\"-\",\"+\",\"1.2.3\"]"},
        {"[190:20:30, 2001-12-14, 2001-12-14T21:59:43Z]",
         "[\"190:20:30\",\"2001-12-14\",\"2001-12-14T21:59:43Z\"]"},
        {"[Inf, inf, nan, 10.0.0.0/8, 1-2]", "[\"Inf\",\"inf\",\"nan\",\"10.0.0.0/8\",\"1-2\"]"},
        {"a: .inf", NULL},
        {"a: -.Inf", NULL},
        {"a: .nan", NULL},
    };

    check_examples(*state, e, EA_COUNT(e), EA_YAML_KUBERNETES);
}

static void test_kubernetes_tags(void **state)
{
    static const struct example e[] = {
        {"[!!str 1, !!str yes, !!int \"12\", !!int 0644, !!float 1, !!bool \"yes\", !!null \"\"]",
         "[\"1\",\"yes\",12,420,1,true,null]"},
        {"!!binary aGVsbG8=", "\"hello\""},
        {"!!binary |\n  aGVs\n  bG8=\n", "\"hello\""},
        {"!!binary gICA", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"!!binary a", NULL},
        {"!!binary \"*\"", NULL},
        {"[!custom 12, !custom {x: yes}]", "[\"12\",{\"x\":true}]"},
        {"[!!timestamp 2001-12-14, !!timestamp 2001-1-2 3:4:5.6, !!timestamp "
         "2001-01-02t03:04:05+01:00]",
         "[\"2001-12-14\",\"2001-1-2 3:4:5.6\",\"2001-01-02t03:04:05+01:00\"]"},
        {"!!timestamp 2001-02-29", NULL},
        {"!!timestamp 2000-02-29", "\"2000-02-29\""},
        {"!!timestamp 2001-12-14 25:00:00", NULL},
        {"!!timestamp 2001-12-14T10:00:00", NULL},
        {"!!timestamp 5", NULL},
        {"!!int x", NULL},
        {"!!float x", NULL},
        {"!!bool maybe", NULL},
        {"!!null x", NULL},
    };

    check_examples(*state, e, EA_COUNT(e), EA_YAML_KUBERNETES);
}

static void test_kubernetes_maps(void **state)
{
    static const struct example e[] = {
        {"1: a\n0x2: b\n2.5: c\ntrue: d\non: e\n1e21: f\n\"x\": g\n",
         "{\"1\":\"a\",\"2\":\"b\",\"2.5\":\"c\",\"true\":\"e\",\"1e+21\":\"f\",\"x\":\"g\"}"},
        {".inf: a\n-.inf: b\n.nan: c\n", "{\".inf\":\"a\",\"-.inf\":\"b\",\".nan\":\"c\"}"},
        {"2001-12-14: a", "{\"2001-12-14\":\"a\"}"},
        {"? a\n? b\n: c\n", "{\"a\":null,\"b\":\"c\"}"},
        {"~: a", NULL},
        {"18446744073709551615: a", NULL},
        {"[1]: a", NULL},
        {"{a: 1}: b", NULL},
        {"a: &x [1]\n*x : 2\n", NULL},
        {"a: &x k\n*x : 2\n", "{\"a\":\"k\",\"k\":2}"},
        {"&k a: 1\nb: *k\n", "{\"a\":1,\"b\":\"a\"}"},
        {"a: 1\nb: 2\na: 3\n", "{\"a\":3,\"b\":2}"},
        {"{\"a\": 1, \"a\": 2}", "{\"a\":2}"},
    };

    check_examples(*state, e, EA_COUNT(e), EA_YAML_KUBERNETES);
}

static void test_kubernetes_merge(void **state)
{
    static const struct example e[] = {
        {"a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n",
         "{\"a\":{\"x\":1,\"true\":2},\"b\":{\"x\":1,\"true\":3}}"},
        {"a: &a {x: 1, z: 2}\nb:\n  z: 3\n  <<: *a\n",
         "{\"a\":{\"x\":1,\"z\":2},\"b\":{\"z\":2,\"x\":1}}"},
        {"a: &a {x: 1}\nb: &b {x: 2, z: 3}\nc: {<<: [*a, *b]}\n",
         "{\"a\":{\"x\":1},\"b\":{\"x\":2,\"z\":3},\"c\":{\"x\":1,\"z\":3}}"},
        {"a: &a {x: 1}\nb: &b\n  <<: *a\n  z: 2\nc:\n  <<: *b\n",
         "{\"a\":{\"x\":1},\"b\":{\"x\":1,\"z\":2},\"c\":{\"x\":1,\"z\":2}}"},
        {"b:\n  <<: {x: 1}\n", "{\"b\":{\"x\":1}}"},
        {"b:\n  \"<<\": {x: 1}\n", "{\"b\":{\"<<\":{\"x\":1}}}"},
        {"b:\n  !!merge <<: {x: 1}\n", "{\"b\":{\"x\":1}}"},
        {"a: &a {x: 1}\nb:\n  <<: &l [*a]\nc: *l\n",
         "{\"a\":{\"x\":1},\"b\":{\"x\":1},\"c\":[{\"x\":1}]}"},
        {"<<: 5", NULL},
        {"<<: [1]", NULL},
        {"<<: [[{a: 1}]]", NULL},
        {"a: &a x\nb: {<<: *a}", NULL},
    };

    check_examples(*state, e, EA_COUNT(e), EA_YAML_KUBERNETES);
}

static void test_aliases(void **state)
{
    static const struct example e[] = {
        {"a: &a [1, {b: 2}]\nc: *a\nd: [*a, *a]\n",
         "{\"a\":[1,{\"b\":2}],\"c\":[1,{\"b\":2}],\"d\":[[1,{\"b\":2}],[1,{\"b\":2}]]}"},
        {"a: &x 1\nb: *x\nc: &x 2\nd: *x\n", "{\"a\":1,\"b\":1,\"c\":2,\"d\":2}"},
        {"a: *b\nb: &b 1\n", NULL},
        {"a: &a [*a]", NULL},
        {"a: &a {b: {c: *a}}", NULL},
    };

    check_examples(*state, e, EA_COUNT(e), EA_YAML_KUBERNETES);
    check_examples(*state, e, EA_COUNT(e), EA_YAML_STRICT);
    /* anchors are of one document */
    assert_int_equal(ea_yaml_parse(*state, EA_STR("&a b\n---\n*a\n"), EA_YAML_STRICT,
                                   &(struct ea_yaml_stream){0}, NULL),
                     -EINVAL);
}

/* Documents are split as kubectl splits them. */
static void test_kubernetes_stream(void **state)
{
    static const struct example e[] = {
        {"", ""},
        {"# only a comment\n", "null"},
        {"a: 1\n---\nb: 2\n--- # comment\nc: 3", "{\"a\":1} {\"b\":2} {\"c\":3}"},
        {"---\na: 1\n", "{\"a\":1}"},
        {"---\n---\na: 1\n---\n", "null {\"a\":1}"},
        {"a: 1\n...\n---\nb: 2\n", "{\"a\":1} {\"b\":2}"},
        {"--- {a: 1}\n", NULL},
        {"----\n", NULL},
        {"a: |\n  ---\n  x\n", "{\"a\":\"---\\nx\\n\"}"},
        {"a: 1\n---\nb: [\n---\nc: 1\n", NULL},
    };
    /* the reader there works by lines: each gets its end, a CR before it goes */
    static const struct example lines[] = {
        {"|\n  a", "\"a\\n\""},
        {"a: 1\r\nb:\r\n  - 2\r\n", "{\"a\":1,\"b\":[2]}"},
        {"a: x\r\r\n  y\r\n", "{\"a\":\"x y\"}"},
        {"a: \"x\ry\"", "{\"a\":\"x y\"}"},
        {"\xef\xbb\xbf"
         "a: 1\nb: 2\n---\n\xef\xbb\xbf"
         "c: 3\n",
         "{\"a\":1,\"b\":2} {\"c\":3}"},
        {"a: 1\n\xef\xbb\xbf"
         "b: 2\n",
         NULL},
        {"\xe2\x80\xa8\xef\xbb\xbf"
         "b",
         NULL},
        {"a: \"x\xef\xbb\xbf\"\n", "{\"a\":\"x\xef\xbb\xbf\"}"},
        {"\xff\xfe"
         "a",
         NULL},
    };
    struct ea_yaml_stream s;

    check_examples(*state, e, EA_COUNT(e), EA_YAML_KUBERNETES);
    check_examples(*state, lines, EA_COUNT(lines), EA_YAML_KUBERNETES);
    s = must_load(*state, "a: 1\n...\nb: 2\n", EA_YAML_KUBERNETES);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.n_warnings, 1);
    assert_string_equal(
        s.warnings[0],
        "line 2: text after the end of the document is ignored, as kubectl ignores it");
    s = must_load(*state, "a: 1\n---\nb: 2\n...\n", EA_YAML_KUBERNETES);
    assert_int_equal(s.n_warnings, 0);
}

static void test_json_is_taken(void **state)
{
    static const struct example e[] = {
        {"{\"a\":1,\n\t\"b\":[1.0,1.5,\"\\ud83d\\ude00\\/\"]}",
         "{\"a\":1,\"b\":[1,1.5,\"\xf0\x9f\x98\x80/\"]}"},
        {" {\"a\":1}{\"b\":2}\n{\"c\":3}\n", "{\"a\":1} {\"b\":2} {\"c\":3}"},
        {"{\"a\":1}\n---\n{\"b\":2}\n", "{\"a\":1} {\"b\":2}"},
        {"{\"a\": yes, b: 0644}", "{\"a\":true,\"b\":420}"},
        {"{\"a\":", NULL},
        {"[{\"a\": 1.0}]", "[{\"a\":1}]"},
    };
    struct ea_yaml_stream s;

    check_examples(*state, e, EA_COUNT(e), EA_YAML_KUBERNETES);
    s = must_load(
        *state, "\n{\"a\":1,\n \"b\":[\n  2,\n  {\"c\":\n   \"x\"}],\n \"d\\n\":{}}\n\n{\"e\":\n1}",
        EA_YAML_KUBERNETES);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.docs[0].line, 2);
    assert_int_equal(ea_yaml_line(&s.docs[0], &s.docs[0].root), 2);
    assert_int_equal(ea_yaml_line(&s.docs[0], ea_val_getz(&s.docs[0].root, "a")), 2);
    assert_int_equal(ea_yaml_line(&s.docs[0], ea_val_getz(&s.docs[0].root, "b")), 3);
    assert_int_equal(ea_yaml_line(&s.docs[0], ea_val_at(ea_val_getz(&s.docs[0].root, "b"), 1)), 5);
    assert_int_equal(s.docs[1].line, 9);
    assert_int_equal(ea_yaml_line(&s.docs[1], ea_val_getz(&s.docs[1].root, "e")), 9);
}

static void test_warnings(void **state)
{
    struct ea_yaml_stream s = must_load(
        *state, "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n---\nx: 1\nx: 2\nx: 3\n", EA_YAML_KUBERNETES);
    struct ea_buf b;
    int i;

    assert_int_equal(s.n_warnings, 3);
    assert_string_equal(s.warnings[0], "line 5: key \"c\" repeats, the last one counts");
    assert_string_equal(s.warnings[1], "line 8: key \"x\" repeats, the last one counts");
    assert_string_equal(s.warnings[2], "line 9: key \"x\" repeats, the last one counts");
    /* what a merge key brings does not repeat anything */
    s = must_load(*state, "a: &a {x: 1}\nb:\n  <<: *a\n  x: 2\n", EA_YAML_KUBERNETES);
    assert_int_equal(s.n_warnings, 0);
    ea_buf_init(&b, 1u << 20);
    for (i = 0; i < 1000; i++)
        ea_buf_addz(&b, "k: 1\n");
    assert_int_equal(ea_yaml_parse(*state, ea_buf_str(&b), EA_YAML_KUBERNETES, &s, NULL), 0);
    assert_int_equal(s.n_warnings, EA_MAX_YAML_WARNINGS + 1);
    assert_string_equal(s.warnings[EA_MAX_YAML_WARNINGS], "there are more warnings");
    ea_buf_done(&b);
}

static void test_strict(void **state)
{
    static const struct example e[] = {
        {"a: 1\nb: [x, \"y\", 'z']\nc:\n- d: true\n  e: ~\n",
         "{\"a\":1,\"b\":[\"x\",\"y\",\"z\"],\"c\":[{\"d\":true,\"e\":null}]}"},
        {"[true, True, FALSE, null, ~, \"yes\", 'no']",
         "[true,true,false,null,null,\"yes\",\"no\"]"},
        {"[0, -1, +2, 0x1f, 0o17, 9223372036854775807, 9223372036854775808]",
         "[0,-1,2,31,15,9223372036854775807,9223372036854776000.0]"},
        {"[1.0, .5, 1e3, -2.5e-1, 0.5]", "[1.0,0.5,1000.0,-0.25,0.5]"},
        {"[1.2.3, 5.2.2, 10.0.0.0/8, 0x, 0b1, 1_000, 2001-12-14, -x]",
         "[\"1.2.3\",\"5.2.2\",\"10.0.0.0/8\",\"0x\",\"0b1\",\"1_000\",\"2001-12-14\",\"-x\"]"},
        {"1: a\n5.2: b\ntrue: c\n", "{\"1\":\"a\",\"5.2\":\"b\",\"true\":\"c\"}"},
        {"a: 1\n---\nb: 2\n", "{\"a\":1} {\"b\":2}"},
        {"%YAML 1.2\n---\na: 1\n", "{\"a\":1}"},
        {"", ""},
        {"text: |\n  one\n  two\nfold: >-\n  a\n  b\n",
         "{\"text\":\"one\\ntwo\\n\",\"fold\":\"a b\"}"},
        {"a: yes", NULL},
        {"a: On", NULL},
        {"a: n", NULL},
        {"off: 1", NULL},
        {"a: 0644", NULL},
        {"a: -01", NULL},
        {"a: .inf", NULL},
        {"a: 1e999", NULL},
        {"a: 0xffffffffffffffff", NULL},
        {"a: !!str 1", NULL},
        {"a: !x {}", NULL},
        {"!!str a: 1", NULL},
        {"!x [1]", NULL},
        {"a: 1\nb: 2\na: 3\n", NULL},
        {"a: {b: 1, \"b\": 2}", NULL},
        {"~: 1", NULL},
        {"[1]: 2", NULL},
        {"a: &a {b: 1}\nc: {<<: *a}", NULL},
        {"a: \"b", NULL},
        {"a: b: c", NULL},
        {"\ta: 1", NULL},
        {"a: \xff", NULL},
        {"a: \x01", NULL},
    };

    check_examples(*state, e, EA_COUNT(e), EA_YAML_STRICT);
}

static void test_messages(void **state)
{
    static const struct {
        const char *yaml, *message;
    } cases[] = {
        {"a: 1\nb: yes\n", "line 2, column 4: yes is true or false to some readers: write true or "
                           "false, or quote it"},
        {"a: 0644", "line 1, column 4: 0644 is octal to some readers and decimal to others: write "
                    "0o…, or quote it"},
        {"x:\n  a: 1\n  a: 2\n", "line 3, column 3: the key \"a\" repeats (first on line 2)"},
        {"a: !!str 1", "line 1, column 4: tags are not allowed"},
        {"a: *b", "line 1, column 4: there is no anchor \"b\""},
        {"a: 1\nb: {<<: {}}", "line 2, column 5: merge keys (<<) are not allowed"},
        {"a: b: c", "line 1, column 5: mapping values are not allowed in this context"},
        {"- a\nb: 1\n", "line 2"},
        {"a: [1, 2", "line 1"},
        {"a: \xff", "line 1: invalid leading UTF-8 octet (byte 3)"},
    };
    size_t i;

    for (i = 0; i < EA_COUNT(cases); i++) {
        struct ea_yaml_stream s;
        struct ea_err err = {0};

        assert_int_equal(ea_yaml_parse(*state, ea_str(cases[i].yaml), EA_YAML_STRICT, &s, &err),
                         -EINVAL);
        if (strstr(err.text, cases[i].message) == NULL)
            fail_msg("%s: \"%s\" is not \"%s\"", cases[i].yaml, err.text, cases[i].message);
    }
    /* lines count from the start of the stream, also in its later documents */
    struct ea_err err = {0};
    struct ea_yaml_stream s;

    assert_int_equal(ea_yaml_parse(*state, EA_STR("a: 1\n---\nb: 1\n---\nc: .nan\n"),
                                   EA_YAML_KUBERNETES, &s, &err),
                     -EINVAL);
    assert_string_equal(err.text, "line 5, column 4: infinity and NaN have no JSON value");
    assert_int_equal(ea_yaml_parse(*state, EA_STR("a: 1\n---\nb: 1\n---\nc: [1\n"),
                                   EA_YAML_KUBERNETES, &s, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "line 6"));
}

static void test_lines(void **state)
{
    static const char text[] = "# comment\n"
                               "apiVersion: v1\n"
                               "spec:\n"
                               "  containers:\n"
                               "  - name: a\n"
                               "    image: b\n"
                               "  -\n"
                               "    name: c\n"
                               "  empty: {}\n"
                               "---\n"
                               "\n"
                               "second:\n"
                               "- [1,\n"
                               "   2]\n";
    enum ea_yaml_profile profile;

    for (profile = EA_YAML_STRICT; profile <= EA_YAML_KUBERNETES; profile++) {
        struct ea_yaml_stream s = must_load(*state, text, profile);
        const struct ea_yaml_doc *d = &s.docs[0], *e = &s.docs[1];
        const struct ea_val *list = ea_val_path(&d->root, "spec.containers"), *pair, copy = *list;

        assert_int_equal(s.n, 2);
        assert_int_equal(d->line, 2);
        assert_int_equal(ea_yaml_line(d, &d->root), 2);
        assert_int_equal(ea_yaml_line(d, ea_val_getz(&d->root, "apiVersion")), 2);
        assert_int_equal(ea_yaml_line(d, ea_val_getz(&d->root, "spec")), 3);
        assert_int_equal(ea_yaml_line(d, list), 4);
        assert_int_equal(ea_yaml_line(d, ea_val_at(list, 0)), 5);
        assert_int_equal(ea_yaml_line(d, ea_val_getz(ea_val_at(list, 0), "name")), 5);
        assert_int_equal(ea_yaml_line(d, ea_val_getz(ea_val_at(list, 0), "image")), 6);
        assert_int_equal(ea_yaml_line(d, ea_val_getz(ea_val_at(list, 1), "name")), 8);
        assert_int_equal(ea_yaml_line(d, ea_val_path(&d->root, "spec.empty")), 9);
        assert_int_equal(ea_yaml_line(d, &copy), 0);
        assert_int_equal(ea_yaml_line(d, NULL), 0);
        assert_int_equal(e->line, 12);
        pair = ea_val_at(ea_val_getz(&e->root, "second"), 0);
        assert_int_equal(ea_yaml_line(e, pair), 13);
        assert_int_equal(ea_yaml_line(e, ea_val_at(pair, 1)), 14);
        assert_int_equal(ea_yaml_line(d, pair), 0);
    }
}

static void add_times(struct ea_buf *b, const char *what, unsigned n)
{
    while (n--)
        ea_buf_addz(b, what);
}

static void test_limits(void **state)
{
    struct ea_yaml_stream s;
    struct ea_err err = {0};
    struct ea_buf b;

    ea_buf_init(&b, 64u << 20);
    add_times(&b, "[", EA_MAX_DEPTH);
    add_times(&b, "]", EA_MAX_DEPTH);
    assert_int_equal(ea_yaml_parse(*state, ea_buf_str(&b), EA_YAML_STRICT, &s, &err), 0);
    ea_buf_clear(&b);
    add_times(&b, "[", 10000);
    assert_int_equal(ea_yaml_parse(*state, ea_buf_str(&b), EA_YAML_STRICT, &s, &err), -E2BIG);
    assert_string_equal(err.text, "line 1, column 129: nested more than 128 levels deep");
    assert_int_equal(ea_yaml_parse(*state, ea_buf_str(&b), EA_YAML_KUBERNETES, &s, &err), -E2BIG);
    /* depth through an alias */
    ea_buf_clear(&b);
    ea_buf_addz(&b, "a: &a ");
    add_times(&b, "[", 100);
    add_times(&b, "]", 100);
    ea_buf_addz(&b, "\nb: ");
    add_times(&b, "[", 40);
    ea_buf_addz(&b, "*a");
    add_times(&b, "]", 40);
    assert_int_equal(ea_yaml_parse(*state, ea_buf_str(&b), EA_YAML_STRICT, &s, &err), -E2BIG);
    /* aliases */
    ea_buf_clear(&b);
    ea_buf_addz(&b, "a: &a 1\nb: [");
    add_times(&b, "*a, ", EA_MAX_YAML_ALIASES);
    ea_buf_addz(&b, "]");
    assert_int_equal(ea_yaml_parse(*state, ea_buf_str(&b), EA_YAML_STRICT, &s, &err), 0);
    b.n--;
    ea_buf_addz(&b, "*a]");
    assert_int_equal(ea_yaml_parse(*state, ea_buf_str(&b), EA_YAML_STRICT, &s, &err), -E2BIG);
    assert_non_null(strstr(err.text, "aliases"));
    /* documents */
    ea_buf_clear(&b);
    add_times(&b, "---\n1\n", EA_MAX_DOCUMENTS + 1);
    assert_int_equal(ea_yaml_parse(*state, ea_buf_str(&b), EA_YAML_STRICT, &s, &err), -E2BIG);
    assert_non_null(strstr(err.text, "documents"));
    ea_buf_done(&b);
}

/* A small text that stands for 10^10 nodes. */
static void test_laughs(void **state)
{
    struct ea_yaml_stream s;
    struct ea_err err = {0};
    struct ea_buf b;
    int i;

    ea_buf_init(&b, 1u << 20);
    ea_buf_addz(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (i = 1; i < 10; i++) {
        ea_buf_addf(&b, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            ea_buf_addf(&b, "*a%d,", i - 1);
        ea_buf_addz(&b, "]\n");
    }
    assert_int_equal(ea_yaml_parse(*state, ea_buf_str(&b), EA_YAML_STRICT, &s, &err), -E2BIG);
    assert_non_null(strstr(err.text, "nodes"));
    assert_int_equal(ea_yaml_parse(*state, ea_buf_str(&b), EA_YAML_KUBERNETES, &s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "aliases"));
    ea_buf_done(&b);
}

static void test_memory_ceilings(void **state)
{
    static const char text[] = "a: &a {x: [1, 2, {z: w}], v: text}\nb: {<<: *a, k: *a}\nx: 1\nx: "
                               "2\n---\nc: !!binary aGVsbG8=\n";
    size_t cap, whole = 0;

    for (cap = 64; cap < 60000; cap += cap / 8) {
        struct ea_yaml_stream s;
        struct ea_err err = {0};
        struct ea_arena a;
        int rc;

        ea_arena_init(&a, cap, 64);
        rc = ea_yaml_parse(&a, EA_STR(text), EA_YAML_KUBERNETES, &s, &err);
        assert_true(rc == 0 || (rc == -E2BIG && err.text[0]));
        whole += rc == 0;
        ea_arena_done(&a);
    }
    assert_true(whole > 5);
}

/* 8 MiB of one thing or the other. */
static void test_large(void **state)
{
    static const struct {
        const char *unit;
        int rc;
    } cases[] = {
        {"a", 0},  {"- x\n", -E2BIG}, {"\n", 0},        {"#", 0},
        {"\"", 0}, {"'", 0},          {"[\"", -EINVAL}, {"a: b\n", 0},
        {"k", 0},  {"- ", -E2BIG},    {"? ", -E2BIG},   {"{", -E2BIG},
    };
    size_t i;

    for (i = 0; i < EA_COUNT(cases); i++) {
        struct ea_yaml_stream s;
        struct ea_err err = {0};
        struct ea_buf b;
        int rc;

        ea_buf_init(&b, 64u << 20);
        add_times(&b, cases[i].unit,
                  (8u << 20) / (unsigned)strlen(cases[i].unit) /
                      (strchr(cases[i].unit, ':') ? 20 : 1));
        ea_arena_reset(*state);
        rc = ea_yaml_parse(*state, ea_buf_str(&b), EA_YAML_KUBERNETES, &s, &err);
        if (rc != cases[i].rc)
            fail_msg("8 MiB of \"%s\": %d %s", cases[i].unit, rc, err.text);
        ea_buf_done(&b);
    }
}

/* Cut anywhere, a manifest is refused or is another manifest; nothing is read behind its end. */
static void test_truncated(void **state)
{
    char *p;
    size_t size, n, refused = 0;
    struct ea_arena a;

    assert_int_equal(
        ea_read_file(EA_TEST_DATA "/fuzz/seeds/yaml/pod.yaml", 1u << 20, &p, &size, NULL), 0);
    ea_arena_init(&a, 64u << 20, 0);
    for (n = 0; n < size; n++) {
        char *copy = malloc(n ? n : 1);
        struct ea_yaml_stream s;

        memcpy(copy, p, n);
        ea_arena_reset(&a);
        refused += ea_yaml_parse(&a, ea_strn(copy, n), EA_YAML_KUBERNETES, &s, NULL) != 0;
        free(copy);
    }
    assert_true(refused > 100 && refused < size);
    ea_arena_done(&a);
    free(p);
}

static void test_seeds(void **state)
{
    assert_true(run_seeds("yaml", LLVMFuzzerTestOneInput) >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        doc_test(test_kubernetes_scalars),
        doc_test(test_kubernetes_tags),
        doc_test(test_kubernetes_maps),
        doc_test(test_kubernetes_merge),
        doc_test(test_aliases),
        doc_test(test_kubernetes_stream),
        doc_test(test_json_is_taken),
        doc_test(test_warnings),
        doc_test(test_strict),
        doc_test(test_messages),
        doc_test(test_lines),
        doc_test(test_limits),
        doc_test(test_laughs),
        doc_test(test_memory_ceilings),
        doc_test(test_large),
        doc_test(test_truncated),
        doc_test(test_seeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The JSON object scanner: which members are found, and which texts are not objects. */
#include "base/json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct span names[] = {SPAN("stream"), SPAN("model")};

static int set_up(void **state)
{
    struct arena *arena = malloc(sizeof(*arena));
    arena_init(arena, 65536);
    *state = arena;
    return 0;
}

static int tear_down(void **state)
{
    arena_dispose(*state);
    free(*state);
    return 0;
}

static struct json_scan_value scan(void **state, struct span text, struct span name)
{
    struct json_scan *whole = json_scan_create(*state, names, 2);
    struct json_scan *pieces = json_scan_create(*state, names, 2);
    json_scan_push(whole, text);
    for (size_t i = 0; i != text.len; ++i)
        json_scan_push(pieces, span_make(text.at + i, 1));
    struct json_scan_value a = json_scan_get(whole, name), b = json_scan_get(pieces, name);
    assert_int_equal(a.kind, b.kind);
    assert_true(span_equals(a.text, b.text));
    return a;
}

static void check_stream(void **state, const char *text, enum json_scan_kind kind)
{
    enum json_scan_kind got = scan(state, span_from(text), names[0]).kind;
    if (got != kind)
        fail_msg("%s: %d, not %d", text, (int)got, (int)kind);
}

static void check_model(void **state, const char *text, const char *wanted)
{
    struct json_scan_value got = scan(state, span_from(text), names[1]);
    assert_int_equal(got.kind, JSON_SCAN_STRING);
    assert_true(span_equals(got.text, span_from(wanted)));
}

static void members_are_found_at_any_position(void **state)
{
    check_stream(state, "{\"stream\":true}", JSON_SCAN_TRUE);
    check_stream(state, " {\r\n\t\"a\" : 1 ,\n\"stream\" : true }\n", JSON_SCAN_TRUE);
    check_stream(state, "{\"a\":{\"b\":[1,{\"c\":\"}\\\"]\"}]},\"stream\":true}", JSON_SCAN_TRUE);
    check_stream(state, "{\"a\":\"\\\\\",\"stream\":true}", JSON_SCAN_TRUE);
    check_stream(state, "{\"str\\u0065am\":true}", JSON_SCAN_TRUE);
    check_model(state, "{\"model\":\"llama-3\"}", "llama-3");
    check_model(state, "{\"model\":\"\"}", "");
    check_model(state, "{\"model\":\"a\\/b\\u0020\\u00e4\\ud83d\\ude00\"}",
                "a/b \xc3\xa4\xf0\x9f\x98\x80");
}

static void only_top_level_members_match(void **state)
{
    check_stream(state, "{}", JSON_SCAN_ABSENT);
    check_stream(state, "{\"a\":{\"stream\":true}}", JSON_SCAN_ABSENT);
    check_stream(state, "{\"a\":\"stream\",\"b\":\"\\\"stream\\\":true\"}", JSON_SCAN_ABSENT);
    check_stream(state, "{\"Stream\":true,\"streams\":true,\"strea\":true}", JSON_SCAN_ABSENT);
    check_stream(state, "[{\"stream\":true}]", JSON_SCAN_ABSENT);
}

static void other_types_are_distinguished(void **state)
{
    check_stream(state, "{\"stream\":false}", JSON_SCAN_OTHER);
    check_stream(state, "{\"stream\":null}", JSON_SCAN_OTHER);
    check_stream(state, "{\"stream\":1}", JSON_SCAN_OTHER);
    check_stream(state, "{\"stream\":{}}", JSON_SCAN_OTHER);
    check_stream(state, "{\"stream\":[true]}", JSON_SCAN_OTHER);
    check_stream(state, "{\"stream\":\"true\"}", JSON_SCAN_STRING);
    check_stream(state, "{\"stream\":true,\"stream\":true}", JSON_SCAN_TWICE);
}

static void invalid_object_has_no_members(void **state)
{
    static const char *const texts[] = {
        "",
        "stream",
        "true",
        "{\"stream\":true",
        "{\"stream\":true}}",
        "{\"stream\":true} x",
        "{\"stream\":true,}",
        "{,\"stream\":true}",
        "{\"stream\" true}",
        "{\"stream\"::true}",
        "{stream:true}",
        "{\"stream\":true \"a\":1}",
        "{\"stream\":tr\"ue\"}",
        "{\"a\":\"\n\",\"stream\":true}",
        "{\"\\x\":1,\"stream\":true}",
        "{\"\\ud800\":1,\"stream\":true}",
        "{\"\\udc00\":1,\"stream\":true}",
        "{\"\\u12\":1,\"stream\":true}",
        "\xef\xbb\xbf{\"stream\":true}",
    };
    for (size_t i = 0; i != sizeof(texts) / sizeof(texts[0]); ++i)
        check_stream(state, texts[i], JSON_SCAN_ABSENT);
}

static void lengths_are_bounded(void **state)
{
    char text[8192];
    int len = snprintf(text, sizeof(text), "{\"%0*d\":1,\"stream\":true,\"model\":\"%0256d\"}",
                       JSON_SCAN_RAW_MAX + 1, 0, 0);
    struct span whole = span_make(text, (size_t)len);
    assert_int_equal(scan(state, whole, names[0]).kind, JSON_SCAN_TRUE);
    assert_int_equal(scan(state, whole, names[1]).kind, JSON_SCAN_STRING);
    len = snprintf(text, sizeof(text), "{\"model\":\"%0257d\"}", 0);
    assert_int_equal(scan(state, span_make(text, (size_t)len), names[1]).kind, JSON_SCAN_LONG);
    len = snprintf(text, sizeof(text), "{\"model\":\"%0*d\",\"stream\":true}", 4000, 0);
    assert_int_equal(scan(state, span_make(text, (size_t)len), names[1]).kind, JSON_SCAN_LONG);
    assert_int_equal(scan(state, span_make(text, (size_t)len), names[0]).kind, JSON_SCAN_TRUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_are_found_at_any_position, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_top_level_members_match, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_types_are_distinguished, set_up, tear_down),
        cmocka_unit_test_setup_teardown(invalid_object_has_no_members, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lengths_are_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

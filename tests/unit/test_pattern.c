/* Path patterns: which parse, into which segments, and each error message. */
#include "config/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "arena_fixture.h"

/* "a|{m}.bin|{r*}": each segment as prefix{name}suffix. */
static struct span dump(const struct pattern *pattern, struct arena *arena)
{
    struct span text = SPAN("");
    for (size_t i = 0; i != pattern->segment_count; ++i) {
        const struct pattern_segment *s = &pattern->segments[i];
        text = arena_printf(arena, "%.*s%s%.*s", SPAN_ARG(text), i == 0 ? "" : "|",
                            SPAN_ARG(s->prefix));
        if (s->captures)
            text = arena_printf(arena, "%.*s{%.*s%s}%.*s", SPAN_ARG(text), SPAN_ARG(s->name),
                                s->spans_slashes ? "*" : "", SPAN_ARG(s->suffix));
        else
            assert_int_equal(s->suffix.len + s->name.len, 0);
    }
    return text;
}

static void test_parses(void **state)
{
    static const char *const rows[][2] = {
        {"/", ""},
        {"/predict", "predict"},
        {"/predict/fraud", "predict|fraud"},
        {"/predict/", "predict|"},
        {"/models/{model}/predict", "models|{model}|predict"},
        {"/models/v{m}.bin/x", "models|v{m}.bin|x"},
        {"/files/{rest*}", "files|{rest*}"},
        {"/files/a{rest*}.json", "files|a{rest*}.json"},
        {"/endpoints/{endpoint}/*", "endpoints|{endpoint}|{*}"},
        {"/*", "{*}"},
        {"/...", "..."},
        {"/a.b/~c/d-e_f/g:h@i", "a.b|~c|d-e_f|g:h@i"},
        {"/{_a}/{B2}", "{_a}|{B2}"},
    };
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        struct pattern pattern;
        struct span fault = SPAN_NONE;
        if (!pattern_parse(span_from(rows[i][0]), *state, &pattern, &fault))
            fail_msg("%s: %.*s", rows[i][0], SPAN_ARG(fault));
        assert_null(fault.at);
        assert_string_equal(dump(&pattern, *state).at, rows[i][1]);
    }
}

static void test_reports_errors(void **state)
{
    static const char *const rows[][2] = {
        {"", "a path must start with '/'"},
        {"predict", "a path must start with '/'"},
        {"//", "empty segment"},
        {"/a//b", "empty segment"},
        {"/a/./b", "dot segment"},
        {"/a/..", "dot segment"},
        {"/a?b", "query"},
        {"/a#b", "fragment"},
        {"/a%20b", "'%' is not allowed: paths are matched as received, without"},
        {"/a b", "0x20"},
        {"/a\x7f", "0x7f"},
        {"/\xc3\xa4", "0xc3"},
        {"/a\"b", "'\"' is not allowed"},
        {"/{a", "'{' without '}'"},
        {"/a}", "'}' without '{'"},
        {"/{}", "capture's name"},
        {"/{*}", "capture's name"},
        {"/{1a}", "capture's name"},
        {"/{a-b}", "capture's name"},
        {"/{a}{b}", "a segment can have only one capture"},
        {"/{a}x{b}", "a segment can have only one capture"},
        {"/a*", "'*' must be the whole last segment; use {name*} to capture"},
        {"/*/a", "last segment"},
        {"/{a*}/", "last segment"},
        {"/{a}/{a}", "{a} is captured twice"},
        {"/{a}/b{a*}", "{a} is captured twice"},
        {"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", "more than 8 captures"},
        {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/32/"
         "33",
         "33 segments; at most 32 are allowed"},
    };
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        struct pattern pattern = {.segment_count = 77};
        struct span fault = SPAN_NONE;
        if (pattern_parse(span_from(rows[i][0]), *state, &pattern, &fault))
            fail_msg("%s was accepted", rows[i][0]);
        assert_int_equal(pattern.segment_count, 77);
        struct span text = arena_copy(*state, fault);
        if (strstr(text.at, rows[i][1]) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i][0], text.at, rows[i][1]);
    }
}

static void test_finds_captures(void **state)
{
    struct pattern pattern;
    struct span fault;
    assert_true(pattern_parse(SPAN("/a/{b}/{c*}"), *state, &pattern, &fault));
    assert_true(pattern_has_capture(&pattern, SPAN("b")));
    assert_true(pattern_has_capture(&pattern, SPAN("c")));
    assert_false(pattern_has_capture(&pattern, SPAN("a")));
    assert_false(pattern_has_capture(&pattern, SPAN("c*")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parses, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_reports_errors, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(test_finds_captures, with_arena, without_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

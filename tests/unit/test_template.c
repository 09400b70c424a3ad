/* Templates: which compile, the error messages of those that do not, and their results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/template.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_dispose(&arena);
    return 0;
}

/* Returns "<source:name>", nothing for the name "absent", and an empty text for "empty". */
static struct span look_up(void *context, enum template_source source, struct span name)
{
    (void)context;
    assert_int_not_equal(source, TEMPLATE_TEXT);
    if (span_equals(name, SPAN("absent")))
        return SPAN_NONE;
    if (span_equals(name, SPAN("empty")))
        return SPAN("");
    return arena_printf(&arena, "<%d:%.*s>", (int)source, SPAN_ARG(name));
}

static struct template compile(const char *text)
{
    struct template template;
    struct span fault = SPAN_NONE;
    if (!template_compile(span_from(text), &arena, &template, &fault))
        fail_msg("%s: %.*s", text, SPAN_ARG(fault));
    assert_true(span_equals(template.text, span_from(text)));
    return template;
}

static void assert_expands(const char *text, const char *wanted)
{
    struct template template = compile(text);
    struct span got = template_expand(&template, look_up, NULL, &arena);
    if (wanted == NULL)
        assert_null(got.at);
    else if (got.at == NULL || !span_equals(got, span_from(wanted)))
        fail_msg("%s: \"%.*s\", not \"%s\"", text, SPAN_ARG(got), wanted);
}

static void assert_fault(const char *text, const char *wanted)
{
    struct template template;
    struct span fault = SPAN_NONE;
    assert_false(template_compile(span_from(text), &arena, &template, &fault));
    assert_string_equal(fault.at, wanted);
}

static void test_plain_text(void **state)
{
    (void)state;
    assert_expands("", "");
    assert_expands("fraud-v12.tar.gz", "fraud-v12.tar.gz");
    assert_expands("costs $$5", "costs $5");
    assert_expands("$$", "$");
    assert_expands("$${uuid}", "${uuid}");
    assert_expands("$$$${uuid}", "$${uuid}");
    assert_expands("}{", "}{");
}

static void test_sources_are_looked_up_by_name(void **state)
{
    (void)state;
    assert_expands("${uuid}", "<1:>");
    assert_expands("${request_id}${trace_id}${span_id}${traceparent}${route}",
                   "<2:><3:><4:><5:><6:>");
    assert_expands("a${header.X-Y}b", "a<7:X-Y>b");
    assert_expands("${path.model}.tar.gz", "<8:model>.tar.gz");
    assert_expands("$$${query.a.b[]}", "$<9:a.b[]>");
}

static void test_fallbacks(void **state)
{
    (void)state;
    assert_expands("${header.absent}", NULL);
    assert_expands("a ${header.absent} ${uuid}", NULL);
    assert_expands("${header.absent:-}", "");
    assert_expands("${header.absent:-b c}", "b c");
    assert_expands("${header.empty}", "");
    assert_expands("${header.empty:-b}", "b");
    assert_expands("${header.there:-b}", "<7:there>");
    assert_expands("${query.absent:-:-$$}", ":-$");
}

static void test_template_syntax(void **state)
{
    (void)state;
    struct template literal = compile("a$$b"), uuid = compile("a${uuid}"),
                    header = compile("${header.a}"), path = compile("${path.a:-b}"),
                    query = compile("x${query.a}"), json = compile("${json.a}");
    assert_false(template_is_from_caller(&literal));
    assert_false(template_is_from_caller(&uuid));
    assert_true(template_is_from_caller(&header));
    assert_true(template_is_from_caller(&path));
    assert_true(template_is_from_caller(&query));
    assert_true(template_is_from_caller(&json));
}

static void test_errors_name_the_remedy(void **state)
{
    (void)state;
    assert_fault("a $b", "unescaped $: write $$ for a dollar, ${...} for a value");
    assert_fault("5$", "unescaped $: write $$ for a dollar, ${...} for a value");
    assert_fault("a${uuid", "\"${uuid\": missing closing }");
    assert_fault("${pth.x}", "${pth.x}: unknown source, did you mean ${path.x}?");
    assert_fault("${UUID}", "${UUID}: unknown source, did you mean ${uuid}?");
    assert_fault("${headers}", "${headers}: unknown source, did you mean ${header.NAME}?");
    assert_fault(
        "${}",
        "${}: unknown source; must be one of uuid, request_id, trace_id, span_id, traceparent, "
        "route, header.X, path.X, query.X, json.X and env.X");
    assert_fault("${json}", "${json}: missing name of the json: write ${json.NAME}");
    assert_fault("${json.a b}", "${json.a b}: \"a b\" is not a valid name of a member of the body");
    assert_fault("${uuid.x}", "${uuid.x}: uuid takes no name: write ${uuid}");
    assert_fault("${header}", "${header}: missing name of the header: write ${header.NAME}");
    assert_fault("${header.}", "${header.}: missing name of the header: write ${header.NAME}");
    assert_fault("${header.a b}", "${header.a b}: \"a b\" is not a valid name of a header");
    assert_fault("${path.1}",
                 "${path.1}: \"1\" is not a valid name of a capture of the route's path");
    assert_fault("${query.a&b}", "${query.a&b}: \"a&b\" is not a valid name of a query parameter");
    assert_fault("${header.a:-${uuid}}",
                 "${header.a:-${uuid}: a fallback must be plain text; write $$ for a dollar");
}

static void test_parts_are_bounded(void **state)
{
    (void)state;
    char text[33 * 7 + 1] = "";
    for (size_t i = 0; i != 33; ++i)
        memcpy(text + i * 7, "${uuid}", 8);
    assert_fault(text, "more than 32 parts");
    text[32 * 7] = '\0';
    assert_int_equal(compile(text).part_count, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sources_are_looked_up_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fallbacks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_template_syntax, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_name_the_remedy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_are_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

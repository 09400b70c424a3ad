/* YAML as nodes: positions, kinds, the environment, and unsupported YAML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/yaml.h"

static struct arena arena;
static struct problem_list problems;
static struct config_options options;

static struct span get_variable(void *context, struct span name)
{
    (void)context;
    if (span_equals(name, SPAN("A")))
        return SPAN("a");
    if (span_equals(name, SPAN("EMPTY")))
        return SPAN("");
    if (span_equals(name, SPAN("DOLLARS")))
        return SPAN("${uuid} $5");
    if (span_equals(name, SPAN("NULLISH")))
        return SPAN("null");
    if (span_equals(name, SPAN("LINES")))
        return SPAN("a\r\nX-Evil: 1");
    return SPAN_NONE;
}

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 4096);
    problem_list_init(&problems);
    options = (struct config_options){.getenv = get_variable};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_dispose(&arena);
    problem_list_dispose(&problems);
    return 0;
}

static struct yaml_node *parse(const char *text)
{
    struct yaml_load load = {.arena = &arena, .problems = &problems, .options = &options};
    return yaml_parse(&load, SPAN("f"), span_from(text));
}

static const struct yaml_node *get(const struct yaml_node *map, const char *key)
{
    const struct yaml_node *node = yaml_find(map, span_from(key));
    assert_non_null(node);
    return node;
}

static void assert_text(const struct yaml_node *map, const char *key, const char *wanted)
{
    assert_string_equal(get(map, key)->text.at, wanted);
}

/* Returns the only problem, as "LINE:COLUMN: MESSAGE". */
static void assert_problem(const char *wanted)
{
    assert_int_equal(problems.errors, 1);
    struct span got = arena_printf(&arena, "%u:%u: %.*s", problems.first->line,
                                   problems.first->column, SPAN_ARG(problems.first->message));
    assert_string_equal(got.at, wanted);
    problem_list_dispose(&problems);
    problem_list_init(&problems);
}

static void test_byte_order_mark_has_no_column(void **state)
{
    (void)state;
    struct yaml_node *root = parse("\xef\xbb\xbf"
                                   "a: 1\r\nb: 2\r\n");
    assert_non_null(root);
    assert_text(root, "b", "2");
    assert_int_equal(get(root, "a")->at.column, 4);
}

static void test_nodes_have_positions(void **state)
{
    (void)state;
    struct yaml_node *root = parse("a: 1\nb:\n  - x: [p, 'q']\n  - \"y\"\n");
    const struct yaml_node *b = get(root, "b"), *first = b->entries->node, *x = get(first, "x");
    const struct yaml_node *q = x->entries->next->node;
    assert_int_equal(root->kind, YAML_MAP);
    assert_int_equal(b->kind, YAML_LIST);
    assert_int_equal(b->entry_count, 2);
    assert_int_equal(q->at.line, 3);
    assert_int_equal(q->at.column, 12);
    assert_string_equal(yaml_path(q, &arena).at, "b[0].x[1]");
    assert_string_equal(yaml_path(root, &arena).at, "");
    assert_true(get(root, "a")->plain);
    assert_true(x->entries->node->plain);
    assert_false(q->plain);
    assert_null(yaml_find(root, SPAN("c")));
    assert_null(yaml_find(b, SPAN("x")));
    assert_null(yaml_find(NULL, SPAN("x")));
    assert_int_equal(problems.errors, 0);
}

static void test_empty_document_is_an_empty_map(void **state)
{
    (void)state;
    assert_int_equal(parse("")->kind, YAML_MAP);
    assert_int_equal(parse("# only a comment\n")->kind, YAML_MAP);
    assert_int_equal(parse("---\n...\n")->kind, YAML_MAP);
    assert_int_equal(problems.errors, 0);
}

static void test_only_plain_null_is_null(void **state)
{
    (void)state;
    struct yaml_node *root = parse("a:\nb: ~\nc: null\nd: \"null\"\ne: ''\nf: ${env.NULLISH}\n");
    assert_true(get(root, "a")->null);
    assert_true(get(root, "b")->null);
    assert_true(get(root, "c")->null);
    assert_false(get(root, "d")->null);
    assert_false(get(root, "e")->null);
    assert_false(get(root, "f")->null);
}

static void test_environment_references_are_expanded(void **state)
{
    (void)state;
    struct yaml_node *root = parse("a: x${env.A}y\n"
                                   "b: \"${env.UNSET:-f b}\"\n"
                                   "c: \"${env.EMPTY:-f}\"\n"
                                   "d: \"${env.EMPTY}\"\n"
                                   "e: $${env.A} $$${env.A}\n"
                                   "f: ${uuid} ${header.X:-${env.A}}\n"
                                   "g: ${env.DOLLARS}\n"
                                   "h: '${env.A:-}'\n"
                                   "${env.A}: key\n");
    assert_text(root, "a", "xay");
    assert_text(root, "b", "f b");
    assert_text(root, "c", "f");
    assert_text(root, "d", "");
    assert_text(root, "e", "$${env.A} $$a");
    assert_text(root, "f", "${uuid} ${header.X:-a}");
    assert_text(root, "g", "$${uuid} $$5");
    assert_text(root, "h", "a");
    assert_text(root, "${env.A}", "key");
    assert_true(get(root, "b")->plain);
    assert_int_equal(problems.errors, 0);
}

static void test_environment_errors(void **state)
{
    (void)state;
    assert_non_null(parse("k: ${env.UNSET}"));
    assert_problem("1:4: k: ${env.UNSET}: the variable is not set; set it or add a fallback: "
                   "${env.UNSET:-text}");
    assert_non_null(parse("k: ${env.}"));
    assert_problem("1:4: k: ${env.}: \"\" is not a valid variable name");
    assert_non_null(parse("k: ${env.A-B}"));
    assert_problem("1:4: k: ${env.A-B}: \"A-B\" is not a valid variable name");
    assert_non_null(parse("k: ${env.A"));
    assert_problem("1:4: k: \"${env.A\": missing closing }");
    assert_non_null(parse("k: ${env.LINES}"));
    assert_problem("1:4: k: ${env.LINES}: the variable's value contains control characters");
}

static void test_without_an_environment(void **state)
{
    (void)state;
    options.getenv = NULL;
    struct yaml_node *root = parse("a: ${env.A}\nb: ${env.A:-x}\nc: x\n");
    assert_true(get(root, "a")->opaque);
    assert_text(root, "a", "env.A");
    assert_false(get(root, "b")->opaque);
    assert_text(root, "b", "x");
    assert_false(get(root, "c")->opaque);
    assert_int_equal(problems.errors, 0);
}

static void test_unsupported_yaml_is_rejected(void **state)
{
    (void)state;
    assert_non_null(parse("a: &x 1"));
    assert_problem(
        "1:4: a: anchors (&) are not supported; put settings that routes share under defaults");
    assert_non_null(parse("a: *x"));
    assert_problem("1:4: a: aliases (*) are not supported; quote a string that begins with *");
    assert_non_null(parse("a: !!int 1"));
    assert_problem("1:4: a: tags (!) are not supported; write the plain value");
    assert_null(parse("a: 1\n--- \nb: 2\n"));
    assert_problem("2:1: a second document (---) is not supported; use include for more files");
    assert_null(parse("? [a, b]\n: 1\n"));
    assert_problem("1:3: a key must be a string");
    assert_null(parse("&x a: 1"));
    assert_problem("1:1: a key must be one line of text, without anchor or tag");
    assert_non_null(parse("a: \"x\\0y\""));
    assert_problem("1:4: a: must be one line without control characters");
    assert_non_null(parse("a: 1\nb: 2\na: 3\n"));
    assert_problem("3:1: a: duplicate key, first at line 1; keep one of them");
}

static void test_yaml_errors_have_positions(void **state)
{
    (void)state;
    assert_null(parse("a: [1, 2\nb: 3\n"));
    assert_int_equal(problems.first->line, 2);
    problem_list_dispose(&problems);
    problem_list_init(&problems);
    assert_null(parse("a: 1\n b: 2\n"));
    assert_int_equal(problems.first->line, 2);
    problem_list_dispose(&problems);
    problem_list_init(&problems);
    assert_null(parse("a: 1\nb: \xff\n"));
    assert_int_equal(problems.first->line, 2);
    assert_int_equal(problems.first->column, 4);
}

static void test_limits(void **state)
{
    (void)state;
    static char text[YAML_FILE_BYTES_MAX + 2];
    memset(text, '[', 17);
    assert_null(parse(text));
    assert_problem("1:17: nested more than 16 levels deep");
    memset(text, '#', YAML_FILE_BYTES_MAX + 1);
    assert_null(parse(text));
    assert_problem("1:1: larger than 1 MiB");
    size_t at = 0;
    for (size_t i = 0; i != 1001; ++i)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "k%zu: 1\n", i);
    assert_null(parse(text));
    assert_problem("1001:1: more than 1000 keys in one map");
    text[0] = '[';
    for (at = 1; at != 400001; at += 2)
        memcpy(text + at, "1,", 2);
    memcpy(text + at, "1]", 3);
    assert_null(parse(text));
    assert_problem("1:399998: too large: more than 200000 values");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_byte_order_mark_has_no_column, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nodes_have_positions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty_document_is_an_empty_map, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_plain_null_is_null, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_environment_references_are_expanded, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_environment_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_an_environment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unsupported_yaml_is_rejected, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_yaml_errors_have_positions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

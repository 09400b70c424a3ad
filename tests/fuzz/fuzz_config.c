/* Arbitrary text as a configuration: it loads or reports problems, and its printed form loads to
 * the same configuration.
 * Input: the file's text. No other file is read; the environment has two variables. */
#include <stdlib.h>

#include "base/check.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct span get_variable(void *context, struct span name)
{
    (void)context;
    if (span_equals(name, SPAN("A")))
        return SPAN("a$b");
    return span_equals(name, SPAN("EMPTY")) ? SPAN("") : SPAN_NONE;
}

/* Returns the printed configuration, which the caller frees. */
static struct span print(const struct config *config)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    CHECK(out != NULL);
    config_print(config, out);
    fclose(out);
    return span_make(text, len);
}

static void check_round_trip(const struct config *config, const struct config_options *options)
{
    struct problem_list problems;
    problem_list_init(&problems);
    struct span first = print(config);
    struct config *again = config_load_text("printed", first, options, &problems);
    if (again == NULL)
        problem_print_all(&problems, stderr);
    CHECK(again != NULL);
    struct span second = print(again);
    CHECK(span_equals(first, second));
    free((char *)first.at);
    free((char *)second.at);
    config_release(again);
    problem_list_dispose(&problems);
}

static void load(struct span text, const struct config_options *options, bool printed)
{
    struct problem_list problems;
    problem_list_init(&problems);
    struct config *config = config_load_text("f", text, options, &problems);
    CHECK((config == NULL) == (problems.errors != 0));
    for (const struct problem *p = problems.first; p != NULL; p = p->next)
        CHECK(p->message.len != 0);
    /* Longer texts exceed the parser's limit and test nothing else. */
    if (config != NULL && printed && text.len < 64 * 1024)
        check_round_trip(config, options);
    config_release(config);
    problem_list_dispose(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const struct config_options options = {.getenv = get_variable, .no_files = true};
    const struct config_options without_env = {.no_files = true};
    struct span text = span_make((const char *)bytes, len);
    load(text, &options, true);
    load(text, &without_env, false);
    return 0;
}

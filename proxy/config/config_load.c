/* Loads a configuration from a file, a text or flags. */
#include "config/config.h"

#include <stdlib.h>

#include "config/flags.h"
#include "config/include.h"
#include "config/reader.h"
#include "config/verify.h"

enum { CONFIG_ARENA_BLOCK = 16 * 1024, TREE_ARENA_BLOCK = 64 * 1024 };

/* ---- problems in the order of their lines ---- */

struct place {
    struct problem *problem;
    size_t file; /* place of the first problem of the same file */
    size_t order;
};

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    if (a->problem->line != b->problem->line)
        return a->problem->line < b->problem->line ? -1 : 1;
    if (a->problem->column != b->problem->column)
        return a->problem->column < b->problem->column ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static void sort_problems(struct problem_list *list, struct arena *arena)
{
    size_t count = 0;
    for (const struct problem *p = list->first; p != NULL; p = p->next)
        ++count;
    struct place *places = arena_zalloc(arena, count + 1, sizeof(*places));
    size_t at = 0;
    for (struct problem *p = list->first; p != NULL; p = p->next, ++at) {
        places[at] = (struct place){.problem = p, .file = at, .order = at};
        for (size_t i = 0; i != at && places[at].file == at; ++i)
            if (span_equals(places[i].problem->file, p->file))
                places[at].file = places[i].file;
    }
    qsort(places, count, sizeof(*places), compare_places);
    list->end = &list->first;
    for (size_t i = 0; i != count; ++i) {
        *list->end = places[i].problem;
        list->end = &places[i].problem->next;
    }
    *list->end = NULL;
}

/* ---- loading ---- */

/* The tree is freed after loading, so the configuration keeps everything in its own arena. */
static struct config *build(struct yaml_load *load, struct yaml_node *root)
{
    struct config *config = calloc(1, sizeof(*config));
    CHECK(config != NULL);
    config->references = 1;
    arena_init(&config->arena, CONFIG_ARENA_BLOCK);
    struct reader reader = {.load = load, .config = config};
    verify_tree(load, root, &config->arena);
    record_set_defaults(SETTING_ROOT, config, &config->arena);
    record_fill(SETTING_ROOT, root, config, &config->arena);
    read_listeners(&reader, root);
    read_identities(&reader, root);
    read_upstreams(&reader, root);
    read_routes(&reader, root);
    read_identities_derive(&reader, root);
    read_upstreams_settle(&reader, root);
    return config;
}

/* Input of a load: the contents of a file, a file, or flags. */
struct origin {
    const char *file;
    struct span text; /* SPAN_NONE: read the file */
    const struct config_flags *flags;
};

static struct config *load_from(const struct origin *origin, const struct config_options *options,
                                struct problem_list *problems)
{
    struct arena arena;
    unsigned errors_before = problems->errors;
    arena_init(&arena, TREE_ARENA_BLOCK);
    struct yaml_load load = {.arena = &arena, .problems = problems, .options = options};
    struct yaml_node *root = origin->flags != NULL ? flags_make_tree(&load, origin->flags)
                             : origin->text.at != NULL
                                 ? include_load_text(&load, origin->file, origin->text)
                                 : include_load(&load, origin->file);
    struct config *config = root == NULL ? NULL : build(&load, root);
    if (problems->errors != errors_before) {
        config_release(config);
        config = NULL;
    }
    sort_problems(problems, &arena);
    arena_dispose(&arena);
    return config;
}

struct config *config_load(const char *file, const struct config_options *options,
                           struct problem_list *problems)
{
    return load_from(&(struct origin){.file = file}, options, problems);
}

struct config *config_load_text(const char *file, struct span text,
                                const struct config_options *options, struct problem_list *problems)
{
    if (text.at == NULL)
        text = SPAN("");
    return load_from(&(struct origin){.file = file, .text = text}, options, problems);
}

struct config *config_load_flags(const struct config_flags *flags,
                                 const struct config_options *options,
                                 struct problem_list *problems)
{
    return load_from(&(struct origin){.flags = flags}, options, problems);
}

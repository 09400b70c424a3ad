/* The life of a configuration: loaded from a file, a text or flags, shared, released. */
#include "config/config.h"

#include <stdlib.h>

#include "config/flags.h"
#include "config/include.h"
#include "config/read.h"
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

/* The tree's memory goes when this returns, so all that the configuration keeps is copied. */
static struct config *build(struct yaml_load *load, struct yaml_node *root)
{
    struct config *config = calloc(1, sizeof(*config));
    CHECK(config != NULL);
    config->references = 1;
    arena_init(&config->arena, CONFIG_ARENA_BLOCK);
    struct reader reader = {.load = load, .config = config};
    verify_tree(load, root);
    if (root->kind == YAML_MAP) {
        read_server(&reader, root);
        read_credentials(&reader, root);
        read_upstreams(&reader, root);
        read_routes(&reader, root);
        read_identities_settle(&reader, root);
        read_upstreams_settle(&reader, root);
    }
    return config;
}

/* Takes the tree (NULL: it could not be read) and the arena that it lives in. */
static struct config *finish(struct yaml_load *load, struct yaml_node *root, unsigned errors_before)
{
    struct config *config = root == NULL ? NULL : build(load, root);
    if (load->problems->errors != errors_before) {
        config_release(config);
        config = NULL;
    }
    sort_problems(load->problems, load->arena);
    arena_dispose(load->arena);
    return config;
}

struct config *config_load(const char *file, const struct config_options *options,
                           struct problem_list *problems)
{
    struct arena arena;
    unsigned errors_before = problems->errors;
    arena_init(&arena, TREE_ARENA_BLOCK);
    struct yaml_load load = {.arena = &arena, .problems = problems, .options = options};
    struct yaml_node *root = include_load(&load, file);
    return finish(&load, root, errors_before);
}

struct config *config_load_text(const char *file, struct span text,
                                const struct config_options *options, struct problem_list *problems)
{
    struct arena arena;
    unsigned errors_before = problems->errors;
    arena_init(&arena, TREE_ARENA_BLOCK);
    struct yaml_load load = {.arena = &arena, .problems = problems, .options = options};
    struct yaml_node *root = include_load_text(&load, file, text);
    return finish(&load, root, errors_before);
}

struct config *config_from_flags(const struct config_flags *flags,
                                 const struct config_options *options,
                                 struct problem_list *problems)
{
    struct arena arena;
    unsigned errors_before = problems->errors;
    arena_init(&arena, TREE_ARENA_BLOCK);
    struct yaml_load load = {.arena = &arena, .problems = problems, .options = options};
    struct yaml_node *root = flags_make_tree(&load, flags);
    return finish(&load, root, errors_before);
}

struct config *config_retain(struct config *config)
{
    __atomic_add_fetch(&config->references, 1, __ATOMIC_RELAXED);
    return config;
}

void config_release(struct config *config)
{
    if (config == NULL || __atomic_sub_fetch(&config->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    arena_dispose(&config->arena);
    free(config);
}

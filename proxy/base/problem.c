/* Collects and prints problems. */
#include "base/problem.h"

#include <stdarg.h>

void problem_list_init(struct problem_list *list)
{
    *list = (struct problem_list){0};
    arena_init(&list->arena, 1024);
    list->end = &list->first;
}

void problem_list_dispose(struct problem_list *list)
{
    arena_dispose(&list->arena);
    list->first = NULL;
    list->end = &list->first;
}

void problem_add(struct problem_list *list, enum problem_level level, struct span file,
                 unsigned line, unsigned column, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    struct problem *problem = arena_zalloc(&list->arena, 1, sizeof(*problem));
    *problem = (struct problem){.level = level,
                                .file = arena_copy(&list->arena, file),
                                .line = line,
                                .column = column,
                                .message = arena_copy(&list->arena, span_from(text))};
    *list->end = problem;
    list->end = &problem->next;
    if (level == PROBLEM_ERROR)
        ++list->errors;
    if (level == PROBLEM_WARNING)
        ++list->warnings;
}

void problem_print_all(const struct problem_list *list, FILE *out)
{
    for (const struct problem *p = list->first; p != NULL; p = p->next) {
        if (p->file.len != 0)
            fprintf(out, "%.*s:", SPAN_ARG(p->file));
        if (p->line != 0)
            fprintf(out, "%u:%u:", p->line, p->column);
        fprintf(out, "%s%s%.*s\n", p->file.len != 0 ? " " : "",
                p->level == PROBLEM_WARNING ? "warning: " : "", SPAN_ARG(p->message));
    }
}

/* Problems: what is wrong in a file, where, and what would be right; collected so that all are
 * reported. */
#ifndef SAGEGATE_BASE_PROBLEM_H
#define SAGEGATE_BASE_PROBLEM_H

#include <stdio.h>

#include "base/arena.h"

enum problem_level { PROBLEM_ERROR, PROBLEM_WARNING };

struct problem {
    struct problem *next;
    enum problem_level level;
    struct span file;    /* SPAN_NONE if it is not in a file (a flag, the environment) */
    unsigned line;       /* from 1; 0: unknown */
    unsigned column;     /* from 1; 0: unknown */
    struct span message; /* "key: what is wrong, what would be right" */
};

struct problem_list {
    struct arena arena;
    struct problem *first, **end;
    unsigned errors, warnings;
};

void problem_list_init(struct problem_list *list);
void problem_list_dispose(struct problem_list *list);

/* Copies file and message. */
void problem_add(struct problem_list *list, enum problem_level level, struct span file,
                 unsigned line, unsigned column, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Prints one line each: "FILE:LINE:COLUMN: message", with "warning: " before the message of a
 * warning. */
void problem_print_all(const struct problem_list *list, FILE *out);

#endif

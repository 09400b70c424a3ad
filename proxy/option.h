/* Command-line options: a command's table gives parsing, --help and errors with suggestions.
 *
 * GNU syntax: --name VALUE, --name=VALUE and -n VALUE anywhere among the arguments; "--" ends the
 * options. Every command also has --help (-h). */
#ifndef SAGEGATE_OPTION_H
#define SAGEGATE_OPTION_H

#include "base/check.h"
#include "base/span.h"

enum option_kind {
    OPTION_FLAG,     /* bool: set */
    OPTION_TEXT,     /* struct span: the value, ending in NUL; the last one wins */
    OPTION_REQUIRED, /* the same; an error if missing */
    OPTION_LIST,     /* struct option_list: the values in order */
};

struct option_list {
    struct span *items; /* room for max */
    size_t count, max;
};

struct option_row {
    const char *name; /* "config" */
    char letter;      /* 'c', or NUL */
    enum option_kind kind;
    void *target;
    const char *value; /* its name in --help: "FILE"; NULL for a flag */
    const char *help;  /* may have several lines */
};

struct option_table {
    const char *command;      /* "check" */
    const char *usage;        /* what follows "Usage: sagegate check "; may have several lines */
    const char *about, *more; /* texts before and after the options; more may be NULL */
    const struct option_row *rows; /* at most OPTION_ROWS_MAX */
    size_t row_count;
    struct span *operands; /* the other arguments, each ending in NUL; room for operand_max */
    size_t operand_min, operand_max;
    const char *operand_hint; /* error text for a wrong number of operands */
};
enum { OPTION_ROWS_MAX = 16 };

/* Fills in the targets. Returns -1 to go on, else the command's exit status: --help or an error was
 * printed. */
MUST_USE int option_parse(const struct option_table *options, int argc, char **argv);

/* Prints "sagegate COMMAND: TEXT" on stderr. Returns false. */
bool option_fail(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

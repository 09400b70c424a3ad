/* Parses command lines and prints --help, both from a command's table of options. */
#include "option.h"

#include "config/suggest.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

bool option_fail(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "sagegate %s: ", command);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return false;
}

/* ---- --help ---- */

enum { ROW_TEXT_MAX = 64 };

/* Formats "  -c, --config FILE". Returns its length. */
static int format_row(char text[ROW_TEXT_MAX], const struct option_row *row)
{
    char letter[5] = "    ";
    if (row->letter != '\0')
        snprintf(letter, sizeof(letter), "-%c, ", row->letter);
    return snprintf(text, ROW_TEXT_MAX, "  %s--%s%s%s", letter, row->name,
                    row->value != NULL ? " " : "", row->value != NULL ? row->value : "");
}

/* Indents each line after the first. */
static void print_lines(const char *text, int indent)
{
    for (const char *c = text; *c != '\0'; ++c) {
        putchar(*c);
        if (*c == '\n')
            printf("%*s", indent, "");
    }
    putchar('\n');
}

static void print_help(const struct option_table *options)
{
    static const struct option_row help = {
        .name = "help", .letter = 'h', .help = "print this help"};
    char text[ROW_TEXT_MAX];
    int width = format_row(text, &help);
    for (size_t i = 0; i != options->row_count; ++i) {
        int row = format_row(text, &options->rows[i]);
        width = row > width ? row : width;
    }
    printf("Usage: sagegate %s%s", options->command, options->usage[0] == '\0' ? "" : " ");
    print_lines(options->usage, (int)(sizeof("Usage: ") - 1));
    printf("\n%s\n", options->about);
    for (size_t i = 0; i <= options->row_count; ++i) {
        const struct option_row *row = i == options->row_count ? &help : &options->rows[i];
        format_row(text, row);
        printf("%-*s  ", width, text);
        print_lines(row->help, width + 2);
    }
    if (options->more != NULL)
        printf("\n%s", options->more);
}

/* ---- parsing ---- */

/* What getopt returns for the first row's long form: past every letter. */
enum { LONG_FIRST = 256 };

static bool store(const struct option_table *options, const struct option_row *row,
                  struct span value)
{
    struct option_list *list = row->target;
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)row->target = true;
        return true;
    case OPTION_TEXT:
    case OPTION_REQUIRED:
        *(struct span *)row->target = value;
        return true;
    case OPTION_LIST:
        if (list->count == list->max)
            return option_fail(options->command, "--%s is given more than %zu times", row->name,
                               list->max);
        list->items[list->count++] = value;
        return true;
    }
    return false;
}

/* Suggests the option that was meant. Returns the exit status. */
static int fail_unknown(const struct option_table *options, const char *given)
{
    struct span names[OPTION_ROWS_MAX], word = span_from(given), rest;
    while (word.len != 0 && word.at[0] == '-')
        word = span_from_offset(word, 1);
    (void)span_split(word, '=', &word, &rest);
    for (size_t i = 0; i != options->row_count; ++i)
        names[i] = span_from(options->rows[i].name);
    struct span near = suggest_nearest(word, names, options->row_count);
    if (near.at != NULL)
        option_fail(options->command, "unknown option %s, did you mean --%.*s?", given,
                    SPAN_ARG(near));
    else
        option_fail(options->command, "unknown option %s; see sagegate %s --help", given,
                    options->command);
    return 1;
}

/* Returns false after an error if a required option is missing. */
static bool has_required(const struct option_table *options)
{
    for (size_t i = 0; i != options->row_count; ++i) {
        const struct option_row *row = &options->rows[i];
        if (row->kind == OPTION_REQUIRED && ((const struct span *)row->target)->at == NULL)
            return option_fail(options->command, "--%s %s is required; see sagegate %s --help",
                               row->name, row->value, options->command);
    }
    return true;
}

static int take_operands(const struct option_table *options, int argc, char **argv)
{
    size_t count = (size_t)(argc - optind);
    if (count > options->operand_max && options->operand_max == 0) {
        option_fail(options->command, "unexpected argument '%s'", argv[optind]);
        return 1;
    }
    if (count < options->operand_min || count > options->operand_max) {
        option_fail(options->command, "%s", options->operand_hint);
        return 1;
    }
    for (size_t i = 0; i != count; ++i)
        options->operands[i] = span_from(argv[optind + (int)i]);
    return -1;
}

int option_parse(const struct option_table *options, int argc, char **argv)
{
    struct option long_options[OPTION_ROWS_MAX + 2] = {0};
    char letters[2 * OPTION_ROWS_MAX + 3] = ":h";
    size_t letter_count = 2;
    CHECK(options->row_count <= OPTION_ROWS_MAX);
    for (size_t i = 0; i != options->row_count; ++i) {
        const struct option_row *row = &options->rows[i];
        int has_value = row->kind == OPTION_FLAG ? no_argument : required_argument;
        long_options[i] = (struct option){row->name, has_value, NULL, LONG_FIRST + (int)i};
        if (row->letter != '\0')
            letters[letter_count++] = row->letter;
        if (row->letter != '\0' && has_value == required_argument)
            letters[letter_count++] = ':';
    }
    long_options[options->row_count] = (struct option){"help", no_argument, NULL, 'h'};
    opterr = 0;
    optind = 0; /* glibc: begin anew */
    for (int option; (option = getopt_long(argc, argv, letters, long_options, NULL)) != -1;) {
        const char *given = argv[optind - 1];
        if (option == 'h') {
            print_help(options);
            return 0;
        }
        if (option == ':') {
            option_fail(options->command, "%s requires a value", given);
            return 1;
        }
        if (option == '?' && optopt >= LONG_FIRST) {
            option_fail(options->command, "--%s takes no value",
                        options->rows[optopt - LONG_FIRST].name);
            return 1;
        }
        if (option == '?') {
            const char letter[] = {'-', (char)optopt, '\0'};
            return fail_unknown(options, optopt != 0 ? letter : given);
        }
        size_t at = 0;
        while (at + LONG_FIRST != (size_t)option && options->rows[at].letter != option)
            ++at;
        if (!store(options, &options->rows[at], span_from(optarg)))
            return 1;
    }
    return has_required(options) ? take_operands(options, argc, argv) : 1;
}

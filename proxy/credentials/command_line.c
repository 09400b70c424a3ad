/* One pass over the text, word by word. */
#include "credentials/command_line.h"

struct split {
    struct span rest;
    char *out; /* one byte longer than the text: no word is longer than its source */
    struct span fault;
};

static bool is_divider(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char take(struct split *split)
{
    char c = split->rest.at[0];
    split->rest = span_from_offset(split->rest, 1);
    return c;
}

/* Takes the rest of a quoted part, whose opening quote was taken. */
static bool take_quoted(struct split *split, char quote)
{
    while (split->rest.len != 0) {
        char c = take(split);
        if (c == quote)
            return true;
        bool escapes = quote == '"' && c == '\\' && split->rest.len != 0 &&
                       (split->rest.at[0] == '"' || split->rest.at[0] == '\\');
        *split->out++ = escapes ? take(split) : c;
    }
    split->fault = SPAN("unclosed quote");
    return false;
}

/* Takes one word; the first byte must be no divider. */
static bool take_word(struct split *split)
{
    while (split->rest.len != 0 && !is_divider(split->rest.at[0])) {
        char c = take(split);
        if (c == '\'' || c == '"') {
            if (!take_quoted(split, c))
                return false;
            continue;
        }
        if (c == '\\' && split->rest.len == 0) {
            split->fault = SPAN("backslash at the end");
            return false;
        }
        *split->out++ = c == '\\' ? take(split) : c;
    }
    *split->out++ = '\0';
    return true;
}

bool command_line_split(struct span text, struct arena *arena, char ***argv, struct span *fault)
{
    size_t count = 0;
    char **words = arena_zalloc(arena, COMMAND_LINE_WORDS_MAX + 1, sizeof(*words));
    struct split split = {text, arena_alloc(arena, text.len + 1), SPAN_NONE};
    if (text.len != 0 && memchr(text.at, '\0', text.len) != NULL) {
        *fault = SPAN("contains a NUL byte");
        return false;
    }
    for (;;) {
        while (split.rest.len != 0 && is_divider(split.rest.at[0]))
            take(&split);
        if (split.rest.len == 0)
            break;
        if (count == COMMAND_LINE_WORDS_MAX) {
            *fault = SPAN("more than 64 words");
            return false;
        }
        words[count++] = split.out;
        if (!take_word(&split)) {
            *fault = split.fault;
            return false;
        }
    }
    if (count == 0) {
        *fault = SPAN("the command is empty");
        return false;
    }
    *argv = words;
    return true;
}

/* Finds the closest known word by edit distance. */
#include "config/suggest.h"

#include <limits.h>

#include "base/buffer.h"

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, three rows at a time. */
unsigned suggest_distance(struct span a, struct span b)
{
    unsigned rows[3][SUGGEST_WORD_MAX + 1];
    if (a.len > SUGGEST_WORD_MAX || b.len > SUGGEST_WORD_MAX)
        return UINT_MAX;
    for (unsigned j = 0; j <= b.len; ++j)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; ++i) {
        unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; ++j) {
            char x = ascii_lower(a.at[i - 1]), y = ascii_lower(b.at[j - 1]);
            unsigned best = above[j - 1] + (x != y);
            best = least(best, above[j] + 1);
            best = least(best, row[j - 1] + 1);
            if (i > 1 && j > 1 && x == ascii_lower(b.at[j - 2]) && y == ascii_lower(a.at[i - 2]))
                best = least(best, above2[j - 2] + 1);
            row[j] = best;
        }
    }
    return rows[a.len % 3][b.len];
}

struct span suggest_nearest(struct span word, const struct span *words, size_t count)
{
    struct span nearest = SPAN_NONE;
    unsigned limit = word.len < 3 ? 1 : word.len < 7 ? 2 : 3;
    for (size_t i = 0; i != count; ++i) {
        unsigned distance = suggest_distance(word, words[i]);
        if (word.len >= 3 && span_starts_with_ignore_case(words[i], word))
            distance = least(distance, 1);
        /* A word that would have to change entirely is not a match. */
        if (distance > limit || distance >= word.len)
            continue;
        nearest = words[i];
        limit = distance == 0 ? 0 : distance - 1;
        if (distance == 0)
            break;
    }
    return nearest;
}

struct span suggest_list(const struct span *words, size_t count, const char *last_joint,
                         struct arena *arena)
{
    struct buffer list;
    buffer_init(&list, 4096);
    for (size_t i = 0; i != count; ++i) {
        if (i != 0 && i + 1 == count)
            buffer_printf(&list, " %s ", last_joint);
        else if (i != 0)
            buffer_append(&list, SPAN(", "));
        buffer_append(&list, words[i]);
    }
    struct span result = arena_copy(arena, list.len == 0 ? SPAN("") : buffer_span(&list));
    buffer_dispose(&list);
    return result;
}

bool suggest_fault(const char *what, struct span word, const struct span *words, size_t count,
                   struct arena *arena, struct span *fault)
{
    struct span near = suggest_nearest(word, words, count);
    if (near.at != NULL)
        return arena_fault(arena, fault, "unknown %s \"%.*s\", did you mean %.*s?", what,
                           SPAN_ARG(word), SPAN_ARG(near));
    struct span list = suggest_list(words, count, "or", arena);
    return arena_fault(arena, fault, "unknown %s \"%.*s\"; must be one of %.*s", what,
                       SPAN_ARG(word), SPAN_ARG(list));
}

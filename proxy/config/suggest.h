/* The word that a person meant: nearest by edit distance among those that there are. Pure. */
#ifndef SAGEGATE_CONFIG_SUGGEST_H
#define SAGEGATE_CONFIG_SUGGEST_H

#include "base/arena.h"

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b, case
 * ignored; words longer than SUGGEST_WORD_MAX count as infinitely far (UINT_MAX). */
enum { SUGGEST_WORD_MAX = 64 };
unsigned suggest_distance(struct span a, struct span b);

/* The nearest of the words that is near enough to be meant (its beginning counts as near),
 * SPAN_NONE where none is. The first of equals. */
struct span suggest_nearest(struct span word, const struct span *words, size_t count);

/* "a", "a or b", "a, b or c", in arena. */
struct span suggest_list(const struct span *words, size_t count, const char *last_joint,
                         struct arena *arena);

#endif

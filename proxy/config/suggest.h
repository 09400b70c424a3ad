/* Suggestions for misspelled words: the closest known word by edit distance. Pure. */
#ifndef SAGEGATE_CONFIG_SUGGEST_H
#define SAGEGATE_CONFIG_SUGGEST_H

#include "base/arena.h"

/* The number of insertions, deletions, replacements and swaps of neighbours from a to b, ignoring
 * case; UINT_MAX if one is longer than SUGGEST_WORD_MAX. */
enum { SUGGEST_WORD_MAX = 64 };
unsigned suggest_distance(struct span a, struct span b);

/* Returns the closest word if it is close enough (a prefix counts), else SPAN_NONE. The first one
 * wins a tie. */
struct span suggest_nearest(struct span word, const struct span *words, size_t count);

/* "a", "a or b", "a, b or c", in arena. */
struct span suggest_list(const struct span *words, size_t count, const char *last_joint,
                         struct arena *arena);

/* *fault: `unknown WHAT "WORD", did you mean ...?`, or with the list of words. Always false, for
 * a parser to return. */
bool suggest_fault(const char *what, struct span word, const struct span *words, size_t count,
                   struct arena *arena, struct span *fault);

#endif

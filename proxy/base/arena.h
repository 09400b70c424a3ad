/* Arenas: memory that its owner frees all at once.
 *
 * A request or a configuration owns one, and everything it allocates there lives exactly as long:
 * nothing on the request path calls free. arena_reset keeps one block, so that the next request
 * on a warm connection needs no malloc. Not for secrets, which are `struct secret`. */
#ifndef SAGEGATE_BASE_ARENA_H
#define SAGEGATE_BASE_ARENA_H

#include "base/span.h"

#include <stdarg.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first; the last one is the first block */
    size_t block_size;          /* bytes of an ordinary block */
    size_t used;                /* bytes allocated since init or reset, for limits and tests */
};

/* Allocates nothing yet. */
void arena_init(struct arena *arena, size_t block_size);
/* Frees everything allocated; keeps one block of the ordinary size. */
void arena_reset(struct arena *arena);
void arena_dispose(struct arena *arena);

/* Never returns NULL: aborts if out of memory. Aligned for any type, not zeroed. */
void *arena_alloc(struct arena *arena, size_t size);
/* Allocates count * size zeroed bytes; aborts if that overflows. */
void *arena_zalloc(struct arena *arena, size_t count, size_t size);
/* Returns a copy that ends in NUL, not counted in its length; SPAN_NONE for SPAN_NONE. */
struct span arena_copy(struct arena *arena, struct span s);
/* Returns a copy in ASCII lower case that ends in NUL. */
struct span arena_lower(struct arena *arena, struct span s);
/* Returns a copy with every %XX decoded that ends in NUL; a '%' without two hex digits stays. */
struct span arena_percent_decode(struct arena *arena, struct span s);
/* Returns the parts one after the other; the text ends in NUL. */
struct span arena_concat(struct arena *arena, const struct span *parts, size_t count);
/* printf into the arena; the text ends in NUL. Too slow for what every request does. */
struct span arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct span arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* The same into *fault, for a parser that fails: always false, for the parser to return. */
bool arena_fault(struct arena *arena, struct span *fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

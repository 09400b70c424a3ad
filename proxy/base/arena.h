/* An arena: memory of one owner, given back all at once. It knows nothing of what is stored in it.
 *
 * A request or a configuration owns one; whatever it allocates lives exactly as long as it does, so that
 * nothing on the request path calls free. The first block is kept by arena_reset, which makes the next
 * request on a warm connection free of malloc. Not for secrets (those are `struct secret`). */
#ifndef SAGEGATE_BASE_ARENA_H
#define SAGEGATE_BASE_ARENA_H

#include "base/span.h"

#include <stdarg.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first; the last one is the first block */
    size_t block_size;          /* bytes of an ordinary block */
    size_t used;                /* bytes handed out since init or reset, for limits and tests */
};

/* Allocates nothing yet. */
void arena_init(struct arena *arena, size_t block_size);
/* Takes back everything that was handed out; keeps one block of the ordinary size. */
void arena_reset(struct arena *arena);
void arena_dispose(struct arena *arena);

/* Never NULL (out of memory aborts), aligned for any type, not zeroed. */
void *arena_alloc(struct arena *arena, size_t size);
/* Zeroed, count * size with the overflow checked. */
void *arena_zalloc(struct arena *arena, size_t count, size_t size);
/* A copy that ends in NUL (not counted in len); SPAN_NONE stays SPAN_NONE. */
struct span arena_copy(struct arena *arena, struct span s);
/* A copy in ASCII lower case, that ends in NUL. */
struct span arena_lower(struct arena *arena, struct span s);
/* A copy with every %XX decoded, that ends in NUL; a '%' that starts no whole escape stays. */
struct span arena_percent_decode(struct arena *arena, struct span s);
/* printf into the arena; ends in NUL. */
struct span arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct span arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif

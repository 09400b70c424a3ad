/* Bump allocation in blocks. */
#include "base/arena.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    _Alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *arena, size_t block_size)
{
    *arena = (struct arena){.block_size = block_size};
}

void arena_reset(struct arena *arena)
{
    struct arena_block *kept = NULL;
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        if (kept == NULL && block->size == arena->block_size) {
            kept = block;
            continue;
        }
        free(block);
    }
    if (kept != NULL) {
        kept->next = NULL;
        kept->used = 0;
    }
    arena->blocks = kept;
    arena->used = 0;
}

void arena_dispose(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
    arena->used = 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    CHECK(size <= SIZE_MAX / 2);
    size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < size) {
        size_t wanted = size > arena->block_size ? size : arena->block_size;
        block = malloc(sizeof(*block) + wanted);
        CHECK(block != NULL);
        block->size = wanted;
        block->used = 0;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *at = block->bytes + block->used;
    block->used += size;
    arena->used += size;
    return at;
}

void *arena_zalloc(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    CHECK(!__builtin_mul_overflow(count, size, &total));
    void *at = arena_alloc(arena, total);
    memset(at, 0, total);
    return at;
}

struct span arena_copy(struct arena *arena, struct span s)
{
    if (s.at == NULL)
        return s;
    char *at = arena_alloc(arena, s.len + 1);
    memcpy(at, s.at, s.len);
    at[s.len] = '\0';
    return span_make(at, s.len);
}

struct span arena_concat(struct arena *arena, const struct span *parts, size_t count)
{
    size_t len = 0, used = 0;
    for (size_t i = 0; i != count; ++i)
        len += parts[i].len;
    char *at = arena_alloc(arena, len + 1);
    for (size_t i = 0; i != count; ++i) {
        if (parts[i].len != 0)
            memcpy(at + used, parts[i].at, parts[i].len);
        used += parts[i].len;
    }
    at[len] = '\0';
    return span_make(at, len);
}

struct span arena_lower(struct arena *arena, struct span s)
{
    char *at = arena_alloc(arena, s.len + 1);
    for (size_t i = 0; i != s.len; ++i)
        at[i] = ascii_lower(s.at[i]);
    at[s.len] = '\0';
    return span_make(at, s.len);
}

struct span arena_percent_decode(struct arena *arena, struct span s)
{
    char *at = arena_alloc(arena, s.len + 1);
    size_t len = 0;
    for (size_t i = 0; i != s.len;) {
        int value = span_escape_value(s, i);
        at[len++] = value < 0 ? s.at[i] : (char)value;
        i += value < 0 ? 1 : 3;
    }
    at[len] = '\0';
    return span_make(at, len);
}

struct span arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    CHECK(len >= 0);
    char *at = arena_alloc(arena, (size_t)len + 1);
    vsnprintf(at, (size_t)len + 1, format, again);
    va_end(again);
    return span_make(at, (size_t)len);
}

struct span arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct span text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

bool arena_fault(struct arena *arena, struct span *fault, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    *fault = arena_vprintf(arena, format, args);
    va_end(args);
    return false;
}

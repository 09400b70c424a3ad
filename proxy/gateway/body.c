/* Request bodies: chunks, hash and memory. */
#include "gateway/body.h"

#include <stdlib.h>

static struct upstream_chunk *add_chunk(struct body *body, struct upstream_chunk *chunk,
                                        size_t capacity)
{
    CHECK(chunk != NULL);
    *chunk = (struct upstream_chunk){.capacity = capacity};
    if (body->last != NULL)
        body->last->next = chunk;
    if (body->last == NULL)
        body->first = chunk;
    body->last = chunk;
    return chunk;
}

bool body_begin(struct body *body, struct admission *admission, struct arena *arena,
                uint64_t length)
{
    CHECK(body->first == NULL);
    *body = (struct body){.known_length = length != UINT64_MAX, .admission = admission};
    sha256_init(&body->sha256);
    if (!body->known_length || length == 0)
        return true;
    if (!admission_take_memory(admission, length))
        return false;
    body->reserved = length;
    if (length <= BODY_SMALL_MAX) {
        body->in_arena = true;
        add_chunk(body, arena_alloc(arena, sizeof(struct upstream_chunk) + length), length);
    }
    return true;
}

/* Returns a chunk with room. Takes memory for a body of unknown length chunk by chunk; NULL if
 * there is none. */
static struct upstream_chunk *room(struct body *body)
{
    struct upstream_chunk *last = body->last;
    if (last != NULL && last->len != last->capacity)
        return last;
    uint64_t capacity = BODY_CHUNK_SIZE;
    if (body->known_length && body->reserved - body->size < capacity)
        capacity = body->reserved - body->size;
    if (!body->known_length) {
        if (!admission_take_memory(body->admission, capacity))
            return NULL;
        body->reserved += capacity;
    }
    CHECK(capacity != 0);
    return add_chunk(body, malloc(sizeof(*last) + capacity), capacity);
}

bool body_append(struct body *body, struct span data)
{
    struct mono_time before = clock_mono();
    sha256_update(&body->sha256, data);
    body->hash_us += clock_us_between(before, clock_mono());
    while (data.len != 0) {
        struct upstream_chunk *chunk = room(body);
        if (chunk == NULL)
            return false;
        size_t piece = chunk->capacity - chunk->len;
        if (piece > data.len)
            piece = data.len;
        memcpy(chunk->bytes + chunk->len, data.at, piece);
        chunk->len += piece;
        body->size += piece;
        data = span_from_offset(data, piece);
    }
    return true;
}

void body_end(struct body *body)
{
    sha256_final(&body->sha256, body->digest);
}

void body_release(struct body *body)
{
    while (body->first != NULL && !body->in_arena) {
        struct upstream_chunk *chunk = body->first;
        body->first = chunk->next;
        free(chunk);
    }
    body->first = body->last = NULL;
    if (body->reserved != 0)
        admission_release_memory(body->admission, body->reserved);
    body->reserved = 0;
}

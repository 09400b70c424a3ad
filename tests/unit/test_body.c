// links: net gateway
/* Bodies: stored regardless of how they are split, hashed, counted, rejected at their limits,
 * and freed. */
#include "gateway/body.h"

#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MEMORY = 1024 * 1024 };

static struct admission admission;
static struct arena arena;
static char bytes[512 * 1024];

static int set_up(void **state)
{
    (void)state;
    struct config_limits limits = {.body_bytes = MEMORY};
    admission_init(&admission, &limits);
    arena_init(&arena, 16 * 1024);
    for (size_t i = 0; i != sizeof(bytes); ++i)
        bytes[i] = (char)(i * 31 + i / 251);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(atomic_load(&admission.memory), 0);
    arena_dispose(&arena);
    return 0;
}

static void check_content(const struct body *body, size_t len)
{
    size_t at = 0;
    for (const struct upstream_chunk *chunk = body->first; chunk != NULL; chunk = chunk->next) {
        assert_true(chunk->len <= chunk->capacity && chunk->len <= BODY_CHUNK_SIZE);
        assert_true(at + chunk->len <= len);
        assert_memory_equal(chunk->bytes, bytes + at, chunk->len);
        at += chunk->len;
    }
    assert_int_equal(at, len);
    assert_int_equal(body->size, len);
}

static void fill(size_t len, size_t piece, bool known)
{
    struct body body = {0};
    unsigned char digest[SHA256_DIGEST_LENGTH];
    assert_true(body_begin(&body, &admission, &arena, known ? len : UINT64_MAX));
    assert_int_equal(atomic_load(&admission.memory), known ? len : 0);
    for (size_t at = 0; at < len; at += piece)
        assert_true(body_append(&body, span_make(bytes + at, len - at < piece ? len - at : piece)));
    assert_true(atomic_load(&admission.memory) >= len);
    body_end(&body);
    SHA256((const unsigned char *)bytes, len, digest);
    assert_memory_equal(body.digest, digest, sizeof(digest));
    check_content(&body, len);
    body_release(&body);
    assert_int_equal(atomic_load(&admission.memory), 0);
    assert_int_equal(body.size, len); /* kept for the access line */
    body_release(&body);
    arena_reset(&arena);
}

static void any_chunking_gives_the_same_body(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,
                                   1,
                                   BODY_SMALL_MAX,
                                   BODY_SMALL_MAX + 1,
                                   BODY_CHUNK_SIZE - 1,
                                   BODY_CHUNK_SIZE,
                                   BODY_CHUNK_SIZE + 1,
                                   300 * 1000};
    static const size_t pieces[] = {1009, BODY_CHUNK_SIZE, 200 * 1000, sizeof(bytes)};
    for (size_t i = 0; i != sizeof(sizes) / sizeof(sizes[0]); ++i)
        for (size_t k = 0; k != sizeof(pieces) / sizeof(pieces[0]); ++k) {
            fill(sizes[i], pieces[k], true);
            fill(sizes[i], pieces[k], false);
        }
}

static void body_over_memory_limit(void **state)
{
    (void)state;
    struct body first = {0}, second = {0}, third = {0};
    assert_true(body_begin(&first, &admission, &arena, MEMORY - BODY_CHUNK_SIZE));
    assert_false(body_begin(&second, &admission, &arena, BODY_CHUNK_SIZE + 1));
    assert_true(body_begin(&third, &admission, &arena, UINT64_MAX));
    assert_true(body_append(&third, span_make(bytes, 10))); /* the last chunk */
    assert_true(body_append(&third, span_make(bytes, BODY_CHUNK_SIZE - 10)));
    assert_false(body_append(&third, span_make(bytes, 1)));
    body_release(&first);
    body_release(&second);
    body_release(&third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_chunking_gives_the_same_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(body_over_memory_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

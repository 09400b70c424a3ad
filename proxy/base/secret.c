/* Allocates secrets on pages of their own. */
#include "base/secret.h"

#include "base/check.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { STACK_SIZE = 64 * 1024 };

static size_t mapped_size(size_t len)
{
    return (len + 4095) & ~(size_t)4095;
}

struct secret secret_copy(struct span s)
{
    if (s.len == 0)
        return SECRET_EMPTY;
    void *at =
        mmap(NULL, mapped_size(s.len), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    (void)madvise(at, mapped_size(s.len), MADV_DONTDUMP);
    (void)mlock(at, mapped_size(s.len)); /* best effort: RLIMIT_MEMLOCK may be 0 */
    memcpy(at, s.at, s.len);
    return (struct secret){at, s.len};
}

void secret_dispose(struct secret *secret)
{
    if (secret->private_at == NULL)
        return;
    secret_wipe(secret->private_at, secret->private_len);
    munmap(secret->private_at, mapped_size(secret->private_len));
    *secret = SECRET_EMPTY;
}

void secret_wipe(void *at, size_t len)
{
    explicit_bzero(at, len);
}

void secret_free(void *at)
{
    if (at != NULL)
        secret_wipe(at, malloc_usable_size(at));
    free(at);
}

void *secret_realloc(void *at, size_t size)
{
    size_t had = at == NULL ? 0 : malloc_usable_size(at);
    void *next = malloc(size);
    if (next == NULL)
        return NULL;
    if (had != 0)
        memcpy(next, at, had < size ? had : size);
    secret_free(at);
    return next;
}

void secret_buffer_init(struct buffer *buffer, size_t size)
{
    void *at = malloc(size);
    CHECK(at != NULL);
    buffer_init_fixed(buffer, at, size);
}

void secret_buffer_dispose(struct buffer *buffer)
{
    if (buffer->at != NULL)
        secret_wipe(buffer->at, buffer->capacity);
    free(buffer->at);
    *buffer = (struct buffer){0};
}

/* Also under AddressSanitizer on the very stack. */
__attribute__((noinline, no_sanitize("address"))) void secret_wipe_stack(void)
{
    char below[STACK_SIZE];
    secret_wipe(below, sizeof(below));
}

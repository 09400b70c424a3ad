/* Reads without waiting, and compares versions by stat(2). */
#include "credentials/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"

static bool read_all(int fd, size_t max, struct file_text *text, struct arena *arena,
                     struct span *fault)
{
    while (text->len != text->size) {
        ssize_t n = read(fd, text->at + text->len, text->size - text->len);
        if (n == 0)
            return true;
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1) {
            *fault = arena_printf(arena, "cannot read: %s", strerror(errno));
            return false;
        }
        text->len += (size_t)n;
    }
    *fault = arena_printf(arena, "larger than %zu bytes", max);
    return false;
}

static bool open_text(int fd, size_t max, struct file_text *text, struct arena *arena,
                      struct span *fault)
{
    struct stat st;
    if (fstat(fd, &st) == -1) {
        *fault = arena_printf(arena, "cannot open: %s", strerror(errno));
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        *fault = SPAN("not a regular file");
        return false;
    }
    /* One byte longer, to notice that the file has grown. */
    size_t size = (uint64_t)st.st_size < max ? (size_t)st.st_size + 1 : max + 1;
    *text = (struct file_text){malloc(size), 0, size, (unsigned)(st.st_mode & 07777)};
    CHECK(text->at != NULL);
    return true;
}

enum file_result file_read(const char *name, size_t max, struct file_text *out, struct arena *arena,
                           struct span *fault)
{
    struct file_text text = {0};
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd == -1 && (errno == ENOENT || errno == ENOTDIR))
        return FILE_MISSING;
    if (fd == -1) {
        *fault = arena_printf(arena, "cannot open: %s", strerror(errno));
        return FILE_FAILED;
    }
    bool ok = open_text(fd, max, &text, arena, fault) && read_all(fd, max, &text, arena, fault);
    close(fd);
    if (!ok) {
        file_dispose(&text);
        return FILE_FAILED;
    }
    *out = text;
    return FILE_READ;
}

void file_dispose(struct file_text *text)
{
    if (text->at != NULL)
        secret_wipe(text->at, text->size);
    free(text->at);
    *text = (struct file_text){0};
}

struct file_version file_version(const char *name)
{
    struct stat st;
    if (stat(name, &st) == -1)
        return (struct file_version){.inode = 0};
    return (struct file_version){.modified = st.st_mtim,
                                 .changed = st.st_ctim,
                                 .inode = st.st_ino,
                                 .device = st.st_dev,
                                 .size = st.st_size};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool file_same_version(const struct file_version *a, const struct file_version *b)
{
    return same_time(a->modified, b->modified) && same_time(a->changed, b->changed) &&
           a->inode == b->inode && a->device == b->device && a->size == b->size;
}

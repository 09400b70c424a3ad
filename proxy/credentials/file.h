/* Files with secrets, read whole into memory that is wiped. Must not depend on a format.
 *
 * Never waits: a FIFO, a device or a directory is an error. */
#ifndef SAGEGATE_CREDENTIALS_FILE_H
#define SAGEGATE_CREDENTIALS_FILE_H

#include <sys/types.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"

struct file_text {
    char *at;
    size_t len, size;
    unsigned mode; /* permission bits */
};

enum file_result { FILE_READ, FILE_MISSING, FILE_FAILED };

/* Reads at most `max` bytes. *fault, set with FILE_FAILED, is in arena and does not name the file.
 * *out, set with FILE_READ, is to be disposed. */
MUST_USE enum file_result file_read(const char *name, size_t max, struct file_text *out,
                                    struct arena *arena, struct span *fault);
void file_dispose(struct file_text *text);

static inline struct span file_span(const struct file_text *text)
{
    return (struct span){text->at, text->len};
}
/* Whether others than the owner may read it. */
static inline bool file_is_open_to_others(const struct file_text *text)
{
    return (text->mode & 0077) != 0;
}

/* Distinguishes versions of a file; all zero if there is none. */
struct file_version {
    struct timespec modified, changed;
    ino_t inode;
    dev_t device;
    off_t size;
};
struct file_version file_version(const char *name);
bool file_same_version(const struct file_version *a, const struct file_version *b);

#endif

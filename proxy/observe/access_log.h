/* The access log: one JSON object a line for every request that ended. Fed by values; asks nobody.
 *
 * A worker fills a record in its own ring (access_log_begin, access_log_commit) and never blocks;
 * one thread formats and writes. A full ring drops the record and counts it. While requests come
 * the thread looks by itself every 20 ms, so that a record costs the worker no system call; only
 * the first one after a quiet time, or a ring that is half full, wakes it.
 *
 * A NULL log is one that is switched off: begin gives NULL, all else does nothing. */
#ifndef SAGEGATE_OBSERVE_ACCESS_LOG_H
#define SAGEGATE_OBSERVE_ACCESS_LOG_H

#include "base/check.h"
#include "observe/access_record.h"

struct access_log; /* the rings and the writer thread */

struct access_log_options {
    const char *file;   /* copied; NULL: stdout */
    unsigned workers;   /* number of rings, at least 1 */
    unsigned ring_size; /* records a ring, a power of two; 0: 1024 (2 MiB once all were used) */
};

/* NULL, errno set, where the file cannot be opened or the thread not be started. The file is made
 * with mode 0640 and appended to. */
MUST_USE struct access_log *access_log_create(const struct access_log_options *options);

/* Writes what is left, at most 2 s long (what its reader does not take by then counts as dropped),
 * and joins the thread. No worker may use the log any more. */
void access_log_destroy(struct access_log *log);

/* Of ring `worker`, from that worker's thread only. The record to fill in, initialised; or NULL,
 * counted as dropped, when the ring is full. A record that is begun and not committed is given out
 * again by the next begin. */
struct access_record *access_log_begin(struct access_log *log, unsigned worker);
void access_log_commit(struct access_log *log, unsigned worker);
bool access_log_is_full(const struct access_log *log, unsigned worker);

/* Asks the writer to open the file again (after rotation); from any thread. Where that fails the
 * old file stays in use and a diagnostic says so. */
void access_log_reopen(struct access_log *log);

/* Records lost since the start, to full rings and to failed writes; from any thread. */
uint64_t access_log_dropped(const struct access_log *log);

#endif

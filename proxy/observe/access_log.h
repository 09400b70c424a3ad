/* The access log: one JSON object a line for every request that ended. Fed by values; asks nobody anything.
 *
 * A worker fills a record in its ring (access_log_begin, access_log_commit) and never blocks; one writer thread formats
 * and writes. A full ring drops the record and counts it. The order and names of the fields are a public promise
 * (README, "The access line"). */
#ifndef SAGEGATE_OBSERVE_ACCESS_LOG_H
#define SAGEGATE_OBSERVE_ACCESS_LOG_H

#include "base/clock.h"
#include "base/span.h"

enum { ACCESS_TEXT_SIZE = 1400 };

/* Texts are copied into `text` by access_record_set, cut to what is left there. */
enum access_text {
    ACCESS_REQUEST_ID,
    ACCESS_TRACE_ID,
    ACCESS_INFERENCE_ID,
    ACCESS_ROUTE,
    ACCESS_ENDPOINT,
    ACCESS_OPERATION,
    ACCESS_TARGET_MODEL,
    ACCESS_TARGET_VARIANT,
    ACCESS_INVOKED_VARIANT,
    ACCESS_INFERENCE_COMPONENT,
    ACCESS_REGION,
    ACCESS_IDENTITY,
    ACCESS_CALLER,   /* who the peer is by name, where the route knows callers */
    ACCESS_CLIENT,   /* the peer's address, "unix" for a Unix socket */
    ACCESS_METHOD,
    ACCESS_PATH,
    ACCESS_OUTCOME,
    ACCESS_AWS_ERROR,
    ACCESS_AWS_REQUEST_ID,
    ACCESS_OVERRIDDEN,      /* "target_variant,accept": written as a JSON array */
    ACCESS_DROPPED_HEADERS, /* likewise */
    ACCESS_TEXTS
};

/* Microseconds; -1: the phase was not reached (the field is left out). */
enum access_time {
    ACCESS_RECEIVE_US,     /* first byte of the head to last byte of the body */
    ACCESS_WAIT_US,        /* admission */
    ACCESS_CREDENTIALS_US, /* waiting for credentials */
    ACCESS_HASH_US,        /* SHA-256 of the body, summed over its pieces */
    ACCESS_SIGN_US,
    ACCESS_CONNECT_US,     /* name and TCP; 0 on a reused connection */
    ACCESS_TLS_US,
    ACCESS_SEND_US,        /* first to last byte of the request given to the kernel */
    ACCESS_FIRST_BYTE_US,  /* last byte sent to first byte of the answer */
    ACCESS_STREAM_US,      /* first byte of the answer to its last */
    ACCESS_GAP_MAX_US,     /* largest pause between two pieces of the answer */
    ACCESS_TOTAL_US,
    ACCESS_TIMES
};

struct access_record {
    struct wall_time time; /* when the request ended */
    int status;            /* sent to the caller; 0: none was */
    int model_status;      /* ModelError's OriginalStatusCode; -1: none */
    unsigned attempts;     /* requests sent upstream */
    bool reused;           /* the last attempt went over a pooled connection */
    uint64_t bytes_in;     /* of the request's body */
    uint64_t bytes_out;    /* of the answer's body, as passed on */
    uint64_t parts;        /* pieces of the answer as they were read */
    int64_t times[ACCESS_TIMES];
    struct {
        uint16_t at, len;
    } texts[ACCESS_TEXTS]; /* len 0: absent, the field is left out */
    uint16_t text_used;
    char text[ACCESS_TEXT_SIZE];
};

/* Empty: all times -1, model_status -1. */
void access_record_init(struct access_record *record);
void access_record_set(struct access_record *record, enum access_text field, struct span value);
struct span access_record_get(const struct access_record *record, enum access_text field);

/* Formats one line with its LF into out; never overflows a buffer of ACCESS_LINE_MAX. Pure. */
enum { ACCESS_LINE_MAX = 16384 };
struct buffer;
void access_record_format(const struct access_record *record, struct buffer *out);

struct access_log; /* the writer thread and its rings */

struct access_log_options {
    const char *file;  /* NULL: stdout */
    unsigned workers;  /* number of rings */
    unsigned ring_size; /* records a ring, a power of two; 0: 1024 */
};
/* NULL, errno set, where the file cannot be opened or the thread not be started. */
struct access_log *access_log_create(const struct access_log_options *options);
/* Writes what is left, joins the thread; takes NULL. */
void access_log_destroy(struct access_log *log);

/* Worker side, of ring `worker` only. The record to fill in (initialised), or NULL (and counted as dropped) when the
 * ring is full. */
struct access_record *access_log_begin(struct access_log *log, unsigned worker);
void access_log_commit(struct access_log *log, unsigned worker);
bool access_log_is_full(const struct access_log *log, unsigned worker);
/* Asks the writer to open the file again (after rotation); from any thread. */
void access_log_reopen(struct access_log *log);
uint64_t access_log_dropped(const struct access_log *log);

#endif

/* The access log: one JSON object per line for every request that ended. Callers pass values; it
 * must not depend on requests.
 *
 * Each worker fills in records of its own ring (access_log_begin, access_log_commit) and never
 * blocks; one thread formats and writes them. A full ring drops the record and counts it. While
 * requests arrive, the thread polls every 20 ms, so a record costs the worker no system call. The
 * worker wakes the thread only for the first record after an idle period, or if the ring is half
 * full.
 *
 * Names and order of the fields are a public promise (deploy/OPERATING.md; tests/tables makes its
 * table from the tables and the struct below). */
#ifndef SAGEGATE_OBSERVE_ACCESS_H
#define SAGEGATE_OBSERVE_ACCESS_H

#include "base/buffer.h"
#include "base/clock.h"

/* ---- access_record.c: the fixed record of one request, and its line. Pure. ---- */

/* X(NAME, key, bytes kept of a value, documentation), in the order of the line. Long texts, of
 * ACCESS_LONG_TEXT bytes, share what the others leave of ACCESS_TEXT_SIZE. */
#define ACCESS_TEXT_TABLE(X)                                                                       \
    X(REQUEST_ID, request_id, 36, "the gateway's id of the request, as in `X-Request-Id`")         \
    X(TRACE_ID, trace_id, 32, "W3C trace id: the caller's, or a new one")                          \
    X(INFERENCE_ID, inference_id, 64, "InferenceId as sent")                                       \
    X(ROUTE, route, 64, "name of the route; absent if none matched")                               \
    X(ENDPOINT, endpoint, 64, "name of the endpoint")                                              \
    X(OPERATION, operation, 16, "invoke, stream, async, openai, container or ping")                \
    X(TARGET_MODEL, target_model, ACCESS_LONG_TEXT, "TargetModel")                                 \
    X(TARGET_VARIANT, target_variant, 64, "TargetVariant as requested")                            \
    X(INVOKED_VARIANT, invoked_variant, 64, "production variant that responded")                   \
    X(INFERENCE_COMPONENT, inference_component, 64, "InferenceComponentName")                      \
    X(REGION, region, 32, "region for which the route signs")                                      \
    X(IDENTITY, identity, 64,                                                                      \
      "source of the credentials (`env`, `imds` ...), or a name in `identities`")                  \
    X(CALLER, caller, 64, "name of the caller; not in this version")                               \
    X(CLIENT, client, 64, "address of the caller; unix for a Unix socket")                         \
    X(METHOD, method, 32, "method of the request")                                                 \
    X(PATH, path, ACCESS_LONG_TEXT,                                                                \
      "pattern of the route; the path itself with `log_path: full`; never the query")              \
    X(OUTCOME, outcome, 32, "how the request ended: a token of [outcomes](#outcomes)")             \
    X(AWS_ERROR, aws_error, 64, "AWS error code of an error response")                             \
    X(AWS_REQUEST_ID, aws_request_id, 64, "SageMaker's request id, for AWS support")               \
    X(OVERRIDDEN, overridden, ACCESS_LONG_TEXT, "the caller's parameters that a `value` replaced") \
    X(DROPPED_HEADERS, dropped_headers, ACCESS_LONG_TEXT,                                          \
      "the caller's headers that were not passed on")

/* X(NAME, key, documentation). Microseconds; -1: the phase was not reached, and the field is
 * omitted. */
#define ACCESS_TIME_TABLE(X)                                                                       \
    X(RECEIVE_US, receive_us, "first byte of the head to last byte of the body")                   \
    X(WAIT_US, wait_us, "waiting for admission")                                                   \
    X(CREDENTIALS_US, credentials_us, "waiting for credentials")                                   \
    X(HASH_US, hash_us, "SHA-256 of the body; part of `receive_us`")                               \
    X(SIGN_US, sign_us, "signing")                                                                 \
    X(CONNECT_US, connect_us, "DNS and TCP; 0 on a reused connection")                             \
    X(TLS_US, tls_us, "TLS handshake; 0 on a reused connection")                                   \
    X(SEND_US, send_us, "first to last byte of the request passed to the kernel")                  \
    X(FIRST_BYTE_US, first_byte_us,                                                                \
      "last byte sent to first byte of the response: model and network")                           \
    X(STREAM_US, stream_us, "first to last byte of the response")                                  \
    X(TOTAL_US, total_us, "first byte in to last byte out")                                        \
    X(GAP_MAX_US, gap_max_us, "longest pause between two pieces of the response")

#define X(name, ...) ACCESS_##name,
enum access_text { ACCESS_TEXT_TABLE(X) ACCESS_TEXTS };
enum access_time { ACCESS_TIME_TABLE(X) ACCESS_TIMES };
#undef X

enum { ACCESS_LONG_TEXT = 512, ACCESS_TEXT_SIZE = 1792, ACCESS_LINE_MAX = 16384 };

struct access_record {
    struct wall_time time; /* when the request ended, UTC */
    int status;            /* status sent to the caller; 0: none */
    int model_status; /* status of the model's container, from a ModelError; omitted if none (-1) */
    unsigned attempts;  /* requests sent upstream */
    bool reused;        /* whether the last attempt used an existing connection */
    uint64_t bytes_in;  /* bytes of the request's body */
    uint64_t bytes_out; /* bytes of the response's body, as passed on */
    uint64_t parts;     /* reads of the response, or its event-stream parts; omitted if 0 */
    int64_t times[ACCESS_TIMES];
    struct {
        uint16_t at, len;
    } texts[ACCESS_TEXTS]; /* len 0: absent, omitted */
    uint16_t text_used, long_text_used;
    char text[ACCESS_TEXT_SIZE];
};

/* Empties the record: all times and model_status are -1. */
void access_record_init(struct access_record *record);

/* Copies value, cut to the field's size (a list after its last whole name). The caller's path and
 * headers, however long, leave room for the short texts, above all the outcome. Call it once per
 * field: a second call keeps at most the length of the first. */
void access_record_set(struct access_record *record, enum access_text field, struct span value);
struct span access_record_get(const struct access_record *record, enum access_text field);

/* Appends the line with its LF. Overflows out unless it has room for ACCESS_LINE_MAX more bytes; no
 * line is longer. */
void access_record_format(const struct access_record *record, struct buffer *out);

/* ---- access_log.c: the rings and the writer thread ----
 *
 * A NULL log is switched off: begin returns NULL, the other functions do nothing. */

struct access_log;

struct access_log_options {
    const char *file;   /* copied; NULL: stdout */
    unsigned workers;   /* number of rings, at least 1 */
    unsigned ring_size; /* records per ring, a power of two; 0: 1024 (2 MiB when all are used) */
};

/* Opens the log for appending and starts the thread. Creates the file with mode 0640 if needed.
 * Returns NULL and sets errno if the file cannot be opened or the thread cannot be started. */
MUST_USE struct access_log *access_log_create(const struct access_log_options *options);

/* Writes the remaining records, for at most 2 s (those not written by then count as dropped), and
 * joins the thread. No worker may be using the log. */
void access_log_destroy(struct access_log *log);

/* The following three are for ring `worker`, on that worker's thread. access_log_begin returns an
 * initialized record to fill in, or NULL, counted as dropped, if the ring is full. It returns a
 * record again that was not committed. */
struct access_record *access_log_begin(struct access_log *log, unsigned worker);
void access_log_commit(struct access_log *log, unsigned worker);
bool access_log_is_full(const struct access_log *log, unsigned worker);

/* Makes the writer reopen the file (after rotation). If that fails, logs an error and keeps the old
 * file. From any thread. */
void access_log_reopen(struct access_log *log);

/* Returns how many records were lost since the start to full rings and failed writes. From any
 * thread. */
uint64_t access_log_dropped(const struct access_log *log);

#endif

/* The access log: one JSON object a line for every request that ended. Fed by values; it knows no
 * request.
 *
 * A worker fills in a record of its own ring (access_log_begin, access_log_commit) and never blocks;
 * one thread formats and writes. A full ring drops the record and counts it. While requests come the
 * thread looks by itself every 20 ms, so a record costs the worker no system call; only the first one
 * after a quiet time, or a ring that is half full, wakes it.
 *
 * Names and order of the fields are a public promise (deploy/OPERATING.md, whose table tests/tables
 * makes from the tables and the struct below). */
#ifndef SAGEGATE_OBSERVE_ACCESS_H
#define SAGEGATE_OBSERVE_ACCESS_H

#include "base/buffer.h"
#include "base/clock.h"

/* ---- access_record.c: the fixed record of one request, and its line. Pure. ---- */

/* X(NAME, key, bytes kept of a value, documentation), in the order of the line. Long texts, of
 * ACCESS_LONG_TEXT bytes, share what the others leave of ACCESS_TEXT_SIZE. */
#define ACCESS_TEXT_TABLE(X)                                                                       \
    X(REQUEST_ID, request_id, 36, "the gateway's id, as in `X-Request-Id`")                        \
    X(TRACE_ID, trace_id, 32, "W3C trace: the caller's, or new")                                   \
    X(INFERENCE_ID, inference_id, 64, "InferenceId as sent")                                       \
    X(ROUTE, route, 64, "name of the route; absent: none matched")                                 \
    X(ENDPOINT, endpoint, 64, "name of the endpoint")                                              \
    X(OPERATION, operation, 16, "invoke, stream, async, openai, container or ping")                \
    X(TARGET_MODEL, target_model, ACCESS_LONG_TEXT, "TargetModel")                                 \
    X(TARGET_VARIANT, target_variant, 64, "TargetVariant as requested")                            \
    X(INVOKED_VARIANT, invoked_variant, 64, "production variant that responded")                   \
    X(INFERENCE_COMPONENT, inference_component, 64, "InferenceComponentName")                      \
    X(REGION, region, 32, "region that the route signs for")                                       \
    X(IDENTITY, identity, 64,                                                                      \
      "source of the credentials (`env`, `imds` ...), or a name in `identities`")                  \
    X(CALLER, caller, 64, "name of the caller; not in this version")                               \
    X(CLIENT, client, 64, "address of the caller; unix for a Unix socket")                         \
    X(METHOD, method, 32, "method of the request")                                                 \
    X(PATH, path, ACCESS_LONG_TEXT,                                                                \
      "pattern of the route; the path itself with `log_path: full`; never the query")              \
    X(OUTCOME, outcome, 32, "a token of [outcomes](#outcomes)")                                    \
    X(AWS_ERROR, aws_error, 64, "AWS error code of an error response")                             \
    X(AWS_REQUEST_ID, aws_request_id, 64, "SageMaker's request id, for AWS support")               \
    X(OVERRIDDEN, overridden, ACCESS_LONG_TEXT, "the caller's parameters that a `value` replaced") \
    X(DROPPED_HEADERS, dropped_headers, ACCESS_LONG_TEXT, "the caller's headers that were not sent")

/* X(NAME, key, documentation). Microseconds; -1: the phase was not reached, the field is omitted. */
#define ACCESS_TIME_TABLE(X)                                                                       \
    X(RECEIVE_US, receive_us, "first byte of the head to last byte of the body")                   \
    X(WAIT_US, wait_us, "waiting for admission")                                                   \
    X(CREDENTIALS_US, credentials_us, "waiting for credentials")                                   \
    X(HASH_US, hash_us, "SHA-256 of the body; part of `receive_us`")                               \
    X(SIGN_US, sign_us, "signing")                                                                 \
    X(CONNECT_US, connect_us, "DNS and TCP; 0 on a reused connection")                             \
    X(TLS_US, tls_us, "TLS handshake; 0 on a reused connection")                                   \
    X(SEND_US, send_us, "first to last byte of the request handed to the kernel")                  \
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
    uint64_t parts;     /* pieces in which the response was read; omitted if 0 */
    int64_t times[ACCESS_TIMES];
    struct {
        uint16_t at, len;
    } texts[ACCESS_TEXTS]; /* len 0: absent, omitted */
    uint16_t text_used, long_text_used;
    char text[ACCESS_TEXT_SIZE];
};

/* Empties the record: all times -1, model_status -1. */
void access_record_init(struct access_record *record);

/* Copies value, cut to the field's size (a list after its last whole name). However long the caller's
 * path and headers are, the short texts have room, above all the outcome. Call it once a field: of a
 * second, longer text only the first one's length is kept. */
void access_record_set(struct access_record *record, enum access_text field, struct span value);
struct span access_record_get(const struct access_record *record, enum access_text field);

/* Appends the line with its LF. Unless out has room for ACCESS_LINE_MAX more bytes, which no line
 * exceeds, it overflows. */
void access_record_format(const struct access_record *record, struct buffer *out);

/* ---- access_log.c: the rings and the writer thread. A NULL log is switched off: begin returns NULL,
 * all else does nothing. ---- */

struct access_log;

struct access_log_options {
    const char *file;   /* copied; NULL: stdout */
    unsigned workers;   /* number of rings, at least 1 */
    unsigned ring_size; /* records a ring, a power of two; 0: 1024 (2 MiB once all were used) */
};

/* Returns NULL and sets errno if the file cannot be opened or the thread not be started. Creates the
 * file with mode 0640, and appends to it. */
MUST_USE struct access_log *access_log_create(const struct access_log_options *options);

/* Writes what is left, for at most 2 s (what the reader has not taken by then counts as dropped), and
 * joins the thread. No worker may use the log any more. */
void access_log_destroy(struct access_log *log);

/* All three for ring `worker`, on that worker's thread. begin returns an initialised record to fill
 * in, or NULL, counted as dropped, if the ring is full; a record that was not committed is returned
 * again. */
struct access_record *access_log_begin(struct access_log *log, unsigned worker);
void access_log_commit(struct access_log *log, unsigned worker);
bool access_log_is_full(const struct access_log *log, unsigned worker);

/* Asks the writer to open the file again (after rotation). If that fails the old file stays in use
 * and a diagnostic says so. From any thread. */
void access_log_reopen(struct access_log *log);

/* Records lost since the start to full rings and failed writes. From any thread. */
uint64_t access_log_dropped(const struct access_log *log);

#endif

/* One line of the access log: a fixed record that the request path fills in, and its JSON.
 *
 * Pure: no I/O, no clock, no request. The names and the order of the fields are a public promise
 * (README, "The access line"). */
#ifndef SAGEGATE_OBSERVE_ACCESS_RECORD_H
#define SAGEGATE_OBSERVE_ACCESS_RECORD_H

#include "base/buffer.h"
#include "base/clock.h"
#include "base/span.h"

/* X(NAME, key, bytes kept of a value). The long ones share what the short ones leave of
 * ACCESS_TEXT_SIZE. */
#define ACCESS_SHORT_TEXTS(X)                                                                      \
    X(REQUEST_ID, request_id, 36)                                                                  \
    X(TRACE_ID, trace_id, 32)                                                                      \
    X(INFERENCE_ID, inference_id, 64)                                                              \
    X(ROUTE, route, 64)                                                                            \
    X(ENDPOINT, endpoint, 64)                                                                      \
    X(OPERATION, operation, 16)                                                                    \
    X(TARGET_VARIANT, target_variant, 64)                                                          \
    X(INVOKED_VARIANT, invoked_variant, 64)                                                        \
    X(INFERENCE_COMPONENT, inference_component, 64)                                                \
    X(REGION, region, 32)                                                                          \
    X(IDENTITY, identity, 64)                                                                      \
    X(CALLER, caller, 64) /* who the peer is by name, where the route knows callers */             \
    X(CLIENT, client, 64) /* the peer's address, "unix" for a Unix socket */                       \
    X(METHOD, method, 32)                                                                          \
    X(OUTCOME, outcome, 32)                                                                        \
    X(AWS_ERROR, aws_error, 64)                                                                    \
    X(AWS_REQUEST_ID, aws_request_id, 64)
#define ACCESS_LONG_TEXTS(X)                                                                       \
    X(TARGET_MODEL, target_model, 512)                                                             \
    X(PATH, path, 512)                                                                             \
    X(OVERRIDDEN, overridden, 512) /* "target_variant,accept": written as a JSON array */          \
    X(DROPPED_HEADERS, dropped_headers, 512) /* likewise */

enum access_text {
#define X(name, key, max) ACCESS_##name,
    ACCESS_SHORT_TEXTS(X) ACCESS_LONG_TEXTS(X)
#undef X
        ACCESS_TEXTS
};

/* X(NAME, key). Microseconds; -1: the phase was not reached, and the field is left out. */
#define ACCESS_TIME_TABLE(X)                                                                       \
    X(RECEIVE_US, receive_us)         /* first byte of the head to last byte of the body */        \
    X(WAIT_US, wait_us)               /* admission */                                              \
    X(CREDENTIALS_US, credentials_us) /* waiting for credentials */                                \
    X(HASH_US, hash_us)               /* SHA-256 of the body, summed over its pieces */            \
    X(SIGN_US, sign_us)                                                                            \
    X(CONNECT_US, connect_us) /* name and TCP; 0 on a reused connection */                         \
    X(TLS_US, tls_us)                                                                              \
    X(SEND_US, send_us)             /* first to last byte of the request given to the kernel */    \
    X(FIRST_BYTE_US, first_byte_us) /* last byte sent to first byte of the answer */               \
    X(STREAM_US, stream_us)         /* first byte of the answer to its last */                     \
    X(TOTAL_US, total_us)                                                                          \
    X(GAP_MAX_US, gap_max_us) /* largest pause between two pieces of the answer */

enum access_time {
#define X(name, key) ACCESS_##name,
    ACCESS_TIME_TABLE(X)
#undef X
        ACCESS_TIMES
};

enum { ACCESS_TEXT_SIZE = 1792, ACCESS_LINE_MAX = 16384 };

struct access_record {
    struct wall_time time; /* when the request ended */
    int status;            /* sent to the caller; 0: none was */
    int model_status;      /* ModelError's OriginalStatusCode; -1: none, left out */
    unsigned attempts;     /* requests sent upstream */
    bool reused;           /* the last attempt went over a pooled connection */
    uint64_t bytes_in;     /* of the request's body */
    uint64_t bytes_out;    /* of the answer's body, as passed on */
    uint64_t parts;        /* pieces of the answer as they were read; 0 is left out */
    int64_t times[ACCESS_TIMES];
    struct {
        uint16_t at, len;
    } texts[ACCESS_TEXTS]; /* len 0: absent, left out */
    uint16_t text_used;
    char text[ACCESS_TEXT_SIZE];
};

/* Empty: all times -1, model_status -1. */
void access_record_init(struct access_record *record);

/* Copies value, cut to the field's size (a list after its last whole name). However long the
 * caller's path and headers are, room is kept for the short texts, the outcome above all. Meant to
 * be called once a field: of a second, longer text only the first one's length is kept. */
void access_record_set(struct access_record *record, enum access_text field, struct span value);
struct span access_record_get(const struct access_record *record, enum access_text field);

/* Appends the line with its LF. out must have room for ACCESS_LINE_MAX more bytes (no record's line
 * is longer), else it overflows. */
void access_record_format(const struct access_record *record, struct buffer *out);

#endif

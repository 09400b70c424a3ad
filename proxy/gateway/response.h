/* A response: what the caller gets, from an upstream's response or after a failure. Decides what is
 * passed on at once, what is held first and what is rewritten, and appends it to the writer of the
 * downstream connection. Must not depend on connections or upstreams.
 *
 * Held are: an error response, until it can be judged; the 202 of InvokeEndpointAsync, whose
 * headers are repeated in the body; a decoded event stream, until its first message; and, for an
 * HTTP/1.0 caller, which could not detect truncation, a response of unknown length, until it is
 * complete. */
#ifndef SAGEGATE_GATEWAY_RESPONSE_H
#define SAGEGATE_GATEWAY_RESPONSE_H

#include "gateway/judge.h"
#include "gateway/plan.h"
#include "gateway/stream.h"
#include "gateway/timing.h"
#include "gateway/writer.h"

enum {
    RESPONSE_COLLECT_MAX = 1024 * 1024, /* bytes of a response that is held until it is complete */
    RESPONSE_HEADERS_MAX = 16,          /* headers that are passed on */
};

/* The kept part of an upstream's head; in the arena. */
struct response_head {
    int status;
    enum http1_framing framing;
    uint64_t content_length;
    struct http1_header headers[RESPONSE_HEADERS_MAX]; /* to be passed on */
    size_t header_count;
};

enum response_state {
    RESPONSE_NONE,    /* no head of an upstream's response */
    RESPONSE_HELD,    /* nothing has been appended yet */
    RESPONSE_PASSING, /* the head is appended; the body is passed on as it arrives */
    RESPONSE_WHOLE,   /* everything is appended */
};

struct response {
    struct writer *writer;
    const struct plan *plan;
    const struct timing *timing;
    struct admission *admission;
    struct arena *arena;
    bool keep_alive; /* the connection may stay open after it */
    int status;      /* sent to the caller; 0: none */
    enum response_state state;
    struct response_head head;
    struct buffer held;
    bool is_reserved; /* RESPONSE_COLLECT_MAX bytes of memory are taken */
    bool has_ended;   /* the upstream's response is complete */
    struct stream stream;
    bool is_judged; /* it is an error response and verdict is valid */
    struct judge_verdict verdict;
};

/* Opens a response. All arguments must outlive it. */
void response_open(struct response *response, struct writer *writer, const struct plan *plan,
                   const struct timing *timing, struct admission *admission, struct arena *arena);
void response_dispose(struct response *response);

/* Closes the connection after the response unless all conditions hold that are passed before its
 * head is appended. */
static inline void response_keep_alive_if(struct response *response, bool condition)
{
    response->keep_alive &= condition;
}

/* ---- an upstream's response ---- */

void response_take_head(struct response *response, const struct http1_response *head);
void response_take_data(struct response *response, struct span data);

/* What the owner must do next. */
enum response_next {
    RESPONSE_GOES_ON, /* wait for more; flush what has been appended */
    RESPONSE_ENDS,  /* everything is appended; the rest of the upstream's response is not needed */
    RESPONSE_JUDGE, /* call response_judge, then response_pass_error or start another attempt */
    RESPONSE_FAILS, /* call response_failure for the cause */
};
/* Call after the data of one read. */
MUST_USE enum response_next response_check(struct response *response);
/* Call when the upstream's response has ended. */
MUST_USE enum response_next response_end(struct response *response);

/* Judges the error response by its held part, all of it or its first JUDGE_BODY_MAX bytes. */
const struct judge_verdict *response_judge(struct response *response);
/* Appends the judged response. Returns RESPONSE_ENDS or RESPONSE_GOES_ON. */
MUST_USE enum response_next response_pass_error(struct response *response);
/* Discards the response before another attempt. None of it may have been appended. */
void response_drop(struct response *response);

/* An error that replaces the upstream's response. */
struct response_error {
    enum outcome outcome;
    int status;          /* 0: there is no caller left to respond to */
    int retry_after_s;   /* 0: none */
    struct span message; /* for the caller */
    bool is_model_text;  /* message is the whole response body */
    const char *why;     /* for the log; NULL: log nothing */
};
/* Returns the error for an outcome by its table. message: SPAN_NONE for the outcome's text. */
struct response_error response_error_of(enum outcome outcome, struct span message);
/* Likewise, with why appended to the message, in arena. why: NULL if unknown. */
struct response_error response_error_because(enum outcome outcome, const char *why,
                                             struct arena *arena);
/* Returns the error after RESPONSE_FAILS. */
struct response_error response_failure(const struct response *response);

/* Returns the value of an upstream's header that is passed on, or SPAN_NONE. */
struct span response_header(const struct response *response, struct span name);

/* ---- the gateway's own ---- */

/* Ends the response with an error. Returns true if a complete error response is appended, in the
 * form that AWS SDKs read: X-Sagegate-Outcome, x-amzn-ErrorType and {"Code","Message","RequestId"};
 * it replaces what was appended before. Returns false if part of that has been sent: then the
 * connection must close. In that case appends an error event first if the route asks for one and
 * the response is text/event-stream. */
MUST_USE bool response_fail(struct response *response, const struct response_error *error);
/* Appends an empty 200. */
void response_write_ready(struct response *response);

#endif

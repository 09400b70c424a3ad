/* A response: what the caller gets of an upstream's response, or of a failure. Decides what is
 * passed on at once, held or rewritten, and appends it to the writer of the caller's connection.
 * Does no I/O.
 *
 * Held are: an error response, until it can be judged; the 202 of InvokeEndpointAsync, whose
 * headers are repeated in the body; a decoded event stream, until its first message; and, for an
 * HTTP/1.0 caller, which cannot detect a cut, a response of unknown length, until it is whole. */
#ifndef SAGEGATE_GATEWAY_RESPONSE_H
#define SAGEGATE_GATEWAY_RESPONSE_H

#include "gateway/judge.h"
#include "gateway/plan.h"
#include "gateway/stream.h"
#include "gateway/timing.h"
#include "gateway/writer.h"

enum {
    RESPONSE_COLLECT_MAX = 1024 * 1024, /* bytes of a response that is held until it is whole */
    RESPONSE_HEADERS_MAX = 16,          /* that are passed on */
};

/* What is kept of an upstream's head; in the arena. */
struct response_head {
    int status;
    enum http1_framing framing;
    uint64_t content_length;
    struct http1_header headers[RESPONSE_HEADERS_MAX]; /* those to be passed on */
    size_t header_count;
};

enum response_state {
    RESPONSE_NONE,    /* no head of an upstream's response */
    RESPONSE_HELD,    /* nothing is appended yet */
    RESPONSE_PASSING, /* the head is appended, the body follows as it comes */
    RESPONSE_WHOLE,   /* all is appended */
};

struct response {
    struct writer *writer;
    const struct plan *plan;
    const struct timing *timing;
    struct admission *admission;
    struct arena *arena;
    bool keep_alive; /* the connection stays open after it */
    int status;      /* sent to the caller; 0: none was */
    enum response_state state;
    struct response_head head;
    struct buffer held;
    bool is_reserved; /* RESPONSE_COLLECT_MAX bytes of memory */
    bool has_ended;   /* the upstream's response is whole */
    struct stream stream;
    bool is_judged; /* it is an error response, and verdict holds */
    struct judge_verdict verdict;
};

/* All arguments outlive the response. */
void response_open(struct response *response, struct writer *writer, const struct plan *plan,
                   const struct timing *timing, struct admission *admission, struct arena *arena);
void response_dispose(struct response *response);

/* Closes the connection after the response unless the condition holds. Call before the head is
 * appended, any number of times. */
static inline void response_keep_alive_if(struct response *response, bool condition)
{
    response->keep_alive &= condition;
}

/* ---- an upstream's response ---- */

void response_take_head(struct response *response, const struct http1_response *head);
void response_take_data(struct response *response, struct span data);

/* What its owner has to do next. */
enum response_next {
    RESPONSE_GOES_ON, /* flush what is appended, and wait for more */
    RESPONSE_ENDS,    /* all is appended; cancel the attempt if it has not ended */
    RESPONSE_JUDGE,   /* response_judge, then response_pass_error or another attempt */
    RESPONSE_FAILS,   /* response_failure tells why */
};
/* Call after the data of one read. */
MUST_USE enum response_next response_check(struct response *response);
/* Call when the upstream's response has ended. */
MUST_USE enum response_next response_end(struct response *response);

/* Judges the error response from what is held of it, all or its first JUDGE_BODY_MAX bytes. */
const struct judge_verdict *response_judge(struct response *response);
/* Appends it as judged. Returns RESPONSE_ENDS or RESPONSE_GOES_ON. */
MUST_USE enum response_next response_pass_error(struct response *response);
/* Drops what is held, for another attempt. Nothing may have been appended. */
void response_drop(struct response *response);

/* How a request ends without the upstream's response. */
struct response_error {
    enum outcome outcome;
    int status;          /* 0: the caller gets no response */
    int retry_after_s;   /* 0: none */
    struct span message; /* for the caller */
    bool is_model_text;  /* message is the whole body */
    const char *why;     /* for the log; NULL: nothing to log */
};
/* With status and Retry-After from the table of outcomes. message: SPAN_NONE for the table's text. */
struct response_error response_error_of(enum outcome outcome, struct span message);
/* The same; the message, in arena, ends in why, which may be NULL. */
struct response_error response_error_because(enum outcome outcome, const char *why,
                                             struct arena *arena);
/* After RESPONSE_FAILS. */
struct response_error response_failure(const struct response *response);

/* The value of one of the upstream's headers that are passed on, or SPAN_NONE. */
struct span response_header(const struct response *response, struct span name);

/* ---- the gateway's own ---- */

/* Replaces what is appended by an error response in the shape that AWS SDKs read:
 * X-Sagegate-Outcome, x-amzn-ErrorType and {"Code","Message","RequestId"}. Returns false if part of
 * the response has been sent: the connection must close. Then a text/event-stream gets a last event
 * with the error, if the route asks for that. */
MUST_USE bool response_fail(struct response *response, const struct response_error *error);
/* Appends an empty 200. */
void response_write_ready(struct response *response);

#endif

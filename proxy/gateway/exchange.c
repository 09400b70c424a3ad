/* The request path: one exchange from its head to its access line, told in the order things happen. */
#include "gateway/exchange.h"

#include "gateway/account.h"
#include "gateway/answer.h"
#include "gateway/authorize.h"
#include "observe/log.h"

#include <stdlib.h>

enum { SPARE_MAX = 64, ARENA_BLOCK_SIZE = 16 * 1024 };

static void admit(struct exchange *ex);
static void call_upstream(struct exchange *ex, bool fresh_only);
static void on_client_ready(struct client *client);
static void on_client_head(struct client *client, const struct http1_response *head);
static void on_client_data(struct client *client, struct span data);
static void on_client_flush(struct client *client);
static void on_client_end(struct client *client);
static void on_client_failed(struct client *client, enum client_failure failure, const char *why);
static void judge(struct exchange *ex, bool whole);
static void flush(struct exchange *ex);
static void on_timer(struct timer *timer);
static void exchange_fail(struct exchange *ex, enum outcome outcome, struct span message);
static void exchange_end(struct exchange *ex, enum peer_ending ending);

static const struct client_callbacks client_callbacks = {
    on_client_ready, on_client_head, on_client_data,
    on_client_flush, on_client_end,  on_client_failed,
};

static struct exchange *of_client(struct client *client)
{
    return H2O_STRUCT_FROM_MEMBER(struct exchange, client, client);
}

/* Wakes the exchange at `at` at the latest; on_timer looks what is really due. */
static void arm_by(struct exchange *ex, struct mono_time at)
{
    if (!timer_is_armed(&ex->timer) || at.us < ex->timer.at.us)
        loop_set_timer(ex->worker->loop, &ex->timer, at);
}

static struct mono_time now_of(const struct exchange *ex)
{
    return ex->worker->loop->now;
}

/* ---- step 2: open ---- */

static struct exchange *take_spare(struct worker *worker)
{
    struct exchange *ex = worker->spare_exchanges;
    if (ex != NULL) {
        worker->spare_exchanges = ex->next_spare;
        --worker->spare_count;
        return ex;
    }
    ex = calloc(1, sizeof(*ex));
    CHECK(ex != NULL);
    arena_init(&ex->arena, ARENA_BLOCK_SIZE);
    body_create(&ex->body);
    buffer_init(&ex->held, EXCHANGE_COLLECT_MAX);
    return ex;
}

struct exchange *exchange_open(struct peer *peer, struct mono_time started)
{
    struct worker *worker = peer->worker;
    struct exchange *ex = take_spare(worker);
    struct arena arena = ex->arena;
    struct body body = ex->body;
    struct buffer held = ex->held;
    body.size = 0;
    body.hash_us = 0;
    *ex = (struct exchange){.worker = worker,
                            .peer = peer,
                            .arena = arena,
                            .body = body,
                            .held = held,
                            .opened = started,
                            .outcome = OUTCOME_OK};
    ex->timer.fire = on_timer;
    peer->exchange = ex;
    return ex;
}

/* ---- steps 2 to 6: parse, route, fill in, admit ---- */

static enum outcome outcome_of_route(enum route_result result)
{
    switch (result) {
    case ROUTE_NONE:
        return OUTCOME_NO_ROUTE;
    case ROUTE_METHOD_NOT_ALLOWED:
        return OUTCOME_METHOD_NOT_ALLOWED;
    case ROUTE_BAD_PATH:
        return OUTCOME_BAD_REQUEST;
    case ROUTE_FOUND:
        break;
    }
    return OUTCOME_OK;
}

void exchange_take_head(struct exchange *ex, struct span head)
{
    struct worker *worker = ex->worker;
    struct span copy =
        arena_copy(&ex->arena, head); /* the connection's buffer goes on being used */
    enum http1_fault fault = http1_parse_request(copy, &ex->request);
    ids_make(&ex->ids, worker_take_random(worker), clock_wall(), &ex->request.headers);
    if (fault != HTTP1_OK) {
        exchange_fail(ex, OUTCOME_BAD_REQUEST, http1_fault_text(fault));
        return;
    }
    ex->request_parsed = true;
    ex->keep_alive = ex->request.keep_alive && !worker->draining;

    enum route_result found =
        route_find(worker->gateway->routes, ex->request.method, ex->request.host, ex->request.path,
                   &ex->arena, &ex->match);
    if (found != ROUTE_FOUND) {
        ex->match.route = NULL;
        exchange_fail(ex, outcome_of_route(found), SPAN_NONE);
        return;
    }
    fill_request(ex->match.route, &ex->match, &ex->request, &ex->ids, &ex->arena, &ex->fill);
    if (ex->fill.outcome != OUTCOME_OK) {
        exchange_fail(ex, ex->fill.outcome, ex->fill.message);
        return;
    }
    if (ex->request.expect_other) {
        exchange_fail(ex, OUTCOME_BAD_REQUEST,
                      SPAN("the only expectation understood is 100-continue"));
        return;
    }
    admit(ex);
}

static void fail_body(struct exchange *ex, enum body_result result)
{
    if (result == BODY_MEMORY_FULL) {
        exchange_fail(ex, OUTCOME_MEMORY_FULL, SPAN_NONE);
        return;
    }
    struct span message = arena_printf(
        &ex->arena, "the body is larger than the %llu bytes that route %.*s takes",
        (unsigned long long)ex->match.route->body_max, SPAN_ARG(ex->match.route->name));
    exchange_fail(ex, OUTCOME_BODY_TOO_LARGE, message);
}

static void admit(struct exchange *ex)
{
    const struct config_route *route = ex->match.route;
    struct gateway *gateway = ex->worker->gateway;
    if (!admit_exchange(&gateway->admit)) {
        exchange_fail(ex, OUTCOME_BUSY, SPAN_NONE);
        return;
    }
    ex->admitted = true;
    ex->admitted_at = now_of(ex);
    uint64_t length = ex->request.framing == HTTP1_CHUNKED   ? UINT64_MAX
                      : ex->request.framing == HTTP1_NO_BODY ? 0
                                                             : ex->request.content_length;
    enum body_result result =
        body_begin(&ex->body, &gateway->admit, &ex->arena, length, route->body_max);
    if (result != BODY_OK) {
        fail_body(ex, result);
        return;
    }
    ex->state = EXCHANGE_BODY;
    arm_by(ex, clock_after_ms(ex->opened, route->timeouts.total_ms));
}

void exchange_refuse(struct exchange *ex, enum outcome outcome, struct span message)
{
    if (!ex->request_parsed)
        ids_make(&ex->ids, worker_take_random(ex->worker), clock_wall(), &ex->request.headers);
    exchange_fail(ex, outcome, arena_copy(&ex->arena, message));
}

/* ---- step 7: the body ---- */

void exchange_take_body(struct exchange *ex, struct span data)
{
    if (ex->state != EXCHANGE_BODY)
        return;
    enum body_result result = body_append(&ex->body, data);
    if (result != BODY_OK)
        fail_body(ex, result);
}

void exchange_end_body(struct exchange *ex)
{
    ex->body_ended = true;
    if (ex->state != EXCHANGE_BODY)
        return;
    body_end(&ex->body);
    ex->body_ended_at = loop_read_clock(ex->worker->loop);
    call_upstream(ex, false);
}

/* ---- step 8: connect and sign late ---- */

static void call_upstream(struct exchange *ex, bool fresh_only)
{
    const struct config_route *route = ex->match.route;
    struct pool *pool = worker_pool(ex->worker, route->upstream);
    ex->state = EXCHANGE_CALLING;
    if (client_start(&ex->client, pool, &client_callbacks, fresh_only)) {
        on_client_ready(&ex->client);
        return;
    }
    arm_by(ex, clock_after_ms(now_of(ex), route->timeouts.connect_ms));
}

static void on_client_ready(struct client *client)
{
    struct exchange *ex = of_client(client);
    struct loop *loop = ex->worker->loop;
    const struct config_timeouts *timeouts = &ex->match.route->timeouts;
    struct wall_time wall = clock_wall();

    struct mono_time before = loop_read_clock(loop);
    const struct credentials *credentials = keeper_view_get(&ex->worker->credentials, wall);
    struct mono_time got = loop_read_clock(loop);
    ex->credentials_us = clock_us_between(before, got);
    if (credentials == NULL) {
        client_cancel(client);
        exchange_fail(ex, OUTCOME_NO_CREDENTIALS, SPAN_NONE);
        return;
    }
    ex->identity = credentials->source;
    ex->upstream_head =
        authorize_head(&(struct authorize_request){.fill = &ex->fill,
                                                   .upstream = ex->match.route->upstream,
                                                   .body_sha256 = ex->body.digest,
                                                   .body_size = ex->body.size,
                                                   .credentials = credentials,
                                                   .now = wall,
                                                   .keys = ex->worker->keys},
                       &ex->arena);
    ex->sign_us += clock_us_between(got, loop_read_clock(loop));
    ++ex->attempts;
    int64_t soonest =
        timeouts->idle_ms < timeouts->first_byte_ms ? timeouts->idle_ms : timeouts->first_byte_ms;
    arm_by(ex, clock_after_ms(now_of(ex), soonest));
    client_send(client, ex->upstream_head, ex->body.first, false);
}

/* ---- step 9: judge the answer before anything is passed on ---- */

/* A caller that could not see the answer cut (HTTP/1.0, unknown length) gets it only when it is whole. */
static bool must_collect(const struct exchange *ex)
{
    return ex->request.minor_version == 0 &&
           (ex->answer.framing == HTTP1_CHUNKED || ex->answer.framing == HTTP1_UNTIL_CLOSE);
}

static void begin_passing(struct exchange *ex)
{
    const struct exchange_answer *answer = &ex->answer;
    bool known = answer->framing == HTTP1_LENGTH || answer->framing == HTTP1_NO_BODY;
    answer_append_passed_head(ex, known ? answer->framing : HTTP1_CHUNKED, answer->content_length);
    ex->reply_progress = now_of(ex);
    ex->state = EXCHANGE_STREAMING;
}

static void on_client_head(struct client *client, const struct http1_response *head)
{
    struct exchange *ex = of_client(client);
    answer_keep_head(ex, head);
    if (client->sent.us != 0)
        body_release(&ex->body); /* else an early answer: the rest may still be on its way out */
    arm_by(ex, clock_after_ms(now_of(ex), ex->match.route->timeouts.idle_ms));
    if (head->status >= 400 || must_collect(ex)) {
        ex->state = EXCHANGE_HOLDING;
        return;
    }
    begin_passing(ex);
}

static void on_client_data(struct client *client, struct span data)
{
    struct exchange *ex = of_client(client);
    if (ex->state == EXCHANGE_HOLDING)
        buffer_append(&ex->held, data);
    if (ex->state == EXCHANGE_STREAMING)
        reply_append_body(&ex->peer->reply, data);
}

static void on_client_flush(struct client *client)
{
    struct exchange *ex = of_client(client);
    if (ex->state == EXCHANGE_STREAMING) {
        flush(ex);
        return;
    }
    if (ex->held.overflowed) {
        client_cancel(client);
        exchange_fail(
            ex, OUTCOME_BAD_RESPONSE,
            SPAN("an answer of unknown length grew over 1 MiB for a caller that speaks HTTP/1.0"));
        return;
    }
    if (ex->answer.status >= 400 && ex->held.len >= JUDGE_BODY_MAX)
        judge(ex, false);
}

/* A whole answer that was collected goes out with its length. */
static void pass_collected(struct exchange *ex)
{
    answer_append_passed_head(ex, HTTP1_LENGTH, ex->held.len);
    reply_append_body(&ex->peer->reply, buffer_span(&ex->held));
    reply_end(&ex->peer->reply);
    ex->state = EXCHANGE_ANSWERED;
}

/* An error answer: held whole, or its first 64 KiB. */
static void judge(struct exchange *ex, bool whole)
{
    struct span body = buffer_span(&ex->held);
    if (body.len > JUDGE_BODY_MAX)
        body.len = JUDGE_BODY_MAX;
    struct judge_answer answer = {ex->answer.status, ex->answer.error_type, body};
    judge_error(&answer, ex->match.route->errors, &ex->arena, &ex->verdict);
    ex->judged = true;
    ex->outcome = ex->verdict.outcome;
    ex->fault = ex->verdict.fault;

    const struct judge_verdict *verdict = &ex->verdict;
    if (!verdict->pass) {
        client_cancel(&ex->client); /* no-op when the answer is whole */
        answer_append_error(ex, verdict->status, verdict->message, verdict->retry_after_s,
                            verdict->is_model_text);
        ex->state = EXCHANGE_ANSWERED;
    } else if (whole) {
        pass_collected(ex);
    } else {
        begin_passing(ex);
        reply_append_body(&ex->peer->reply, buffer_span(&ex->held));
    }
    buffer_clear(&ex->held);
    ex->reply_progress = now_of(ex);
    flush(ex);
}

/* ---- step 10: stream back ---- */

/* The one rule of back-pressure: the upstream waits while the caller has REPLY_HIGH_WATERMARK bytes still to take. */
static void balance(struct exchange *ex)
{
    size_t held = reply_held(&ex->peer->reply);
    if (held >= REPLY_HIGH_WATERMARK)
        client_pause(&ex->client);
    if (held <= REPLY_LOW_WATERMARK)
        client_resume(&ex->client);
}

static void flush(struct exchange *ex)
{
    struct reply *reply = &ex->peer->reply;
    size_t before = reply_held(reply);
    if (!reply_flush(reply, &ex->peer->conn)) {
        exchange_cancel(ex, OUTCOME_CLIENT_GONE);
        return;
    }
    if (reply_held(reply) != before)
        ex->reply_progress = now_of(ex);
    if (ex->state == EXCHANGE_STREAMING)
        balance(ex);
    if (ex->state == EXCHANGE_ANSWERED && reply_held(reply) == 0 &&
        connection_is_flushed(&ex->peer->conn))
        exchange_end(ex, ex->keep_alive && ex->body_ended ? PEER_KEEP : PEER_CLOSE);
}

void exchange_continue(struct exchange *ex)
{
    flush(ex);
}

static void on_client_end(struct client *client)
{
    struct exchange *ex = of_client(client);
    if (ex->state == EXCHANGE_HOLDING && ex->held.overflowed) {
        on_client_flush(client);
        return;
    }
    if (ex->state == EXCHANGE_HOLDING && ex->answer.status >= 400) {
        judge(ex, true);
        return;
    }
    if (ex->state == EXCHANGE_HOLDING) {
        pass_collected(ex);
    } else {
        reply_end(&ex->peer->reply);
        ex->state = EXCHANGE_ANSWERED;
    }
    flush(ex);
}

/* ---- failures ---- */

static enum outcome outcome_of_failure(enum client_failure failure)
{
    static const enum outcome outcomes[] = {
        [CLIENT_DNS_FAILED] = OUTCOME_DNS_FAILED,
        [CLIENT_CONNECT_FAILED] = OUTCOME_CONNECT_FAILED,
        [CLIENT_TLS_FAILED] = OUTCOME_TLS_FAILED,
        [CLIENT_STALE] = OUTCOME_SEND_FAILED,
        [CLIENT_SEND_FAILED] = OUTCOME_SEND_FAILED,
        [CLIENT_NO_ANSWER] = OUTCOME_BAD_RESPONSE,
        [CLIENT_BAD_RESPONSE] = OUTCOME_BAD_RESPONSE,
        [CLIENT_BROKEN] = OUTCOME_STREAM_BROKEN,
    };
    return outcomes[failure];
}

static void on_client_failed(struct client *client, enum client_failure failure, const char *why)
{
    struct exchange *ex = of_client(client);
    if (failure == CLIENT_STALE && ex->attempts < EXCHANGE_ATTEMPTS_MAX) {
        call_upstream(ex, true);
        return;
    }
    enum outcome outcome = outcome_of_failure(failure);
    const struct config_upstream *upstream = ex->match.route->upstream;
    log_write(LOG_WARNING, "upstream", "%.*s: %.*s: %s", SPAN_ARG(outcome_info(outcome)->token),
              SPAN_ARG(upstream->url.authority), why);
    struct span message =
        arena_printf(&ex->arena, "%.*s: %s", SPAN_ARG(outcome_info(outcome)->text), why);
    exchange_fail(ex, outcome, message);
}

/* What the exchange waits for, until when, and how it ends if that does not come. */
static struct mono_time next_limit(const struct exchange *ex, enum outcome *outcome)
{
    const struct config_timeouts *timeouts = &ex->match.route->timeouts;
    const struct client *client = &ex->client;
    struct mono_time total = clock_after_ms(ex->opened, timeouts->total_ms), limit = total;
    *outcome = OUTCOME_DEADLINE;
    switch (client->phase) {
    case CLIENT_CONNECTING:
        *outcome = OUTCOME_CONNECT_TIMEOUT;
        limit = clock_after_ms(client->started, timeouts->connect_ms);
        break;
    case CLIENT_SENDING:
        *outcome = OUTCOME_SEND_FAILED;
        limit = clock_after_ms(client->progress, timeouts->idle_ms);
        break;
    case CLIENT_WAITING:
        *outcome = OUTCOME_FIRST_BYTE_TIMEOUT;
        limit = clock_after_ms(client->sent, timeouts->first_byte_ms);
        break;
    case CLIENT_RECEIVING:
        *outcome = OUTCOME_STREAM_STALLED;
        limit = clock_after_ms(client->progress, timeouts->idle_ms);
        break;
    case CLIENT_IDLE:
    case CLIENT_READY:
        break;
    }
    /* A caller that does not take its answer is the one that is waited for. */
    if (ex->reply_progress.us != 0 && reply_held(&ex->peer->reply) >= REPLY_LOW_WATERMARK) {
        *outcome = OUTCOME_CLIENT_GONE;
        limit = clock_after_ms(ex->reply_progress, timeouts->idle_ms);
    }
    if (ex->state == EXCHANGE_ANSWERED) {
        *outcome = OUTCOME_CLIENT_GONE;
        limit = clock_after_ms(ex->reply_progress, timeouts->idle_ms);
    }
    if (limit.us <= total.us)
        return limit;
    if (ex->state != EXCHANGE_ANSWERED)
        *outcome = OUTCOME_DEADLINE;
    return total;
}

static void on_timer(struct timer *timer)
{
    struct exchange *ex = H2O_STRUCT_FROM_MEMBER(struct exchange, timer, timer);
    enum outcome outcome;
    struct mono_time limit = next_limit(ex, &outcome);
    if (limit.us > now_of(ex).us) {
        arm_by(ex, limit);
        return;
    }
    if (outcome == OUTCOME_CLIENT_GONE) {
        exchange_cancel(ex, outcome);
        return;
    }
    client_cancel(&ex->client);
    exchange_fail(ex, outcome, SPAN_NONE);
}

/* ---- step 11: one way out ---- */

/* Ends with an answer of the gateway's own where that is still possible, else by aborting the connection. */
static void exchange_fail(struct exchange *ex, enum outcome outcome, struct span message)
{
    const struct outcome_info *info = outcome_info(outcome);
    struct reply *reply = &ex->peer->reply;
    ex->outcome = outcome;
    ex->fault = info->fault;
    ex->judged = false;
    if (reply->head_sent || info->status == 0) {
        exchange_end(ex, PEER_ABORT);
        return;
    }
    reply_discard(reply);
    /* What cannot be framed cannot be followed by another request. */
    if (!ex->request_parsed)
        ex->keep_alive = false;
    if (ex->request.framing == HTTP1_NO_BODY ||
        (ex->request.framing == HTTP1_LENGTH && ex->request.content_length == 0))
        ex->body_ended = true;
    if (!ex->body_ended)
        ex->keep_alive = false;
    answer_append_error(ex, info->status, message.len != 0 ? message : info->text,
                        info->retry_after_s, false);
    ex->state = EXCHANGE_ANSWERED;
    ex->reply_progress = now_of(ex);
    if (ex->match.route != NULL)
        arm_by(ex, clock_after_ms(now_of(ex), ex->match.route->timeouts.idle_ms));
    flush(ex);
}

void exchange_cancel(struct exchange *ex, enum outcome outcome)
{
    client_cancel(&ex->client);
    if (ex->state != EXCHANGE_ANSWERED || ex->outcome == OUTCOME_OK) {
        ex->outcome = outcome;
        ex->fault = outcome_info(outcome)->fault;
    }
    exchange_end(ex, PEER_ABORT);
}

void exchange_cut(struct exchange *ex)
{
    struct peer *peer = ex->peer;
    client_cancel(&ex->client);
    if (ex->state != EXCHANGE_ANSWERED)
        exchange_fail(ex, OUTCOME_DRAIN_CUT, SPAN_NONE);
    if (peer->exchange == ex)
        exchange_cancel(ex, OUTCOME_DRAIN_CUT);
}

/* Gives back what the request took; its memory stays warm for the next one. */
static void dispose(struct exchange *ex)
{
    struct worker *worker = ex->worker;
    loop_cancel_timer(worker->loop, &ex->timer);
    if (ex->upstream_head.at != NULL)
        secret_wipe((char *)ex->upstream_head.at, ex->upstream_head.len);
    body_release(&ex->body);
    if (ex->admitted)
        admit_release_exchange(&worker->gateway->admit);
    buffer_dispose(&ex->held);
    arena_reset(&ex->arena);
    if (worker->spare_count == SPARE_MAX) {
        arena_dispose(&ex->arena);
        body_destroy(&ex->body);
        free(ex);
        return;
    }
    ex->next_spare = worker->spare_exchanges;
    worker->spare_exchanges = ex;
    ++worker->spare_count;
}

static void exchange_end(struct exchange *ex, enum peer_ending ending)
{
    struct peer *peer = ex->peer;
    CHECK(ex->client.phase == CLIENT_IDLE);
    loop_read_clock(ex->worker->loop);
    account_write(ex);
    peer->exchange = NULL;
    dispose(ex);
    peer_exchange_ended(peer, ending);
}

void exchange_destroy_spares(struct worker *worker)
{
    while (worker->spare_exchanges != NULL) {
        struct exchange *ex = worker->spare_exchanges;
        worker->spare_exchanges = ex->next_spare;
        arena_dispose(&ex->arena);
        body_destroy(&ex->body);
        free(ex);
    }
    worker->spare_count = 0;
}

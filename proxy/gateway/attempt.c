/* One try upstream, in the order in which things happen. */
#include "gateway/attempt.h"

#include "aws/aws_error.h"
#include "gateway/authorize.h"
#include "gateway/signature_diff.h"
#include "observe/log.h"

static bool begin(struct attempt *attempt);
static void on_waited(struct renew *renew, int64_t waited_us);
static bool connect_upstream(struct attempt *attempt);
static void on_ready(struct upstream_request *upstream);
static bool send_request(struct attempt *attempt);
static void on_head(struct upstream_request *upstream, const struct http1_response *head);
static void on_data(struct upstream_request *upstream, struct span data);
static void on_flush(struct upstream_request *upstream);
static void on_end(struct upstream_request *upstream);
static void on_failed(struct upstream_request *upstream, enum upstream_failure failure,
                      const char *why);
static void fail(struct attempt *attempt, const struct attempt_failure *failure);

static const struct upstream_callbacks upstream_callbacks = {on_ready, on_head, on_data,
                                                             on_flush, on_end,  on_failed};

static const struct attempt_failure no_credentials = {RETRY_NONE, OUTCOME_NO_CREDENTIALS, NULL};

static struct attempt *of_upstream(struct upstream_request *upstream)
{
    return H2O_STRUCT_FROM_MEMBER(struct attempt, upstream, upstream);
}

static const struct config_route *route_of(const struct attempt *attempt)
{
    return attempt->options.plan->match.route;
}

static bool is_signed(const struct attempt *attempt)
{
    return attempt->options.plan->fill.proof != FILL_NONE;
}

/* The only function that sets the state. */
static void set_state(struct attempt *attempt, enum attempt_state state)
{
    attempt->state = state;
    switch (state) {
    case ATTEMPT_IDLE: /* stops what is still pending */
        renew_cancel(&attempt->renew);
        upstream_cancel(&attempt->upstream);
        break;
    case ATTEMPT_UPSTREAM:
        timing_connect(attempt->options.timing, &attempt->upstream);
        break;
    case ATTEMPT_CREDENTIALS:
    case ATTEMPT_RENEWING:
        break;
    }
}

/* ---- credentials ---- */

static void wipe_head(struct attempt *attempt)
{
    if (attempt->head.at != NULL)
        secret_wipe((char *)attempt->head.at, attempt->head.len);
    attempt->head = SPAN_NONE;
}

bool attempt_start(struct attempt *attempt, const struct attempt_options *options)
{
    const struct config *config = options->use->snapshot->config;
    CHECK(attempt->state == ATTEMPT_IDLE);
    attempt->options = *options;
    attempt->date.us = 0;
    attempt->renew.view = &options->use->credentials[route_of(attempt)->identity];
    attempt->renew.skew = options->worker->group->skew;
    attempt->renew.loop = options->worker->loop;
    attempt->renew.wait_ms = config->credentials.wait_ms;
    attempt->renew.on_end = on_waited;
    return begin(attempt);
}

static const struct credentials *get_credentials(struct attempt *attempt, struct wall_time now)
{
    size_t identity = route_of(attempt)->identity;
    const struct config *config = attempt->options.use->snapshot->config;
    const struct credentials *credentials = renew_get(&attempt->renew, now);
    if (credentials != NULL)
        attempt->identity = identity == 0 ? credentials->source : config->identities[identity].name;
    return credentials;
}

/* Waits for credentials before asking for a connection. */
static bool begin(struct attempt *attempt)
{
    if (!is_signed(attempt) || get_credentials(attempt, renew_now(&attempt->renew)) != NULL)
        return connect_upstream(attempt);
    if (!renew_wait(&attempt->renew))
        return false;
    set_state(attempt, ATTEMPT_CREDENTIALS);
    return true;
}

static void on_waited(struct renew *renew, int64_t waited_us)
{
    struct attempt *attempt = H2O_STRUCT_FROM_MEMBER(struct attempt, renew, renew);
    enum attempt_state waited_in = attempt->state;
    timing_wait_credentials(attempt->options.timing, waited_us);
    set_state(attempt, ATTEMPT_IDLE);
    if (waited_in == ATTEMPT_RENEWING)
        attempt->options.callbacks->on_renewed(attempt, renew_has_changed(renew));
    else if (get_credentials(attempt, renew_now(renew)) == NULL || !connect_upstream(attempt))
        fail(attempt, &no_credentials);
    else
        attempt->options.callbacks->on_advanced(attempt);
}

/* ---- connection ---- */

static bool connect_upstream(struct attempt *attempt)
{
    const struct attempt_options *options = &attempt->options;
    const struct config *config = options->use->snapshot->config;
    struct pool *pool = options->use->pools[route_of(attempt)->upstream - config->upstreams];
    set_state(attempt, ATTEMPT_UPSTREAM);
    if (upstream_start(&attempt->upstream, pool, &upstream_callbacks, options->fresh_only))
        return send_request(attempt);
    return true;
}

static void on_ready(struct upstream_request *upstream)
{
    struct attempt *attempt = of_upstream(upstream);
    if (send_request(attempt))
        attempt->options.callbacks->on_advanced(attempt);
    else
        fail(attempt, &no_credentials);
}

/* ---- signature and request ---- */

static bool send_request(struct attempt *attempt)
{
    const struct attempt_options *options = &attempt->options;
    struct worker *worker = options->worker;
    struct wall_time wall = renew_now(&attempt->renew);
    struct mono_time before = loop_read_clock(worker->loop);
    const struct credentials *credentials =
        is_signed(attempt) ? get_credentials(attempt, wall) : NULL;
    struct mono_time got = loop_read_clock(worker->loop);
    if (is_signed(attempt) && credentials == NULL) { /* expired while connecting */
        set_state(attempt, ATTEMPT_IDLE);
        return begin(attempt);
    }
    wipe_head(attempt); /* of the previous attempt */
    attempt->head =
        authorize_head(&(struct authorize_request){.fill = &options->plan->fill,
                                                   .upstream = route_of(attempt)->upstream,
                                                   .body_sha256 = options->body->digest,
                                                   .body_size = options->body->size,
                                                   .credentials = credentials,
                                                   .now = wall,
                                                   .keys = worker->keys,
                                                   .bearers = worker->bearers},
                       options->arena);
    timing_send(options->timing, clock_us_between(before, got),
                clock_us_between(got, loop_read_clock(worker->loop)));
    upstream_send(&attempt->upstream, attempt->head, options->body->first, false);
    return true;
}

struct mono_time attempt_limit(const struct attempt *attempt, enum outcome *outcome)
{
    const struct config_timeouts *timeouts = &route_of(attempt)->timeouts;
    const struct upstream_request *upstream = &attempt->upstream;
    switch (upstream->phase) {
    case UPSTREAM_CONNECTING:
        *outcome = OUTCOME_CONNECT_TIMEOUT;
        return clock_after_ms(upstream->started, timeouts->connect_ms);
    case UPSTREAM_SENDING:
        *outcome = OUTCOME_SEND_FAILED;
        return clock_after_ms(upstream->progress, timeouts->idle_ms);
    case UPSTREAM_WAITING:
        *outcome = OUTCOME_FIRST_BYTE_TIMEOUT;
        return clock_after_ms(upstream->sent, timeouts->first_byte_ms);
    case UPSTREAM_RECEIVING:
        *outcome = upstream->has_head ? OUTCOME_STREAM_STALLED : OUTCOME_FIRST_BYTE_TIMEOUT;
        return upstream->has_head ? clock_after_ms(upstream->progress, timeouts->idle_ms)
                                  : clock_after_ms(upstream->first_byte, timeouts->first_byte_ms);
    case UPSTREAM_IDLE:
    case UPSTREAM_READY:
        break;
    }
    return (struct mono_time){0};
}

/* ---- response ---- */

static void on_head(struct upstream_request *upstream, const struct http1_response *head)
{
    struct attempt *attempt = of_upstream(upstream);
    if (!clock_parse_http(http1_header_value(&head->headers, SPAN("date")), &attempt->date))
        attempt->date.us = 0;
    if (route_of(attempt)->upstream->url.tls)
        renew_check_clock(&attempt->renew, attempt->date);
    attempt->options.callbacks->on_head(attempt, head);
}

static void on_data(struct upstream_request *upstream, struct span data)
{
    struct attempt *attempt = of_upstream(upstream);
    attempt->options.callbacks->on_data(attempt, data);
}

static void on_flush(struct upstream_request *upstream)
{
    struct attempt *attempt = of_upstream(upstream);
    attempt->options.callbacks->on_flush(attempt);
}

static void on_end(struct upstream_request *upstream)
{
    struct attempt *attempt = of_upstream(upstream);
    set_state(attempt, ATTEMPT_IDLE);
    attempt->options.callbacks->on_end(attempt);
}

/* ---- failure ---- */

static void on_failed(struct upstream_request *upstream, enum upstream_failure failure,
                      const char *why)
{
    static const enum outcome outcomes[] = {
        [UPSTREAM_DNS_FAILED] = OUTCOME_DNS_FAILED,
        [UPSTREAM_CONNECT_FAILED] = OUTCOME_CONNECT_FAILED,
        [UPSTREAM_PROXY_REFUSED] = OUTCOME_PROXY_REFUSED,
        [UPSTREAM_TLS_FAILED] = OUTCOME_TLS_FAILED,
        [UPSTREAM_STALE] = OUTCOME_SEND_FAILED,
        [UPSTREAM_SEND_FAILED] = OUTCOME_SEND_FAILED,
        [UPSTREAM_NO_RESPONSE] = OUTCOME_BAD_RESPONSE,
        [UPSTREAM_BAD_RESPONSE] = OUTCOME_BAD_RESPONSE,
        [UPSTREAM_BROKEN] = OUTCOME_STREAM_BROKEN,
    };
    fail(of_upstream(upstream),
         &(struct attempt_failure){failure == UPSTREAM_STALE ? RETRY_STALE : RETRY_NONE,
                                   outcomes[failure], why});
}

static void fail(struct attempt *attempt, const struct attempt_failure *failure)
{
    set_state(attempt, ATTEMPT_IDLE);
    attempt->options.callbacks->on_failed(attempt, failure);
}

/* ---- after a rejection ---- */

enum renew_result attempt_renew(struct attempt *attempt, enum retry_class class)
{
    CHECK(attempt->state == ATTEMPT_IDLE);
    enum renew_result result = renew_after_refusal(&attempt->renew, class, attempt->date);
    if (result == RENEW_WAITING)
        set_state(attempt, ATTEMPT_RENEWING);
    return result;
}

void attempt_explain_refusal(const struct attempt *attempt, struct span error_type,
                             struct span body)
{
    const struct attempt_options *options = &attempt->options;
    struct aws_error error;
    aws_error_parse(error_type, body, options->arena, &error);
    struct span cause =
        signature_diff(attempt->head, options->body->digest, error.message, options->arena);
    log_write(LOG_WARNING, "signature", "%.*s: AWS rejected the signature (%.*s): %.*s",
              SPAN_ARG(route_of(attempt)->name), SPAN_ARG(error.code), SPAN_ARG(cause));
}

/* ---- the end ---- */

void attempt_cancel(struct attempt *attempt)
{
    if (attempt->state != ATTEMPT_IDLE)
        set_state(attempt, ATTEMPT_IDLE);
}

void attempt_dispose(struct attempt *attempt)
{
    attempt_cancel(attempt);
    wipe_head(attempt);
}

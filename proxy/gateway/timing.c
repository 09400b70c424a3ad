/* Where the time of an exchange went, and what is told of it. */
#include "gateway/timing.h"

static int64_t between(struct mono_time from, struct mono_time to)
{
    if (from.us == 0 || to.us == 0)
        return -1;
    return to.us > from.us ? to.us - from.us : 0;
}

void timing_times(const struct exchange *ex, int64_t times[ACCESS_TIMES])
{
    const struct upstream_request *upstream = &ex->upstream;
    for (size_t i = 0; i != ACCESS_TIMES; ++i)
        times[i] = -1;
    times[ACCESS_RECEIVE_US] = between(ex->opened, ex->body_ended_at);
    if (ex->admitted_at.us != 0 || ex->queued_at.us != 0)
        times[ACCESS_WAIT_US] = ex->wait_us;
    if (ex->body_ended_at.us != 0)
        times[ACCESS_HASH_US] = ex->body.hash_us;
    times[ACCESS_TOTAL_US] = between(ex->opened, ex->worker->loop->now);
    if (ex->attempts == 0 && upstream->started.us == 0)
        return;
    times[ACCESS_CONNECT_US] =
        upstream->reused ? 0 : between(upstream->started, upstream->connected);
    times[ACCESS_TLS_US] = upstream->reused ? 0 : between(upstream->connected, upstream->ready);
    if (ex->attempts != 0) {
        times[ACCESS_CREDENTIALS_US] = ex->credentials_us;
        times[ACCESS_SIGN_US] = ex->sign_us;
    }
    times[ACCESS_SEND_US] = between(upstream->send_started, upstream->sent);
    times[ACCESS_FIRST_BYTE_US] = between(upstream->sent, upstream->first_byte);
    times[ACCESS_STREAM_US] = between(upstream->first_byte, upstream->last_byte);
    if (upstream->first_byte.us != 0)
        times[ACCESS_GAP_MAX_US] = upstream->gap_max_us;
}

int64_t timing_upstream_us(const struct upstream_request *upstream)
{
    if (upstream->started.us == 0)
        return 0;
    if (upstream->ready.us == 0) /* not connected */
        return between(upstream->started, upstream->last_byte);
    int64_t answer = between(upstream->send_started, upstream->last_byte);
    return between(upstream->started, upstream->ready) + (answer > 0 ? answer : 0);
}

int64_t timing_overhead_us(const struct exchange *ex)
{
    struct mono_time now = ex->worker->loop->now;
    if (ex->attempts == 0)
        return -1;
    int64_t sending = between(ex->opened, ex->arrived_at) - ex->wait_us;
    int64_t taking = ex->taking_at.us == 0 ? 0 : between(ex->taking_at, now);
    int64_t waited = sending + ex->upstream_us + timing_upstream_us(&ex->upstream) + taking;
    int64_t rest = between(ex->opened, now) - waited;
    return rest > 0 ? rest : 0;
}

/* ---- the record ---- */

static void set_parameter(struct access_record *record, const struct exchange *ex,
                          enum access_text field, enum sagemaker_parameter parameter)
{
    access_record_set(record, field, ex->plan.fill.parameters[parameter].value);
}

static void set_overridden(struct access_record *record, const struct exchange *ex)
{
    char text[256];
    struct buffer out;
    buffer_init_fixed(&out, text, sizeof(text));
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        if ((ex->plan.fill.overridden & 1u << i) == 0)
            continue;
        if (out.len != 0)
            buffer_append_char(&out, ',');
        buffer_append(&out, sagemaker_parameter_info((enum sagemaker_parameter)i)->name);
    }
    access_record_set(record, ACCESS_OVERRIDDEN, buffer_span(&out));
}

static void set_route(struct access_record *record, const struct exchange *ex)
{
    const struct config_route *route = ex->plan.match.route;
    const struct config *config = exchange_config(ex);
    struct span path = ex->request.path;
    if (route != NULL) {
        access_record_set(record, ACCESS_ROUTE, route->name);
        if (config_operation_is_aws(route->operation))
            access_record_set(record, ACCESS_REGION, route->upstream->region);
        if (!config->access_log.full_path)
            path = route->path;
    }
    if (route == NULL && !config->access_log.full_path)
        path = SPAN_NONE; /* a path that no route knows could be anything */
    access_record_set(record, ACCESS_PATH, path);
}

static void set_texts(struct access_record *record, const struct exchange *ex)
{
    access_record_set(record, ACCESS_REQUEST_ID, span_make(ex->plan.ids.request_id, IDS_UUID_SIZE));
    access_record_set(record, ACCESS_TRACE_ID, span_make(ex->plan.ids.trace_id, IDS_TRACE_ID_SIZE));
    access_record_set(record, ACCESS_OUTCOME, outcome_info(ex->outcome)->token);
    access_record_set(record, ACCESS_CLIENT, span_from(ex->downstream->remote.name));
    access_record_set(record, ACCESS_METHOD, ex->request.method);
    set_route(record, ex);
    if (ex->plan.fill.path.len != 0)
        access_record_set(record, ACCESS_OPERATION,
                          fill_operation_name(ex->plan.match.route, &ex->plan.fill));
    access_record_set(record, ACCESS_ENDPOINT, ex->plan.fill.endpoint);
    set_parameter(record, ex, ACCESS_INFERENCE_ID, SAGEMAKER_INFERENCE_ID);
    set_parameter(record, ex, ACCESS_TARGET_VARIANT, SAGEMAKER_TARGET_VARIANT);
    set_parameter(record, ex, ACCESS_INFERENCE_COMPONENT, SAGEMAKER_INFERENCE_COMPONENT_NAME);
    access_record_set(record, ACCESS_INVOKED_VARIANT, ex->response.invoked_variant);
    access_record_set(record, ACCESS_AWS_REQUEST_ID, ex->response.request_id);
    access_record_set(record, ACCESS_IDENTITY, ex->identity);
    if (ex->judged)
        access_record_set(record, ACCESS_AWS_ERROR, ex->verdict.aws_error);
    else
        access_record_set(record, ACCESS_AWS_ERROR, ex->stream.code);
    set_overridden(record, ex);
    access_record_set(record, ACCESS_DROPPED_HEADERS, ex->plan.fill.dropped_headers);
    set_parameter(record, ex, ACCESS_TARGET_MODEL, SAGEMAKER_TARGET_MODEL); /* the longest: last */
}

static uint64_t parts_of(const struct exchange *ex)
{
    return ex->stream.form != STREAM_NONE ? ex->stream.parts : ex->upstream.parts;
}

static void write_record(const struct exchange *ex, const int64_t times[ACCESS_TIMES])
{
    struct worker *worker = ex->worker;
    struct access_log *log = worker->gateway->access_log;
    struct access_record *record = log == NULL ? NULL : access_log_begin(log, worker->index);
    if (record == NULL)
        return;
    record->time = clock_wall();
    record->status = ex->reply_status;
    record->model_status = ex->judged ? ex->verdict.model_status : -1;
    record->attempts = ex->attempts;
    record->reused = ex->upstream.reused;
    record->bytes_in = ex->body.size;
    record->bytes_out = ex->downstream->writer.body_bytes;
    record->parts = parts_of(ex);
    memcpy(record->times, times, sizeof(record->times));
    set_texts(record, ex);
    access_log_commit(log, worker->index);
}

/* ---- the metrics ---- */

static size_t counted_as(const struct exchange *ex)
{
    bool is_callers = ex->outcome == OUTCOME_MODEL_ERROR && ex->judged &&
                      ex->verdict.model_status >= 400 && ex->verdict.model_status < 500;
    return is_callers ? SERIES_MODEL_ERROR_OF_CALLER : (size_t)ex->outcome;
}

static void count(const struct exchange *ex, const int64_t times[ACCESS_TIMES])
{
    struct worker *worker = ex->worker;
    const struct metrics_exchange exchange = {.outcome = counted_as(ex),
                                              .attempts = ex->attempts,
                                              .bytes_in = ex->body.size,
                                              .bytes_out = ex->downstream->writer.body_bytes,
                                              .parts = parts_of(ex),
                                              .total_us = times[ACCESS_TOTAL_US],
                                              .first_byte_us = times[ACCESS_FIRST_BYTE_US],
                                              .overhead_us = timing_overhead_us(ex)};
    struct metrics_route *series =
        ex->series != NULL ? ex->series : ex->use->snapshot->series.no_route;
    metrics_end(series, worker->index, &exchange);
}

void timing_end(const struct exchange *ex)
{
    int64_t times[ACCESS_TIMES];
    timing_times(ex, times);
    count(ex, times);
    write_record(ex, times);
}

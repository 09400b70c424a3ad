/* `sagegate explain --json`: what has been found out, as one object for machines. */
#include "command_explain.h"

#include <stdio.h>

#include "base/buffer.h"

enum { OUTPUT_MAX = 16 * 1024 * 1024 };

static void add_key(struct buffer *b, const char *key)
{
    if (b->len != 0 && b->at[b->len - 1] != '{')
        buffer_append_char(b, ',');
    buffer_printf(b, "\"%s\":", key);
}

static void add_text(struct buffer *b, const char *key, struct span value)
{
    if (value.at == NULL)
        return;
    add_key(b, key);
    buffer_append_char(b, '"');
    buffer_append_json(b, value);
    buffer_append_char(b, '"');
}

static void add_flag(struct buffer *b, const char *key, bool value)
{
    if (!value)
        return;
    add_key(b, key);
    buffer_append(b, SPAN("true"));
}

static void add_number(struct buffer *b, const char *key, uint64_t value)
{
    add_key(b, key);
    buffer_append_u64(b, value);
}

static void open_object(struct buffer *b, const char *key)
{
    add_key(b, key);
    buffer_append_char(b, '{');
}

static void add_route(struct buffer *b, const struct explanation *e)
{
    const struct config_route *route = e->match.route;
    open_object(b, "route");
    add_text(b, "name", route->name);
    add_text(b, "file", route->file);
    add_number(b, "line", route->line);
    add_text(b, "path", route->path);
    buffer_append_char(b, '}');
    open_object(b, "captures");
    for (size_t i = 0; i != e->match.capture_count; ++i) {
        struct span name = e->match.captures[i].name;
        char key[128];
        snprintf(key, sizeof(key), "%.*s", SPAN_ARG(name.len == 0 ? SPAN("*") : name));
        add_text(b, key, e->match.captures[i].value);
    }
    buffer_append_char(b, '}');
}

static void add_parameters(struct buffer *b, const struct explanation *e)
{
    static const char *const sources[] = {[FILL_ABSENT] = "absent",
                                          [FILL_CALLER] = "caller",
                                          [FILL_DEFAULT] = "default",
                                          [FILL_VALUE] = "value"};
    open_object(b, "parameters");
    for (int i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        const struct sagemaker_parameter_info *info =
            sagemaker_parameter_info((enum sagemaker_parameter)i);
        const struct fill_parameter *p = &e->fill.parameters[i];
        char key[128];
        if (p->value.at == NULL && p->caller_value.at == NULL)
            continue;
        snprintf(key, sizeof(key), "%.*s", SPAN_ARG(info->name));
        open_object(b, key);
        add_text(b, "source", span_from(sources[p->source]));
        add_text(b, "value", p->value);
        add_text(b, "caller_value", p->caller_value);
        add_flag(b, "appended", p->appended);
        add_flag(b, "append_dropped", p->append_dropped);
        add_flag(b, "overridden", p->overridden);
        buffer_append_char(b, '}');
    }
    buffer_append_char(b, '}');
}

/* Whose credentials sign; none where nothing is signed. */
static void add_identity(struct buffer *b, const struct explanation *e)
{
    const struct config_identity *identity = &e->config->identities[e->match.route->identity];
    if (!config_operation_is_aws(e->match.route->operation))
        return;
    add_text(b, "identity", identity->name);
    add_text(b, "role_arn", identity->role.role_arn);
    add_text(b, "session_name", identity->role.session_name);
}

static void add_request(struct buffer *b, struct explanation *e)
{
    struct http1_header headers[SAGEMAKER_PARAMETERS + 1];
    const struct config_upstream *upstream = e->match.route->upstream;
    size_t count = fill_upstream_headers(&e->fill, upstream, headers);
    add_text(b, "endpoint", e->fill.endpoint);
    add_text(b, "operation", fill_operation_name(e->match.route, &e->fill));
    add_text(b, "upstream", upstream->name);
    add_text(b, "region", upstream->region);
    add_identity(b, e);
    add_parameters(b, e);
    open_object(b, "sends");
    add_text(b, "method", e->fill.is_get ? SPAN("GET") : SPAN("POST"));
    add_text(b, "url", command_explain_url(e));
    open_object(b, "headers");
    for (size_t i = 0; i != count; ++i) {
        char key[128];
        snprintf(key, sizeof(key), "%.*s", SPAN_ARG(headers[i].name));
        add_text(b, key, headers[i].value);
    }
    buffer_append(b, SPAN("}}"));
    add_text(b, "dropped_headers", e->fill.dropped_headers);
}

static void add_limits(struct buffer *b, const struct config_route *route)
{
    open_object(b, "timeouts_ms");
    add_number(b, "connect", (uint64_t)route->timeouts.connect_ms);
    add_number(b, "first_byte", (uint64_t)route->timeouts.first_byte_ms);
    add_number(b, "idle", (uint64_t)route->timeouts.idle_ms);
    add_number(b, "total", (uint64_t)route->timeouts.total_ms);
    buffer_append_char(b, '}');
    add_number(b, "body_max", route->body_max);
}

static void add_misses(struct buffer *b, const struct explanation *e)
{
    open_object(b, "routes");
    for (size_t i = 0; i != e->config->route_count; ++i) {
        char key[128];
        snprintf(key, sizeof(key), "%.*s", SPAN_ARG(e->config->routes[i].name));
        add_text(b, key, span_from(command_explain_verdict(e, i)));
    }
    buffer_append_char(b, '}');
}

void command_explain_print_json(struct explanation *e)
{
    struct buffer b;
    buffer_init(&b, OUTPUT_MAX);
    buffer_append_char(&b, '{');
    add_text(&b, "outcome", outcome_info(e->outcome)->token);
    if (e->outcome != OUTCOME_OK)
        add_number(&b, "status", (uint64_t)outcome_info(e->outcome)->status);
    add_text(&b, "message", e->message);
    if (e->routed)
        add_route(&b, e);
    if (e->outcome == OUTCOME_OK) {
        add_request(&b, e);
        add_limits(&b, e->match.route);
    } else if (e->parsed && !e->routed) {
        add_misses(&b, e);
    }
    buffer_append_char(&b, '}');
    printf("%.*s\n", SPAN_ARG(buffer_span(&b)));
    buffer_dispose(&b);
}

/* `sagegate explain`: prints what the gateway would do with a request: the route, each parameter
 * and its origin, and the call upstream, or the rejection. Sends nothing. gateway/plan.c decides,
 * as in the gateway; this file only prints. */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "base/json_writer.h"
#include "credentials/region.h"
#include "gateway/downstream.h"
#include "gateway/plan.h"
#include "option.h"

enum {
    HEADERS_MAX = HTTP1_HEADERS_MAX + 1,
    REQUEST_MAX = 1 << 30, /* bytes of a --body or --raw FILE */
    OUTPUT_MAX = 16 * 1024 * 1024,
    API_NAME_WIDTH = 24, /* InvocationTimeoutSeconds */
};

struct arguments {
    struct span file, request[2], host, body; /* request: METHOD PATH */
    struct span headers[HEADERS_MAX];
    size_t header_count;
    struct option_list raw;
    bool json;
};

/* One request and its plan. */
struct explanation {
    struct arena arena;
    const struct config *config;
    const struct route_table *table;
    struct http1_request request;
    struct plan plan;
};

/* ---- arguments ------------------------------------------------------------------------------- */

static bool is_one_line(struct span text)
{
    return span_find(text, '\r') == text.len && span_find(text, '\n') == text.len;
}

static bool check_arguments(const struct arguments *args)
{
    bool has_request = args->request[1].at != NULL;
    if (has_request != (args->raw.count == 0))
        return option_fail("explain", "specify METHOD PATH, as in POST /predict, or --raw FILE");
    if (!has_request && (args->header_count != 0 || args->host.at != NULL || args->body.at != NULL))
        return option_fail("explain",
                           "--raw FILE contains headers and body: omit -H, --host and --body");
    for (size_t i = 0; i != args->header_count; ++i)
        if (!is_one_line(args->headers[i]) ||
            span_find(args->headers[i], ':') == args->headers[i].len)
            return option_fail("explain", "-H '%.*s': must be one line, 'NAME: VALUE'",
                               SPAN_ARG(args->headers[i]));
    if (!is_one_line(args->request[0]) || !is_one_line(args->request[1]) ||
        !is_one_line(args->host))
        return option_fail("explain", "METHOD, PATH and --host must be one line each");
    return true;
}

/* Returns -1 to continue, or the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *out)
{
    struct option_list headers = {out->headers, 0, HEADERS_MAX};
    const struct option_row rows[] = {
        {"config", 'c', OPTION_REQUIRED, &out->file, "FILE", "the configuration"},
        {"header", 'H', OPTION_LIST, &headers, "'NAME: VALUE'",
         "a header of the request; may be repeated"},
        {"host", 0, OPTION_TEXT, &out->host, "HOST",
         "its Host header; default: the first listener's address"},
        {"body", 0, OPTION_TEXT, &out->body, "FILE", "a file with its body"},
        {"raw", 0, OPTION_LIST, &out->raw, "FILE",
         "instead of METHOD PATH: a file with a whole request\nas a client would send it; may be "
         "repeated"},
        {"json", 0, OPTION_FLAG, &out->json, NULL,
         "print one JSON object per request, on one line"},
    };
    const struct option_table options = {
        .command = "explain",
        .usage = "-c FILE METHOD PATH [OPTION]...\nsagegate explain -c FILE --raw FILE... [--json]",
        .about =
            "Shows what the gateway would do with a request: the route, each parameter and where\n"
            "it comes from, and the request upstream. Sends nothing and needs no credentials.\n",
        .rows = rows,
        .row_count = sizeof(rows) / sizeof(rows[0]),
        .operands = out->request,
        .operand_min = 0,
        .operand_max = 2,
        .operand_hint = "specify METHOD PATH, as in POST /predict",
        .more =
            "Exit status: 0 if all requests would be sent, 1 if one would be refused or FILE has\n"
            "errors.\n"
            "\n"
            "Example:\n"
            "  sagegate explain -c sidecar.yaml POST /predict/fraud -H 'Content-Type: text/csv'\n"};
    int status = option_parse(&options, argc, argv);
    out->header_count = headers.count;
    return status < 0 && !check_arguments(out) ? 1 : status;
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool read_file(const char *name, struct buffer *out)
{
    enum { PIECE_SIZE = 65536 };
    FILE *in = fopen(name, "rbe");
    size_t size = 0;
    char *at;
    if (in == NULL)
        return option_fail("explain", "%s: %s", name, strerror(errno));
    while ((at = buffer_reserve(out, PIECE_SIZE)) != NULL &&
           (size = fread(at, 1, PIECE_SIZE, in)) != 0)
        buffer_take(out, size);
    bool is_read = at != NULL && ferror(in) == 0;
    if (!is_read)
        option_fail("explain", "%s: %s", name, at == NULL ? "larger than 1 GiB" : strerror(errno));
    fclose(in);
    return is_read;
}

static struct span default_host(const struct config *config)
{
    if (config->listener_count != 0 && config->listeners[0].address.unix_path.at == NULL)
        return config->listeners[0].address.text;
    return SPAN("localhost");
}

static bool has_header(const struct arguments *args, struct span name)
{
    for (size_t i = 0; i != args->header_count; ++i)
        if (span_starts_with_ignore_case(args->headers[i], name))
            return true;
    return false;
}

/* Builds the request as a client would send it. */
static void build_request(const struct arguments *args, const struct config *config,
                          struct span body, struct buffer *out)
{
    bool is_chunked = has_header(args, SPAN("transfer-encoding:"));
    struct span host = args->host.at != NULL ? args->host : default_host(config);
    buffer_printf(out, "%s %s HTTP/1.1\r\n", args->request[0].at, args->request[1].at);
    if (args->host.at != NULL || !has_header(args, SPAN("host:")))
        buffer_printf(out, "Host: %.*s\r\n", SPAN_ARG(host));
    for (size_t i = 0; i != args->header_count; ++i)
        buffer_printf(out, "%s\r\n", args->headers[i].at);
    if (args->body.at != NULL && !is_chunked && !has_header(args, SPAN("content-length:")))
        buffer_printf(out, "Content-Length: %zu\r\n", body.len);
    buffer_append(out, SPAN("\r\n"));
    if (is_chunked && body.len != 0)
        buffer_printf(out, "%zx\r\n", body.len);
    buffer_append(out, body);
    if (is_chunked)
        buffer_append(out, body.len != 0 ? SPAN("\r\n0\r\n\r\n") : SPAN("0\r\n\r\n"));
}

static bool is_refused(const struct explanation *e)
{
    return e->plan.outcome != OUTCOME_OK;
}

static void refuse(struct explanation *e, enum outcome outcome, struct span message)
{
    e->plan.outcome = outcome;
    e->plan.message = message;
}

/* Takes `size` spaces in place of a body that was not given: JSON ignores them. */
static bool take_spaces(struct explanation *e, uint64_t size)
{
    char spaces[4096];
    memset(spaces, ' ', sizeof(spaces));
    for (; size > sizeof(spaces); size -= sizeof(spaces))
        if (!plan_take_body(&e->plan, span_make(spaces, sizeof(spaces))))
            return false;
    return plan_take_body(&e->plan, span_make(spaces, size)) && plan_end(&e->plan);
}

/* Prints an error and returns false if the body is incomplete or more follows. */
static bool take_body(struct explanation *e, struct span input, bool is_known, const char *name)
{
    struct http1_body body;
    struct span data;
    if (e->plan.match.route->operation == CONFIG_PING)
        return true; /* the gateway ignores its body */
    http1_body_init(&body, e->request.framing, e->request.content_length);
    for (;;) {
        switch (http1_body_next(&body, &input, &data)) {
        case HTTP1_BODY_DATA:
            if (!plan_take_body(&e->plan, data))
                return true;
            continue;
        case HTTP1_BODY_MORE:
            if (is_known)
                return option_fail("explain", "%s: the body is incomplete", name);
            return take_spaces(e, body.remaining) || is_refused(e);
        case HTTP1_BODY_BAD:
            refuse(e, OUTCOME_BAD_REQUEST, SPAN("malformed chunked coding in the body"));
            return true;
        case HTTP1_BODY_END:
            if (input.len != 0)
                return option_fail("explain", "%s: %zu bytes follow the request", name, input.len);
            return plan_end(&e->plan) || is_refused(e);
        }
    }
}

/* Plans the request in `input`, with ids of zeroes. Prints an error and returns false if it is not
 * exactly one request. body_is_known: input contains the body. */
static bool explain(struct explanation *e, struct span input, bool body_is_known, const char *name)
{
    const unsigned char random[IDS_RANDOM_SIZE] = {0};
    const struct config_limits *limits = &e->config->limits;
    size_t scanned = 0;
    long len = downstream_scan_head(input, &scanned, limits->head_bytes, &e->plan.outcome,
                                    &e->plan.message);
    if (len == 0)
        return option_fail("explain", "%s: the head is incomplete", name);
    if (len < 0)
        return true;
    const struct plan_input plan_input = {.routes = e->table,
                                          .body_bytes_max = limits->body_bytes,
                                          .random = random,
                                          .arena = &e->arena};
    if (!plan_take_head(&e->plan, &plan_input, span_make(input.at, (size_t)len), &e->request))
        return true;
    return take_body(e, span_from_offset(input, (size_t)len), body_is_known, name);
}

/* ---- for both forms of output ---------------------------------------------------------------- */

static bool template_has_ids(const struct template *t)
{
    for (size_t i = 0; t != NULL && i != t->part_count; ++i) {
        switch (t->parts[i].source) {
        case TEMPLATE_UUID:
        case TEMPLATE_REQUEST_ID:
        case TEMPLATE_TRACE_ID:
        case TEMPLATE_SPAN_ID:
        case TEMPLATE_TRACEPARENT:
            return true;
        case TEMPLATE_TEXT:
        case TEMPLATE_ROUTE:
        case TEMPLATE_HEADER:
        case TEMPLATE_PATH:
        case TEMPLATE_QUERY:
        case TEMPLATE_JSON:
            break;
        }
    }
    return false;
}

/* Returns whether a value of the route is generated per request: a uuid, a trace id. */
static bool has_ids(const struct explanation *e)
{
    for (size_t i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        const struct config_policy *policy = &e->plan.match.route->parameters[i];
        const struct fill_parameter *p = &e->plan.fill.parameters[i];
        if ((p->source == FILL_VALUE && template_has_ids(policy->value)) ||
            (p->source == FILL_DEFAULT && template_has_ids(policy->default_value)) ||
            (p->appended && template_has_ids(policy->append)))
            return true;
    }
    return false;
}

/* "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/e/invocations" */
static struct span upstream_url(struct explanation *e)
{
    const struct endpoint_url *url = &e->plan.match.route->upstream->url;
    return arena_printf(&e->arena, "%s://%.*s%.*s", url->tls ? "https" : "http",
                        SPAN_ARG(url->authority), SPAN_ARG(e->plan.fill.path));
}

/* Returns why route `index` does or does not match the request. */
static const char *verdict_of(const struct explanation *e, size_t index)
{
    switch (route_judge(e->table, index, e->request.method, e->request.host, e->request.path)) {
    case ROUTE_MATCHES:
        return "matches";
    case ROUTE_OTHER_PATH:
        return "other path";
    case ROUTE_CAPTURE_NOT_ALLOWED:
        return "a captured part is not allowed";
    case ROUTE_OTHER_HOST:
        return "other host";
    case ROUTE_OTHER_METHOD:
        return "other method";
    }
    return "";
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Prints text, with control and non-ASCII bytes escaped as \xNN. */
static void print_visibly(struct span s)
{
    for (size_t i = 0; i != s.len; ++i) {
        if (ascii_is_printable(s.at[i]))
            putchar(s.at[i]);
        else
            printf("\\x%02x", (unsigned)(unsigned char)s.at[i]);
    }
}

static void print_label(const char *label)
{
    printf("%-11s", label);
}

static void print_row(const char *label, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void print_row(const char *label, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_label(label);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

static void print_route_name(const struct config_route *route)
{
    printf("%.*s", SPAN_ARG(route->name));
    if (route->file.at != NULL)
        printf(" (%.*s:%u)", SPAN_ARG(route->file), route->line);
}

static void print_route(struct explanation *e)
{
    const struct config_route *route = e->plan.match.route;
    print_label("route");
    print_route_name(route);
    printf(", path %.*s\n", SPAN_ARG(route->path));
    for (size_t i = 0; i != e->plan.match.capture_count; ++i) {
        struct span name = e->plan.match.captures[i].name;
        print_label(i == 0 ? "captures" : "");
        printf("%.*s = ", SPAN_ARG(name.len == 0 ? SPAN("*") : name));
        print_visibly(e->plan.match.captures[i].value);
        putchar('\n');
    }
}

/* Prints the identity whose credentials sign the request or the token. */
static void print_identity(const struct explanation *e)
{
    const struct config_identity *identity = &e->config->identities[e->plan.match.route->identity];
    const struct config_role *role = &identity->role;
    if (role->role_arn.at == NULL)
        print_row("identity", "%.*s", SPAN_ARG(identity->name));
    else if (role->session_name.at == NULL)
        print_row("identity", "%.*s: %.*s", SPAN_ARG(identity->name), SPAN_ARG(role->role_arn));
    else
        print_row("identity", "%.*s: %.*s, session %.*s", SPAN_ARG(identity->name),
                  SPAN_ARG(role->role_arn), SPAN_ARG(role->session_name));
}

static void print_unsigned(struct explanation *e)
{
    const struct config_upstream *upstream = e->plan.match.route->upstream;
    if (e->plan.fill.endpoint.len != 0)
        print_row("endpoint", "%.*s", SPAN_ARG(e->plan.fill.endpoint));
    if (e->plan.match.route->operation == CONFIG_PING) {
        print_row("operation", "ping: reports readiness; nothing is sent upstream");
        return;
    }
    print_row("operation", e->plan.fill.proof == FILL_BEARER
                               ? "openai (chat completions, with a bearer token)"
                               : "container (the model's own, without AWS)");
    print_row("upstream", "%.*s: %.*s", SPAN_ARG(upstream->name), SPAN_ARG(upstream_url(e)));
    if (e->plan.fill.proof == FILL_BEARER)
        print_identity(e);
}

static void print_destination(struct explanation *e)
{
    CHECK(e->plan.match.route != NULL);
    const struct config_upstream *upstream = e->plan.match.route->upstream;
    const struct sagemaker_operation_info *operation =
        sagemaker_operation_info(e->plan.fill.operation);
    if (e->plan.fill.proof != FILL_SIGNED) {
        print_unsigned(e);
        return;
    }
    print_row("endpoint", "%.*s", SPAN_ARG(e->plan.fill.endpoint));
    print_row("operation", "%.*s (%.*s)%s", SPAN_ARG(operation->name),
              SPAN_ARG(operation->api_name),
              e->plan.match.route->operation == CONFIG_NATIVE ? ", from the path"
              : e->plan.match.route->operation == CONFIG_AUTO ? ", chosen by the request"
                                                              : "");
    print_row("upstream", "%.*s: %.*s, signed for %.*s", SPAN_ARG(upstream->name),
              SPAN_ARG(upstream_url(e)), SPAN_ARG(upstream->region));
    print_identity(e);
}

static void print_quoted(const char *before, struct span text, const char *after)
{
    printf("%s\"", before);
    print_visibly(text);
    printf("\"%s", after);
}

/* Prints the operation's parameters that callers may set; others are rejected. */
static void print_callers(const struct explanation *e)
{
    const struct config_route *route = e->plan.match.route;
    const char *separator = "";
    if (!route->callers_may_set_given)
        return;
    print_label("callers");
    printf("may set: ");
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        const struct sagemaker_parameter_info *info =
            sagemaker_parameter_info((enum sagemaker_parameter)i);
        if (info->header[e->plan.fill.operation].at == NULL ||
            (route->callers_may_set & 1u << i) == 0)
            continue;
        printf("%s%.*s", separator, SPAN_ARG(info->api_name));
        separator = ", ";
    }
    puts(separator[0] == '\0' ? "nothing" : "");
}

/* default "${uuid}"; overrides the caller's "x"; allowed: A, B */
static void print_origin(const struct config_policy *policy, const struct fill_parameter *p)
{
    switch (p->source) {
    case FILL_ABSENT:
        if (!p->appended)
            printf("not sent");
        break;
    case FILL_CALLER:
        printf("the caller's");
        break;
    case FILL_DEFAULT:
        print_quoted("default ", policy->default_value->text, "");
        break;
    case FILL_VALUE:
        print_quoted("value ", policy->value->text, "");
        break;
    }
    if (p->source == FILL_ABSENT && policy->value != NULL)
        print_quoted("; value ", policy->value->text, " is empty");
    if (p->source == FILL_ABSENT && policy->value == NULL && policy->default_value != NULL)
        print_quoted("; default ", policy->default_value->text, " is empty");
    if (p->appended)
        print_quoted(p->source == FILL_ABSENT ? "append " : ", append ", policy->append->text, "");
    if (p->append_dropped)
        print_quoted(", append ", policy->append->text, " omitted: over 1024 characters");
    if (p->overridden)
        print_quoted("; overrides the caller's ", p->caller_value, "");
    else if (p->caller_value.len != 0 && p->source != FILL_CALLER)
        print_quoted("; the caller's ", p->caller_value,
                     policy->value != NULL ? " has no effect" : " is ignored");
    for (size_t i = 0; i != policy->allow_count; ++i)
        printf("%s%.*s", i == 0 ? "; allowed: " : ", ", SPAN_ARG(policy->allow[i]));
    if (policy->required)
        printf("; required");
}

static void print_parameters(const struct explanation *e)
{
    bool any = false;
    for (int i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        const struct sagemaker_parameter_info *info =
            sagemaker_parameter_info((enum sagemaker_parameter)i);
        const struct config_policy *policy = &e->plan.match.route->parameters[i];
        const struct fill_parameter *p = &e->plan.fill.parameters[i];
        if (info->header[e->plan.fill.operation].at == NULL ||
            (!policy->set && p->caller_value.at == NULL))
            continue;
        print_label(any ? "" : "parameters");
        any = true;
        printf("%-*.*s ", API_NAME_WIDTH, SPAN_ARG(info->api_name));
        print_visibly(p->value);
        printf("%s<- ", p->value.len == 0 ? "" : "  ");
        print_origin(policy, p);
        putchar('\n');
    }
    if (!any)
        print_row("parameters", "none");
    if (has_ids(e))
        print_row("", "(ids are generated per request; zeroes stand for them here)");
    print_callers(e);
}

static void print_request(const struct explanation *e)
{
    struct http1_header headers[SAGEMAKER_PARAMETERS + 1];
    size_t count = fill_upstream_headers(&e->plan.fill, e->plan.match.route->upstream, headers);
    if (e->plan.match.route->operation == CONFIG_PING)
        return;
    print_row("sends", "%s %.*s HTTP/1.1", e->plan.fill.is_get ? "GET" : "POST",
              SPAN_ARG(e->plan.fill.path));
    for (size_t i = 0; i != count; ++i) {
        print_label("");
        printf("%.*s: ", SPAN_ARG(headers[i].name));
        print_visibly(headers[i].value);
        putchar('\n');
    }
    print_row("", "User-Agent: sagegate");
    print_row("", "Content-Length: (the body's; it is sent unchanged)");
    if (e->plan.fill.proof == FILL_SIGNED) {
        print_row("", "X-Amz-Date: (set when signing)");
        print_row("", "X-Amz-Security-Token: (set when signing with temporary credentials)");
        print_row("", "Authorization: (set when signing each attempt)");
    }
    if (e->plan.fill.proof == FILL_BEARER)
        print_row("", "Authorization: Bearer (a token, minted for 15 minutes)");
    struct span dropped = e->plan.fill.dropped_headers;
    if (dropped.len != 0)
        print_row("drops", "%.*s", SPAN_ARG(dropped));
}

/* Prints the peers only, since the caller is unknown here. */
static void print_guards(const struct config_guards *guards)
{
    if (guards->peer_count == 0)
        return;
    print_label("guards");
    printf("peers");
    for (size_t i = 0; i != guards->peer_count; ++i)
        printf("%s %.*s", i == 0 ? "" : ",", SPAN_ARG(guards->peers[i].text));
    putchar('\n');
}

static const char *format_ms(struct explanation *e, int64_t ms)
{
    if (ms % 1000 != 0)
        return arena_printf(&e->arena, "%" PRId64 " ms", ms).at;
    return arena_printf(&e->arena, "%" PRId64 " s", ms / 1000).at;
}

static void print_limits(struct explanation *e)
{
    const struct config_route *route = e->plan.match.route;
    const struct config_timeouts *t = &route->timeouts;
    print_row("timeouts", "connect %s, first_byte %s, idle %s, total %s",
              format_ms(e, t->connect_ms), format_ms(e, t->first_byte_ms), format_ms(e, t->idle_ms),
              format_ms(e, t->total_ms));
    if (route->body_max % (1024 * 1024) == 0)
        print_row("body_max", "%" PRIu64 " MiB", route->body_max / (1024 * 1024));
    else
        print_row("body_max", "%" PRIu64 " bytes", route->body_max);
    print_row("errors", route->errors == CONFIG_ERRORS_PASS
                            ? "pass: the caller gets upstream errors unchanged"
                            : "unwrap: the caller gets the model's status and message");
}

/* Prints every route and why it does not match. */
static void print_misses(const struct explanation *e)
{
    for (size_t i = 0; i != e->config->route_count; ++i) {
        const struct config_route *route = &e->config->routes[i];
        print_label(i == 0 ? "routes" : "");
        print_route_name(route);
        printf(": ");
        for (size_t m = 0; m != route->method_count; ++m)
            printf("%s%.*s", m == 0 ? "" : ",", SPAN_ARG(route->methods[m]));
        printf(" %.*s%.*s: %s\n", SPAN_ARG(route->host), SPAN_ARG(route->path), verdict_of(e, i));
    }
}

static void print_text(struct explanation *e)
{
    const struct outcome_info *info = outcome_info(e->plan.outcome);
    const struct config_route *route = e->plan.match.route;
    if (route != NULL)
        print_route(e);
    if (!is_refused(e)) {
        CHECK(route != NULL);
        print_guards(&route->guards);
        print_destination(e);
        print_parameters(e);
        print_request(e);
        print_limits(e);
        return;
    }
    if (e->plan.fill.endpoint.at != NULL)
        print_destination(e);
    print_label("refused");
    printf("%.*s, status %d: ", SPAN_ARG(info->token), info->status);
    print_visibly(e->plan.message);
    putchar('\n');
    if (e->plan.parsed && e->plan.match.route == NULL)
        print_misses(e);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Adds a member unless value is SPAN_NONE. */
static void add_text(struct json_writer *json, struct span key, struct span value)
{
    if (value.at != NULL)
        json_writer_add_text(json, key, value);
}

static void add_flag(struct json_writer *json, struct span key, bool value)
{
    if (value)
        json_writer_add_bool(json, key, true);
}

static void add_route(struct json_writer *json, const struct explanation *e)
{
    const struct config_route *route = e->plan.match.route;
    json_writer_open_object(json, SPAN("route"));
    add_text(json, SPAN("name"), route->name);
    add_text(json, SPAN("file"), route->file);
    json_writer_add_u64(json, SPAN("line"), route->line);
    add_text(json, SPAN("path"), route->path);
    json_writer_close_object(json);
    json_writer_open_object(json, SPAN("captures"));
    for (size_t i = 0; i != e->plan.match.capture_count; ++i) {
        struct span name = e->plan.match.captures[i].name;
        add_text(json, name.len == 0 ? SPAN("*") : name, e->plan.match.captures[i].value);
    }
    json_writer_close_object(json);
}

static void add_parameters(struct json_writer *json, const struct explanation *e)
{
    static const char *const sources[] = {[FILL_ABSENT] = "absent",
                                          [FILL_CALLER] = "caller",
                                          [FILL_DEFAULT] = "default",
                                          [FILL_VALUE] = "value"};
    json_writer_open_object(json, SPAN("parameters"));
    for (int i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        const struct sagemaker_parameter_info *info =
            sagemaker_parameter_info((enum sagemaker_parameter)i);
        const struct fill_parameter *p = &e->plan.fill.parameters[i];
        if (p->value.at == NULL && p->caller_value.at == NULL)
            continue;
        json_writer_open_object(json, info->name);
        add_text(json, SPAN("source"), span_from(sources[p->source]));
        add_text(json, SPAN("value"), p->value);
        add_text(json, SPAN("caller_value"), p->caller_value);
        add_flag(json, SPAN("appended"), p->appended);
        add_flag(json, SPAN("append_dropped"), p->append_dropped);
        add_flag(json, SPAN("overridden"), p->overridden);
        json_writer_close_object(json);
    }
    json_writer_close_object(json);
}

/* Adds the identity whose credentials sign, if any. */
static void add_identity(struct json_writer *json, const struct explanation *e)
{
    const struct config_identity *identity = &e->config->identities[e->plan.match.route->identity];
    if (!config_operation_is_aws(e->plan.match.route->operation))
        return;
    add_text(json, SPAN("identity"), identity->name);
    add_text(json, SPAN("role_arn"), identity->role.role_arn);
    add_text(json, SPAN("session_name"), identity->role.session_name);
}

static void add_request(struct json_writer *json, struct explanation *e)
{
    struct http1_header headers[SAGEMAKER_PARAMETERS + 1];
    const struct config_upstream *upstream = e->plan.match.route->upstream;
    size_t count = fill_upstream_headers(&e->plan.fill, upstream, headers);
    add_text(json, SPAN("endpoint"), e->plan.fill.endpoint);
    add_text(json, SPAN("operation"), fill_operation_name(e->plan.match.route, &e->plan.fill));
    add_text(json, SPAN("upstream"), upstream->name);
    add_text(json, SPAN("region"), upstream->region);
    add_identity(json, e);
    add_parameters(json, e);
    json_writer_open_object(json, SPAN("sends"));
    add_text(json, SPAN("method"), e->plan.fill.is_get ? SPAN("GET") : SPAN("POST"));
    add_text(json, SPAN("url"), upstream_url(e));
    json_writer_open_object(json, SPAN("headers"));
    for (size_t i = 0; i != count; ++i)
        add_text(json, headers[i].name, headers[i].value);
    json_writer_close_object(json);
    json_writer_close_object(json);
    add_text(json, SPAN("dropped_headers"), e->plan.fill.dropped_headers);
}

static void add_limits(struct json_writer *json, const struct config_route *route)
{
    json_writer_open_object(json, SPAN("timeouts_ms"));
    json_writer_add_u64(json, SPAN("connect"), (uint64_t)route->timeouts.connect_ms);
    json_writer_add_u64(json, SPAN("first_byte"), (uint64_t)route->timeouts.first_byte_ms);
    json_writer_add_u64(json, SPAN("idle"), (uint64_t)route->timeouts.idle_ms);
    json_writer_add_u64(json, SPAN("total"), (uint64_t)route->timeouts.total_ms);
    json_writer_close_object(json);
    json_writer_add_u64(json, SPAN("body_max"), route->body_max);
}

static void add_misses(struct json_writer *json, const struct explanation *e)
{
    json_writer_open_object(json, SPAN("routes"));
    for (size_t i = 0; i != e->config->route_count; ++i)
        add_text(json, e->config->routes[i].name, span_from(verdict_of(e, i)));
    json_writer_close_object(json);
}

static void print_json(struct explanation *e)
{
    const struct outcome_info *info = outcome_info(e->plan.outcome);
    struct buffer out;
    buffer_init(&out, OUTPUT_MAX);
    struct json_writer writer = json_writer_to(&out), *json = &writer;
    json_writer_open_object(json, SPAN_NONE);
    add_text(json, SPAN("outcome"), info->token);
    if (is_refused(e))
        json_writer_add_u64(json, SPAN("status"), (uint64_t)info->status);
    add_text(json, SPAN("message"), e->plan.message);
    if (e->plan.match.route != NULL)
        add_route(json, e);
    if (!is_refused(e)) {
        add_request(json, e);
        add_limits(json, e->plan.match.route);
    } else if (e->plan.parsed && e->plan.match.route == NULL) {
        add_misses(json, e);
    }
    json_writer_close_object(json);
    printf("%.*s\n", SPAN_ARG(buffer_span(&out)));
    buffer_dispose(&out);
}

/* ---- the command ----------------------------------------------------------------------------- */

/* Returns whether the request would be sent. */
static bool explain_and_print(const struct arguments *args, const struct config *config,
                              const struct route_table *table, struct span input, const char *name)
{
    struct explanation e = {.config = config, .table = table};
    arena_init(&e.arena, 16384);
    bool body_is_known = args->raw.count != 0 || args->body.at != NULL;
    bool is_whole = explain(&e, input, body_is_known, name);
    if (is_whole && args->json)
        print_json(&e);
    else if (is_whole)
        print_text(&e);
    bool is_sent = is_whole && !is_refused(&e);
    arena_dispose(&e.arena);
    return is_sent;
}

static bool explain_arguments(const struct arguments *args, const struct config *config,
                              const struct route_table *table)
{
    struct buffer body, request;
    buffer_init(&body, REQUEST_MAX);
    buffer_init(&request, (size_t)2 * REQUEST_MAX);
    bool is_sent = args->body.at == NULL || read_file(args->body.at, &body);
    if (is_sent) {
        build_request(args, config, buffer_span(&body), &request);
        is_sent = explain_and_print(args, config, table, buffer_span(&request), "the request");
    }
    buffer_dispose(&body);
    buffer_dispose(&request);
    return is_sent;
}

static bool explain_files(const struct arguments *args, const struct config *config,
                          const struct route_table *table)
{
    bool all_sent = true;
    for (size_t i = 0; i != args->raw.count; ++i) {
        struct buffer request;
        buffer_init(&request, REQUEST_MAX);
        if (i != 0 && !args->json)
            putchar('\n');
        all_sent &=
            read_file(args->raw.items[i].at, &request) &&
            explain_and_print(args, config, table, buffer_span(&request), args->raw.items[i].at);
        buffer_dispose(&request);
    }
    return all_sent;
}

int command_explain(int argc, char **argv)
{
    const struct config_options options = {.getenv = command_getenv,
                                           .find_region = region_find_in_files};
    struct span raw[argc];
    struct arguments args = {.raw = {raw, 0, (size_t)argc}};
    int status = parse_arguments(argc, argv, &args);
    if (status >= 0)
        return status;
    struct config *config = command_load_config(args.file, &options, false);
    if (config == NULL)
        return 1;
    struct route_table *table = route_table_create(config);
    bool all_sent = args.raw.count != 0 ? explain_files(&args, config, table)
                                        : explain_arguments(&args, config, table);
    route_table_destroy(table);
    config_release(config);
    return all_sent ? 0 : 1;
}

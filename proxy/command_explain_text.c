/* `sagegate explain` for a person: what has been found out, as short labelled lines. */
#include "command_explain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { API_NAME_WIDTH = 24 /* InvocationTimeoutSeconds */ };

/* Bytes that a terminal would obey are shown as \xNN. */
static void print_visibly(struct span s)
{
    for (size_t i = 0; i != s.len; ++i) {
        unsigned char c = (unsigned char)s.at[i];
        if (c >= ' ' && c < 0x7f)
            putchar(c);
        else
            printf("\\x%02x", (unsigned)c);
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
    const struct config_route *route = e->match.route;
    print_label("route");
    print_route_name(route);
    printf(", path %.*s\n", SPAN_ARG(route->path));
    for (size_t i = 0; i != e->match.capture_count; ++i) {
        struct span name = e->match.captures[i].name;
        print_label(i == 0 ? "captures" : "");
        printf("%.*s = ", SPAN_ARG(name.len == 0 ? SPAN("*") : name));
        print_visibly(e->match.captures[i].value);
        putchar('\n');
    }
}

/* Whose credentials sign, or make the token. */
static void print_identity(const struct explanation *e)
{
    const struct config_identity *identity = &e->config->identities[e->match.route->identity];
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
    const struct config_upstream *upstream = e->match.route->upstream;
    if (e->fill.endpoint.len != 0)
        print_row("endpoint", "%.*s", SPAN_ARG(e->fill.endpoint));
    if (e->match.route->operation == CONFIG_PING) {
        print_row("operation", "ping: answered from readiness, nothing is sent");
        return;
    }
    print_row("operation", e->fill.proof == FILL_BEARER
                               ? "openai (chat completions, with a bearer token)"
                               : "container (the model's own, without AWS)");
    print_row("upstream", "%.*s: %.*s", SPAN_ARG(upstream->name), SPAN_ARG(command_explain_url(e)));
    if (e->fill.proof == FILL_BEARER)
        print_identity(e);
}

static void print_destination(struct explanation *e)
{
    const struct config_upstream *upstream = e->match.route->upstream;
    const struct sagemaker_operation_info *operation = sagemaker_operation_info(e->fill.operation);
    if (e->fill.proof != FILL_SIGNED) {
        print_unsigned(e);
        return;
    }
    print_row("endpoint", "%.*s", SPAN_ARG(e->fill.endpoint));
    print_row("operation", "%.*s (%.*s)%s", SPAN_ARG(operation->name),
              SPAN_ARG(operation->api_name),
              e->match.route->operation == CONFIG_NATIVE ? ", from the path"
              : e->match.route->operation == CONFIG_AUTO ? ", as the request asks"
                                                         : "");
    print_row("upstream", "%.*s: %.*s, signed for %.*s", SPAN_ARG(upstream->name),
              SPAN_ARG(command_explain_url(e)), SPAN_ARG(upstream->region));
    print_identity(e);
}

static void print_quoted(const char *before, struct span text, const char *after)
{
    printf("%s\"", before);
    print_visibly(text);
    printf("\"%s", after);
}

/* Of what the operation has; anything else is refused. */
static void print_callers(const struct explanation *e)
{
    const struct config_route *route = e->match.route;
    const char *separator = "";
    if (!route->callers_may_set_given)
        return;
    print_label("callers");
    printf("may set: ");
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        const struct sagemaker_parameter_info *info =
            sagemaker_parameter_info((enum sagemaker_parameter)i);
        if (info->header[e->fill.operation].at == NULL || (route->callers_may_set & 1u << i) == 0)
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
        print_quoted("; value ", policy->value->text, " gives none");
    if (p->source == FILL_ABSENT && policy->value == NULL && policy->default_value != NULL)
        print_quoted("; default ", policy->default_value->text, " gives none");
    if (p->appended)
        print_quoted(p->source == FILL_ABSENT ? "append " : ", append ", policy->append->text, "");
    if (p->append_dropped)
        print_quoted(", append ", policy->append->text, " left out: over 1024 characters");
    if (p->overridden)
        print_quoted("; overrides the caller's ", p->caller_value, "");
    else if (p->caller_value.len != 0 && p->source != FILL_CALLER)
        print_quoted("; the caller's ", p->caller_value,
                     policy->value != NULL ? " changes nothing" : " counts as none");
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
        const struct config_policy *policy = &e->match.route->parameters[i];
        const struct fill_parameter *p = &e->fill.parameters[i];
        if (info->header[e->fill.operation].at == NULL ||
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
    if (command_explain_has_ids(e))
        print_row("", "(ids are generated per request; here they are zeroes)");
    print_callers(e);
}

static void print_request(const struct explanation *e)
{
    struct http1_header headers[SAGEMAKER_PARAMETERS + 1];
    size_t count = fill_upstream_headers(&e->fill, e->match.route->upstream, headers);
    if (e->match.route->operation == CONFIG_PING)
        return;
    print_row("sends", "%s %.*s HTTP/1.1", e->fill.is_get ? "GET" : "POST", SPAN_ARG(e->fill.path));
    for (size_t i = 0; i != count; ++i) {
        print_label("");
        printf("%.*s: ", SPAN_ARG(headers[i].name));
        print_visibly(headers[i].value);
        putchar('\n');
    }
    print_row("", "Content-Length: (the body's; it goes byte for byte)");
    if (e->fill.proof == FILL_SIGNED) {
        print_row("", "X-Amz-Date: (when signed)");
        print_row("", "X-Amz-Security-Token: (when signed, with temporary credentials)");
        print_row("", "Authorization: (when signed, each attempt anew)");
    }
    if (e->fill.proof == FILL_BEARER)
        print_row("", "Authorization: Bearer (a token, minted for 15 minutes)");
    struct span dropped = e->fill.dropped_headers;
    if (dropped.len != 0)
        print_row("drops", "%.*s", SPAN_ARG(dropped));
}

/* Who it is that calls is not known here. */
static void print_guards(const struct config_guards *guards)
{
    if (guards->peer_count == 0)
        return;
    print_label("guards");
    printf("only for peers");
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
    const struct config_route *route = e->match.route;
    const struct config_timeouts *t = &route->timeouts;
    print_row("timeouts", "connect %s, first_byte %s, idle %s, total %s",
              format_ms(e, t->connect_ms), format_ms(e, t->first_byte_ms), format_ms(e, t->idle_ms),
              format_ms(e, t->total_ms));
    if (route->body_max % (1024 * 1024) == 0)
        print_row("body_max", "%" PRIu64 " MiB", route->body_max / (1024 * 1024));
    else
        print_row("body_max", "%" PRIu64 " bytes", route->body_max);
    print_row("errors", route->errors == CONFIG_ERRORS_PASS
                            ? "pass: the upstream's go to the caller unchanged"
                            : "unwrap: a model's error gets its own status and message");
}

/* Every route and what keeps it from taking the request. */
static void print_misses(const struct explanation *e)
{
    for (size_t i = 0; i != e->config->route_count; ++i) {
        const struct config_route *route = &e->config->routes[i];
        print_label(i == 0 ? "routes" : "");
        print_route_name(route);
        printf(": ");
        for (size_t m = 0; m != route->method_count; ++m)
            printf("%s%.*s", m == 0 ? "" : ",", SPAN_ARG(route->methods[m]));
        printf(" %.*s%.*s: %s\n", SPAN_ARG(route->host), SPAN_ARG(route->path),
               command_explain_verdict(e, i));
    }
}

void command_explain_print_text(struct explanation *e)
{
    if (e->routed)
        print_route(e);
    if (e->outcome == OUTCOME_OK) {
        print_guards(&e->match.route->guards);
        print_destination(e);
        print_parameters(e);
        print_request(e);
        print_limits(e);
        return;
    }
    if (e->filled && e->fill.endpoint.at != NULL)
        print_destination(e);
    print_label("refused");
    printf("%.*s, status %d: ", SPAN_ARG(outcome_info(e->outcome)->token),
           outcome_info(e->outcome)->status);
    print_visibly(e->message);
    putchar('\n');
    if (e->parsed && !e->routed)
        print_misses(e);
}

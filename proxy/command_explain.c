/* `sagegate explain`: which route a request takes, each parameter and where it comes from, what would be
 * sent; it sends nothing. The same code as the request path's decides. */
#include "command_explain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "credentials/region.h"
#include "gateway/guard.h"
#include "option.h"

enum { HEADERS_MAX = HTTP1_HEADERS_MAX + 1 };

struct arguments {
    struct span file, request[2], host, body; /* request: METHOD PATH */
    struct span headers[HEADERS_MAX];
    size_t header_count;
    bool json;
};

/* ---- arguments --------------------------------------------------------------------------------- */

static bool is_one_line(struct span text)
{
    return span_find(text, '\r') == text.len && span_find(text, '\n') == text.len;
}

static bool check_arguments(const struct arguments *args)
{
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

/* Returns -1 to go on, else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *out)
{
    struct option_list headers = {out->headers, 0, HEADERS_MAX};
    const struct option_row rows[] = {
        {"config", 'c', OPTION_REQUIRED, &out->file, "FILE", "the configuration"},
        {"header", 'H', OPTION_LIST, &headers, "'NAME: VALUE'",
         "a header of the request; may be repeated"},
        {"host", 0, OPTION_TEXT, &out->host, "HOST",
         "its Host; default: the first listener's address"},
        {"body", 0, OPTION_TEXT, &out->body, "FILE", "its body, if the route looks into it"},
        {"json", 0, OPTION_FLAG, &out->json, NULL, "print one JSON object"},
    };
    const struct option_table options = {
        .command = "explain",
        .usage = "-c FILE METHOD PATH [OPTION]...",
        .about =
            "Shows what would become of a request: the route, each parameter and where it comes\n"
            "from, the request that would go upstream. Sends nothing and needs no credentials.\n",
        .rows = rows,
        .row_count = sizeof(rows) / sizeof(rows[0]),
        .operands = out->request,
        .operand_min = 2,
        .operand_max = 2,
        .operand_hint = "give one request, METHOD PATH, as in POST /predict",
        .more =
            "Exit status: 0 the request would be sent, 1 it would be refused, or FILE has errors.\n"
            "\n"
            "Example:\n"
            "  sagegate explain -c sidecar.yaml POST /predict/fraud -H 'Content-Type: text/csv'\n"};
    int status = option_parse(&options, argc, argv);
    out->header_count = headers.count;
    return status < 0 && !check_arguments(out) ? 1 : status;
}

/* ---- finding out ------------------------------------------------------------------------------- */

static struct span default_host(const struct config *config)
{
    if (config->listener_count != 0 && config->listeners[0].address.unix_path.at == NULL)
        return config->listeners[0].address.text;
    return SPAN("localhost");
}

static struct span build_head(const struct arguments *args, struct explanation *e)
{
    struct span head =
        arena_printf(&e->arena, "%s %s HTTP/1.1\r\n", args->request[0].at, args->request[1].at);
    bool has_host = false;
    for (size_t i = 0; i != args->header_count; ++i)
        has_host |= span_starts_with_ignore_case(args->headers[i], SPAN("host:"));
    if (args->host.at != NULL)
        head = arena_printf(&e->arena, "%.*sHost: %s\r\n", SPAN_ARG(head), args->host.at);
    else if (!has_host)
        head = arena_printf(&e->arena, "%.*sHost: %.*s\r\n", SPAN_ARG(head),
                            SPAN_ARG(default_host(e->config)));
    for (size_t i = 0; i != args->header_count; ++i)
        head = arena_printf(&e->arena, "%.*s%s\r\n", SPAN_ARG(head), args->headers[i].at);
    return arena_printf(&e->arena, "%.*s\r\n", SPAN_ARG(head));
}

static void refuse(struct explanation *e, enum outcome outcome, struct span message)
{
    e->outcome = outcome;
    e->message = message.at == NULL ? outcome_info(outcome)->text : message;
}

static bool parse(struct explanation *e)
{
    size_t scanned = 0;
    enum http1_fault fault = HTTP1_BAD_LINE;
    if (e->head.len > e->config->limits.head_bytes) {
        refuse(e, OUTCOME_HEAD_TOO_LARGE, SPAN_NONE);
        return false;
    }
    if (http1_scan_head(e->head, &scanned) == (long)e->head.len)
        fault = http1_parse_request(e->head, &e->request);
    e->parsed = fault == HTTP1_OK;
    if (!e->parsed)
        refuse(e, OUTCOME_BAD_REQUEST, http1_fault_text(fault));
    return e->parsed;
}

static bool find_route(struct explanation *e)
{
    struct span path = e->request.path;
    switch (route_find(e->table, e->request.method, e->request.host, path, &e->arena, &e->match)) {
    case ROUTE_FOUND:
        e->routed = true;
        return true;
    case ROUTE_NONE:
        refuse(e, OUTCOME_NO_ROUTE, arena_printf(&e->arena, "no route takes %.*s", SPAN_ARG(path)));
        return false;
    case ROUTE_METHOD_NOT_ALLOWED:
        refuse(
            e, OUTCOME_METHOD_NOT_ALLOWED,
            arena_printf(&e->arena, "%.*s takes %.*s", SPAN_ARG(path), SPAN_ARG(e->match.allowed)));
        return false;
    case ROUTE_BAD_PATH:
        refuse(e, OUTCOME_BAD_REQUEST,
               SPAN("the path has a malformed %-escape, or a capture would be empty, a dot "
                    "segment, or hold %2F, %5C or %00"));
        return false;
    }
    return false;
}

/* Without a file the body is empty. */
static bool scan_file(struct json_scan *json, const char *file)
{
    char piece[4096];
    size_t size;
    if (file == NULL)
        return true;
    FILE *in = fopen(file, "rbe");
    if (in == NULL)
        return false;
    while ((size = fread(piece, 1, sizeof(piece), in)) != 0)
        json_scan_push(json, span_make(piece, size));
    fclose(in);
    return true;
}

/* Ids are zeroes here: what is printed says that they are made for each request. */
static void find_out(struct explanation *e, const char *body)
{
    const unsigned char random[IDS_RANDOM_SIZE] = {0};
    const struct wall_time epoch = {0};
    struct ids ids;
    e->outcome = OUTCOME_OK;
    if (!parse(e) || !find_route(e))
        return;
    struct span forbidden;
    enum outcome guard = guard_check(e->match.route, &e->request, NULL, &e->arena, &forbidden);
    if (guard != OUTCOME_OK) {
        refuse(e, guard, forbidden);
        return;
    }
    ids_make(&ids, random, epoch, &e->request.headers);
    const struct config_route *route = e->match.route;
    fill_request(route, &e->match, &e->request, &ids, &e->arena, &e->fill);
    if (e->fill.needs_body) {
        struct json_scan *json = json_scan_create(&e->arena, route->watched, route->watched_count);
        if (!scan_file(json, body)) {
            refuse(e, OUTCOME_BAD_REQUEST,
                   arena_printf(&e->arena, "--body %s: %s", body, strerror(errno)));
            return;
        }
        fill_request_with_body(route, &e->match, &e->request, &ids, json, &e->arena, &e->fill);
    }
    e->filled = true;
    if (e->fill.outcome != OUTCOME_OK)
        refuse(e, e->fill.outcome, e->fill.message);
}

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

bool command_explain_has_ids(const struct explanation *e)
{
    for (size_t i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        const struct config_policy *policy = &e->match.route->parameters[i];
        const struct fill_parameter *p = &e->fill.parameters[i];
        if ((p->source == FILL_VALUE && template_has_ids(policy->value)) ||
            (p->source == FILL_DEFAULT && template_has_ids(policy->default_value)) ||
            (p->appended && template_has_ids(policy->append)))
            return true;
    }
    return false;
}

struct span command_explain_url(struct explanation *e)
{
    const struct endpoint_url *url = &e->match.route->upstream->url;
    return arena_printf(&e->arena, "%s://%.*s%.*s", url->tls ? "https" : "http",
                        SPAN_ARG(url->authority), SPAN_ARG(e->fill.path));
}

const char *command_explain_verdict(const struct explanation *e, size_t index)
{
    switch (route_judge(e->table, index, e->request.method, e->request.host, e->request.path)) {
    case ROUTE_TAKES:
        return "takes it";
    case ROUTE_OTHER_PATH:
        return "other path";
    case ROUTE_CAPTURE_REFUSED:
        return "but for what its capture would hold";
    case ROUTE_OTHER_HOST:
        return "other host";
    case ROUTE_OTHER_METHOD:
        return "other method";
    }
    return "";
}

int command_explain(int argc, char **argv)
{
    struct arguments args = {.file = SPAN_NONE};
    struct explanation e = {.outcome = OUTCOME_OK};
    const struct config_options load_options = {.getenv = command_getenv,
                                                .find_region = region_find_in_files};
    int status = parse_arguments(argc, argv, &args);
    if (status >= 0)
        return status;
    e.config = command_load_config(args.file, &load_options, false);
    if (e.config == NULL)
        return 1;
    arena_init(&e.arena, 16384);
    e.table = route_table_create(e.config);
    e.head = build_head(&args, &e);
    find_out(&e, args.body.at);
    if (args.json)
        command_explain_print_json(&e);
    else
        command_explain_print_text(&e);
    status = e.outcome == OUTCOME_OK ? 0 : 1;
    route_table_destroy(e.table);
    arena_dispose(&e.arena);
    config_release(e.config);
    return status;
}

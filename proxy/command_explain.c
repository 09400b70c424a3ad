/* `sagegate explain`: which route a request takes, each parameter and where it comes from, what would be
 * sent; it sends nothing. The same code as the request path's decides. */
#include "command_explain.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "credentials/region.h"
#include "gateway/guard.h"

static const char help[] =
    "Usage: sagegate explain -c FILE METHOD PATH [OPTION]...\n"
    "\n"
    "Shows what would become of a request: the route, each parameter and where it comes from,\n"
    "the request that would go upstream. Sends nothing and needs no credentials.\n"
    "\n"
    "  -c, --config FILE           the configuration\n"
    "  -H, --header 'NAME: VALUE'  a header of the request; may be repeated\n"
    "      --host HOST             its Host; default: the first listener's address\n"
    "      --body FILE             its body, where the route looks into it\n"
    "      --json                  one JSON object\n"
    "      --help                  print this and exit\n"
    "\n"
    "Exit status: 0 the request would be sent, 1 it would be refused, or FILE has errors.\n"
    "\n"
    "Example:\n"
    "  sagegate explain -c sidecar.yaml POST /predict/fraud -H 'Content-Type: text/csv'\n";

enum { HEADERS_MAX = HTTP1_HEADERS_MAX + 1 };

struct arguments {
    const char *file, *method, *path, *host, *body;
    const char *headers[HEADERS_MAX];
    size_t header_count;
    bool json;
};

/* ---- arguments --------------------------------------------------------------------------------- */

static bool fail(const char *text)
{
    fprintf(stderr, "sagegate explain: %s; --help tells more\n", text);
    return false;
}

static bool is_one_line(const char *text)
{
    return strpbrk(text, "\r\n") == NULL;
}

/* False with *status set: done. */
static bool parse_options(int argc, char **argv, struct arguments *out, int *status)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"header", required_argument, NULL, 'H'},
                                            {"host", required_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"body", required_argument, NULL, 'b'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;
    *status = 1;
    optind = 1;
    while ((option = getopt_long(argc, argv, "c:H:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            out->file = optarg;
            break;
        case 'H':
            if (out->header_count == HEADERS_MAX)
                return fail("too many headers");
            out->headers[out->header_count++] = optarg;
            break;
        case 'o':
            out->host = optarg;
            break;
        case 'b':
            out->body = optarg;
            break;
        case 'j':
            out->json = true;
            break;
        case 'h':
            fputs(help, stdout);
            *status = 0;
            return false;
        default:
            return false;
        }
    }
    if (out->file == NULL)
        return fail("which file? -c FILE");
    if (argc - optind != 2)
        return fail("which request? METHOD PATH, as in POST /predict");
    out->method = argv[optind];
    out->path = argv[optind + 1];
    for (size_t i = 0; i != out->header_count; ++i)
        if (!is_one_line(out->headers[i]) || strchr(out->headers[i], ':') == NULL)
            return fail("a header is one line, 'NAME: VALUE'");
    if (!is_one_line(out->method) || !is_one_line(out->path) ||
        (out->host != NULL && !is_one_line(out->host)))
        return fail("a method, a path, a host is one line");
    return true;
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
    struct span head = arena_printf(&e->arena, "%s %s HTTP/1.1\r\n", args->method, args->path);
    bool has_host = false;
    for (size_t i = 0; i != args->header_count; ++i)
        has_host |= span_starts_with_ignore_case(span_from(args->headers[i]), SPAN("host:"));
    if (args->host != NULL)
        head = arena_printf(&e->arena, "%.*sHost: %s\r\n", SPAN_ARG(head), args->host);
    else if (!has_host)
        head = arena_printf(&e->arena, "%.*sHost: %.*s\r\n", SPAN_ARG(head),
                            SPAN_ARG(default_host(e->config)));
    for (size_t i = 0; i != args->header_count; ++i)
        head = arena_printf(&e->arena, "%.*s%s\r\n", SPAN_ARG(head), args->headers[i]);
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
    struct arguments args = {.file = NULL};
    struct explanation e = {.outcome = OUTCOME_OK};
    const struct config_options options = {.getenv = command_getenv,
                                           .find_region = region_find_in_files};
    struct problem_list problems;
    int status;
    if (!parse_options(argc, argv, &args, &status))
        return status;
    problem_list_init(&problems);
    e.config = config_load(args.file, &options, &problems);
    if (e.config == NULL) {
        problem_print_all(&problems, stderr);
        problem_list_dispose(&problems);
        return 1;
    }
    arena_init(&e.arena, 16384);
    e.table = route_table_create(e.config);
    e.head = build_head(&args, &e);
    find_out(&e, args.body);
    if (args.json)
        command_explain_print_json(&e);
    else
        command_explain_print_text(&e);
    status = e.outcome == OUTCOME_OK ? 0 : 1;
    route_table_destroy(e.table);
    arena_dispose(&e.arena);
    config_release(e.config);
    problem_list_dispose(&problems);
    return status;
}

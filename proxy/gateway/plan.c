/* The plan for one request, in the order of decisions: parse, route, guard, fill in, check the
 * body. */
#include "gateway/plan.h"

#include "gateway/guard.h"

enum { PATH_SHOWN_MAX = 80 };

static bool refuse(struct plan *plan, enum outcome outcome, struct span message)
{
    plan->outcome = outcome;
    plan->message = message;
    return false;
}

void plan_identify(struct plan *plan, const unsigned char *random, struct wall_time now,
                   const struct http1_request *request)
{
    ids_make(&plan->ids, random, now, &request->headers);
}

static bool parse(struct plan *plan, const struct plan_input *input, struct span head,
                  struct http1_request *request)
{
    enum http1_fault fault = http1_parse_request(head, request);
    plan_identify(plan, input->random, input->now, request);
    if (fault != HTTP1_OK)
        return refuse(plan, OUTCOME_BAD_REQUEST, http1_fault_text(fault));
    plan->parsed = true;
    return true;
}

static bool find_route(struct plan *plan, const struct route_table *routes)
{
    const struct http1_request *request = plan->request;
    struct route_match *match = &plan->match;
    struct span path = request->path;
    enum route_result result =
        route_find(routes, request->method, request->host, path, plan->arena, match);
    if (path.len > PATH_SHOWN_MAX)
        path.len = PATH_SHOWN_MAX;
    switch (result) {
    case ROUTE_FOUND:
        return true;
    case ROUTE_NONE:
        return refuse(plan, OUTCOME_NO_ROUTE,
                      arena_printf(plan->arena, "no route matches %.*s", SPAN_ARG(path)));
    case ROUTE_METHOD_NOT_ALLOWED:
        return refuse(plan, OUTCOME_METHOD_NOT_ALLOWED,
                      arena_printf(plan->arena, "%.*s accepts %.*s only", SPAN_ARG(path),
                                   SPAN_ARG(match->allowed)));
    case ROUTE_BAD_PATH:
        break;
    }
    return refuse(plan, OUTCOME_BAD_REQUEST,
                  SPAN("the path has a malformed %-escape, or a captured part that is empty, a dot "
                       "segment or contains %2F, %5C or %00"));
}

static bool check_guards(struct plan *plan, const struct remote *remote)
{
    struct span message;
    enum outcome outcome =
        guard_check(plan->match.route, plan->request, remote, plan->arena, &message);
    return outcome == OUTCOME_OK || refuse(plan, outcome, message);
}

static bool fill_in(struct plan *plan)
{
    struct source source = {.match = &plan->match,
                            .request = plan->request,
                            .ids = &plan->ids,
                            .json = plan->json,
                            .arena = plan->arena};
    fill_request(&source, &plan->fill);
    return plan->fill.outcome == OUTCOME_OK || refuse(plan, plan->fill.outcome, plan->fill.message);
}

static bool check_body_size(struct plan *plan, uint64_t size)
{
    const struct config_route *route = plan->match.route;
    if (size <= plan->body_max)
        return true;
    return refuse(plan, OUTCOME_BODY_TOO_LARGE,
                  arena_printf(plan->arena, "the body exceeds %llu bytes (%s, route '%.*s')",
                               (unsigned long long)plan->body_max,
                               plan->body_max == route->body_max ? "body_max" : "limits.body_bytes",
                               SPAN_ARG(route->name)));
}

bool plan_take_head(struct plan *plan, const struct plan_input *input, struct span head,
                    struct http1_request *request)
{
    plan->request = request;
    plan->arena = input->arena;
    if (!parse(plan, input, head, request) || !find_route(plan, input->routes) ||
        !check_guards(plan, input->remote) || !fill_in(plan))
        return false;
    if (request->expect_other)
        return refuse(plan, OUTCOME_BAD_REQUEST, SPAN("Expect must be 100-continue or absent"));
    const struct config_route *route = plan->match.route;
    plan->body_max =
        route->body_max < input->body_bytes_max ? route->body_max : input->body_bytes_max;
    if (route->operation == CONFIG_PING)
        plan->body_max = UINT64_MAX; /* discarded */
    if (plan->fill.needs_body)
        plan->json = json_scan_create(plan->arena, route->watched, route->watched_count);
    return request->framing != HTTP1_LENGTH || check_body_size(plan, request->content_length);
}

bool plan_take_body(struct plan *plan, struct span data)
{
    plan->body_size += data.len;
    if (!check_body_size(plan, plan->body_size))
        return false;
    if (plan->json != NULL)
        json_scan_push(plan->json, data);
    return true;
}

/* Checks the input of InvokeEndpointAsync, which comes from the body or from S3. On a native route
 * SageMaker checks it. */
static bool check_input(struct plan *plan)
{
    bool located = plan->fill.parameters[SAGEMAKER_INPUT_LOCATION].value.len != 0;
    if (plan->match.route->operation != CONFIG_ASYNC || located == (plan->body_size == 0))
        return true;
    return refuse(plan, OUTCOME_BAD_PARAMETER,
                  located ? SPAN("InputLocation (X-Amzn-SageMaker-InputLocation): provide "
                                 "InputLocation or a body, not both")
                          : SPAN("InputLocation (X-Amzn-SageMaker-InputLocation): provide "
                                 "InputLocation or a body"));
}

bool plan_end(struct plan *plan)
{
    return (!plan->fill.needs_body || fill_in(plan)) && check_input(plan);
}

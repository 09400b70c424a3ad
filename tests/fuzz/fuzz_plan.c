// links: net gateway
/* Arbitrary requests through routes with every policy: what is sent upstream obeys the API's
 * rules, a rejection has a reason, and splitting the body makes no difference. The first byte
 * selects operation and policies; the rest is the request. */
#include "gateway/downstream.h"
#include "gateway/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const char *const templates[] = {
    "fixed",
    "${uuid}",
    "${header.X-One}",
    "${query.q:-none}",
    "${path.a}.tar.gz",
    "${traceparent}",
    "${query.q}-${header.X-One:-1}",
    "${json.model}",
};

static const struct span watched[] = {SPAN("model"), SPAN("stream")};
static const struct span methods[] = {SPAN("POST"), SPAN("GET")};
static const struct span globs[] = {SPAN("*a*"), SPAN("fixed"), SPAN("[0-9]?-*")};

static const struct template *compile(const char *text, struct arena *arena)
{
    struct template *t = arena_alloc(arena, sizeof(*t));
    struct span fault;
    CHECK(template_compile(span_from(text), arena, t, &fault));
    return t;
}

static void choose_policies(struct config_route *route, unsigned choice, struct arena *arena)
{
    size_t count = sizeof(templates) / sizeof(templates[0]);
    route->methods = methods;
    route->method_count = 2;
    route->body_max = choice % 64;
    route->watched = watched;
    route->watched_count = 2;
    route->operation = (enum config_operation)(choice % (CONFIG_PING + 1));
    route->lacks = choice % 17 == 0 ? ~(uint32_t)1 : 0;
    route->callers_may_set_given = choice % 5 == 0;
    route->callers_may_set = choice * 0x01010101u;
    route->endpoint = compile(choice % 7 == 0 ? "${path.a}" : "fixed", arena);
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        struct config_policy *policy = &route->parameters[i];
        unsigned bits = choice / 3 + i;
        const struct template *t = compile(templates[bits % count], arena);
        *policy = (struct config_policy){.set = bits % 4 != 0, .separator = SPAN(";")};
        if (!policy->set)
            continue;
        policy->default_value = bits % 4 == 1 ? t : NULL;
        policy->value = bits % 8 == 2 ? t : NULL;
        policy->append = bits % 4 == 3 ? t : NULL;
        policy->required = bits % 11 == 0;
        policy->strict_default = bits % 3 == 0;
        policy->allow = globs;
        policy->allow_count = bits % 13 == 0 ? 3 : 0;
    }
}

static void check_sent(const struct fill_result *fill, const struct config_upstream *upstream,
                       struct arena *arena)
{
    struct http1_header headers[SAGEMAKER_PARAMETERS + 1];
    struct span fault;
    size_t count = fill_upstream_headers(fill, upstream, headers);
    CHECK(fill->message.at == NULL);
    CHECK(sagemaker_check_endpoint_name(fill->endpoint, arena, &fault));
    CHECK(fill->path.len != 0);
    CHECK(count >= 1 && count <= SAGEMAKER_PARAMETERS + 1);
    for (size_t i = 0; i != count; ++i) {
        CHECK(headers[i].name.len != 0);
        for (size_t k = 0; k != headers[i].value.len; ++k) {
            unsigned char c = (unsigned char)headers[i].value.at[k];
            CHECK(c == '\t' || (c >= ' ' && c < 0x7f));
        }
        for (size_t k = 0; k != i; ++k)
            CHECK(!span_equals_ignore_case(headers[i].name, headers[k].name));
    }
    for (int i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        struct span value = fill->parameters[i].value;
        if (value.at != NULL)
            CHECK(sagemaker_check_parameter(fill->operation, (enum sagemaker_parameter)i, value,
                                            arena, &fault));
    }
}

/* Feeds the request, its body in pieces of at most `piece` bytes. Returns false if it ends early
 * or its chunks are malformed. */
static bool run(struct plan *plan, struct http1_request *request, const struct plan_input *in,
                struct span input, size_t piece)
{
    struct http1_body body;
    struct span data;
    size_t scanned = 0;
    long len = downstream_scan_head(input, &scanned, 4096, &plan->outcome, &plan->message);
    if (len <= 0)
        return len < 0;
    if (!plan_take_head(plan, in, span_make(input.at, (size_t)len), request))
        return true;
    http1_body_init(&body, request->framing, request->content_length);
    for (struct span rest = span_from_offset(input, (size_t)len);;) {
        struct span now = span_make(rest.at, rest.len < piece ? rest.len : piece);
        size_t before = now.len;
        enum http1_body_result result = http1_body_next(&body, &now, &data);
        rest = span_from_offset(rest, before - now.len);
        if (result == HTTP1_BODY_DATA && !plan_take_body(plan, data))
            return true;
        if (result == HTTP1_BODY_END)
            return plan_end(plan) || plan->outcome != OUTCOME_OK;
        if (result == HTTP1_BODY_BAD || (result == HTTP1_BODY_MORE && rest.len == 0))
            return false;
    }
}

static void check(const struct plan *plan, struct arena *arena)
{
    CHECK(plan->fill.dropped_headers.len <= 256 + 4 /* ",..." */);
    if (plan->outcome != OUTCOME_OK) {
        CHECK(plan->message.len != 0 && outcome_info(plan->outcome)->status >= 400);
        return;
    }
    const struct config_route *route = plan->match.route;
    CHECK(plan->message.at == NULL);
    CHECK(route->operation == CONFIG_PING || plan->body_size <= route->body_max);
    if (route->operation != CONFIG_PING) /* sends nothing */
        check_sent(&plan->fill, route->upstream, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const unsigned char random[IDS_RANDOM_SIZE] = {1, 2, 3};
    struct config_upstream upstream = {.url.authority = SPAN("upstream.example")};
    struct config_route routes[2];
    struct config config = {.routes = routes, .route_count = 2};
    struct http1_request request;
    struct plan whole = {.body_size = 0}, cut = {.body_size = 0};
    struct arena arena;
    if (len == 0)
        return 0;
    arena_init(&arena, 4096);
    for (size_t i = 0; i != 2; ++i) {
        routes[i] = (struct config_route){.name = SPAN("r"), .upstream = &upstream};
        routes[i].path = i == 0 ? SPAN("/endpoints/{a}/*") : SPAN("/{a}");
        choose_policies(&routes[i], bytes[0], &arena);
    }
    struct route_table *table = route_table_create(&config);
    const struct plan_input in = {.routes = table,
                                  .body_bytes_max = 48,
                                  .random = random,
                                  .now = {1700000000000000},
                                  .arena = &arena};
    struct span input = span_make((const char *)bytes + 1, len - 1);
    bool is_decided = run(&whole, &request, &in, input, SIZE_MAX);
    if (is_decided)
        check(&whole, &arena);
    CHECK(run(&cut, &request, &in, input, 1) == is_decided);
    CHECK(cut.outcome == whole.outcome && span_equals(cut.message, whole.message));
    route_table_destroy(table);
    arena_dispose(&arena);
    return 0;
}

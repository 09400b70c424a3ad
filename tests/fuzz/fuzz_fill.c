// links: net gateway
/* Any head that parses, through routes of every policy: what is sent upstream keeps the API's rules, and what is
 * refused says why. The first byte chooses the operation and the policies. */
#include "gateway/fill.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const char *const templates[] = {
    "fixed",
    "${uuid}",
    "${header.X-One}",
    "${query.q:-none}",
    "${path.a}.tar.gz",
    "${traceparent}",
    "${query.q}-${header.X-One:-1}",
};

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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const unsigned char random[IDS_RANDOM_SIZE] = {1, 2, 3};
    const struct wall_time now = {1700000000000000};
    struct config_upstream upstream = {.url.authority = SPAN("upstream.example")};
    struct config_route route = {.name = SPAN("r"), .upstream = &upstream};
    struct route_match match = {
        .route = &route, .captures = {{SPAN("a"), SPAN("captured")}}, .capture_count = 1};
    struct http1_request request;
    struct fill_result fill;
    struct ids ids;
    struct arena arena;
    size_t scanned = 0;
    if (len == 0)
        return 0;
    struct span input = span_make((const char *)bytes + 1, len - 1);
    long head = http1_scan_head(input, &scanned);
    if (head <= 0 || http1_parse_request(span_make(input.at, (size_t)head), &request) != HTTP1_OK)
        return 0;
    arena_init(&arena, 4096);
    choose_policies(&route, bytes[0], &arena);
    ids_make(&ids, random, now, &request.headers);
    fill_request(&route, &match, &request, &ids, &arena, &fill);
    CHECK(fill.dropped_headers.len <= 256 + 4 /* ",..." */);
    if (fill.outcome != OUTCOME_OK)
        CHECK(fill.message.len != 0);
    else if (route.operation != CONFIG_PING) /* which sends nothing */
        check_sent(&fill, &upstream, &arena);
    arena_dispose(&arena);
    return 0;
}

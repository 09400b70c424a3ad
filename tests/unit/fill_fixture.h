/* A hand-made route and a head as text: common set-up for the tests of filling in parameters. */
#ifndef SAGEGATE_TESTS_FILL_FIXTURE_H
#define SAGEGATE_TESTS_FILL_FIXTURE_H

#include "gateway/fill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define UUID "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
#define SM   "X-Amzn-SageMaker-"

static const struct wall_time at = {INT64_C(0x017F22E279B0) * 1000};

struct fixture {
    struct arena arena;
    struct config_route route;
    struct config_upstream upstream;
    struct route_match match;
    struct fill_result result;
};

static inline const struct template *compile(struct fixture *f, const char *text)
{
    struct template *t = arena_zalloc(&f->arena, 1, sizeof(*t));
    struct span fault;
    if (!template_compile(span_from(text), &f->arena, t, &fault))
        fail_msg("%s: %.*s", text, SPAN_ARG(fault));
    return t;
}

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    arena_init(&f->arena, 65536);
    f->route.name = SPAN("r");
    f->route.endpoint = compile(f, "fraud-prod");
    f->upstream.url.authority = SPAN("upstream.example");
    f->route.upstream = &f->upstream;
    f->match.route = &f->route;
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_dispose(&f->arena);
    free(f);
    return 0;
}

static inline struct config_policy *policy(struct fixture *f, enum sagemaker_parameter parameter)
{
    f->route.parameters[parameter].set = true;
    return &f->route.parameters[parameter];
}

static inline void capture(struct fixture *f, struct span name, struct span value)
{
    f->match.captures[f->match.capture_count++] = (struct route_capture){name, value};
}

static inline const struct span *one_span(struct fixture *f, const char *text)
{
    struct span *list = arena_alloc(&f->arena, sizeof(*list));
    *list = span_from(text);
    return list;
}

/* headers: lines terminated by CRLF. */
static inline enum outcome fill_target(struct fixture *f, const char *target, const char *headers)
{
    const unsigned char random[IDS_RANDOM_SIZE] = {[10] = 0x0C, 0xC3, 0x18, 0xC4, 0xDC,
                                                   0x0C,        0x0C, 0x07, 0x39, 0x8F};
    struct http1_request request;
    struct ids ids;
    struct span head =
        arena_printf(&f->arena, "POST %s HTTP/1.1\r\nHost: local\r\n%s\r\n", target, headers);
    assert_int_equal(http1_parse_request(head, &request), HTTP1_OK);
    ids_make(&ids, random, at, &request.headers);
    struct source source = {
        .match = &f->match, .request = &request, .ids = &ids, .arena = &f->arena};
    fill_request(&source, &f->result);
    if (f->result.outcome == OUTCOME_OK)
        assert_null(f->result.message.at);
    else
        assert_true(f->result.message.len != 0);
    return f->result.outcome;
}

static inline enum outcome fill(struct fixture *f, const char *headers)
{
    return fill_target(f, "/predict", headers);
}

static inline void check_message(struct fixture *f, const char *wanted)
{
    struct span message = arena_copy(&f->arena, f->result.message);
    if (message.at == NULL || strcmp(message.at, wanted) != 0)
        fail_msg("\"%s\", not \"%s\"", message.at == NULL ? "" : message.at, wanted);
}

static inline void check_says(struct fixture *f, const char *part)
{
    struct span message = arena_copy(&f->arena, f->result.message);
    if (message.at == NULL || strstr(message.at, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", message.at == NULL ? "" : message.at, part);
}

/* Returns the upstream headers except Host, as "Name: value|Name: value". */
static inline const char *sent(struct fixture *f)
{
    struct http1_header out[SAGEMAKER_PARAMETERS + 1];
    struct span text = SPAN("");
    size_t count = fill_upstream_headers(&f->result, &f->upstream, out);
    assert_true(span_equals(out[0].name, SPAN("Host")));
    assert_true(span_equals(out[0].value, SPAN("upstream.example")));
    for (size_t i = 1; i != count; ++i)
        text = arena_printf(&f->arena, "%.*s%s%.*s: %.*s", SPAN_ARG(text), i == 1 ? "" : "|",
                            SPAN_ARG(out[i].name), SPAN_ARG(out[i].value));
    return text.at;
}

static inline void check_sent(struct fixture *f, const char *headers, const char *wanted)
{
    if (fill(f, headers) != OUTCOME_OK)
        fail_msg("%s: %.*s", headers, SPAN_ARG(f->result.message));
    if (strcmp(sent(f), wanted) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", headers, sent(f), wanted);
}

static inline const char *repeated(struct fixture *f, char c, size_t count)
{
    char *text = arena_alloc(&f->arena, count + 1);
    memset(text, c, count);
    text[count] = '\0';
    return text;
}

#endif

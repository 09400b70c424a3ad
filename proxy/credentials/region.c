/* Asking the instance for its region, and the shared files for the profile's. */
#include "credentials/region.h"

#include "credentials/chain.h"
#include "net/http_client.h"
#include "net/loop_thread.h"

enum { CALL_TIMEOUT_MS = 1000, TURN_MS = 100 };

static void on_done(struct http_client *call)
{
    *(bool *)call->owner = true;
}

/* The answer's text, in arena; SPAN_NONE with *fault where it is no 200. */
static struct span ask(struct loop *loop, const struct http_client_request *request,
                       struct arena *arena, struct span *fault)
{
    struct http_client call;
    struct span text = SPAN_NONE;
    bool done = false;
    http_client_start(&call, loop, request, on_done, &done);
    while (!done)
        loop_turn(loop, TURN_MS);
    if (call.status == 200)
        text = arena_copy(arena, span_trim(http_client_response(&call)));
    else if (call.status == 0)
        *fault = arena_printf(arena, "imds: %.*s: %s", SPAN_ARG(request->url->authority), call.why);
    else
        *fault = arena_printf(arena, "imds: %.*s: HTTP status %d",
                              SPAN_ARG(request->url->authority), call.status);
    http_client_dispose(&call);
    return text;
}

/* What is asked of the instance, and its answer. */
struct question {
    const struct chain *chain;
    struct arena *arena;
    struct span *fault;
    struct span region;
};

static struct span ask_instance(struct loop *loop, const struct chain *chain, struct arena *arena,
                                struct span *fault)
{
    struct http_client_request request = {
        .url = &chain->url,
        .method = SPAN("PUT"),
        .path = SPAN("/latest/api/token"),
        .headers = {{SPAN("x-aws-ec2-metadata-token-ttl-seconds"), SPAN("60")}},
        .header_count = 1,
        .timeout_ms = CALL_TIMEOUT_MS};
    struct span token = ask(loop, &request, arena, fault);
    if (token.at == NULL && !chain->imds_v1)
        return SPAN_NONE;
    for (size_t i = 0; token.at != NULL && i != token.len; ++i)
        if (token.at[i] <= ' ' || token.at[i] >= 0x7f) {
            *fault = SPAN("imds: the session token has control characters");
            return SPAN_NONE;
        }
    request.method = SPAN("GET");
    request.path = SPAN("/latest/meta-data/placement/region");
    request.headers[0] = (struct http_client_header){SPAN("x-aws-ec2-metadata-token"), token};
    request.header_count = token.len != 0;
    return ask(loop, &request, arena, fault);
}

static void on_thread(struct loop *loop, void *context)
{
    struct question *question = context;
    question->region = ask_instance(loop, question->chain, question->arena, question->fault);
}

struct span region_find(config_getenv getenv, void *getenv_context,
                        const struct config_credentials *credentials, bool from_instance,
                        struct arena *arena, struct span *fault)
{
    const struct config_identity identity = {.credentials = *credentials};
    const struct chain_options options = {&identity, getenv, getenv_context, clock_wall()};
    struct chain chain;
    if (!from_instance)
        return chain_profile_region(getenv, getenv_context, credentials->profile, arena, fault);
    if (!chain_resolve_imds(&options, arena, &chain, fault))
        return SPAN_NONE;
    struct question question = {.chain = &chain, .arena = arena, .fault = fault};
    loop_thread_join(loop_thread_start(on_thread, &question));
    struct span region = question.region;
    if (region.at == NULL || endpoint_region_is_valid(region))
        return region;
    *fault = SPAN("imds: what should be the region is none");
    return SPAN_NONE;
}

struct span region_find_in_files(config_getenv getenv, void *getenv_context,
                                 const struct config_credentials *credentials, bool from_instance,
                                 struct arena *arena, struct span *fault)
{
    return from_instance
               ? SPAN_NONE
               : chain_profile_region(getenv, getenv_context, credentials->profile, arena, fault);
}

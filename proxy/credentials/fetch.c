/* Carrying out a chain: the base, then role after role. */
#include "credentials/fetch.h"

#include "credentials/document.h"

enum { PROCESS_TIMEOUT_MS = 30 * 1000 };

static void begin_base(struct fetch *fetch);
static void go_on(struct fetch *fetch);
static void on_process_done(struct process *process);

void fetch_init(struct fetch *fetch, const struct fetch_options *options)
{
    *fetch = (struct fetch){.options = *options};
    arena_init(&fetch->arena, 4096);
}

/* What one run needs, given back; the result stays. */
static void clear_run(struct fetch *fetch)
{
    http_client_dispose(&fetch->call);
    process_dispose(&fetch->process);
    chain_dispose(&fetch->chain);
    secret_dispose(&fetch->token);
    credentials_release(fetch->set);
    fetch->set = NULL;
    X509_STORE_free(fetch->trust);
    fetch->trust = NULL;
}

/* Steps end the run from within fetch_start or from the loop's turn; on_done is for the latter. */
static void end(struct fetch *fetch, enum credentials_result result)
{
    bool in_turn = fetch->running;
    fetch->running = false;
    fetch->result = result;
    clear_run(fetch);
    if (in_turn)
        fetch->options.on_done(fetch);
}

void fetch_fail(struct fetch *fetch, struct span fault)
{
    fetch->notes = (struct source_notes){.fault = fault};
    end(fetch, CREDENTIALS_FAILED);
}

bool fetch_start(struct fetch *fetch)
{
    const struct fetch_options *options = &fetch->options;
    const struct chain_options chain_options = {options->identity, options->getenv,
                                                options->getenv_context, clock_wall()};
    CHECK(!fetch->running);
    credentials_release(fetch->found);
    fetch->found = NULL;
    fetch->token_renewed = false;
    fetch->clock_corrected = false;
    fetch->role_index = 0;
    fetch->result = CREDENTIALS_NOT_CONFIGURED;
    arena_reset(&fetch->arena);
    document_init();
    if (chain_resolve(&chain_options, &fetch->arena, &fetch->chain, &fetch->notes) !=
        CREDENTIALS_FOUND) {
        end(fetch, CREDENTIALS_FAILED);
        return true;
    }
    begin_base(fetch);
    fetch->running = fetch->result == CREDENTIALS_NOT_CONFIGURED;
    return !fetch->running;
}

void fetch_dispose(struct fetch *fetch)
{
    fetch->running = false;
    clear_run(fetch);
    credentials_release(fetch->found);
    arena_dispose(&fetch->arena);
    *fetch = (struct fetch){0};
}

/* ---- the base ---- */

static void begin_process(struct fetch *fetch)
{
    if (process_start(&fetch->process, fetch->options.loop, fetch->chain.argv, PROCESS_TIMEOUT_MS,
                      on_process_done, fetch))
        return;
    fetch_fail(fetch, arena_printf(&fetch->arena, "process: %s", fetch->process.why));
}

static void on_process_done(struct process *process)
{
    struct fetch *fetch = process->owner;
    struct span fault = span_from(process->why);
    struct credentials *set = NULL;
    if (fault.len == 0)
        set = document_read_set(DOCUMENT_PROCESS, buffer_span(&process->output), SPAN("process"),
                                &fetch->arena, &fault);
    if (set == NULL) {
        fetch_fail(fetch, arena_printf(&fetch->arena, "process: %s: %.*s", fetch->chain.argv[0],
                                       SPAN_ARG(fault)));
        return;
    }
    fetch_take_base(fetch, set);
}

static void begin_base(struct fetch *fetch)
{
    switch (fetch->chain.base) {
    case CHAIN_SET:
        fetch_take_base(fetch, credentials_retain(fetch->chain.set));
        return;
    case CHAIN_PROCESS:
        begin_process(fetch);
        return;
    case CHAIN_WEB_IDENTITY:
        fetch_from_web_identity(fetch);
        return;
    case CHAIN_CONTAINER:
        fetch_from_container(fetch);
        return;
    case CHAIN_IMDS:
        fetch_from_imds(fetch);
        return;
    case CHAIN_SSO:
        fetch_from_sso(fetch);
        return;
    }
}

void fetch_take_base(struct fetch *fetch, struct credentials *set)
{
    credentials_release(fetch->set);
    fetch->set = set;
    go_on(fetch);
}

/* ---- roles ---- */

static void go_on(struct fetch *fetch)
{
    if (fetch->role_index != fetch->chain.role_count) {
        fetch_assume_role(fetch);
        return;
    }
    fetch->found = fetch->set;
    fetch->set = NULL;
    end(fetch, CREDENTIALS_FOUND);
}

/* ---- calls ---- */

bool fetch_call(struct fetch *fetch, struct http_client_request *request,
                void (*on_done)(struct http_client *call))
{
    struct span fault;
    struct tls_trust_options options = {.ca_file = fetch->chain.ca_file};
    if (request->url->tls && fetch->trust == NULL) {
        fetch->trust = tls_trust_load(&options, &fetch->arena, &fault);
        if (fetch->trust == NULL) {
            fetch_fail(fetch,
                       arena_printf(&fetch->arena, "%.*s: %s: %.*s", SPAN_ARG(fetch->chain.source),
                                    fetch->chain.ca_origin, SPAN_ARG(fault)));
            return false;
        }
    }
    request->trust = fetch->trust;
    http_client_dispose(&fetch->call);
    http_client_start(&fetch->call, fetch->options.loop, request, on_done, fetch);
    return true;
}

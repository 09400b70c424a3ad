/* `sagegate doctor`: checks what a running gateway needs, in order of dependency. */
#include "commands.h"
#include "credentials/fetch.h"
#include "credentials/region.h"
#include "credentials/sts.h"
#include "net/dialer.h"
#include "option.h"

#include <stdio.h>
#include <stdlib.h>

enum { TURN_MS = 200, DIAL_LIMIT_MS = 5000, FETCH_LIMIT_MS = 40000 };

/* The exit status: the lowest fault found. */
enum doctor_fault {
    DOCTOR_WELL = 0,
    DOCTOR_CONFIG = 1,
    DOCTOR_CREDENTIALS = 2,
    DOCTOR_IDENTITY = 3,
    DOCTOR_NETWORK = 4,
    DOCTOR_TLS = 5,
    DOCTOR_CLOCK = 6,
};

struct doctor {
    const struct config *config;
    struct loop *loop;
    struct arena arena;
    struct skew skew;
    struct fetch fetch;
    struct http_client call;
    struct dialer_request dial;
    bool done; /* the pending operation has ended */
    bool connected;
    enum dialer_failure failure;
    char why[160];
    enum doctor_fault fault;
};

static void note_fault(struct doctor *doctor, enum doctor_fault fault)
{
    if (doctor->fault == DOCTOR_WELL || fault < doctor->fault)
        doctor->fault = fault;
}

#define print_line(topic, good, ...)                                                               \
    (printf("%-4s %-12s ", (good) ? "ok" : "FAIL", topic), printf(__VA_ARGS__), putchar('\n'))

/* Returns false on timeout. */
static bool wait_until_done(struct doctor *doctor, int64_t limit_ms)
{
    struct mono_time end = clock_after_ms(clock_mono(), limit_ms);
    while (!doctor->done && clock_mono().us < end.us)
        loop_turn(doctor->loop, TURN_MS);
    return doctor->done;
}

/* ---- credentials ---- */

static void on_fetched(struct fetch *fetch)
{
    ((struct doctor *)fetch->options.owner)->done = true;
}

/* Prints "env: not configured" and so on, one line each. */
static void print_trail(struct span trail)
{
    struct span line;
    while (span_split(trail, '\n', &line, &trail))
        printf("       %14s%.*s\n", "", SPAN_ARG(line));
}

static void print_set(const struct credentials *set, struct span name, struct wall_time now)
{
    char expires[CLOCK_RFC3339_SIZE] = "never";
    bool over = credentials_is_expired(set, now);
    if (set->expires.us != 0)
        clock_format_rfc3339(set->expires, expires);
    struct span tail = credentials_key_id_tail(set);
    print_line("credentials", !over, "%.*s: %.*s, key id ...%.*s, %s %s%s", SPAN_ARG(name),
               SPAN_ARG(set->source), SPAN_ARG(tail), over ? "expired" : "expires", expires,
               over
                   ? ": the source must provide newer credentials, or this machine's clock is wrong"
                   : "");
}

/* ---- identity ---- */

static void on_response(struct http_client *call)
{
    ((struct doctor *)call->owner)->done = true;
}

static bool ask_identity(struct doctor *doctor, const struct chain *chain,
                         const struct credentials *set)
{
    struct http_client_request request;
    struct tls_trust_options options = {.ca_file = chain->ca_file};
    struct span fault = SPAN_NONE;
    struct buffer form;
    char text[128];
    buffer_init_fixed(&form, text, sizeof(text));
    sts_append_caller_identity(&form);
    sts_request(chain, buffer_span(&form), set, skew_correct(&doctor->skew, clock_wall()),
                &doctor->arena, &request);
    request.trust = chain->sts.tls ? tls_trust_load(&options, &doctor->arena, &fault) : NULL;
    if (chain->sts.tls && request.trust == NULL) {
        print_line("identity", false, "%s: %.*s", chain->ca_origin, SPAN_ARG(fault));
        return false;
    }
    doctor->done = false;
    http_client_start(&doctor->call, doctor->loop, &request, on_response, doctor);
    (void)wait_until_done(doctor, FETCH_LIMIT_MS);
    X509_STORE_free(request.trust);
    return true;
}

static bool check_clock(struct doctor *doctor, struct wall_time date)
{
    int64_t off_s = (clock_wall().us - date.us) / 1000000;
    bool good = date.us == 0 || (off_s > -SKEW_LEAST_S && off_s < SKEW_LEAST_S);
    if (date.us == 0)
        print_line("clock", true, "the response had no Date header to compare with");
    else
        print_line("clock", good, "this machine's clock differs from AWS's by %lld s",
                   (long long)off_s);
    if (!good)
        note_fault(doctor, DOCTOR_CLOCK);
    return good;
}

/* Calls GetCallerIdentity and compares the clock with the response's Date. */
static void check_identity(struct doctor *doctor, const struct config_identity *identity,
                           const struct credentials *set)
{
    struct chain chain;
    const struct chain_options options = {identity, command_getenv, NULL, clock_wall()};
    struct sts_response response = {0};
    struct span fault = SPAN_NONE;
    bool good = chain_resolve_sts(&options, &doctor->arena, &chain, &fault);
    if (good && !ask_identity(doctor, &chain, set)) {
        note_fault(doctor, DOCTOR_IDENTITY);
        return;
    }
    /* Rejected because of the clock: retry with AWS's time, as the gateway would. */
    if (good && doctor->call.status != 0 && doctor->call.status != 200 && chain.sts.tls &&
        skew_learn(&doctor->skew, doctor->call.date, clock_wall())) {
        http_client_dispose(&doctor->call);
        good = ask_identity(doctor, &chain, set);
    }
    if (good && doctor->call.status == 0)
        fault = span_from(doctor->call.why);
    good = good && doctor->call.status != 0 &&
           sts_read(http_client_response(&doctor->call), &doctor->arena, &response, &fault);
    if (good && response.arn.len != 0)
        print_line("identity", true, "%.*s: %.*s, account %.*s", SPAN_ARG(identity->label),
                   SPAN_ARG(response.arn), SPAN_ARG(response.account));
    else
        print_line("identity", false, "%.*s: sts: %.*s: %.*s%.*s%s%.*s", SPAN_ARG(identity->label),
                   SPAN_ARG(chain.sts.authority), SPAN_ARG(fault), SPAN_ARG(response.error_code),
                   response.error_code.len != 0 ? ": " : "", SPAN_ARG(response.error_message));
    if (response.arn.len == 0)
        note_fault(doctor, DOCTOR_IDENTITY);
    if (doctor->call.status != 0)
        (void)check_clock(doctor, doctor->call.date);
    http_client_dispose(&doctor->call);
}

static void check_credentials(struct doctor *doctor, const struct config_identity *identity)
{
    struct fetch *fetch = &doctor->fetch;
    const struct fetch_options options = {.loop = doctor->loop,
                                          .identity = identity,
                                          .getenv = command_getenv,
                                          .skew = &doctor->skew,
                                          .on_done = on_fetched,
                                          .owner = doctor};
    fetch_init(fetch, &options);
    doctor->done = false;
    bool ended = fetch_start(fetch) || wait_until_done(doctor, FETCH_LIMIT_MS);
    bool found = ended && fetch->result == CREDENTIALS_FOUND;
    struct wall_time now = skew_correct(&doctor->skew, clock_wall());
    bool good = found && !credentials_is_expired(fetch->found, now);
    if (found)
        print_set(fetch->found, identity->label, now);
    else if (!ended)
        print_line("credentials", false, "%.*s: %.*s: no result within %d s",
                   SPAN_ARG(identity->label), SPAN_ARG(fetch->chain.source), FETCH_LIMIT_MS / 1000);
    else
        print_line("credentials", false, "%.*s: %.*s", SPAN_ARG(identity->label),
                   SPAN_ARG(fetch->notes.fault));
    print_trail(fetch->chain.trail);
    if (fetch->notes.warning.len != 0)
        print_line("credentials", true, "warning: %.*s", SPAN_ARG(fetch->notes.warning));
    if (good)
        check_identity(doctor, identity, fetch->found);
    else
        note_fault(doctor, DOCTOR_CREDENTIALS);
    fetch_dispose(fetch);
}

/* ---- upstreams ---- */

static void on_connected(struct dialer_request *dial, struct connection *conn)
{
    struct doctor *doctor = dial->owner;
    connection_close(conn);
    doctor->connected = doctor->done = true;
}

static void on_dial_failed(struct dialer_request *dial, enum dialer_failure failure,
                           const char *why)
{
    struct doctor *doctor = dial->owner;
    doctor->failure = failure;
    snprintf(doctor->why, sizeof(doctor->why), "%s", why);
    doctor->done = true;
}

static void check_upstream(struct doctor *doctor, const struct config_upstream *upstream)
{
    static const char *const stages[] = {
        [DIALER_DNS_FAILED] = "DNS lookup failed",
        [DIALER_CONNECT_FAILED] = "cannot connect",
        [DIALER_PROXY_REFUSED] = "CONNECT failed",
        [DIALER_TLS_FAILED] = "TLS",
    };
    struct tls_trust_options trust = {upstream->ca_file.at, upstream->extra_ca_files,
                                      upstream->extra_ca_file_count};
    struct dialer_options options = {.host = upstream->url.host,
                                     .port = upstream->url.port,
                                     .proxy_host = upstream->proxy_host,
                                     .proxy_port = upstream->proxy_port,
                                     .proxy_authorization = upstream->proxy_authorization};
    struct span fault, name = upstream->name;
    if (upstream->url.tls) {
        options.trust = tls_trust_load(&trust, &doctor->arena, &fault);
        if (options.trust == NULL) {
            print_line("upstream", false, "%.*s: %.*s", SPAN_ARG(name), SPAN_ARG(fault));
            note_fault(doctor, DOCTOR_TLS);
            return;
        }
    }
    struct dialer *dialer = dialer_create(doctor->loop, &options);
    doctor->dial = (struct dialer_request){
        .on_connected = on_connected, .on_failed = on_dial_failed, .owner = doctor};
    doctor->done = doctor->connected = false;
    doctor->failure = DIALER_CONNECT_FAILED;
    snprintf(doctor->why, sizeof(doctor->why), "no response within %d ms", DIAL_LIMIT_MS);
    loop_read_clock(doctor->loop);
    dialer_connect(dialer, &doctor->dial);
    (void)wait_until_done(doctor, DIAL_LIMIT_MS);
    dialer_cancel(&doctor->dial);
    dialer_destroy(dialer);
    X509_STORE_free(options.trust);
    if (doctor->connected) {
        print_line("upstream", true, "%.*s: %.*s (%s), region %.*s", SPAN_ARG(name),
                   SPAN_ARG(upstream->url.authority), upstream->url.tls ? "TLS" : "plaintext",
                   SPAN_ARG(upstream->region));
        return;
    }
    print_line("upstream", false, "%.*s: %.*s: %s: %s", SPAN_ARG(name),
               SPAN_ARG(upstream->url.authority), stages[doctor->failure], doctor->why);
    note_fault(doctor, doctor->failure == DIALER_TLS_FAILED ? DOCTOR_TLS : DOCTOR_NETWORK);
}

/* ---- the list ---- */

static bool is_used(const struct config *config, size_t identity)
{
    for (size_t i = 0; i != config->route_count; ++i)
        if (config->routes[i].identity == identity &&
            config_operation_is_aws(config->routes[i].operation))
            return true;
    return false;
}

static int examine(const struct config *config)
{
    struct doctor doctor = {.config = config, .loop = loop_create()};
    arena_init(&doctor.arena, 4096);
    print_line("config", true, "%zu routes, %zu upstreams, %zu identities", config->route_count,
               config->upstream_count, config->named_identity_count);
    for (size_t i = 0; i != config->identity_count; ++i)
        if (is_used(config, i))
            check_credentials(&doctor, &config->identities[i]);
    for (size_t i = 0; i != config->upstream_count; ++i)
        check_upstream(&doctor, &config->upstreams[i]);
    arena_dispose(&doctor.arena);
    return (int)doctor.fault;
}

static struct span find_region(config_getenv getenv, void *getenv_context,
                               const struct config_credentials *credentials, bool from_instance,
                               struct arena *arena, struct span *fault)
{
    struct skew skew = {0};
    struct credential_service *service =
        credential_service_create(&(struct credential_service_options){.skew = &skew});
    struct span region =
        region_find(service, getenv, getenv_context, credentials, from_instance, arena, fault);
    credential_service_destroy(service);
    return region;
}

int command_doctor(int argc, char **argv)
{
    struct span file = SPAN_NONE;
    const struct option_row rows[] = {
        {"config", 'c', OPTION_REQUIRED, &file, "FILE", "the configuration"},
    };
    const struct option_table options = {
        .command = "doctor",
        .usage = "-c FILE",
        .about =
            "Checks what a gateway with this configuration needs: the configuration, the "
            "credential\n"
            "sources and why each was skipped or used, the identity that owns the credentials,\n"
            "DNS, connection and TLS of each upstream, and the clock. Invokes no model.\n",
        .rows = rows,
        .row_count = sizeof(rows) / sizeof(rows[0]),
        .more = "Exit status: 0 if all checks passed, else the lowest number that applies: 1 "
                "configuration,\n"
                "2 credentials, 3 identity (STS), 4 DNS or connection, 5 TLS, 6 clock.\n"};
    int status = option_parse(&options, argc, argv);
    if (status >= 0)
        return status;
    const struct config_options load_options = {.getenv = command_getenv,
                                                .find_region = find_region};
    struct config *config = command_load_config(file, &load_options, true);
    if (config == NULL) {
        print_line("config", false, "%s: see above", file.at);
        return DOCTOR_CONFIG;
    }
    status = examine(config);
    config_release(config);
    return status;
}

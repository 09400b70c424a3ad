/* sagegate run: start-up as a list, then signals and reloads until the drain ends. */
#include "commands.h"
#include "credentials/region.h"
#include "gateway/admin.h"
#include "gateway/gateway.h"
#include "gateway/scrape.h"
#include "net/systemd.h"
#include "observe/log.h"
#include "option.h"
#include "version.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    SET_MAX = 64,
    TURN_MS = 1000,
    SECOND_SIGNAL_US = 1000000, /* coreutils' timeout(1) sends the same signal twice at once */
};

struct run_options {
    struct span file;
    struct config_flags flags;
    struct span set[SET_MAX];
};

/* The process's main thread. */
struct run {
    struct run_options options;
    struct skew skew; /* of the machine's clock */
    struct credential_service *credential_service;
    struct arena arena;
    struct config *config; /* started with */
    struct gateway gateway;
    struct loop *loop;
    struct admin *admin;
    struct loop_watch signals;
    struct loop_watch wake; /* of wake_fd */
    int signal_fd;
    int wake_fd; /* written by each worker that has ended */
    uint64_t workers_ended;
    struct mono_time fed;      /* the service manager's watchdog */
    bool stopping;             /* SIGTERM or SIGINT was received */
    struct mono_time stopped;  /* when */
    struct mono_time drain_at; /* when the workers begin to drain */
    bool draining;             /* they have begun */
};

static struct run run;

/* ---- options ---- */

static struct span or_env(struct span given, const char *name)
{
    return given.at != NULL ? given : span_from(getenv(name));
}

/* Returns -1 to go on, else the exit status. */
static int read_options(int argc, char **argv, struct run_options *out)
{
    struct config_flags *flags = &out->flags;
    struct option_list set = {out->set, 0, SET_MAX};
    const struct option_row rows[] = {
        {"config", 'c', OPTION_TEXT, &out->file, "FILE", "the configuration (or SAGEGATE_CONFIG)"},
        {"endpoint", 0, OPTION_TEXT, &flags->endpoint, "NAME",
         "run without a file: send every POST to this endpoint (or SAGEGATE_ENDPOINT)"},
        {"listen", 0, OPTION_TEXT, &flags->listen, "ADDRESS",
         "default 127.0.0.1:8080 (or SAGEGATE_LISTEN)"},
        {"region", 0, OPTION_TEXT, &flags->region, "REGION",
         "default AWS_REGION, then AWS_DEFAULT_REGION (or SAGEGATE_REGION)"},
        {"operation", 0, OPTION_TEXT, &flags->operation, "NAME",
         "the route's operation, default invoke (or SAGEGATE_OPERATION)"},
        {"set", 0, OPTION_LIST, &set, "KEY=VALUE",
         "any key of the file, e.g. upstream.ca_file=/etc/ssl/ca.pem,\n"
         "route.timeouts.total=90s; may be repeated"},
    };
    const struct option_table options = {
        .command = "run",
        .usage = "-c FILE\n"
                 "sagegate run --endpoint NAME [--listen ADDRESS] [--region REGION]\n"
                 "             [--operation OPERATION] [--set KEY=VALUE]...",
        .about =
            "Serves until SIGTERM or SIGINT, then drains and exits with 0. A second signal, at "
            "least\n"
            "one second after the first, exits immediately. SIGHUP reloads the configuration, but\n"
            "keeps the current one if the new one has errors. SIGUSR1 reopens the access log.\n",
        .rows = rows,
        .row_count = sizeof(rows) / sizeof(rows[0])};
    int status = option_parse(&options, argc, argv);
    flags->set = out->set;
    flags->set_count = set.count;
    return status;
}

static bool has_flags(const struct config_flags *flags)
{
    return flags->listen.at != NULL || flags->region.at != NULL || flags->operation.at != NULL ||
           flags->set_count != 0;
}

/* Chooses a file or flags, with defaults from the environment. */
static bool settle_options(struct run_options *options)
{
    struct config_flags *flags = &options->flags;
    if (options->file.at != NULL && flags->endpoint.at != NULL)
        return option_fail("run", "use either -c FILE or --endpoint NAME, not both");
    if (options->file.at != NULL && has_flags(flags))
        return option_fail("run", "--listen, --region, --operation and --set require --endpoint; "
                                  "with -c FILE, set them in the file");
    if (flags->endpoint.at == NULL)
        options->file = or_env(options->file, "SAGEGATE_CONFIG");
    if (options->file.at != NULL)
        return true;
    flags->endpoint = or_env(flags->endpoint, "SAGEGATE_ENDPOINT");
    flags->listen = or_env(flags->listen, "SAGEGATE_LISTEN");
    flags->region = or_env(flags->region, "SAGEGATE_REGION");
    flags->operation = or_env(flags->operation, "SAGEGATE_OPERATION");
    return flags->endpoint.len != 0 ||
           option_fail("run", "-c FILE or --endpoint NAME is required; see sagegate run --help");
}

/* Cached, because the instance's region never changes across reloads. */
static struct span find_region(config_getenv getenv, void *getenv_context,
                               const struct config_credentials *credentials, bool from_instance,
                               struct arena *arena, struct span *fault)
{
    static char known[64];
    if (from_instance && known[0] != '\0')
        return arena_copy(arena, span_from(known));
    struct span region = region_find(run.credential_service, getenv, getenv_context, credentials,
                                     from_instance, arena, fault);
    if (from_instance && region.len < sizeof(known))
        snprintf(known, sizeof(known), "%.*s", SPAN_ARG(region));
    return region;
}

/* Returns NULL if it has errors. Logs errors and warnings, and leaves them in problems. */
static struct config *load(const struct run_options *options, const char *topic,
                           struct problem_list *problems)
{
    struct config_options load_options = {.getenv = command_getenv, .find_region = find_region};
    problem_list_init(problems);
    struct config *config = options->file.at != NULL
                                ? config_load(options->file.at, &load_options, problems)
                                : config_load_flags(&options->flags, &load_options, problems);
    log_write_problems(topic, problems);
    return config;
}

/* ---- reload ---- */

static void give_reasons(struct reasons *reasons, const struct problem_list *problems,
                         struct arena *arena)
{
    for (const struct problem *p = problems->first; p != NULL; p = p->next)
        reasons_add(reasons, p->level == PROBLEM_WARNING ? SPAN("warning") : SPAN("error"),
                    arena_printf(arena, "%.*s:%u:%u: %.*s", SPAN_ARG(p->file), p->line, p->column,
                                 SPAN_ARG(p->message)));
}

/* Returns false with *fault, in arena, if nothing changed. reasons may be NULL. */
static bool take_new_config(struct reasons *reasons, struct arena *arena, struct span *fault)
{
    struct problem_list problems;
    struct config *config = load(&run.options, "reload", &problems);
    if (reasons != NULL)
        give_reasons(reasons, &problems, arena);
    problem_list_dispose(&problems);
    if (config == NULL) {
        *fault = SPAN("the configuration has errors");
        return false;
    }
    bool taken = gateway_reload(&run.gateway, config, reasons, arena, fault);
    if (taken) {
        log_set_level((enum log_level)config->log_level);
        log_write(LOG_INFO, "reload", "switched to the new configuration: %zu routes",
                  config->route_count);
    }
    config_release(config); /* a snapshot has its own reference */
    return taken;
}

/* By SIGHUP (reasons is NULL) or POST /reload. */
static bool reload(struct reasons *reasons)
{
    struct arena arena;
    struct span fault = SPAN("the gateway is shutting down");
    arena_init(&arena, 1024);
    systemd_notify_reloading();
    ++run.gateway.reloads;
    bool taken = !run.stopping && take_new_config(reasons, &arena, &fault);
    if (!taken) {
        ++run.gateway.reloads_refused;
        log_write(LOG_ERROR, "reload",
                  "reload failed, the current configuration stays active: %.*s", SPAN_ARG(fault));
        reasons_add(reasons, SPAN("refused"), fault);
    }
    systemd_notify(run.stopping ? "STOPPING=1" : "READY=1\nSTATUS=serving");
    arena_dispose(&arena);
    return taken;
}

/* ---- signals and the end ---- */

/* All threads block signals; the main thread reads them from a descriptor. */
static int block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* The first signal makes /ready false; after drain.delay, in which load balancers notice, the
 * workers drain. A second one, of either kind, exits at once unless it comes within a second of
 * the first. */
static void stop(int signal_number)
{
    struct mono_time now = clock_mono();
    if (run.stopping && clock_us_between(run.stopped, now) < SECOND_SIGNAL_US)
        return;
    if (run.stopping) {
        log_write(LOG_WARNING, "drain", "second signal received: exiting immediately");
        _exit(1);
    }
    run.stopping = true;
    run.stopped = now;
    run.drain_at = clock_after_ms(now, run.gateway.snapshot->config->drain.delay_ms);
    atomic_store(&run.gateway.group.draining, true);
    log_write(LOG_INFO, "drain", "%s: draining: finishing in-flight requests",
              strsignal(signal_number));
    systemd_notify("STOPPING=1\nSTATUS=draining");
}

/* Returns how long the main thread may wait; starts the drain when it is due. */
static int next_turn_ms(void)
{
    if (!run.stopping || run.draining)
        return TURN_MS;
    int64_t left_us = clock_us_between(clock_mono(), run.drain_at);
    if (left_us > 0)
        return left_us / 1000 + 1 < TURN_MS ? (int)(left_us / 1000 + 1) : TURN_MS;
    run.draining = true;
    gateway_drain(&run.gateway);
    return TURN_MS;
}

static void on_signal(struct loop_watch *signals)
{
    struct signalfd_siginfo info;
    while (read(loop_watch_fd(signals), &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGTERM:
        case SIGINT:
            stop((int)info.ssi_signo);
            break;
        case SIGUSR1:
            if (run.gateway.group.access_log != NULL)
                access_log_reopen(run.gateway.group.access_log);
            break;
        case SIGHUP:
            if (!run.stopping)
                (void)reload(NULL);
            break;
        }
    }
}

/* On a worker's thread. */
static void on_worker_ended(struct worker_group *group)
{
    (void)group;
    (void)eventfd_write(run.wake_fd, 1);
}

static void on_wake(struct loop_watch *wake)
{
    eventfd_t ended;
    if (eventfd_read(loop_watch_fd(wake), &ended) == 0)
        run.workers_ended += ended;
}

static bool is_ready(void *context, struct reasons *reasons)
{
    struct gateway *gateway = context;
    return worker_is_ready(&gateway->group, gateway->snapshot, reasons);
}

static void write_metrics(void *context, struct buffer *out)
{
    scrape_write(context, out);
}

static bool on_reload_asked(void *context, struct reasons *reasons)
{
    (void)context;
    return reload(reasons);
}

/* Feeds the watchdog while this thread and all workers turn their loops, twice as often as
 * asked. */
static void feed_watchdog(void)
{
    struct mono_time now = clock_mono();
    int64_t ms = systemd_watchdog_ms();
    if (ms == 0 || clock_us_between(run.fed, now) < ms * 1000 / 2 ||
        !worker_have_all_turned(&run.gateway.group))
        return;
    run.fed = now;
    systemd_notify("WATCHDOG=1");
}

/* ---- start-up: each step logs the error and returns false if it fails ---- */

/* On the credential service's thread. */
static void on_credentials(void *context, enum provider_event event, struct span message)
{
    (void)context;
    log_write(event == PROVIDER_LOADED ? LOG_INFO : LOG_WARNING, "credentials", "%.*s",
              SPAN_ARG(message));
}

static void start_credentials(void)
{
    run.credential_service = credential_service_create(&(struct credential_service_options){
        .getenv = command_getenv, .skew = &run.skew, .on_event = on_credentials});
}

static bool load_config(void)
{
    struct problem_list problems;
    run.config = load(&run.options, "config", &problems);
    problem_list_dispose(&problems);
    return run.config != NULL;
}

static void prepare_process(void)
{
#ifndef __SANITIZE_ADDRESS__         /* its leak check attaches to the process */
    (void)prctl(PR_SET_DUMPABLE, 0); /* no core dump with keys in it */
#endif
    log_set_level((enum log_level)run.config->log_level);
    systemd_open();
    run.signal_fd = block_signals();
    run.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(run.signal_fd >= 0 && run.wake_fd >= 0);
}

static bool fail_start(struct span fault)
{
    log_write(LOG_ERROR, "start", "%.*s", SPAN_ARG(fault));
    return false;
}

static bool open_gateway(void)
{
    struct span fault;
    const struct gateway_options options = {
        .config = run.config,
        .credential_service = run.credential_service,
        .skew = &run.skew,
        .on_worker_ended = on_worker_ended,
        .version = span_from(SAGEGATE_VERSION),
        .build = span_from(SAGEGATE_BUILD),
    };
    return gateway_open(&run.gateway, &options, &run.arena, &fault) || fail_start(fault);
}

static bool open_admin(void)
{
    struct span fault;
    run.loop = loop_create();
    connection_watch_departures(run.loop);
    const struct admin_options options = {
        .admin = run.config->has_admin ? &run.config->admin : NULL,
        .health = run.config->has_health ? &run.config->health : NULL,
        .is_ready = is_ready,
        .reload = on_reload_asked,
        .write_metrics = write_metrics,
        .context = &run.gateway,
        .loop = run.loop,
        .version = span_from(SAGEGATE_VERSION),
        .build = span_from(SAGEGATE_BUILD),
    };
    run.admin = admin_create(&options, &run.arena, &fault);
    return run.admin != NULL || fail_start(fault);
}

static void watch_signals(void)
{
    run.signals.on_readable = on_signal;
    run.wake.on_readable = on_wake;
    loop_watch(run.loop, &run.signals, run.signal_fd);
    loop_watch(run.loop, &run.wake, run.wake_fd);
}

static void announce(void)
{
    struct span untaken = systemd_untaken(&run.arena);
    if (untaken.at != NULL)
        log_write(LOG_WARNING, "listener",
                  "the service manager passed a socket for %.*s, but the configuration has no such "
                  "listener",
                  SPAN_ARG(untaken));
    log_write(LOG_INFO, "start", "serving: %zu routes, %u workers", run.config->route_count,
              run.config->workers);
    systemd_notify("READY=1\nSTATUS=serving");
}

static void serve(void)
{
    while (run.workers_ended != run.gateway.group.count) {
        loop_turn(run.loop, next_turn_ms());
        gateway_drop_snapshots(&run.gateway);
        log_tell_held_back();
        feed_watchdog();
    }
    admin_destroy(run.admin);
}

int command_run(int argc, char **argv)
{
    int status = read_options(argc, argv, &run.options);
    if (status >= 0)
        return status;
    if (!settle_options(&run.options))
        return 1;
    arena_init(&run.arena, 4096);
    start_credentials();
    status = 1;
    if (load_config()) {
        prepare_process();
        if (open_gateway() && open_admin()) {
            watch_signals();
            gateway_start(&run.gateway);
            announce();
            serve();
            status = 0;
        }
        gateway_close(&run.gateway);
    }
    if (status == 0)
        log_write(LOG_INFO, "drain", "done");
    log_tell_held_back();
    config_release(run.config);
    credential_service_destroy(run.credential_service);
    arena_dispose(&run.arena);
    return status;
}

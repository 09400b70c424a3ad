/* libh2o's HTTP server for the admin and health listeners; the main thread's loop. */
#include "gateway/admin.h"

#include "base/clock.h"
#include "gateway/admin_listener.h"
#include "gateway/admin_pages.h"
#include "net/listen.h"
#include "observe/log.h"

#include <errno.h>
#include <stdlib.h>

enum {
    CONNECTIONS_MAX = 64,
    REQUEST_TIMEOUT_MS = 10000, /* an idle connection, a head and its body, in all */
    ENTITY_MAX = 4096,
    CLOSE_LIMIT_MS = 200,
    WATCHES_MAX = 8
};

struct watch {
    h2o_socket_t *socket;
    void (*on_readable)(void *context, int fd);
    void *context;
    int fd;
};

struct admin {
    struct admin *next_ended;
    struct admin_options options;
    h2o_loop_t *loop;
    h2o_globalconf_t config;
    h2o_context_t context;
    struct admin_listener listeners[2]; /* admin, health */
    struct watch watches[WATCHES_MAX];
    size_t watch_count;
    struct admin_pages pages;
};

struct handler {
    h2o_handler_t super;
    const struct admin_listener *listener;
};

/* ---- requests ---- */

/* libh2o: a whole request has come. */
static int on_request(h2o_handler_t *super, h2o_req_t *req)
{
    const struct admin_listener *listener = ((struct handler *)super)->listener;
    admin_pages_answer(&listener->admin->pages, listener->is_health, req);
    return 0;
}

/* ---- listeners ---- */

static void configure_library(struct admin *admin)
{
    static const char *const names[] = {"admin", "health"};
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX; /* no temporary files */
    h2o_config_init(&admin->config);
    admin->config.server_name = h2o_iovec_init(H2O_STRLIT("sagegate"));
    admin->config.http1.upgrade_to_http2 = 0;
    admin->config.http1.req_timeout = REQUEST_TIMEOUT_MS;
    admin->config.max_request_entity_size = ENTITY_MAX;
    for (size_t i = 0; i != 2; ++i) {
        h2o_iovec_t name = h2o_iovec_init(names[i], strlen(names[i]));
        h2o_hostconf_t *host = h2o_config_register_host(&admin->config, name, 65535);
        h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
        path->error_log.emit_request_errors = 0;
        host->fallback_path.error_log.emit_request_errors = 0;
        struct handler *handler = (struct handler *)h2o_create_handler(path, sizeof(*handler));
        handler->super.on_req = on_request;
        handler->listener = &admin->listeners[i];
        admin->listeners[i].hosts[0] = host;
    }
}

static bool open_listeners(struct admin *admin, struct arena *arena, struct span *fault)
{
    for (size_t i = 0; i != 2; ++i) {
        struct admin_listener *listener = &admin->listeners[i];
        if (admin_listener_open(listener, arena, fault))
            continue;
        if (i == 1)
            listen_close(admin->listeners[0].fd, admin->listeners[0].address);
        return false;
    }
    return true;
}

static struct admin *make_admin(const struct admin_options *options)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    CHECK(admin != NULL);
    admin->options = *options;
    admin->pages.options = &admin->options;
    if (admin->options.connections_max == 0)
        admin->options.connections_max = CONNECTIONS_MAX;
    for (size_t i = 0; i != 2; ++i)
        admin_listener_init(&admin->listeners[i], admin, i == 0 ? options->admin : options->health,
                            admin->options.connections_max);
    admin->listeners[1].is_health = true;
    return admin;
}

struct admin *admin_create(const struct admin_options *options, struct arena *arena,
                           struct span *fault)
{
    struct admin *admin = make_admin(options);
    if (!open_listeners(admin, arena, fault)) {
        free(admin);
        return NULL;
    }
    configure_library(admin);
    admin->loop = h2o_evloop_create();
    h2o_context_init(&admin->context, admin->loop, &admin->config);
    for (size_t i = 0; i != 2; ++i)
        if (admin->listeners[i].fd != -1)
            admin_listener_start(&admin->listeners[i], &admin->context);
    return admin;
}

/* ---- the loop ---- */

void admin_turn(struct admin *admin, int max_wait_ms)
{
    for (size_t i = 0; i != 2; ++i)
        if (admin->listeners[i].resume_at.us != 0 && max_wait_ms > ADMIN_LISTENER_PAUSE_MS)
            max_wait_ms = ADMIN_LISTENER_PAUSE_MS;
    /* epoll_ctl failing would leave a descriptor silently unpolled: nothing good can follow. */
    if (h2o_evloop_run(admin->loop, max_wait_ms) != 0)
        CHECK(errno == EINTR);
    for (size_t i = 0; i != 2; ++i)
        admin_listener_resume(&admin->listeners[i], clock_mono());
}

static void on_watched_readable(h2o_socket_t *socket, const char *error)
{
    struct watch *watch = socket->data;
    if (error == NULL)
        watch->on_readable(watch->context, watch->fd);
}

void admin_watch_fd(struct admin *admin, int fd, void (*on_readable)(void *context, int fd),
                    void *context)
{
    CHECK(admin->watch_count != WATCHES_MAX);
    struct watch *watch = &admin->watches[admin->watch_count++];
    watch->on_readable = on_readable;
    watch->context = context;
    watch->fd = fd;
    watch->socket = h2o_evloop_socket_create(admin->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    watch->socket->data = watch;
    h2o_socket_read_start(watch->socket, on_watched_readable);
}

/* ---- the end ---- */

static unsigned connections_of(const struct admin *admin)
{
    return admin->listeners[0].connections + admin->listeners[1].connections;
}

/* Stands in for the owner's, who may be half gone by now. */
static bool is_never_ready(void *context, struct admin_reasons *reasons)
{
    (void)context;
    admin_reason(reasons, SPAN("draining"), SPAN("the gateway is shutting down"));
    return false;
}

void admin_destroy(struct admin *admin)
{
    static struct admin *ended; /* keeps what the library cannot free in sight of leak checkers */
    if (admin == NULL)
        return;
    admin->options.is_ready = is_never_ready;
    admin->options.write_metrics = NULL;
    for (size_t i = 0; i != 2; ++i)
        admin_listener_stop(&admin->listeners[i]);
    while (admin->watch_count != 0)
        h2o_socket_close(admin->watches[--admin->watch_count].socket);
    struct mono_time limit = clock_after_ms(clock_mono(), CLOSE_LIMIT_MS);
    do
        admin_turn(admin, 10);
    while (connections_of(admin) != 0 && clock_us_between(clock_mono(), limit) > 0);
    admin->next_ended = ended;
    ended = admin;
}

struct span admin_name(const struct admin *admin, struct arena *arena)
{
    return admin_listener_name(&admin->listeners[0], arena);
}

struct span admin_health_name(const struct admin *admin, struct arena *arena)
{
    return admin_listener_name(&admin->listeners[1], arena);
}

struct span admin_library_version(void)
{
    return SPAN(H2O_VERSION);
}

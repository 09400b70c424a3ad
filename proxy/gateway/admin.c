/* Serves /live, /ready and the like with libh2o's HTTP server; turns the main thread's loop. */
#include "gateway/admin.h"

#include "base/clock.h"
#include "gateway/admin_listener.h"
#include "net/listen.h"
#include "observe/exposition.h"
#include "observe/log.h"

#include <errno.h>
#include <stdlib.h>

enum {
    CONNECTIONS_MAX = 64,
    REQUEST_TIMEOUT_MS = 10000, /* an idle connection, a head and its body, in all */
    ENTITY_MAX = 4096,
    CLOSE_LIMIT_MS = 200,
    BODY_MAX = 131072, /* more than 32 reasons of 512 bytes, all escapes, can take */
    REASONS_MAX = 32,
    REASON_MESSAGE_MAX = 512,
    METRICS_PAGES_MAX = 4, /* under way at a time: a reader that does not read holds one */
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
    unsigned metrics_pages; /* under way */
};

struct handler {
    h2o_handler_t super;
    const struct admin_listener *listener;
};

struct admin_reasons {
    struct buffer *out;
    unsigned count;
};

/* ---- answers ---- */

static void send_page(h2o_req_t *req, int status, const char *reason, const char *content_type,
                      const struct buffer *body)
{
    req->res.status = status;
    req->res.reason = reason;
    req->res.content_length = body->len;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type,
                   strlen(content_type));
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                   H2O_STRLIT("no-store"));
    h2o_send_inline(req, body->at, body->len);
}

static void send_json(h2o_req_t *req, int status, const char *reason, const struct buffer *body)
{
    send_page(req, status, reason, "application/json", body);
}

void admin_reason(struct admin_reasons *reasons, struct span code, struct span message)
{
    if (reasons->count == REASONS_MAX)
        return;
    if (message.len > REASON_MESSAGE_MAX)
        message.len = REASON_MESSAGE_MAX;
    buffer_append(reasons->out,
                  reasons->count++ == 0 ? SPAN("{\"code\":\"") : SPAN(",{\"code\":\""));
    buffer_append_json(reasons->out, code);
    buffer_append(reasons->out, SPAN("\",\"message\":\""));
    buffer_append_json(reasons->out, message);
    buffer_append(reasons->out, SPAN("\"}"));
}

static void answer_live(const struct admin_listener *listener, h2o_req_t *req, struct buffer *body)
{
    (void)listener;
    buffer_append(body, SPAN("{\"live\":true}\n"));
    send_json(req, 200, "OK", body);
}

static void answer_ready(const struct admin_listener *listener, h2o_req_t *req, struct buffer *body)
{
    const struct admin_options *options = &listener->admin->options;
    struct buffer items;
    buffer_init(&items, BODY_MAX);
    struct admin_reasons reasons = {.out = &items};
    bool ready = options->is_ready == NULL || options->is_ready(options->context, &reasons);
    buffer_append(body, ready ? SPAN("{\"ready\":true") : SPAN("{\"ready\":false"));
    buffer_append(body, SPAN(",\"reasons\":["));
    buffer_append(body, buffer_span(&items));
    buffer_append(body, SPAN("]}\n"));
    buffer_dispose(&items);
    send_json(req, ready ? 200 : 503, ready ? "OK" : "Service Unavailable", body);
}

/* libh2o: the request's memory is given back, and the page with it. */
static void on_metrics_page_gone(void *place)
{
    --(*(struct admin **)place)->metrics_pages;
}

/* The page lives in the request until its reader has it all. */
static void send_metrics(struct admin *admin, h2o_req_t *req, const struct buffer *page)
{
    struct admin **place =
        h2o_mem_alloc_shared(&req->pool, sizeof(struct admin *), on_metrics_page_gone);
    *place = admin;
    ++admin->metrics_pages;
    send_page(req, 200, "OK", EXPOSITION_CONTENT_TYPE, page);
}

static void answer_metrics(const struct admin_listener *listener, h2o_req_t *req,
                           struct buffer *body)
{
    struct admin *admin = listener->admin;
    struct buffer page;
    if (admin->metrics_pages == METRICS_PAGES_MAX) {
        buffer_append(body,
                      SPAN("{\"error\":\"busy\",\"message\":\"others have not read theirs\"}\n"));
        send_json(req, 503, "Service Unavailable", body);
        return;
    }
    buffer_init(&page, ADMIN_METRICS_MAX);
    admin->options.write_metrics(admin->options.context, &page);
    if (page.overflowed) {
        log_write(LOG_ERROR, "metrics", "the page of /metrics is longer than %d bytes",
                  ADMIN_METRICS_MAX);
        buffer_append(body, SPAN("{\"error\":\"too_large\",\"message\":\"too many series\"}\n"));
        send_json(req, 500, "Internal Server Error", body);
    } else {
        send_metrics(admin, req, &page);
    }
    buffer_dispose(&page);
}

static void answer_version(const struct admin_listener *listener, h2o_req_t *req,
                           struct buffer *body)
{
    buffer_append(body, SPAN("{\"version\":\""));
    buffer_append_json(body, listener->admin->options.version);
    buffer_append(body, SPAN("\",\"build\":\""));
    buffer_append_json(body, listener->admin->options.build);
    buffer_append(body, SPAN("\"}\n"));
    send_json(req, 200, "OK", body);
}

static void answer_paths(const struct admin_listener *listener, h2o_req_t *req,
                         struct buffer *body);

static const struct page {
    struct span path;
    bool on_health;
    void (*answer)(const struct admin_listener *listener, h2o_req_t *req, struct buffer *body);
} pages[] = {
    {SPAN("/live"), true, answer_live},       {SPAN("/ready"), true, answer_ready},
    {SPAN("/metrics"), true, answer_metrics}, {SPAN("/version"), false, answer_version},
    {SPAN("/"), false, answer_paths},
};
enum { PAGES = sizeof(pages) / sizeof(pages[0]) };

static bool has_page(const struct admin_listener *listener, const struct page *page)
{
    if (page->answer == answer_metrics && listener->admin->options.write_metrics == NULL)
        return false;
    return page->on_health || !listener->is_health;
}

static void put_paths(const struct admin_listener *listener, struct buffer *body)
{
    struct span separator = SPAN("\"paths\":[\"");
    for (size_t i = 0; i != PAGES; ++i) {
        if (!has_page(listener, &pages[i]))
            continue;
        buffer_append(body, separator);
        buffer_append(body, pages[i].path);
        separator = SPAN("\",\"");
    }
    buffer_append(body, SPAN("\"]}\n"));
}

static void answer_paths(const struct admin_listener *listener, h2o_req_t *req, struct buffer *body)
{
    buffer_append_char(body, '{');
    put_paths(listener, body);
    send_json(req, 200, "OK", body);
}

static void answer_not_found(const struct admin_listener *listener, h2o_req_t *req,
                             struct buffer *body)
{
    buffer_append(body, SPAN("{\"error\":\"not_found\",\"message\":\"no such path here\","));
    put_paths(listener, body);
    send_json(req, 404, "Not Found", body);
}

static void answer_wrong_method(h2o_req_t *req, struct buffer *body)
{
    buffer_append(body, SPAN("{\"error\":\"method_not_allowed\",\"message\":\"GET or HEAD\"}\n"));
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("allow"), 0, NULL,
                          H2O_STRLIT("GET, HEAD"));
    send_json(req, 405, "Method Not Allowed", body);
}

static const struct page *find_page(const struct admin_listener *listener, struct span path)
{
    for (size_t i = 0; i != PAGES; ++i)
        if (span_equals(pages[i].path, path) && has_page(listener, &pages[i]))
            return &pages[i];
    return NULL;
}

/* libh2o: a whole request has come. The answer is sent before this returns (and the library has
 * copied it). */
static int on_request(h2o_handler_t *super, h2o_req_t *req)
{
    const struct admin_listener *listener = ((struct handler *)super)->listener;
    struct span method = span_make(req->method.base, req->method.len);
    struct span path = span_make(req->path.base, req->path.len);
    struct buffer body;
    path.len = span_find(path, '?');
    buffer_init(&body, BODY_MAX + 64);
    const struct page *page = find_page(listener, path);
    if (page == NULL)
        answer_not_found(listener, req, &body);
    else if (!span_equals(method, SPAN("GET")) && !span_equals(method, SPAN("HEAD")))
        answer_wrong_method(req, &body);
    else
        page->answer(listener, req, &body);
    buffer_dispose(&body);
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

/* The admin and health pages, as requests of downstream connections. */
#include "gateway/admin.h"

#include "gateway/downstream.h"
#include "net/acceptor.h"
#include "net/listen.h"
#include "observe/log.h"
#include "observe/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    CONNECTIONS_MAX = 64,
    REQUEST_TIMEOUT_MS = 10000, /* an idle connection; a head and its body together */
    REASONS_SIZE_MAX = 131072,  /* all reasons, every byte escaped */
    METRICS_IN_FLIGHT_MAX = 4,
    SPARES = 4,
};

struct listener {
    struct admin *admin;
    const struct config_address *address; /* NULL: no such listener */
    bool is_health;
    struct acceptor acceptor;
    struct downstream_set downstreams;
};

struct admin {
    struct admin_options options;
    struct listener listeners[2]; /* admin, health */
    /* Reserve descriptors, so that probes are served when callers have used up all others. */
    int spares[SPARES];
    unsigned spare_count;
};

struct request {
    struct listener *listener;
    struct downstream *downstream;
    struct timer timer; /* REQUEST_TIMEOUT_MS */
    struct downstream_facts facts;
    void (*respond)(struct request *request); /* called once the body is complete */
    const struct page *page;                  /* NULL: not found */
    uint64_t body_bytes;
    int minor_version;
    bool is_head, keep_alive, responded;
    struct buffer text;            /* the response's body */
    size_t text_sent;              /* bytes of text that the writer has */
    struct json_writer json;       /* into text, in an open object */
    struct mono_time metrics_from; /* when text was filled with metrics; 0: it has none */
};

static struct span allowed_methods(const struct page *page);
static void end(struct request *request, enum downstream_ending ending);
static void refuse(void *context, enum outcome outcome, struct span message);

/* ---- responses ---- */

/* Writes what the connection takes of a response, up to the watermark per turn. */
static void flush(void *context)
{
    struct request *request = context;
    struct downstream *downstream = request->downstream;
    struct writer *writer = &downstream->writer;
    size_t held = writer_held(writer), left = request->text.len - request->text_sent;
    if (request->responded && held < WRITER_HIGH_WATERMARK) {
        size_t room = WRITER_HIGH_WATERMARK - held, piece = left < room ? left : room;
        writer_append_body(writer, span_make(request->text.at + request->text_sent, piece));
        request->text_sent += piece;
        left -= piece;
    }
    if (!writer_flush(writer, &downstream->conn)) {
        end(request, DOWNSTREAM_ABORT);
        return;
    }
    if (!request->responded) /* sent 100 Continue; waits for the body */
        return;
    if (left != 0) {
        connection_want_writable(&downstream->conn);
        return;
    }
    if (writer_held(writer) == 0 && connection_is_flushed(&downstream->conn))
        end(request, request->keep_alive ? DOWNSTREAM_KEEP : DOWNSTREAM_CLOSE);
}

/* Responds with request->text as the body. May end the request. */
static void respond(struct request *request, int status, struct span type)
{
    struct writer *writer = &request->downstream->writer;
    char date[CLOCK_HTTP_SIZE];
    clock_format_http(clock_wall(), date);
    loop_cancel_timer(request->listener->downstreams.loop, &request->timer);
    request->responded = true;
    writer_append_status(writer, status);
    writer_append_header(writer, SPAN("Date"), span_from(date));
    writer_append_header(writer, SPAN("Content-Type"), type);
    writer_append_header(writer, SPAN("Cache-Control"), SPAN("no-store"));
    if (status == 405)
        writer_append_header(writer, SPAN("Allow"), allowed_methods(request->page));
    writer_end_head(writer, HTTP1_LENGTH, request->text.len, request->minor_version,
                    request->keep_alive, request->is_head);
    flush(request);
}

static void begin_json(struct request *request)
{
    buffer_clear(&request->text);
    request->json = json_writer_to(&request->text);
    json_writer_open_object(&request->json, SPAN_NONE);
}

static void respond_json(struct request *request, int status)
{
    json_writer_close_object(&request->json);
    buffer_append_char(&request->text, '\n');
    respond(request, status, SPAN("application/json"));
}

static void add_error(struct request *request, struct span error, struct span message)
{
    json_writer_add_text(&request->json, SPAN("error"), error);
    json_writer_add_text(&request->json, SPAN("message"), message);
}

/* ---- pages ---- */

static void respond_live(struct request *request)
{
    json_writer_add_bool(&request->json, SPAN("live"), true);
    respond_json(request, 200);
}

/* Adds a verdict and its reasons. */
static bool add_verdict(struct request *request, struct span name,
                        bool (*ask)(void *context, struct reasons *reasons))
{
    struct buffer items;
    buffer_init(&items, REASONS_SIZE_MAX);
    struct reasons reasons = {.json = json_writer_to(&items)};
    json_writer_open_array(&reasons.json, SPAN_NONE);
    bool verdict = ask(request->listener->admin->options.context, &reasons);
    json_writer_close_array(&reasons.json);
    json_writer_add_bool(&request->json, name, verdict);
    json_writer_add_raw(&request->json, SPAN("reasons"), buffer_span(&items));
    buffer_dispose(&items);
    return verdict;
}

static void respond_ready(struct request *request)
{
    const struct admin_options *options = &request->listener->admin->options;
    respond_json(request, add_verdict(request, SPAN("ready"), options->is_ready) ? 200 : 503);
}

static void respond_reload(struct request *request)
{
    const struct admin_options *options = &request->listener->admin->options;
    respond_json(request, add_verdict(request, SPAN("reloaded"), options->reload) ? 200 : 422);
}

/* Aborts the oldest page of metrics if too many are in flight: each stays in memory until its
 * client has read it. */
static void make_room_for_metrics(struct admin *admin)
{
    struct request *oldest = NULL;
    unsigned in_flight = 0;
    for (size_t i = 0; i != 2; ++i)
        for (struct downstream *at = admin->listeners[i].downstreams.oldest; at != NULL;
             at = at->newer) {
            struct request *request = at->request;
            if (request == NULL || request->metrics_from.us == 0)
                continue;
            ++in_flight;
            if (oldest == NULL || request->metrics_from.us < oldest->metrics_from.us)
                oldest = request;
        }
    if (in_flight == METRICS_IN_FLIGHT_MAX)
        end(oldest, DOWNSTREAM_ABORT);
}

static void respond_metrics(struct request *request)
{
    struct admin *admin = request->listener->admin;
    make_room_for_metrics(admin);
    buffer_clear(&request->text);
    admin->options.write_metrics(admin->options.context, &request->text);
    if (request->text.overflowed) {
        log_write(LOG_ERROR, "metrics", "/metrics exceeds %d bytes", ADMIN_METRICS_MAX);
        begin_json(request);
        add_error(request, SPAN("too_large"), SPAN("the page exceeds 32 MiB: too many series"));
        respond_json(request, 500);
        return;
    }
    request->metrics_from = loop_read_clock(admin->options.loop);
    respond(request, 200, SPAN(METRICS_CONTENT_TYPE));
}

static void respond_version(struct request *request)
{
    const struct admin_options *options = &request->listener->admin->options;
    json_writer_add_text(&request->json, SPAN("version"), options->version);
    json_writer_add_text(&request->json, SPAN("build"), options->build);
    respond_json(request, 200);
}

static void respond_paths(struct request *request);

/* Pages with side effects use POST and are not on the health listener. */
static const struct page {
    struct span path;
    bool on_health, is_post;
    void (*respond)(struct request *request);
} pages[] = {
    {SPAN("/live"), true, false, respond_live},
    {SPAN("/ready"), true, false, respond_ready},
    {SPAN("/metrics"), true, false, respond_metrics},
    {SPAN("/version"), false, false, respond_version},
    {SPAN("/reload"), false, true, respond_reload},
    {SPAN("/"), false, false, respond_paths},
};
enum { PAGES = sizeof(pages) / sizeof(pages[0]) };

static struct span allowed_methods(const struct page *page)
{
    return page->is_post ? SPAN("POST") : SPAN("GET, HEAD");
}

static bool has_page(const struct listener *listener, const struct page *page)
{
    return page->on_health || !listener->is_health;
}

static void add_paths(struct request *request)
{
    json_writer_open_array(&request->json, SPAN("paths"));
    for (size_t i = 0; i != PAGES; ++i)
        if (has_page(request->listener, &pages[i]))
            json_writer_add_text(&request->json, SPAN_NONE, pages[i].path);
    json_writer_close_array(&request->json);
}

static void respond_paths(struct request *request)
{
    add_paths(request);
    respond_json(request, 200);
}

static void respond_not_found(struct request *request)
{
    add_error(request, SPAN("not_found"), SPAN("unknown path; see paths"));
    add_paths(request);
    respond_json(request, 404);
}

static void respond_wrong_method(struct request *request)
{
    add_error(request, SPAN("method_not_allowed"),
              request->page->is_post ? SPAN("use POST") : SPAN("use GET or HEAD"));
    respond_json(request, 405);
}

static void respond_web_page(struct request *request)
{
    add_error(request, SPAN("forbidden"),
              SPAN("requests from web pages (with Origin) not allowed"));
    respond_json(request, 403);
}

static const struct page *find_page(const struct request *request, struct span path)
{
    for (size_t i = 0; i != PAGES; ++i)
        if (span_equals(pages[i].path, path) && has_page(request->listener, &pages[i]))
            return &pages[i];
    return NULL;
}

/* Browsers send Origin with every POST (Fetch standard, "origin header"); other programs do not. */
static void choose_response(struct request *request, const struct http1_request *head)
{
    const struct page *page = request->page = find_page(request, head->path);
    bool is_get = request->is_head || span_equals(head->method, SPAN("GET"));
    if (page == NULL)
        request->respond = respond_not_found;
    else if (page->is_post ? !span_equals(head->method, SPAN("POST")) : !is_get)
        request->respond = respond_wrong_method;
    else if (page->is_post && http1_header_count(&head->headers, SPAN("origin")) != 0)
        request->respond = respond_web_page;
    else
        request->respond = page->respond;
}

/* ---- the downstream service ---- */

static void on_timeout(struct timer *timer)
{
    refuse(H2O_STRUCT_FROM_MEMBER(struct request, timer, timer), OUTCOME_BODY_TIMEOUT, SPAN_NONE);
}

/* refuse() names it. */
_Static_assert(ADMIN_HEAD_MAX == 16 * 1024, "16 KiB");

static void *open_request(struct downstream *downstream, struct mono_time started)
{
    struct request *request = calloc(1, sizeof(*request));
    CHECK(request != NULL);
    request->listener = H2O_STRUCT_FROM_MEMBER(struct listener, downstreams, downstream->set);
    request->downstream = downstream;
    request->minor_version = 1;
    request->timer.fire = on_timeout;
    loop_set_timer(downstream->set->loop, &request->timer,
                   clock_after_ms(started, REQUEST_TIMEOUT_MS));
    buffer_init(&request->text, ADMIN_METRICS_MAX);
    begin_json(request);
    return request;
}

static void take_head(void *context, struct span head)
{
    struct request *request = context;
    struct http1_request parsed;
    enum http1_fault fault = http1_parse_request(head, &parsed);
    if (fault != HTTP1_OK) {
        refuse(request, OUTCOME_BAD_REQUEST, http1_fault_text(fault));
        return;
    }
    request->facts = (struct downstream_facts){.has_head = true,
                                               .framing = parsed.framing,
                                               .content_length = parsed.content_length,
                                               .invites_body = parsed.expect_continue,
                                               .may_finish = true};
    request->minor_version = parsed.minor_version;
    request->is_head = span_equals(parsed.method, SPAN("HEAD"));
    request->keep_alive = parsed.keep_alive && downstream_goes_on(request->downstream);
    if (parsed.framing == HTTP1_LENGTH && parsed.content_length > ADMIN_BODY_MAX)
        refuse(request, OUTCOME_BODY_TOO_LARGE, SPAN_NONE);
    else if (parsed.expect_other)
        refuse(request, OUTCOME_BAD_REQUEST, SPAN("Expect must be 100-continue or absent"));
    else
        choose_response(request, &parsed);
}

static bool wants_body(const void *context)
{
    return !((const struct request *)context)->responded;
}

static void take_body(void *context, struct span data)
{
    struct request *request = context;
    request->body_bytes += data.len; /* discarded */
    if (request->body_bytes > ADMIN_BODY_MAX && !request->responded)
        refuse(request, OUTCOME_BODY_TOO_LARGE, SPAN_NONE);
}

static void end_body(void *context)
{
    struct request *request = context;
    if (!request->responded)
        request->respond(request);
}

static void refuse(void *context, enum outcome outcome, struct span message)
{
    struct request *request = context;
    const struct outcome_info *info = outcome_info(outcome);
    if (request->responded || info->status == 0) {
        end(request, DOWNSTREAM_ABORT);
        return;
    }
    if (outcome == OUTCOME_HEAD_TOO_LARGE) /* its text names the limit of callers */
        message = SPAN("the request's head exceeds 16 KiB");
    request->keep_alive = false;
    add_error(request, info->token, message.len != 0 ? message : info->text);
    respond_json(request, info->status);
}

static void cancel(void *context, enum outcome outcome)
{
    (void)outcome;
    end(context, DOWNSTREAM_ABORT);
}

static void cut(void *context)
{
    end(context, DOWNSTREAM_ABORT);
}

static void make_last(void *context)
{
    ((struct request *)context)->keep_alive = false;
}

static struct downstream_facts look(const void *context)
{
    return ((const struct request *)context)->facts;
}

static const struct downstream_service service = {
    .open = open_request,
    .take_head = take_head,
    .wants_body = wants_body,
    .take_body = take_body,
    .end_body = end_body,
    .refuse = refuse,
    .flush = flush,
    .cancel = cancel,
    .cut = cut,
    .make_last = make_last,
    .look = look,
};

static void end(struct request *request, enum downstream_ending ending)
{
    struct downstream *downstream = request->downstream;
    loop_cancel_timer(downstream->set->loop, &request->timer);
    buffer_dispose(&request->text);
    free(request);
    downstream_end_request(downstream, ending);
}

/* ---- listeners ---- */

static void hold_spares(struct admin *admin)
{
    for (int fd; admin->spare_count != SPARES && (fd = eventfd(0, EFD_CLOEXEC)) >= 0;)
        admin->spares[admin->spare_count++] = fd;
}

static void on_gone(struct downstream_set *set)
{
    hold_spares(H2O_STRUCT_FROM_MEMBER(struct listener, downstreams, set)->admin);
}

static int take_connection(struct listener *listener, int *error)
{
    struct admin *admin = listener->admin;
    int fd = acceptor_take(&listener->acceptor, error);
    while (fd < 0 && *error == EMFILE && admin->spare_count != 0) {
        close(admin->spares[--admin->spare_count]);
        acceptor_resume(&listener->acceptor);
        fd = acceptor_take(&listener->acceptor, error);
    }
    return fd;
}

static bool on_waiting(struct acceptor *acceptor)
{
    struct listener *listener = H2O_STRUCT_FROM_MEMBER(struct listener, acceptor, acceptor);
    struct downstream_set *downstreams = &listener->downstreams;
    int error, fd = take_connection(listener, &error);
    if (fd < 0 && error != EAGAIN)
        log_write(LOG_WARNING, "listener", "%.*s: cannot accept: %s",
                  SPAN_ARG(listener->address->text), strerror(error));
    if (fd < 0)
        return false;
    if (downstreams->count == listener->admin->options.connections_max)
        downstream_evict(downstreams);
    downstream_open(downstreams, fd, NULL);
    return true;
}

static bool open_listener(struct listener *listener, const struct config_address *address,
                          struct arena *arena, struct span *fault)
{
    struct loop *loop = listener->admin->options.loop;
    listener->address = address;
    listener->downstreams = (struct downstream_set){
        .loop = loop,
        .service = &service,
        .limits = {.head_bytes = ADMIN_HEAD_MAX,
                   .head_timeout_ms = REQUEST_TIMEOUT_MS,
                   .body_timeout_ms = REQUEST_TIMEOUT_MS,
                   .keep_alive_timeout_ms = REQUEST_TIMEOUT_MS},
        .on_gone = on_gone,
    };
    if (address == NULL)
        return true;
    int fd = listen_open(address, BACKLOG, arena, fault);
    if (fd < 0)
        return false;
    listener->acceptor.on_waiting = on_waiting;
    acceptor_open(&listener->acceptor, loop, fd);
    return true;
}

struct admin *admin_create(const struct admin_options *options, struct arena *arena,
                           struct span *fault)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    CHECK(admin != NULL);
    admin->options = *options;
    if (admin->options.connections_max == 0)
        admin->options.connections_max = CONNECTIONS_MAX;
    admin->listeners[0].admin = admin->listeners[1].admin = admin;
    admin->listeners[1].is_health = true;
    hold_spares(admin);
    if (open_listener(&admin->listeners[0], options->admin, arena, fault) &&
        open_listener(&admin->listeners[1], options->health, arena, fault))
        return admin;
    admin_destroy(admin);
    return NULL;
}

void admin_destroy(struct admin *admin)
{
    if (admin == NULL)
        return;
    for (size_t i = 0; i != 2; ++i) {
        struct listener *listener = &admin->listeners[i];
        if (acceptor_is_open(&listener->acceptor))
            listen_unlink(listener->address);
        acceptor_close(&listener->acceptor);
        downstream_cut_all(&listener->downstreams);
    }
    while (admin->spare_count != 0)
        close(admin->spares[--admin->spare_count]);
    free(admin);
}

struct span admin_name(const struct admin *admin, bool health, struct arena *arena)
{
    const struct acceptor *acceptor = &admin->listeners[health].acceptor;
    return acceptor_is_open(acceptor) ? listen_name(loop_watch_fd(&acceptor->watch), arena)
                                      : SPAN_NONE;
}

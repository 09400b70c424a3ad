/* The pages of the admin and health listeners: which there are, and what each says. */
#if !defined(H2O_USE_LIBUV) || H2O_USE_LIBUV
#error "libh2o-evloop was built with H2O_USE_LIBUV=0; every unit that sees it must be too"
#endif
#include <h2o.h>

#include "gateway/admin_pages.h"

#include "observe/log.h"
#include "observe/metrics.h"

#include <sys/socket.h>

enum {
    BODY_MAX = 131072, /* more than 32 reasons of 512 bytes, all escapes, can take */
    REASONS_MAX = 32,
    REASON_MESSAGE_MAX = 512,
    METRICS_PAGES_MAX = 4, /* under way at a time */
};

struct admin_reasons {
    struct buffer *out;
    unsigned count;
};

struct metrics_page { /* that its reader has not taken yet */
    struct admin_pages *pages;
    struct metrics_page *older, *newer;
    h2o_socket_t *socket; /* of its reader */
    bool is_ending;       /* shut down */
};

struct context {
    struct admin_pages *pages;
    bool is_health;
};

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

static void answer_live(const struct context *context, h2o_req_t *req, struct buffer *body)
{
    (void)context;
    buffer_append(body, SPAN("{\"live\":true}\n"));
    send_json(req, 200, "OK", body);
}

static void put_reasons(struct buffer *body, struct buffer *items)
{
    buffer_append(body, SPAN(",\"reasons\":["));
    buffer_append(body, buffer_span(items));
    buffer_append(body, SPAN("]}\n"));
    buffer_dispose(items);
}

static void answer_ready(const struct context *context, h2o_req_t *req, struct buffer *body)
{
    const struct admin_options *options = context->pages->options;
    struct buffer items;
    buffer_init(&items, BODY_MAX);
    struct admin_reasons reasons = {.out = &items};
    bool ready = options->is_ready == NULL || options->is_ready(options->context, &reasons);
    buffer_append(body, ready ? SPAN("{\"ready\":true") : SPAN("{\"ready\":false"));
    put_reasons(body, &items);
    send_json(req, ready ? 200 : 503, ready ? "OK" : "Service Unavailable", body);
}

/* libh2o: the request's memory is given back, and the page with it. */
static void on_metrics_page_gone(void *memory)
{
    struct metrics_page *page = memory;
    struct admin_pages *pages = page->pages;
    *(page->newer != NULL ? &page->newer->older : &pages->newest) = page->older;
    *(page->older != NULL ? &page->older->newer : &pages->oldest) = page->newer;
    --pages->under_way;
}

/* Whoever does not read shall neither hold memory nor stand in the way of others. The library then closes. */
static void end_oldest_page(const struct admin_pages *pages)
{
    struct metrics_page *page = pages->oldest;
    while (page != NULL && page->is_ending)
        page = page->newer;
    if (page == NULL)
        return;
    page->is_ending = true;
    shutdown(h2o_socket_get_fd(page->socket), SHUT_RDWR);
}

/* The page lives in the request until its reader has it all. */
static void send_metrics(struct admin_pages *pages, h2o_req_t *req, const struct buffer *text)
{
    if (pages->under_way >= METRICS_PAGES_MAX)
        end_oldest_page(pages);
    struct metrics_page *page =
        h2o_mem_alloc_shared(&req->pool, sizeof(*page), on_metrics_page_gone);
    *page = (struct metrics_page){.pages = pages,
                                  .older = pages->newest,
                                  .socket = req->conn->callbacks->get_socket(req->conn)};
    *(pages->newest != NULL ? &pages->newest->newer : &pages->oldest) = page;
    pages->newest = page;
    ++pages->under_way;
    send_page(req, 200, "OK", METRICS_CONTENT_TYPE, text);
}

static void answer_metrics(const struct context *context, h2o_req_t *req, struct buffer *body)
{
    struct admin_pages *pages = context->pages;
    struct buffer page;
    buffer_init(&page, ADMIN_METRICS_MAX);
    pages->options->write_metrics(pages->options->context, &page);
    if (page.overflowed) {
        log_write(LOG_ERROR, "metrics", "the page of /metrics is longer than %d bytes",
                  ADMIN_METRICS_MAX);
        buffer_append(body, SPAN("{\"error\":\"too_large\",\"message\":\"too many series\"}\n"));
        send_json(req, 500, "Internal Server Error", body);
    } else {
        send_metrics(pages, req, &page);
    }
    buffer_dispose(&page);
}

static void answer_version(const struct context *context, h2o_req_t *req, struct buffer *body)
{
    buffer_append(body, SPAN("{\"version\":\""));
    buffer_append_json(body, context->pages->options->version);
    buffer_append(body, SPAN("\",\"build\":\""));
    buffer_append_json(body, context->pages->options->build);
    buffer_append(body, SPAN("\"}\n"));
    send_json(req, 200, "OK", body);
}

static void answer_reload(const struct context *context, h2o_req_t *req, struct buffer *body)
{
    const struct admin_options *options = context->pages->options;
    struct buffer items;
    buffer_init(&items, BODY_MAX);
    struct admin_reasons reasons = {.out = &items};
    bool reloaded = options->reload(options->context, &reasons);
    buffer_append(body, reloaded ? SPAN("{\"reloaded\":true") : SPAN("{\"reloaded\":false"));
    put_reasons(body, &items);
    send_json(req, reloaded ? 200 : 422, reloaded ? "OK" : "Unprocessable Entity", body);
}

static void answer_paths(const struct context *context, h2o_req_t *req, struct buffer *body);

/* What changes something is a POST and not on the health listener. */
static const struct page {
    struct span path;
    bool on_health, is_post;
    void (*answer)(const struct context *context, h2o_req_t *req, struct buffer *body);
} table[] = {
    {SPAN("/live"), true, false, answer_live},
    {SPAN("/ready"), true, false, answer_ready},
    {SPAN("/metrics"), true, false, answer_metrics},
    {SPAN("/version"), false, false, answer_version},
    {SPAN("/reload"), false, true, answer_reload},
    {SPAN("/"), false, false, answer_paths},
};
enum { PAGES = sizeof(table) / sizeof(table[0]) };

static bool has_page(const struct context *context, const struct page *page)
{
    const struct admin_options *options = context->pages->options;
    if ((page->answer == answer_metrics && options->write_metrics == NULL) ||
        (page->answer == answer_reload && options->reload == NULL))
        return false;
    return page->on_health || !context->is_health;
}

static void put_paths(const struct context *context, struct buffer *body)
{
    struct span separator = SPAN("\"paths\":[\"");
    for (size_t i = 0; i != PAGES; ++i) {
        if (!has_page(context, &table[i]))
            continue;
        buffer_append(body, separator);
        buffer_append(body, table[i].path);
        separator = SPAN("\",\"");
    }
    buffer_append(body, SPAN("\"]}\n"));
}

static void answer_paths(const struct context *context, h2o_req_t *req, struct buffer *body)
{
    buffer_append_char(body, '{');
    put_paths(context, body);
    send_json(req, 200, "OK", body);
}

static void answer_not_found(const struct context *context, h2o_req_t *req, struct buffer *body)
{
    buffer_append(body, SPAN("{\"error\":\"not_found\",\"message\":\"no such path here\","));
    put_paths(context, body);
    send_json(req, 404, "Not Found", body);
}

static void answer_wrong_method(const struct page *page, h2o_req_t *req, struct buffer *body)
{
    const char *allowed = page->is_post ? "POST" : "GET, HEAD";
    buffer_printf(body, "{\"error\":\"method_not_allowed\",\"message\":\"%s\"}\n",
                  page->is_post ? "POST" : "GET or HEAD");
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("allow"), 0, NULL, allowed,
                          strlen(allowed));
    send_json(req, 405, "Method Not Allowed", body);
}

/* A browser says so with every POST (Fetch standard, "origin header"); no other program does. */
static bool is_web_page(const h2o_req_t *req)
{
    return h2o_find_header_by_str(&req->headers, H2O_STRLIT("origin"), -1) != -1;
}

static void answer_web_page(h2o_req_t *req, struct buffer *body)
{
    buffer_append(body, SPAN("{\"error\":\"forbidden\",\"message\":\"a web page sent this\"}\n"));
    send_json(req, 403, "Forbidden", body);
}

static const struct page *find_page(const struct context *context, struct span path)
{
    for (size_t i = 0; i != PAGES; ++i)
        if (span_equals(table[i].path, path) && has_page(context, &table[i]))
            return &table[i];
    return NULL;
}

static bool takes_method(const struct page *page, struct span method)
{
    if (page->is_post)
        return span_equals(method, SPAN("POST"));
    return span_equals(method, SPAN("GET")) || span_equals(method, SPAN("HEAD"));
}

void admin_pages_answer(struct admin_pages *pages, bool is_health, h2o_req_t *req)
{
    const struct context context = {pages, is_health};
    struct span path = span_make(req->path.base, req->path.len);
    struct buffer body;
    path.len = span_find(path, '?');
    buffer_init(&body, BODY_MAX + 64);
    const struct page *page = find_page(&context, path);
    if (page == NULL)
        answer_not_found(&context, req, &body);
    else if (!takes_method(page, span_make(req->method.base, req->method.len)))
        answer_wrong_method(page, req, &body);
    else if (page->is_post && is_web_page(req))
        answer_web_page(req, &body);
    else
        page->answer(&context, req, &body);
    buffer_dispose(&body);
}

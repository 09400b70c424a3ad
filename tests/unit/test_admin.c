// links: gateway
/* The admin and health listeners, tested with conversations over real sockets on one loop. */
#include "gateway/admin.h"

#include "net/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
    struct arena arena;
    struct span fault;
    char directory[64], path[96];
    struct config_address admin_address, health_address;
    struct loop *loop;
    struct admin *admin;
    bool ready;
    unsigned reasons, asked;
    size_t metrics; /* page size */
};

static bool is_ready(void *context, struct reasons *reasons)
{
    struct scene *scene = context;
    static char endless[2000];
    ++scene->asked;
    memset(endless, '\x01', sizeof(endless));
    if (scene->reasons == 1)
        reasons_add(reasons, SPAN("no_credentials"), SPAN("neither \"env\" nor\nstatic"));
    else
        for (unsigned i = 0; i != scene->reasons; ++i)
            reasons_add(reasons, SPAN("endless"), span_make(endless, sizeof(endless)));
    return scene->ready;
}

static bool reload(void *context, struct reasons *reasons)
{
    struct scene *scene = context;
    ++scene->asked;
    reasons_add(reasons, SPAN("refused"), SPAN("not now"));
    return scene->ready;
}

static void write_metrics(void *context, struct buffer *out)
{
    const struct scene *scene = context;
    ++((struct scene *)context)->asked;
    buffer_append(out, SPAN("# a page\n"));
    while (out->len < scene->metrics && !out->overflowed)
        buffer_append(out,
                      SPAN("# and more of it, and more of it, and more of it, and more of it\n"));
}

static void start(struct scene *scene, unsigned connections_max)
{
    const struct admin_options options = {.loop = scene->loop,
                                          .admin = &scene->admin_address,
                                          .health = &scene->health_address,
                                          .is_ready = is_ready,
                                          .write_metrics = write_metrics,
                                          .reload = reload,
                                          .context = scene,
                                          .version = SPAN("0.1.0"),
                                          .build = SPAN("v0.1.0-1-gabc"),
                                          .connections_max = connections_max};
    scene->admin = admin_create(&options, &scene->arena, &scene->fault);
    assert_non_null(scene->admin);
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    signal(SIGPIPE, SIG_IGN);
    arena_init(&scene->arena, 4096);
    snprintf(scene->directory, sizeof(scene->directory), "/tmp/sagegate-admin-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    snprintf(scene->path, sizeof(scene->path), "%s/admin.sock", scene->directory);
    scene->admin_address = (struct config_address){
        .text = span_from(scene->path), .unix_path = span_from(scene->path), .unix_mode = 0600};
    scene->health_address =
        (struct config_address){.text = SPAN("127.0.0.1:0"), .host = SPAN("127.0.0.1")};
    scene->ready = true;
    scene->loop = loop_create();
    connection_watch_departures(scene->loop);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    admin_destroy(scene->admin);
    unlink(scene->path);
    rmdir(scene->directory);
    arena_dispose(&scene->arena);
    free(scene);
    return 0;
}

/* ---- a client ---- */

static int connect_admin(struct scene *scene)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", scene->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    return fd;
}

static int connect_health(struct scene *scene)
{
    struct span name = admin_name(scene->admin, true, &scene->arena), host, port;
    uint64_t number;
    assert_true(span_split(name, ':', &host, &port));
    assert_true(span_parse_u64(port, &number));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)number),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static char response[262144];

/* Returns whether `text` is a complete response: a head and as much body as Content-Length says. */
static bool is_whole(const char *text, size_t len, bool head_only)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, "Content-Length: ");
    if (end == NULL)
        return false;
    if (head_only || length == NULL)
        return true;
    return (size_t)(text + len - (end + 4)) >= strtoul(length + 16, NULL, 10);
}

/* Runs the loop until a response or the end arrives, at most 5 s. */
static const char *receive(struct scene *scene, int fd, bool head_only)
{
    size_t len = 0;
    response[0] = '\0';
    for (int i = 0; i != 1000 && !is_whole(response, len, head_only); ++i) {
        loop_turn(scene->loop, 5);
        ssize_t n = recv(fd, response + len, sizeof(response) - 1 - len, MSG_DONTWAIT);
        if (n == 0 || (n == -1 && errno != EAGAIN))
            break;
        if (n > 0)
            len += (size_t)n;
        response[len] = '\0';
    }
    return response;
}

static const char *ask_on(struct scene *scene, int fd, const char *method, const char *target)
{
    char request[512];
    int len = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: health\r\n\r\n", method,
                       target);
    assert_int_equal(send(fd, request, (size_t)len, 0), len);
    return receive(scene, fd, strcmp(method, "HEAD") == 0);
}

static const char *ask(struct scene *scene, int fd, const char *method, const char *target)
{
    const char *text = ask_on(scene, fd, method, target);
    close(fd);
    return text;
}

static void assert_response(const char *text, const char *status, const char *body)
{
    assert_memory_equal(text, status, strlen(status));
    assert_non_null(strstr(text, "\r\n\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n") + 4, body);
    assert_null(strstr(text, "h2o"));
}

/* ---- conversations ---- */

static void admin_serves_every_page(void **state)
{
    struct scene *scene = *state;
    start(scene, 0);
    int fd = connect_admin(scene); /* all on one connection */
    assert_response(ask_on(scene, fd, "GET", "/live"), "HTTP/1.1 200 OK\r\n", "{\"live\":true}\n");
    assert_non_null(strstr(response, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(response, "\r\nCache-Control: no-store\r\n"));
    assert_non_null(strstr(response, "\r\nDate: "));
    assert_response(ask_on(scene, fd, "GET", "/ready?verbose=1"), "HTTP/1.1 200 OK\r\n",
                    "{\"ready\":true,\"reasons\":[]}\n");
    assert_response(ask_on(scene, fd, "GET", "/version"), "HTTP/1.1 200 OK\r\n",
                    "{\"version\":\"0.1.0\",\"build\":\"v0.1.0-1-gabc\"}\n");
    assert_response(
        ask_on(scene, fd, "GET", "/"), "HTTP/1.1 200 OK\r\n",
        "{\"paths\":[\"/live\",\"/ready\",\"/metrics\",\"/version\",\"/reload\",\"/\"]}\n");
    assert_response(ask_on(scene, fd, "POST", "/live"), "HTTP/1.1 405 Method Not Allowed\r\n",
                    "{\"error\":\"method_not_allowed\",\"message\":\"use GET or HEAD\"}\n");
    assert_non_null(strstr(response, "\r\nAllow: GET, HEAD\r\n"));
    close(fd);
}

static void health_serves_only_probe_pages(void **state)
{
    struct scene *scene = *state;
    static const char not_found[] =
        "{\"error\":\"not_found\",\"message\":\"unknown path; see paths\","
        "\"paths\":[\"/live\",\"/ready\",\"/metrics\"]}\n";
    start(scene, 0);
    int fd = connect_health(scene);
    assert_response(ask_on(scene, fd, "GET", "/live"), "HTTP/1.1 200 OK\r\n", "{\"live\":true}\n");
    assert_response(ask_on(scene, fd, "GET", "/version"), "HTTP/1.1 404 Not Found\r\n", not_found);
    assert_response(ask_on(scene, fd, "GET", "/"), "HTTP/1.1 404 Not Found\r\n", not_found);
    assert_response(ask_on(scene, fd, "GET", "/live/../version"), "HTTP/1.1 404 Not Found\r\n",
                    not_found);
    assert_response(ask_on(scene, fd, "GET", "/LIVE"), "HTTP/1.1 404 Not Found\r\n", not_found);
    assert_response(ask_on(scene, fd, "HEAD", "/live"), "HTTP/1.1 200 OK\r\n", "");
    assert_non_null(strstr(response, "\r\nContent-Length: 14\r\n"));
    close(fd);
}

static void not_ready_returns_503_with_reasons(void **state)
{
    struct scene *scene = *state;
    start(scene, 0);
    scene->ready = false;
    scene->reasons = 1;
    assert_response(ask(scene, connect_health(scene), "GET", "/ready"),
                    "HTTP/1.1 503 Service Unavailable\r\n",
                    "{\"ready\":false,\"reasons\":[{\"code\":\"no_credentials\",\"message\":"
                    "\"neither \\\"env\\\" nor\\nstatic\"}]}\n");
    scene->reasons = 100;
    ask(scene, connect_health(scene), "GET", "/ready");
    assert_memory_equal(response, "HTTP/1.1 503 ", 13);
    assert_string_equal(response + strlen(response) - 10, "u0001\"}]}\n");
}

/* A body is accepted, also in pieces; requests from web pages are not. */
static void reload_requires_post(void **state)
{
    struct scene *scene = *state;
    static const char responses[] = "{\"reloaded\":true,\"reasons\":[{\"code\":\"refused\","
                                    "\"message\":\"not now\"}]}\n";
    start(scene, 0);
    int fd = connect_admin(scene);
    assert_response(ask_on(scene, fd, "POST", "/reload"), "HTTP/1.1 200 OK\r\n", responses);
    assert_response(ask_on(scene, fd, "GET", "/reload"), "HTTP/1.1 405 Method Not Allowed\r\n",
                    "{\"error\":\"method_not_allowed\",\"message\":\"use POST\"}\n");
    assert_non_null(strstr(response, "\r\nAllow: POST\r\n"));
    const struct span head = SPAN("POST /reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
                                  "\r\n\r\n3\r\nabc\r\n");
    send(fd, head.at, head.len, 0);
    loop_turn(scene->loop, 5);
    loop_turn(scene->loop, 5);
    assert_int_equal(scene->asked, 1);
    send(fd, "0\r\n\r\n", 5, 0);
    assert_response(receive(scene, fd, false), "HTTP/1.1 200 OK\r\n", responses);
    scene->ready = false;
    assert_memory_equal(ask_on(scene, fd, "POST", "/reload"), "HTTP/1.1 422 ", 13);
    assert_int_equal(scene->asked, 3);
    const struct span page =
        SPAN("POST /reload HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nContent-Length: 2\r\n\r\n{}");
    send(fd, page.at, page.len, 0);
    assert_response(receive(scene, fd, false), "HTTP/1.1 403 Forbidden\r\n",
                    "{\"error\":\"forbidden\",\"message\":\"requests from web pages (with Origin) "
                    "not allowed\"}\n");
    assert_int_equal(scene->asked, 3);
    close(fd);
}

static void http2_and_large_bodies_are_rejected(void **state)
{
    struct scene *scene = *state;
    start(scene, 0);
    static const char upgrade[] =
        "GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    static const char *const requests[] = {
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n",
        upgrade,
    };
    static const char *const statuses[] = {"HTTP/1.1 400 ", "HTTP/1.1 413 ", "HTTP/1.1 200 "};
    for (size_t i = 0; i != 3; ++i) {
        int fd = connect_health(scene);
        send(fd, requests[i], strlen(requests[i]), 0);
        receive(scene, fd, false);
        assert_memory_equal(response, statuses[i], strlen(statuses[i]));
        assert_null(strstr(response, "101 Switching"));
        close(fd);
    }
}

static void excess_connection_closes_the_oldest(void **state)
{
    struct scene *scene = *state;
    enum { MAX = 4, HOLDERS = 12 };
    int holders[HOLDERS];
    start(scene, MAX);
    for (int i = 0; i != HOLDERS; ++i) {
        holders[i] = connect_health(scene);
        send(holders[i], "GET /", 5, 0); /* never sends the rest */
    }
    assert_response(ask(scene, connect_health(scene), "GET", "/live"), "HTTP/1.1 200 OK\r\n",
                    "{\"live\":true}\n");
    assert_response(ask(scene, connect_admin(scene), "GET", "/live"), "HTTP/1.1 200 OK\r\n",
                    "{\"live\":true}\n");
    char byte;
    int ended = 0;
    for (int i = 0; i != HOLDERS; ++i) {
        ssize_t n = recv(holders[i], &byte, 1, MSG_DONTWAIT);
        ended += n == 0 || (n == -1 && errno != EAGAIN);
        close(holders[i]);
    }
    assert_in_range(ended, HOLDERS - MAX, HOLDERS);
}

/* Without descriptors the listener pauses instead of spinning, then resumes. */
static void accept_recovers_from_descriptor_exhaustion(void **state)
{
    struct scene *scene = *state;
    struct rlimit before, none;
    start(scene, 0);
    int fd = connect_health(scene), real_stderr = dup(STDERR_FILENO);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO); /* expect the warning */
    close(null);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    struct mono_time start_time = clock_mono();
    int turns = 0;
    for (; clock_us_between(start_time, clock_mono()) < 250000; ++turns)
        loop_turn(scene->loop, 1000);
    setrlimit(RLIMIT_NOFILE, &before);
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    assert_in_range(turns, 1, 20);
    assert_response(ask(scene, fd, "GET", "/live"), "HTTP/1.1 200 OK\r\n", "{\"live\":true}\n");
}

static void address_in_use_is_reported_without_leaks(void **state)
{
    struct scene *scene = *state;
    start(scene, 0);
    char other[sizeof(scene->path) + 8];
    snprintf(other, sizeof(other), "%s.other", scene->path);
    struct config_address first = {
        .text = span_from(other), .unix_path = span_from(other), .unix_mode = 0600};
    const struct admin_options options = {
        .loop = scene->loop, .admin = &first, .health = &scene->admin_address};
    assert_null(admin_create(&options, &scene->arena, &scene->fault));
    assert_non_null(strstr(scene->fault.at, "/admin.sock: another program is listening there"));
    assert_int_equal(access(other, F_OK), -1);
}

static void stop_closes_connections_and_unlinks_socket(void **state)
{
    struct scene *scene = *state;
    start(scene, 0);
    int idle = connect_admin(scene), half = connect_health(scene);
    ask_on(scene, idle, "GET", "/live");
    send(half, "GET /live HT", 12, 0);
    loop_turn(scene->loop, 5);
    admin_destroy(scene->admin);
    scene->admin = NULL;
    char byte;
    assert_int_equal(recv(idle, &byte, 1, MSG_DONTWAIT), 0);
    assert_true(recv(half, &byte, 1, MSG_DONTWAIT) <= 0);
    assert_int_equal(access(scene->path, F_OK), -1);
    close(idle);
    close(half);
}

/* A late request must not call back into an owner that is being destroyed. */
static void no_callback_during_stop(void **state)
{
    struct scene *scene = *state;
    start(scene, 0);
    int fd = connect_health(scene);
    ask_on(scene, fd, "GET", "/ready");
    scene->asked = 0;
    const struct span late = SPAN("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(send(fd, late.at, late.len, 0), late.len);
    admin_destroy(scene->admin);
    scene->admin = NULL;
    assert_int_equal(scene->asked, 0);
    close(fd);
}

static void metrics_are_text_on_both_listeners(void **state)
{
    struct scene *scene = *state;
    start(scene, 0);
    for (int i = 0; i != 2; ++i) {
        int fd = i == 0 ? connect_admin(scene) : connect_health(scene);
        const char *text = ask_on(scene, fd, "GET", "/metrics?x=1");
        assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\n"));
        assert_non_null(
            strcasestr(text, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
        assert_non_null(strstr(text, "\r\n\r\n# a page\n"));
        close(fd);
    }
}

static void oversized_metrics_page_is_an_error(void **state)
{
    struct scene *scene = *state;
    start(scene, 0);
    scene->metrics = (size_t)ADMIN_METRICS_MAX + 1;
    int fd = connect_health(scene);
    assert_non_null(strstr(ask_on(scene, fd, "GET", "/metrics"), "HTTP/1.1 500 "));
    close(fd);
}

/* Runs the loop until the page is ready; returns the bytes received by the end or by a complete
 * response. */
static size_t read_page(struct scene *scene, int fd)
{
    static char text[1 << 20];
    size_t got = 0;
    for (int i = 0; i != 2000 && got < scene->metrics; ++i) {
        loop_turn(scene->loop, 5);
        ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
        if (n == 0 || (n == -1 && errno != EAGAIN))
            break;
        got += n > 0 ? (size_t)n : 0;
    }
    return got;
}

/* A client that does not read holds a page and loses it to a later client. */
static void unread_pages_time_out(void **state)
{
    enum { ASKED = 6, UNDER_WAY = 4 };
    struct scene *scene = *state;
    const struct span request = SPAN("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    int fds[ASKED];
    start(scene, 0);
    scene->metrics = 8 * 1024 * 1024; /* more than a socket buffers */
    for (unsigned i = 0; i != ASKED; ++i) {
        fds[i] = connect_admin(scene);
        assert_int_equal(send(fds[i], request.at, request.len, 0), request.len);
        for (int turn = 0; turn != 1000 && scene->asked != i + 1; ++turn)
            loop_turn(scene->loop, 5);
        assert_int_equal(scene->asked, i + 1);
    }
    for (unsigned i = 0; i != ASKED; ++i) {
        bool is_whole = read_page(scene, fds[i]) >= scene->metrics;
        assert_int_equal(is_whole, i >= ASKED - UNDER_WAY);
        close(fds[i]);
    }
    int fd = connect_admin(scene);
    assert_non_null(strstr(ask_on(scene, fd, "GET", "/live"), "HTTP/1.1 200 "));
    close(fd);
}

static void no_addresses_no_listeners(void **state)
{
    struct scene *scene = *state;
    const struct admin_options options = {.loop = scene->loop};
    scene->admin = admin_create(&options, &scene->arena, &scene->fault);
    assert_non_null(scene->admin);
    assert_null(admin_name(scene->admin, false, &scene->arena).at);
    loop_turn(scene->loop, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(admin_serves_every_page),
        TEST(health_serves_only_probe_pages),
        TEST(not_ready_returns_503_with_reasons),
        TEST(reload_requires_post),
        TEST(http2_and_large_bodies_are_rejected),
        TEST(excess_connection_closes_the_oldest),
        TEST(accept_recovers_from_descriptor_exhaustion),
        TEST(address_in_use_is_reported_without_leaks),
        TEST(stop_closes_connections_and_unlinks_socket),
        TEST(no_callback_during_stop),
        TEST(metrics_are_text_on_both_listeners),
        TEST(oversized_metrics_page_is_an_error),
        TEST(unread_pages_time_out),
        TEST(no_addresses_no_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

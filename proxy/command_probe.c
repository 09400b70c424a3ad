/* `sagegate probe`: sends one GET to a health address over a plain blocking socket. */
#include "base/arena.h"
#include "base/host.h"
#include "commands.h"
#include "net/http1.h"
#include "option.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { TIMEOUT_MS = 2000, TIMEOUT_MAX_MS = 3600000, RESPONSE_MAX = 65536, SHOWN_MAX = 500 };

struct target {
    struct span text;      /* as given */
    struct span unix_path; /* SPAN_NONE: TCP */
    struct span host, port;
    struct span path;
};

/* Written by the timer's signal handler. */
static char timeout_message[512];
static size_t timeout_message_len;

/* ---- the command line ---- */

/* Returns whether path is visible ASCII that begins with '/', valid in a request line. */
static bool is_path(struct span path)
{
    return span_starts_with(path, SPAN("/")) && span_is_all(path, ASCII_VISIBLE);
}

static bool parse_target(struct span text, struct target *out)
{
    struct span rest = text;
    *out = (struct target){.text = text, .path = SPAN("/ready")};
    if (span_starts_with(text, SPAN("unix:"))) {
        struct span path;
        rest = span_from_offset(text, 5);
        if (span_split(rest, ':', &out->unix_path, &path))
            out->path = path;
        return out->unix_path.len != 0 && is_path(out->path);
    }
    size_t slash = span_find(rest, '/');
    if (slash != rest.len)
        out->path = span_from_offset(rest, slash);
    rest.len = slash;
    uint16_t port;
    if (!host_split(rest, &out->host, &out->port) || out->host.len == 0 || !is_path(out->path) ||
        !host_parse_port(out->port, &port) || port == 0)
        return false;
    if (out->host.at[0] == '[')
        out->host = span_make(out->host.at + 1, out->host.len - 2);
    return out->host.len != 0;
}

/* Parses "500ms", "2s" or "2", seconds. */
static bool parse_timeout(struct span text, int64_t *out)
{
    uint64_t value, scale = 1000;
    if (span_ends_with(text, SPAN("ms"))) {
        scale = 1;
        text.len -= 2;
    } else if (span_ends_with(text, SPAN("s"))) {
        text.len -= 1;
    }
    if (!span_parse_u64(text, &value) || value == 0 || value > TIMEOUT_MAX_MS / scale)
        return false;
    *out = (int64_t)(value * scale);
    return true;
}

/* Returns -1 to go on, else the exit status. */
static int read_options(int argc, char **argv, struct target *target, int64_t *timeout_ms)
{
    struct span timeout = SPAN_NONE, address = SPAN_NONE;
    const struct option_row rows[] = {
        {"timeout", 0, OPTION_TEXT, &timeout, "TIME",
         "limit for the whole probe, e.g. 500ms or 2s (default 2s)"},
    };
    const struct option_table options = {
        .command = "probe",
        .usage = "[--timeout TIME] ADDRESS[/PATH]",
        .about = "Sends one GET to a health or admin address. Meant for images without a shell.\n"
                 "\n"
                 "  127.0.0.1:9901            GET /ready\n"
                 "  localhost:9901/live       another path\n"
                 "  '[::1]:9901/live'         IPv6\n"
                 "  unix:/run/x.sock          GET /ready on a Unix socket\n"
                 "  unix:/run/x.sock:/live    another path, after a second colon\n",
        .rows = rows,
        .row_count = sizeof(rows) / sizeof(rows[0]),
        .operands = &address,
        .operand_min = 1,
        .operand_max = 1,
        .operand_hint = "specify one address, such as 127.0.0.1:9901/ready",
        .more = "Exit status: 0 if the response is 2xx, else 1 with the reason in one line on "
                "stderr.\n"};
    int status = option_parse(&options, argc, argv);
    if (status >= 0)
        return status;
    if (timeout.at != NULL && !parse_timeout(timeout, timeout_ms)) {
        option_fail("probe", "--timeout %s: must be a time such as 500ms or 2s, up to 1 hour",
                    timeout.at);
        return 1;
    }
    if (!parse_target(address, target)) {
        option_fail("probe", "'%s': must be HOST:PORT/PATH or unix:SOCKET:/PATH", address.at);
        return 1;
    }
    return -1;
}

/* ---- one limit for the whole probe, including DNS ---- */

static void on_timeout(int number)
{
    ssize_t written = write(STDERR_FILENO, timeout_message, timeout_message_len);
    (void)number;
    (void)written;
    _exit(1);
}

static void set_timeout(const struct target *target, int64_t timeout_ms)
{
    const struct sigaction action = {.sa_handler = on_timeout};
    const struct itimerval limit = {
        .it_value = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000}};
    int len = snprintf(timeout_message, sizeof(timeout_message),
                       "sagegate probe: %.400s: no response within %lld ms\n", target->text.at,
                       (long long)timeout_ms);
    timeout_message_len = (size_t)len;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &limit, NULL);
}

static int fail(const struct target *target, const char *what, const char *why)
{
    option_fail("probe", "%.*s: %s%s%s", SPAN_ARG(target->text), what, why[0] == '\0' ? "" : ": ",
                why);
    return -1;
}

/* ---- the connection: each function returns -1 after it printed what failed ---- */

/* Returns -1 with errno set. */
static int connect_to(const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 || connect(fd, address, size) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int connect_unix(const struct target *target)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (target->unix_path.len >= sizeof(name.sun_path))
        return fail(target, "the socket's path is longer than 107 bytes", "");
    memcpy(name.sun_path, target->unix_path.at, target->unix_path.len);
    int fd = connect_to((const struct sockaddr *)&name, sizeof(name));
    return fd != -1 ? fd : fail(target, "cannot connect", strerror(errno));
}

/* Tries each address of the name in turn: "localhost" may resolve to ::1 with no listener on it. */
static int connect_tcp(const struct target *target, struct arena *arena)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list;
    int fd = -1;
    int result = getaddrinfo(arena_copy(arena, target->host).at, arena_copy(arena, target->port).at,
                             &hints, &list);
    if (result != 0)
        return fail(target, "cannot resolve the name", gai_strerror(result));
    for (const struct addrinfo *at = list; at != NULL && fd == -1; at = at->ai_next)
        fd = connect_to(at->ai_addr, at->ai_addrlen);
    int error = errno;
    freeaddrinfo(list);
    return fd != -1 ? fd : fail(target, "cannot connect", strerror(error));
}

/* ---- the request and its response ---- */

static int send_request(int fd, const struct target *target, struct arena *arena)
{
    struct span host = target->host.at == NULL ? SPAN("localhost") : target->host;
    bool is_v6 = span_find(host, ':') != host.len;
    struct span request =
        arena_printf(arena,
                     "GET %.*s HTTP/1.1\r\nHost: %s%.*s%s\r\nUser-Agent: sagegate-probe\r\n"
                     "Accept: application/json\r\nConnection: close\r\n\r\n",
                     SPAN_ARG(target->path), is_v6 ? "[" : "", SPAN_ARG(host), is_v6 ? "]" : "");
    while (request.len != 0) {
        ssize_t n = send(fd, request.at, request.len, MSG_NOSIGNAL);
        if (n == -1)
            return fail(target, "cannot send", strerror(errno));
        request = span_from_offset(request, (size_t)n);
    }
    return 0;
}

/* Reads until the peer closes or RESPONSE_MAX bytes have arrived. Data that arrived before a reset
 * is kept. */
static ssize_t receive(int fd, const struct target *target, char *response)
{
    size_t len = 0;
    ssize_t n = 1;
    while (len != RESPONSE_MAX && (n = recv(fd, response + len, RESPONSE_MAX - len, 0)) > 0)
        len += (size_t)n;
    return n == -1 && len == 0 ? fail(target, "no response", strerror(errno)) : (ssize_t)len;
}

/* Prints the status and the body on one line. */
static void print_refusal(const struct target *target, int status, struct span body)
{
    char line[SHOWN_MAX];
    struct span reason = http1_reason(status);
    body = span_trim(body);
    if (span_ends_with(body, SPAN("\n")))
        --body.len;
    if (body.len > SHOWN_MAX)
        body.len = SHOWN_MAX;
    for (size_t i = 0; i != body.len; ++i)
        line[i] = ascii_is_control(body.at[i]) ? ' ' : body.at[i];
    option_fail("probe", "%.*s: %d %.*s%s%.*s", SPAN_ARG(target->text), status, SPAN_ARG(reason),
                body.len == 0 ? "" : ": ", (int)body.len, line);
}

/* Returns the exit status. */
static int judge(const struct target *target, struct span text)
{
    struct http1_response response;
    size_t scanned = 0;
    long head = http1_scan_head(text, &scanned);
    if (head <= 0 ||
        http1_parse_response(span_make(text.at, (size_t)head), false, &response) != HTTP1_OK) {
        fail(target, text.len == 0 ? "closed without a response" : "the response is not valid HTTP",
             "");
        return 1;
    }
    if (response.status >= 200 && response.status <= 299)
        return 0;
    print_refusal(target, response.status, span_from_offset(text, (size_t)head));
    return 1;
}

static int probe(const struct target *target, struct arena *arena)
{
    int status = 1;
    int fd = target->unix_path.at != NULL ? connect_unix(target) : connect_tcp(target, arena);
    if (fd == -1)
        return 1;
    char *response = arena_alloc(arena, RESPONSE_MAX);
    if (send_request(fd, target, arena) == 0) {
        ssize_t len = receive(fd, target, response);
        if (len >= 0)
            status = judge(target, span_make(response, (size_t)len));
    }
    close(fd);
    return status;
}

int command_probe(int argc, char **argv)
{
    struct target target;
    int64_t timeout_ms = TIMEOUT_MS;
    int status = read_options(argc, argv, &target, &timeout_ms);
    if (status != -1)
        return status;
    struct arena arena;
    arena_init(&arena, 4096);
    set_timeout(&target, timeout_ms);
    status = probe(&target, &arena);
    arena_dispose(&arena);
    return status;
}

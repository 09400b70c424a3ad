/* Talking to systemd: datagrams to its socket, and the descriptors from 3 on that it left us. */
#include "net/service.h"

#include "base/clock.h"
#include "net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_FD = 3, INHERITED_MAX = 32 };

struct inherited {
    int fd;
    bool taken;
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1]; /* of a Unix socket, else "" */
};

static struct {
    int notify_fd; /* connected; -1: nobody wants to know */
    int64_t watchdog_ms;
    struct inherited sockets[INHERITED_MAX];
    size_t count;
} service = {.notify_fd = -1};

/* ---- what the environment says ---- */

static bool read_number(const char *name, long long *out)
{
    const char *text = getenv(name);
    char *end;
    if (text == NULL || *text == '\0')
        return false;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

/* Variables may be meant for a process before us that ran us: then its number is not ours. */
static bool is_for_us(const char *pid_name, bool if_absent)
{
    long long pid;
    return getenv(pid_name) == NULL ? if_absent : read_number(pid_name, &pid) && pid == getpid();
}

static int connect_to(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len >= sizeof(name.sun_path))
        return -1;
    memcpy(name.sun_path, path, len);
    if (path[0] == '@')
        name.sun_path[0] = '\0'; /* the abstract namespace */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -1;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (connect(fd, (const struct sockaddr *)&name, size) == 0)
        return fd;
    close(fd);
    return -1;
}

static void take_over(int fd)
{
    struct inherited *inherited = &service.sockets[service.count];
    struct sockaddr_un name = {.sun_family = AF_UNSPEC};
    socklen_t len = sizeof(name);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
        return;
    *inherited = (struct inherited){.fd = fd};
    if (getsockname(fd, (struct sockaddr *)&name, &len) == 0 && name.sun_family == AF_UNIX)
        memcpy(inherited->path, name.sun_path, sizeof(name.sun_path));
    ++service.count;
}

void service_open(void)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                        "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES"};
    const char *path = getenv("NOTIFY_SOCKET");
    long long number;
    if (read_number("LISTEN_FDS", &number) && number > 0 && is_for_us("LISTEN_PID", false))
        for (int i = 0; i < number && i != INHERITED_MAX; ++i)
            take_over(FIRST_FD + i);
    if (path != NULL)
        service.notify_fd = connect_to(path);
    if (service.notify_fd != -1 && read_number("WATCHDOG_USEC", &number) && number > 0 &&
        is_for_us("WATCHDOG_PID", true))
        service.watchdog_ms = number / 1000;
    for (size_t i = 0; i != sizeof(names) / sizeof(names[0]); ++i)
        unsetenv(names[i]);
}

/* ---- telling ---- */

void service_notify(const char *state)
{
    if (service.notify_fd != -1)
        (void)send(service.notify_fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void service_notify_reloading(void)
{
    char state[64];
    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono().us);
    service_notify(state);
}

int64_t service_watchdog_ms(void)
{
    return service.watchdog_ms;
}

/* ---- inherited sockets ---- */

static bool is_stream_listener(int fd)
{
    int type = 0, listens = 0;
    socklen_t len = sizeof(int);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens;
}

static bool is_same_tcp(const struct sockaddr *one, const struct sockaddr *other)
{
    if (one->sa_family != other->sa_family)
        return false;
    if (one->sa_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)one, *b = (const void *)other;
        return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *a = (const void *)one, *b = (const void *)other;
    return a->sin6_port == b->sin6_port &&
           memcmp(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr)) == 0;
}

static bool matches_tcp(const struct sockaddr *name, const struct config_address *address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *info;
    char port[8];
    snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    if (address->host.at == NULL || getaddrinfo(address->host.at, port, &hints, &info) != 0)
        return false;
    bool same = is_same_tcp(name, info->ai_addr);
    freeaddrinfo(info);
    return same;
}

static bool matches(const struct inherited *inherited, const struct config_address *address)
{
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
    } name = {.storage = {0}};
    socklen_t len = sizeof(name);
    if (address->unix_path.at != NULL)
        return span_equals(address->unix_path, span_from(inherited->path));
    return inherited->path[0] == '\0' && getsockname(inherited->fd, &name.any, &len) == 0 &&
           matches_tcp(&name.any, address);
}

int service_take_listener(const struct config_address *address)
{
    for (size_t i = 0; i != service.count; ++i) {
        struct inherited *inherited = &service.sockets[i];
        if (inherited->taken || !is_stream_listener(inherited->fd) || !matches(inherited, address))
            continue;
        int flags = fcntl(inherited->fd, F_GETFL);
        if (flags == -1 || fcntl(inherited->fd, F_SETFL, flags | O_NONBLOCK) == -1)
            return -1;
        inherited->taken = true;
        return inherited->fd;
    }
    return -1;
}

bool service_gave(const struct config_address *address)
{
    for (size_t i = 0; address->unix_path.at != NULL && i != service.count; ++i)
        if (service.sockets[i].taken &&
            span_equals(address->unix_path, span_from(service.sockets[i].path)))
            return true;
    return false;
}

struct span service_untaken(struct arena *arena)
{
    struct span told = SPAN_NONE;
    for (size_t i = 0; i != service.count; ++i) {
        if (service.sockets[i].taken)
            continue;
        struct span name = listen_name(service.sockets[i].fd, arena);
        told = told.at == NULL ? name
                               : arena_printf(arena, "%.*s, %.*s", SPAN_ARG(told), SPAN_ARG(name));
    }
    return told;
}

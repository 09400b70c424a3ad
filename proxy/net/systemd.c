/* Datagrams to systemd's socket, and the descriptors from 3 on that it passes. */
#include "net/systemd.h"

#include "base/clock.h"
#include "net/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_FD = 3, INHERITED_MAX = 32 };

struct inherited {
    int fd;
    bool taken;
    struct address address;
};

static struct {
    int notify_fd; /* connected; -1: nobody asked */
    int64_t watchdog_ms;
    struct inherited sockets[INHERITED_MAX];
    size_t count;
} systemd = {.notify_fd = -1};

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

/* The variables may be meant for a parent that started us: then they name another process. */
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
    struct inherited *inherited = &systemd.sockets[systemd.count];
    *inherited = (struct inherited){.fd = fd};
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
        return;
    if (!address_of_socket(fd, &inherited->address))
        inherited->address.size = 0; /* not a socket: nobody takes it */
    ++systemd.count;
}

void systemd_open(void)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                        "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES"};
    const char *path = getenv("NOTIFY_SOCKET");
    long long number;
    if (read_number("LISTEN_FDS", &number) && number > 0 && is_for_us("LISTEN_PID", false))
        for (int i = 0; i < number && i != INHERITED_MAX; ++i)
            take_over(FIRST_FD + i);
    if (path != NULL)
        systemd.notify_fd = connect_to(path);
    if (systemd.notify_fd != -1 && read_number("WATCHDOG_USEC", &number) && number > 0 &&
        is_for_us("WATCHDOG_PID", true))
        systemd.watchdog_ms = number / 1000;
    for (size_t i = 0; i != sizeof(names) / sizeof(names[0]); ++i)
        unsetenv(names[i]);
}

/* ---- notifying ---- */

void systemd_notify(const char *state)
{
    if (systemd.notify_fd != -1)
        (void)send(systemd.notify_fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void systemd_notify_reloading(void)
{
    char state[64];
    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono().us);
    systemd_notify(state);
}

int64_t systemd_watchdog_ms(void)
{
    return systemd.watchdog_ms;
}

/* ---- inherited sockets ---- */

static bool is_stream_listener(int fd)
{
    int type = 0, listens = 0;
    socklen_t len = sizeof(int);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens;
}

static bool matches(const struct inherited *inherited, const struct config_address *address)
{
    struct address wanted;
    if (address->unix_path.at != NULL)
        return span_equals(address->unix_path, address_unix_path(&inherited->address));
    return address_parse(address->host, address->port, &wanted) &&
           address_is_same(&inherited->address, &wanted);
}

int systemd_take_listener(const struct config_address *address)
{
    for (size_t i = 0; i != systemd.count; ++i) {
        struct inherited *inherited = &systemd.sockets[i];
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

bool systemd_gave(const struct config_address *address)
{
    for (size_t i = 0; address->unix_path.at != NULL && i != systemd.count; ++i)
        if (systemd.sockets[i].taken && matches(&systemd.sockets[i], address))
            return true;
    return false;
}

struct span systemd_untaken(struct arena *arena)
{
    struct span names = SPAN_NONE;
    for (size_t i = 0; i != systemd.count; ++i) {
        if (systemd.sockets[i].taken)
            continue;
        struct span name = address_text(&systemd.sockets[i].address, arena);
        names = names.at == NULL
                    ? name
                    : arena_printf(arena, "%.*s, %.*s", SPAN_ARG(names), SPAN_ARG(name));
    }
    return names;
}

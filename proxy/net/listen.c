/* Binding TCP and Unix addresses, with one line that says why it failed. */
#include "net/listen.h"

#include "net/address.h"
#include "net/systemd.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(const struct config_address *address, struct arena *arena, struct span *fault,
                const char *what)
{
    *fault = arena_printf(arena, "%.*s: %s", SPAN_ARG(address->text), what);
    return -1;
}

static int fail_errno(const struct config_address *address, struct arena *arena, struct span *fault,
                      const char *call, int error)
{
    *fault = arena_printf(arena, "%.*s: %s: %s", SPAN_ARG(address->text), call, strerror(error));
    return -1;
}

/* Closes fd, keeping the errno that the caller reports. */
static void close_quietly(int fd)
{
    int error = errno;
    close(fd);
    errno = error;
}

/* ---- TCP ---- */

static const char *bind_hint(int error, uint16_t port)
{
    if (error == EACCES && port < 1024)
        return " (a port below 1024 needs CAP_NET_BIND_SERVICE)";
    if (error == EADDRINUSE)
        return " (another program is listening there)";
    if (error == EADDRNOTAVAIL)
        return " (no interface has this address)";
    return "";
}

static int bind_tcp(const struct address *address)
{
    const int on = 1;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        (address->storage.ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == -1) ||
        bind(fd, address_sockaddr(address), address->size) == -1) {
        close_quietly(fd);
        return -1;
    }
    return fd;
}

static int open_tcp(const struct config_address *address, int backlog, struct arena *arena,
                    struct span *fault)
{
    struct address parsed;
    if (!address_parse(address->host, address->port, &parsed))
        return fail(address, arena, fault, "not a numeric address");
    int fd = bind_tcp(&parsed);
    if (fd != -1 && listen(fd, backlog) == 0)
        return fd;
    int error = errno;
    if (fd != -1)
        close(fd);
    *fault = arena_printf(arena, "%.*s: cannot listen: %s%s", SPAN_ARG(address->text),
                          strerror(error), bind_hint(error, address->port));
    return -1;
}

/* ---- Unix ---- */

/* Whether a program listens on the socket at `name`: 1 yes, 0 no, -1 unknown (errno set). */
static int is_in_use(const struct sockaddr_un *name)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -1;
    int result = connect(fd, (const struct sockaddr *)name, sizeof(*name));
    close_quietly(fd);
    if (result == 0 || errno == EAGAIN) /* EAGAIN: its backlog is full */
        return 1;
    return errno == ECONNREFUSED || errno == ENOENT ? 0 : -1;
}

/* True if the path is free now; else *fault is set. */
static bool clear_path(const struct config_address *address, const struct sockaddr_un *name,
                       struct arena *arena, struct span *fault)
{
    struct stat st;
    if (lstat(name->sun_path, &st) == -1) {
        if (errno == ENOENT)
            return true;
        fail_errno(address, arena, fault, "cannot inspect the path", errno);
        return false;
    }
    if (!S_ISSOCK(st.st_mode)) {
        fail(address, arena, fault, "the file there is not a socket");
        return false;
    }
    int in_use = is_in_use(name);
    if (in_use == 1) {
        fail(address, arena, fault, "another program is listening there");
        return false;
    }
    if (in_use == -1) {
        fail_errno(address, arena, fault, "cannot tell whether the socket there is in use", errno);
        return false;
    }
    if (unlink(name->sun_path) == 0 || errno == ENOENT)
        return true;
    fail_errno(address, arena, fault, "cannot remove the stale socket", errno);
    return false;
}

/* bind() makes the file with the descriptor's mode less the umask, so it is never wider than asked;
 * chmod() then gives what the umask took, and only listen() lets a connection in. */
static bool bind_with_mode(int fd, const struct sockaddr_un *name, mode_t mode)
{
    if (fchmod(fd, mode) == -1 || bind(fd, (const struct sockaddr *)name, sizeof(*name)) == -1)
        return false;
    if (chmod(name->sun_path, mode) == 0)
        return true;
    int error = errno;
    unlink(name->sun_path);
    errno = error;
    return false;
}

static int open_unix(const struct config_address *address, int backlog, struct arena *arena,
                     struct span *fault)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (address->unix_path.len == 0 || address->unix_path.len >= sizeof(name.sun_path))
        return fail(address, arena, fault, "a socket's path must be 1 to 107 bytes long");
    memcpy(name.sun_path, address->unix_path.at, address->unix_path.len);
    if (!clear_path(address, &name, arena, fault))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return fail_errno(address, arena, fault, "socket", errno);
    if (!bind_with_mode(fd, &name, (mode_t)(address->unix_mode & 0777))) {
        fail_errno(address, arena, fault, "cannot create the socket", errno);
        close(fd);
        return -1;
    }
    if (listen(fd, backlog) == -1) {
        fail_errno(address, arena, fault, "cannot listen", errno);
        listen_close(fd, address);
        return -1;
    }
    return fd;
}

/* ---- both ---- */

int listen_open(const struct config_address *address, int backlog, struct arena *arena,
                struct span *fault)
{
    int inherited = systemd_take_listener(address);
    if (inherited != -1)
        return inherited;
    if (address->unix_path.at != NULL)
        return open_unix(address, backlog, arena, fault);
    return open_tcp(address, backlog, arena, fault);
}

void listen_unlink(const struct config_address *address)
{
    if (address->unix_path.at != NULL && !systemd_gave(address))
        unlink(address->unix_path.at);
}

void listen_close(int fd, const struct config_address *address)
{
    if (fd == -1)
        return;
    listen_unlink(address);
    close(fd);
}

struct span listen_name(int fd, struct arena *arena)
{
    struct address address;
    return address_of_socket(fd, &address) ? address_text(&address, arena) : SPAN("unknown");
}

/* Listening sockets: an address of the configuration in, a descriptor out. It accepts nothing. */
#ifndef SAGEGATE_NET_LISTEN_H
#define SAGEGATE_NET_LISTEN_H

#include "base/arena.h"
#include "base/check.h"
#include "config/config.h"

/* Opens, binds and listens, or takes the socket that the service manager opened for it (net/service.h). Returns a non-blocking close-on-exec descriptor, the caller's to give
 * to listen_close; or -1 with *fault = "ADDRESS: what is wrong" in arena (untouched on success).
 *
 * TCP: SO_REUSEADDR, and IPv6 addresses take IPv6 only. Unix: a socket that nobody listens on any
 * more is replaced; one that answers, and anything that is no stream socket, is refused and left
 * alone. The socket's mode is exactly address->unix_mode before the first connection can succeed,
 * whatever the umask, and never wider on the way there. */
MUST_USE int listen_open(const struct config_address *address, int backlog, struct arena *arena,
                         struct span *fault);

/* Takes the socket's file away (Unix, unless the service manager made it), then closes. fd -1 does nothing. */
void listen_close(int fd, const struct config_address *address);

/* Only the first half of that, for who closes the descriptor in its own way: the file goes first,
 * for as long as the descriptor listens no other gateway takes the path over. */
void listen_unlink(const struct config_address *address);

/* The address as the kernel has it, "127.0.0.1:43210", "[::1]:8080" or "unix:/run/x.sock": tells
 * what became of port 0. In arena. */
struct span listen_name(int fd, struct arena *arena);

#endif

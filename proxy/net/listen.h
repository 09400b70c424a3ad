/* Listening sockets: from an address in the configuration to a descriptor. Accepts nothing. */
#ifndef SAGEGATE_NET_LISTEN_H
#define SAGEGATE_NET_LISTEN_H

#include "base/arena.h"
#include "base/check.h"
#include "config/config.h"

/* Opens, binds and listens, or takes the socket that systemd opened for the address
 * (net/systemd.h). Returns a non-blocking close-on-exec descriptor, to be closed by listen_close;
 * or -1 with *fault = "ADDRESS: what is wrong" in arena (untouched on success).
 *
 * TCP: SO_REUSEADDR, and IPv6 addresses accept IPv6 only. Unix: replaces a socket on which nobody
 * listens any more; refuses and leaves alone one that answers, and anything that is not a stream
 * socket. The socket's mode is exactly address->unix_mode before the first connection can succeed,
 * whatever the umask, and never wider on the way there. */
MUST_USE int listen_open(const struct config_address *address, int backlog, struct arena *arena,
                         struct span *fault);

/* Unlinks the socket's file (Unix, unless systemd created it), then closes. No-op if fd is -1. */
void listen_close(int fd, const struct config_address *address);

/* Only unlinks, for a caller that closes the descriptor itself: the file must go first, since no
 * other gateway takes over the path while the descriptor listens. */
void listen_unlink(const struct config_address *address);

/* Where fd listens, as address_text shows it: tells what port 0 became. In arena. */
struct span listen_name(int fd, struct arena *arena);

#endif

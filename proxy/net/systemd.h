/* systemd: reports the state of the process and takes the sockets that systemd opened
 * (sd_notify(3), sd_listen_fds(3)). Does nothing if no service manager started the process.
 *
 * One for the process, since its environment is one. The main thread's. */
#ifndef SAGEGATE_NET_SYSTEMD_H
#define SAGEGATE_NET_SYSTEMD_H

#include "base/arena.h"
#include "base/check.h"
#include "config/config.h"

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, LISTEN_FDS and LISTEN_PID and unsets them, so
 * that no child believes to be the service. Before threads start and descriptors are opened. */
void systemd_open(void);

/* Sends assignments such as "READY=1", one a line. Failures are ignored. */
void systemd_notify(const char *state);
/* Sends RELOADING=1 and its timestamp; READY=1 has to follow. */
void systemd_notify_reloading(void);

/* How often the manager expects WATCHDOG=1, in milliseconds; 0: never. */
int64_t systemd_watchdog_ms(void);

/* The inherited socket that listens on this address, non-blocking, the caller's to close; -1 if
 * there is none. */
MUST_USE int systemd_take_listener(const struct config_address *address);
/* Whether the Unix socket at this address was taken so: its file belongs to systemd, and stays. */
bool systemd_gave(const struct config_address *address);
/* The addresses of inherited sockets that were not taken ("127.0.0.1:80, unix:/run/x.sock"), in
 * arena; SPAN_NONE if all were. */
struct span systemd_untaken(struct arena *arena);

#endif

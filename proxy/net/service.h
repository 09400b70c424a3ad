/* The service manager: tells systemd how the process fares and takes the sockets that it opened (sd_notify(3),
 * sd_listen_fds(3)). Knows neither HTTP nor AWS, and does nothing where no manager started the process.
 *
 * One for the process, for its environment is one. All of it is called from the main thread. */
#ifndef SAGEGATE_NET_SERVICE_H
#define SAGEGATE_NET_SERVICE_H

#include "base/arena.h"
#include "base/check.h"
#include "config/config.h"

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, LISTEN_FDS and LISTEN_PID and removes them, so that no child takes
 * itself for the service. Before the threads and before any descriptor is opened. */
void service_open(void);

/* Sends assignments such as "READY=1", by lines; losing one is no error of ours. */
void service_notify(const char *state);

/* RELOADING=1, with the time that goes with it: READY=1 has to follow. */
void service_notify_reloading(void);

/* How often the manager wants to hear WATCHDOG=1, in milliseconds; 0: not at all. */
int64_t service_watchdog_ms(void);

/* The inherited socket that listens on this address, made non-blocking, the caller's to close; -1 where none does. */
MUST_USE int service_take_listener(const struct config_address *address);

/* Whether the Unix socket at this address was taken so: its file is the manager's, and stays. */
bool service_gave(const struct config_address *address);

/* The addresses of inherited sockets that nobody took ("127.0.0.1:80, unix:/run/x.sock"), in arena; SPAN_NONE: all
 * were taken. */
struct span service_untaken(struct arena *arena);

#endif

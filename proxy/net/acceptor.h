/* Accepting on one listening socket, within the bounds that its owner sets.
 *
 * Pauses when the owner has no room, until acceptor_resume, or for ACCEPTOR_BACK_OFF_MS when
 * descriptors or memory run out: connections wait in the kernel's queue. */
#ifndef SAGEGATE_NET_ACCEPTOR_H
#define SAGEGATE_NET_ACCEPTOR_H

#include "net/loop.h"

enum {
    ACCEPTOR_A_TURN = 16, /* connections accepted before others get a turn */
    ACCEPTOR_BACK_OFF_MS = 100,
};

/* Embedded by its owner, who sets on_waiting. */
struct acceptor {
    struct loop *loop;
    struct loop_watch watch;
    struct timer back_off;
    /* A connection may wait: takes it by acceptor_take. True: another one may be taken in this
     * turn. */
    bool (*on_waiting)(struct acceptor *acceptor);
};

/* Starts accepting on fd, which listens, and takes it over. */
void acceptor_open(struct acceptor *acceptor, struct loop *loop, int fd);
static inline bool acceptor_is_open(const struct acceptor *acceptor)
{
    return acceptor->watch.sock != NULL;
}
/* The next connection, non-blocking and close-on-exec; or -1, with *error EAGAIN if none waits, or
 * what the system ran out of: then the acceptor has paused itself. */
int acceptor_take(struct acceptor *acceptor, int *error);
/* No on_waiting until resumed; either ends a back-off. Both are no-ops if it is closed. */
void acceptor_pause(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);
/* Closes the socket; on_waiting is not called any more. No-op if closed. */
void acceptor_close(struct acceptor *acceptor);

#endif

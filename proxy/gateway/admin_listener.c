/* Accepting for libh2o's HTTP server, within bounds. */
#include "gateway/admin_listener.h"

#include "net/listen.h"
#include "observe/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BACKLOG = 64, ACCEPTS_A_TURN = 16 };

/* ---- connections ---- */

/* libh2o: a connection's socket was closed, by either side. */
static void on_connection_closed(void *context)
{
    struct admin_connection *connection = context;
    connection->previous->next = connection->next;
    connection->next->previous = connection->previous;
    --connection->listener->connections;
    free(connection);
}

/* The library then reads the end and closes. False where all are ending already. */
static bool end_oldest(struct admin_listener *listener)
{
    struct admin_connection *oldest = listener->oldest.next;
    while (oldest != &listener->oldest && oldest->is_ending)
        oldest = oldest->next;
    if (oldest == &listener->oldest)
        return false;
    oldest->is_ending = true;
    shutdown(h2o_socket_get_fd(oldest->socket), SHUT_RDWR);
    return true;
}

static void adopt(struct admin_listener *listener, h2o_socket_t *socket)
{
    struct admin_connection *connection = calloc(1, sizeof(*connection));
    CHECK(connection != NULL);
    connection->listener = listener;
    connection->socket = socket;
    connection->next = &listener->oldest;
    connection->previous = listener->oldest.previous;
    connection->previous->next = connection;
    listener->oldest.previous = connection;
    ++listener->connections;
    socket->on_close.cb = on_connection_closed;
    socket->on_close.data = connection;
    h2o_accept(&listener->accept, socket);
}

static void on_accept_failed(struct admin_listener *listener)
{
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
        return; /* nothing waits any more, or the caller has left */
    log_write(LOG_WARNING, "listener", "%.*s: cannot accept: %m",
              SPAN_ARG(listener->address->text));
    h2o_socket_read_stop(listener->socket);
    listener->resume_at = clock_after_ms(clock_mono(), ADMIN_LISTENER_PAUSE_MS);
}

/* The listener is readable: connections wait. */
static void on_connections_waiting(h2o_socket_t *socket, const char *error)
{
    struct admin_listener *listener = socket->data;
    if (error != NULL)
        return;
    for (int i = 0; i != ACCEPTS_A_TURN; ++i) {
        if (listener->connections >= listener->connections_max) {
            end_oldest(listener); /* its close makes room for the next turn */
            return;
        }
        h2o_socket_t *accepted = h2o_evloop_socket_accept(socket);
        if (accepted == NULL) {
            on_accept_failed(listener);
            return;
        }
        adopt(listener, accepted);
    }
}

/* ---- the listener ---- */

void admin_listener_init(struct admin_listener *listener, struct admin *admin,
                         const struct config_address *address, unsigned connections_max)
{
    listener->admin = admin;
    listener->address = address;
    listener->connections_max = connections_max;
    listener->fd = -1;
    listener->oldest.next = listener->oldest.previous = &listener->oldest;
}

bool admin_listener_open(struct admin_listener *listener, struct arena *arena, struct span *fault)
{
    if (listener->address == NULL)
        return true;
    listener->fd = listen_open(listener->address, BACKLOG, arena, fault);
    return listener->fd != -1;
}

void admin_listener_start(struct admin_listener *listener, h2o_context_t *context)
{
    listener->accept = (h2o_accept_ctx_t){.ctx = context, .hosts = listener->hosts};
    listener->socket =
        h2o_evloop_socket_create(context->loop, listener->fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->socket->data = listener;
    h2o_socket_read_start(listener->socket, on_connections_waiting);
}

void admin_listener_resume(struct admin_listener *listener, struct mono_time now)
{
    if (listener->resume_at.us == 0 || now.us < listener->resume_at.us)
        return;
    listener->resume_at.us = 0;
    h2o_socket_read_start(listener->socket, on_connections_waiting);
}

void admin_listener_stop(struct admin_listener *listener)
{
    listener->resume_at.us = 0;
    if (listener->socket != NULL) {
        listen_unlink(listener->address);
        h2o_socket_read_stop(listener->socket);
        h2o_socket_close(listener->socket);
        listener->socket = NULL;
        listener->fd = -1;
    }
    while (end_oldest(listener))
        ;
}

struct span admin_listener_name(const struct admin_listener *listener, struct arena *arena)
{
    return listener->fd == -1 ? SPAN_NONE : listen_name(listener->fd, arena);
}

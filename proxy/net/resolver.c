/* The resolver: a few threads of the process that take lookups from a queue. */
#include "net/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS_MAX = 4, THREAD_STACK = 256 * 1024 };

struct resolver_query {
    struct loop_task task; /* first: posted back by it */
    struct resolver_query *next;
    struct loop *loop;
    resolver_callback on_resolved; /* NULL: cancelled; the loop's thread only */
    void *owner;
    char host[RESOLVER_HOST_MAX + 1];
    char service[6];
    struct resolver_addresses addresses;
    const char *error;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t asked;
    struct resolver_query *first, **end;
    unsigned threads, idle;
} queue = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &queue.first, 0, 0};

static int look_up(const char *host, const char *service, int flags, struct resolver_addresses *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV},
                    *found = NULL;
    int error = getaddrinfo(host, service, &hints, &found);
    if (error != 0)
        return error;
    for (struct addrinfo *a = found; a != NULL && out->count != RESOLVER_ADDRESSES_MAX;
         a = a->ai_next) {
        struct address *address = &out->list[out->count++];
        address->size = a->ai_addrlen;
        memcpy(&address->storage, a->ai_addr, a->ai_addrlen);
    }
    freeaddrinfo(found);
    return out->count == 0 ? EAI_NONAME : 0;
}

/* On the loop's thread. */
static void on_looked_up(struct loop_task *task)
{
    struct resolver_query *query = (struct resolver_query *)task;
    if (query->on_resolved != NULL)
        query->on_resolved(query->owner, &query->addresses, query->error);
    free(query);
}

static struct resolver_query *take_query(void)
{
    pthread_mutex_lock(&queue.mutex);
    ++queue.idle;
    while (queue.first == NULL)
        pthread_cond_wait(&queue.asked, &queue.mutex);
    --queue.idle;
    struct resolver_query *query = queue.first;
    queue.first = query->next;
    if (queue.first == NULL)
        queue.end = &queue.first;
    pthread_mutex_unlock(&queue.mutex);
    return query;
}

static void *run_thread(void *unused)
{
    (void)unused;
    for (;;) {
        struct resolver_query *query = take_query();
        int error = look_up(query->host, query->service, AI_ADDRCONFIG, &query->addresses);
        /* AI_ADDRCONFIG hides addresses on machines with loopback only. */
        if (error != 0 && error != EAI_AGAIN)
            error = look_up(query->host, query->service, 0, &query->addresses);
        query->error = error == 0 ? NULL : gai_strerror(error);
        loop_post(query->loop, &query->task);
    }
    return NULL;
}

static void start_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    if (pthread_create(&thread, &attributes, run_thread, NULL) == 0)
        ++queue.threads;
    pthread_attr_destroy(&attributes);
    CHECK(queue.threads != 0);
}

struct resolver_query *resolver_ask(struct loop *loop, struct span host, uint16_t port,
                                    resolver_callback on_resolved, void *owner)
{
    struct resolver_query *query = calloc(1, sizeof(*query));
    CHECK(query != NULL && host.len <= RESOLVER_HOST_MAX);
    query->task.run = on_looked_up;
    query->loop = loop;
    query->on_resolved = on_resolved;
    query->owner = owner;
    memcpy(query->host, host.at, host.len);
    snprintf(query->service, sizeof(query->service), "%u", port);

    pthread_mutex_lock(&queue.mutex);
    *queue.end = query;
    queue.end = &query->next;
    if (queue.idle == 0 && queue.threads != THREADS_MAX)
        start_thread();
    pthread_cond_signal(&queue.asked);
    pthread_mutex_unlock(&queue.mutex);
    return query;
}

void resolver_cancel(struct resolver_query *query)
{
    query->on_resolved = NULL;
}

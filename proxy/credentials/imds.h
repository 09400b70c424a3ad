/* EC2 instance metadata: one client for credentials and region alike.
 *
 * Speaks version 2: gets a session token first, and a new one, once, if the service rejects it
 * (401). Falls back to version 1, which has no token, only if the options allow it and the service
 * lacks version 2 (403, 404, 405, or no response in time).
 * Source: EC2 User Guide, "Use the Instance Metadata Service to access instance metadata". */
#ifndef SAGEGATE_CREDENTIALS_IMDS_H
#define SAGEGATE_CREDENTIALS_IMDS_H

#include "base/arena.h"
#include "base/secret.h"
#include "net/http_client.h"

struct imds_options {
    struct loop *loop;
    const struct endpoint_url *url; /* outlives the client */
    X509_STORE *trust;              /* required if url->tls; outlives the client */
    bool v1;                        /* version 1 may be used */
    struct arena *arena;            /* of faults */
};

/* Embedded by its owner; all zero is closed. */
struct imds {
    struct imds_options options;
    struct http_client client;
    struct secret token; /* the session's; empty: none yet, or version 1 */
    bool token_renewed, uses_v1;
    struct span path, subject; /* of the request in flight */
    void (*on_done)(struct imds *imds);
    void *owner;
    /* The result, until the next imds_get. */
    int status;        /* 0: no response to the GET */
    struct span fault; /* "imds: HOST: what is wrong", in the arena; SPAN_NONE: status is 200 */
};

void imds_open(struct imds *imds, const struct imds_options *options);
/* Gets `path`. on_done fires once, from the loop, and may call imds_get or imds_dispose. path and
 * subject, which says what is asked for ("credentials"), stay valid until then. */
void imds_get(struct imds *imds, struct span path, struct span subject,
              void (*on_done)(struct imds *imds), void *owner);
/* The body of a response with status 200. */
static inline struct span imds_response(const struct imds *imds)
{
    return http_client_response(&imds->client);
}
/* Cancels without calling on_done and wipes the state. Safe if closed. */
void imds_dispose(struct imds *imds);

#endif

/* One fetch: a chain is made and carried out, from its base through its roles, to a set or a fault.
 *
 * Embedded by the keeper; every run makes its chain anew, so that changed files are seen. */
#ifndef SAGEGATE_CREDENTIALS_FETCH_H
#define SAGEGATE_CREDENTIALS_FETCH_H

#include "base/skew.h"
#include "credentials/chain.h"
#include "credentials/process.h"
#include "net/http_client.h"

struct fetch;

struct fetch_options {
    struct loop *loop;
    const struct config_identity *identity;
    config_getenv getenv;
    void *getenv_context;
    struct skew *skew; /* applied to and learned from STS */
    /* A run that has not ended in fetch_start ends with this, once, from the loop's turn. */
    void (*on_done)(struct fetch *fetch);
    void *owner;
};

struct fetch {
    struct fetch_options options;
    bool running;
    struct arena arena; /* of the chain and the notes */
    struct chain chain;
    struct http_client call;
    struct process process;
    X509_STORE *trust;       /* NULL: not needed yet */
    struct secret token;     /* IMDS: the session's; container, SSO: the bearer's */
    char role_name[128];     /* IMDS */
    bool token_renewed;      /* IMDS: once a run */
    bool clock_corrected;    /* STS: once a run */
    size_t role_index;       /* the role to be assumed next */
    struct credentials *set; /* what the roles so far have given */
    /* The result, until the next start. */
    enum credentials_result result;
    struct credentials *found; /* with FOUND; the taker sets it to NULL */
    struct source_notes notes; /* in arena */
};

void fetch_init(struct fetch *fetch, const struct fetch_options *options);
/* False: it is under way. True: it has ended, without on_done. */
MUST_USE bool fetch_start(struct fetch *fetch);
/* Also from a running one; nothing is called back. */
void fetch_dispose(struct fetch *fetch);

/* For the steps, fetch_metadata.c and fetch_sts.c: each begins one and returns; the run goes on from
 * the loop's turn, or ends. */
void fetch_fail(struct fetch *fetch, struct span fault);
/* Takes the reference. */
void fetch_take_base(struct fetch *fetch, struct credentials *set);
/* False where the trust cannot be loaded; the run has failed then. */
MUST_USE bool fetch_call(struct fetch *fetch, struct http_client_request *request,
                         void (*on_done)(struct http_client *call));
void fetch_from_container(struct fetch *fetch);
void fetch_from_imds(struct fetch *fetch);
void fetch_from_sso(struct fetch *fetch);
void fetch_from_web_identity(struct fetch *fetch);
void fetch_assume_role(struct fetch *fetch);

#endif

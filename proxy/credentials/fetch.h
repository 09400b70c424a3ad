/* One fetch: resolves the chain and carries it out, from its base through its roles, to a set of
 * credentials or a fault.
 *
 * Embedded by its owner. Every run resolves the chain anew, so that it sees changed files. */
#ifndef SAGEGATE_CREDENTIALS_FETCH_H
#define SAGEGATE_CREDENTIALS_FETCH_H

#include "base/skew.h"
#include "credentials/chain.h"
#include "credentials/imds.h"
#include "credentials/process.h"

struct fetch;

struct fetch_options {
    struct loop *loop;
    const struct config_identity *identity;
    config_getenv getenv;
    void *getenv_context;
    struct skew *skew; /* applied to requests to STS, and learned from its responses */
    /* Fires once, from the loop, for a run that fetch_start did not end. */
    void (*on_done)(struct fetch *fetch);
    void *owner;
};

struct fetch {
    struct fetch_options options;
    bool running;
    struct arena arena; /* of the chain and the notes, until the next start */
    struct chain chain;
    struct http_client client;
    struct imds imds;
    struct process process;
    X509_STORE *trust;       /* NULL: not needed yet */
    struct secret token;     /* container, SSO: the bearer's */
    bool clock_corrected;    /* STS: once a run */
    size_t role_index;       /* of the role to assume next */
    struct credentials *set; /* from the base and the roles so far */
    /* The result, until the next start. */
    enum credentials_result result;
    struct credentials *found;      /* with FOUND; its taker sets it to NULL */
    struct credentials_notes notes; /* in arena */
};

void fetch_init(struct fetch *fetch, const struct fetch_options *options);
/* Returns true if the run has ended, without on_done; false if it is in flight. */
MUST_USE bool fetch_start(struct fetch *fetch);
/* Cancels without calling on_done and wipes the state. */
void fetch_dispose(struct fetch *fetch);

#endif

/* The chain of sources: where the credentials of an identity come from, by the configuration, the
 * environment and the shared files, before anything is asked over a network.
 *
 * It resolves to a base (a set at hand, or whom to ask for one) and the roles to assume from it,
 * one after the other. The first source that is configured decides; if it is broken the chain
 * fails, and no later source is asked. Order as in the AWS SDK for Python: environment, profile
 * with a role, web identity, SSO, the profile's keys, process, container, instance metadata. */
#ifndef SAGEGATE_CREDENTIALS_CHAIN_H
#define SAGEGATE_CREDENTIALS_CHAIN_H

#include "config/proxy.h"
#include "credentials/file.h"
#include "credentials/source.h"

enum {
    CHAIN_ROLES_MAX = 8,
    CHAIN_FILES_MAX = 3,
    /* STS API Reference, AssumeRole. */
    CHAIN_ROLE_ARN_MAX = 2048,
    CHAIN_EXTERNAL_ID_MAX = 1224
};

enum chain_base {
    CHAIN_SET, /* the keys are in the chain */
    CHAIN_PROCESS,
    CHAIN_WEB_IDENTITY,
    CHAIN_CONTAINER,
    CHAIN_IMDS,
    CHAIN_SSO,
};

/* One AssumeRole. Spans of what is not asked for are SPAN_NONE, durations 0. */
struct chain_role {
    struct span role_arn, session_name, external_id, source_identity;
    int64_t duration_s;
    const struct config_tag *tags;
    size_t tag_count;
};

/* A file that the chain depends on. */
struct chain_file {
    const char *name;
    struct file_version
        version; /* taken before the file was read, so that a change meanwhile counts */
};

struct chain {
    enum chain_base base;
    struct span source;         /* "env", "profile", "imds" ...; a literal */
    struct credentials *set;    /* CHAIN_SET; the chain's reference */
    char **argv;                /* CHAIN_PROCESS */
    const char *token_file;     /* web identity, container, SSO; NULL: none */
    struct span token;          /* CHAIN_CONTAINER: instead of a file; SPAN_NONE: none */
    struct endpoint_url url;    /* CHAIN_CONTAINER, CHAIN_IMDS, CHAIN_SSO */
    struct span path;           /* CHAIN_CONTAINER and CHAIN_SSO: path and query */
    bool imds_v1;               /* version 1 may be used */
    struct chain_role identity; /* CHAIN_WEB_IDENTITY */
    struct chain_role roles[CHAIN_ROLES_MAX]; /* in the order to be assumed */
    size_t role_count;
    struct endpoint_url sts;
    struct span sts_region;
    struct proxy sts_proxy, portal_proxy; /* by the environment; IMDS and containers have none */
    const char *ca_file;                  /* for STS, SSO, IMDS, a container; NULL: the system's */
    const char *ca_origin;                /* what names it: "AWS_CA_BUNDLE" */
    struct chain_file files[CHAIN_FILES_MAX]; /* filled on failure, too */
    size_t file_count;
    struct span trail; /* for people: each source and what came of it, in lines */
};

struct chain_options {
    const struct config_identity *identity;
    config_getenv getenv;
    void *getenv_context;
    struct wall_time now; /* for default session names */
};

/* CREDENTIALS_FOUND: *out is to be disposed. Never CREDENTIALS_NOT_CONFIGURED: without any source
 * it fails, with a fault that says so. Everything in arena but for the set. */
MUST_USE enum credentials_result chain_resolve(const struct chain_options *options,
                                               struct arena *arena, struct chain *out,
                                               struct credentials_notes *notes);
void chain_dispose(struct chain *chain);

/* Only how STS is asked: address, region, proxy, trust. Returns false and sets *fault, in arena. */
MUST_USE bool chain_resolve_sts(const struct chain_options *options, struct arena *arena,
                                struct chain *out, struct span *fault);
/* Only how instance metadata is asked: address, version, trust. */
MUST_USE bool chain_resolve_imds(const struct chain_options *options, struct arena *arena,
                                 struct chain *out, struct span *fault);

/* The region that a profile names, in arena; SPAN_NONE if it names none, and with *fault, in arena,
 * if the files cannot be read. profile: SPAN_NONE for AWS_PROFILE's, or default. */
struct span chain_profile_region(config_getenv getenv, void *context, struct span profile,
                                 struct arena *arena, struct span *fault);

#endif

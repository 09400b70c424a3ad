/* The plan: where credentials shall come from, drawn from the configuration, the environment and the
 * shared files, before anything is asked over a network.
 *
 * A plan is a base (a set that is there already, or whom to ask for one) and the roles to assume
 * from it, one after the other. The first source of the chain that is configured decides; where it
 * is broken the plan fails, and no later one is asked. Order as the AWS SDK for Python has it:
 * environment, profile with a role, web identity, SSO, the profile's keys, process, container,
 * instance metadata. */
#ifndef SAGEGATE_CREDENTIALS_PLAN_H
#define SAGEGATE_CREDENTIALS_PLAN_H

#include "config/proxy.h"
#include "credentials/profile.h"
#include "credentials/source.h"

enum {
    PLAN_ROLES_MAX = 8,
    PLAN_FILES_MAX = 3,
    /* STS API Reference, AssumeRole. */
    PLAN_ROLE_ARN_MAX = 2048,
    PLAN_EXTERNAL_ID_MAX = 1224
};

enum plan_base {
    PLAN_SET, /* the keys are in the plan */
    PLAN_PROCESS,
    PLAN_WEB_IDENTITY,
    PLAN_CONTAINER,
    PLAN_IMDS,
    PLAN_SSO,
};

/* One AssumeRole. Spans of what is not asked for are SPAN_NONE, durations 0. */
struct plan_role {
    struct span role_arn, session_name, external_id, source_identity;
    int64_t duration_s;
    const struct config_tag *tags;
    size_t tag_count;
};

/* A file whose change makes the plan another. */
struct plan_file {
    const char *name;
    struct file_version
        version; /* from before it was read: a change while it was read is one, too */
};

struct plan {
    enum plan_base base;
    struct span source;        /* "env", "profile", "imds" ...; a literal */
    struct credentials *set;   /* PLAN_SET; the plan's reference */
    char **argv;               /* PLAN_PROCESS */
    const char *token_file;    /* web identity, container, SSO; NULL: none */
    struct span token;         /* PLAN_CONTAINER: instead of a file; SPAN_NONE: none */
    struct endpoint_url url;   /* PLAN_CONTAINER, PLAN_IMDS, PLAN_SSO */
    struct span path;          /* PLAN_CONTAINER and PLAN_SSO: path and query */
    bool imds_v1;              /* version 1 may be used where version 2 is not answered */
    struct plan_role identity; /* PLAN_WEB_IDENTITY */
    struct plan_role roles[PLAN_ROLES_MAX]; /* in the order to be assumed */
    size_t role_count;
    struct endpoint_url sts;
    struct span sts_region;
    struct proxy sts_proxy,
        portal_proxy;      /* of the environment; never for metadata and containers */
    const char *ca_file;   /* for STS, SSO and a container's https; NULL: the system's */
    const char *ca_origin; /* what names it: "AWS_CA_BUNDLE" */
    struct plan_file files[PLAN_FILES_MAX]; /* filled on failure too */
    size_t file_count;
    struct span trail; /* for people: each source and what came of it, in lines */
};

struct plan_options {
    const struct config_identity *identity;
    config_getenv getenv;
    void *getenv_context;
    struct wall_time now; /* for default session names */
};

/* CREDENTIALS_FOUND: *out is a plan, to be disposed. CREDENTIALS_NOT_CONFIGURED never: where no
 * source is, that is CREDENTIALS_FAILED with a fault that says so. All in arena, but for the set. */
MUST_USE enum credentials_result plan_make(const struct plan_options *options, struct arena *arena,
                                           struct plan *out, struct source_notes *notes);
void plan_dispose(struct plan *plan);

/* Of a plan only how STS is asked: address, region, proxy, trust. False with *fault, in arena. */
MUST_USE bool plan_make_sts(const struct plan_options *options, struct arena *arena,
                            struct plan *out, struct span *fault);

/* Of a plan only how instance metadata is asked. False with *fault, in arena. */
MUST_USE bool plan_make_imds(const struct plan_options *options, struct arena *arena,
                             struct plan *out, struct span *fault);

/* The region that a profile names, copied to arena; SPAN_NONE if none, and with *fault, in arena, where the files cannot be
 * read. profile: SPAN_NONE for AWS_PROFILE's, or default. */
struct span plan_profile_region(config_getenv getenv, void *context, struct span profile,
                                struct arena *arena, struct span *fault);

/* plan_addresses.c: where metadata, containers and STS are. False with *fault, a text in arena. */
MUST_USE bool plan_address_container(struct plan *plan, const struct plan_options *options,
                                     struct arena *arena, struct span *fault);
MUST_USE bool plan_address_imds(struct plan *plan, const struct plan_options *options,
                                const struct profile_files *files, struct span profile,
                                struct arena *arena, struct span *fault);
MUST_USE bool plan_address_sts(struct plan *plan, const struct plan_options *options,
                               const struct profile_files *files, struct span profile,
                               struct arena *arena, struct span *fault);
/* ca_file and ca_origin. */
void plan_find_ca(struct plan *plan, const struct plan_options *options,
                  const struct profile_files *files, struct span profile, struct arena *arena);
/* plan_profile.c: the part of the plan that a profile gives. */
MUST_USE enum credentials_result plan_from_profile(struct plan *plan,
                                                   const struct plan_options *options,
                                                   const struct profile_files *files,
                                                   struct span profile, struct arena *arena,
                                                   struct span *fault);

#endif

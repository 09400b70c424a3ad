/* The configuration: YAML in, one immutable struct out. Opens no sockets and reads no clock.
 *
 * Everything in struct config lives in its arena and does not change once config_load has
 * returned; threads share it by a reference count. Durations are in milliseconds, sizes in bytes.
 * settings.def documents each field, with its default and range, in the row that names it. */
#ifndef SAGEGATE_CONFIG_CONFIG_H
#define SAGEGATE_CONFIG_CONFIG_H

#include "aws/endpoint.h"
#include "aws/sagemaker.h"
#include "base/arena.h"
#include "base/json_scan.h"
#include "base/problem.h"
#include "config/template.h"

/* A word in the configuration and its value: a member of the enum, or true or false, that the
 * field of the setting holds. A list of words ends with SPAN_NONE. */
struct config_word {
    struct span word;
    int value;
};
/* Returns the word for a value, which must be in the list. */
struct span config_word_of(const struct config_word *words, int value);

struct config_address {
    struct span text;      /* as written: "127.0.0.1:8080", "[::1]:8080", "unix:/run/x.sock" */
    struct span unix_path; /* SPAN_NONE for TCP; ends in NUL */
    struct span host;      /* TCP: numeric address without brackets; ends in NUL */
    uint16_t port;         /* TCP; 0 lets the kernel choose */
    unsigned unix_mode;    /* permission bits of the socket */
    bool loopback;         /* TCP on 127.0.0.0/8 or ::1, or Unix */
};

struct config_listener {
    struct config_address address;
    struct span certificate_file, key_file; /* TLS; SPAN_NONE: none; end in NUL */
};

enum config_source {
    CONFIG_SOURCE_DEFAULT, /* the chain: the first configured source */
    CONFIG_SOURCE_ENV,
    CONFIG_SOURCE_PROFILE,
    CONFIG_SOURCE_WEB_IDENTITY,
    CONFIG_SOURCE_CONTAINER,
    CONFIG_SOURCE_IMDS,
    CONFIG_SOURCE_PROCESS,
    CONFIG_SOURCE_STATIC,
};
extern const struct config_word config_source_words[];

/* Absent texts are SPAN_NONE. */
struct config_credentials {
    enum config_source source;
    struct span file;          /* ends in NUL */
    struct span profile;       /* SPAN_NONE: AWS_PROFILE's, or default */
    struct span process;       /* a command line, run without a shell */
    struct span imds_endpoint; /* a URL; SPAN_NONE: by the environment, else 169.254.169.254 */
    bool imds_v1;
    int64_t wait_ms;
};

struct config_tag {
    struct span key, value;
};

/* A role to assume. Absent texts are SPAN_NONE. */
struct config_role {
    struct span role_arn; /* SPAN_NONE: no role */
    struct span external_id, source_identity;
    struct span session_name;                /* SPAN_NONE with a session_template */
    const struct template *session_template; /* contains ${route}; NULL: it does not */
    int64_t duration_ms;
    const struct config_tag *tags;
    size_t tag_count;
};

/* The credentials that sign. If the session name contains ${route}, each route uses its own
 * identity derived from this one. */
struct config_identity {
    struct span name;  /* "default" for the top-level `credentials`, else the key in `identities` */
    struct span label; /* unique: the name; NAME/SESSION for a derived identity */
    struct config_credentials credentials; /* its own source, or the top-level one */
    struct config_role role;               /* assumed with those credentials */
    struct span region;                    /* of STS: that of an upstream which uses it */
    bool fips, dualstack;                  /* likewise */
};

struct config_upstream {
    struct span name;   /* "default" for the top-level `upstream`, else the key in `upstreams` */
    struct span region; /* signing region; never empty after a load without errors */
    bool fips, dualstack;
    bool allow_plaintext;
    /* From endpoint_url, else from endpoint_host: where to connect and what Host to send. */
    struct endpoint_url url;
    struct span ca_file;               /* SPAN_NONE: the system's; ends in NUL */
    const struct span *extra_ca_files; /* each ends in NUL */
    size_t extra_ca_file_count;
    size_t identity;        /* index in identities, for routes that name none */
    bool proxy_given;       /* by the key `proxy`; otherwise the environment decides */
    struct span proxy_host; /* an HTTP proxy to CONNECT through; SPAN_NONE: none */
    uint16_t proxy_port;
    struct span proxy_authorization; /* "Basic ..."; SPAN_NONE without user information */
};

struct config_timeouts {
    int64_t connect_ms;
    int64_t first_byte_ms;
    int64_t idle_ms;
    int64_t total_ms;
};

struct config_limits {
    uint64_t connections;
    uint64_t body_bytes;
    bool body_bytes_given; /* otherwise the memory limit of the process's cgroup may lower it */
    uint64_t concurrency;
    uint64_t head_bytes;
    int64_t head_timeout_ms;
    int64_t body_timeout_ms;
    int64_t keep_alive_timeout_ms;
    uint64_t keep_alive_requests; /* 0: unlimited */
};

struct config_pool {
    uint64_t idle_max;
    int64_t idle_timeout_ms;
    int64_t age_max_ms;
    uint64_t connects_max;
    uint64_t warm;
};

struct config_drain {
    int64_t delay_ms;
    int64_t idle_ms;
    int64_t limit_ms;
};

/* What a route does with one parameter. An absent member is SPAN_NONE, NULL or false. */
struct config_policy {
    bool set;                             /* the route, or defaults, has this parameter */
    const struct template *default_value; /* key `default` */
    const struct template *value;
    const struct template *append;
    struct span separator;
    const struct span *allow; /* globs over the whole final value */
    size_t allow_count;       /* 0: anything */
    bool required;
    bool strict_default; /* Accept: any and curl's form content type count as sent by the caller */
};

enum config_operation {
    CONFIG_INVOKE,
    CONFIG_ASYNC,
    CONFIG_NATIVE, /* the operation is the path's last segment */
    CONFIG_STREAM,
    CONFIG_AUTO,      /* stream or invoke, as the request asks */
    CONFIG_OPENAI,    /* the endpoint's OpenAI-compatible path, with a bearer token */
    CONFIG_CONTAINER, /* a model server itself: POST /invocations and GET /ping, unsigned */
    CONFIG_PING,      /* handled by the gateway */
};
extern const struct config_word config_operation_words[];

/* The request goes to AWS, signed or with a token. */
static inline bool config_operation_is_aws(enum config_operation operation)
{
    return operation != CONFIG_CONTAINER && operation != CONFIG_PING;
}

/* Action when a caller shuts down its sending side before it has the response. */
enum config_half_close {
    CONFIG_HALF_CLOSE_AUTO,   /* finish for HTTP/1.0 and Connection: close, else cancel */
    CONFIG_HALF_CLOSE_CANCEL, /* treat the caller as gone */
    CONFIG_HALF_CLOSE_FINISH, /* the caller still reads the response */
};
extern const struct config_word config_half_close_words[];

/* What callers get of InvokeEndpointWithResponseStream's event stream; native routes: always
 * raw. */
enum config_stream_format { CONFIG_STREAM_DECODED, CONFIG_STREAM_RAW };
extern const struct config_word config_stream_format_words[];

enum config_errors {
    CONFIG_ERRORS_BY_OPERATION, /* while loading: not set yet */
    CONFIG_ERRORS_UNWRAP,
    CONFIG_ERRORS_PASS,
};
extern const struct config_word config_errors_words[];

/* The words of settings whose field is a bool. */
extern const struct config_word config_ready_requires_words[], config_stream_errors_words[],
    config_on_full_words[], config_log_path_words[];
/* Methods are kept as words; the values mean nothing. */
extern const struct config_word config_method_words[];

struct config_peer {
    struct span text; /* as written */
    enum config_peer_kind { CONFIG_PEER_ANY, CONFIG_PEER_NETWORK, CONFIG_PEER_USER } kind;
    uint32_t uid;              /* of a user */
    unsigned char address[16]; /* of a network; IPv4 as ::ffff:a.b.c.d */
    unsigned prefix_bits;      /* of those 128 */
};

/* Restrictions on callers. */
struct config_guards {
    const struct span *hosts; /* globs over the Host's name, in lower case; none: any */
    size_t host_count;
    const struct span *origins; /* globs over web pages' origins; none: no page */
    size_t origin_count;
    const struct config_peer *peers; /* none: any peer */
    size_t peer_count;
};

struct config_route {
    struct span name;
    unsigned line; /* in file, for warnings; 0: from flags */
    struct span file;
    struct span path;           /* the pattern as written: "/models/{model}/predict" */
    const struct span *methods; /* default: POST */
    size_t method_count;
    struct span host; /* SPAN_NONE: any; compared without port, case ignored */
    const struct config_upstream *upstream;
    size_t identity;                 /* index in identities; its credentials sign */
    const struct template *endpoint; /* its name; NULL: none (container and ping allow that) */
    const struct span *endpoint_allow;
    size_t endpoint_allow_count;
    enum config_operation operation;
    enum config_errors errors;
    struct config_guards guards;
    uint32_t callers_may_set;   /* bits 1u << enum sagemaker_parameter */
    bool callers_may_set_given; /* false: all that the operation has */
    uint32_t lacks;             /* likewise: what InvokeEndpoint has but this operation lacks */
    enum config_stream_format stream_format;
    bool stream_error_events; /* stream_errors: event */
    /* Operation auto: what asks for a stream besides Accept and the body's "stream"; or
     * SPAN_NONE. */
    struct span stream_header, stream_query;
    /* Members of a JSON body needed to fill in the request; at most JSON_SCAN_NAMES_MAX. */
    const struct span *watched;
    size_t watched_count;
    struct config_policy parameters[SAGEMAKER_PARAMETERS]; /* defaults and route merged */
    uint64_t concurrency;                                  /* 0: no limit of its own */
    int64_t wait_for_ms;
    enum config_half_close on_half_close;
    struct config_timeouts timeouts;
    uint64_t body_max;
};

enum config_log_level { CONFIG_LOG_DEBUG, CONFIG_LOG_INFO, CONFIG_LOG_WARNING, CONFIG_LOG_ERROR };
extern const struct config_word config_log_level_words[];

struct config {
    struct arena arena;
    int references; /* atomic; config_retain, config_release */
    const struct config_listener *listeners;
    size_t listener_count;
    bool has_admin, has_health;
    struct config_address admin, health;
    unsigned workers;
    bool ready_without_credentials; /* ready_requires: listening */
    struct config_credentials credentials;
    const struct config_identity *identities; /* [0] is "default"; derived ones come last */
    size_t identity_count;
    size_t named_identity_count;             /* without the derived ones */
    const struct config_upstream *upstreams; /* [0] is "default" */
    size_t upstream_count;
    struct config_limits limits;
    struct config_pool pool;
    struct config_drain drain;
    const struct config_route *routes; /* in file order */
    size_t route_count;
    struct {
        struct span file;    /* SPAN_NONE: stdout; ends in NUL */
        bool off;            /* access_log: false */
        bool refuse_on_full; /* on_full: refuse */
        bool full_path;      /* log_path: full */
    } access_log;
    enum config_log_level log_level;
};

/* A variable of the environment, or SPAN_NONE. */
typedef struct span (*config_getenv)(void *context, struct span name);

struct config_options {
    /* NULL: no variable is set, and ${env.X} without a fallback is a placeholder (check --no-env).
     */
    config_getenv getenv;
    void *getenv_context;
    /* Returns the region that the profile names or, from_instance, the instance's; in arena.
     * SPAN_NONE if there is none, with *fault if the instance or the files cannot be read. NULL:
     * use a placeholder for the instance's region. */
    struct span (*find_region)(config_getenv getenv, void *getenv_context,
                               const struct config_credentials *credentials, bool from_instance,
                               struct arena *arena, struct span *fault);
    /* Read only the given text: reject `include` and do not check that named files exist. */
    bool no_files;
};

/* Reads FILE and what it includes. Adds every error and warning to *problems; returns NULL if there
 * was an error. */
struct config *config_load(const char *file, const struct config_options *options,
                           struct problem_list *problems);
/* Like config_load, but takes the contents of FILE. */
struct config *config_load_text(const char *file, struct span text,
                                const struct config_options *options,
                                struct problem_list *problems);

/* Like config_load, but from flags (`run --endpoint`). Problems name the flag instead of a file. */
struct config_flags {
    struct span endpoint; /* --endpoint, SAGEGATE_ENDPOINT; required */
    struct span listen;   /* default 127.0.0.1:8080 */
    struct span region;
    struct span operation; /* default invoke */
    /* KEY=VALUE: a dotted path of the file's keys, with "route." for the one route, as in
     * "route.timeouts.total=90s". */
    const struct span *set;
    size_t set_count;
};
struct config *config_load_flags(const struct config_flags *flags,
                                 const struct config_options *options,
                                 struct problem_list *problems);

/* Returns whether both have the same settings, and so obtain the same credentials. */
bool config_identity_is_same(const struct config_identity *a, const struct config_identity *b);
/* A copy in arena that outlives the configuration; of the session name, only the text. */
struct config_identity config_identity_copy(const struct config_identity *identity,
                                            struct arena *arena);

struct config *config_retain(struct config *config);
void config_release(struct config *config); /* accepts NULL */

/* The effective configuration as YAML (check --print), secrets masked. */
void config_print(const struct config *config, FILE *out);

#endif

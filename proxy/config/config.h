/* The configuration: YAML in, one immutable struct out. It knows no sockets and reads no clock.
 *
 * Everything in struct config lives in its arena and is never changed after config_load has
 * returned; it is shared between threads behind a reference count. Durations are milliseconds,
 * sizes bytes. */
#ifndef SAGEGATE_CONFIG_CONFIG_H
#define SAGEGATE_CONFIG_CONFIG_H

#include "aws/endpoint.h"
#include "aws/sagemaker.h"
#include "base/arena.h"
#include "base/json_scan.h"
#include "base/problem.h"
#include "config/template.h"

struct config_address {
    struct span text;      /* as written: "127.0.0.1:8080", "[::1]:8080", "unix:/run/x.sock" */
    struct span unix_path; /* SPAN_NONE for TCP; ends in NUL */
    struct span host;      /* TCP: numeric address without brackets; ends in NUL */
    uint16_t port;         /* TCP; 0 lets the kernel choose */
    unsigned unix_mode;    /* permission bits of the socket, default 0600 */
    bool loopback;         /* TCP on 127.0.0.0/8 or ::1, or Unix */
};

struct config_listener {
    struct config_address address;
    struct span certificate_file, key_file; /* TLS; SPAN_NONE: plain; end in NUL */
};

enum config_credentials_source {
    CREDENTIALS_DEFAULT, /* the chain: the first source that is configured */
    CREDENTIALS_ENV,
    CREDENTIALS_PROFILE,
    CREDENTIALS_WEB_IDENTITY,
    CREDENTIALS_CONTAINER,
    CREDENTIALS_IMDS,
    CREDENTIALS_PROCESS,
    CREDENTIALS_STATIC,
};

struct config_credentials {
    enum config_credentials_source source;
    struct span file;    /* static: a JSON file as credential_process prints it; ends in NUL */
    struct span profile; /* of the shared files, by name; SPAN_NONE: AWS_PROFILE's, or default */
    struct span process; /* a command line, run without a shell; SPAN_NONE: none */
    struct span imds_endpoint; /* a URL; SPAN_NONE: by the environment, else 169.254.169.254 */
    bool imds_v1;              /* metadata version 1 may be used where version 2 is not answered */
    int64_t wait_ms;           /* how long a request may wait for a set, default 2 s */
};

struct config_tag {
    struct span key, value;
};

/* A role to assume. Absent texts are SPAN_NONE. */
struct config_role {
    struct span role_arn; /* SPAN_NONE: no role */
    struct span external_id, source_identity;
    struct span session_name;                /* with session_template: none */
    const struct template *session_template; /* names ${route}; NULL: it does not */
    int64_t duration_ms;                     /* 0: the service's own, an hour */
    const struct config_tag *tags;
    size_t tag_count;
};

/* As whom upstreams are called. One whose session name has ${route} is used by no route: each
 * route has one of its own that is derived from it. */
struct config_identity {
    struct span name;  /* "default" for the top-level `credentials`, else the key in `identities` */
    struct span label; /* once in the configuration: the name, of a derived one NAME/SESSION */
    struct config_credentials credentials; /* its own source, or the top-level one */
    struct config_role role;               /* assumed from there */
    struct span region;                    /* of STS: that of an upstream that uses it */
    bool fips, dualstack;                  /* likewise */
};

struct config_upstream {
    struct span name;   /* "default" for the top-level `upstream`, else the key in `upstreams` */
    struct span region; /* signing region; never empty after a load without errors */
    bool fips, dualstack;
    bool allow_plaintext;
    /* From endpoint_url, else from endpoint_host: where to connect and what Host to send. */
    struct endpoint_url url;
    struct span ca_file; /* instead of the system's; SPAN_NONE: the system's; ends in NUL */
    const struct span *extra_ca_files; /* besides; each ends in NUL */
    size_t extra_ca_file_count;
    size_t identity;        /* its place in identities; of routes that name none */
    bool proxy_given;       /* the key `proxy` speaks; else the environment */
    struct span proxy_host; /* an HTTP proxy to CONNECT through; SPAN_NONE: none */
    uint16_t proxy_port;
    struct span proxy_authorization; /* "Basic ...", SPAN_NONE without user information */
};

struct config_timeouts {
    int64_t connect_ms;    /* name, connection and TLS together */
    int64_t first_byte_ms; /* from the last byte sent to the answer's head */
    int64_t idle_ms;       /* between two pieces of the answer */
    int64_t total_ms;      /* the whole exchange */
};

struct config_limits {
    uint64_t connections;    /* of callers at a time */
    bool body_bytes_given;   /* else the memory limit of the process's cgroup may lower it */
    uint64_t body_bytes;     /* of all requests' bodies in memory */
    uint64_t concurrency;    /* exchanges at a time */
    uint64_t head_bytes;     /* of one request's head, default 64 KiB */
    int64_t head_timeout_ms; /* from a request's first byte to the end of its head, default 10 s */
    int64_t body_timeout_ms; /* between two pieces of a request's body, default 30 s */
    int64_t keep_alive_timeout_ms; /* an idle caller's connection, default 75 s */
    uint64_t keep_alive_requests;  /* on one caller's connection; 0: any number */
};

struct config_pool {
    uint64_t idle_max;       /* idle connections a worker keeps to one upstream, default 64 */
    int64_t idle_timeout_ms; /* an idle connection's life, default 20 s */
    int64_t age_max_ms;      /* default 10 min; older ones are not used again */
    uint64_t connects_max;   /* connections a worker makes to one upstream at a time, default 32 */
    uint64_t warm;           /* connections made ahead of need, default 0 */
};

struct config_drain {
    int64_t delay_ms; /* after SIGTERM /ready is false and all goes on, default 0 */
    int64_t idle_ms;  /* then a caller's idle connection is kept that long, default 0 */
    int64_t limit_ms; /* after SIGTERM: what is not done by then is cut, default 30 s */
};

/* What a route says of one parameter. An absent member is SPAN_NONE, NULL or false. */
struct config_policy {
    bool set; /* the route (or defaults) speaks of this parameter at all */
    const struct template
        *default_value;           /* key `default`: where the caller sent none or an empty one */
    const struct template *value; /* always */
    const struct template *append;
    struct span separator;    /* between the value and what is appended; default "" */
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
    CONFIG_CONTAINER, /* a model's container itself: POST /invocations and GET /ping, nothing signed */
    CONFIG_PING,      /* answered by the gateway */
};

/* What comes of it goes to AWS, signed or with a token. */
static inline bool config_operation_is_aws(enum config_operation operation)
{
    return operation != CONFIG_CONTAINER && operation != CONFIG_PING;
}

/* When a caller shuts its sending side before it has its answer. */
enum config_half_close {
    CONFIG_HALF_CLOSE_AUTO,   /* finish for HTTP/1.0 and Connection: close, else cancel */
    CONFIG_HALF_CLOSE_CANCEL, /* it has left */
    CONFIG_HALF_CLOSE_FINISH, /* it waits for its answer */
};
/* What callers get of InvokeEndpointWithResponseStream's event stream; of a native route always raw. */
enum config_stream_format { CONFIG_STREAM_DECODED, CONFIG_STREAM_RAW };

enum config_errors { CONFIG_ERRORS_UNWRAP, CONFIG_ERRORS_PASS };

struct config_peer {
    struct span text; /* as written */
    enum config_peer_kind { CONFIG_PEER_ANY, CONFIG_PEER_NETWORK, CONFIG_PEER_USER } kind;
    uint32_t uid;              /* of a user */
    unsigned char address[16]; /* of a network; IPv4 as ::ffff:a.b.c.d */
    unsigned prefix_bits;      /* of those 128 */
};

/* Who may call. */
struct config_guards {
    const struct span *hosts; /* patterns of the Host's name, in lower case; none: any */
    size_t host_count;
    const struct span *origins; /* patterns of web pages' origins; none: no page */
    size_t origin_count;
    const struct config_peer *peers; /* none: whoever can connect */
    size_t peer_count;
};

struct config_route {
    struct span name;
    unsigned line; /* of the file, for warnings; 0 if from flags */
    struct span file;
    struct span path;           /* the pattern as written: "/models/{model}/predict" */
    const struct span *methods; /* default: POST */
    size_t method_count;
    struct span host; /* SPAN_NONE: any; compared without port, case ignored */
    const struct config_upstream *upstream;
    size_t identity;                 /* its place in identities: whose credentials sign */
    const struct template *endpoint; /* its name; NULL: none, as container and ping allow */
    const struct span *endpoint_allow;
    size_t endpoint_allow_count;
    enum config_operation operation;
    enum config_errors errors; /* default: pass for native, unwrap elsewhere */
    struct config_guards guards;
    uint32_t callers_may_set; /* bit 1u << enum sagemaker_parameter */
    uint32_t lacks;           /* likewise: what its operation has not, though InvokeEndpoint has */
    bool callers_may_set_given; /* false: all that the operation has */
    enum config_stream_format stream_format;
    bool stream_error_events; /* stream_errors: event */
    /* Of auto, besides Accept and the body's member "stream": what asks for a stream; SPAN_NONE: nothing. */
    struct span stream_header, stream_query;
    /* Members of a JSON body that must be known before the request can be filled in; at most
     * JSON_SCAN_NAMES_MAX. */
    const struct span *watched;
    size_t watched_count;
    struct config_policy parameters[SAGEMAKER_PARAMETERS]; /* defaults and route merged */
    uint64_t concurrency; /* requests of this route in progress; 0: no limit of its own */
    int64_t wait_for_ms;  /* how long a request waits for its turn before it is busy; default 0 */
    enum config_half_close on_half_close;
    struct config_timeouts timeouts;
    uint64_t body_max;
};

enum config_log_level { CONFIG_LOG_DEBUG, CONFIG_LOG_INFO, CONFIG_LOG_WARNING, CONFIG_LOG_ERROR };

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
    /* NULL: none is set, and ${env.X} without fallback stands for a text (check --no-env). */
    config_getenv getenv;
    void *getenv_context;
    /* The region that the profile names, or, where the file says `region: imds`, the instance's; in arena. SPAN_NONE, with
     * *fault where the instance does not say or the files cannot be read. NULL: nobody is asked, and a text stands for the instance's. */
    struct span (*find_region)(config_getenv getenv, void *getenv_context,
                               const struct config_credentials *credentials, bool from_instance,
                               struct arena *arena, struct span *fault);
    /* Nothing but the text is read: `include` is refused, named files are not looked for. */
    bool no_files;
};

/* Reads FILE and what it includes. NULL where there was any error; *problems has every error and
 * warning. */
struct config *config_load(const char *file, const struct config_options *options,
                           struct problem_list *problems);
/* The same for a text that stands for FILE. */
struct config *config_load_text(const char *file, struct span text,
                                const struct config_options *options,
                                struct problem_list *problems);

/* The same without a file: `run --endpoint`. Pairs of key and value in the configuration's own
 * terms, e.g. {"listen[0].address", "127.0.0.1:8080"} are for --set; positions name the flag. */
struct config_flags {
    struct span endpoint; /* --endpoint, SAGEGATE_ENDPOINT; required */
    struct span listen;   /* default 127.0.0.1:8080 */
    struct span region;
    struct span operation; /* default invoke */
    /* "upstream.endpoint_url=https://...": a dotted path of the file's keys, with "route." for the
     * one route, e.g. "route.timeouts.total=90s". */
    const struct span *set;
    size_t set_count;
};
struct config *config_from_flags(const struct config_flags *flags,
                                 const struct config_options *options,
                                 struct problem_list *problems);

/* Whether both would be the same caller of AWS, by everything that they say. */
bool config_identity_is_same(const struct config_identity *a, const struct config_identity *b);
/* A copy in arena that outlives the configuration; of the session name, only the text. */
struct config_identity config_identity_copy(const struct config_identity *identity,
                                            struct arena *arena);

struct config *config_retain(struct config *config);
void config_release(struct config *config); /* takes NULL */

/* The effective configuration as YAML (check --print), secrets masked. */
void config_print(const struct config *config, FILE *out);

#endif

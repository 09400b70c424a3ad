/* The effective configuration as YAML: loaded again it gives the same configuration. */
#include <inttypes.h>

#include "base/buffer.h"
#include "config/config.h"
#include "config/setting.h"
#include "config/value.h"

struct print {
    const struct config *config;
    FILE *out;
    struct arena arena;
};

/* ---- values ---- */

/* A text in double quotes; `literal`: its dollars are written $$, as templates already have
 * them. */
static struct span quote(struct print *print, struct span text, bool literal)
{
    struct buffer quoted;
    buffer_init(&quoted, text.len * 12 + 2);
    buffer_append_char(&quoted, '"');
    for (struct span rest = text; rest.len != 0;) {
        size_t dollar = literal ? span_find(rest, '$') : rest.len;
        buffer_append_json(&quoted, span_make(rest.at, dollar));
        if (dollar != rest.len) {
            buffer_append(&quoted, SPAN("$$"));
            ++dollar;
        }
        rest = span_from_offset(rest, dollar);
    }
    buffer_append_char(&quoted, '"');
    struct span result = arena_copy(&print->arena, buffer_span(&quoted));
    buffer_dispose(&quoted);
    return result;
}

static void print_text(struct print *print, const char *key, struct span text)
{
    if (text.at != NULL)
        fprintf(print->out, "%s: %.*s\n", key, SPAN_ARG(quote(print, text, true)));
}

static void print_template(struct print *print, const char *key, const struct template *template)
{
    if (template != NULL)
        fprintf(print->out, "%s: %.*s\n", key, SPAN_ARG(quote(print, template->text, false)));
}

static void print_texts(struct print *print, const char *key, const struct span *texts,
                        size_t count)
{
    fprintf(print->out, "%s: [", key);
    for (size_t i = 0; i != count; ++i)
        fprintf(print->out, "%s%.*s", i == 0 ? "" : ", ", SPAN_ARG(quote(print, texts[i], true)));
    fputs("]\n", print->out);
}

static void print_time(struct print *print, const char *key, int64_t ms)
{
    fprintf(print->out, "%s: %.*s\n", key, SPAN_ARG(value_print_time(ms, &print->arena)));
}

static void print_size(struct print *print, const char *key, uint64_t bytes)
{
    fprintf(print->out, "%s: %.*s\n", key,
            SPAN_ARG(value_print_size((int64_t)bytes, &print->arena)));
}

static void print_count(struct print *print, const char *key, uint64_t count)
{
    fprintf(print->out, "%s: %" PRIu64 "\n", key, count);
}

static void print_true(struct print *print, const char *key, bool value)
{
    if (value)
        fprintf(print->out, "%s: true\n", key);
}

/* The word at that place of the setting's list. */
static void print_word(struct print *print, const char *key, enum setting_id id, size_t place)
{
    struct span words[SETTING_KEYS_MAX];
    CHECK(place < setting_words(setting_get(id), words));
    fprintf(print->out, "%s: %.*s\n", key, SPAN_ARG(words[place]));
}

/* ---- server ---- */

static void print_address(struct print *print, const char *lead,
                          const struct config_address *address)
{
    fprintf(print->out, "%s{ address: %.*s", lead, SPAN_ARG(quote(print, address->text, true)));
    if (address->unix_path.at != NULL)
        fprintf(print->out, ", mode: \"%04o\"", address->unix_mode);
    fputs(" }\n", print->out);
}

static void print_listener(struct print *print, const struct config_listener *listener)
{
    print_address(print, "  - ", &listener->address);
    if (listener->certificate_file.at == NULL)
        return;
    fputs("    tls:\n", print->out);
    print_text(print, "      certificate_file", listener->certificate_file);
    print_text(print, "      key_file", listener->key_file);
}

static void print_server(struct print *print, const struct config *config)
{
    fputs("listen:\n", print->out);
    for (size_t i = 0; i != config->listener_count; ++i)
        print_listener(print, &config->listeners[i]);
    if (config->has_admin)
        print_address(print, "admin: ", &config->admin);
    if (config->has_health)
        print_address(print, "health: ", &config->health);
    print_count(print, "workers", config->workers);
    print_word(print, "ready_requires", SETTING_READY_REQUIRES, config->ready_without_credentials);
}

/* ---- credentials ---- */

static void print_source(struct print *print, const char *indent,
                         const struct config_credentials *credentials)
{
    fputs(indent, print->out);
    print_word(print, "source", SETTING_CREDENTIALS_SOURCE, credentials->source);
    const struct {
        const char *key;
        struct span text;
    } texts[] = {{"file", credentials->file},
                 {"profile", credentials->profile},
                 {"process", credentials->process}};
    for (size_t i = 0; i != 3; ++i) {
        if (texts[i].text.at == NULL)
            continue;
        fputs(indent, print->out);
        print_text(print, texts[i].key, texts[i].text);
    }
}

static void print_role(struct print *print, const struct config_role *role)
{
    fputs("    assume_role:\n", print->out);
    print_text(print, "      role_arn", role->role_arn);
    print_text(print, "      session_name", role->session_name);
    print_template(print, "      session_name", role->session_template);
    print_text(print, "      external_id", role->external_id);
    print_text(print, "      source_identity", role->source_identity);
    print_time(print, "      duration", role->duration_ms);
    if (role->tag_count != 0)
        fputs("      tags:\n", print->out);
    for (size_t i = 0; i != role->tag_count; ++i)
        fprintf(print->out, "        %.*s: %.*s\n", SPAN_ARG(role->tags[i].key),
                SPAN_ARG(quote(print, role->tags[i].value, true)));
}

static void print_credentials(struct print *print, const struct config *config)
{
    fputs("credentials:\n", print->out);
    print_source(print, "  ", &config->credentials);
    print_time(print, "  wait", config->credentials.wait_ms);
    print_text(print, "  imds_endpoint", config->credentials.imds_endpoint);
    print_true(print, "  imds_v1", config->credentials.imds_v1);
    if (config->named_identity_count > 1)
        fputs("identities:\n", print->out);
    for (size_t i = 1; i < config->named_identity_count; ++i) {
        const struct config_identity *identity = &config->identities[i];
        fprintf(print->out, "  %.*s:\n", SPAN_ARG(quote(print, identity->name, true)));
        print_source(print, "    ", &identity->credentials);
        if (identity->role.role_arn.at != NULL)
            print_role(print, &identity->role);
    }
}

static void print_limits(struct print *print, const struct config *config)
{
    fputs("limits:\n", print->out);
    print_count(print, "  connections", config->limits.connections);
    if (config->limits.body_bytes_given)
        print_size(print, "  body_bytes", config->limits.body_bytes);
    print_count(print, "  concurrency", config->limits.concurrency);
    print_size(print, "  head_bytes", config->limits.head_bytes);
    print_time(print, "  head_timeout", config->limits.head_timeout_ms);
    print_time(print, "  body_timeout", config->limits.body_timeout_ms);
    print_time(print, "  keep_alive_timeout", config->limits.keep_alive_timeout_ms);
    print_count(print, "  keep_alive_requests", config->limits.keep_alive_requests);
    fputs("pool:\n", print->out);
    print_count(print, "  idle_max", config->pool.idle_max);
    print_time(print, "  idle_timeout", config->pool.idle_timeout_ms);
    print_time(print, "  age_max", config->pool.age_max_ms);
    print_count(print, "  connects_max", config->pool.connects_max);
    print_count(print, "  warm", config->pool.warm);
    fputs("drain:\n", print->out);
    print_time(print, "  delay", config->drain.delay_ms);
    print_time(print, "  idle", config->drain.idle_ms);
    print_time(print, "  limit", config->drain.limit_ms);
}

static void print_logs(struct print *print, const struct config *config)
{
    if (config->access_log.off) {
        fputs("access_log: false\n", print->out);
    } else {
        fputs("access_log:\n", print->out);
        print_text(print, "  file", config->access_log.file);
        print_word(print, "  on_full", SETTING_ACCESS_LOG_ON_FULL,
                   config->access_log.refuse_on_full);
        print_word(print, "  log_path", SETTING_ACCESS_LOG_LOG_PATH, config->access_log.full_path);
    }
    fputs("log:\n", print->out);
    print_word(print, "  level", SETTING_LOG_LEVEL, config->log_level);
}

/* ---- upstreams ---- */

static bool has_custom_url(struct print *print, const struct config_upstream *upstream)
{
    const struct endpoint_options options = {upstream->region, upstream->fips, upstream->dualstack};
    return !upstream->url.tls ||
           !span_equals(upstream->url.authority, endpoint_host(&options, &print->arena));
}

/* The password of a proxy is masked; `none` keeps the environment's out. */
static void print_proxy(struct print *print, const struct config_upstream *upstream)
{
    if (upstream->proxy_host.at == NULL) {
        print_text(print, "    proxy", SPAN("none"));
        return;
    }
    bool bare_v6 = span_find(upstream->proxy_host, ':') != upstream->proxy_host.len;
    struct span host =
        arena_printf(&print->arena, bare_v6 ? "[%.*s]" : "%.*s", SPAN_ARG(upstream->proxy_host));
    print_text(print, "    proxy",
               arena_printf(&print->arena, "http://%s%.*s:%u",
                            upstream->proxy_authorization.at != NULL ? "masked:masked@" : "",
                            SPAN_ARG(host), upstream->proxy_port));
}

/* fips stands there in any case, so that the map is never empty. */
static void print_upstream(struct print *print, const struct config *config,
                           const struct config_upstream *upstream)
{
    fprintf(print->out, "    fips: %s\n", upstream->fips ? "true" : "false");
    print_true(print, "    dualstack", upstream->dualstack);
    print_true(print, "    allow_plaintext", upstream->allow_plaintext);
    print_text(print, "    ca_file", upstream->ca_file);
    if (upstream->extra_ca_file_count != 0)
        print_texts(print, "    extra_ca_files", upstream->extra_ca_files,
                    upstream->extra_ca_file_count);
    if (has_custom_url(print, upstream))
        print_text(print, "    endpoint_url",
                   arena_printf(&print->arena, "%s://%.*s", upstream->url.tls ? "https" : "http",
                                SPAN_ARG(upstream->url.authority)));
    print_text(print, "    identity", config->identities[upstream->identity].name);
    print_proxy(print, upstream);
}

static void print_upstreams(struct print *print, const struct config *config)
{
    print_text(print, "region", config->upstreams[0].region);
    fputs("upstream:\n", print->out);
    print_upstream(print, config, &config->upstreams[0]);
    if (config->upstream_count > 1)
        fputs("upstreams:\n", print->out);
    for (size_t i = 1; i != config->upstream_count; ++i) {
        fprintf(print->out, "  %.*s:\n", SPAN_ARG(quote(print, config->upstreams[i].name, false)));
        print_text(print, "    region", config->upstreams[i].region);
        print_upstream(print, config, &config->upstreams[i]);
    }
}

/* ---- routes ---- */

static bool is_empty(const struct config_policy *policy)
{
    return policy->default_value == NULL && policy->value == NULL && policy->append == NULL &&
           policy->allow_count == 0 && !policy->required && !policy->strict_default;
}

static void print_policy(struct print *print, const struct config_policy *policy)
{
    print_template(print, "        default", policy->default_value);
    print_template(print, "        value", policy->value);
    print_template(print, "        append", policy->append);
    if (policy->append != NULL)
        print_text(print, "        separator", policy->separator);
    if (policy->allow_count != 0)
        print_texts(print, "        allow", policy->allow, policy->allow_count);
    print_true(print, "        required", policy->required);
    print_true(print, "        strict_default", policy->strict_default);
}

static void print_parameters(struct print *print, const struct config_route *route)
{
    bool any = false;
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i) {
        if (!route->parameters[i].set)
            continue;
        if (!any)
            fputs("    parameters:\n", print->out);
        any = true;
        fprintf(print->out, "      %.*s:%s\n",
                SPAN_ARG(sagemaker_parameter_info((enum sagemaker_parameter)i)->name),
                is_empty(&route->parameters[i]) ? " {}" : "");
        print_policy(print, &route->parameters[i]);
    }
}

static void print_guards(struct print *print, const struct config_guards *guards)
{
    struct span *peers = arena_zalloc(&print->arena, guards->peer_count + 1, sizeof(*peers));
    for (size_t i = 0; i != guards->peer_count; ++i)
        peers[i] = guards->peers[i].text;
    fputs("    guards:\n", print->out);
    if (guards->host_count != 0)
        print_texts(print, "      hosts", guards->hosts, guards->host_count);
    print_texts(print, "      origins", guards->origins, guards->origin_count);
    if (guards->peer_count != 0)
        print_texts(print, "      peers", peers, guards->peer_count);
}

static void print_setters(struct print *print, const struct config_route *route)
{
    struct span names[SAGEMAKER_PARAMETERS];
    size_t count = 0;
    if (!route->callers_may_set_given)
        return;
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        if ((route->callers_may_set & 1u << i) != 0)
            names[count++] = sagemaker_parameter_info((enum sagemaker_parameter)i)->name;
    print_texts(print, "    callers_may_set", names, count);
}

static void print_route(struct print *print, const struct config_route *route)
{
    print_text(print, "  - name", route->name);
    fputs("    match:\n", print->out);
    print_text(print, "      path", route->path);
    print_texts(print, "      methods", route->methods, route->method_count);
    print_text(print, "      host", route->host);
    print_count(print, "    concurrency", route->concurrency);
    print_time(print, "    wait_for", route->wait_for_ms);
    print_text(print, "    on_half_close",
               route->on_half_close == CONFIG_HALF_CLOSE_AUTO     ? SPAN("auto")
               : route->on_half_close == CONFIG_HALF_CLOSE_CANCEL ? SPAN("cancel")
                                                                  : SPAN("finish"));
    if (route->endpoint != NULL)
        fputs("    endpoint:\n", print->out);
    print_template(print, "      value", route->endpoint);
    if (route->endpoint_allow_count != 0)
        print_texts(print, "      allow", route->endpoint_allow, route->endpoint_allow_count);
    print_word(print, "    operation", SETTING_ROUTE_OPERATION, route->operation);
    print_text(print, "    upstream", route->upstream->name);
    if (config_operation_is_aws(route->operation))
        print_text(print, "    identity", print->config->identities[route->identity].name);
    fputs("    timeouts:\n", print->out);
    print_time(print, "      connect", route->timeouts.connect_ms);
    print_time(print, "      first_byte", route->timeouts.first_byte_ms);
    print_time(print, "      idle", route->timeouts.idle_ms);
    print_time(print, "      total", route->timeouts.total_ms);
    print_size(print, "    body_max", route->body_max);
    fprintf(print->out, "    errors: %s\n",
            route->errors == CONFIG_ERRORS_PASS ? "pass" : "unwrap");
    if (route->stream_header.at != NULL || route->stream_query.at != NULL)
        fputs("    stream_if:\n", print->out);
    print_text(print, "      header", route->stream_header);
    print_text(print, "      query", route->stream_query);
    if (route->operation == CONFIG_STREAM || route->operation == CONFIG_AUTO) {
        print_word(print, "    stream_format", SETTING_ROUTE_STREAM_FORMAT, route->stream_format);
        print_word(print, "    stream_errors", SETTING_ROUTE_STREAM_ERRORS,
                   route->stream_error_events);
    }
    print_guards(print, &route->guards);
    print_setters(print, route);
    print_parameters(print, route);
}

void config_print(const struct config *config, FILE *out)
{
    struct print print = {.config = config, .out = out};
    arena_init(&print.arena, 4096);
    print_server(&print, config);
    print_credentials(&print, config);
    print_limits(&print, config);
    print_upstreams(&print, config);
    print_logs(&print, config);
    fputs("# Each route below has all that it inherits.\n"
          "defaults:\n  parameters:\n    inference_id: null\n",
          out);
    fputs(config->route_count == 0 ? "routes: []\n" : "routes:\n", out);
    for (size_t i = 0; i != config->route_count; ++i)
        print_route(&print, &config->routes[i]);
    arena_dispose(&print.arena);
}

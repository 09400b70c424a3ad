/* Functions of struct config: its words, reference count, and comparing and copying identities. */
#include "config/config.h"

#include <stdlib.h>

#include "base/check.h"

/* ---- words ---- */

#define END                                                                                        \
    {                                                                                              \
        {NULL, 0}, 0                                                                               \
    }

const struct config_word config_source_words[] = {
    {SPAN("default"), CONFIG_SOURCE_DEFAULT},
    {SPAN("env"), CONFIG_SOURCE_ENV},
    {SPAN("profile"), CONFIG_SOURCE_PROFILE},
    {SPAN("web_identity"), CONFIG_SOURCE_WEB_IDENTITY},
    {SPAN("container"), CONFIG_SOURCE_CONTAINER},
    {SPAN("imds"), CONFIG_SOURCE_IMDS},
    {SPAN("process"), CONFIG_SOURCE_PROCESS},
    {SPAN("static"), CONFIG_SOURCE_STATIC},
    END};

const struct config_word config_operation_words[] = {{SPAN("invoke"), CONFIG_INVOKE},
                                                     {SPAN("async"), CONFIG_ASYNC},
                                                     {SPAN("native"), CONFIG_NATIVE},
                                                     {SPAN("stream"), CONFIG_STREAM},
                                                     {SPAN("auto"), CONFIG_AUTO},
                                                     {SPAN("openai"), CONFIG_OPENAI},
                                                     {SPAN("container"), CONFIG_CONTAINER},
                                                     {SPAN("ping"), CONFIG_PING},
                                                     END};

const struct config_word config_half_close_words[] = {{SPAN("auto"), CONFIG_HALF_CLOSE_AUTO},
                                                      {SPAN("cancel"), CONFIG_HALF_CLOSE_CANCEL},
                                                      {SPAN("finish"), CONFIG_HALF_CLOSE_FINISH},
                                                      END};

const struct config_word config_stream_format_words[] = {
    {SPAN("decoded"), CONFIG_STREAM_DECODED}, {SPAN("raw"), CONFIG_STREAM_RAW}, END};

const struct config_word config_errors_words[] = {
    {SPAN("pass"), CONFIG_ERRORS_PASS}, {SPAN("unwrap"), CONFIG_ERRORS_UNWRAP}, END};

const struct config_word config_log_level_words[] = {{SPAN("debug"), CONFIG_LOG_DEBUG},
                                                     {SPAN("info"), CONFIG_LOG_INFO},
                                                     {SPAN("warning"), CONFIG_LOG_WARNING},
                                                     {SPAN("error"), CONFIG_LOG_ERROR},
                                                     END};

const struct config_word config_ready_requires_words[] = {
    {SPAN("credentials"), false}, {SPAN("listening"), true}, END};
const struct config_word config_stream_errors_words[] = {
    {SPAN("abort"), false}, {SPAN("event"), true}, END};
const struct config_word config_on_full_words[] = {
    {SPAN("drop"), false}, {SPAN("refuse"), true}, END};
const struct config_word config_log_path_words[] = {
    {SPAN("template"), false}, {SPAN("full"), true}, END};

const struct config_word config_method_words[] = {
    {SPAN("GET"), 0},   {SPAN("HEAD"), 1},   {SPAN("POST"), 2},    {SPAN("PUT"), 3},
    {SPAN("PATCH"), 4}, {SPAN("DELETE"), 5}, {SPAN("OPTIONS"), 6}, END};

struct span config_word_of(const struct config_word *words, int value)
{
    while (words->word.at != NULL && words->value != value)
        ++words;
    CHECK(words->word.at != NULL);
    return words->word;
}

/* ---- life ---- */

struct config *config_retain(struct config *config)
{
    __atomic_add_fetch(&config->references, 1, __ATOMIC_RELAXED);
    return config;
}

void config_release(struct config *config)
{
    if (config == NULL || __atomic_sub_fetch(&config->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    arena_dispose(&config->arena);
    free(config);
}

/* ---- identities ---- */

static bool is_same_source(const struct config_credentials *a, const struct config_credentials *b)
{
    return a->source == b->source && a->imds_v1 == b->imds_v1 && span_equals(a->file, b->file) &&
           span_equals(a->profile, b->profile) && span_equals(a->process, b->process) &&
           span_equals(a->imds_endpoint, b->imds_endpoint);
}

static bool is_same_role(const struct config_role *a, const struct config_role *b)
{
    if (a->tag_count != b->tag_count)
        return false;
    for (size_t i = 0; i != a->tag_count; ++i)
        if (!span_equals(a->tags[i].key, b->tags[i].key) ||
            !span_equals(a->tags[i].value, b->tags[i].value))
            return false;
    return a->duration_ms == b->duration_ms && span_equals(a->role_arn, b->role_arn) &&
           span_equals(a->external_id, b->external_id) &&
           span_equals(a->session_name, b->session_name) &&
           span_equals(a->source_identity, b->source_identity);
}

bool config_identity_is_same(const struct config_identity *a, const struct config_identity *b)
{
    return a->fips == b->fips && a->dualstack == b->dualstack && span_equals(a->label, b->label) &&
           span_equals(a->region, b->region) && is_same_source(&a->credentials, &b->credentials) &&
           is_same_role(&a->role, &b->role);
}

struct config_identity config_identity_copy(const struct config_identity *identity,
                                            struct arena *arena)
{
    struct config_identity copy = *identity;
    struct config_tag *tags = arena_zalloc(arena, copy.role.tag_count, sizeof(*tags));
    struct span *const texts[] = {
        &copy.name,
        &copy.label,
        &copy.region,
        &copy.credentials.file,
        &copy.credentials.profile,
        &copy.credentials.process,
        &copy.credentials.imds_endpoint,
        &copy.role.role_arn,
        &copy.role.external_id,
        &copy.role.source_identity,
        &copy.role.session_name,
    };
    for (size_t i = 0; i != sizeof(texts) / sizeof(texts[0]); ++i)
        *texts[i] = arena_copy(arena, *texts[i]);
    for (size_t i = 0; i != copy.role.tag_count; ++i)
        tags[i] = (struct config_tag){arena_copy(arena, identity->role.tags[i].key),
                                      arena_copy(arena, identity->role.tags[i].value)};
    copy.role.tags = tags;
    copy.role.session_template = NULL;
    return copy;
}

/* Comparing and copying identities, for what outlives a configuration. */
#include "config/config.h"

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

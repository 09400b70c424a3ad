/* Comparing identities of two configurations. */
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

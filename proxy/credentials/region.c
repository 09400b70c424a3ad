/* Asking the instance for its region, and the shared files for the profile's. */
#include "credentials/region.h"

#include "credentials/chain.h"
#include "credentials/imds.h"

struct question {
    struct credential_service_job job;
    struct imds imds;
    const struct chain *chain;
    X509_STORE *trust; /* NULL: plaintext */
    struct arena *arena;
    struct span region, fault;
};

static void on_region(struct imds *imds)
{
    struct question *question = imds->owner;
    question->fault = imds->fault;
    if (imds->fault.at == NULL)
        question->region = arena_copy(question->arena, span_trim(imds_response(imds)));
    imds_dispose(imds);
    credential_service_end(&question->job);
}

static void ask_instance(struct credential_service_job *job)
{
    struct question *question = H2O_STRUCT_FROM_MEMBER(struct question, job, job);
    imds_open(&question->imds, &(struct imds_options){.loop = job->loop,
                                                      .url = &question->chain->url,
                                                      .trust = question->trust,
                                                      .v1 = question->chain->imds_v1,
                                                      .arena = question->arena});
    imds_get(&question->imds, SPAN("/latest/meta-data/placement/region"), SPAN("the region"),
             on_region, question);
}

/* SPAN_NONE, with *fault, unless IMDS returns a region. */
static struct span find_on_instance(struct credential_service *service,
                                    const struct chain_options *options, struct arena *arena,
                                    struct span *fault)
{
    struct chain chain;
    struct span why;
    struct question question = {.chain = &chain, .arena = arena, .region = SPAN_NONE};
    if (!chain_resolve_imds(options, arena, &chain, fault))
        return SPAN_NONE;
    if (chain.url.tls) {
        question.trust =
            tls_trust_load(&(struct tls_trust_options){.ca_file = chain.ca_file}, arena, &why);
        if (question.trust == NULL) {
            *fault = arena_printf(arena, "imds: %s: %.*s", chain.ca_origin, SPAN_ARG(why));
            return SPAN_NONE;
        }
    }
    credential_service_run(service, &question.job, ask_instance);
    X509_STORE_free(question.trust);
    *fault = question.fault;
    if (question.region.at == NULL || endpoint_region_is_valid(question.region))
        return question.region;
    *fault = SPAN("imds: returned an invalid region");
    return SPAN_NONE;
}

struct span region_find(struct credential_service *service, config_getenv getenv,
                        void *getenv_context, const struct config_credentials *credentials,
                        bool from_instance, struct arena *arena, struct span *fault)
{
    const struct config_identity identity = {.credentials = *credentials};
    const struct chain_options options = {&identity, getenv, getenv_context, clock_wall()};
    if (from_instance)
        return find_on_instance(service, &options, arena, fault);
    return chain_profile_region(getenv, getenv_context, credentials->profile, arena, fault);
}

struct span region_find_in_files(config_getenv getenv, void *getenv_context,
                                 const struct config_credentials *credentials, bool from_instance,
                                 struct arena *arena, struct span *fault)
{
    return from_instance
               ? SPAN_NONE
               : chain_profile_region(getenv, getenv_context, credentials->profile, arena, fault);
}

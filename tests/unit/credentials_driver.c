/* Prints the chain built from the environment and the shared files as one line of JSON, for the
 * Python oracle. */
// links: credentials net
#include "base/json_writer.h"
#include "credentials/chain.h"

#include <stdio.h>
#include <stdlib.h>

static struct span get_variable(void *context, struct span name)
{
    char text[128];
    (void)context;
    snprintf(text, sizeof(text), "%.*s", SPAN_ARG(name));
    return span_from(getenv(text));
}

static void print_text(const char *key, struct span value)
{
    struct buffer out;
    buffer_init(&out, 1 << 16);
    json_writer_append_escaped(&out, value);
    if (value.at == NULL)
        printf(", \"%s\": null", key);
    else
        printf(", \"%s\": \"%.*s\"", key, SPAN_ARG(buffer_span(&out)));
    buffer_dispose(&out);
}

static void print_role(const struct chain_role *role)
{
    printf("{\"_\": 0");
    print_text("arn", role->role_arn);
    print_text("session", role->session_name);
    print_text("external_id", role->external_id);
    printf(", \"duration\": %lld}", (long long)role->duration_s);
}

static void print_chain(const struct chain *chain)
{
    static const char *const bases[] = {"set",       "process", "web_identity",
                                        "container", "imds",    "sso"};
    printf("{\"base\": \"%s\"", bases[chain->base]);
    print_text("source", chain->source);
    print_text("sts", chain->sts.authority);
    print_text("sts_region", chain->sts_region);
    print_text("ca_file", span_from(chain->ca_file));
    if (chain->base == CHAIN_SET) {
        print_text("key_id", span_from(chain->set->access_key_id));
        print_text("secret", secret_bytes(&chain->set->secret_access_key));
        print_text("token", secret_is_empty(&chain->set->session_token)
                                ? SPAN_NONE
                                : secret_bytes(&chain->set->session_token));
    }
    print_text("token_file", span_from(chain->token_file));
    print_text("host", chain->url.authority);
    print_text("path", chain->path);
    printf(", \"identity\": ");
    print_role(&chain->identity);
    printf(", \"argv\": [");
    for (char **word = chain->argv; word != NULL && *word != NULL; ++word) {
        printf("%s{\"_\": 0", word == chain->argv ? "" : ", ");
        print_text("word", span_from(*word));
        printf("}");
    }
    printf("], \"roles\": [");
    for (size_t i = 0; i != chain->role_count; ++i) {
        printf("%s", i == 0 ? "" : ", ");
        print_role(&chain->roles[i]);
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    struct arena arena;
    struct chain chain;
    struct credentials_notes notes;
    const struct config_identity identity = {
        .name = SPAN("default"),
        .region = span_from(argc > 1 ? argv[1] : "us-east-1"),
        .fips = argc > 2 && strchr(argv[2], 'f') != NULL,
        .dualstack = argc > 2 && strchr(argv[2], 'd') != NULL,
    };
    const struct chain_options options = {.identity = &identity, .getenv = get_variable};
    arena_init(&arena, 4096);
    if (chain_resolve(&options, &arena, &chain, &notes) == CREDENTIALS_FOUND) {
        print_chain(&chain);
        chain_dispose(&chain);
    } else {
        printf("{\"base\": \"failed\"");
        print_text("fault", notes.fault);
        printf("}\n");
    }
    arena_dispose(&arena);
    return 0;
}

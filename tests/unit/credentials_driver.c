/* Tells the plan that the environment and the shared files make, for the oracle in Python: one line of JSON. */
// links: credentials net
#include "base/buffer.h"
#include "credentials/plan.h"

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
    buffer_append_json(&out, value);
    if (value.at == NULL)
        printf(", \"%s\": null", key);
    else
        printf(", \"%s\": \"%.*s\"", key, SPAN_ARG(buffer_span(&out)));
    buffer_dispose(&out);
}

static void print_role(const struct plan_role *role)
{
    printf("{\"_\": 0");
    print_text("arn", role->role_arn);
    print_text("session", role->session_name);
    print_text("external_id", role->external_id);
    printf(", \"duration\": %lld}", (long long)role->duration_s);
}

static void print_plan(const struct plan *plan)
{
    static const char *const bases[] = {"set",       "process", "web_identity",
                                        "container", "imds",    "sso"};
    printf("{\"base\": \"%s\"", bases[plan->base]);
    print_text("source", plan->source);
    print_text("sts", plan->sts.authority);
    print_text("sts_region", plan->sts_region);
    print_text("ca_file", span_from(plan->ca_file));
    if (plan->base == PLAN_SET) {
        print_text("key_id", span_from(plan->set->access_key_id));
        print_text("secret", secret_bytes(&plan->set->secret_access_key));
        print_text("token", secret_is_empty(&plan->set->session_token)
                                ? SPAN_NONE
                                : secret_bytes(&plan->set->session_token));
    }
    print_text("token_file", span_from(plan->token_file));
    print_text("host", plan->url.authority);
    print_text("path", plan->path);
    printf(", \"identity\": ");
    print_role(&plan->identity);
    printf(", \"argv\": [");
    for (char **word = plan->argv; word != NULL && *word != NULL; ++word) {
        printf("%s{\"_\": 0", word == plan->argv ? "" : ", ");
        print_text("word", span_from(*word));
        printf("}");
    }
    printf("], \"roles\": [");
    for (size_t i = 0; i != plan->role_count; ++i) {
        printf("%s", i == 0 ? "" : ", ");
        print_role(&plan->roles[i]);
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    struct arena arena;
    struct plan plan;
    struct source_notes notes;
    const struct config_identity identity = {
        .name = SPAN("default"),
        .region = span_from(argc > 1 ? argv[1] : "us-east-1"),
        .fips = argc > 2 && strchr(argv[2], 'f') != NULL,
        .dualstack = argc > 2 && strchr(argv[2], 'd') != NULL,
    };
    const struct plan_options options = {.identity = &identity, .getenv = get_variable};
    arena_init(&arena, 4096);
    if (plan_make(&options, &arena, &plan, &notes) == CREDENTIALS_FOUND) {
        print_plan(&plan);
        plan_dispose(&plan);
    } else {
        printf("{\"base\": \"failed\"");
        print_text("fault", notes.fault);
        printf("}\n");
    }
    arena_dispose(&arena);
    return 0;
}

/* The chain of sources over any environment and config file: lines of NAME=value, an empty line, and the file. A plan is one
 * that can be carried out and asks in the clear nobody who is far away; else a fault is told. */
// links: credentials net
#include "credentials/plan.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct input {
    struct span variables;
    struct span config_file;
};

static struct span get_variable(void *context, struct span name)
{
    const struct input *input = context;
    struct span rest = input->variables, line, key, value;
    if (span_equals(name, SPAN("AWS_CONFIG_FILE")))
        return input->config_file;
    if (span_equals(name, SPAN("AWS_SHARED_CREDENTIALS_FILE")) || span_equals(name, SPAN("HOME")))
        return SPAN("/none");
    while (span_split(rest, '\n', &line, &rest) || line.len != 0) {
        if (span_split(line, '=', &key, &value) && span_equals(key, name))
            return value;
        if (rest.len == 0)
            break;
    }
    return SPAN_NONE;
}

/* The file as a name that can be opened. */
static int write_file(struct span text, char *name, size_t size)
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, text.at, text.len) == (ssize_t)text.len);
    snprintf(name, size, "/proc/self/fd/%d", fd);
    return fd;
}

static bool is_near(const struct endpoint_url *url)
{
    return url->tls || url->loopback || span_starts_with(url->host, SPAN("169.254.")) ||
           span_starts_with(url->host, SPAN("fd00:ec2::"));
}

static void check_role(const struct plan_role *role)
{
    CHECK(role->role_arn.len != 0);
    CHECK(role->session_name.len >= 2 && role->session_name.len <= 64);
    CHECK(role->duration_s == 0 || (role->duration_s >= 900 && role->duration_s <= 43200));
}

static void check_plan(const struct plan *plan)
{
    bool asks = plan->base == PLAN_CONTAINER || plan->base == PLAN_IMDS || plan->base == PLAN_SSO;
    CHECK((plan->base == PLAN_SET) == (plan->set != NULL));
    CHECK(plan->base != PLAN_PROCESS || plan->argv[0] != NULL);
    CHECK(!asks || (plan->url.host.len != 0 && is_near(&plan->url)));
    CHECK((plan->base != PLAN_CONTAINER && plan->base != PLAN_SSO) || plan->path.at[0] == '/');
    CHECK(plan->role_count <= PLAN_ROLES_MAX);
    for (size_t i = 0; i != plan->role_count; ++i)
        check_role(&plan->roles[i]);
    if (plan->base == PLAN_WEB_IDENTITY)
        check_role(&plan->identity);
    if (plan->role_count != 0 || plan->base == PLAN_WEB_IDENTITY)
        CHECK(plan->sts.host.len != 0 && (plan->sts.tls || plan->sts.loopback));
    CHECK(plan->file_count <= PLAN_FILES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make((const char *)data, size);
    const char *gap = memmem(text.at, text.len, "\n\n", 2);
    size_t split = gap == NULL ? text.len : (size_t)(gap - text.at) + 1;
    char name[64];
    int fd = write_file(span_from_offset(text, split), name, sizeof(name));
    struct input input = {span_make(text.at, split), span_from(name)};
    const struct config_identity identity = {.name = SPAN("default"), .region = SPAN("us-east-1")};
    const struct plan_options options = {
        .identity = &identity, .getenv = get_variable, .getenv_context = &input};
    struct arena arena;
    struct plan plan;
    struct source_notes notes;
    arena_init(&arena, 4096);
    if (plan_make(&options, &arena, &plan, &notes) == CREDENTIALS_FOUND) {
        check_plan(&plan);
        plan_dispose(&plan);
    } else {
        CHECK(notes.fault.len != 0);
    }
    arena_dispose(&arena);
    close(fd);
    return 0;
}

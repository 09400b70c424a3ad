/* The source chain for any environment and config file. Input: lines of NAME=value, an empty
 * line, and the file. Either the chain is usable and sends no plaintext request to a remote
 * host, or an error is reported. */
// links: credentials net
#include "credentials/chain.h"

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

/* Provides the file under a name that can be opened. */
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

static void check_role(const struct chain_role *role)
{
    CHECK(role->role_arn.len != 0);
    CHECK(role->session_name.len >= 2 && role->session_name.len <= 64);
    CHECK(role->duration_s == 0 || (role->duration_s >= 900 && role->duration_s <= 43200));
}

static void check_chain(const struct chain *chain)
{
    bool asks =
        chain->base == CHAIN_CONTAINER || chain->base == CHAIN_IMDS || chain->base == CHAIN_SSO;
    CHECK((chain->base == CHAIN_SET) == (chain->set != NULL));
    CHECK(chain->base != CHAIN_PROCESS || chain->argv[0] != NULL);
    CHECK(!asks || (chain->url.host.len != 0 && is_near(&chain->url)));
    CHECK((chain->base != CHAIN_CONTAINER && chain->base != CHAIN_SSO) || chain->path.at[0] == '/');
    CHECK(chain->role_count <= CHAIN_ROLES_MAX);
    for (size_t i = 0; i != chain->role_count; ++i)
        check_role(&chain->roles[i]);
    if (chain->base == CHAIN_WEB_IDENTITY)
        check_role(&chain->identity);
    if (chain->role_count != 0 || chain->base == CHAIN_WEB_IDENTITY)
        CHECK(chain->sts.host.len != 0 && (chain->sts.tls || chain->sts.loopback));
    CHECK(chain->file_count <= CHAIN_FILES_MAX);
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
    const struct chain_options options = {
        .identity = &identity, .getenv = get_variable, .getenv_context = &input};
    struct arena arena;
    struct chain chain;
    struct credentials_notes notes;
    arena_init(&arena, 4096);
    if (chain_resolve(&options, &arena, &chain, &notes) == CREDENTIALS_FOUND) {
        check_chain(&chain);
        chain_dispose(&chain);
    } else {
        CHECK(notes.fault.len != 0);
    }
    arena_dispose(&arena);
    close(fd);
    return 0;
}

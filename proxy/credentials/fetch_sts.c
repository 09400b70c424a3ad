/* Asking STS: a role for a token, and a role from the set at hand. */
#include "credentials/fetch.h"

#include <stdlib.h>

#include "credentials/file.h"
#include "credentials/sts.h"
#include "credentials/sts_response.h"

enum { WEB_TOKEN_MAX = 20000, WEB_TOKEN_MIN = 4 };

static void send_form(struct fetch *fetch, struct buffer *form, const struct credentials *signer);
static void on_answer(struct http_client *call);

/* "SOURCE: sts: HOST: ROLE: what" */
static void fail(struct fetch *fetch, struct span role_arn, struct span what)
{
    fetch_fail(fetch,
               arena_printf(&fetch->arena, "%.*s: sts: %.*s: %.*s: %.*s",
                            SPAN_ARG(fetch->chain.source), SPAN_ARG(fetch->chain.sts.authority),
                            SPAN_ARG(role_arn), SPAN_ARG(what)));
}

/* ---- asking ---- */

static struct span trim_token(struct span token)
{
    while (token.len != 0 && strchr(" \t\r\n", token.at[token.len - 1]) != NULL)
        --token.len;
    return token;
}

/* What keeps the token from being sent; SPAN_NONE: nothing does. Such a token has no blanks and no
 * control characters, wherever it is from. */
static struct span fault_of_token(struct span token, struct arena *arena)
{
    if (token.len < WEB_TOKEN_MIN || token.len > WEB_TOKEN_MAX)
        return SPAN("it has no 4 to 20000 characters");
    for (size_t i = 0; i != token.len; ++i)
        if ((unsigned char)token.at[i] <= ' ' || (unsigned char)token.at[i] >= 0x7f)
            return arena_printf(arena,
                                "a blank, a control character or a byte beyond ASCII at position "
                                "%zu of %zu",
                                i + 1, token.len);
    return SPAN_NONE;
}

static void send_web_token(struct fetch *fetch, struct span token)
{
    struct buffer form;
    buffer_init_fixed(&form, malloc(STS_FORM_MAX), STS_FORM_MAX);
    CHECK(form.at != NULL);
    sts_append_web_identity(&fetch->chain.identity, token, &form);
    send_form(fetch, &form, NULL);
    secret_wipe(form.at, STS_FORM_MAX);
    free(form.at);
}

void fetch_from_web_identity(struct fetch *fetch)
{
    struct file_text text = {0};
    struct span fault = SPAN("there is no such file");
    const char *name = fetch->chain.token_file;
    if (file_read(name, WEB_TOKEN_MAX + 2, &text, &fetch->arena, &fault) == FILE_READ)
        fault = fault_of_token(trim_token(file_span(&text)), &fetch->arena);
    if (fault.at == NULL)
        send_web_token(fetch, trim_token(file_span(&text)));
    else
        fetch_fail(fetch, arena_printf(&fetch->arena, "web_identity: the token file %s: %.*s", name,
                                       SPAN_ARG(fault)));
    file_dispose(&text);
}

void fetch_assume_role(struct fetch *fetch)
{
    struct buffer form;
    buffer_init_fixed(&form, malloc(STS_FORM_MAX), STS_FORM_MAX);
    CHECK(form.at != NULL);
    sts_append_assume_role(&fetch->chain.roles[fetch->role_index], &form);
    send_form(fetch, &form, fetch->set);
    free(form.at);
}

static void send_form(struct fetch *fetch, struct buffer *form, const struct credentials *signer)
{
    struct http_client_request request;
    CHECK(!form->overflowed);
    sts_request(&fetch->chain, buffer_span(form), signer,
                skew_correct(fetch->options.skew, clock_wall()), &fetch->arena, &request);
    (void)!fetch_call(fetch, &request, on_answer);
}

/* ---- the answer ---- */

static bool is_clock_code(struct span code)
{
    static const struct span codes[] = {
        SPAN("SignatureDoesNotMatch"), SPAN("RequestExpired"), SPAN("RequestInTheFuture"),
        SPAN("RequestTimeTooSkewed"),  SPAN("AuthFailure"),    SPAN("InvalidSignatureException"),
    };
    for (size_t i = 0; i != sizeof(codes) / sizeof(codes[0]); ++i)
        if (span_equals(code, codes[i]))
            return true;
    return false;
}

/* Once a run: a signature that was refused for its time is made again by the time that STS has. */
static bool signs_again(struct fetch *fetch, const struct http_client *call,
                        const struct sts_response *answer)
{
    if (fetch->set == NULL || fetch->clock_corrected || !fetch->chain.sts.tls ||
        !is_clock_code(answer->error_code) ||
        !skew_learn(fetch->options.skew, call->date, clock_wall()))
        return false;
    fetch->clock_corrected = true;
    fetch->notes.warning = arena_printf(
        &fetch->arena,
        "%.*s: sts: %.*s refused a signature for its time: this machine's clock is %lld s off "
        "AWS's; signing by AWS's time until the clock is mended",
        SPAN_ARG(fetch->chain.source), SPAN_ARG(fetch->chain.sts.authority),
        (long long)-skew_offset_s(fetch->options.skew));
    fetch_assume_role(fetch);
    return true;
}

static void fail_answer(struct fetch *fetch, struct span role_arn, int status,
                        const struct sts_response *answer)
{
    struct arena *arena = &fetch->arena;
    /* By a token: which one it was is the first thing to look at. */
    struct span token = fetch->set != NULL ? SPAN("")
                                           : arena_printf(arena, "; the token was that of %s",
                                                          fetch->chain.token_file);
    if (answer->error_code.len == 0)
        fail(fetch, role_arn, arena_printf(arena, "HTTP status %d", status));
    else
        fail(fetch, role_arn,
             arena_printf(arena, "%.*s: %.*s%.*s", SPAN_ARG(answer->error_code),
                          SPAN_ARG(answer->error_message), SPAN_ARG(token)));
}

static void on_answer(struct http_client *call)
{
    struct fetch *fetch = call->owner;
    struct sts_response answer = {0};
    struct span fault;
    bool by_token = fetch->set == NULL;
    struct span role_arn =
        by_token ? fetch->chain.identity.role_arn : fetch->chain.roles[fetch->role_index].role_arn;
    if (call->status == 0) {
        fail(fetch, role_arn, arena_copy(&fetch->arena, span_from(call->why)));
        return;
    }
    /* Where no request goes out for want of a set, nobody else sees that the clock was mended. */
    if (fetch->chain.sts.tls && skew_check(fetch->options.skew, call->date, clock_wall()))
        fetch->notes.warning = SPAN("this machine's clock agrees with AWS's again, by STS");
    if (call->status != 200) {
        (void)!sts_response_read(http_client_response(call), &fetch->arena, &answer, &fault);
        if (!signs_again(fetch, call, &answer))
            fail_answer(fetch, role_arn, call->status, &answer);
        return;
    }
    struct credentials *set = sts_response_read_set(
        http_client_response(call), by_token ? SPAN("web_identity") : SPAN("assume_role"),
        &fetch->arena, &answer, &fault);
    if (set == NULL) {
        fail(fetch, role_arn, arena_printf(&fetch->arena, "the answer: %.*s", SPAN_ARG(fault)));
        return;
    }
    if (!by_token)
        ++fetch->role_index;
    fetch_take_base(fetch, set);
}

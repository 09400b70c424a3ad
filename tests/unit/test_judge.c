// links: net gateway
/* Error responses: what each means, and what the client gets for each value of `errors`. */
#include "gateway/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct row {
    int status;
    const char *type, *body;
    enum outcome outcome;
    int unwrapped; /* the status that the client sees; with `pass` it is `status` */
    int model_status;
} rows[] = {
    {424, "ModelError", "{\"OriginalStatusCode\":422,\"OriginalMessage\":\"bad row\"}",
     OUTCOME_MODEL_ERROR, 422, 422},
    {424, "ModelError", "{\"OriginalStatusCode\":500,\"OriginalMessage\":\"boom\"}",
     OUTCOME_MODEL_ERROR, 500, 500},
    {424, "ModelError", "{\"OriginalStatusCode\":0,\"OriginalMessage\":\"\"}", OUTCOME_MODEL_ERROR,
     504, 0},
    {424, "ModelError", "{\"OriginalStatusCode\":200}", OUTCOME_MODEL_ERROR, 502, 200},
    {424, "ModelError", "{\"OriginalStatusCode\":700}", OUTCOME_MODEL_ERROR, 502, 700},
    {424, "ModelError", "{}", OUTCOME_MODEL_ERROR, 502, -1},
    {400, "ThrottlingException", "{}", OUTCOME_THROTTLED, 429, -1},
    {400, "ValidationError", "{}", OUTCOME_REJECTED, 400, -1},
    {403, "AccessDeniedException", "{}", OUTCOME_ACCESS_DENIED, 502, -1},
    {429, "ModelNotReadyException", "{}", OUTCOME_MODEL_NOT_READY, 429, -1},
    {503, "ServiceUnavailable", "{}", OUTCOME_NO_CAPACITY, 503, -1},
    {500, "InternalFailure", "{}", OUTCOME_UPSTREAM_ERROR, 500, -1},
    {530, "InternalDependencyException", "{}", OUTCOME_UPSTREAM_ERROR, 502, -1},
    {413, NULL, "<html>too large</html>", OUTCOME_REJECTED, 413, -1},
    {999, NULL, "", OUTCOME_UPSTREAM_ERROR, 502, -1},
};

static struct judge_verdict judged(const struct row *row, enum config_errors errors,
                                   struct arena *arena)
{
    struct judge_verdict verdict;
    struct judge_response response = {
        row->status, row->type == NULL ? SPAN_NONE : span_from(row->type), span_from(row->body)};
    judge_error(&response, errors, arena, &verdict);
    return verdict;
}

static void judgement_table(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    for (size_t i = 0; i != sizeof(rows) / sizeof(rows[0]); ++i) {
        const struct row *row = &rows[i];
        struct judge_verdict pass = judged(row, CONFIG_ERRORS_PASS, &arena);
        struct judge_verdict unwrap = judged(row, CONFIG_ERRORS_UNWRAP, &arena);
        assert_true(pass.pass && pass.status == row->status);
        assert_false(unwrap.pass);
        assert_int_equal(unwrap.status, row->unwrapped);
        assert_int_equal(unwrap.outcome, row->outcome);
        assert_int_equal(pass.outcome, row->outcome);
        assert_int_equal(unwrap.model_status, row->model_status);
        assert_int_equal(unwrap.retry_after_s, outcome_info(row->outcome)->retry_after_s);
        assert_true(unwrap.message.len != 0 && unwrap.status >= 400 && unwrap.status <= 599);
        arena_reset(&arena);
    }
    arena_dispose(&arena);
}

static void client_visible_text(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    struct judge_verdict model = judged(&rows[0], CONFIG_ERRORS_UNWRAP, &arena);
    assert_true(model.is_model_text && span_equals(model.message, SPAN("bad row")));
    struct row denied = {
        403,
        "AccessDeniedException",
        "{\"message\":\"User: arn:aws:iam::111122223333:user/u is not authorized\"}",
        OUTCOME_ACCESS_DENIED,
        502,
        -1};
    struct judge_verdict verdict = judged(&denied, CONFIG_ERRORS_UNWRAP, &arena);
    assert_true(span_equals(verdict.message, outcome_info(OUTCOME_ACCESS_DENIED)->text));
    struct row invalid = {400,
                          "ValidationError",
                          "{\"message\":\"Endpoint e of account 111122223333 not found.\"}",
                          OUTCOME_REJECTED,
                          400,
                          -1};
    verdict = judged(&invalid, CONFIG_ERRORS_UNWRAP, &arena);
    for (size_t i = 0; i + 12 <= verdict.message.len; ++i)
        assert_false(span_equals(span_make(verdict.message.at + i, 12), SPAN("111122223333")));
    arena_dispose(&arena);
}

static void retry_classes(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    struct row row = {403, "ExpiredTokenException", "{}", OUTCOME_ACCESS_DENIED, 502, -1};
    assert_int_equal(judged(&row, CONFIG_ERRORS_PASS, &arena).class, RETRY_CREDENTIALS);
    row.type = "AccessDeniedException";
    assert_int_equal(judged(&row, CONFIG_ERRORS_UNWRAP, &arena).class, RETRY_NONE);
    row.type = "InvalidSignatureException";
    assert_int_equal(judged(&row, CONFIG_ERRORS_UNWRAP, &arena).class, RETRY_CLOCK);
    arena_dispose(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judgement_table),
        cmocka_unit_test(client_visible_text),
        cmocka_unit_test(retry_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

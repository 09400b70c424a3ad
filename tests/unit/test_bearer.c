/* Bearer tokens: their form against one made by botocore, and when the cache mints a new one. */
#include "aws/bearer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* base64 of what botocore's SigV4QueryAuth makes with these keys at 2026-11-22T12:00:00Z, plus
 * &Version=1; the query fields are in signing order. */
static const char wanted[] =
    "sagemaker-api-key-c2FnZW1ha2VyLmFtYXpvbmF3cy5jb20vP0FjdGlvbj1DYWxsV2l0aEJlYXJlcl"
    "Rva2VuJlgtQW16LUFsZ29yaXRobT1BV1M0LUhNQUMtU0hBMjU2JlgtQW16LUNyZWRlbnRpYWw9QUtJRE"
    "VYQU1QTEUlMkYyMDI2MTEyMiUyRnVzLWVhc3QtMSUyRnNhZ2VtYWtlciUyRmF3czRfcmVxdWVzdCZYLU"
    "Ftei1EYXRlPTIwMjYxMTIyVDEyMDAwMFomWC1BbXotRXhwaXJlcz05MDAmWC1BbXotU2VjdXJpdHktVG"
    "9rZW49YSUyRmIlMkJjJTNEJTNEJlgtQW16LVNpZ25lZEhlYWRlcnM9aG9zdCZYLUFtei1TaWduYXR1cm"
    "U9NmM3NWU1ZmE0MTIxYWViOTAyNGQ5ZTg2MDNkYzk4YzA4OWZiNWU3NzEzYzQ5YmZmNjVhYjYzNjhiYz"
    "U3ZjZhOSZWZXJzaW9uPTE=";

static struct secret secret, token;

static struct sigv4_identity identity_of(const char *id, uint64_t generation)
{
    return (struct sigv4_identity){span_from(id), &secret, &token, generation};
}

static struct sigv4_scope scope_at(int64_t s)
{
    return (struct sigv4_scope){
        SPAN("us-east-1"), SPAN("sagemaker"), {(INT64_C(1795348800) + s) * 1000000}};
}

static int set_up(void **state)
{
    (void)state;
    secret = secret_copy(SPAN("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
    token = secret_copy(SPAN("a/b+c=="));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    secret_dispose(&secret);
    secret_dispose(&token);
    return 0;
}

static void token_matches_botocore(void **state)
{
    (void)state;
    struct buffer out;
    struct sigv4_identity identity = identity_of("AKIDEXAMPLE", 1);
    struct sigv4_scope scope = scope_at(0);
    buffer_init(&out, 4096);
    bearer_append(&identity, &scope, 900, &out);
    assert_true(span_equals(buffer_span(&out), span_from(wanted)));
    buffer_dispose(&out);
}

/* Returns whether the cache mints for the second of two calls. */
static bool mints_again(struct sigv4_identity first, int64_t first_s, struct sigv4_identity second,
                        int64_t second_s, int64_t expires_s)
{
    struct bearer_cache *cache = bearer_cache_create();
    struct wall_time expires = {expires_s == 0 ? 0 : scope_at(expires_s).now.us};
    struct sigv4_scope scope = scope_at(first_s);
    struct buffer kept;
    buffer_init(&kept, 8192);
    buffer_append(&kept, bearer_get(cache, &first, &scope, expires));
    scope = scope_at(second_s);
    bool same = span_equals(buffer_span(&kept), bearer_get(cache, &second, &scope, expires));
    buffer_dispose(&kept);
    bearer_cache_destroy(cache);
    return !same;
}

static void token_is_reused_for_ten_minutes(void **state)
{
    (void)state;
    struct sigv4_identity identity = identity_of("AKIDEXAMPLE", 1);
    assert_false(mints_again(identity, 0, identity, 600, 0));
    assert_true(mints_again(identity, 0, identity, 601, 0));
    assert_true(mints_again(identity, 0, identity, -1, 0)); /* the clock was set back */
}

static void different_credentials_get_different_token(void **state)
{
    (void)state;
    struct sigv4_identity one = identity_of("AKIDEXAMPLE", 1), two = identity_of("AKIDEXAMPLE", 2);
    assert_true(mints_again(one, 0, two, 1, 0));
    assert_true(mints_again(one, 0, identity_of("AKIDOTHER", 1), 1, 0));
}

static void token_does_not_outlive_credentials(void **state)
{
    (void)state;
    struct sigv4_identity identity = identity_of("AKIDEXAMPLE", 1);
    assert_false(mints_again(identity, 0, identity, 100, 400));
    assert_true(mints_again(identity, 0, identity, 101, 400));
    /* With less time left, each call gets its own. */
    assert_true(mints_again(identity, 0, identity, 1, 200));
}

static void wiped_cache_mints_again(void **state)
{
    (void)state;
    struct bearer_cache *cache = bearer_cache_create();
    struct sigv4_identity identity = identity_of("AKIDEXAMPLE", 1);
    struct sigv4_scope scope = scope_at(0);
    struct wall_time never = {0};
    struct buffer kept;
    buffer_init(&kept, 8192);
    buffer_append(&kept, bearer_get(cache, &identity, &scope, never));
    scope = scope_at(1);
    assert_true(span_equals(buffer_span(&kept), bearer_get(cache, &identity, &scope, never)));
    bearer_cache_wipe(cache);
    assert_false(span_equals(buffer_span(&kept), bearer_get(cache, &identity, &scope, never)));
    buffer_dispose(&kept);
    bearer_cache_destroy(cache);
}

static void many_identities_share_the_cache(void **state)
{
    (void)state;
    struct bearer_cache *cache = bearer_cache_create();
    struct sigv4_scope scope = scope_at(0);
    for (int i = 0; i != 50; ++i) {
        char id[] = "AKIDEXAMPLE00";
        id[11] = (char)('A' + i % 10);
        struct sigv4_identity identity = identity_of(id, 1);
        assert_true(bearer_get(cache, &identity, &scope, (struct wall_time){0}).len > 100);
    }
    bearer_cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_matches_botocore),
        cmocka_unit_test(token_is_reused_for_ten_minutes),
        cmocka_unit_test(different_credentials_get_different_token),
        cmocka_unit_test(token_does_not_outlive_credentials),
        cmocka_unit_test(wiped_cache_mints_again),
        cmocka_unit_test(many_identities_share_the_cache),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

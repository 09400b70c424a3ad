/* Endpoints: host names for every partition, and which custom URLs are accepted. */
#include "aws/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "arena_fixture.h"

static void assert_span(struct span s, const char *expected)
{
    if (!span_equals(s, span_from(expected)))
        fail_msg("'%.*s' is not '%s'", SPAN_ARG(s), expected);
}

static void test_regions(void **state)
{
    static const char *const good[] = {"us-east-1", "a", "eusc-de-east-1", "local", "0"};
    static const char *const bad[] = {"",           "us-east-1-", "-us-east-1", "US-EAST-1",
                                      "us_east_1",  "us.east.1",  "us east",    "us-east-1/",
                                      "a@evil.com", "a#",         "a:1",        "\xc3\xa9"};
    (void)state;
    for (size_t i = 0; i != sizeof(good) / sizeof(good[0]); ++i)
        assert_true(endpoint_region_is_valid(span_from(good[i])));
    for (size_t i = 0; i != sizeof(bad) / sizeof(bad[0]); ++i)
        assert_false(endpoint_region_is_valid(span_from(bad[i])));
    char longest[64];
    memset(longest, 'a', sizeof(longest));
    assert_true(endpoint_region_is_valid(span_make(longest, 63)));
    assert_false(endpoint_region_is_valid(span_make(longest, 64)));
    assert_false(endpoint_region_is_valid(span_make("a\0b", 3)));
}

/* Ordinary, FIPS, dual-stack, both. */
static const struct {
    const char *region, *partition, *host[4];
} regions[] = {
    {"us-east-1",
     "aws",
     {"runtime.sagemaker.us-east-1.amazonaws.com", "runtime-fips.sagemaker.us-east-1.amazonaws.com",
      "runtime.sagemaker.us-east-1.api.aws", "runtime.sagemaker-fips.us-east-1.api.aws"}},
    {"mx-central-1",
     "aws",
     {"runtime.sagemaker.mx-central-1.amazonaws.com",
      "runtime-fips.sagemaker.mx-central-1.amazonaws.com", "runtime.sagemaker.mx-central-1.api.aws",
      "runtime.sagemaker-fips.mx-central-1.api.aws"}},
    {"cn-north-1",
     "aws-cn",
     {"runtime.sagemaker.cn-north-1.amazonaws.com.cn",
      "runtime.sagemaker-fips.cn-north-1.amazonaws.com.cn",
      "runtime.sagemaker.cn-north-1.api.amazonwebservices.com.cn",
      "runtime.sagemaker-fips.cn-north-1.api.amazonwebservices.com.cn"}},
    {"us-gov-west-1",
     "aws-us-gov",
     {"runtime.sagemaker.us-gov-west-1.amazonaws.com",
      "runtime.sagemaker.us-gov-west-1.amazonaws.com", "runtime.sagemaker.us-gov-west-1.api.aws",
      "runtime.sagemaker-fips.us-gov-west-1.api.aws"}},
    {"eusc-de-east-1",
     "aws-eusc",
     {"runtime.sagemaker.eusc-de-east-1.amazonaws.eu",
      "runtime.sagemaker-fips.eusc-de-east-1.amazonaws.eu",
      "runtime.sagemaker.eusc-de-east-1.api.amazonwebservices.eu",
      "runtime.sagemaker-fips.eusc-de-east-1.api.amazonwebservices.eu"}},
    {"us-iso-east-1",
     "aws-iso",
     {"runtime.sagemaker.us-iso-east-1.c2s.ic.gov",
      "runtime.sagemaker-fips.us-iso-east-1.c2s.ic.gov",
      "runtime.sagemaker.us-iso-east-1.api.aws.ic.gov",
      "runtime.sagemaker-fips.us-iso-east-1.api.aws.ic.gov"}},
    {"us-isob-east-1",
     "aws-iso-b",
     {"runtime.sagemaker.us-isob-east-1.sc2s.sgov.gov",
      "runtime.sagemaker-fips.us-isob-east-1.sc2s.sgov.gov",
      "runtime.sagemaker.us-isob-east-1.api.aws.scloud",
      "runtime.sagemaker-fips.us-isob-east-1.api.aws.scloud"}},
    {"eu-isoe-west-1",
     "aws-iso-e",
     {"runtime.sagemaker.eu-isoe-west-1.cloud.adc-e.uk",
      "runtime.sagemaker-fips.eu-isoe-west-1.cloud.adc-e.uk",
      "runtime.sagemaker.eu-isoe-west-1.api.cloud-aws.adc-e.uk",
      "runtime.sagemaker-fips.eu-isoe-west-1.api.cloud-aws.adc-e.uk"}},
    {"us-isof-south-1",
     "aws-iso-f",
     {"runtime.sagemaker.us-isof-south-1.csp.hci.ic.gov",
      "runtime.sagemaker-fips.us-isof-south-1.csp.hci.ic.gov",
      "runtime.sagemaker.us-isof-south-1.api.aws.hci.ic.gov",
      "runtime.sagemaker-fips.us-isof-south-1.api.aws.hci.ic.gov"}},
};

static void test_hosts(void **state)
{
    for (size_t i = 0; i != sizeof(regions) / sizeof(regions[0]); ++i) {
        assert_span(endpoint_partition(span_from(regions[i].region)), regions[i].partition);
        for (unsigned variant = 0; variant != 4; ++variant) {
            const struct endpoint_options options = {span_from(regions[i].region),
                                                     (variant & 1) != 0, (variant & 2) != 0};
            assert_span(endpoint_host(&options, *state), regions[i].host[variant]);
        }
    }
}

static void test_partition_portals(void **state)
{
    assert_span(endpoint_sso_portal_host(SPAN("us-east-1"), *state),
                "portal.sso.us-east-1.amazonaws.com");
    assert_span(endpoint_sso_portal_host(SPAN("cn-north-1"), *state),
                "portal.sso.cn-north-1.amazonaws.com.cn");
}

static void test_unknown_region_defaults_to_aws_partition(void **state)
{
    static const char *const unknown[] = {"us-gov-west", "us-gov--1", "cn-north-1a",
                                          "cn--1",       "cn",        "us-iso-1",
                                          "eusc-fr-a-1", "local",     "xx-y-1"};
    (void)state;
    for (size_t i = 0; i != sizeof(unknown) / sizeof(unknown[0]); ++i)
        assert_span(endpoint_partition(span_from(unknown[i])), "aws");
    assert_span(endpoint_partition(SPAN("aws-cn-global")), "aws-cn");
    assert_span(endpoint_partition(SPAN("aws-us-gov-global")), "aws-us-gov");
}

static void test_urls(void **state)
{
    static const struct {
        const char *url;
        bool tls;
        const char *host;
        unsigned port;
        const char *authority;
        bool loopback;
    } cases[] = {
        {"https://example.com", true, "example.com", 443, "example.com", false},
        {"https://example.com/", true, "example.com", 443, "example.com", false},
        {"HTTPS://Example.COM:443", true, "example.com", 443, "example.com", false},
        {"https://example.com:8443/", true, "example.com", 8443, "example.com:8443", false},
        {"https://example.com:80", true, "example.com", 80, "example.com:80", false},
        {"http://example.com:80", false, "example.com", 80, "example.com", false},
        {"http://example.com:443", false, "example.com", 443, "example.com:443", false},
        {"http://localhost:4566", false, "localhost", 4566, "localhost:4566", true},
        {"http://LOCALHOST", false, "localhost", 80, "localhost", true},
        {"http://localhost.evil.com", false, "localhost.evil.com", 80, "localhost.evil.com", false},
        {"http://127.0.0.1:65535", false, "127.0.0.1", 65535, "127.0.0.1:65535", true},
        {"http://127.255.0.9", false, "127.255.0.9", 80, "127.255.0.9", true},
        {"http://128.0.0.1", false, "128.0.0.1", 80, "128.0.0.1", false},
        {"http://127.0.0.1.nip.io", false, "127.0.0.1.nip.io", 80, "127.0.0.1.nip.io", false},
        {"https://[::1]:9000", true, "::1", 9000, "[::1]:9000", true},
        {"https://[0:0:0:0:0:0:0:1]", true, "0:0:0:0:0:0:0:1", 443, "[0:0:0:0:0:0:0:1]", true},
        {"https://[2001:DB8::1]/", true, "2001:db8::1", 443, "[2001:db8::1]", false},
        {"https://vpce-1a.runtime.sagemaker.us-east-1.vpce.amazonaws.com", true,
         "vpce-1a.runtime.sagemaker.us-east-1.vpce.amazonaws.com", 443,
         "vpce-1a.runtime.sagemaker.us-east-1.vpce.amazonaws.com", false},
        {"http://local_endpoint:8080", false, "local_endpoint", 8080, "local_endpoint:8080", false},
        {"http://endpoint", false, "endpoint", 80, "endpoint", false},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        struct endpoint_url url;
        struct span fault = SPAN_NONE;
        if (!endpoint_parse_url(span_from(cases[i].url), *state, &url, &fault))
            fail_msg("%s: %.*s", cases[i].url, SPAN_ARG(fault));
        assert_null(fault.at);
        assert_int_equal(url.tls, cases[i].tls);
        assert_span(url.host, cases[i].host);
        assert_int_equal(url.port, cases[i].port);
        assert_span(url.authority, cases[i].authority);
        assert_int_equal(url.loopback, cases[i].loopback);
    }
}

static void test_invalid_urls(void **state)
{
    static const char scheme[] = "must begin with https:// or http://";
    static const char query[] = "must not have a query or fragment; write https://HOST[:PORT]";
    static const char path[] = "must not have a path; write https://HOST[:PORT]";
    static const char user[] = "must not contain user information";
    static const char name[] = "the host name is malformed";
    static const char number[] = "the host is neither a name nor an IPv4 address such as 127.0.0.1";
    static const char v6[] = "the text in brackets is not an IPv6 address";
    static const char bracket[] = "write an IPv6 address as [::1] or [::1]:PORT";
    static const char port[] = "the port is not a number from 1 to 65535";
    static const char *const cases[][2] = {
        {"", scheme},
        {"example.com", scheme},
        {"ftp://example.com", scheme},
        {"https:/example.com", scheme},
        {" https://example.com", scheme},
        {"https://", "the host is missing"},
        {"https:///", "the host is missing"},
        {"https://:443", "the host is missing"},
        {"https://[]", "the host is missing"},
        {"https://example.com//", path},
        {"https://example.com/x", path},
        {"https://example.com/x/", path},
        {"https://example.com?x", query},
        {"https://example.com/?", query},
        {"https://example.com/#", query},
        {"https://user@example.com", user},
        {"https://key:secret@example.com/", user},
        {"https://example.com@evil.com", user},
        {"https://exa mple.com", name},
        {"https://example..com", name},
        {"https://.example.com", name},
        {"https://example.com.", name},
        {"https://-a.com", name},
        {"https://a-.com", name},
        {"https://ex%61mple.com", name},
        {"https://ex\xc3\xa4mple.com", name},
        {"https://example.com\\x", name},
        {"https://example.com\r\nHost", name},
        {"https://example.com\r\nHost: x", port},
        {"https://127.1", number},
        {"https://127.0.0.256", number},
        {"https://127.0.0.01", number},
        {"https://2130706433", number},
        {"https://0x7f000001", number},
        {"https://127.0.0.0x1", number},
        {"https://1.2.3.4.5", number},
        {"https://[::1", bracket},
        {"https://[::g]", v6},
        {"https://[127.0.0.1]", v6},
        {"https://[fe80::1%eth0]", v6},
        {"https://[::1]x", bracket},
        {"https://::1", "the host is missing"},
        {"https://example.com:", port},
        {"https://example.com:0", port},
        {"https://example.com:65536", port},
        {"https://example.com:+1", port},
        {"https://example.com:443x", port},
        {"https://example.com:000443", port},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        struct endpoint_url url = {.port = 7};
        struct span fault = SPAN_NONE;
        if (endpoint_parse_url(span_from(cases[i][0]), *state, &url, &fault))
            fail_msg("%s was accepted", cases[i][0]);
        assert_span(fault, cases[i][1]);
        assert_int_equal(url.port, 7);
    }
    struct endpoint_url url;
    struct span fault;
    assert_false(endpoint_parse_url(span_make("https://a\0.com", 14), *state, &url, &fault));
    assert_span(fault, name);
}

static void test_long_names(void **state)
{
    char text[300] = "https://";
    struct endpoint_url url;
    struct span fault;
    for (size_t i = 0; i != 253; ++i)
        text[8 + i] = i % 64 == 63 ? '.' : 'a';
    assert_true(endpoint_parse_url(span_make(text, 8 + 253), *state, &url, &fault));
    text[8 + 253] = 'a';
    assert_false(endpoint_parse_url(span_make(text, 8 + 254), *state, &url, &fault));
    memset(text + 8, 'a', 64);
    assert_true(endpoint_parse_url(span_make(text, 8 + 63), *state, &url, &fault));
    assert_false(endpoint_parse_url(span_make(text, 8 + 64), *state, &url, &fault));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regions),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_partition_portals),
        cmocka_unit_test(test_unknown_region_defaults_to_aws_partition),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_invalid_urls),
        cmocka_unit_test(test_long_names),
    };
    return cmocka_run_group_tests(tests, with_arena, without_arena);
}

/* Single values as a configuration writes them; it knows no keys and no ranges. */
#include "config/value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <sys/un.h>

#include "config/env.h"

struct unit {
    struct span suffix;
    int64_t factor;
};

static const struct unit size_units[] = {
    {SPAN("KiB"), 1024}, {SPAN("MiB"), 1024 * 1024}, {SPAN("GiB"), 1024 * 1024 * 1024}};
static const struct unit time_units[] = {
    {SPAN("ms"), 1}, {SPAN("s"), 1000}, {SPAN("m"), 60 * 1000}, {SPAN("h"), 60 * 60 * 1000}};

static const struct unit *find_unit(const struct unit *units, size_t count, struct span suffix)
{
    for (size_t i = 0; i != count; ++i)
        if (span_equals(units[i].suffix, suffix))
            return &units[i];
    return NULL;
}

/* Splits "25MiB" into digits and what follows. */
static struct span split_digits(struct span text, struct span *suffix)
{
    size_t digits = 0;
    while (digits != text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
        ++digits;
    *suffix = span_from_offset(text, digits);
    return span_make(text.at, digits);
}

static bool scale(struct span digits, int64_t factor, int64_t *out)
{
    uint64_t number;
    int64_t scaled;
    if (!span_parse_u64(digits, &number) || __builtin_mul_overflow(number, factor, &scaled))
        return false;
    *out = scaled;
    return true;
}

bool value_parse_count(struct span text, struct arena *arena, int64_t *out, struct span *fault)
{
    if (scale(text, 1, out))
        return true;
    *fault = arena_printf(arena, "a whole number is expected, this is \"%.*s\"", SPAN_ARG(text));
    return false;
}

bool value_parse_size(struct span text, struct arena *arena, int64_t *out, struct span *fault)
{
    struct span suffix, digits = split_digits(text, &suffix);
    if (digits.len != 0 && suffix.len == 0 && scale(digits, 1, out))
        return true;
    const struct unit *unit =
        find_unit(size_units, sizeof(size_units) / sizeof(size_units[0]), suffix);
    if (unit != NULL && scale(digits, unit->factor, out))
        return true;
    suffix = span_trim(suffix);
    char letter = suffix.len == 0 ? '\0' : (char)(suffix.at[0] & ~0x20);
    if (digits.len != 0 && (letter == 'K' || letter == 'M' || letter == 'G'))
        *fault = arena_printf(arena, "\"%.*s\" is no size: write %.*s%ciB", SPAN_ARG(text),
                              SPAN_ARG(digits), letter);
    else
        *fault = arena_printf(arena,
                              "a size is expected (64KiB, 25MiB, 1GiB or bytes), this is \"%.*s\"",
                              SPAN_ARG(text));
    return false;
}

bool value_parse_time(struct span text, struct arena *arena, int64_t *out, struct span *fault)
{
    struct span suffix, digits = split_digits(text, &suffix);
    const struct unit *unit =
        find_unit(time_units, sizeof(time_units) / sizeof(time_units[0]), suffix);
    if (unit != NULL && scale(digits, unit->factor, out))
        return true;
    if (digits.len != 0 && suffix.len == 0)
        *fault =
            arena_printf(arena, "%.*s of what? Write %.*sms, %.*ss, %.*sm or %.*sh", SPAN_ARG(text),
                         SPAN_ARG(text), SPAN_ARG(text), SPAN_ARG(text), SPAN_ARG(text));
    else
        *fault = arena_printf(arena,
                              "a time is expected (a whole number with ms, s, m or h), this is "
                              "\"%.*s\"",
                              SPAN_ARG(text));
    return false;
}

bool value_parse_bool(struct span text, struct arena *arena, bool *out, struct span *fault)
{
    bool is_true = span_equals(text, SPAN("true"));
    if (is_true || span_equals(text, SPAN("false"))) {
        *out = is_true;
        return true;
    }
    *fault = arena_printf(arena, "true or false is expected, this is \"%.*s\"", SPAN_ARG(text));
    return false;
}

bool value_parse_mode(struct span text, struct arena *arena, unsigned *out, struct span *fault)
{
    unsigned mode = 0;
    bool valid = text.len == 4 && text.at[0] == '0';
    for (size_t i = 0; valid && i != text.len; ++i) {
        valid = text.at[i] >= '0' && text.at[i] <= '7';
        mode = mode * 8 + (unsigned)(text.at[i] - '0');
    }
    if (!valid) {
        *fault = arena_printf(
            arena, "four octal digits are expected, as \"0660\"; this is \"%.*s\"", SPAN_ARG(text));
        return false;
    }
    *out = mode;
    return true;
}

bool value_parse_text(struct span text, struct arena *arena, struct span *out, struct span *fault)
{
    size_t at;
    if (env_unescape(text, arena, out, &at))
        return true;
    *fault = span_starts_with(span_from_offset(text, at), SPAN("${"))
                 ? SPAN("only ${env.NAME} is replaced here; templates are for endpoint and "
                        "parameters, and $$ is a dollar")
                 : SPAN("a lone dollar: write $$ for a dollar");
    return false;
}

static bool parse_unix_address(struct span text, struct arena *arena, struct config_address *out,
                               struct span *fault)
{
    struct span path = span_from_offset(text, 5);
    size_t path_max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    if (path.len < 2 || path.at[0] != '/' || path.at[path.len - 1] == '/') {
        *fault = arena_printf(arena,
                              "\"%.*s\": write unix: and an absolute path, unix:/run/sagegate.sock",
                              SPAN_ARG(text));
        return false;
    }
    if (path.len > path_max) {
        *fault =
            arena_printf(arena, "the path of a Unix socket has at most %zu bytes, this one %zu",
                         path_max, path.len);
        return false;
    }
    *out = (struct config_address){.text = arena_copy(arena, text),
                                   .unix_path = arena_copy(arena, path),
                                   .unix_mode = 0600,
                                   .loopback = true};
    return true;
}

/* Numeric host, without brackets; *loopback as config.h says. */
static bool is_numeric_host(struct span host, bool v6, bool *loopback)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4_address;
    struct in6_addr v6_address;
    if (host.len >= sizeof(text))
        return false;
    memcpy(text, host.at, host.len);
    text[host.len] = '\0';
    if (v6) {
        *loopback =
            inet_pton(AF_INET6, text, &v6_address) == 1 && IN6_IS_ADDR_LOOPBACK(&v6_address);
        return inet_pton(AF_INET6, text, &v6_address) == 1;
    }
    *loopback = inet_pton(AF_INET, text, &v4_address) == 1 && ntohl(v4_address.s_addr) >> 24 == 127;
    return inet_pton(AF_INET, text, &v4_address) == 1;
}

/* What a person meant by an address that is none. */
static struct span describe_address(struct span text, struct span host, struct span port,
                                    struct arena *arena)
{
    uint64_t number;
    if (span_parse_u64(text, &number))
        return arena_printf(
            arena, "a port alone: write 127.0.0.1:%.*s, or 0.0.0.0:%.*s for every interface",
            SPAN_ARG(text), SPAN_ARG(text));
    if (span_equals_ignore_case(host, SPAN("localhost")))
        return arena_printf(arena, "names are not looked up: write 127.0.0.1:%.*s or [::1]:%.*s",
                            SPAN_ARG(port), SPAN_ARG(port));
    if (host.len == 0 || span_equals(host, SPAN("*")))
        return arena_printf(arena,
                            "\"%.*s\" names no address: write 127.0.0.1:%.*s, or 0.0.0.0:%.*s for "
                            "every interface",
                            SPAN_ARG(text), SPAN_ARG(port), SPAN_ARG(port));
    if (text.len != 0 && text.at[0] == '/')
        return arena_printf(arena, "a Unix socket is written unix:%.*s", SPAN_ARG(text));
    if (span_find(host, ':') != host.len)
        return arena_printf(arena, "an IPv6 address needs brackets: write [%.*s]:%.*s",
                            SPAN_ARG(host), SPAN_ARG(port));
    return arena_printf(arena,
                        "\"%.*s\" is no numeric address with port, such as 127.0.0.1:8080, "
                        "[::1]:8080 or unix:/run/sagegate.sock",
                        SPAN_ARG(text));
}

bool value_parse_address(struct span text, struct arena *arena, struct config_address *out,
                         struct span *fault)
{
    if (span_starts_with(text, SPAN("unix:")))
        return parse_unix_address(text, arena, out, fault);
    size_t colon = text.len;
    for (size_t i = 0; i != text.len; ++i)
        if (text.at[i] == ':')
            colon = i;
    struct span host = span_make(text.at, colon);
    struct span port =
        colon == text.len ? span_make(text.at, 0) : span_from_offset(text, colon + 1);
    bool v6 = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']', loopback = false;
    struct span bare = v6 ? span_make(host.at + 1, host.len - 2) : host;
    uint64_t number;
    if (!is_numeric_host(bare, v6, &loopback) || (colon != text.len && port.len == 0)) {
        *fault = describe_address(text, host, port, arena);
        return false;
    }
    if (colon == text.len) {
        *fault = arena_printf(arena, "the port is missing: write %.*s:8080", SPAN_ARG(text));
        return false;
    }
    if (!span_parse_u64(port, &number) || number > 65535) {
        *fault = arena_printf(arena, "\"%.*s\" is no port: 1 to 65535, or 0 for one that is free",
                              SPAN_ARG(port));
        return false;
    }
    *out = (struct config_address){.text = arena_copy(arena, text),
                                   .host = arena_copy(arena, bare),
                                   .port = (uint16_t)number,
                                   .unix_mode = 0600,
                                   .loopback = loopback};
    return true;
}

static struct span print_unit(int64_t number, const struct unit *units, size_t count,
                              const char *plain, struct arena *arena)
{
    while (count != 0 && (number == 0 || number % units[count - 1].factor != 0))
        --count;
    if (count == 0)
        return arena_printf(arena, "%" PRId64 "%s", number, plain);
    return arena_printf(arena, "%" PRId64 "%.*s", number / units[count - 1].factor,
                        SPAN_ARG(units[count - 1].suffix));
}

struct span value_print_time(int64_t ms, struct arena *arena)
{
    return print_unit(ms, time_units, sizeof(time_units) / sizeof(time_units[0]), "ms", arena);
}

struct span value_print_size(int64_t bytes, struct arena *arena)
{
    return print_unit(bytes, size_units, sizeof(size_units) / sizeof(size_units[0]), "", arena);
}

/* ---- peers ---- */

/* IPv4 as ::ffff:a.b.c.d. *bits is what a prefix may have at most, *base what it has beyond the text's. */
static bool parse_ip(struct span host, unsigned char out[16], unsigned *bits, unsigned *base)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[INET6_ADDRSTRLEN];
    if (host.len >= sizeof(text))
        return false;
    memcpy(text, host.at, host.len);
    text[host.len] = '\0';
    memcpy(out, mapped, sizeof(mapped));
    *bits = 32;
    *base = 96;
    if (inet_pton(AF_INET, text, out + 12) == 1)
        return true;
    *bits = 128;
    *base = 0;
    return inet_pton(AF_INET6, text, out) == 1;
}

static bool parse_network(struct span text, struct config_peer *out)
{
    struct span host, prefix;
    unsigned bits, base;
    uint64_t number;
    bool has_prefix = span_split(text, '/', &host, &prefix);
    if (!parse_ip(host, out->address, &bits, &base))
        return false;
    number = bits;
    if (has_prefix && (!span_parse_u64(prefix, &number) || number > bits))
        return false;
    out->kind = CONFIG_PEER_NETWORK;
    out->prefix_bits = base + (unsigned)number;
    return true;
}

bool value_parse_peer(struct span text, struct arena *arena, struct config_peer *out,
                      struct span *fault)
{
    struct config_peer peer = {.text = text, .kind = CONFIG_PEER_ANY};
    uint64_t uid = UINT64_MAX;
    bool ok = span_equals(text, SPAN("*"));
    if (!ok && span_starts_with(text, SPAN("uid:"))) {
        ok = span_parse_u64(span_from_offset(text, 4), &uid) && uid < UINT32_MAX;
        peer.kind = CONFIG_PEER_USER;
        peer.uid = (uint32_t)uid;
    } else if (!ok) {
        ok = parse_network(text, &peer);
    }
    if (ok)
        *out = peer;
    else
        *fault = arena_printf(
            arena, "\"%.*s\": write an address or network (10.0.0.0/8, ::1), uid:1000 or *",
            SPAN_ARG(text));
    return ok;
}

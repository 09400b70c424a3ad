/* Converts scalars between configuration text and value, by the row of the setting. */
#include "config/value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <sys/un.h>

#include "base/host.h"
#include "base/json_writer.h"
#include "config/suggest.h"

/* ---- numbers ---- */

struct unit {
    struct span suffix;
    int64_t factor;
};

/* The largest ones last; ends without a suffix. */
static const struct unit size_units[] = {{SPAN("KiB"), 1024},
                                         {SPAN("MiB"), 1024 * 1024},
                                         {SPAN("GiB"), 1024 * 1024 * 1024},
                                         {{NULL, 0}, 0}};
static const struct unit time_units[] = {{SPAN("ms"), 1},
                                         {SPAN("s"), 1000},
                                         {SPAN("m"), 60 * 1000},
                                         {SPAN("h"), 60 * 60 * 1000},
                                         {{NULL, 0}, 0}};

/* Splits "25MiB" into digits and what follows. */
static struct span split_digits(struct span text, struct span *suffix)
{
    size_t digits = 0;
    while (digits != text.len && ascii_is_digit(text.at[digits]))
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

static bool parse_unit(struct span digits, struct span suffix, const struct unit *units,
                       int64_t *out)
{
    while (units->suffix.at != NULL && !span_equals(units->suffix, suffix))
        ++units;
    return units->suffix.at != NULL && scale(digits, units->factor, out);
}

/* `plain`: the suffix of a number that is no multiple of a unit. */
static struct span print_unit(int64_t number, const struct unit *units, const char *plain,
                              struct arena *arena)
{
    const struct unit *best = NULL;
    for (; units->suffix.at != NULL; ++units)
        if (number != 0 && number % units->factor == 0)
            best = units;
    if (best == NULL)
        return arena_printf(arena, "%" PRId64 "%s", number, plain);
    return arena_printf(arena, "%" PRId64 "%.*s", number / best->factor, SPAN_ARG(best->suffix));
}

static bool parse_count(struct span text, struct arena *arena, int64_t *out, struct span *fault)
{
    return scale(text, 1, out) ||
           arena_fault(arena, fault, "must be a whole number, not \"%.*s\"", SPAN_ARG(text));
}

bool value_parse_size(struct span text, struct arena *arena, int64_t *out, struct span *fault)
{
    struct span suffix, digits = split_digits(text, &suffix);
    if ((suffix.len == 0 && scale(digits, 1, out)) || parse_unit(digits, suffix, size_units, out))
        return true;
    suffix = span_trim(suffix);
    char letter = suffix.len == 0 ? '\0' : (char)(suffix.at[0] & ~0x20);
    if (digits.len != 0 && (letter == 'K' || letter == 'M' || letter == 'G'))
        return arena_fault(arena, fault, "invalid size \"%.*s\": write %.*s%ciB", SPAN_ARG(text),
                           SPAN_ARG(digits), letter);
    return arena_fault(arena, fault, "must be a size (64KiB, 25MiB, 1GiB or bytes), not \"%.*s\"",
                       SPAN_ARG(text));
}

struct span value_print_size(int64_t bytes, struct arena *arena)
{
    return print_unit(bytes, size_units, "", arena);
}

bool value_parse_time(struct span text, struct arena *arena, int64_t *out, struct span *fault)
{
    struct span suffix, digits = split_digits(text, &suffix);
    if (parse_unit(digits, suffix, time_units, out))
        return true;
    if (digits.len != 0 && suffix.len == 0)
        return arena_fault(
            arena, fault, "missing unit in %.*s: write %.*sms, %.*ss, %.*sm or %.*sh",
            SPAN_ARG(text), SPAN_ARG(text), SPAN_ARG(text), SPAN_ARG(text), SPAN_ARG(text));
    return arena_fault(arena, fault,
                       "must be a time (a whole number with ms, s, m or h), not \"%.*s\"",
                       SPAN_ARG(text));
}

struct span value_print_time(int64_t ms, struct arena *arena)
{
    return print_unit(ms, time_units, "ms", arena);
}

static bool parse_bool(struct span text, struct arena *arena, int64_t *out, struct span *fault)
{
    bool is_true = span_equals(text, SPAN("true"));
    if (!is_true && !span_equals(text, SPAN("false")))
        return arena_fault(arena, fault, "must be true or false, not \"%.*s\"", SPAN_ARG(text));
    *out = is_true;
    return true;
}

static bool parse_mode(struct span text, struct arena *arena, int64_t *out, struct span *fault)
{
    int64_t mode = 0;
    bool valid = text.len == 4 && text.at[0] == '0';
    for (size_t i = 0; valid && i != text.len; ++i) {
        valid = text.at[i] >= '0' && text.at[i] <= '7';
        mode = mode * 8 + (text.at[i] - '0');
    }
    if (!valid)
        return arena_fault(arena, fault, "must be four octal digits such as \"0660\", not \"%.*s\"",
                           SPAN_ARG(text));
    *out = mode;
    return true;
}

struct span value_range(const struct setting *setting, struct arena *arena)
{
    bool ranged = setting->type == SETTING_TYPE_TIME || setting->type == SETTING_TYPE_SIZE ||
                  setting->type == SETTING_TYPE_COUNT;
    if (!ranged)
        return SPAN("");
    struct span min = value_print(setting, &(union value){.number = setting->min}, arena);
    struct span max = value_print(setting, &(union value){.number = setting->max}, arena);
    return arena_printf(arena, "%.*s to %.*s", SPAN_ARG(min), SPAN_ARG(max));
}

static bool check_range(const struct setting *setting, struct span text, int64_t number,
                        struct arena *arena, struct span *fault)
{
    if (number >= setting->min && number <= setting->max)
        return true;
    struct span range = value_range(setting, arena);
    return arena_fault(arena, fault, "%.*s is out of range; must be %.*s", SPAN_ARG(text),
                       SPAN_ARG(range));
}

/* ---- addresses ---- */

static bool parse_unix_address(struct span text, struct arena *arena, struct config_address *out,
                               struct span *fault)
{
    struct span path = span_from_offset(text, 5);
    size_t path_max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    if (path.len < 2 || path.at[0] != '/' || path.at[path.len - 1] == '/')
        return arena_fault(
            arena, fault,
            "\"%.*s\": must be unix: and an absolute path, such as unix:/run/sagegate.sock",
            SPAN_ARG(text));
    if (path.len > path_max)
        return arena_fault(arena, fault,
                           "the path of a Unix socket must be at most %zu bytes long, not %zu",
                           path_max, path.len);
    *out = (struct config_address){.text = arena_copy(arena, text),
                                   .unix_path = arena_copy(arena, path),
                                   .unix_mode = 0600,
                                   .loopback = true};
    return true;
}

/* IPv4 as ::ffff:a.b.c.d, as which it has `base` bits before its own `bits`. */
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

/* A numeric host: IPv6 in brackets, which *bare lacks. */
static bool parse_numeric_host(struct span host, struct span *bare, bool *loopback)
{
    static const unsigned char v6_loopback[16] = {[15] = 1};
    unsigned char address[16];
    unsigned bits, base;
    bool v6 = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    *bare = v6 ? span_make(host.at + 1, host.len - 2) : host;
    if (!parse_ip(*bare, address, &bits, &base) || v6 != (base == 0))
        return false;
    *loopback = v6 ? memcmp(address, v6_loopback, sizeof(address)) == 0 : address[12] == 127;
    return true;
}

/* Explains an invalid address. */
static struct span describe_address(struct span text, struct span host, struct span port,
                                    struct arena *arena)
{
    uint64_t number;
    if (span_parse_u64(text, &number))
        return arena_printf(
            arena, "missing address: write 127.0.0.1:%.*s, or 0.0.0.0:%.*s for every interface",
            SPAN_ARG(text), SPAN_ARG(text));
    if (span_equals_ignore_case(host, SPAN("localhost")))
        return arena_printf(arena, "must be a numeric address: write 127.0.0.1:%.*s or [::1]:%.*s",
                            SPAN_ARG(port), SPAN_ARG(port));
    if (host.len == 0 || span_equals(host, SPAN("*")))
        return arena_printf(arena,
                            "missing address in \"%.*s\": write 127.0.0.1:%.*s, or 0.0.0.0:%.*s "
                            "for every interface",
                            SPAN_ARG(text), SPAN_ARG(port), SPAN_ARG(port));
    if (text.len != 0 && text.at[0] == '/')
        return arena_printf(arena, "for a Unix socket write unix:%.*s", SPAN_ARG(text));
    if (span_find(host, ':') != host.len)
        return arena_printf(arena, "missing brackets around the IPv6 address: write [%.*s]:%.*s",
                            SPAN_ARG(host), SPAN_ARG(port));
    return arena_printf(arena,
                        "\"%.*s\" is not a numeric address with port, such as 127.0.0.1:8080, "
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
    struct span bare, host = span_make(text.at, colon);
    struct span port =
        colon == text.len ? span_make(text.at, 0) : span_from_offset(text, colon + 1);
    bool loopback;
    uint16_t number;
    if (!parse_numeric_host(host, &bare, &loopback) || (colon != text.len && port.len == 0)) {
        *fault = describe_address(text, host, port, arena);
        return false;
    }
    if (colon == text.len)
        return arena_fault(arena, fault, "missing port: write %.*s:8080", SPAN_ARG(text));
    if (!host_parse_port(port, &number))
        return arena_fault(arena, fault,
                           "invalid port \"%.*s\": must be 1 to 65535, or 0 for any free port",
                           SPAN_ARG(port));
    *out = (struct config_address){.text = arena_copy(arena, text),
                                   .host = arena_copy(arena, bare),
                                   .port = number,
                                   .unix_mode = 0600,
                                   .loopback = loopback};
    return true;
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
    if (!ok)
        return arena_fault(
            arena, fault,
            "\"%.*s\": must be an address or network (10.0.0.0/8, ::1), uid:1000 or *",
            SPAN_ARG(text));
    *out = peer;
    return true;
}

/* ---- words and texts ---- */

static bool parse_word(const struct setting *setting, struct span text, struct arena *arena,
                       int64_t *out, struct span *fault)
{
    struct span words[SETTING_KEYS_MAX];
    for (const struct config_word *row = setting->words; row->word.at != NULL; ++row)
        if (span_equals(row->word, text)) {
            *out = row->value;
            return true;
        }
    return suggest_fault("word", text, words, setting_words(setting, words), arena, fault);
}

bool value_parse_text(struct span text, struct arena *arena, struct span *out, struct span *fault)
{
    size_t at;
    if (template_unescape(text, arena, out, &at))
        return true;
    *fault = span_starts_with(span_from_offset(text, at), SPAN("${"))
                 ? SPAN("only ${env.NAME} is supported here, because templates apply to endpoint "
                        "and parameters; write $$ for a dollar")
                 : SPAN("unescaped $: write $$ for a dollar");
    return false;
}

static bool check_length(const struct setting *setting, struct span text, struct arena *arena,
                         struct span *fault)
{
    if (text.len < (size_t)setting->min)
        return arena_fault(arena, fault, "must not be empty; set a value or remove the key");
    if (text.len > (size_t)setting->max)
        return arena_fault(arena, fault, "at most %" PRId64 " bytes are allowed, not %zu",
                           setting->max, text.len);
    return true;
}

static bool parse_template(const struct setting *setting, struct span text, struct arena *arena,
                           union value *out, struct span *fault)
{
    struct template *template = arena_zalloc(arena, 1, sizeof(*template));
    if (!template_compile(text, arena, template, fault) ||
        !check_length(setting, text, arena, fault))
        return false;
    out->template = template;
    return true;
}

bool value_parse_name(struct span text, struct arena *arena, struct span *fault)
{
    return (span_is_name(text) && text.len <= VALUE_NAME_MAX) ||
           arena_fault(arena, fault,
                       "a name must be 1 to %d letters, digits, dots, hyphens and underscores",
                       VALUE_NAME_MAX);
}

bool value_parse_parameter(struct span text, struct arena *arena, enum sagemaker_parameter *out,
                           struct span *fault)
{
    struct span names[SAGEMAKER_PARAMETERS];
    if (sagemaker_parameter_by_name(text, out))
        return true;
    for (unsigned i = 0; i != SAGEMAKER_PARAMETERS; ++i)
        names[i] = sagemaker_parameter_info((enum sagemaker_parameter)i)->name;
    return suggest_fault("parameter", text, names, SAGEMAKER_PARAMETERS, arena, fault);
}

/* Texts with a form of their own. */
static bool parse_form(const struct setting *setting, struct span text, struct arena *arena,
                       union value *out, struct span *fault)
{
    enum sagemaker_parameter parameter;
    switch (setting->type) {
    case SETTING_TYPE_NAME:
        if (!value_parse_name(text, arena, fault))
            return false;
        break;
    case SETTING_TYPE_REGION:
        if (!endpoint_region_is_valid(text))
            return arena_fault(arena, fault,
                               "\"%.*s\" is not a valid region; write one such as us-east-1",
                               SPAN_ARG(text));
        break;
    case SETTING_TYPE_HOST:
        if (!host_is_valid(text))
            return arena_fault(arena, fault,
                               "\"%.*s\" is not a host name; write it without scheme and port",
                               SPAN_ARG(text));
        break;
    case SETTING_TYPE_PATTERN:
        text = arena_lower(arena, text);
        break;
    case SETTING_TYPE_PEER:
        return value_parse_peer(text, arena, &out->peer, fault);
    case SETTING_TYPE_PARAMETER:
        if (!value_parse_parameter(text, arena, &parameter, fault))
            return false;
        out->number = parameter;
        return true;
    default:
        break;
    }
    out->text = text;
    return true;
}

bool value_parse(const struct setting *setting, struct span text, struct arena *arena,
                 union value *out, struct span *fault)
{
    struct span literal;
    switch (setting->type) {
    case SETTING_TYPE_COUNT:
        return parse_count(text, arena, &out->number, fault) &&
               check_range(setting, text, out->number, arena, fault);
    case SETTING_TYPE_SIZE:
        return value_parse_size(text, arena, &out->number, fault) &&
               check_range(setting, text, out->number, arena, fault);
    case SETTING_TYPE_TIME:
        return value_parse_time(text, arena, &out->number, fault) &&
               check_range(setting, text, out->number, arena, fault);
    case SETTING_TYPE_BOOL:
        return parse_bool(text, arena, &out->number, fault);
    case SETTING_TYPE_MODE:
        return parse_mode(text, arena, &out->number, fault);
    case SETTING_TYPE_WORD:
        return parse_word(setting, text, arena, &out->number, fault);
    case SETTING_TYPE_TEMPLATE:
        return parse_template(setting, text, arena, out, fault);
    case SETTING_TYPE_ADDRESS:
        return value_parse_text(text, arena, &literal, fault) &&
               value_parse_address(literal, arena, &out->address, fault);
    default:
        return value_parse_text(text, arena, &literal, fault) &&
               check_length(setting, literal, arena, fault) &&
               parse_form(setting, literal, arena, out, fault);
    }
}

/* ---- printing ---- */

/* A text in double quotes; `literal`: its dollars are written $$, as templates already have
 * them. */
static struct span quote(struct span text, bool literal, struct arena *arena)
{
    struct buffer quoted;
    buffer_init(&quoted, text.len * 12 + 2);
    buffer_append_char(&quoted, '"');
    for (struct span rest = text; rest.len != 0;) {
        size_t dollar = literal ? span_find(rest, '$') : rest.len;
        json_writer_append_escaped(&quoted, span_make(rest.at, dollar));
        if (dollar != rest.len) {
            buffer_append(&quoted, SPAN("$$"));
            ++dollar;
        }
        rest = span_from_offset(rest, dollar);
    }
    buffer_append_char(&quoted, '"');
    struct span result = arena_copy(arena, buffer_span(&quoted));
    buffer_dispose(&quoted);
    return result;
}

struct span value_quote(struct span text, struct arena *arena)
{
    return quote(text, true, arena);
}

struct span value_print(const struct setting *setting, const union value *value,
                        struct arena *arena)
{
    switch (setting->type) {
    case SETTING_TYPE_COUNT:
        return arena_printf(arena, "%" PRId64, value->number);
    case SETTING_TYPE_SIZE:
        return value_print_size(value->number, arena);
    case SETTING_TYPE_TIME:
        return value_print_time(value->number, arena);
    case SETTING_TYPE_BOOL:
        return value->number != 0 ? SPAN("true") : SPAN("false");
    case SETTING_TYPE_MODE:
        return arena_printf(arena, "\"%04o\"", (unsigned)value->number);
    case SETTING_TYPE_WORD:
        return config_word_of(setting->words, (int)value->number);
    case SETTING_TYPE_TEMPLATE:
        return quote(value->template->text, false, arena);
    case SETTING_TYPE_ADDRESS:
        return value_quote(value->address.text, arena);
    case SETTING_TYPE_PEER:
        return value_quote(value->peer.text, arena);
    case SETTING_TYPE_PARAMETER:
        return value_quote(sagemaker_parameter_info((enum sagemaker_parameter)value->number)->name,
                           arena);
    default:
        return value_quote(value->text, arena);
    }
}

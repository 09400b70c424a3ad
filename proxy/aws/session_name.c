/* Makes any text valid as a RoleSessionName. */
#include "aws/session_name.h"

static bool is_valid(char c)
{
    return ascii_is_alnum(c) || memchr("+=,.@-_", c, 7) != NULL;
}

struct span session_name_fit(struct span name, struct arena *arena)
{
    if (name.len < SESSION_NAME_MIN)
        return SPAN("sagegate");
    char *at = arena_alloc(arena, SESSION_NAME_MAX + 1);
    size_t len = name.len < SESSION_NAME_MAX ? name.len : SESSION_NAME_MAX;
    for (size_t i = 0; i != len; ++i)
        at[i] = is_valid(name.at[i]) ? name.at[i] : '-';
    at[len] = '\0';
    return span_make(at, len);
}

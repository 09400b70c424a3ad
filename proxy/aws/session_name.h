/* The name of a role's session, as AWS STS takes it. Pure.
 *
 * Source: AWS STS API Reference, AssumeRole, RoleSessionName: 2 to 64 of letters, digits and
 * "_+=,.@-". */
#ifndef SAGEGATE_AWS_SESSION_NAME_H
#define SAGEGATE_AWS_SESSION_NAME_H

#include "base/arena.h"

enum { SESSION_NAME_MIN = 2, SESSION_NAME_MAX = 64 };

/* What a session's name and a role's may hold. */
bool session_name_is_character(char c);
/* The name in arena, cut to 64 with '-' for each byte that may not stand in it; too short a one is
 * "sagegate". */
struct span session_name_fit(struct span name, struct arena *arena);

#endif

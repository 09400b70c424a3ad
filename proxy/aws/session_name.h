/* The names of roles' sessions. Pure.
 *
 * Source: AWS STS API Reference, AssumeRole, RoleSessionName: 2 to 64 letters, digits and
 * "_+=,.@-". */
#ifndef SAGEGATE_AWS_SESSION_NAME_H
#define SAGEGATE_AWS_SESSION_NAME_H

#include "base/arena.h"

enum { SESSION_NAME_MIN = 2, SESSION_NAME_MAX = 64 };

/* Returns the name in arena, truncated to 64 bytes, with '-' for each invalid byte; "sagegate" if
 * it is too short. */
struct span session_name_fit(struct span name, struct arena *arena);

#endif

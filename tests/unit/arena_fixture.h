/* Set-up and tear-down for tests whose state is an arena. */
#ifndef SAGEGATE_TESTS_ARENA_FIXTURE_H
#define SAGEGATE_TESTS_ARENA_FIXTURE_H

#include "base/arena.h"

static int with_arena(void **state)
{
    static struct arena arena;
    arena_init(&arena, 4096);
    *state = &arena;
    return 0;
}

static int without_arena(void **state)
{
    arena_dispose(*state);
    return 0;
}

#endif

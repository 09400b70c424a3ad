/* A command line split into words as a shell's quoting has it, for credential_process; no shell is
 * ever asked, so nothing is expanded. Pure.
 *
 * Words are divided by blanks and newlines. '...' is literal; in "..." a backslash escapes '"' and
 * itself; outside of quotes it escapes any byte. The same as Python's shlex.split. */
#ifndef SAGEGATE_CREDENTIALS_COMMAND_LINE_H
#define SAGEGATE_CREDENTIALS_COMMAND_LINE_H

#include "base/arena.h"
#include "base/check.h"

enum { COMMAND_LINE_WORDS_MAX = 64 };

/* argv, in arena, ends in NULL and has at least one word, none of which holds a NUL. False, with
 * *fault a literal, where unclosed quote, a backslash at the end, or there is no word or
 * more than COMMAND_LINE_WORDS_MAX. */
MUST_USE bool command_line_split(struct span text, struct arena *arena, char ***argv,
                                 struct span *fault);

#endif

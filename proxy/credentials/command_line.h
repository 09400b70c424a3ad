/* Splits a command line into words, for credential_process. Does no I/O, and expands nothing.
 *
 * Quoting is Python's shlex.split: blanks and newlines separate words; '...' is literal; in "..." a
 * backslash escapes '"' and itself; outside quotes it escapes any byte. */
#ifndef SAGEGATE_CREDENTIALS_COMMAND_LINE_H
#define SAGEGATE_CREDENTIALS_COMMAND_LINE_H

#include "base/arena.h"
#include "base/check.h"

enum { COMMAND_LINE_WORDS_MAX = 64 };

/* *argv, in arena, has at least one word and ends in NULL. Returns false and sets *fault, a
 * literal, for an unclosed quote, a backslash at the end, a NUL byte, no word, or more than
 * COMMAND_LINE_WORDS_MAX. */
MUST_USE bool command_line_split(struct span text, struct arena *arena, char ***argv,
                                 struct span *fault);

#endif

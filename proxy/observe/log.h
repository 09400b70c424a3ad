/* Diagnostics: JSON lines on stderr,
 *
 * {"time":"...","level":"warning","topic":"upstream","message":"..."}
 *
 * For events that concern an operator, not for each request (see the access log). From any thread.
 * Each line is one write(2), which never waits for the reader of stderr. Writes at most 10 lines
 * per second of one topic and format; the next line of that kind, or an additional line, has the
 * number of lines suppressed in "held_back". */
#ifndef SAGEGATE_OBSERVE_LOG_H
#define SAGEGATE_OBSERVE_LOG_H

#include "base/problem.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Sets the minimum level logged, LOG_INFO by default. Call before any thread starts. */
void log_set_level(enum log_level level);

/* Writes one line. topic: one word ("start", "config", "drain", "upstream", "credentials",
 * "listener", "tls"); topic and format must be literals. Cuts the message at 1,000 bytes. Must not
 * contain secrets. Preserves errno. */
void log_write(enum log_level level, const char *topic, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes a configuration's problems, one line each, with "file", "line" and "column" if known.
 * Neither the level nor the rate limit suppresses any. */
void log_write_problems(const char *topic, const struct problem_list *problems);

/* Reports lines that were suppressed more than a second ago and that no later line has reported.
 * The main thread calls it about once per second, and main() at exit. */
void log_tell_held_back(void);

#endif

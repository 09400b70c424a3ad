/* Diagnostics: JSON lines on stderr, {"time":"...","level":"warning","topic":"upstream",
 * "message":"..."}.
 *
 * For what an operator should know, not for each request (that is the access log). Safe from any
 * thread. One write(2) a line, never waiting for stderr's reader. A burst of one topic and format
 * is held to 10 lines a second; how many were held back is told by a "held_back" in the next line
 * of that kind, or in a line of its own. */
#ifndef SAGEGATE_OBSERVE_LOG_H
#define SAGEGATE_OBSERVE_LOG_H

#include "base/problem.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Before any thread starts; LOG_INFO until then. */
void log_set_level(enum log_level level);

/* topic: one word ("start", "config", "drain", "upstream", "credentials", "listener", "tls"); topic and
 * format must be literals. The message is cut at 1,000 bytes. Never a secret. errno is kept. */
void log_write(enum log_level level, const char *topic, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The problems of a configuration, a line each, with "file", "line" and "column" where they have them;
 * however many they are, none is held back, whatever the level. */
void log_write_problems(const char *topic, const struct problem_list *problems);

/* Tells what was held back more than a second ago and has had no next line. The main thread calls
 * it about once a second, and main() at the end. */
void log_tell_held_back(void);

#endif

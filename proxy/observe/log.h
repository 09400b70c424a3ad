/* Diagnostics: JSON lines on stderr, {"time":"...","level":"warning","topic":"upstream",
 * "message":"..."}.
 *
 * For what an operator should know, not for each request (that is the access log). From any thread.
 * One write(2) a line, which never waits for stderr's reader. At most 10 lines a second of one topic
 * and format are written; the next line of that kind, or a line of its own, has the number of the
 * others in "held_back". */
#ifndef SAGEGATE_OBSERVE_LOG_H
#define SAGEGATE_OBSERVE_LOG_H

#include "base/problem.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Before any thread starts; LOG_INFO until then. */
void log_set_level(enum log_level level);

/* Writes one line. topic: one word ("start", "config", "drain", "upstream", "credentials", "listener", "tls"); topic and
 * format must be literals. The message is cut at 1,000 bytes. Pass no secret. Keeps errno. */
void log_write(enum log_level level, const char *topic, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes a configuration's problems, a line each, with "file", "line" and "column" if known. Neither
 * the level nor a burst holds any back. */
void log_write_problems(const char *topic, const struct problem_list *problems);

/* Reports lines held back more than a second ago that no next line has reported. The main thread
 * calls it about once a second, and main() at the end. */
void log_tell_held_back(void);

#endif

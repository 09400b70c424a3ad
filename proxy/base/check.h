/* CHECK: an assertion that stays enabled in release builds, for programming errors only.
 *
 * Operating errors (a bad request, a dead peer, a full table) are values and never asserted. */
#ifndef SAGEGATE_BASE_CHECK_H
#define SAGEGATE_BASE_CHECK_H

/* Writes "FILE:LINE: check failed: EXPR" to stderr and aborts. */
_Noreturn void check_fail(const char *file, int line, const char *expr);

#define CHECK(expr) ((expr) ? (void)0 : check_fail(__FILE__, __LINE__, #expr))

/* The caller must use the result. */
#define MUST_USE __attribute__((warn_unused_result))

#endif

/* Finds out why AWS rejected a signature: compares the canonical request in its error message with
 * the signed one. Pure.
 *
 * Never shows secrets: only the length and the first digits of a hash of CustomAttributes,
 * SessionId and the security token. Source: the messages of InvalidSignatureException and
 * SignatureDoesNotMatch ("The Canonical String for this request should have been '...'"). */
#ifndef SAGEGATE_GATEWAY_SIGNATURE_DIFF_H
#define SAGEGATE_GATEWAY_SIGNATURE_DIFF_H

#include "base/arena.h"
#include "base/check.h"

/* Returns one line that names the cause, in arena. head: of the request as sent, with
 * Authorization. body_sha256: 32 bytes. message: of AWS's error. */
struct span signature_diff(struct span head, const unsigned char *body_sha256, struct span message,
                           struct arena *arena);

#endif

/* Why AWS refused a signature: its canonical request, which it shows in the refusal, against the one that was signed. Pure.
 *
 * What names a secret stays one: of CustomAttributes, SessionId and the token only length and the hash's first digits are
 * told. Source: the texts of InvalidSignatureException and SignatureDoesNotMatch ("The Canonical String for this request
 * should have been '...'"). */
#ifndef SAGEGATE_GATEWAY_SIGNATURE_DIFF_H
#define SAGEGATE_GATEWAY_SIGNATURE_DIFF_H

#include "base/arena.h"
#include "base/check.h"

/* head: the request's head as it was sent, with Authorization; body_sha256: 32 bytes; message: the refusal's. One line for
 * people that names the cause, in arena. */
struct span signature_diff(struct span head, const unsigned char *body_sha256, struct span message,
                           struct arena *arena);

#endif

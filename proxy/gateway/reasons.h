/* Reasons for a state or a refusal, as /ready and /reload list them:
 * {"code":"...","message":"..."}. */
#ifndef SAGEGATE_GATEWAY_REASONS_H
#define SAGEGATE_GATEWAY_REASONS_H

#include "base/json_writer.h"

enum { REASONS_MAX = 32, REASONS_MESSAGE_MAX = 512 };

struct reasons {
    struct json_writer json; /* into an open array */
    unsigned count;
};

/* Adds a reason. code: a short word, a public promise ("no_credentials", "draining"). message: one
 * line without secrets, cut at REASONS_MESSAGE_MAX bytes. No-op after REASONS_MAX reasons, or if
 * reasons is NULL. */
void reasons_add(struct reasons *reasons, struct span code, struct span message);

#endif

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

/* code: a short word of a public promise ("no_credentials", "draining"). message: a line for
 * people, without secrets, cut at REASONS_MESSAGE_MAX bytes. Ignored after REASONS_MAX, or if
 * reasons is NULL: nobody asked. */
void reasons_add(struct reasons *reasons, struct span code, struct span message);

#endif

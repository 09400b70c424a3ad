/* Collects reasons. */
#include "gateway/reasons.h"

void reasons_add(struct reasons *reasons, struct span code, struct span message)
{
    if (reasons == NULL || reasons->count == REASONS_MAX)
        return;
    ++reasons->count;
    if (message.len > REASONS_MESSAGE_MAX)
        message.len = REASONS_MESSAGE_MAX;
    json_writer_open_object(&reasons->json, SPAN_NONE);
    json_writer_add_text(&reasons->json, SPAN("code"), code);
    json_writer_add_text(&reasons->json, SPAN("message"), message);
    json_writer_close_object(&reasons->json);
}

/* A session token, then the request itself. */
#include "credentials/imds.h"

#include "credentials/document.h"

enum { TIMEOUT_MS = 1000 };

static void get_token(struct imds *imds);
static void on_token(struct http_client *client);
static void get_path(struct imds *imds);
static void on_response(struct http_client *client);

void imds_open(struct imds *imds, const struct imds_options *options)
{
    *imds = (struct imds){.options = *options};
}

void imds_get(struct imds *imds, struct span path, struct span subject,
              void (*on_done)(struct imds *imds), void *owner)
{
    imds->path = path;
    imds->subject = subject;
    imds->on_done = on_done;
    imds->owner = owner;
    imds->status = 0;
    imds->fault = SPAN_NONE;
    if (secret_is_empty(&imds->token) && !imds->uses_v1)
        get_token(imds);
    else
        get_path(imds);
}

void imds_dispose(struct imds *imds)
{
    http_client_dispose(&imds->client);
    secret_dispose(&imds->token);
    *imds = (struct imds){0};
}

static void fail(struct imds *imds, struct span what)
{
    imds->fault = arena_printf(imds->options.arena, "imds: %.*s: %.*s",
                               SPAN_ARG(imds->options.url->authority), SPAN_ARG(what));
    imds->on_done(imds);
}

/* No response, or a status other than 200. */
static void fail_request(struct imds *imds, struct span subject, const char *hint)
{
    const struct http_client *client = &imds->client;
    struct arena *arena = imds->options.arena;
    if (client->status == 0) {
        fail(imds,
             arena_printf(arena, "cannot get %.*s: %s%s", SPAN_ARG(subject), client->why, hint));
        return;
    }
    struct span text =
        document_error_text(http_client_response(client), secret_bytes(&imds->token), arena);
    fail(imds, arena_printf(arena, "cannot get %.*s: HTTP status %d%s%.*s", SPAN_ARG(subject),
                            client->status, text.len != 0 ? ": " : "", SPAN_ARG(text)));
}

static void send_request(struct imds *imds, struct http_client_request *request,
                         void (*on_done)(struct http_client *client))
{
    request->url = imds->options.url;
    request->trust = imds->options.trust;
    request->timeout_ms = TIMEOUT_MS;
    http_client_dispose(&imds->client);
    http_client_start(&imds->client, imds->options.loop, request, on_done, imds);
}

/* ---- the session ---- */

static void get_token(struct imds *imds)
{
    struct http_client_request request = {
        .method = SPAN("PUT"),
        .path = SPAN("/latest/api/token"),
        .headers = {{SPAN("x-aws-ec2-metadata-token-ttl-seconds"), SPAN("21600")}},
        .header_count = 1};
    secret_dispose(&imds->token);
    send_request(imds, &request, on_token);
}

static void on_token(struct http_client *client)
{
    struct imds *imds = client->owner;
    struct span token = span_trim(http_client_response(client));
    bool lacks_v2 = client->timed_out || client->status == 403 || client->status == 404 ||
                    client->status == 405;
    imds->uses_v1 = lacks_v2 && imds->options.v1;
    if (imds->uses_v1) {
        get_path(imds);
        return;
    }
    if (client->status != 200) {
        fail_request(imds, SPAN("a session token"),
                     client->timed_out ? "; in a container on an instance, set the instance's "
                                         "metadata hop limit to 2"
                                       : "");
        return;
    }
    if (!http_client_is_header_value(token)) {
        fail(imds, SPAN("the session token is empty or contains control characters"));
        return;
    }
    imds->token = secret_copy(token);
    get_path(imds);
}

/* ---- the request ---- */

static void get_path(struct imds *imds)
{
    struct http_client_request request = {.method = SPAN("GET"), .path = imds->path};
    if (!secret_is_empty(&imds->token))
        request.headers[request.header_count++] = (struct http_client_header){
            SPAN("x-aws-ec2-metadata-token"), secret_bytes(&imds->token)};
    send_request(imds, &request, on_response);
}

static void on_response(struct http_client *client)
{
    struct imds *imds = client->owner;
    imds->status = client->status;
    if (client->status == 401 && !imds->token_renewed) {
        imds->token_renewed = true;
        get_token(imds);
    } else if (client->status != 200) {
        fail_request(imds, imds->subject, "");
    } else {
        imds->on_done(imds);
    }
}

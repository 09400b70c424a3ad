/* HTTP/1 for people: the names of statuses, and why a head was refused. */
#include "net/http1_private.h"

struct span http1_fault_text(enum http1_fault fault)
{
    switch (fault) {
    case HTTP1_OK:
        return SPAN("nothing is wrong");
    case HTTP1_BAD_LINE:
        return SPAN("the first line is malformed, or a line holds a control character or ends in a "
                    "bare LF");
    case HTTP1_BAD_VERSION:
        return SPAN("the version is neither HTTP/1.1 nor HTTP/1.0");
    case HTTP1_BAD_HEADER:
        return SPAN("a header has no name, a blank before its colon, a folded value or too long a "
                    "Connection list");
    case HTTP1_TOO_MANY_HEADERS:
        return SPAN("there are more than 100 headers");
    case HTTP1_BAD_FRAMING:
        return SPAN("Content-Length is malformed, repeated or beside Transfer-Encoding, "
                    "Transfer-Encoding is not exactly chunked, or there is a body where the "
                    "status allows none");
    case HTTP1_BAD_HOST:
        return SPAN("Host is missing, repeated, malformed or other than the target's");
    case HTTP1_BAD_TARGET:
        return SPAN("the target is not a path or http:// URL of RFC 3986's characters");
    }
    return SPAN("unknown fault");
}

struct reason {
    int status;
    struct span text;
};

/* RFC 9110 section 15, RFC 6585, and the statuses that SageMaker answers with. */
static const struct reason reasons[] = {
    {100, SPAN("Continue")},
    {200, SPAN("OK")},
    {201, SPAN("Created")},
    {202, SPAN("Accepted")},
    {203, SPAN("Non-Authoritative Information")},
    {204, SPAN("No Content")},
    {205, SPAN("Reset Content")},
    {206, SPAN("Partial Content")},
    {300, SPAN("Multiple Choices")},
    {301, SPAN("Moved Permanently")},
    {302, SPAN("Found")},
    {303, SPAN("See Other")},
    {304, SPAN("Not Modified")},
    {307, SPAN("Temporary Redirect")},
    {308, SPAN("Permanent Redirect")},
    {400, SPAN("Bad Request")},
    {401, SPAN("Unauthorized")},
    {402, SPAN("Payment Required")},
    {403, SPAN("Forbidden")},
    {404, SPAN("Not Found")},
    {405, SPAN("Method Not Allowed")},
    {406, SPAN("Not Acceptable")},
    {407, SPAN("Proxy Authentication Required")},
    {408, SPAN("Request Timeout")},
    {409, SPAN("Conflict")},
    {410, SPAN("Gone")},
    {411, SPAN("Length Required")},
    {412, SPAN("Precondition Failed")},
    {413, SPAN("Content Too Large")},
    {414, SPAN("URI Too Long")},
    {415, SPAN("Unsupported Media Type")},
    {416, SPAN("Range Not Satisfiable")},
    {417, SPAN("Expectation Failed")},
    {421, SPAN("Misdirected Request")},
    {422, SPAN("Unprocessable Content")},
    {424, SPAN("Failed Dependency")},
    {425, SPAN("Too Early")},
    {426, SPAN("Upgrade Required")},
    {428, SPAN("Precondition Required")},
    {429, SPAN("Too Many Requests")},
    {431, SPAN("Request Header Fields Too Large")},
    {451, SPAN("Unavailable For Legal Reasons")},
    {500, SPAN("Internal Server Error")},
    {501, SPAN("Not Implemented")},
    {502, SPAN("Bad Gateway")},
    {503, SPAN("Service Unavailable")},
    {504, SPAN("Gateway Timeout")},
    {505, SPAN("HTTP Version Not Supported")},
    {507, SPAN("Insufficient Storage")},
    {511, SPAN("Network Authentication Required")},
};

struct span http1_reason(int status)
{
    if (status == 200)
        return SPAN("OK");
    size_t low = 0, high = sizeof(reasons) / sizeof(reasons[0]);
    while (low != high) {
        size_t middle = low + (high - low) / 2;
        if (reasons[middle].status == status)
            return reasons[middle].text;
        if (reasons[middle].status < status)
            low = middle + 1;
        else
            high = middle;
    }
    return SPAN("Unknown");
}

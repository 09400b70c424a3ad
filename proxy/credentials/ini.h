/* The grammar of AWS's shared config and credentials files: sections of properties. Pure; it knows
 * neither profiles nor what a key means.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files", as the SDKs
 * read it. `#` or `;` in the first column begins a comment; behind a value they do where a blank
 * stands before them, so that a secret may hold one. A line that begins with a blank continues the
 * value above, joined by a newline; below an empty value such lines are properties of their own. */
#ifndef SAGEGATE_CREDENTIALS_INI_H
#define SAGEGATE_CREDENTIALS_INI_H

#include "base/arena.h"
#include "base/check.h"

enum { INI_TEXT_MAX = 1024 * 1024 };

struct ini_property {
    struct ini_property *next, *below; /* below: of an empty value, those indented under it */
    struct span key;                   /* lower-case */
    struct span value;                 /* trimmed; may be empty */
    unsigned line;
};

struct ini_section {
    struct ini_section *next;
    struct span title; /* what stands in the brackets, trimmed; sections may repeat */
    unsigned line;
    struct ini_property *properties; /* in file order; of a key that repeats the last one counts */
};

/* Zeroed is empty. Titles, keys and values live in `text`, which is wiped. */
struct ini {
    struct arena arena;
    char *text;
    size_t text_size, text_used;
    struct ini_section *sections;
};

/* False, with *fault "line N: what is wrong" in `arena` and nothing kept, where there is a line
 * that is none of: blank, comment, [section], key = value; a property before any section; a NUL.
 * Shows nothing of a value. A byte order mark and CRLF are taken. */
MUST_USE bool ini_parse(struct ini *ini, struct span text, struct arena *arena, struct span *fault);
/* Wipes. Takes an empty one. */
void ini_dispose(struct ini *ini);

/* The value of the last property of that key in all sections of that title; SPAN_NONE if none. */
struct span ini_find(const struct ini *ini, struct span title, struct span key);
/* Likewise of a property below another: {"sts", "endpoint_url"}. */
struct span ini_find_below(const struct ini *ini, struct span title, struct span key,
                           struct span below);
bool ini_has_section(const struct ini *ini, struct span title);

#endif

/* The grammar of AWS's shared config and credentials files: sections of properties. Does no I/O.
 * Must not depend on what a section or a key means.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files", as the SDKs
 * read it. `#` or `;` begins a comment in the first column and, after a value, behind a blank, so
 * that a secret may contain them. A line that begins with a blank continues the value above, joined
 * by a newline; below an empty value, such lines are properties of their own. */
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
    struct span title; /* between the brackets, trimmed; sections may repeat */
    unsigned line;
    struct ini_property *properties; /* in file order; the last of a repeated key counts */
};

/* Zeroed is empty. Titles, keys and values live in `text`, which is wiped. */
struct ini {
    struct arena arena;
    char *text;
    size_t text_size, text_used;
    struct ini_section *sections;
};

/* Returns false, keeps nothing and sets *fault to "line N: what is wrong", in arena, if a line is
 * none of: blank, comment, [section], key = value; for a property before any section; for a NUL.
 * Shows nothing of a value. Accepts a byte order mark and CRLF. */
MUST_USE bool ini_parse(struct ini *ini, struct span text, struct arena *arena, struct span *fault);
/* Wipes. Safe if zeroed. */
void ini_dispose(struct ini *ini);

/* Returns the value of the last property of that key in all sections of that title, or SPAN_NONE.
 */
struct span ini_find(const struct ini *ini, struct span title, struct span key);
/* The same for a property below another: {"sts", "endpoint_url"}. */
struct span ini_find_below(const struct ini *ini, struct span title, struct span key,
                           struct span below);
bool ini_has_section(const struct ini *ini, struct span title);

#endif

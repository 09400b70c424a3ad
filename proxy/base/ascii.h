/* Classes of ASCII characters, from one table. Locale-free; bytes from 0x80 on belong to no class
 * but ASCII_TEXT. For predicates over whole spans see span.h. */
#ifndef SAGEGATE_BASE_ASCII_H
#define SAGEGATE_BASE_ASCII_H

#include <stdbool.h>
#include <stdint.h>

/* Combine with '|' to ask for any of several. */
enum ascii_class {
    ASCII_DIGIT = 1,
    ASCII_ALPHA = 2,
    ASCII_ALNUM = ASCII_DIGIT | ASCII_ALPHA,
    ASCII_HEX = 4,         /* either case */
    ASCII_NAME = 8,        /* letters, digits, '.', '_', '-': names in a configuration */
    ASCII_TOKEN = 16,      /* tchar: RFC 9110 section 5.6.2 */
    ASCII_UNRESERVED = 32, /* RFC 3986 section 2.3: never needs percent-encoding */
    ASCII_TARGET = 64,     /* pchar, '/' and '?', '%' included: RFC 3986 sections 3.3 and 3.4 */
    ASCII_VISIBLE = 128,   /* 0x21 to 0x7e */
    ASCII_TEXT = 256,      /* no control character except tab: field values, reasons, log text */
};
extern const uint16_t ascii_classes[256];

static inline bool ascii_is(char c, unsigned classes)
{
    return (ascii_classes[(unsigned char)c] & classes) != 0;
}
static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool ascii_is_alnum(char c)
{
    return ascii_is(c, ASCII_ALNUM);
}
static inline bool ascii_is_unreserved(char c)
{
    return ascii_is(c, ASCII_UNRESERVED);
}
/* 0x20 to 0x7e. */
static inline bool ascii_is_printable(char c)
{
    return c >= 0x20 && c <= 0x7e;
}
/* Below 0x20, or DEL. */
static inline bool ascii_is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}
/* Space or tab. */
static inline bool ascii_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* The value of a hex digit in either case, -1 for any other byte. */
static inline int ascii_hex_value(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif

/* The JSON Schema (draft 7) of configurations, for editors, from the table of settings. */
#ifndef SAGEGATE_CONFIG_SCHEMA_H
#define SAGEGATE_CONFIG_SCHEMA_H

#include <stdio.h>

/* Laxer than the reader: what depends on more than one key, or on a character set, only the
 * reader tells. */
void schema_print(FILE *out);

#endif

/* The JSON Schema (draft 7) of configurations, for editors, from the table of settings. */
#ifndef SAGEGATE_CONFIG_SCHEMA_H
#define SAGEGATE_CONFIG_SCHEMA_H

#include <stdio.h>

/* Laxer than the reader: only the reader checks rules about several keys or about character sets.
 */
void schema_print(FILE *out);

#endif

/* AWS shared files of arbitrary bytes: parsed or reported, and every result lies within the
 * input. */
#include "credentials/ini.h"

#include <stdlib.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct ini ini;
    struct span fault = SPAN_NONE;
    arena_init(&arena, 1024);
    if (ini_parse(&ini, span_make((const char *)data, size), &arena, &fault)) {
        CHECK(ini.text_used <= ini.text_size);
        for (const struct ini_section *s = ini.sections; s != NULL; s = s->next)
            for (const struct ini_property *p = s->properties; p != NULL; p = p->next) {
                CHECK(p->key.len != 0);
                CHECK(ini_find(&ini, s->title, p->key).at != NULL);
                CHECK(p->below == NULL || p->value.len == 0);
            }
        ini_dispose(&ini);
    } else {
        CHECK(fault.len != 0);
    }
    arena_dispose(&arena);
    return 0;
}

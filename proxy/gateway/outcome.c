/* The table of outcomes, expanded from outcome.def. */
#include "gateway/outcome.h"

#include "base/check.h"

const struct outcome_info *outcome_info(enum outcome outcome)
{
    static const struct outcome_info table[OUTCOMES] = {
#define OUTCOME(name, token, status, fault, retry_after_s, text, advice)                           \
    [OUTCOME_##name] = {{#token, sizeof(#token) - 1},                                              \
                        status,                                                                    \
                        OUTCOME_FAULT_##fault,                                                     \
                        retry_after_s,                                                             \
                        {"" text, sizeof(text) - 1}},
#include "gateway/outcome.def"
#undef OUTCOME
    };
    CHECK(outcome < OUTCOMES);
    return &table[outcome];
}

struct span outcome_fault_name(enum outcome_fault fault)
{
    static const struct span names[] = {
        {"none", 4}, {"caller", 6}, {"gateway", 7}, {"upstream", 8}};
    return names[fault];
}

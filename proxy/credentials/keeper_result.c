/* What a fetch brought: a set that is put in force, or a fault; and when the next one is due. */
#include "credentials/keeper_private.h"

#include "credentials/refresh.h"

static uint32_t chance(struct keeper *keeper)
{
    keeper->random ^= keeper->random << 13;
    keeper->random ^= keeper->random >> 7;
    keeper->random ^= keeper->random << 17;
    return (uint32_t)(keeper->random >> 16);
}

struct wall_time keeper_result_aws_time(const struct keeper *keeper)
{
    return skew_correct(keeper->options.skew, clock_wall());
}

/* Of a named identity the name comes first. */
static void tell(const struct keeper_identity *identity, enum keeper_event event,
                 struct span message)
{
    const struct keeper_options *options = &identity->keeper->options;
    char text[KEEPER_STATUS_SIZE + 128];
    struct buffer out;
    if (options->on_event == NULL)
        return;
    buffer_init_fixed(&out, text, sizeof(text));
    if (identity != identity->keeper->identities)
        buffer_printf(&out, "identity %.*s: ", SPAN_ARG(identity->config->label));
    buffer_append(&out, message);
    options->on_event(options->event_context, event, buffer_span(&out));
}

/* Of all keepers: what is kept by key id and generation must not take one keeper's set for another's. */
static atomic_uint_fast64_t last_generation;

/* Who is asked before the set in force is over should give one that lasts longer. One that does not comes from a stale
 * store; it counts only where the one in force is over, was refused, or is no longer what the files ask for. Under the
 * lock. now: by AWS's clock. */
static bool is_stale(const struct keeper_identity *identity, const struct credentials *credentials,
                     struct wall_time now)
{
    const struct credentials *current = identity->current;
    const struct chain *chain = &identity->fetch.chain;
    bool is_asked = chain->base != CHAIN_SET || chain->role_count != 0;
    return is_asked && current != NULL && !credentials_is_expired(current, now) &&
           !identity->refused && !identity->files_changed &&
           span_equals(current->source, credentials->source) && credentials->expires.us != 0 &&
           credentials->expires.us < current->expires.us;
}

/* Takes the reference over. now: by AWS's clock. */
static void put_in_force(struct keeper_identity *identity, struct credentials *credentials,
                         struct wall_time now)
{
    struct keeper *keeper = identity->keeper;
    char text[KEEPER_STATUS_SIZE];
    struct buffer message;
    buffer_init_fixed(&message, text, sizeof(text));

    pthread_mutex_lock(&keeper->lock);
    bool stays =
        identity->current != NULL && (credentials_is_same(identity->current, credentials) ||
                                      is_stale(identity, credentials, now));
    bool was_failing = identity->fault.len != 0;
    struct credentials *old = stays ? credentials : identity->current;
    buffer_clear(&identity->fault);
    ++identity->refreshed;
    if (!stays) {
        identity->refused = false;
        credentials->generation = atomic_fetch_add(&last_generation, 1) + 1;
        identity->current = credentials;
        atomic_store(&identity->generation, credentials->generation);
    }
    pthread_mutex_unlock(&keeper->lock);

    credentials_release(old);
    identity->files_changed = false;
    credentials_describe(identity->current, now, &message);
    if (!stays || was_failing)
        tell(identity, KEEPER_LOADED, buffer_span(&message));
    struct wall_time expires = identity->current->expires;
    if (expires.us != 0)
        identity->due =
            stays ? refresh_due_unchanged(now, expires) : refresh_due(now, expires, chance(keeper));
    else if (identity->fetch.chain.base != CHAIN_SET && identity->fetch.chain.base != CHAIN_PROCESS)
        identity->due = (struct wall_time){now.us + REFRESH_UNEXPIRING_MS * INT64_C(1000)};
}

/* The set in force stays. The same fault again is not told again. */
static void note_fault(struct keeper_identity *identity, struct span fault)
{
    struct keeper *keeper = identity->keeper;
    if (fault.len > KEEPER_STATUS_SIZE)
        fault.len = KEEPER_STATUS_SIZE;
    pthread_mutex_lock(&keeper->lock);
    bool known = span_equals(buffer_span(&identity->fault), fault);
    buffer_clear(&identity->fault);
    buffer_append(&identity->fault, fault);
    identity->last_failed = clock_wall();
    ++identity->failed;
    pthread_mutex_unlock(&keeper->lock);
    ++identity->failures;
    identity->retry_at =
        clock_after_ms(keeper->loop->now, refresh_backoff_ms(identity->failures, chance(keeper)));
    if (!known)
        tell(identity, KEEPER_FAILED, fault);
}

static void note_warning(struct keeper_identity *identity, struct span warning)
{
    if (span_equals(identity->warning_told, warning))
        return;
    arena_reset(&identity->warning_arena);
    identity->warning_told = arena_copy(&identity->warning_arena, warning);
    if (warning.len != 0)
        tell(identity, KEEPER_WARNING, warning);
}

/* now: by AWS's clock. */
static void note_expired(struct keeper_identity *identity, const struct credentials *credentials,
                         struct wall_time now)
{
    char text[512];
    struct buffer fault;
    buffer_init_fixed(&fault, text, sizeof(text));
    credentials_describe(credentials, now, &fault);
    buffer_append(&fault, SPAN(": the source gives a set whose time is over; it must give a newer "
                               "one, or this machine's clock is wrong"));
    note_fault(identity, buffer_span(&fault));
}

void keeper_result_take(struct keeper_identity *identity)
{
    struct fetch *fetch = &identity->fetch;
    struct credentials *found = fetch->found;
    struct wall_time now = keeper_result_aws_time(identity->keeper);
    identity->retry_at.us = 0;
    identity->due.us = 0;
    fetch->found = NULL;
    if (fetch->result != CREDENTIALS_FOUND) {
        note_fault(identity, fetch->notes.fault);
    } else if (credentials_is_expired(found, now)) {
        note_expired(identity, found, now);
        credentials_release(found);
    } else {
        identity->failures = 0;
        note_warning(identity, fetch->notes.warning);
        put_in_force(identity, found, now);
    }
}

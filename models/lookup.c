/* SPDX-License-Identifier: Apache-2.0 */
#include "models/lookup.h"

#include "runtime/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum {
    ORDERS = 2,   /* places are looked up by the last token, and by the last two */
    LENGTH = 32,  /* agreement beyond this tells no more */
    ORIGINAL = 6, /* agreement from which a break is taken for an edit of a copy */
    WINDOW = 16,  /* how far an edit may move the copy against its original */
    STRAY = 12,   /* tokens of an edit after which the original is given up */
    CLASSES = 9,  /* of agreement, each with a chance of its own */
    MEMORY = 16,  /* a chance is that of about so many last times */
};

enum kind { FOLLOWED, BESIDE, TRAILS };

struct trail {
    int32_t next;   /* where the guess for the next token stands; 0 = no trail */
    int32_t length; /* tokens in front of it that agree; beside a break: since the break */
};

struct ash_lookup {
    const int32_t *token;
    int32_t count;
    struct trail trail[TRAILS];
    int32_t original, stray; /* where the copy left it; tokens since */
    double chance[TRAILS][CLASSES];
    uint32_t mask;
    /* (mask + 1) where the last one, the last two tokens of this hash ended; 0 = unknown */
    int32_t *after[ORDERS];
};

/* Measured on copies and stories of SmolLM2's, rounded down; every sequence corrects them. */
static const double first_chances[TRAILS][CLASSES] = {
    [FOLLOWED] = { 0.08, 0.3, 0.45, 0.5, 0.65, 0.75, 0.85, 0.9, 0.95 },
    [BESIDE] = { 0.1, 0.45, 0.75, 0.8, 0.85, 0.85, 0.9, 0.9, 0.95 },
};

static int class_of(int32_t length)
{
    static const uint8_t ends[CLASSES - 1] = { 2, 3, 4, 5, 7, 10, 16, LENGTH };
    int at = 0;
    while (at < CLASSES - 1 && length >= ends[at])
        at++;
    return at;
}

enum ash_status ash_lookup_create(const int32_t *token, int32_t positions, struct ash_lookup **out)
{
    uint32_t slots = 16;
    while (slots < (uint32_t)positions)
        slots *= 2;
    struct ash_lookup *lookup = ash_alloc_zero(sizeof *lookup);
    int32_t *after = ash_alloc_array(slots, ORDERS * sizeof *after);
    if (!lookup || !after) {
        ash_free(lookup);
        ash_free(after);
        return ash_fail_memory(slots * ORDERS * sizeof *after, "the index of a sequence's tokens");
    }
    lookup->token = token;
    for (int i = 0; i < ORDERS; i++)
        lookup->after[i] = after + (size_t)i * slots;
    lookup->mask = slots - 1;
    memcpy(lookup->chance, first_chances, sizeof first_chances);
    *out = lookup;
    return ASH_OK;
}

void ash_lookup_destroy(struct ash_lookup *lookup)
{
    if (!lookup)
        return;
    ash_free(lookup->after[0]);
    ash_free(lookup);
}

/* ---- The trails ---- */

/* Learns from the token that has come; true if the trail had it and went on. */
static bool observe(struct ash_lookup *lookup, enum kind kind, int32_t token)
{
    struct trail *trail = &lookup->trail[kind];
    bool right = lookup->token[trail->next] == token;
    double *chance = &lookup->chance[kind][class_of(trail->length)];
    *chance += ((right ? 1 : 0) - *chance) / MEMORY;
    if (right) {
        trail->next++;
        trail->length += trail->length < LENGTH;
    }
    return right;
}

/* Where in the original the copy may have come back, now that it has said `token`; if nowhere, as if
 * one token had been replaced by one. */
static void stay_beside(struct ash_lookup *lookup, int32_t token)
{
    struct trail *trail = &lookup->trail[BESIDE];
    int32_t end = lookup->count - 1; /* the token itself is no part of the original */
    *trail = (struct trail){ .next = lookup->original + ++lookup->stray };
    for (int32_t at = lookup->original; at < lookup->original + WINDOW && at < end; at++)
        if (lookup->token[at] == token) {
            *trail = (struct trail){ .next = at + 1, .length = 1 };
            break;
        }
    if (lookup->stray > STRAY || trail->next > end)
        *trail = (struct trail){ 0 };
}

static void leave(struct ash_lookup *lookup, int32_t original, int32_t token)
{
    lookup->original = original;
    lookup->stray = 0;
    stay_beside(lookup, token);
}

/* How many tokens before `a` and before `b` are the same. */
static int32_t agreement(const int32_t *token, int32_t a, int32_t b)
{
    int32_t length = 0;
    while (length < LENGTH && length < a && token[a - 1 - length] == token[b - 1 - length])
        length++;
    return length;
}

/* The last place where the last token stood, and the last two; the one that agrees for longest is
 * followed, if for longer than the trail at hand. */
static void look_up(struct ash_lookup *lookup)
{
    struct trail *trail = &lookup->trail[FOLLOWED];
    const int32_t *last = lookup->token + lookup->count;
    uint64_t hash = 0;
    for (int32_t order = 1; order <= ORDERS && order <= lookup->count; order++) {
        hash = (hash ^ (uint32_t)last[-order]) * 0x9E3779B97F4A7C15u, hash ^= hash >> 32;
        int32_t *after = &lookup->after[order - 1][hash & lookup->mask];
        int32_t length = *after ? agreement(lookup->token, *after, lookup->count) : 0;
        if (length >= order && length > trail->length)
            *trail = (struct trail){ .next = *after, .length = length };
        *after = lookup->count;
    }
}

static void extend(struct ash_lookup *lookup)
{
    struct trail *followed = &lookup->trail[FOLLOWED], *beside = &lookup->trail[BESIDE];
    struct trail before = *beside;
    int32_t token = lookup->token[lookup->count++];
    if (before.next && !observe(lookup, BESIDE, token)) {
        if (before.length > 1)
            leave(lookup, before.next, token);
        else
            stay_beside(lookup, token);
    }
    before = *followed;
    if (before.next && !observe(lookup, FOLLOWED, token)) {
        *followed = (struct trail){ 0 };
        if (before.length >= ORIGINAL)
            leave(lookup, before.next, token);
    }
    look_up(lookup);
    if (followed->next == beside->next)
        *beside = (struct trail){ 0 };
}

void ash_lookup_extend(struct ash_lookup *lookup, int32_t count)
{
    assert(count >= lookup->count);
    while (lookup->count < count)
        extend(lookup);
}

/* ---- The guess ---- */

void ash_lookup_draft(const struct ash_lookup *lookup, int32_t most, struct ash_draft *out)
{
    double first[TRAILS];
    for (int kind = 0; kind < TRAILS; kind++) {
        const struct trail *trail = &lookup->trail[kind];
        first[kind] = trail->next ? lookup->chance[kind][class_of(trail->length)] : 0;
    }
    enum kind kind = first[BESIDE] > first[FOLLOWED] ? BESIDE : FOLLOWED;
    struct trail trail = lookup->trail[kind];
    double chance = 1;
    out->tokens = 0;
    if (!trail.next)
        return;
    for (int32_t i = 0; i < most && i < ASH_DRAFT_TOKENS; i++) {
        /* A trail that reaches the end of the text goes on in the guess itself: a loop. */
        int32_t at = trail.next + i;
        out->token[i] = at < lookup->count ? lookup->token[at] : out->token[at - lookup->count];
        out->chance[i] = chance *= lookup->chance[kind][class_of(trail.length + i)];
        out->tokens++;
    }
}

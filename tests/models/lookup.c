/* SPDX-License-Identifier: Apache-2.0 */

/* What is guessed from a text, and how much of it is worth computing. */
#include "models/lookup.h"
#include "models/speculate.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct ash_lookup *make(const int32_t *token, int32_t positions)
{
    struct ash_lookup *lookup;
    cr_assert_eq(ash_lookup_create(token, positions, &lookup), ASH_OK);
    return lookup;
}

/* The draft after the first `count` tokens equals `expected` (ended by -1). */
static void expect_draft(
    struct ash_lookup *lookup, int32_t count, const int32_t *expected, const char *what)
{
    struct ash_draft draft;
    ash_lookup_extend(lookup, count);
    ash_lookup_draft(lookup, ASH_DRAFT_TOKENS, &draft);
    int32_t length = 0;
    while (expected[length] >= 0)
        length++;
    cr_assert_geq(draft.tokens, length, "%s: %d tokens", what, draft.tokens);
    for (int32_t i = 0; i < length; i++)
        cr_assert_eq(draft.token[i], expected[i], "%s, token %d: %d", what, i, draft.token[i]);
    for (int32_t i = 0; i < draft.tokens; i++)
        cr_assert(draft.chance[i] > 0 && draft.chance[i] <= (i ? draft.chance[i - 1] : 1));
}

Test(lookup, a_text_that_repeats_itself_is_drafted_as_before)
{
    static const struct {
        const char *what;
        int32_t count, token[24], expected[16];
    } cases[] = {
        { "nothing yet", 2, { 1, 2 }, { -1 } },
        { "no repeat", 6, { 1, 2, 3, 4, 5, 6 }, { -1 } },
        { "a copy", 10, { 1, 2, 3, 4, 5, 6, 7, 1, 2, 3 }, { 4, 5, 6, 7, 1, 2, 3, 4, -1 } },
        { "one token", 6, { 8, 8, 8, 8, 8, 8 }, { 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, -1 } },
        { "a period of two", 7, { 1, 2, 1, 2, 1, 2, 1 }, { 2, 1, 2, 1, 2, 1, -1 } },
        { "the latest of two", 15, { 1, 2, 3, 4, 9, 1, 2, 3, 5, 9, 0, 7, 1, 2, 3 }, { 5, 9, -1 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_lookup *lookup = make(cases[i].token, 24);
        expect_draft(lookup, cases[i].count, cases[i].expected, cases[i].what);
        ash_lookup_destroy(lookup);
    }
}

/* An original of 12 tokens, and its copy with an edit at the seventh: what follows the edit? */
Test(lookup, an_edited_copy_comes_back_to_its_original)
{
    static const struct {
        const char *what;
        int32_t count, copy[12], expected[6];
    } cases[] = {
        { "replaced", 7, { 1, 2, 3, 4, 5, 6, 50 }, { 8, 9, 10, 11, -1 } },
        { "left out", 7, { 1, 2, 3, 4, 5, 6, 8 }, { 9, 10, 11, -1 } },
        { "three left out", 7, { 1, 2, 3, 4, 5, 6, 10 }, { 11, 12, -1 } },
        { "put in", 8, { 1, 2, 3, 4, 5, 6, 50, 7 }, { 8, 9, 10, -1 } },
        { "one by two", 9, { 1, 2, 3, 4, 5, 6, 50, 51, 8 }, { 9, 10, 11, -1 } },
        { "two by one", 8, { 1, 2, 3, 4, 5, 6, 50, 9 }, { 10, 11, -1 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t token[64] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 90, 91 };
        memcpy(token + 14, cases[i].copy, sizeof cases[i].copy);
        struct ash_lookup *lookup = make(token, 64);
        expect_draft(lookup, 14 + cases[i].count, cases[i].expected, cases[i].what);
        ash_lookup_destroy(lookup);
    }
}

static void fibonacci_word(int32_t *token, int32_t count)
{
    int32_t length = 2, before = 1;
    token[0] = 0;
    token[1] = 1;
    while (length < count) { /* F(n) = F(n - 1) F(n - 2) */
        int32_t add = before < count - length ? before : count - length;
        memmove(token + length, token, (size_t)add * sizeof *token);
        before = length;
        length += add;
    }
}

/* The chance of a draft is learned, whether it is taken or not. */
Test(lookup, what_is_often_wrong_loses_its_chance)
{
    enum { COUNT = 4096 };
    static int32_t token[COUNT];
    srand(5);
    for (int32_t i = 0; i < COUNT; i++) /* the same three tokens, then always others */
        token[i] = i % 8 < 3 ? i % 8 : 100 + rand() % 1000000;
    struct ash_lookup *lookup = make(token, COUNT);
    double chance = 0;
    for (int32_t count = 11; count < COUNT; count += 8) {
        struct ash_draft draft;
        ash_lookup_extend(lookup, count);
        ash_lookup_draft(lookup, 1, &draft);
        chance += draft.tokens ? draft.chance[0] : 0;
    }
    cr_assert_lt(chance / (COUNT / 8), 0.05, "%g", chance / (COUNT / 8));
    ash_lookup_destroy(lookup);
}

static double seconds_of(const int32_t *token, int32_t count)
{
    struct ash_draft draft;
    struct ash_lookup *lookup = make(token, count);
    struct timespec begin, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    for (int32_t i = 1; i <= count; i++) {
        ash_lookup_extend(lookup, i);
        ash_lookup_draft(lookup, ASH_DRAFT_TOKENS, &draft);
        for (int32_t k = 0; k < draft.tokens; k++)
            cr_assert(draft.token[k] >= 0 && draft.token[k] < 1000);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    ash_lookup_destroy(lookup);
    return (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
}

/* Quadratic work would take minutes here; the limit is thirty times what it takes. */
Test(lookup, no_text_makes_it_slow)
{
    enum { COUNT = 1 << 20 };
    int32_t *token = calloc(COUNT, sizeof *token);
    double same = seconds_of(token, COUNT);
    fibonacci_word(token, COUNT);
    double fibonacci = seconds_of(token, COUNT);
    srand(1);
    for (int32_t i = 0; i < COUNT; i++)
        token[i] = rand() % 2;
    double bits = seconds_of(token, COUNT);
    for (int32_t i = 0; i < COUNT; i++)
        token[i] = rand() % 1000;
    double noise = seconds_of(token, COUNT);
    cr_log_info("%d tokens: same %.2f, Fibonacci %.2f, bits %.2f, noise %.2f s", COUNT, same,
        fibonacci, bits, noise);
    cr_assert_lt(same + fibonacci + bits + noise, 60);
    free(token);
}

Test(lookup, create_survives_every_failed_allocation)
{
    enum ash_status status = ASH_ERR_NO_MEMORY;
    int32_t token[4] = { 0 };
    int n = 0;
    for (; status != ASH_OK; n++) {
        struct ash_lookup *lookup = NULL;
        ash_memory_fail_from(n);
        status = ash_lookup_create(token, 4, &lookup);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || (status == ASH_ERR_NO_MEMORY && !lookup));
        ash_lookup_destroy(lookup);
    }
    cr_assert_eq(n, 3);
}

/* ---- How much of it is worth computing ---- */

static struct ash_draft draft_of(int32_t tokens, double chance)
{
    struct ash_draft draft = { .tokens = tokens };
    double all = 1;
    for (int32_t i = 0; i < tokens; i++)
        draft.chance[i] = all *= chance;
    return draft;
}

/* As if a step of `rows` took 1 + slope * (rows - 1). */
static struct ash_speculation measured(double slope)
{
    struct ash_speculation speculation = { 0 };
    for (int32_t rows = 1; rows <= ASH_SPECULATE_ROWS; rows++)
        speculation.step_s[rows] = 1 + slope * (rows - 1);
    return speculation;
}

Test(speculate, takes_what_makes_the_most_tokens_a_second)
{
    static const struct {
        double slope, chance;
        int32_t count, most, least_taken, most_taken; /* of all sequences together */
    } cases[] = {
        { 0, 0.5, 1, 30, 15, 15 },  /* rows are free */
        { 0.1, 1, 1, 30, 15, 15 },  /* every draft is right */
        { 0.1, 1, 1, 4, 4, 4 },     /* no more than there is room for */
        { 0.1, 0.9, 1, 30, 5, 15 }, /* some way */
        { 0.1, 0.05, 1, 30, 0, 0 }, /* a draft costs more than it gives */
        { 1, 1, 1, 30, 0, 0 },      /* rows cost what a step costs */
        { 0.02, 1, 4, 30, 30, 30 }, /* shared by several */
        { 0.02, 1, 64, 30, 0, 0 },  /* no room in the table */
        { 0.02, 1, 100, 30, 0, 0 }, /* more sequences than the table has rows */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_speculation speculation = measured(cases[i].slope);
        struct ash_draft draft[100];
        for (int32_t s = 0; s < cases[i].count; s++)
            draft[s] = draft_of(ASH_DRAFT_TOKENS, cases[i].chance);
        ash_speculation_choose(&speculation, draft, cases[i].count, cases[i].most);
        int32_t taken = 0;
        for (int32_t s = 0; s < cases[i].count; s++)
            taken += draft[s].tokens;
        cr_assert(taken >= cases[i].least_taken && taken <= cases[i].most_taken,
            "case %zu: %d taken", i, taken);
    }
}

Test(speculate, the_likelier_sequence_gets_the_rows)
{
    struct ash_speculation speculation = measured(0.3);
    struct ash_draft draft[3] = { draft_of(15, 0.3), draft_of(15, 0.99), draft_of(0, 0) };
    ash_speculation_choose(&speculation, draft, 3, 30);
    cr_assert_eq(draft[0].tokens, 0);
    cr_assert_eq(draft[1].tokens, 15);
    cr_assert_eq(draft[2].tokens, 0);
}

Test(speculate, nothing_is_taken_before_a_plain_step_was_measured)
{
    struct ash_speculation speculation = { 0 };
    struct ash_draft draft[2] = { draft_of(15, 1), draft_of(15, 1) };
    ash_speculation_note(&speculation, 1, 0.01);
    ash_speculation_choose(&speculation, draft, 2, 30);
    cr_assert_eq(draft[0].tokens + draft[1].tokens, 0);
    draft[0] = draft_of(15, 1);
    ash_speculation_choose(&speculation, draft, 1, 30);
    cr_assert_gt(draft[0].tokens, 0);
}

Test(speculate, a_slow_machine_is_noticed_and_not_for_ever)
{
    struct ash_speculation speculation = { 0 };
    struct ash_draft draft;
    int tried = 0;
    for (int step = 0; step < 200; step++) { /* every row costs a whole step */
        draft = draft_of(15, 0.8);
        ash_speculation_choose(&speculation, &draft, 1, 30);
        tried += draft.tokens > 0;
        ash_speculation_note(&speculation, 1 + draft.tokens, 1 + draft.tokens);
    }
    cr_assert_lt(tried, 20, "%d of 200 steps", tried);
    for (int step = 0; step < 2000; step++) { /* now rows are nearly free */
        draft = draft_of(15, 0.8);
        ash_speculation_choose(&speculation, &draft, 1, 30);
        ash_speculation_note(&speculation, 1 + draft.tokens, 1 + 0.01 * draft.tokens);
    }
    cr_assert_gt(draft.tokens, 0);
}

Test(speculate, one_interrupted_step_changes_little)
{
    struct ash_speculation speculation = measured(0.1);
    ash_speculation_note(&speculation, 1, 1000);
    ash_speculation_note(&speculation, 1, -1);
    ash_speculation_note(&speculation, 0, 1);
    ash_speculation_note(&speculation, ASH_SPECULATE_ROWS + 1, 1);
    cr_assert_lt(ash_speculation_expect(&speculation, 1), 1.2);
}

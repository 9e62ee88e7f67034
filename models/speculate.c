/* SPDX-License-Identifier: Apache-2.0 */
#include "models/speculate.h"

#include <string.h>

/*
 * NEWS: the weight of a measurement. A sequence's cache grows and neighbours come and go, so none is
 * for ever; but one may be twice what was expected at most, as a step that was interrupted says little.
 * FORGETTING: the rate at which rows that are not being measured return to the first draft, or
 * they would never be tried again after the machine was busy.
 * SLOPE: the first guess: a row more costs so much of a step of one row. Low, as trying teaches.
 * MARGIN: what must at least be won, for what choosing costs and measurements are off.
 */
static const double NEWS = 0.125, FORGETTING = 1 / 512.0, SLOPE = 0.08, MARGIN = 1.03;

/* A line through the two nearest rows that were measured; beyond the last, the first guess. */
double ash_speculation_expect(const struct ash_speculation *speculation, int32_t rows)
{
    const double *step_s = speculation->step_s;
    int32_t below = rows, above = rows;
    while (below > 0 && step_s[below] == 0)
        below--;
    while (above <= ASH_SPECULATE_ROWS && step_s[above] == 0)
        above++;
    if (below == rows)
        return step_s[rows];
    if (below == 0)
        return above > ASH_SPECULATE_ROWS ? 0 : step_s[above];
    if (above > ASH_SPECULATE_ROWS)
        return step_s[below] * (1 + SLOPE * rows) / (1 + SLOPE * below);
    double part = (double)(rows - below) / (above - below);
    return step_s[below] + part * (step_s[above] - step_s[below]);
}

void ash_speculation_note(struct ash_speculation *speculation, int32_t rows, double seconds)
{
    if (rows < 1 || rows > ASH_SPECULATE_ROWS || !(seconds > 0))
        return;
    double *step_s = speculation->step_s;
    double expected = ash_speculation_expect(speculation, rows);
    if (expected > 0 && seconds > 2 * expected)
        seconds = 2 * expected;
    step_s[rows] = step_s[rows] > 0 ? step_s[rows] + NEWS * (seconds - step_s[rows]) : seconds;
    for (int32_t other = rows + 1; other <= ASH_SPECULATE_ROWS; other++) {
        double first = step_s[rows] * (1 + SLOPE * other) / (1 + SLOPE * rows);
        step_s[other] += step_s[other] > 0 ? FORGETTING * (first - step_s[other]) : 0;
    }
}

/* The sequence whose next guess is the likeliest to be right; -1 if none has one left. */
static int32_t likeliest(
    const struct ash_draft *draft, const uint8_t *taken, int32_t count, double *chance)
{
    int32_t best = -1;
    *chance = 0;
    for (int32_t i = 0; i < count; i++) {
        if (taken[i] == draft[i].tokens || draft[i].chance[taken[i]] <= *chance)
            continue;
        best = i;
        *chance = draft[i].chance[taken[i]];
    }
    return best;
}

void ash_speculation_choose(
    const struct ash_speculation *speculation, struct ash_draft *draft, int32_t count, int32_t most)
{
    uint8_t taken[ASH_SPECULATE_ROWS] = { 0 }, best[ASH_SPECULATE_ROWS] = { 0 };
    bool measured = count <= ASH_SPECULATE_ROWS && speculation->step_s[count] > 0;
    if (measured && most > ASH_SPECULATE_ROWS - count)
        most = ASH_SPECULATE_ROWS - count;
    double tokens = count, best_rate = measured ? MARGIN * count / speculation->step_s[count] : 0;
    for (int32_t more = 1; measured && more <= most; more++) {
        double chance;
        int32_t next = likeliest(draft, taken, count, &chance);
        if (next < 0)
            break;
        taken[next]++;
        tokens += chance;
        double rate = tokens / ash_speculation_expect(speculation, count + more);
        if (rate > best_rate) {
            best_rate = rate;
            memcpy(best, taken, sizeof best);
        }
    }
    for (int32_t i = 0; i < count; i++)
        draft[i].tokens = measured ? best[i] : 0;
}

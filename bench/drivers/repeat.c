/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/drivers/repeat.h"

#include "runtime/trace.h"

#include <stdlib.h>

enum { ROUNDS = 5, MOST_TIMES = 1 << 14 };

static const double round_s = 0.1;

static enum ash_status time_round(
    enum ash_status (*run)(void *context, int times), void *context, int times, double *seconds)
{
    int64_t start_ns = ash_now_ns();
    ASH_TRY(run(context, times));
    *seconds = (double)(ash_now_ns() - start_ns) / 1e9;
    return ASH_OK;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum ash_status repeat(
    enum ash_status (*run)(void *context, int times), void *context, double *seconds)
{
    double took[ROUNDS];
    int times = 1;
    ASH_TRY(time_round(run, context, times, &took[0]));
    do {
        ASH_TRY(time_round(run, context, times, &took[0]));
        times *= took[0] < round_s ? 2 : 1;
    } while (took[0] < round_s && times < MOST_TIMES);
    for (int i = 0; i < ROUNDS; i++)
        ASH_TRY(time_round(run, context, times, &took[i]));
    qsort(took, ROUNDS, sizeof *took, compare);
    *seconds = took[ROUNDS / 2] / times;
    return ASH_OK;
}

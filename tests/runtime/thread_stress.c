/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Teams of 1 to 8 threads through random programs, as a plain program: Criterion does not start
 * under ThreadSanitizer (its shared arena lies where the sanitizer keeps its shadow).
 */
#include "tests/runtime/thread_program.h"

#include <stdio.h>
#include <time.h>

static int64_t stress(int threads, int spin_us, unsigned *seed)
{
    struct ash_team *team;
    struct ash_team_options options = { .threads = threads, .spin_us = spin_us };
    if (ash_team_create(&options, &team) != ASH_OK) {
        fprintf(stderr, "%s\n", ash_error());
        return 1;
    }
    int64_t wrong = 0;
    for (int run = 0; run < 400; run++) {
        wrong += ash_program_run(team, rand_r(seed) % 30, run % 7, seed);
        if (run % 50 == 0) /* long enough to fall asleep */
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    ash_team_destroy(team);
    return wrong;
}

int main(void)
{
    unsigned seed = 1;
    int64_t wrong = 0;
    for (int threads = 1; threads <= 8; threads++)
        for (int spin_us = -1; spin_us <= 50; spin_us += 51)
            wrong += stress(threads, spin_us, &seed);
    if (wrong)
        fprintf(
            stderr, "%lld chunks or phases out of order, lost or run twice\n", (long long)wrong);
    return wrong != 0;
}

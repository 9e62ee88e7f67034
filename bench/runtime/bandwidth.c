/* SPDX-License-Identifier: Apache-2.0 */
/* The roof of this machine, for one thread and for all. Usage: bench-bandwidth [THREADS] */
#include "runtime/bandwidth.h"
#include "runtime/thread.h"

#include <stdio.h>
#include <stdlib.h>

static void print(const struct ash_bandwidth *roof)
{
    printf("%7d %10.1f %10.1f %-12s %10.1f %s\n", roof->threads, roof->read_gbps, roof->int8_gops,
        roof->int8_kernel, roof->fp32_gops, roof->fp32_kernel);
}

int main(int count, char *arguments[])
{
    struct ash_team *team;
    struct ash_team_options options = { .threads = count > 1 ? atoi(arguments[1]) : 0 };
    struct ash_bandwidth one, all;
    if (ash_team_create(&options, &team) != ASH_OK ||
        ash_bandwidth_measure(team, &one, &all) != ASH_OK) {
        fprintf(stderr, "bench-bandwidth: %s\n", ash_error());
        return 1;
    }
    printf("%7s %10s %10s %-12s %10s\n", "threads", "read GB/s", "int8 GOP/s", "", "fp32 GOP/s");
    print(&one);
    print(&all);
    ash_team_destroy(team);
    return 0;
}

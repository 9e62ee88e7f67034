/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/ranking_file.h"

#include "drivers/cpu/cpu.h"
#include "runtime/build.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>

void ranking_reverse(struct ash_ranking *ranking, bool answers_too)
{
    for (int i = 0; i < ranking->count; i++) {
        ranking->item[i].prefill_ns = 1000000 >> i % 16;
        ranking->item[i].decode_ns = answers_too ? ranking->item[i].prefill_ns : 1000;
    }
}

void ranking_leave(const struct ash_ranking *ranking, const char *folder)
{
    char features[512], build[128];
    struct ash_device_info info;
    int count;
    cr_assert_eq(ash_driver_cpu.probe(NULL, &info, 1, &count), ASH_OK);
    struct ranking_key here = { info.name,
        ash_cpu_describe(ash_cpu_features(), features, sizeof features),
        ash_build_describe(build, sizeof build) };
    char *path = ranking_path(folder, &here);
    cr_assert_eq(ranking_write(ranking, &here, path), ASH_OK, "%s", ash_error());
    ash_free(path);
}

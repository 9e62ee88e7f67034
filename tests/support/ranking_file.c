/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/ranking_file.h"

#include "runtime/build.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>

void ranking_reverse(struct ash_ranking *ranking, bool answers_too)
{
    int64_t ns = 0;
    for (int i = 0; i < ranking->count; i++) {
        struct ash_ranked *item = &ranking->item[i];
        const bool first = i == 0 || item[-1].op != item->op || item[-1].type != item->type;
        ns = first ? 1000000 : ns / 2;
        item->prefill_ns = ns;
        item->decode_ns = answers_too ? ns : 1000;
    }
}

void ranking_leave(const struct ash_ranking *ranking, const char *name, const char *folder)
{
    char features[512], build[128];
    struct ranking_key here = { name,
        ash_cpu_describe(ash_cpu_features(), features, sizeof features),
        ash_build_describe(build, sizeof build) };
    char *path = ranking_path(folder, &here);
    cr_assert_eq(ranking_write(ranking, &here, path), ASH_OK, "%s", ash_error());
    ash_free(path);
}

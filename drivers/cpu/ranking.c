/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cpu/ranking.h"

#include "drivers/cpu/ranking_internal.h"
#include "runtime/build.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"

#include <stdio.h>

int64_t ash_ranked_turn_ns(const struct ash_ranking *ranking, const struct ash_ranked *item)
{
    return item->prefill_ns * (ASH_RANKING_PROMPT / ASH_RANKING_PIECE) +
           item->decode_ns * (ranking->prompts ? 0 : ASH_RANKING_ANSWER);
}

/* Timing wavers: below a tenth, what is listed first stays first. */
static bool is_clearly_faster(
    const struct ash_ranking *ranking, const struct ash_ranked *a, const struct ash_ranked *b)
{
    return a->op == b->op && a->type == b->type &&
           ash_ranked_turn_ns(ranking, a) < ash_ranked_turn_ns(ranking, b) / 10 * 9;
}

static void sort(struct ash_ranking *ranking)
{
    for (int i = 1; i < ranking->count; i++) {
        struct ash_ranked item = ranking->item[i];
        int at = i;
        for (; at > 0 && is_clearly_faster(ranking, &item, &ranking->item[at - 1]); at--)
            ranking->item[at] = ranking->item[at - 1];
        ranking->item[at] = item;
    }
}

static enum ash_status fill(
    struct ash_ranking *ranking, const struct ranking_key *key, const char *path)
{
    if (!path) {
        snprintf(ranking->how, sizeof ranking->how, "as listed: no cache_dir to keep a ranking in");
        ranking->count = 0;
        return ASH_OK;
    }
    if (ranking_read(ranking, key, path)) {
        snprintf(ranking->how, sizeof ranking->how, "read from %s", path);
        return ASH_OK;
    }
    ASH_TRY(ranking_measure(ranking));
    enum ash_status status = ranking_write(ranking, key, path);
    if (status == ASH_ERR_IO) {
        snprintf(ranking->how, sizeof ranking->how, "as listed: %s", ash_error());
        ranking->count = 0;
        return ASH_OK;
    }
    snprintf(ranking->how, sizeof ranking->how, "measured, kept in %s", path);
    return status;
}

enum ash_status ash_ranking_create(
    const char *processor, const char *cache_dir, bool prompts, struct ash_ranking **out)
{
    char features[512], build[128];
    struct ranking_key key = { .processor = processor,
        .features = ash_cpu_describe(ash_cpu_features(), features, sizeof features),
        .build = ash_build_describe(build, sizeof build) };
    struct ash_ranking *ranking = ash_alloc_zero(sizeof *ranking);
    char *path = cache_dir ? ranking_path(cache_dir, &key) : NULL;
    bool complete = ranking && (path || !cache_dir);
    enum ash_status status =
        complete ? ASH_OK : ash_fail_memory(sizeof *ranking, "a ranking of kernels");
    if (status == ASH_OK) {
        ranking->prompts = prompts;
        ranking_list(ranking, ash_cpu_features());
        snprintf(ranking->how, sizeof ranking->how, "as listed: there is no choice here");
        if (ranking->count > 0)
            status = fill(ranking, &key, path);
    }
    ash_free(path);
    if (status != ASH_OK) {
        ash_free(ranking);
        return status;
    }
    sort(ranking);
    *out = ranking;
    return ASH_OK;
}

const struct ash_kernel *ash_ranking_choose(const struct ash_ranking *ranking,
    const struct ash_op *op, const struct ash_args *args, uint64_t features)
{
    for (int i = 0; ranking && i < ranking->count; i++) {
        const struct ash_ranked *item = &ranking->item[i];
        if (item->op == op && item->type == args->in[1].type &&
            ash_kernel_runs(item->kernel, args, features))
            return item->kernel;
    }
    return ash_op_choose(op, args, features);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cpu/ranking.h"

#include "drivers/cpu/ranking_internal.h"
#include "runtime/build.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"

#include <stdio.h>

/* Timing wavers: a tenth less is faster, anything above that is not. */
static bool is_clearly_less(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns / 10 * 9;
}

/* What is listed first stays first unless another one is clearly faster. */
static bool goes_before(const struct ash_ranked *a, const struct ash_ranked *b)
{
    return a->op == b->op && a->type == b->type && is_clearly_less(a->decode_ns, b->decode_ns);
}

static void sort(struct ash_ranking *ranking)
{
    for (int i = 1; i < ranking->count; i++) {
        struct ash_ranked item = ranking->item[i];
        int at = i;
        for (; at > 0 && goes_before(&item, &ranking->item[at - 1]); at--)
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
    const char *processor, const char *cache_dir, struct ash_ranking **out)
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

static bool has_layout_of(const struct ash_kernel *a, const struct ash_kernel *b)
{
    return a->packed_input == b->packed_input && a->pack == b->pack;
}

/* What is taken of one operator and type, whatever the shapes (`args` NULL) or for those at hand. */
struct choice {
    const struct ash_ranked *answers, *prompts;
};

static struct choice choose(const struct ash_ranking *ranking, const struct ash_op *op,
    enum ash_type type, const struct ash_args *args, uint64_t features)
{
    struct choice choice = { 0 };
    for (int i = 0; ranking && i < ranking->count; i++) {
        const struct ash_ranked *item = &ranking->item[i];
        if (item->op != op || item->type != type ||
            (args && !ash_kernel_runs(item->kernel, args, features)))
            continue;
        if (!choice.answers)
            choice.answers = choice.prompts = item;
        else if (has_layout_of(item->kernel, choice.answers->kernel) &&
                 item->prefill_ns < choice.prompts->prefill_ns)
            choice.prompts = item;
    }
    if (choice.answers && !is_clearly_less(choice.prompts->prefill_ns, choice.answers->prefill_ns))
        choice.prompts = choice.answers;
    return choice;
}

const struct ash_kernel *ash_ranking_choose(const struct ash_ranking *ranking,
    const struct ash_op *op, const struct ash_args *args, uint64_t features)
{
    struct choice choice = choose(ranking, op, args->in[1].type, args, features);
    if (!choice.answers)
        return ash_op_choose(op, args, features);
    return args->prompts ? choice.prompts->kernel : choice.answers->kernel;
}

const char *ash_ranked_use(const struct ash_ranking *ranking, const struct ash_ranked *item)
{
    struct choice choice = choose(ranking, item->op, item->type, NULL, 0);
    if (item == choice.answers)
        return item == choice.prompts ? "both" : "answers";
    return item == choice.prompts ? "prompts" : "";
}

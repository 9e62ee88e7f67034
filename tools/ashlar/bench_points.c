/* SPDX-License-Identifier: Apache-2.0 */
/* Which measurements a command line asks for, and whether this machine and the model have room for them. */
#include "models/model.h"
#include "runtime/memory.h"
#include "runtime/pool.h"
#include "tools/ashlar/bench.h"

#include <string.h>

enum { MOST_TOKENS = 1 << 24, MOST_SEQUENCES = 4096 };

/* ---- What to measure ---- */

struct list {
    int64_t item[BENCH_MOST_LIST];
    int count;
};

static enum ash_status read_list(
    const char *flag, const char *text, int64_t least, int64_t most, struct list *out)
{
    char word[32];
    out->count = 0;
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t length = strcspn(at, ",");
        if (out->count == BENCH_MOST_LIST)
            return ash_fail(ASH_ERR_ARGUMENT, "--%s: at most %d numbers", flag, BENCH_MOST_LIST);
        if (length >= sizeof word)
            return ash_fail(ASH_ERR_ARGUMENT, "--%s: expected numbers, found \"%s\"", flag, at);
        memcpy(word, at, length);
        word[length] = 0;
        ASH_TRY(ash_fail_in(
            ash_text_to_integer(word, least, most, &out->item[out->count++]), "--%s", flag));
    }
    return ASH_OK;
}

static void add_point(
    struct bench_points *points, bool decode, int64_t tokens, int64_t depth, int64_t sequences)
{
    if (tokens == 0)
        return;
    points->point[points->count++] =
        (struct bench_point){ decode, (int32_t)tokens, (int32_t)depth, (int32_t)sequences };
    if (points->positions < tokens + depth)
        points->positions = (int32_t)(tokens + depth);
    if (points->sequences < sequences)
        points->sequences = (int32_t)sequences;
}

enum ash_status bench_points_read(const struct bench_options *options, struct bench_points *points)
{
    struct list prompt, gen, depth, prompts, sequences;
    *points = (struct bench_points){ 0 };
    ASH_TRY(read_list("prompt", options->prompt, 0, MOST_TOKENS, &prompt));
    ASH_TRY(read_list("gen", options->gen, 0, MOST_TOKENS, &gen));
    ASH_TRY(read_list("depth", options->depth, 0, MOST_TOKENS, &depth));
    ASH_TRY(read_list("prompts", options->prompts, 1, MOST_SEQUENCES, &prompts));
    ASH_TRY(read_list("sequences", options->sequences, 1, MOST_SEQUENCES, &sequences));
    for (int d = 0; d < depth.count; d++) {
        for (int i = 0; i < prompt.count; i++)
            for (int s = 0; s < prompts.count; s++)
                add_point(points, false, prompt.item[i], depth.item[d], prompts.item[s]);
        for (int i = 0; i < gen.count; i++)
            for (int s = 0; s < sequences.count; s++)
                add_point(points, true, gen.item[i], depth.item[d], sequences.item[s]);
    }
    if (points->count == 0)
        return ash_fail(ASH_ERR_ARGUMENT, "--prompt 0 and --gen 0 leave nothing to measure");
    return ASH_OK;
}

/* ---- Whether it can be measured ---- */

static enum ash_status read_shape(
    const struct ash_config *config, struct ash_model_shape *out, uint64_t *bytes)
{
    char *path;
    struct ash_gguf *file;
    const struct ash_arch *arch;
    ASH_TRY(ash_model_find(config, config->model, &path));
    enum ash_status status = ash_gguf_open(path, &file);
    ash_free(path);
    ASH_TRY(status);
    *bytes = ash_gguf_file_bytes(file);
    status = ash_arch_find(file, &arch);
    if (status == ASH_OK)
        status = arch->read(file, out);
    ash_gguf_close(file);
    return status;
}

enum ash_status bench_points_check(const struct bench_points *points, struct ash_config *config)
{
    struct ash_model_shape shape = { 0 };
    uint64_t file_bytes;
    ASH_TRY(read_shape(config, &shape, &file_bytes));
    int64_t context = config->context ? config->context : shape.context;
    if (points->positions > context)
        return ash_fail(ASH_ERR_LIMIT,
            "%d positions are to be measured, depth and tokens together; %s has room for %lld: "
            "lower --depth, --prompt or --gen%s",
            points->positions, config->model, (long long)context,
            context < shape.context ? ", or raise --context" : "");
    int64_t pages = (points->positions + ASH_PAGE_POSITIONS - 1) / ASH_PAGE_POSITIONS + 1;
    int64_t page_bytes = ASH_PAGE_POSITIONS * ash_model_kv_bytes(&shape, config->kv_type);
    double wanted = (double)file_bytes + (double)pages * (double)page_bytes * points->sequences;
    double room = (double)ash_pool_room(-1);
    if (wanted > room)
        return ash_fail(ASH_ERR_NO_MEMORY,
            "%s with %d sequence%s of %d positions takes %.1f GiB; %.1f GiB are free: lower --depth, "
            "--prompts or --sequences, or take --kv-type q8_0",
            config->model, points->sequences, points->sequences == 1 ? "" : "s", points->positions,
            wanted / 0x1p30, room / 0x1p30);
    config->context = points->positions;
    return ASH_OK;
}

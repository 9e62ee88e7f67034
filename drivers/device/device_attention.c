/* SPDX-License-Identifier: Apache-2.0 */
/* RoPE and what works on the paged cache. */
#include "drivers/device/device_op.h"
#include "kernels/attention/attention.h"
#include "kernels/device_source.h"
#include "kernels/kv_cache.h"
#include "kernels/kv_write/kv_write.h"
#include "kernels/rope/rope.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- The table of angles ---- */

/* How far a position turns pair i, in 2^-64 turns; whole turns are dropped. */
static uint64_t angle_of(const struct ash_rope_params *params, int pair, double factor)
{
    double turns = (double)params->scale / (2 * M_PI) / factor *
                   pow((double)params->base, -2.0 * pair / params->dims);
    double rest = ldexp(turns - floor(turns), 64); /* rounding may give the whole of it */
    return rest < 0x1p64 ? (uint64_t)rest : 0;
}

static void pack_angles(
    const struct ash_rope_params *params, const struct ash_tensor *factors, void *out)
{
    for (int i = 0; i < params->dims / 2; i++) {
        float factor = 1;
        if (factors)
            memcpy(&factor, (const char *)factors->data + (size_t)i * sizeof factor, sizeof factor);
        uint64_t angle = angle_of(params, i, (double)factor);
        memcpy((char *)out + (size_t)i * sizeof angle, &angle, sizeof angle);
    }
}

/* The layout is of one base and scale: the name tells them apart, by their bits. */
static void name_angles(const struct ash_rope_params *params, struct ash_device_variant *out)
{
    uint32_t bits[2];
    memcpy(&bits[0], &params->base, sizeof bits[0]);
    memcpy(&bits[1], &params->scale, sizeof bits[1]);
    snprintf(out->layout, sizeof out->layout, "%08x%08x", bits[0], bits[1]);
}

static int64_t one_piece(const struct ash_args *args)
{
    (void)args;
    return 1;
}

static size_t angle_bytes(const struct ash_rope_params *params)
{
    size_t pairs = (size_t)params->dims / 2;
    return (pairs ? pairs : 1) * sizeof(uint64_t);
}

static bool is_factors(const struct ash_tensor *tensor)
{
    return tensor->rank == 0 || ash_device_is_plain(tensor);
}

/* ---- RoPE ---- */

static bool accepts_rope(const struct ash_args *args)
{
    return ash_device_is_plain(&args->in[0]) && is_factors(&args->in[1]) &&
           ash_device_is_plain(&args->out) && ash_device_fits(args);
}

static void choose_rope(const struct ash_args *args, struct ash_device_variant *out)
{
    *out = (struct ash_device_variant){ 0 };
    name_angles(args->params, out);
}

static size_t rope_bytes(const struct ash_args *args)
{
    return angle_bytes(args->params);
}

static void pack_rope(const struct ash_args *args, const struct ash_tensor *weight, int64_t first,
    int64_t last, void *out)
{
    (void)first, (void)last;
    pack_angles(args->params, weight, out);
}

static void bind_rope(const struct ash_args *args, struct ash_device_call *out)
{
    const struct ash_rope_params *params = args->params;
    *out = (struct ash_device_call){ .groups = args->in[0].dim[0],
        .args = { .tokens = args->batch->tokens,
            .columns = (int)ash_tensor_columns(&args->in[0]),
            .heads = params->heads,
            .head_size = params->head_size,
            .pairs = params->dims / 2,
            .mode = params->mode == ASH_ROPE_HALF } };
}

const struct ash_device_op ash_device_rope = {
    .op = &ash_op_rope,
    .source = ash_source_rope,
    .entries = (const char *const[]){ "rope", NULL },
    .accepts = accepts_rope,
    .choose = choose_rope,
    .packed_input = 1,
    .pieces = one_piece,
    .piece_bytes = rope_bytes,
    .pack = pack_rope,
    .bind = bind_rope,
};

/* ---- Writing the cache ---- */

static bool is_cache(const struct ash_tensor *tensor)
{
    return tensor->type == ASH_F32 || tensor->type == ASH_F16 || tensor->type == ASH_Q8_0;
}

static int name_cache(const char *op, const struct ash_tensor *cache, char *out, size_t capacity)
{
    int length = snprintf(out, capacity, "%s-%s", op, ash_type_info(cache->type)->name);
    for (char *letter = out; *letter; letter++)
        *letter = (char)tolower((unsigned char)*letter);
    return length;
}

static bool accepts_kv_write(const struct ash_args *args)
{
    return ash_device_is_plain(&args->in[0]) && ash_device_is_plain(&args->in[1]) &&
           is_cache(&args->in[2]) && is_factors(&args->in[4]) && ash_device_fits(args) &&
           args->in[0].dim[0] * args->in[2].dim[1] < INT32_MAX;
}

static void choose_kv_write(const struct ash_args *args, struct ash_device_variant *out)
{
    const struct ash_kv_write_params *params = args->params;
    *out = (struct ash_device_variant){ 0 };
    name_cache("kv_write", &args->in[2], out->name, sizeof out->name);
    snprintf(out->options, sizeof out->options, "-DCACHE=%d", (int)args->in[2].type);
    name_angles(&params->rope, out);
}

static size_t kv_write_bytes(const struct ash_args *args)
{
    return angle_bytes(&((const struct ash_kv_write_params *)args->params)->rope);
}

static void pack_kv_write(const struct ash_args *args, const struct ash_tensor *weight,
    int64_t first, int64_t last, void *out)
{
    (void)first, (void)last;
    pack_angles(&((const struct ash_kv_write_params *)args->params)->rope, weight, out);
}

static void bind_kv_write(const struct ash_args *args, struct ash_device_call *out)
{
    const struct ash_rope_params *rope = &((const struct ash_kv_write_params *)args->params)->rope;
    const struct ash_tensor *cache = &args->in[2];
    *out = (struct ash_device_call){ .groups = args->in[0].dim[0] * cache->dim[1],
        .args = { .tokens = args->batch->tokens,
            .kv_heads = (int)cache->dim[1],
            .head_size = (int)cache->dim[3],
            .pairs = rope->dims / 2,
            .mode = rope->mode == ASH_ROPE_HALF } };
}

const struct ash_device_op ash_device_kv_write = {
    .op = &ash_op_kv_write,
    .source = ash_source_kv_write,
    .entries = (const char *const[]){ "kv_write", NULL },
    .accepts = accepts_kv_write,
    .choose = choose_kv_write,
    .packed_input = 4,
    .pieces = one_piece,
    .piece_bytes = kv_write_bytes,
    .pack = pack_kv_write,
    .bind = bind_kv_write,
};

/* ---- Attention ---- */

static bool accepts_attention(const struct ash_args *args)
{
    const struct ash_attention_params *params = args->params;
    return ash_device_is_plain(&args->in[0]) && is_cache(&args->in[1]) &&
           args->in[2].type == args->in[1].type && ash_device_is_plain(&args->out) &&
           ash_device_fits(args) && args->in[0].dim[0] * params->heads < INT32_MAX;
}

/* Channels of an item, for heads of up to 32 times as many: few enough to be built ahead. */
static int count_lanes(int64_t head_size)
{
    static const int lanes[] = { 1, 2, 3, 4, 6, 8, 16 };
    static_assert(ASH_KV_MAX_HEAD_SIZE <= 16 * 32, "the widest serves every head");
    int i = 0;
    while (lanes[i] * 32 < head_size)
        i++;
    return lanes[i];
}

static void choose_attention(const struct ash_args *args, struct ash_device_variant *out)
{
    int lanes = count_lanes(args->in[1].dim[3]);
    *out = (struct ash_device_variant){ 0 };
    int length = name_cache("attention", &args->in[1], out->name, sizeof out->name);
    snprintf(out->name + length, sizeof out->name - (size_t)length, "-%d", lanes * 32);
    snprintf(
        out->options, sizeof out->options, "-DCACHE=%d -DLANES=%d", (int)args->in[1].type, lanes);
}

/* Groups that keep a large card busy. */
enum { ENOUGH_GROUPS = 512 };

/* How many parts the longest sequence has, where there are too few groups without; 0 = they are enough, or
 * the scratch is not. */
static int count_parts(const struct ash_args *args, int64_t groups)
{
    const struct ash_attention_params *params = args->params;
    const struct ash_batch *batch = args->batch;
    int64_t positions = 0, floats;
    for (int32_t i = 0; i < batch->spans; i++) {
        int64_t end = (int64_t)batch->span[i].first_position + batch->span[i].tokens;
        positions = end > positions ? end : positions;
    }
    int64_t parts = (positions + ASH_ATTENTION_PART - 1) / ASH_ATTENTION_PART;
    if (args->in[3].rank == 0 || parts < 2 || groups >= ENOUGH_GROUPS ||
        __builtin_mul_overflow(
            args->in[0].dim[0] * params->heads * (args->in[1].dim[3] + 2), parts, &floats) ||
        floats > args->in[3].dim[0] - ASH_ATTENTION_COUNTERS)
        return 0;
    return (int)parts;
}

static int64_t count_groups(int64_t queries)
{
    return (queries + ATTENTION_QUERIES - 1) / ATTENTION_QUERIES;
}

static void bind_attention(const struct ash_args *args, struct ash_device_call *out)
{
    static_assert(ATTENTION_PART == ASH_ATTENTION_PART, "parts are the operator's");
    static_assert(ATTENTION_COUNTERS == ASH_ATTENTION_COUNTERS, "and so is the scratch");
    const struct ash_attention_params *params = args->params;
    const struct ash_tensor *cache = &args->in[1];
    int64_t kv_heads = cache->dim[1], rows = args->in[0].dim[0] * params->heads;
    int64_t groups = count_groups(rows / kv_heads) * kv_heads;
    int parts = count_parts(args, groups);
    *out = (struct ash_device_call){ .groups = parts ? groups * parts : groups,
        .then_entry = 1,
        .then_groups = parts ? count_groups(rows) : 0,
        .args = { .tokens = args->batch->tokens,
            .heads = params->heads,
            .kv_heads = (int)kv_heads,
            .head_size = (int)cache->dim[3],
            .window = params->window,
            .parts = parts,
            .scale = params->scale,
            .softcap = params->softcap } };
}

const struct ash_device_op ash_device_attention = {
    .op = &ash_op_attention,
    .source = ash_source_attention,
    .entries = (const char *const[]){ "attention", "attention_join", NULL },
    .accepts = accepts_attention,
    .choose = choose_attention,
    .bind = bind_attention,
};

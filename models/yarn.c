/* SPDX-License-Identifier: Apache-2.0 */
#include "models/yarn.h"

#include <math.h>

struct settings {
    uint32_t original_context;
    float stretch;              /* s >= 1 */
    float beta_fast, beta_slow; /* 32 and 1 in the paper */
};

/* Numbers that other engines use for models which no file of this family should carry. */
static enum ash_status check_variant(const struct ash_gguf *file)
{
    float extrapolation, multiplier;
    ASH_TRY(
        ash_gguf_get_f32_or(file, ".rope.scaling.yarn_ext_factor", 1, -1e6f, 1e6f, &extrapolation));
    ASH_TRY(ash_gguf_get_f32_or(
        file, ".rope.scaling.yarn_log_multiplier", 0, -1e6f, 1e6f, &multiplier));
    if ((extrapolation == 1 || extrapolation < 0) && multiplier == 0) /* negative: not set */
        return ASH_OK;
    return ash_fail(ASH_ERR_UNSUPPORTED,
        "%s: YaRN with yarn_ext_factor %g and yarn_log_multiplier %g; this build knows it with 1 and 0",
        ash_gguf_path(file), (double)extrapolation, (double)multiplier);
}

static enum ash_status read_settings(const struct ash_gguf *file, struct settings *out)
{
    uint32_t trained;
    ASH_TRY(ash_gguf_get_u32(file, ".context_length", 1, UINT32_MAX, &trained));
    ASH_TRY(ash_gguf_get_u32_or(file, ".rope.scaling.original_context_length", trained, 1,
        UINT32_MAX, &out->original_context));
    ASH_TRY(ash_gguf_get_f32(file, ".rope.scaling.factor", 1, 1e6f, &out->stretch));
    ASH_TRY(ash_gguf_get_f32_or(
        file, ".rope.scaling.yarn_beta_fast", 32, 1e-3f, 1e6f, &out->beta_fast));
    ASH_TRY(
        ash_gguf_get_f32_or(file, ".rope.scaling.yarn_beta_slow", 1, 1e-3f, 1e6f, &out->beta_slow));
    if (out->beta_fast < out->beta_slow)
        return ash_fail(ASH_ERR_FORMAT, "%s: YaRN's beta_fast %g is below its beta_slow %g",
            ash_gguf_path(file), (double)out->beta_fast, (double)out->beta_slow);
    return ASH_OK;
}

/* The pair, a fraction, that turns `turns` times in the original context. */
static double pair_of(const struct settings *settings, double turns, int dims, double base)
{
    const double tau = 6.283185307179586;
    return dims * log((double)settings->original_context / (turns * tau)) / (2 * log(base));
}

static void make_factors(const struct settings *settings, int dims, double base, float *out)
{
    double low = floor(pair_of(settings, (double)settings->beta_fast, dims, base));
    double high = ceil(pair_of(settings, (double)settings->beta_slow, dims, base));
    low = low > 0 ? low : 0;
    high = high < dims - 1 ? high : dims - 1;
    double width = high - low > 0.001 ? high - low : 0.001;
    for (int i = 0; i < dims / 2; i++) {
        double ramp = (i - low) / width;
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        out[i] = (float)(1 / (1 - ramp + ramp / (double)settings->stretch));
    }
}

enum ash_status ash_yarn_read(
    const struct ash_gguf *file, int dims, float base, struct ash_yarn *out)
{
    struct settings settings;
    float attention, more; /* two names for one thing */
    ASH_TRY(check_variant(file));
    ASH_TRY(read_settings(file, &settings));
    ASH_TRY(ash_gguf_get_f32_or(file, ".rope.scaling.attn_factor", 1, 1e-3f, 1e3f, &attention));
    ASH_TRY(ash_gguf_get_f32_or(file, ".rope.scaling.yarn_attn_factor", 1, 1e-3f, 1e3f, &more));
    out->used = true;
    out->magnitude =
        (float)((double)attention * (double)more * (0.1 * log((double)settings.stretch) + 1));
    make_factors(&settings, dims, (double)base, out->factor);
    return ASH_OK;
}

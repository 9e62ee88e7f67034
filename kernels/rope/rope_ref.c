/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/rope/rope_internal.h"

#include <math.h>
#include <stddef.h>

void ash_rope_ref_head(
    const struct ash_rope_params *params, const float *factors, int32_t position, double *head)
{
    int pairs = params->dims / 2;
    bool half = params->mode == ASH_ROPE_HALF;
    for (int i = 0; i < pairs; i++) {
        double frequency = pow((double)params->base, -2.0 * i / params->dims);
        double angle = position * (double)params->scale * frequency;
        angle /= factors ? (double)factors[i] : 1;
        double *a = head + (half ? i : 2 * i), *b = head + (half ? i + pairs : 2 * i + 1);
        double turned = *a * cos(angle) - *b * sin(angle);
        *b = *a * sin(angle) + *b * cos(angle);
        *a = turned;
    }
}

void ash_rope_ref(const struct ash_args *args)
{
    const struct ash_rope_params *params = args->params;
    const float *factors = args->in[1].rank > 0 ? args->in[1].data : NULL;
    const float *x = args->in[0].data;
    float *out = args->out.data;
    int64_t size = params->head_size;
    for (int64_t h = 0; h < args->in[0].dim[0] * params->heads; h++) {
        double head[ASH_ROPE_MAX_DIMS];
        for (int64_t d = 0; d < params->dims; d++)
            head[d] = (double)x[h * size + d];
        ash_rope_ref_head(
            params, factors, ash_batch_position(args->batch, h / params->heads), head);
        for (int64_t d = 0; d < size; d++)
            out[h * size + d] = d < params->dims ? (float)head[d] : x[h * size + d];
    }
}

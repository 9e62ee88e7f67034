/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/glu/glu_internal.h"

#include <math.h>

static double activate(double x, enum ash_activation activation)
{
    if (activation == ASH_GELU)
        return x / 2 * (1 + tanh(sqrt(M_2_PI) * (x + 0.044715 * x * x * x)));
    if (activation == ASH_GELU_ERF)
        return x / 2 * erfc(-x * M_SQRT1_2);
    return x / (1 + exp(-x));
}

void ash_glu_ref(const struct ash_args *args)
{
    const struct ash_glu_params *params = args->params;
    const float *gate = args->in[0].data, *up = args->in[1].data;
    float *out = args->out.data;
    for (int64_t i = 0; i < ash_tensor_elements(&args->in[0]); i++)
        out[i] = (float)(activate((double)gate[i], params->activation) * (double)up[i]);
}

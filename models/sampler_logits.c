/* SPDX-License-Identifier: Apache-2.0 */
#include "models/sampler.h"
#include "models/sampler_internal.h"

/* log of the sum of e^x; -INFINITY if every token is impossible. */
static double log_sum(const float *logits, int32_t vocabulary)
{
    double largest = ASH_IMPOSSIBLE, sum = 0;
    for (int32_t i = 0; i < vocabulary; i++)
        largest = ash_exact_logit((double)logits[i]) > largest ? ash_exact_logit((double)logits[i])
                                                               : largest;
    if (largest == ASH_IMPOSSIBLE)
        return ASH_IMPOSSIBLE;
    for (int32_t i = 0; i < vocabulary; i++)
        sum += ash_exact_exp(ash_exact_logit((double)logits[i]) - largest);
    return largest + ash_exact_log(sum);
}

double ash_logits_log_probability(const float *logits, int32_t vocabulary, int32_t token)
{
    double logit = ash_exact_logit((double)logits[token]);
    return logit == ASH_IMPOSSIBLE ? ASH_IMPOSSIBLE : logit - log_sum(logits, vocabulary);
}

size_t ash_logits_top(
    const float *logits, int32_t vocabulary, size_t count, struct ash_candidate *out)
{
    size_t kept = 0;
    double total = log_sum(logits, vocabulary);
    for (int32_t token = 0; token < vocabulary && count > 0; token++) {
        double logit = ash_exact_logit((double)logits[token]);
        if (logit == ASH_IMPOSSIBLE || (kept == count && logit <= out[kept - 1].log_probability))
            continue;
        size_t at = kept < count ? kept++ : count - 1;
        for (; at > 0 && out[at - 1].log_probability < logit; at--)
            out[at] = out[at - 1];
        out[at] = (struct ash_candidate){ .token = token, .log_probability = logit };
    }
    /* Logits so far: now that only the best are left, their probabilities. */
    for (size_t i = 0; i < kept; i++) {
        out[i].log_probability -= total;
        out[i].probability = ash_exact_exp(out[i].log_probability < 0 ? out[i].log_probability : 0);
    }
    return kept;
}

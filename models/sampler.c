/* SPDX-License-Identifier: Apache-2.0 */
#include "models/sampler.h"

#include "models/sampler_internal.h"
#include "runtime/memory.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* How often a token is among the last accepted ones. */
struct seen {
    int32_t token;
    int32_t count;
};

/* A token whose logit is not the model's: penalised or biased. */
struct edit {
    int32_t token;
    double logit;
};

/* All that the caller gave for one token, added up. */
struct total_bias {
    int32_t token;
    double bias;
};

struct ash_sampler {
    struct ash_sampler_options options;
    int32_t vocabulary;
    struct ash_random random;

    struct total_bias *bias; /* sorted by token, one a token */
    size_t bias_count;

    int32_t *history; /* a ring of the last accepted tokens */
    size_t history_capacity, history_count, history_next;
    struct seen *seen; /* of the history, sorted by token */
    size_t seen_count;

    struct edit *edit; /* of the choice under way, sorted by token */
    size_t edit_count;

    struct ash_choice *choice;
    size_t choice_capacity, choice_count;
};

static enum ash_status check_options(const struct ash_sampler_options *o, int32_t vocabulary)
{
    /* Written so that NaN fails too. */
    const struct {
        bool good;
        const char *rule;
        double found;
    } rules[] = {
        { o->temperature >= 0 && o->temperature <= DBL_MAX, "temperature must be 0 or more",
            o->temperature },
        { o->top_k >= 0, "top_k must be 0 (off) or more", o->top_k },
        { o->typical_p > 0 && o->typical_p <= 1, "typical_p must be above 0 and at most 1 (off)",
            o->typical_p },
        { o->top_p > 0 && o->top_p <= 1, "top_p must be above 0 and at most 1 (off)", o->top_p },
        { o->min_p >= 0 && o->min_p <= 1, "min_p must be from 0 (off) to 1", o->min_p },
        { o->repeat_penalty > 0 && o->repeat_penalty <= DBL_MAX,
            "repeat_penalty must be above 0 (1 is off)", o->repeat_penalty },
        { fabs(o->frequency_penalty) <= DBL_MAX, "frequency_penalty must be finite",
            o->frequency_penalty },
        { fabs(o->presence_penalty) <= DBL_MAX, "presence_penalty must be finite",
            o->presence_penalty },
        { o->penalty_last_n >= 0 && o->penalty_last_n <= 1 << 24,
            "penalty_last_n must be from 0 (off) to 16777216", o->penalty_last_n },
        { vocabulary > 0, "a vocabulary must have tokens", vocabulary },
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (!rules[i].good)
            return ash_fail(ASH_ERR_ARGUMENT, "%s; found %g", rules[i].rule, rules[i].found);
    return ASH_OK;
}

/* Index of the first item whose token is not below `token`; `items` have the token in front. */
static size_t lower_bound(const void *items, size_t count, size_t item_bytes, int32_t token)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        int32_t found;
        memcpy(&found, (const char *)items + middle * item_bytes, sizeof found);
        if (found < token)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

static enum ash_status add_bias(struct ash_sampler *s, struct ash_logit_bias bias)
{
    if (bias.token < 0 || bias.token >= s->vocabulary)
        return ash_fail(ASH_ERR_ARGUMENT, "logit bias for token %d; the vocabulary has 0 to %d",
            bias.token, s->vocabulary - 1);
    if (isnan(bias.bias))
        return ash_fail(ASH_ERR_ARGUMENT, "logit bias for token %d is not a number", bias.token);
    size_t at = lower_bound(s->bias, s->bias_count, sizeof *s->bias, bias.token);
    if (at < s->bias_count && s->bias[at].token == bias.token) {
        /* To forbid wins over anything else. */
        double sum = s->bias[at].bias + (double)bias.bias;
        s->bias[at].bias = isnan(sum) ? ASH_IMPOSSIBLE : sum;
        return ASH_OK;
    }
    memmove(s->bias + at + 1, s->bias + at, (s->bias_count - at) * sizeof *s->bias);
    s->bias[at] = (struct total_bias){ bias.token, (double)bias.bias };
    s->bias_count++;
    return ASH_OK;
}

static bool penalises(const struct ash_sampler_options *o)
{
    return o->penalty_last_n > 0 &&
           (o->repeat_penalty != 1 || o->frequency_penalty != 0 || o->presence_penalty != 0);
}

static bool allocate(struct ash_sampler *s)
{
    const struct ash_sampler_options *o = &s->options;
    size_t vocabulary = (size_t)s->vocabulary, top_k = (size_t)o->top_k;
    s->history_capacity = penalises(o) ? (size_t)o->penalty_last_n : 0;
    s->choice_capacity = o->temperature == 0 ? 1 : top_k && top_k < vocabulary ? top_k : vocabulary;
    s->bias = ash_alloc_array(o->bias_count, sizeof *s->bias);
    s->history = ash_alloc_array(s->history_capacity, sizeof *s->history);
    s->seen = ash_alloc_array(s->history_capacity, sizeof *s->seen);
    s->edit = ash_alloc_array(s->history_capacity + o->bias_count, sizeof *s->edit);
    s->choice = ash_alloc_array(s->choice_capacity, sizeof *s->choice);
    return s->bias && s->history && s->seen && s->edit && s->choice;
}

enum ash_status ash_sampler_create(
    const struct ash_sampler_options *options, int32_t vocabulary, struct ash_sampler **out)
{
    ASH_TRY(check_options(options, vocabulary));
    struct ash_sampler *s = ash_alloc_zero(sizeof *s);
    if (!s)
        return ash_fail_memory(sizeof *s, "a sampler");
    s->options = *options;
    s->vocabulary = vocabulary;
    enum ash_status status = ASH_OK;
    if (!allocate(s))
        status = ash_fail_memory(s->choice_capacity * sizeof *s->choice, "a sampler's candidates");
    for (size_t i = 0; status == ASH_OK && i < options->bias_count; i++)
        status = add_bias(s, options->bias[i]);
    if (status != ASH_OK) {
        ash_sampler_destroy(s);
        return status;
    }
    s->options.bias = NULL; /* the caller's; ours is s->bias */
    ash_sampler_reset(s, options->seed);
    *out = s;
    return ASH_OK;
}

void ash_sampler_destroy(struct ash_sampler *s)
{
    if (!s)
        return;
    ash_free(s->bias);
    ash_free(s->history);
    ash_free(s->seen);
    ash_free(s->edit);
    ash_free(s->choice);
    ash_free(s);
}

void ash_sampler_reset(struct ash_sampler *s, uint64_t seed)
{
    s->history_count = s->history_next = s->seen_count = s->choice_count = 0;
    ash_random_seed(&s->random, seed);
}

static void forget(struct ash_sampler *s, int32_t token)
{
    size_t at = lower_bound(s->seen, s->seen_count, sizeof *s->seen, token);
    assert(at < s->seen_count && s->seen[at].token == token);
    if (--s->seen[at].count > 0)
        return;
    s->seen_count--;
    memmove(s->seen + at, s->seen + at + 1, (s->seen_count - at) * sizeof *s->seen);
}

static void remember(struct ash_sampler *s, int32_t token)
{
    size_t at = lower_bound(s->seen, s->seen_count, sizeof *s->seen, token);
    if (at < s->seen_count && s->seen[at].token == token) {
        s->seen[at].count++;
        return;
    }
    memmove(s->seen + at + 1, s->seen + at, (s->seen_count - at) * sizeof *s->seen);
    s->seen[at] = (struct seen){ token, 1 };
    s->seen_count++;
}

void ash_sampler_accept(struct ash_sampler *s, int32_t token)
{
    assert(token >= 0 && token < s->vocabulary);
    if (s->history_capacity == 0)
        return;
    if (s->history_count == s->history_capacity)
        forget(s, s->history[s->history_next]);
    else
        s->history_count++;
    s->history[s->history_next] = token;
    s->history_next = (s->history_next + 1) % s->history_capacity;
    remember(s, token);
}

static double penalise(const struct ash_sampler_options *o, double logit, int32_t count)
{
    logit = logit > 0 ? logit / o->repeat_penalty : logit * o->repeat_penalty;
    return logit - (count * o->frequency_penalty + o->presence_penalty);
}

/* Bias first, then penalties, for the few tokens that have either: the two sorted lists merged. */
static void make_edits(struct ash_sampler *s, const float *logits)
{
    size_t b = 0, n = 0;
    s->edit_count = 0;
    while (b < s->bias_count || n < s->seen_count) {
        bool biased =
            b < s->bias_count && (n == s->seen_count || s->bias[b].token <= s->seen[n].token);
        bool seen =
            n < s->seen_count && (b == s->bias_count || s->seen[n].token <= s->bias[b].token);
        int32_t token = biased ? s->bias[b].token : s->seen[n].token;
        double logit = ash_exact_logit((double)logits[token]);
        if (biased)
            logit = ash_exact_logit(logit + s->bias[b++].bias);
        if (seen)
            logit = ash_exact_logit(penalise(&s->options, logit, s->seen[n++].count));
        s->edit[s->edit_count++] = (struct edit){ token, logit };
    }
}

/*
 * One more candidate while there is room; then only instead of the one that comes last, which a heap
 * keeps at its root. Room for the whole vocabulary needs no heap and leaves tokens in their order.
 */
static void offer(struct ash_sampler *s, int32_t token, double logit)
{
    struct ash_choice offered = { .key = logit, .logit = logit, .token = token };
    if (s->choice_count < s->choice_capacity) {
        s->choice[s->choice_count++] = offered;
        if (s->choice_count == s->choice_capacity && s->choice_capacity < (size_t)s->vocabulary)
            ash_heap_make(s->choice, s->choice_count, false);
    } else if (ash_choice_before(&offered, &s->choice[0])) {
        s->choice[0] = offered;
        ash_heap_sink(s->choice, s->choice_count, 0, false);
    }
}

/* What a later, higher token must exceed to be a candidate: ties go to the lower one. */
static double entry(const struct ash_sampler *s)
{
    return s->choice_count == s->choice_capacity ? s->choice[0].logit : ASH_IMPOSSIBLE;
}

/* Offers the unedited logits of tokens [first, last). Nearly all stop at one comparison. */
static void offer_range(struct ash_sampler *s, const float *logits, int32_t first, int32_t last)
{
    double least = entry(s);
    for (int32_t token = first; token < last; token++) {
        if (!((double)logits[token] > least)) /* so written, NaN stops here too */
            continue;
        offer(s, token, ash_exact_logit((double)logits[token]));
        least = entry(s);
    }
}

static void collect(struct ash_sampler *s, const float *logits)
{
    int32_t next = 0;
    s->choice_count = 0;
    for (size_t i = 0; i < s->edit_count; i++) {
        offer_range(s, logits, next, s->edit[i].token);
        if (s->edit[i].logit > ASH_IMPOSSIBLE)
            offer(s, s->edit[i].token, s->edit[i].logit);
        next = s->edit[i].token + 1;
    }
    offer_range(s, logits, next, s->vocabulary);
}

static double largest_logit(const struct ash_sampler *s)
{
    double largest = ASH_IMPOSSIBLE;
    for (size_t i = 0; i < s->choice_count; i++)
        if (s->choice[i].logit > largest)
            largest = s->choice[i].logit;
    return largest;
}

/* p of each candidate, summed from the first to the last. */
static void softmax(struct ash_sampler *s, double temperature)
{
    double largest = largest_logit(s), sum = 0;
    for (size_t i = 0; i < s->choice_count; i++)
        sum += s->choice[i].p = ash_exact_exp((s->choice[i].logit - largest) / temperature);
    for (size_t i = 0; i < s->choice_count; i++)
        s->choice[i].p /= sum;
}

/*
 * Keeps, in order of key, the fewest whose p add up to `limit` (`beyond`: to more than it). They end
 * up in front, first to last; only they are ever ordered.
 */
static void keep_mass(struct ash_sampler *s, double limit, bool beyond)
{
    struct ash_choice *choice = s->choice;
    size_t count = s->choice_count, left = count;
    double sum = 0;
    ash_heap_make(choice, count, true);
    while (left > 0 && (beyond ? sum <= limit : sum < limit)) {
        sum += choice[0].p;
        ash_heap_pop(choice, left--, true);
    }
    s->choice_count = count - left;
    memmove(choice, choice + left, s->choice_count * sizeof *choice); /* last to first */
    for (size_t i = 0, j = s->choice_count - 1; i < j; i++, j--) {
        struct ash_choice old = choice[i];
        choice[i] = choice[j];
        choice[j] = old;
    }
}

/*
 * -log p - H = (log Z - x) - (log Z - sum p x) = sum p x - x: no logarithm needed. The key is its
 * magnitude, negated, because larger keys come first.
 */
static void keep_typical(struct ash_sampler *s)
{
    double mean = 0, largest = largest_logit(s);
    softmax(s, 1);
    for (size_t i = 0; i < s->choice_count; i++)
        mean += s->choice[i].p * (s->choice[i].logit - largest);
    for (size_t i = 0; i < s->choice_count; i++)
        s->choice[i].key = -fabs(mean - (s->choice[i].logit - largest));
    keep_mass(s, s->options.typical_p, true);
    for (size_t i = 0; i < s->choice_count; i++)
        s->choice[i].key = s->choice[i].logit;
}

static void keep_top_p(struct ash_sampler *s)
{
    softmax(s, 1);
    keep_mass(s, s->options.top_p, false);
}

static void keep_min_p(struct ash_sampler *s)
{
    double largest = largest_logit(s);
    size_t kept = 0;
    for (size_t i = 0; i < s->choice_count; i++)
        if (ash_exact_exp(s->choice[i].logit - largest) >= s->options.min_p)
            s->choice[kept++] = s->choice[i];
    s->choice_count = kept;
}

/* The candidates in order, with their final p. */
static void filter(struct ash_sampler *s)
{
    const struct ash_sampler_options *o = &s->options;
    /* Every later sum goes over this order, whatever the heaps did. */
    if (s->choice_capacity < (size_t)s->vocabulary)
        ash_choices_sort(s->choice, s->choice_count);
    if (o->typical_p < 1)
        keep_typical(s);
    if (o->top_p < 1)
        keep_top_p(s);
    if (o->min_p > 0)
        keep_min_p(s);
    softmax(s, o->temperature);
}

static int32_t draw(struct ash_sampler *s)
{
    double unit = ash_random_unit(&s->random), sum = 0;
    for (size_t i = 0; i < s->choice_count; i++) {
        sum += s->choice[i].p;
        if (unit < sum)
            return s->choice[i].token;
    }
    /* Rounding left the sum below the draw: the last one that is possible at all. */
    size_t last = s->choice_count - 1;
    while (last > 0 && s->choice[last].p == 0)
        last--;
    return s->choice[last].token;
}

enum ash_status ash_sampler_choose(struct ash_sampler *s, const float *logits, int32_t *out_token)
{
    make_edits(s, logits);
    collect(s, logits);
    if (s->choice_count == 0)
        return ash_fail(ASH_ERR_ARGUMENT,
            "no token can be chosen: every logit is NaN, -infinity or forbidden by a bias");
    if (s->options.temperature == 0) {
        s->choice[0].p = 1;
        *out_token = s->choice[0].token;
        return ASH_OK;
    }
    filter(s);
    *out_token = draw(s);
    return ASH_OK;
}

static void export(const struct ash_choice *choice, struct ash_candidate *out)
{
    *out = (struct ash_candidate){
        .token = choice->token,
        .probability = choice->p,
        .log_probability = choice->p > 0 ? ash_exact_log(choice->p) : ASH_IMPOSSIBLE,
    };
}

size_t ash_sampler_candidates(
    const struct ash_sampler *s, size_t capacity, struct ash_candidate *out)
{
    size_t written = 0;
    /* By selection over a few: the candidates may be the whole vocabulary in token order. */
    for (const struct ash_choice *previous = NULL; written < capacity; written++) {
        const struct ash_choice *best = NULL;
        for (size_t i = 0; i < s->choice_count; i++) {
            const struct ash_choice *choice = &s->choice[i];
            if (previous && !ash_choice_before(previous, choice))
                continue;
            if (!best || ash_choice_before(choice, best))
                best = choice;
        }
        if (!best)
            break;
        export(best, &out[written]);
        previous = best;
    }
    return written;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* `ashlar bench`: how fast a model runs here, or single operators, and how far from this machine's roof. */
#include "tools/ashlar/bench.h"
#include "tools/ashlar/commands.h"
#include "tools/ashlar/load.h"

static enum ash_status run(struct ash_cli *cli)
{
    const struct bench_options *options = cli->options;
    const char *name = cli->argument_count > 0 ? cli->argument[0] : NULL;
    if (name && !options->ops)
        return ash_fail(ASH_ERR_ARGUMENT,
            "\"%s\": a name is an operator's and goes with --ops; a model is given with -m", name);
    enum ash_status status = options->ops ? bench_ops(cli, name) : bench_model(cli);
    bench_say(cli, NULL);
    return status;
}

#define LIST(member, flag, short, standard, text)                                                  \
    {                                                                                              \
        .name = (flag), .letter = (short), .type = ASH_OPTION_TEXT,                                \
        .offset = offsetof(struct bench_options, member), .argument = "N,N...",                    \
        .fallback = (standard), .help = (text)                                                     \
    }
#define SWITCH(member, flag, text)                                                                 \
    {                                                                                              \
        .name = (flag), .type = ASH_OPTION_SWITCH,                                                 \
        .offset = offsetof(struct bench_options, member), .help = (text)                           \
    }

static const struct ash_option options[] = {
    LIST(prompt, "prompt", 'p', "512", "tokens to prefill, one measurement each; 0 = none"),
    LIST(gen, "gen", 'n', "128", "tokens to decode, one measurement each; 0 = none"),
    LIST(depth, "depth", 0, "0", "positions that are in the cache already"),
    LIST(prompts, "prompts", 0, "1", "prompts that are prefilled together"),
    LIST(sequences, "sequences", 0, "1", "sequences that decode together"),
    { "repeats", 'r', ASH_OPTION_INTEGER, offsetof(struct bench_options, repeats), "N", 1,
        BENCH_MOST_REPEATS, .fallback = "5", .help = "how often each is measured" },
    SWITCH(no_warm_up, "no-warm-up", "measure from the first run on"),
    SWITCH(no_roof, "no-roof", "do not measure the machine; no percentages then"),
    SWITCH(ops, "ops", "measure single operators instead, those with NAME in their name"),
    SWITCH(json, "json", "print JSON"),
    { 0 },
};

static const char *const settings[] = { ASH_LOAD_SETTINGS, "context", NULL };

static const struct ash_example examples[] = {
    { "ashlar bench -m smollm2", "prefill of 512 tokens, decoding of 128" },
    { "ashlar bench -p 0 -n 64 --depth 0,4000 --sequences 1,16", "decoding, in four ways" },
    { "ashlar bench -p 32 -n 0 --prompts 1,16",
        "one prompt of 32 tokens, and 16 of them together" },
    { "ashlar bench --ops matmul -t 1", "every matrix product on one thread" },
    { 0 },
};

const struct ash_command ash_command_bench = {
    .name = "bench",
    .summary = "measure speed, of a model or of single operators",
    .arguments = "[NAME]",
    .most_arguments = 1,
    .description =
        "Measures prefill (a prompt's tokens, in pieces of --batch-tokens) and decoding (one token a "
        "step and sequence), each at every depth; prefill also for every number of prompts that share "
        "those pieces, decoding for every number of sequences. Tokens are random, as in llama-bench; "
        "sampling and text are not part of it.\n"
        "\n"
        "Columns: tokens per second (median, least and most of the repeats); milliseconds of all "
        "prompts, or of one step of decoding; GB/s of weights and cache read, and what part that is of "
        "the bandwidth measured on this machine; GOP/s, and how much of the time the units that each "
        "operator's kernel computes with (int8, fp32, or the tile unit's) would take at their measured "
        "peaks; and the processors' time that others used meanwhile.\n"
        "\n"
        "With --ops, every operator at the shapes of models of 135M and 1B parameters, with each kernel "
        "that this machine can run. Weights are taken in turn from as much memory as a small model "
        "has, so that they do not stay in caches that a model would have left; activations stay where "
        "the operator before would have put them. ROOF says what bounds the operator: memory, the "
        "unit that its kernel computes with (int8, fp32, AMX int8, AMX bf16), or caches, which have no "
        "measured roof.",
    .options = options,
    .options_bytes = sizeof(struct bench_options),
    .settings = settings,
    .examples = examples,
    .run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* `ashlar synthesize`: model files with random weights, for measuring. */
#include "models/synthesize.h"
#include "models/model.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "tools/ashlar/commands.h"
#include "tools/ashlar/progress.h"
#include "tools/ashlar/show.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

/* Of a shape's numbers 0, or 0.0, says "as the named shape has it". */
struct options {
    int type, output_type, architecture, tied;
    int64_t layers, width, feed_forward, heads, kv_heads, head_size, vocabulary, context, seed;
    double rope_base, norm_epsilon;
    const char *tokenizer, *output;
    bool list, json;
};

enum { AS_NAMED = -1 };

static const struct ash_choice types[] = { { "F32", ASH_F32 }, { "F16", ASH_F16 },
    { "BF16", ASH_BF16 }, { "Q8_0", ASH_Q8_0 }, { "Q4_0", ASH_Q4_0 }, { "Q4_1", ASH_Q4_1 }, { 0 } };
static const struct ash_choice output_types[] = { { "auto", AS_NAMED }, { "F32", ASH_F32 },
    { "F16", ASH_F16 }, { "BF16", ASH_BF16 }, { "Q8_0", ASH_Q8_0 }, { "Q4_0", ASH_Q4_0 },
    { "Q4_1", ASH_Q4_1 }, { 0 } };
static const char *const architecture_names[] = { "llama", "qwen2" };
static const struct ash_choice architectures[] = { { "auto", AS_NAMED }, { "llama", 0 },
    { "qwen2", 1 }, { 0 } };
static const struct ash_choice tyings[] = { { "auto", AS_NAMED }, { "yes", 1 }, { "no", 0 },
    { 0 } };

static void override(int64_t given, int64_t *number)
{
    if (given)
        *number = given;
}

/* What a shape lacks that no default could guess. */
static enum ash_status check_complete(const struct ash_synthetic_shape *shape)
{
    const struct {
        const char *flag;
        int64_t value;
    } needed[] = { { "layers", shape->layers }, { "width", shape->channels },
        { "ffn", shape->feed_forward }, { "heads", shape->heads } };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (needed[i].value == 0)
            return ash_fail(ASH_ERR_ARGUMENT,
                "synthesize: name a shape, or give --%s too (--list shows the shapes)",
                needed[i].flag);
    return ASH_OK;
}

/* What can be told from the rest: one head's size, as many KV heads as heads. */
static void complete(const struct options *chosen, struct ash_synthetic_shape *shape)
{
    if (!chosen->kv_heads && shape->kv_heads == 0)
        shape->kv_heads = shape->heads;
    if (!chosen->head_size && shape->head_size == 0)
        shape->head_size = shape->channels / shape->heads;
}

static enum ash_status find_shape(const char *name, struct ash_synthetic_shape *out)
{
    const struct ash_synthetic_shape *found = ash_synthetic_shape_find(name);
    struct ash_guess guess = { .typed = name };
    for (const struct ash_synthetic_shape *s = ash_synthetic_shapes; s->name; s++)
        ash_guess_offer(&guess, s->name);
    if (!found)
        return ash_fail(ASH_ERR_NOT_FOUND, "synthesize: no shape \"%s\"%s (--list shows them)",
            name, ash_guess_hint(&guess));
    *out = *found;
    return ASH_OK;
}

static enum ash_status read_shape(const struct ash_cli *cli, struct ash_synthetic_shape *out)
{
    const struct options *chosen = cli->options;
    struct ash_synthetic_shape shape = { .name = "custom",
        .architecture = "llama",
        .context = 8192,
        .rope_base = 10000,
        .norm_epsilon = 1e-5,
        .tied = true };
    if (cli->argument_count)
        ASH_TRY(find_shape(cli->argument[0], &shape));
    override(chosen->layers, &shape.layers);
    override(chosen->width, &shape.channels);
    override(chosen->feed_forward, &shape.feed_forward);
    override(chosen->heads, &shape.heads);
    override(chosen->kv_heads, &shape.kv_heads);
    override(chosen->head_size, &shape.head_size);
    override(chosen->vocabulary, &shape.vocabulary);
    override(chosen->context, &shape.context);
    if (chosen->rope_base > 0)
        shape.rope_base = chosen->rope_base;
    if (chosen->norm_epsilon > 0)
        shape.norm_epsilon = chosen->norm_epsilon;
    if (chosen->architecture != AS_NAMED)
        shape.architecture = architecture_names[chosen->architecture];
    if (chosen->tied != AS_NAMED)
        shape.tied = chosen->tied;
    ASH_TRY(check_complete(&shape));
    complete(chosen, &shape);
    *out = shape;
    return ASH_OK;
}

/* Four bits are too few for the matrix that makes logits: real files of such types have Q8_0 there. */
static enum ash_type output_type(const struct options *chosen)
{
    if (chosen->output_type != AS_NAMED)
        return (enum ash_type)chosen->output_type;
    bool four_bits = chosen->type == ASH_Q4_0 || chosen->type == ASH_Q4_1;
    return four_bits ? ASH_Q8_0 : (enum ash_type)chosen->type;
}

/* ---- Making one ---- */

struct display {
    struct ash_progress progress;
    bool begun, silent;
    sigset_t stops; /* blocked meanwhile, and asked for between two pieces */
};

static bool on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct display *display = context;
    if (!display->begun)
        ash_progress_start(&display->progress, "writing", total_bytes, 0, display->silent);
    display->begun = true;
    ash_progress_update(&display->progress, done_bytes);
    return sigtimedwait(&display->stops, NULL, &(struct timespec){ 0 }) < 0;
}

static enum ash_status write_shown(struct ash_synthesis *what, const char *path, bool silent)
{
    struct display display = { .silent = silent };
    sigset_t before;
    sigemptyset(&display.stops);
    sigaddset(&display.stops, SIGINT);
    sigaddset(&display.stops, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &display.stops, &before);
    signal(SIGXFSZ, SIG_IGN); /* a quota is an error like a full disk, not the end of the program */
    what->progress = on_progress;
    what->context = &display;
    enum ash_status status = ash_synthesize(what, path);
    if (display.begun)
        ash_progress_finish(&display.progress);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static enum ash_status print(const struct ash_synthesis *what, const char *path, bool json)
{
    struct ash_gguf *made; /* read again: what is reported is what lies on the disk */
    char size[ASH_SHOW_BYTES];
    ASH_TRY(ash_gguf_open(path, &made));
    uint64_t size_bytes = ash_gguf_file_bytes(made);
    size_t tensors = ash_gguf_tensor_count(made);
    ash_gguf_close(made);
    if (!json) {
        printf("%s  %s, %zu tensors, %s\n", path, ash_show_bytes(size_bytes, size), tensors,
            ash_type_info(what->type)->name);
        return ASH_OK;
    }
    json_t *object = json_pack("{s:o, s:s, s:s, s:s, s:I, s:I}", "path",
        ash_json_text(path, strlen(path)), "shape", what->shape.name, "type",
        ash_type_info(what->type)->name, "output_type", ash_type_info(what->output_type)->name,
        "size_bytes", (json_int_t)size_bytes, "tensors", (json_int_t)tensors);
    enum ash_status status = ash_json_print(object, stdout);
    json_decref(object);
    return status;
}

static enum ash_status synthesize_to(
    const struct ash_cli *cli, struct ash_synthesis *what, const char *path)
{
    const struct options *chosen = cli->options;
    ASH_TRY(write_shown(what, path, cli->quiet || chosen->json));
    return print(what, path, chosen->json);
}

/* The tokenizer's file, opened: a path or the name of a model; the default model's where none is given. */
static enum ash_status open_tokenizer(const struct ash_cli *cli, struct ash_gguf **out)
{
    const struct options *chosen = cli->options;
    char *path;
    ASH_TRY(ash_model_find(
        &cli->config, chosen->tokenizer ? chosen->tokenizer : cli->config.model, &path));
    enum ash_status status = ash_gguf_open(path, out);
    ash_free(path);
    return ash_fail_in(status, "--tokenizer");
}

static enum ash_status list_shapes(void)
{
    printf("%-14s %-6s %6s %6s %6s %5s %8s %9s %10s\n", "NAME", "ARCH", "LAYERS", "WIDTH", "FFN",
        "HEADS", "KV HEADS", "HEAD SIZE", "VOCABULARY");
    for (const struct ash_synthetic_shape *s = ash_synthetic_shapes; s->name; s++)
        printf("%-14s %-6s %6lld %6lld %6lld %5lld %8lld %9lld %10lld\n", s->name, s->architecture,
            (long long)s->layers, (long long)s->channels, (long long)s->feed_forward,
            (long long)s->heads, (long long)s->kv_heads, (long long)s->head_size,
            (long long)s->vocabulary);
    return ASH_OK;
}

static enum ash_status run(struct ash_cli *cli)
{
    const struct options *chosen = cli->options;
    struct ash_synthesis what = { .type = (enum ash_type)chosen->type,
        .output_type = output_type(chosen),
        .seed = (uint64_t)chosen->seed };
    struct ash_gguf *tokenizer;
    if (chosen->list)
        return list_shapes();
    ASH_TRY(read_shape(cli, &what.shape));
    ASH_TRY(open_tokenizer(cli, &tokenizer));
    what.tokenizer = tokenizer;
    enum ash_status status;
    char *path = chosen->output
                     ? ash_strdup(chosen->output)
                     : ash_format("%s-%s.gguf", what.shape.name, ash_type_info(what.type)->name);
    status = path ? synthesize_to(cli, &what, path) : ash_fail_memory(64, "a file's name");
    ash_free(path);
    ash_gguf_close(tokenizer);
    return status;
}

#define NUMBER(flag, field, greatest, text)                                                        \
    {                                                                                              \
        .name = flag, .type = ASH_OPTION_INTEGER, .offset = offsetof(struct options, field),       \
        .argument = "N", .least = 1, .most = (greatest), .help = text                              \
    }
#define CHOICE(flag, field, names, otherwise, word, text)                                          \
    {                                                                                              \
        .name = flag, .type = ASH_OPTION_CHOICE, .offset = offsetof(struct options, field),        \
        .argument = word, .choices = names, .fallback = otherwise, .help = text                    \
    }

static const struct ash_option options[] = {
    CHOICE("type", type, types, "Q4_0", "TYPE", "type of the layers' matrices"),
    CHOICE("output-type", output_type, output_types, "auto", "TYPE",
        "type of the output matrix, or of the embedding where it is tied; auto: Q8_0 with 4-bit types, "
        "else the same"),
    { .name = "tokenizer",
        .type = ASH_OPTION_FILE,
        .offset = offsetof(struct options, tokenizer),
        .argument = "MODEL",
        .help = "file or model whose tokenizer is taken over; the default model's otherwise" },
    { .name = "output",
        .letter = 'o',
        .type = ASH_OPTION_FILE,
        .offset = offsetof(struct options, output),
        .argument = "FILE",
        .help = "where it goes; SHAPE-TYPE.gguf otherwise" },
    NUMBER("layers", layers, 1 << 20, "layers"),
    NUMBER("width", width, 1 << 30, "channels between layers"),
    NUMBER("ffn", feed_forward, 1 << 30, "channels inside the feed-forward"),
    NUMBER("heads", heads, 1 << 20, "query heads"),
    NUMBER("kv-heads", kv_heads, 1 << 20, "key and value heads; as many as heads otherwise"),
    NUMBER("head-size", head_size, 1 << 20, "channels of a head; width / heads otherwise"),
    NUMBER("vocabulary", vocabulary, 1 << 30, "tokens; the tokenizer's otherwise"),
    NUMBER("context", context, INT32_MAX, "positions that the file says it was trained for"),
    { .name = "rope-base",
        .type = ASH_OPTION_REAL,
        .offset = offsetof(struct options, rope_base),
        .argument = "X",
        .least_real = 1,
        .most_real = 1e12,
        .help = "base of the rotary positions" },
    { .name = "epsilon",
        .type = ASH_OPTION_REAL,
        .offset = offsetof(struct options, norm_epsilon),
        .argument = "X",
        .least_real = 1e-12,
        .most_real = 1,
        .help = "of the norms" },
    CHOICE("architecture", architecture, architectures, "auto", "NAME", "as the file calls it"),
    CHOICE("tied", tied, tyings, "auto", "YES", "whether the embedding is the output matrix too"),
    { .name = "seed",
        .type = ASH_OPTION_INTEGER,
        .offset = offsetof(struct options, seed),
        .argument = "N",
        .most = INT64_MAX,
        .fallback = "0",
        .help = "another seed, other weights" },
    { .name = "list", .offset = offsetof(struct options, list), .help = "list the named shapes" },
    { .name = "json", .offset = offsetof(struct options, json), .help = "print JSON" },
    { .name = NULL },
};

static const char *const settings[] = { "models_dir", NULL };

static const struct ash_example examples[] = {
    { "ashlar synthesize llama-3.2-1b --type Q8_0", "Write llama-3.2-1b-Q8_0.gguf." },
    { "ashlar synthesize smollm2-135m --layers 2 -o tiny.gguf",
        "A named shape, but for a number." },
    { "ashlar synthesize --list", "Show the named shapes." },
    { NULL, NULL },
};

const struct ash_command ash_command_synthesize = {
    .name = "synthesize",
    .summary = "write a model file with random weights, for measuring",
    .arguments = "[SHAPE]",
    .most_arguments = 1,
    .description =
        "Writes a GGUF file of a known model's shape, or of any other that the options say, with "
        "random weights and the tokenizer of a model at hand, filled up with unused tokens to the "
        "shape's vocabulary. It computes what the real model computes, as fast, and answers nonsense; "
        "llama.cpp and OpenVINO load it too.\n\n"
        "The same shape, types, seed and tokenizer give the same file on every machine. It appears "
        "whole or not at all.",
    .options = options,
    .options_bytes = sizeof(struct options),
    .settings = settings,
    .examples = examples,
    .run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* `ashlar tokenize`: what a model makes of a text. */
#include "models/model.h"
#include "models/utf8.h"
#include "runtime/json.h"
#include "runtime/log.h"
#include "runtime/memory.h"
#include "tools/ashlar/commands.h"
#include "tools/ashlar/files.h"

#include <string.h>

struct options {
    bool ids, pieces, json, count;
    bool special;
    bool no_bos;
};

static const struct ash_option options[] = {
    { .name = "ids",
        .offset = offsetof(struct options, ids),
        .help = "write the ids alone, as [1, 2, 3]" },
    { .name = "pieces",
        .offset = offsetof(struct options, pieces),
        .help = "write each token's text alone, one a line" },
    { .name = "count",
        .letter = 'c',
        .offset = offsetof(struct options, count),
        .help = "write how many tokens there are" },
    { .name = "json",
        .offset = offsetof(struct options, json),
        .help = "write JSON: id, text, bytes in hexadecimal and type of each token" },
    { .name = "special",
        .letter = 's',
        .offset = offsetof(struct options, special),
        .help = "take the names of special tokens, as <|im_start|>, for these tokens" },
    { .name = "no-bos",
        .offset = offsetof(struct options, no_bos),
        .help = "leave out the token that begins a sequence" },
    { .name = NULL },
};

static enum ash_status open_tokenizer(const char *path, struct ash_tokenizer **out)
{
    struct ash_gguf *gguf;
    ASH_TRY(ash_gguf_open(path, &gguf));
    enum ash_status status = ash_tokenizer_from_gguf(gguf, out);
    ash_gguf_close(gguf);
    return status;
}

static enum ash_status load(const struct ash_config *config, struct ash_tokenizer **out)
{
    char *path;
    ASH_TRY(ash_model_find(config, config->model, &path));
    enum ash_status status = open_tokenizer(path, out);
    ash_free(path);
    return status;
}

/* A token's text in double quotes on one line: what is no printable character as \n or \xHH. */
static void put_piece(const char *bytes, size_t length)
{
    putchar('"');
    size_t used;
    for (size_t at = 0; at < length; at += used) {
        uint32_t point;
        enum ash_utf8 kind = ash_utf8_next(bytes + at, length - at, &point, &used);
        const char *plain = "\n\r\t\"\\", *letter = "nrt\"\\";
        const char *found = point && point < 0x80 ? strchr(plain, (int)point) : NULL;
        bool control = point < 0x20 || (point >= 0x7F && point < 0xA0);
        if (found)
            printf("\\%c", letter[found - plain]);
        else if (kind == ASH_UTF8_VALID && !control)
            fwrite(bytes + at, 1, used, stdout);
        else
            for (size_t i = 0; i < used; i++)
                printf("\\x%02x", (unsigned char)bytes[at + i]);
    }
    putchar('"');
}

static void put_lines(
    const struct ash_tokenizer *tokenizer, const struct ash_tokens *tokens, bool with_ids)
{
    for (size_t i = 0; i < tokens->count; i++) {
        size_t length;
        const char *bytes = ash_tokenizer_piece(tokenizer, tokens->id[i], &length);
        if (with_ids)
            printf("%7d  ", (int)tokens->id[i]);
        put_piece(bytes, length);
        putchar('\n');
    }
}

static void put_ids(const struct ash_tokens *tokens)
{
    putchar('[');
    for (size_t i = 0; i < tokens->count; i++)
        printf("%s%d", i ? ", " : "", (int)tokens->id[i]);
    puts("]");
}

/* The bytes in hexadecimal: JSON's own text cannot hold half a character. */
static json_t *hex_json(const char *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    char *text = ash_alloc(2 * length + 1);
    if (!text)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        text[2 * i] = digits[(unsigned char)bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    json_t *value = json_stringn(text, 2 * length);
    ash_free(text);
    return value;
}

static json_t *token_json(const struct ash_tokenizer *tokenizer, int32_t id)
{
    static const char *const types[] = { "", "normal", "unknown", "control", "user-defined",
        "unused", "byte" };
    size_t length;
    const char *bytes = ash_tokenizer_piece(tokenizer, id, &length);
    return json_pack("{s:i, s:o, s:o, s:s}", "id", (int)id, "text", ash_json_text(bytes, length),
        "hex", hex_json(bytes, length), "type", types[ash_tokenizer_type(tokenizer, id)]);
}

static enum ash_status put_json(
    const struct ash_tokenizer *tokenizer, const struct ash_tokens *tokens)
{
    json_t *list = json_array();
    for (size_t i = 0; i < tokens->count && list; i++)
        if (json_array_append_new(list, token_json(tokenizer, tokens->id[i]))) {
            json_decref(list);
            list = NULL;
        }
    json_t *document = json_pack("{s:I, s:I, s:s, s:o}", "count", (json_int_t)tokens->count,
        "dropped_bytes", (json_int_t)tokens->dropped, "pre", ash_tokenizer_describe(tokenizer).pre,
        "tokens", list);
    enum ash_status status = ash_json_print(document, stdout);
    json_decref(document);
    return status;
}

static enum ash_status put(const struct options *chosen, const struct ash_tokenizer *tokenizer,
    const struct ash_tokens *tokens)
{
    if (chosen->json)
        return put_json(tokenizer, tokens);
    if (chosen->count)
        printf("%zu\n", tokens->count);
    else if (chosen->ids)
        put_ids(tokens);
    else
        put_lines(tokenizer, tokens, !chosen->pieces);
    if (tokens->dropped)
        ash_log(ASH_LOG_WARN, "%llu bytes left out: the model's vocabulary has no token for them",
            (unsigned long long)tokens->dropped);
    return ASH_OK;
}

static enum ash_status tokenize(const struct ash_cli *cli, const struct ash_tokenizer *tokenizer,
    const char *text, size_t length)
{
    const struct options *chosen = cli->options;
    unsigned flags =
        (chosen->special ? ASH_ENCODE_SPECIAL : 0) | (chosen->no_bos ? 0 : ASH_ENCODE_ADD_BOS);
    struct ash_tokens tokens = { 0 };
    enum ash_status status = ash_tokenizer_encode(tokenizer, text, length, flags, &tokens);
    if (status == ASH_OK)
        status = put(chosen, tokenizer, &tokens);
    ash_tokens_free(&tokens);
    return status;
}

static enum ash_status run(struct ash_cli *cli)
{
    const struct options *chosen = cli->options;
    if (chosen->ids + chosen->pieces + chosen->json + chosen->count > 1)
        return ash_fail(
            ASH_ERR_ARGUMENT, "tokenize: --ids, --pieces, --count and --json do not go together");
    struct ash_tokenizer *tokenizer;
    ASH_TRY(load(&cli->config, &tokenizer));
    bool given = cli->argument_count && strcmp(cli->argument[0], "-") != 0;
    char *input = NULL;
    size_t length = given ? strlen(cli->argument[0]) : 0;
    enum ash_status status =
        given ? ASH_OK : ash_file_read("-", ASH_TOKENIZER_MAX_TEXT_BYTES, &input, &length);
    if (status == ASH_OK)
        status = tokenize(cli, tokenizer, given ? cli->argument[0] : input, length);
    ash_free(input);
    ash_tokenizer_destroy(tokenizer);
    return status;
}

static const char *const settings[] = { "model", "models_dir", NULL };

static const struct ash_example examples[] = {
    { "ashlar tokenize \"It's 2026.\"", "Show a text's tokens." },
    { "ashlar tokenize --count - < README.md", "Count a file's tokens." },
    { "ashlar tokenize --special --ids '<|im_start|>user'", "With special tokens, ids alone." },
    { NULL, NULL },
};

const struct ash_command ash_command_tokenize = {
    .name = "tokenize",
    .summary = "show the tokens that a model makes of a text",
    .arguments = "[TEXT]",
    .most_arguments = 1,
    .description =
        "Reads TEXT, or standard input where there is none or it is \"-\", and writes the id and the "
        "text of each token, one a line, with \\xHH for bytes that are no printable character.\n\n"
        "The names of special tokens in the text are ordinary text unless --special is given, as "
        "they are in everything a user writes to a model.",
    .options = options,
    .options_bytes = sizeof(struct options),
    .settings = settings,
    .examples = examples,
    .run = run,
};

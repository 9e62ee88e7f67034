/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/models/tokenizer/vocab_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ash_tokenizer_text token_at(void *context, int64_t index)
{
    return ((struct vocab_file *)context)->token[index];
}

static struct ash_tokenizer_text merge_at(void *context, int64_t index)
{
    return ((struct vocab_file *)context)->merge[index];
}

static int64_t type_at(void *context, int64_t index)
{
    return ((struct vocab_file *)context)->type[index];
}

char *read_whole_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = size < 0 ? NULL : malloc((size_t)size + 1);
    if (text && fread(text, 1, (size_t)size, file) == (size_t)size) {
        text[size] = '\0';
        *length = (size_t)size;
    } else {
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

/* Cuts the next line off *rest. */
static char *next_line(char **rest)
{
    char *line = *rest, *end = strchr(line, '\n');
    if (end)
        *end = '\0';
    *rest = end ? end + 1 : line + strlen(line);
    return line;
}

static int64_t heading(char **rest, const char *word)
{
    char *line = next_line(rest);
    size_t length = strlen(word);
    return strncmp(line, word, length) ? -1 : strtol(line + length, NULL, 10);
}

static bool parse(struct vocab_file *file)
{
    char *rest = file->text;
    int64_t tokens = file->source.token_count = heading(&rest, "tokens ");
    if (tokens < 0)
        return false;
    file->token = calloc((size_t)tokens + 1, sizeof *file->token);
    file->type = calloc((size_t)tokens + 1, sizeof *file->type);
    for (int64_t i = 0; i < tokens; i++) {
        char *line = next_line(&rest), *text;
        file->type[i] = strtol(line, &text, 10);
        file->token[i] = (struct ash_tokenizer_text){ text + 1, strlen(text + 1) };
    }
    int64_t merges = file->source.merge_count = heading(&rest, "merges ");
    if (merges < 0)
        return false;
    file->merge = calloc((size_t)merges + 1, sizeof *file->merge);
    for (int64_t i = 0; i < merges; i++) {
        char *line = next_line(&rest);
        file->merge[i] = (struct ash_tokenizer_text){ line, strlen(line) };
    }
    return true;
}

bool vocab_file_load(const char *directory, const char *name, struct vocab_file *out)
{
    char path[4096];
    size_t length;
    snprintf(path, sizeof path, "%s/vocab-%s.txt", directory, name);
    *out = (struct vocab_file){ .text = read_whole_file(path, &length) };
    if (!out->text || !parse(out))
        return false;
    out->source.pre = name;
    out->source.token = token_at;
    out->source.type = type_at;
    out->source.merge = merge_at;
    out->source.context = out;
    out->source.bos = 1;
    out->source.eos = out->source.eot = 2;
    out->source.eom = out->source.unk = out->source.pad = -1;
    out->source.add_bos = out->source.add_eos = -1;
    return true;
}

void vocab_file_free(struct vocab_file *file)
{
    free(file->text);
    free(file->token);
    free(file->type);
    free(file->merge);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The peer's side of bench-tokenizer: llama.cpp's llama_tokenize() on the same file, in processor time.
 * Not part of the build; with llama.cpp built in DIR/build:
 *   cc -O2 tokenizer_llama.c -I DIR/include -I DIR/ggml/include -L DIR/build/bin -lllama -lggml \
 *      -lggml-base -Wl,-rpath,DIR/build/bin -o tokenizer-llama
 * Usage: tokenizer-llama MODEL.gguf FILE; writes MB/s and the number of ids.
 */
#include <llama.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_BYTES = 1 << 26 };

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void say_nothing(enum ggml_log_level level, const char *text, void *context)
{
    (void)level, (void)text, (void)context;
}

int main(int count, char *arguments[])
{
    if (count != 3)
        return 2;
    llama_log_set(say_nothing, NULL);
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    struct llama_model *model = llama_model_load_from_file(arguments[1], params);
    FILE *file = fopen(arguments[2], "rb");
    char *text = malloc(MOST_BYTES);
    llama_token *ids = malloc(MOST_BYTES * sizeof *ids);
    if (!model || !file || !text || !ids)
        return 1;
    size_t length = fread(text, 1, MOST_BYTES, file);
    double start = now_s();
    int tokens = llama_tokenize(
        llama_model_get_vocab(model), text, (int32_t)length, ids, MOST_BYTES, false, false);
    printf("%.3f MB/s, %d ids\n", (double)length / 1e6 / (now_s() - start), tokens);
    return 0;
}

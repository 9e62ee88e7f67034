/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a vocabulary takes to load and how fast it encodes a file, on one thread, in processor time:
 * nothing here waits, and other programs on the machine then count less.
 * Usage: bench-tokenizer MODEL.gguf FILE [REPEATS]
 * tokenizer_peers.py runs it in turn with the reference implementations.
 */
#include "models/tokenizer.h"
#include "models/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_REPEATS = 1001 };

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs `work` again and again; returns its times in ascending order. */
static const double *times_of(enum ash_status (*work)(void *context), void *context, int repeats)
{
    static double ms[MOST_REPEATS];
    for (int i = 0; i < repeats; i++) {
        double start = now_ms();
        if (work(context) != ASH_OK) {
            fprintf(stderr, "%s\n", ash_error());
            exit(1);
        }
        ms[i] = now_ms() - start;
    }
    qsort(ms, (size_t)repeats, sizeof *ms, ascending);
    return ms;
}

struct job {
    const struct ash_gguf *gguf;
    struct ash_tokenizer *tokenizer;
    char *text;
    size_t length;
    struct ash_tokens tokens;
};

static enum ash_status load(void *context)
{
    struct job *job = context;
    ash_tokenizer_destroy(job->tokenizer);
    job->tokenizer = NULL;
    return ash_tokenizer_from_gguf(job->gguf, &job->tokenizer);
}

static enum ash_status encode(void *context)
{
    struct job *job = context;
    job->tokens.count = 0;
    return ash_tokenizer_encode(job->tokenizer, job->text, job->length, 0, &job->tokens);
}

static void read_text(const char *path, struct job *job)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    job->length = (size_t)ftell(file);
    rewind(file);
    job->text = malloc(job->length + 1);
    if (!job->text || fread(job->text, 1, job->length, file) != job->length) {
        perror(path);
        exit(1);
    }
    fclose(file);
}

int main(int count, char *arguments[])
{
    struct job job = { 0 };
    struct ash_gguf *gguf;
    int repeats = count > 3 ? atoi(arguments[3]) : 21;
    if (count < 3 || repeats < 1 || repeats > MOST_REPEATS) {
        fprintf(stderr, "usage: bench-tokenizer MODEL.gguf FILE [REPEATS]\n");
        return 2;
    }
    if (ash_gguf_open(arguments[1], &gguf) != ASH_OK) {
        fprintf(stderr, "%s\n", ash_error());
        return 1;
    }
    job.gguf = gguf;
    read_text(arguments[2], &job);
    const double *ms = times_of(load, &job, repeats);
    printf("load    %8.2f %8.2f %8.2f ms (min, median, max of %d)\n", ms[0], ms[repeats / 2],
        ms[repeats - 1], repeats);
    ms = times_of(encode, &job, repeats);
    double kilobytes = (double)job.length / 1e3;
    printf("encode  %8.2f %8.2f %8.2f MB/s, %zu bytes to %zu ids\n", kilobytes / ms[repeats - 1],
        kilobytes / ms[repeats / 2], kilobytes / ms[0], job.length, job.tokens.count);
    ash_tokens_free(&job.tokens);
    ash_tokenizer_destroy(job.tokenizer);
    ash_gguf_close(gguf);
    free(job.text);
    return 0;
}

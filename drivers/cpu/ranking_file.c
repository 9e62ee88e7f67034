/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cpu/ranking_internal.h"
#include "runtime/file.h"
#include "runtime/hash.h"
#include "runtime/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The file: whose it is, a line for each kernel with nanoseconds of decode and prefill, a checksum of all
 * that. A reader knows what every byte but the figures' must be; it prints that and compares.
 */

struct printed {
    char *text;
    size_t length; /* below RANKING_TEXT_BYTES */
};

__attribute__((format(printf, 2, 3))) static void print(
    struct printed *out, const char *format, ...)
{
    size_t left = RANKING_TEXT_BYTES - out->length;
    va_list list;
    va_start(list, format);
    int length = vsnprintf(out->text + out->length, left, format, list);
    va_end(list);
    out->length += length < 0 ? 0 : (size_t)length < left ? (size_t)length : left - 1;
}

static void print_key(struct printed *out, const struct ranking_key *key)
{
    print(out, "ashlar kernels 1\nprocessor %s\nfeatures %s\n", key->processor, key->features);
}

static void print_name(struct printed *out, const struct ash_ranked *item)
{
    print(out, "%s %s %s ", item->op->name, ash_type_info(item->type)->name, item->kernel->name);
}

static void print_check(struct printed *out)
{
    print(out, "check %016llx\n",
        (unsigned long long)ash_hash(ASH_HASH_BEGIN, out->text, out->length));
}

size_t ranking_print(
    const struct ash_ranking *ranking, const struct ranking_key *key, char text[RANKING_TEXT_BYTES])
{
    struct printed out = { .text = text };
    print_key(&out, key);
    print(&out, "build %s\n", key->build);
    for (int i = 0; i < ranking->count; i++) {
        print_name(&out, &ranking->item[i]);
        print(&out, "%lld %lld\n", (long long)ranking->item[i].decode_ns,
            (long long)ranking->item[i].prefill_ns);
    }
    print_check(&out);
    return out.length;
}

char *ranking_path(const char *directory, const struct ranking_key *key)
{
    char text[RANKING_TEXT_BYTES];
    struct printed out = { .text = text };
    print_key(&out, key);
    return ash_format("%s/kernels-%016llx", directory,
        (unsigned long long)ash_hash(ASH_HASH_BEGIN, text, out.length));
}

/* ---- Reading ---- */

/* What is left of a text, up to a 0. */
static bool skip(const char **at, const char *expected)
{
    size_t length = strlen(expected);
    if (strncmp(*at, expected, length) != 0)
        return false;
    *at += length;
    return true;
}

static bool read_ns(const char **at, const char *after, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(*at, &end, 10);
    if (errno != 0 || value < 1 || value > 1000000000000) /* far more than anything takes, in ns */
        return false;
    *out = value;
    *at = end;
    return skip(at, after);
}

static bool read_items(struct ash_ranking *ranking, const char **at)
{
    for (int i = 0; i < ranking->count; i++) {
        char text[RANKING_TEXT_BYTES];
        struct printed name = { .text = text };
        struct ash_ranked *item = &ranking->item[i];
        print_name(&name, item);
        if (!skip(at, text) || !read_ns(at, " ", &item->decode_ns) ||
            !read_ns(at, "\n", &item->prefill_ns))
            return false;
    }
    return true;
}

bool ranking_parse(
    struct ash_ranking *ranking, const struct ranking_key *key, const char *text, size_t length)
{
    char expected[RANKING_TEXT_BYTES];
    struct ash_ranking read = *ranking;
    struct printed head = { .text = expected };
    const char *at = text;
    print_key(&head, key);
    print(&head, "build %s\n", key->build);
    if (!skip(&at, expected) || !read_items(&read, &at))
        return false;
    /* Printed again it must be the same, to the checksum and the end. */
    if (ranking_print(&read, key, expected) != length || memcmp(expected, text, length) != 0)
        return false;
    *ranking = read;
    return true;
}

bool ranking_read(struct ash_ranking *ranking, const struct ranking_key *key, const char *path)
{
    char *text;
    size_t length;
    if (ash_whole_file_read(path, RANKING_TEXT_BYTES - 1, &text, &length) != ASH_OK)
        return false;
    bool good = ranking_parse(ranking, key, text, length);
    ash_free(text);
    return good;
}

enum ash_status ranking_write(
    const struct ash_ranking *ranking, const struct ranking_key *key, const char *path)
{
    char text[RANKING_TEXT_BYTES];
    size_t length = ranking_print(ranking, key, text);
    return ash_whole_file_replace(path, text, length);
}

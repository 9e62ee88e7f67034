/* SPDX-License-Identifier: Apache-2.0 */
#include "models/split.h"

#include "models/arch.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GRAIN = 32, MOST_SHARE = 1000000 };

const struct ash_split ash_split_whole = { .parts = 1, .share = { 1 } };

/* ---- Rows ---- */

/* Where part `part` ends: as the sum of shares up to it says, but each part gets one at least. */
struct ash_rows ash_split_heads(const struct ash_split *split, int32_t part, int64_t count)
{
    double all = 0, sum = 0;
    int64_t begin = 0, end = 0;
    for (int32_t i = 0; i < split->parts; i++)
        all += split->share[i];
    for (int32_t i = 0; i <= part; i++) {
        int64_t least = end + 1, most = count - (split->parts - 1 - i);
        sum += split->share[i];
        begin = end;
        end = llround(sum / all * (double)count);
        end = end < least ? least : end;
        end = end > most || i == split->parts - 1 ? most : end;
    }
    return (struct ash_rows){ begin, end - begin };
}

struct ash_rows ash_split_rows(const struct ash_split *split, int32_t part, int64_t count)
{
    bool even = count % GRAIN == 0 && count / GRAIN >= split->parts;
    int64_t grain = even ? GRAIN : 1;
    struct ash_rows rows = ash_split_heads(split, part, count / grain);
    return (struct ash_rows){ rows.first * grain, rows.count * grain };
}

enum ash_status ash_split_check(const struct ash_split *split, const struct ash_model_shape *shape)
{
    const struct {
        const char *what;
        int64_t count;
    } of[] = { { "heads of keys and values", shape->kv_heads }, { "channels", shape->channels },
        { "rows of its feed-forward", shape->feed_forward }, { "tokens", shape->vocabulary } };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        if (of[i].count < split->parts)
            return ash_fail(ASH_ERR_ARGUMENT,
                "--split rows: the model has %lld %s, too few for %d devices; fewer devices, or "
                "--split layers",
                (long long)of[i].count, of[i].what, split->parts);
    return ASH_OK;
}

/* ---- The setting ---- */

/* "10,20": one number a device. */
static enum ash_status read_numbers(
    const char *text, int64_t least, int64_t most, int32_t devices, struct ash_split_setting *out)
{
    char names[256], *rest = names;
    if (devices > ASH_MAX_DEVICES)
        return ash_fail(ASH_ERR_LIMIT, "--split: numbers for at most %d devices", ASH_MAX_DEVICES);
    if (snprintf(names, sizeof names, "%s", text) >= (int)sizeof names)
        return ash_fail(ASH_ERR_ARGUMENT, "--split: more than %zu bytes", sizeof names - 1);
    for (char *part; out->numbers < devices && (part = strsep(&rest, ","));)
        ASH_TRY(ash_fail_in(
            ash_text_to_integer(part, least, most, &out->number[out->numbers++]), "--split"));
    if (rest || out->numbers < devices)
        return ash_fail(ASH_ERR_ARGUMENT, "--split %s: expected %d numbers, one for each device",
            text, devices);
    return ASH_OK;
}

static enum ash_status read_layers(
    const char *text, int32_t devices, int64_t layers, struct ash_split_setting *out)
{
    int64_t sum = 0;
    out->how = ASH_SPLIT_LAYERS;
    ASH_TRY(read_numbers(text, 0, layers, devices, out));
    for (int32_t i = 0; i < out->numbers; i++)
        sum += out->number[i];
    if (sum != layers)
        return ash_fail(ASH_ERR_ARGUMENT,
            "--split %s: expected %d numbers that together are the model's %lld layers", text,
            devices, (long long)layers);
    return ASH_OK;
}

static const char *after(const char *text, const char *word)
{
    size_t length = strlen(word);
    return strncmp(text, word, length) == 0 ? text + length : NULL;
}

enum ash_status ash_split_read(
    const char *text, int32_t devices, int64_t layers, struct ash_split_setting *out)
{
    const char *numbers;
    *out = (struct ash_split_setting){ .how = ASH_SPLIT_AUTO };
    if (strcmp(text, "auto") == 0)
        return ASH_OK;
    if (strcmp(text, "rows") == 0 || (numbers = after(text, "rows:"))) {
        out->how = ASH_SPLIT_ROWS;
        return text[4] ? read_numbers(text + 5, 1, MOST_SHARE, devices, out) : ASH_OK;
    }
    numbers = after(text, "layers:");
    if (!numbers && !isdigit((unsigned char)*text))
        return ash_fail(ASH_ERR_ARGUMENT,
            "--split %s: expected auto, rows, rows:60,40 or layers:10,20, a number for each device",
            text);
    return read_layers(numbers ? numbers : text, devices, layers, out);
}

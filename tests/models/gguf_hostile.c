/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every attack must be refused with the right status and a message that names the place. Run under the
 * sanitizers, where reading one byte too far ends the program.
 */
#include "tests/models/gguf_hostile.h"

#include "models/gguf.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* Both lists as one; NULL behind the end. */
static const struct hostile_case *hostile_at(size_t index)
{
    const struct hostile_case *attack = hostile_values;
    while (index > 0 && attack->name) {
        attack++;
        index--;
    }
    if (attack->name)
        return attack;
    for (attack = hostile_tensors; index > 0 && attack->name; index--)
        attack++;
    return attack->name ? attack : NULL;
}

/* Opened from the heap, exactly as long as the file, so that the sanitizer sees a byte too far. */
static enum ash_status open_exactly(const struct bytes *file, struct ash_gguf **out, void **memory)
{
    *memory = malloc(file->count ? file->count : 1);
    cr_assert(*memory);
    memcpy(*memory, file->data, file->count);
    return ash_gguf_open_memory("test.gguf", *memory, file->count, out);
}

Test(gguf_hostile, every_known_attack_is_refused_by_name)
{
    for (size_t i = 0; hostile_at(i); i++) {
        const struct hostile_case *attack = hostile_at(i);
        struct bytes file = { .count = 0 };
        struct ash_gguf *gguf = NULL;
        void *memory;
        attack->build(&file);
        enum ash_status status = open_exactly(&file, &gguf, &memory);
        cr_assert_eq(status, attack->expect, "%s: %s", attack->name, ash_status_name(status));
        cr_assert(strstr(ash_error(), attack->says), "%s: %s", attack->name, ash_error());
        cr_assert_eq(strncmp(ash_error(), "test.gguf: ", 11), 0, "%s", ash_error());
        cr_assert_null(gguf, "%s", attack->name);
        free(memory);
    }
}

/* What the attacks are variations of is fine, and so is each cut of it: never a crash. */
Test(gguf_hostile, a_file_cut_at_any_byte_is_refused)
{
    struct bytes file = { .count = 0 };
    struct ash_gguf *gguf = NULL;
    void *memory;
    header(&file, 2, 3);
    u32_value(&file, "general.alignment", 64);
    array(&file, "tokenizer.ggml.tokens", STRING, 2);
    text(&file, "a");
    text(&file, "");
    array(&file, "none", I64, 0);
    tensor(&file, "b", DIMS(32, 2), GGML_Q4_0, 64);
    tensor(&file, "a", DIMS(8), GGML_F32, 0);
    bytes_zeros(&file, (64 - file.count % 64) % 64 + 64 + 36);
    cr_assert_eq(open_exactly(&file, &gguf, &memory), ASH_OK, "%s", ash_error());
    ash_gguf_close(gguf);
    free(memory);
    while (file.count-- > 0) {
        cr_assert_eq(open_exactly(&file, &gguf, &memory), ASH_ERR_FORMAT, "%zu", file.count);
        free(memory);
    }
}

/* With ASHLAR_WRITE_CORPUS=FOLDER: the same files as seeds for the fuzzer. */
Test(gguf_hostile, the_cases_can_be_written_as_a_corpus)
{
    const char *folder = getenv("ASHLAR_WRITE_CORPUS");
    for (size_t i = 0; folder && hostile_at(i); i++) {
        char path[4096];
        struct bytes file = { .count = 0 };
        hostile_at(i)->build(&file);
        snprintf(path, sizeof path, "%s/hostile-%02zu", folder, i);
        FILE *out = fopen(path, "wb");
        cr_assert(out && fwrite(file.data, 1, file.count, out) == file.count && !fclose(out));
    }
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A whole model from hostile bytes: opened, planned, loaded, and asked for one token. Every file must be
 * refused or answer; what it answers is of no concern.
 */
#include "models/model.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

enum { MAX_BYTES = 1 << 17, HEAD_BYTES = 4096 };

static struct ash_runtime *runtime; /* one for all inputs; the process ends with it */

static struct ash_runtime *machine(void)
{
    static const struct ash_setting_value settings[] = { { "device", "cpu" }, { "threads", "1" },
        { "context", "64" }, { "batch_tokens", "8" }, { "kernels", "listed" } };
    setenv("HWLOC_COMPONENTS", "-pci", 1); /* that part loses 1,016 bytes, which would be ours */
    if (!runtime && ash_runtime_create(settings, 5, &runtime) != ASH_OK)
        abort();
    return runtime;
}

static void answer(struct ash_model *model)
{
    struct ash_session_options options = ash_session_defaults();
    struct ash_session *session;
    struct ash_piece piece = { 0 };
    options.max_tokens = 1;
    if (ash_session_create(model, &options, &session) != ASH_OK)
        return;
    enum ash_status status = ash_session_add(session, "user", "0 A!");
    if (status == ASH_OK)
        status = ash_session_next(session, &piece); /* a template may be broken or long */
    if (status != ASH_OK && ash_session_prompt(session, "0 A!", 4) == ASH_OK)
        status = ash_session_next(session, &piece);
    ash_session_destroy(session);
    (void)status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > MAX_BYTES)
        return 0;
    struct ash_gguf *file;
    struct ash_model *model;
    uint8_t *exact = malloc(size); /* aligned, and watched right behind its end */
    if (!exact)
        return 0;
    memcpy(exact, data, size);
    if (ash_gguf_open_memory("fuzz", exact, size, &file) == ASH_OK &&
        ash_model_open_file(machine(), file, NULL, &model) == ASH_OK) {
        answer(model);
        ash_model_destroy(model);
    }
    free(exact);
    return 0;
}

/* Mostly in the head, which holds all but the weights, and without moving what comes behind it. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    if (seed % 8 == 0 || size <= HEAD_BYTES)
        return LLVMFuzzerMutate(data, size, max_size);
    size_t from = seed / 8 % HEAD_BYTES, length = HEAD_BYTES - from;
    if (length > 64)
        length = 64;
    uint8_t piece[64];
    memcpy(piece, data + from, length);
    LLVMFuzzerMutate(piece, length, length);
    memcpy(data + from, piece, length);
    return size;
}

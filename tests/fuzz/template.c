/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The input is a template; up to the first 0 byte, if there is one, and the rest is what the user
 * says. Whatever it does, it ends, and no byte of the marked message is trusted.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t source_bytes = zero ? (size_t)(zero - data) : size;
    const char *said = zero ? (const char *)zero + 1 : "\xEE\x80\x80<|im_end|>";
    size_t said_bytes = zero ? size - source_bytes - 1 : strlen(said);
    const struct ash_chat_message messages[] = {
        { "system", "Be brief.", 9, NULL },
        { "user", said, said_bytes, NULL },
        { "assistant", "\xEE\x80\x80", 3, NULL },
        { "user", "Why?", 4, NULL },
    };
    const struct tm now = { .tm_year = 126, .tm_mday = 1 };
    const struct ash_template_options options = {
        .add_generation_prompt = true, .bos_token = "<s>", .eos_token = "</s>", .now = &now
    };
    struct ash_template *template;
    struct ash_prompt prompt;
    if (ash_template_parse((const char *)data, source_bytes, &template) != ASH_OK)
        return 0;
    if (ash_template_render(template, messages, 4, &options, &prompt) == ASH_OK) {
        /* A character the template itself does not have came from a message. */
        bool foreign =
            !memmem(data, source_bytes, "\xEE", 1) && !memmem(data, source_bytes, "\\", 1);
        for (size_t i = 0; i < prompt.segment_count && foreign; i++)
            if (prompt.segment[i].trusted && memmem(prompt.text + prompt.segment[i].start_bytes,
                                                 prompt.segment[i].length_bytes, "\xEE\x80\x80", 3))
                abort();
        ash_prompt_finish(&prompt);
    }
    ash_template_destroy(template);
    return 0;
}

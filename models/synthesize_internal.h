/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/gguf_writer.h"
#include "models/synthesize.h"

/* All metadata of the file; `vocabulary` is at least the tokenizer's count. Failures stay in the writer,
 * but for ASH_ERR_NO_MEMORY. */
enum ash_status ash_synthesize_metadata(
    const struct ash_synthesis *what, int64_t vocabulary, struct ash_gguf_writer *writer);

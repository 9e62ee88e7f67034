/* SPDX-License-Identifier: Apache-2.0 */
#include "models/generate_internal.h"

/*
 * When the plan fails under an engine. What the cache held is gone with the plan; the tokens are not: every
 * sequence is computed again from its own, and goes on where it was.
 */
static void begin_again(struct ash_engine *engine)
{
    struct ash_kv_cache *cache = engine->options.cache;
    for (int32_t i = 0; i < engine->count; i++) {
        struct ash_generation *generation = engine->running[i];
        ash_kv_drop(cache, &generation->kv);
        generation->computed = generation->taken = 0;
    }
    ash_kv_forget(cache);
}

bool ash_engine_recover(struct ash_engine *engine, enum ash_status status)
{
    struct ash_engine_options *options = &engine->options;
    bool device = status == ASH_ERR_DEVICE || status == ASH_ERR_NO_MEMORY;
    if (!device || !options->recover ||
        !options->recover(options->recover_context, status, options))
        return false;
    begin_again(engine);
    return true;
}

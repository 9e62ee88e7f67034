/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ashlar.h"
#include "drivers/runtime.h"
#include "models/arch.h"
#include "models/devices.h"
#include "models/generate.h"
#include "models/template.h"

/*
 * A model in memory: the opaque struct ash_model of ashlar.h. Fields are read-only outside model.c.
 *
 * Loading: map and check the file; read the hyper-parameters; make the tokenizer and the template;
 * build the graph; plan it, which uploads the weights; set up the cache and the engine. The file
 * stays mapped for weights that are used where they lie (the embedding's rows), but no page of a
 * weight that was repacked stays in memory.
 */
struct ash_model {
    struct ash_runtime *runtime;
    struct ash_model_devices devices; /* it runs on */
    struct ash_gguf *file;
    const struct ash_arch *arch;
    struct ash_model_shape shape;
    struct ash_tokenizer *tokenizer;
    struct ash_template *chat; /* the file's, or ChatML; NULL where the file's cannot be used: */
    enum ash_status chat_status;
    char chat_error[320];
    bool chat_is_fallback;    /* the file carries none */
    struct ash_plan *plan;    /* of answers; NULL if shape_only */
    struct ash_plan *prompts; /* of prompts: one of their own, or the same */
    ash_value logits;
    struct ash_kv_cache *cache;
    struct ash_engine *engine;
    int32_t context;      /* positions of one sequence */
    int32_t batch_tokens; /* the plan's largest T */
    int32_t outputs;      /* the plan's largest O */
    int32_t sequences;
    bool no_fusion; /* as of loading, for plans that are made later: */
    struct ash_trace *trace;
    enum ash_type kv_type; /* the setting's, or what auto came to */
};

/* What programs of this repository set beyond struct ash_load_options. */
struct ash_model_options {
    struct ash_load_options load;
    struct ash_trace *trace; /* NULL = no tracing; borrowed */
    /* Rows of logits a batch may ask for; 0 = one a sequence, and some for drafts (perplexity: more). */
    int32_t outputs;
    bool no_fusion;  /* see ash_plan_options */
    bool plan_only;  /* no engine: for `ashlar plan` */
    bool shape_only; /* nor a plan: for ash_model_placing() on another machine */
};

/* For placing it on some machine; valid while the model is. */
struct ash_placing ash_model_placing(struct ash_model *model);

/* As ash_model_load(); `path` is a file. `options` may be NULL. */
enum ash_status ash_model_open(struct ash_runtime *runtime, const char *path,
    const struct ash_model_options *options, struct ash_model **out);

/* The same of a file that is open already, which it takes: also after a failure it is closed. */
enum ash_status ash_model_open_file(struct ash_runtime *runtime, struct ash_gguf *file,
    const struct ash_model_options *options, struct ash_model **out);

/* The file of the model that a user calls `name`, as ash_model_locate(); the caller frees it. */
enum ash_status ash_model_find(const struct ash_config *config, const char *name, char **path_out);

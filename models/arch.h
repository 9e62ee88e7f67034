/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/rope/rope.h"
#include "models/gguf.h"
#include "models/split.h"
#include "models/yarn.h"
#include "scheduler/graph.h"

/*
 * An architecture: how a file's hyper-parameters are read and how its graph is built. One file each,
 * models/<name>.c, exporting `const struct ash_arch ash_arch_<name>`, and one word in
 * models/meson.build.
 *
 * Letters of shapes, here and everywhere: see models/README.md.
 */

/* What every decoder shares; an architecture's own numbers stay in its file. */
struct ash_model_shape {
    int64_t vocabulary;   /* V */
    int64_t context;      /* positions the model was trained for */
    int64_t layers;       /* L */
    int64_t channels;     /* C */
    int64_t feed_forward; /* F */
    int64_t heads;        /* H, of queries */
    int64_t kv_heads;     /* of keys and values; divides H */
    int64_t head_size;    /* D */
    float norm_epsilon;
    struct ash_rope_params rope; /* of one kv head set; heads is filled in where it is used */
    struct ash_yarn yarn;        /* its factors are a weight of the graph */
    int window; /* positions that a token sees, itself among them; 0 = all before it */
};

/* What build() works with; the file and the shape outlive the plan. */
struct ash_build {
    const struct ash_gguf *file;
    const struct ash_model_shape *shape;
    struct ash_graph *graph;
    enum ash_type kv_type; /* F16, BF16, Q8_0 or F32 */
    int64_t kv_pages;
    int64_t sequences; /* that hold them */
    const struct ash_split *split;
    int32_t part;      /* ash_build_part()'s; 0 at first */
    ash_value scratch; /* ash_build_scratch()'s; ASH_NO_VALUE at first */
};

struct ash_arch {
    const char *name; /* general.architecture */

    /* Reads and checks the hyper-parameters. ASH_ERR_FORMAT: missing or impossible ones. */
    enum ash_status (*read)(const struct ash_gguf *file, struct ash_model_shape *out);

    /* Adds everything from token ids to logits (O, V) to the graph and returns the logits. Errors are
     * the graph's (ash_graph_status). */
    ash_value (*build)(struct ash_build *build);
};

/* All architectures of this build; ends with NULL. */
extern const struct ash_arch *const ash_archs[];

/* By general.architecture. ASH_ERR_UNSUPPORTED names it and lists those there are. */
enum ash_status ash_arch_find(const struct ash_gguf *file, const struct ash_arch **out);

/* Bytes of keys and values of one position, over all layers. `kv_type`: enum ash_type, or ASH_KV_AUTO,
 * which takes as many whichever it is. */
int64_t ash_model_kv_bytes(const struct ash_model_shape *shape, int kv_type);

/*
 * For build(). What parts of a model compute (split.h) is built part after part, in a loop over
 * build->split->parts; where there is but one, it is all of the model's. What is added after
 * ash_build_part() is that part's; -1: of none, done once at home.
 */
void ash_build_part(struct ash_build *build, int32_t part);

/* One value of each part. */
struct ash_parts {
    ash_value of[ASH_MAX_DEVICES];
};

/* Side by side, in every part; of one part: what it has. `name` as of an operator. */
struct ash_parts ash_build_join(
    struct ash_build *build, const char *name, const struct ash_parts *parts);
/* The same for the present part alone. */
ash_value ash_build_joined(
    struct ash_build *build, const char *name, const struct ash_parts *parts);

/* For build(): a weight of the file by its name (printf), which must have exactly this shape (columns
 * 0 for a vector). The first error makes the graph fail; then ASH_NO_VALUE. */
ash_value ash_build_weight(struct ash_build *build, int64_t rows, int64_t columns,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Rows `part` of such a weight, which has `rows`. */
ash_value ash_build_rows(struct ash_build *build, struct ash_rows part, int64_t rows,
    int64_t columns, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The same of a vector that may be missing: then ASH_NO_VALUE, and no error. */
ash_value ash_build_optional(struct ash_build *build, struct ash_rows part, int64_t rows,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The scratch that attention shares sequences over threads with; one for all layers, made by the first. */
ash_value ash_build_scratch(struct ash_build *build);

/* The cache of `heads` heads' keys or values of one layer: (pages, heads, ASH_PAGE_POSITIONS, D). */
ash_value ash_build_cache(struct ash_build *build, int64_t heads, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/arch.h"

#include "kernels/attention/attention.h"
#include "kernels/concat/concat.h"
#include "runtime/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ASH_ARCH(name) extern const struct ash_arch ash_arch_##name;
#include "models/archs.inc"
#undef ASH_ARCH

#define ASH_ARCH(name) &ash_arch_##name,
const struct ash_arch *const ash_archs[] = {
#include "models/archs.inc"
    NULL,
};
#undef ASH_ARCH

enum ash_status ash_arch_find(const struct ash_gguf *file, const struct ash_arch **out)
{
    struct ash_gguf_string name;
    ASH_TRY(ash_gguf_get_string(file, "general.architecture", &name));
    char known[256] = "";
    for (const struct ash_arch *const *arch = ash_archs; *arch; arch++) {
        if (ash_gguf_string_is(name, (*arch)->name)) {
            *out = *arch;
            return ASH_OK;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", (*arch)->name);
    }
    return ash_fail(ASH_ERR_UNSUPPORTED, "%s: the architecture is '%.*s'; this build knows: %s",
        ash_gguf_path(file), (int)(name.length < 64 ? name.length : 64), name.text, known);
}

int64_t ash_model_kv_bytes(const struct ash_model_shape *shape, int kv_type)
{
    const struct ash_type_info *info =
        ash_type_info(kv_type == ASH_KV_AUTO ? ASH_F16 : (enum ash_type)kv_type);
    int64_t head_bytes = shape->head_size / info->block_elements * info->block_bytes;
    return 2 * shape->layers * shape->kv_heads * head_bytes;
}

/* ---- Parts ---- */

void ash_build_part(struct ash_build *build, int32_t part)
{
    build->part = part;
    if (build->split->parts > 1)
        ash_graph_set_part(build->graph, part);
}

ash_value ash_build_joined(struct ash_build *build, const char *name, const struct ash_parts *parts)
{
    ash_value all = parts->of[0];
    for (int32_t i = 1; i < build->split->parts; i++)
        all = ash_graph_add(
            build->graph, name, &ash_op_concat, (ash_value[]){ all, parts->of[i] }, 2, NULL);
    return all;
}

struct ash_parts ash_build_join(
    struct ash_build *build, const char *name, const struct ash_parts *parts)
{
    struct ash_parts joined;
    for (int32_t i = 0; i < build->split->parts; i++) {
        ash_build_part(build, i);
        joined.of[i] = ash_build_joined(build, name, parts);
    }
    return joined;
}

/* ---- Weights ---- */

/* Finds the tensor and checks its shape; of it, rows `part`. The graph takes the error. */
static ash_value add_weight(
    struct ash_build *build, const char *name, struct ash_rows part, int64_t rows, int64_t columns)
{
    if (ash_graph_status(build->graph) != ASH_OK)
        return ASH_NO_VALUE;
    struct ash_tensor tensor;
    enum ash_status status = ash_gguf_find_tensor(build->file, name, &tensor);
    if (status != ASH_OK)
        return ash_graph_fail(build->graph, status);
    int rank = columns ? 2 : 1;
    if (tensor.rank != rank || tensor.dim[0] != rows || (columns && tensor.dim[1] != columns)) {
        char found[96];
        return ash_graph_fail(build->graph,
            ash_fail(ASH_ERR_FORMAT,
                columns ? "%s: tensor %s is %s; expected (%lld, %lld)"
                        : "%s: tensor %s is %s; expected (%lld)",
                ash_gguf_path(build->file), name, ash_tensor_describe(&tensor, found, sizeof found),
                (long long)rows, (long long)columns));
    }
    size_t row_bytes = ash_tensor_bytes(&tensor) / (size_t)rows;
    tensor.data = (char *)tensor.data + (size_t)part.first * row_bytes;
    tensor.dim[0] = part.count;
    return ash_graph_weight(build->graph, name, &tensor);
}

ash_value ash_build_weight(
    struct ash_build *build, int64_t rows, int64_t columns, const char *format, ...)
{
    char name[128];
    va_list list;
    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    return add_weight(build, name, (struct ash_rows){ 0, rows }, rows, columns);
}

ash_value ash_build_rows(struct ash_build *build, struct ash_rows part, int64_t rows,
    int64_t columns, const char *format, ...)
{
    char name[128];
    va_list list;
    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    return add_weight(build, name, part, rows, columns);
}

ash_value ash_build_optional(
    struct ash_build *build, struct ash_rows part, int64_t rows, const char *format, ...)
{
    char name[128];
    va_list list;
    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    if (!ash_gguf_has_tensor(build->file, name))
        return ASH_NO_VALUE;
    return add_weight(build, name, part, rows, 0);
}

/* ---- States ---- */

ash_value ash_build_cache(struct ash_build *build, int64_t heads, const char *format, ...)
{
    char name[128];
    va_list list;
    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    if (ash_graph_status(build->graph) != ASH_OK)
        return ASH_NO_VALUE;
    struct ash_tensor cache;
    enum ash_status status = ash_tensor_init(build->kv_type, 4,
        (int64_t[]){ build->kv_pages, heads, ASH_PAGE_POSITIONS, build->shape->head_size }, &cache);
    if (status != ASH_OK)
        return ash_graph_fail(build->graph, ash_fail_in(status, "kv_type: the cache %s", name));
    return ash_graph_state(build->graph, name, &cache);
}

ash_value ash_build_scratch(struct ash_build *build)
{
    if (ash_graph_status(build->graph) != ASH_OK || build->scratch != ASH_NO_VALUE)
        return build->scratch;
    const struct ash_model_shape *shape = build->shape;
    struct ash_tensor scratch;
    int64_t floats =
        ash_attention_scratch(build->kv_pages, build->sequences, shape->heads, shape->head_size);
    enum ash_status status = ash_tensor_init(ASH_F32, 1, &floats, &scratch);
    if (status != ASH_OK)
        return ash_graph_fail(build->graph, status);
    build->scratch = ash_graph_state(build->graph, "attention.scratch", &scratch);
    return build->scratch;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/arch.h"

#include "kernels/attention/attention.h"
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

/* Finds the tensor and checks its shape; the graph takes the error. */
static ash_value add_weight(
    struct ash_build *build, const char *name, int64_t rows, int64_t columns)
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
    return add_weight(build, name, rows, columns);
}

ash_value ash_build_optional(
    struct ash_build *build, int64_t rows, int64_t columns, const char *format, ...)
{
    char name[128];
    va_list list;
    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    if (!ash_gguf_has_tensor(build->file, name))
        return ASH_NO_VALUE;
    return add_weight(build, name, rows, columns);
}

ash_value ash_build_cache(struct ash_build *build, const char *format, ...)
{
    char name[128];
    va_list list;
    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    if (ash_graph_status(build->graph) != ASH_OK)
        return ASH_NO_VALUE;
    const struct ash_model_shape *shape = build->shape;
    struct ash_tensor cache;
    enum ash_status status = ash_tensor_init(build->kv_type, 4,
        (int64_t[]){ build->kv_pages, shape->kv_heads, ASH_PAGE_POSITIONS, shape->head_size },
        &cache);
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

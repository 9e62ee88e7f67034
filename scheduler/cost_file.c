/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/cost_file.h"

#include "drivers/costs.h"
#include "runtime/file.h"
#include "runtime/memory.h"
#include "scheduler/devices.h"

#include <stdio.h>
#include <string.h>

enum { MOST_BYTES = 1 << 20, VERSION = 2 };

void ash_cost_call_of(const struct ash_device *device, const struct ash_op *op,
    const struct ash_args *args, const struct ash_batch *batch, struct ash_cost_call *out)
{
    struct ash_args computed = *args;
    if (batch)
        ash_args_bind(&computed, batch);
    const bool rounds = device && device->driver->round_up;
    const char *way = rounds ? device->driver->round_up(device, op, &computed) : NULL;
    const struct ash_tensor *of = args->in[1].rank ? &args->in[1] : &args->in[0];
    if (!way)
        way = args->prompts ? "prompts" : "";
    snprintf(out->key, sizeof out->key, "%s/%s%s%s", op->name,
        of->rank ? ash_type_info(of->type)->name : "-", *way ? "/" : "", way);
    op->cost(&computed, &out->cost);
}

/* Jansson bounds how deep a text may nest. */
enum ash_status ash_costs_parse(
    const char *text, size_t length, const char *identity, struct ash_cost_model *model)
{
    json_error_t error;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return ash_fail(ASH_ERR_FORMAT, "line %d: %s", error.line, error.text);
    const char *of = json_string_value(json_object_get(json, "of"));
    enum ash_status status = ASH_OK;
    if (json_integer_value(json_object_get(json, "ashlar_costs")) != VERSION || !of ||
        strcmp(of, identity) != 0)
        status = ash_fail(ASH_ERR_FORMAT, "these are not measurements of %s", identity);
    if (status == ASH_OK)
        status = ash_cost_model_read(model, json_object_get(json, "samples"));
    json_decref(json);
    return status;
}

static void read_samples(const char *directory, const struct ash_device_info *info,
    struct ash_cost_model *model, bool *measured)
{
    char *path = ash_costs_path(directory, info), *identity = ash_costs_identity(info), *text;
    size_t length;
    *measured = false;
    if (path && identity && ash_whole_file_read(path, MOST_BYTES, &text, &length) == ASH_OK) {
        *measured = ash_costs_parse(text, length, identity, model) == ASH_OK;
        ash_free(text);
    }
    ash_free(path);
    ash_free(identity);
}

enum ash_status ash_costs_open(const char *directory, const struct ash_device *device,
    struct ash_cost_model **out, bool *measured)
{
    struct ash_rates rates = ash_device_rates(&device->info);
    ASH_TRY(ash_cost_model_create(&rates, out));
    read_samples(directory, &device->info, *out, measured);
    return ASH_OK;
}

static enum ash_status save(
    const char *path, const char *identity, const struct ash_cost_model *model)
{
    json_t *samples, *json;
    ASH_TRY(ash_cost_model_json(model, &samples));
    json =
        json_pack("{s:i, s:s, s:o}", "ashlar_costs", VERSION, "of", identity, "samples", samples);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    enum ash_status status = text ? ash_whole_file_replace(path, text, strlen(text))
                                  : ash_fail_memory(1, "measurements as JSON");
    ash_free(text);
    json_decref(json);
    return status;
}

enum ash_status ash_costs_save(
    const char *directory, const struct ash_device *device, const struct ash_cost_model *model)
{
    char *path = ash_costs_path(directory, &device->info);
    char *identity = ash_costs_identity(&device->info);
    enum ash_status status = path && identity ? save(path, identity, model)
                                              : ash_fail_memory(strlen(directory), "a path");
    ash_free(path);
    ash_free(identity);
    return status;
}

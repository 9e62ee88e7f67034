/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/draw.h"

#include "drivers/drivers.h"
#include "runtime/json.h"
#include "runtime/text.h"
#include "scheduler/cost_file.h"
#include "scheduler/draw_internal.h"
#include "scheduler/plan_internal.h"

#include <errno.h>
#include <string.h>

enum ash_status draw_finish(FILE *out)
{
    if (fflush(out) == 0 && !ferror(out))
        return ASH_OK;
    return ash_fail(ASH_ERR_IO, "cannot write the plan: %s", strerror(errno));
}

struct ash_plan_step draw_step(const struct ash_plan_view *view, int32_t index)
{
    struct ash_plan_step step = { 0 };
    enum ash_status status = ash_plan_step_at(view->plan, index, view->batch, &step);
    (void)status; /* callers stay below the number of steps */
    return step;
}

static double step_s(const struct ash_plan_view *view, const struct ash_cost *cost)
{
    if (view->bytes_per_s <= 0 || view->flops_per_s <= 0)
        return 0;
    double memory_s = (cost->bytes_read + cost->bytes_written) / view->bytes_per_s;
    double compute_s = cost->flops / view->flops_per_s;
    return memory_s > compute_s ? memory_s : compute_s;
}

double ash_plan_predict_s(const struct ash_plan_view *view)
{
    double total_s = 0;
    for (int32_t i = 0; i < view->plan->summary.steps; i++) {
        struct ash_plan_step step = draw_step(view, i);
        total_s += step_s(view, &step.cost);
    }
    return total_s;
}

/* "1.5 GiB" */
char *draw_bytes(double bytes, char *text, size_t capacity)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        bytes /= 1024;
    snprintf(text, capacity, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

/* ---- Text ---- */

static void print_summary(const struct ash_plan_view *view, FILE *out)
{
    struct ash_plan_summary summary;
    char a[32], b[32], c[32], d[32], e[32], title[128];
    ash_plan_summary(view->plan, &summary);
    if (view->title)
        fprintf(out, "%s\n", ash_text_visible(view->title, title, sizeof title));
    fprintf(out, "%d operators -> %d steps in %d phases, for up to %lld tokens\n", summary.nodes,
        summary.steps, summary.phases, (long long)view->plan->tokens);
    fprintf(out, "weights %s packed and %s where they lie, states %s\n",
        draw_bytes((double)summary.weight_bytes, a, sizeof a),
        draw_bytes((double)summary.mapped_bytes, b, sizeof b),
        draw_bytes((double)summary.state_bytes, c, sizeof c));
    fprintf(out, "activations %s (%s without sharing)\n",
        draw_bytes((double)summary.arena_bytes, d, sizeof d),
        draw_bytes((double)summary.unshared_bytes, e, sizeof e));
    if (summary.micro_tokens)
        fprintf(out, "micro-batches of up to %d tokens, %s more\n", summary.micro_tokens,
            draw_bytes((double)summary.micro_bytes, d, sizeof d));
    double predicted_s = ash_plan_predict_s(view);
    if (predicted_s > 0)
        fprintf(out, "no less than %.3f ms at %.1f GB/s and %.1f GFLOP/s\n", predicted_s * 1e3,
            view->bytes_per_s / 1e9, view->flops_per_s / 1e9);
}

/* What each of several devices holds. */
static void print_devices(const struct ash_plan *plan, FILE *out)
{
    for (int32_t d = 0; d < plan->devices && plan->devices > 1; d++) {
        const struct plan_device *device = &plan->device[d];
        char name[PLAN_NAME_BYTES], w[32], s[32], a[32];
        int32_t steps = 0;
        for (int32_t i = 0; i < plan->summary.steps; i++)
            steps += plan->node[i].device == d;
        fprintf(out, "%s: %d steps, weights %s, states %s, activations %s\n",
            plan_device_name(plan, d, name), steps,
            draw_bytes(device->weights ? (double)device->weights->size_bytes : 0, w, sizeof w),
            draw_bytes(device->states ? (double)device->states->size_bytes : 0, s, sizeof s),
            draw_bytes(device->arena ? (double)device->arena->size_bytes : 0, a, sizeof a));
    }
}

static void print_costs(const struct ash_plan_view *view, FILE *out)
{
    int32_t tokens = view->batch ? view->batch->tokens : (int32_t)view->plan->tokens;
    if (view->cost_s > 0)
        fprintf(out, "predicted %.3f ms (%.1f tokens/s) by what was measured of the devices\n",
            view->cost_s * 1e3, tokens / view->cost_s);
    if (view->measured_s > 0)
        fprintf(out, "measured %.3f ms (%.1f tokens/s)", view->measured_s * 1e3,
            tokens / view->measured_s);
    if (view->measured_s > 0 && view->cost_s > 0)
        fprintf(out, ", steps off by %.1f %% (median)", 100 * view->cost_error);
    if (view->measured_s > 0)
        fputc('\n', out);
}

static void print_step(const struct ash_plan_view *view, int32_t index, FILE *out)
{
    struct ash_plan_step step = draw_step(view, index);
    char name[64], bytes[32], shapes[160], offset[32] = "-", time[32] = "-", took[32] = "-";
    double moved = step.cost.bytes_read + step.cost.bytes_written;
    double predicted_s = step_s(view, &step.cost);
    if (step.arena_offset >= 0)
        snprintf(offset, sizeof offset, "%lld", (long long)step.arena_offset);
    if (predicted_s > 0)
        snprintf(time, sizeof time, "%.1f", predicted_s * 1e6);
    if (view->step_s)
        snprintf(took, sizeof took, "%.1f", view->step_s[index] * 1e6);
    char device[PLAN_NAME_BYTES] = "";
    if (view->plan->devices > 1)
        plan_device_name(view->plan, step.device, device);
    fprintf(out, "%5d %5d  %-24s %-10s %-14s %10s %10s %10.2f %9s %9s  %s%s%s\n", index,
        step.step->phase, ash_text_visible(step.name, name, sizeof name), step.step->op->name,
        step.step->loaded->kernel, offset, draw_bytes(moved, bytes, sizeof bytes),
        step.cost.flops / 1e6, time, took, device, device[0] ? "  " : "",
        ash_step_describe(step.step, shapes, sizeof shapes));
}

enum ash_status ash_plan_print_text(const struct ash_plan_view *view, FILE *out)
{
    print_summary(view, out);
    print_devices(view->plan, out);
    print_costs(view, out);
    fprintf(out, "\n%5s %5s  %-24s %-10s %-14s %10s %10s %10s %9s %9s  %s\n", "step", "phase",
        "name", "operator", "kernel", "arena at", "bytes", "MFLOP", "least us", "took us",
        view->plan->devices > 1 ? "device, shapes (the largest)" : "shapes (the largest)");
    for (int32_t i = 0; i < view->plan->summary.steps; i++)
        print_step(view, i, out);
    return draw_finish(out);
}

/* ---- Graphviz ---- */

static void print_quoted(const char *text, FILE *out)
{
    char visible[128];
    for (const char *c = ash_text_visible(text, visible, sizeof visible); *c; c++) {
        if (*c == '"' || *c == '\\')
            fputc('\\', out);
        fputc(*c, out);
    }
}

static void print_node(const struct ash_plan_view *view, int32_t index, FILE *out)
{
    struct ash_plan_step step = draw_step(view, index);
    char shape[64] = "";
    if (step.step->args.out.rank)
        ash_tensor_describe(&step.step->args.out, shape, sizeof shape);
    fprintf(out, "  n%d [label=\"", index);
    print_quoted(step.name, out);
    fprintf(out, "\\n%s %s\\n%s\", fillcolor=\"%s\"];\n", step.step->op->name,
        step.step->loaded->kernel, shape, draw_color(view, step.step->op));
}

static void print_edges(const struct ash_plan *plan, int32_t index, FILE *out)
{
    const struct plan_node *node = &plan->node[index];
    for (int i = 0; i < ASH_MAX_INPUTS; i++) {
        ash_value in = node->in[i];
        if (in == ASH_NO_VALUE || plan->value[in].kind == ASH_VALUE_WEIGHT)
            continue;
        if (plan->value[in].kind == ASH_VALUE_RESULT)
            fprintf(out, "  n%d -> n%d;\n", plan->value[in].node, index);
        else if (plan_updates(node, i))
            fprintf(out, "  n%d -> s%d [style=dashed];\n", index, in);
        else
            fprintf(out, "  s%d -> n%d [style=dashed];\n", in, index);
    }
}

enum ash_status ash_plan_print_dot(const struct ash_plan_view *view, FILE *out)
{
    const struct ash_plan *plan = view->plan;
    fprintf(out, "digraph plan {\n  label=\"");
    print_quoted(view->title ? view->title : "", out);
    fprintf(out, "\";\n  node [shape=box, style=filled, fontname=\"sans-serif\"];\n");
    for (size_t i = 0; i < plan->values; i++)
        if (plan->value[i].kind == ASH_VALUE_STATE)
            fprintf(out, "  s%zu [shape=cylinder, label=\"state %zu\", fillcolor=white];\n", i, i);
    for (int32_t i = 0; i < plan->summary.steps; i++) {
        bool opens = i == 0 || plan->node[i].phase != plan->node[i - 1].phase;
        fprintf(out, opens ? "  { rank=same;\n" : "");
        print_node(view, i, out);
        bool closes =
            i + 1 == plan->summary.steps || plan->node[i].phase != plan->node[i + 1].phase;
        fprintf(out, closes ? "  }\n" : "");
    }
    for (int32_t i = 0; i < plan->summary.steps; i++)
        print_edges(plan, i, out);
    fprintf(out, "}\n");
    return draw_finish(out);
}

/* ---- JSON ---- */

static json_t *step_json(const struct ash_plan_view *view, int32_t index)
{
    struct ash_plan_step step = draw_step(view, index);
    char shapes[256], name[PLAN_NAME_BYTES];
    struct ash_cost_call call;
    plan_device_name(view->plan, step.device, name);
    ash_cost_call_of(view->plan->device[step.device].device, step.step->op, &step.step->args,
        view->batch, &call);
    ash_step_describe(step.step, shapes, sizeof shapes);
    return json_pack(
        "{s:o, s:s, s:s, s:s, s:i, s:s, s:I, s:i, s:f, s:f, s:f, s:f, s:s, s:f, s:f, s:o}", "name",
        ash_json_text(step.name, strlen(step.name)), "operator", step.step->op->name, "kernel",
        step.step->loaded->kernel, "device", name, "phase", (int)step.step->phase, "shapes", shapes,
        "arena_offset", (json_int_t)step.arena_offset, "last_phase", (int)step.last_phase,
        "bytes_read", step.cost.bytes_read, "bytes_written", step.cost.bytes_written, "flops",
        step.cost.flops, "predicted_s", step_s(view, &step.cost), "cost_key", call.key,
        "cost_bytes", call.cost.bytes_read + call.cost.bytes_written, "cost_flops", call.cost.flops,
        "measured_s", view->step_s ? json_real(view->step_s[index]) : json_null());
}

json_t *ash_plan_json(const struct ash_plan_view *view)
{
    struct ash_plan_summary summary;
    json_t *steps = json_array();
    ash_plan_summary(view->plan, &summary);
    bool complete = steps;
    for (int32_t i = 0; i < summary.steps && complete; i++)
        complete = json_array_append_new(steps, step_json(view, i)) == 0;
    if (!complete) {
        json_decref(steps);
        return NULL;
    }
    const char *title = view->title ? view->title : "";
    return json_pack(
        "{s:o, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:f, s:f, s:f, s:f, s:o}", "title",
        ash_json_text(title, strlen(title)), "operators", (int)summary.nodes, "phases",
        (int)summary.phases, "tokens", (json_int_t)view->plan->tokens, "weight_bytes",
        (json_int_t)summary.weight_bytes, "mapped_bytes", (json_int_t)summary.mapped_bytes,
        "state_bytes", (json_int_t)summary.state_bytes, "arena_bytes",
        (json_int_t)summary.arena_bytes, "unshared_bytes", (json_int_t)summary.unshared_bytes,
        "micro_tokens", (int)summary.micro_tokens, "micro_bytes", (json_int_t)summary.micro_bytes,
        "predicted_s", ash_plan_predict_s(view), "cost_s", view->cost_s, "measured_s",
        view->measured_s, "cost_error", view->cost_error, "steps", steps);
}

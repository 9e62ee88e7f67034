/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/text.h"
#include "scheduler/draw_internal.h"
#include "scheduler/plan_internal.h"

#include <string.h>

/* Paul Tol's "light" scheme: told apart by colour-blind eyes too, and dark text reads on all of it. */
static const char *const palette[] = { "#77aadd", "#ee8866", "#eedd88", "#ffaabb", "#99ddff",
    "#44bb99", "#bbcc33", "#aaaa00", "#dddddd", "#c8b6e2" };
enum { COLORS = sizeof palette / sizeof palette[0] };

/* How many different operators the plan has before `op`. */
static int count_before(const struct ash_plan *plan, const struct ash_op *op)
{
    int before = 0;
    for (size_t i = 0; i < plan->nodes && plan->node[i].op != op; i++) {
        bool first = true;
        for (size_t k = 0; k < i && first; k++)
            first = plan->node[k].op != plan->node[i].op;
        before += first;
    }
    return before;
}

const char *draw_color(const struct ash_plan_view *view, const struct ash_op *op)
{
    return palette[count_before(view->plan, op) % COLORS];
}

enum { LEFT = 80, TOP = 76, HEIGHT = 420, BOTTOM = 44, RIGHT = 20, LEAST_WIDTH = 900 };

struct canvas {
    const struct ash_plan_view *view;
    double phase_px; /* of one phase to the right */
    double byte_px;  /* of one byte downwards */
    double width;
    FILE *out;
};

static struct canvas make_canvas(const struct ash_plan_view *view, FILE *out)
{
    const struct ash_plan_summary *summary = &view->plan->summary;
    double phase_px = (double)LEAST_WIDTH / summary->phases;
    phase_px = phase_px < 14 ? 14 : phase_px > 120 ? 120 : phase_px;
    double width = LEFT + phase_px * summary->phases + RIGHT;
    return (struct canvas){ .view = view,
        .phase_px = phase_px,
        .byte_px = summary->arena_bytes ? HEIGHT / (double)summary->arena_bytes : 0,
        .width = width < LEAST_WIDTH ? LEAST_WIDTH : width,
        .out = out };
}

static void print_escaped(const char *text, FILE *out)
{
    char visible[128];
    ash_text_write_xml(ash_text_visible(text, visible, sizeof visible), out);
}

static void print_head(const struct canvas *canvas)
{
    const struct ash_plan_summary *summary = &canvas->view->plan->summary;
    char arena[32], unshared[32];
    fprintf(canvas->out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%d\" "
        "font-family=\"sans-serif\" font-size=\"11\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
        "<text x=\"%d\" y=\"22\" font-size=\"15\" font-weight=\"bold\">",
        canvas->width, TOP + HEIGHT + BOTTOM, LEFT);
    print_escaped(canvas->view->title ? canvas->view->title : "Activations", canvas->out);
    fprintf(canvas->out,
        "</text>\n<text x=\"%d\" y=\"40\" fill=\"#444\">activations of up to %lld tokens: %s in one "
        "arena, %s without sharing; %d steps in %d phases</text>\n",
        LEFT, (long long)canvas->view->plan->tokens,
        draw_bytes((double)summary->arena_bytes, arena, sizeof arena),
        draw_bytes((double)summary->unshared_bytes, unshared, sizeof unshared), summary->steps,
        summary->phases);
}

static void print_legend(const struct canvas *canvas)
{
    const struct ash_plan *plan = canvas->view->plan;
    double x = LEFT;
    for (size_t i = 0; i < plan->nodes; i++) {
        const struct ash_op *op = plan->node[i].op;
        bool first = true;
        for (size_t k = 0; k < i && first; k++)
            first = plan->node[k].op != op;
        if (!first || plan->node[i].out == ASH_NO_VALUE)
            continue;
        fprintf(canvas->out,
            "<rect x=\"%.0f\" y=\"50\" width=\"11\" height=\"11\" fill=\"%s\" stroke=\"#333\" "
            "stroke-width=\"0.5\"/><text x=\"%.0f\" y=\"60\">%s</text>\n",
            x, draw_color(canvas->view, op), x + 15, op->name);
        x += 30 + 6.5 * (double)strlen(op->name);
    }
}

/* The smallest of 1, 2, 5, 10, 20 ... phases that leaves room for its number. */
static int tick_phases(const struct canvas *canvas)
{
    static const int steps[] = { 1, 2, 5 };
    for (int scale = 1;; scale *= 10)
        for (int i = 0; i < 3; i++)
            if (steps[i] * scale * canvas->phase_px >= 30)
                return steps[i] * scale;
}

static void print_axes(const struct canvas *canvas)
{
    const struct ash_plan_summary *summary = &canvas->view->plan->summary;
    int tick = tick_phases(canvas);
    double right = LEFT + canvas->phase_px * summary->phases;
    for (int i = 0; i <= 4; i++) {
        char text[32];
        double y = TOP + HEIGHT * i / 4.0;
        fprintf(canvas->out,
            "<line x1=\"%d\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>"
            "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"#444\">%s</text>\n",
            LEFT, y, right, y, LEFT - 6, y + 4,
            draw_bytes((double)summary->arena_bytes * i / 4, text, sizeof text));
    }
    for (int phase = 0; phase < summary->phases; phase += tick)
        fprintf(canvas->out,
            "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#444\">%d</text>\n",
            LEFT + (phase + 0.5) * canvas->phase_px, TOP + HEIGHT + 16, phase);
    fprintf(canvas->out, "<text x=\"%d\" y=\"%d\" fill=\"#444\">phase</text>\n", LEFT,
        TOP + HEIGHT + 34);
}

/* A name where it fits, along the box's longer side. */
static void print_label(
    const struct canvas *canvas, const char *name, double x, double y, double width, double height)
{
    double length = 6.2 * (double)strlen(name), cx = x + width / 2, cy = y + height / 2;
    bool flat = length < width && height >= 12, upright = length < height && width >= 12;
    if (!flat && !upright)
        return;
    fprintf(canvas->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\"", cx, cy + 4);
    if (!flat)
        fprintf(canvas->out, " transform=\"rotate(-90 %.1f %.1f)\"", cx, cy);
    fputc('>', canvas->out);
    print_escaped(name, canvas->out);
    fputs("</text>", canvas->out);
}

/* The last phase to draw of a result: one less where another takes over its memory in that phase. */
static int32_t shown_until(const struct ash_plan *plan, int32_t index)
{
    const struct plan_value *value = &plan->value[plan->node[index].out];
    for (size_t i = 0; i < plan->values; i++) {
        const struct plan_value *other = &plan->value[i];
        if (other != value && other->root == value->root && other->kind == ASH_VALUE_RESULT &&
            other->node > index && other->first_phase == value->last_phase)
            return value->last_phase - 1;
    }
    return value->last_phase;
}

/* A result: from the phase that writes it to the last that reads it. */
static void print_box(const struct canvas *canvas, int32_t index)
{
    struct ash_plan_step step = draw_step(canvas->view, index);
    if (step.arena_offset < 0)
        return;
    double bytes = (double)ash_tensor_bytes(&step.step->args.out);
    double x = LEFT + step.step->phase * canvas->phase_px + 1;
    int32_t last = shown_until(canvas->view->plan, index);
    double width = (last - step.step->phase + 1) * canvas->phase_px - 2;
    double y = TOP + (double)step.arena_offset * canvas->byte_px, height = bytes * canvas->byte_px;
    char size[32], shape[64];
    fputs("<g><title>", canvas->out);
    print_escaped(step.name, canvas->out);
    fprintf(canvas->out,
        ": %s, %s, %s at %lld, phases %d to %d</title>"
        "<rect x=\"%.1f\" y=\"%.2f\" width=\"%.1f\" height=\"%.2f\" fill=\"%s\" stroke=\"#333\" "
        "stroke-width=\"0.5\"/>",
        step.step->op->name, ash_tensor_describe(&step.step->args.out, shape, sizeof shape),
        draw_bytes(bytes, size, sizeof size), (long long)step.arena_offset, step.step->phase,
        step.last_phase, x, y, width, height, draw_color(canvas->view, step.step->op));
    print_label(canvas, step.name, x, y, width, height);
    fputs("</g>\n", canvas->out);
}

enum ash_status ash_plan_print_svg(const struct ash_plan_view *view, FILE *out)
{
    struct canvas canvas = make_canvas(view, out);
    print_head(&canvas);
    print_legend(&canvas);
    print_axes(&canvas);
    for (int32_t i = 0; i < view->plan->summary.steps; i++)
        print_box(&canvas, i);
    fputs("</svg>\n", out);
    return draw_finish(out);
}

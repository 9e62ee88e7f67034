/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/topology_internal.h"

#include "runtime/memory.h"
#include "runtime/text.h"

#include <errno.h>
#include <string.h>

static enum ash_status check_written(FILE *out)
{
    return fflush(out) == 0 && !ferror(out)
               ? ASH_OK
               : ash_fail(ASH_ERR_IO, "cannot write the drawing: %s", strerror(errno));
}

/* ---- Text ---- */

/* A cell holds ASCII, or one of these. */
enum { HORIZONTAL = 1, VERTICAL, TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT };
static const char *const lines[] = { "", "─", "│", "┌", "┐", "└", "┘" };

enum { MOST_CELLS = 32 << 20 };

struct canvas {
    char *cell;
    int width, height;
};

static char *cell_at(const struct canvas *canvas, int x, int y)
{
    return &canvas->cell[(size_t)y * (size_t)canvas->width + (size_t)x];
}

static void draw_border(const struct canvas *canvas, const struct ash_box *box)
{
    const int right = box->x + box->width - 1, bottom = box->y + box->height - 1;
    memset(cell_at(canvas, box->x, box->y), HORIZONTAL, (size_t)box->width);
    memset(cell_at(canvas, box->x, bottom), HORIZONTAL, (size_t)box->width);
    for (int y = box->y; y <= bottom; y++)
        *cell_at(canvas, box->x, y) = *cell_at(canvas, right, y) = VERTICAL;
    *cell_at(canvas, box->x, box->y) = TOP_LEFT;
    *cell_at(canvas, right, box->y) = TOP_RIGHT;
    *cell_at(canvas, box->x, bottom) = BOTTOM_LEFT;
    *cell_at(canvas, right, bottom) = BOTTOM_RIGHT;
}

static void draw_box(
    const struct canvas *canvas, const struct ash_box *box, const struct ash_layout_unit *unit)
{
    const int pad_x = box->ellipsis ? 0 : unit->pad_x, pad_y = box->ellipsis ? 0 : unit->pad_y;
    if (!box->ellipsis)
        draw_border(canvas, box);
    for (int i = 0; i < box->lines; i++)
        memcpy(cell_at(canvas, box->x + pad_x, box->y + pad_y + i), box->line[i],
            strlen(box->line[i]));
}

static void write_cells(const struct canvas *canvas, FILE *out)
{
    for (int y = 0; y < canvas->height; y++) {
        int end = canvas->width;
        while (end > 0 && *cell_at(canvas, end - 1, y) == ' ')
            end--;
        for (int x = 0; x < end; x++) {
            const char cell = *cell_at(canvas, x, y);
            if (cell < ' ')
                fputs(lines[(int)cell], out);
            else
                fputc(cell, out);
        }
        fputc('\n', out);
    }
}

static enum ash_status print_layout(
    const struct ash_layout *layout, const struct ash_layout_unit *unit, FILE *out)
{
    struct canvas canvas = { .width = layout->box[0].width, .height = layout->box[0].height };
    const size_t cells = (size_t)canvas.width * (size_t)canvas.height;
    if (cells > MOST_CELLS)
        return ash_fail(
            ASH_ERR_LIMIT, "a drawing of %d by %d characters", canvas.width, canvas.height);
    canvas.cell = ash_alloc(cells);
    if (!canvas.cell)
        return ash_fail_memory(cells, "a drawing");
    memset(canvas.cell, ' ', cells);
    for (size_t i = 0; i < layout->count; i++)
        draw_box(&canvas, &layout->box[i], unit);
    write_cells(&canvas, out);
    ash_free(canvas.cell);
    return check_written(out);
}

enum ash_status ash_topology_print(const struct ash_topology *topology, FILE *out)
{
    const struct ash_layout_unit unit = { .character = 1,
        .line = 1,
        .pad_x = 2,
        .pad_y = 1,
        .gap_x = 1,
        .gap_y = 0,
        .shape = 6, /* a character is twice as high as wide: 3 to the eye */
        .width = 92,
        .most_equal = 4 };
    struct ash_layout layout;
    ASH_TRY(ash_layout_make(topology, &unit, &layout));
    enum ash_status status = print_layout(&layout, &unit, out);
    ash_free(layout.box);
    return status;
}

/* ---- SVG ---- */

static const char *const colours[ASH_TOPOLOGY_KINDS] = {
    [ASH_TOPOLOGY_MACHINE] = "#ffffff",
    [ASH_TOPOLOGY_PACKAGE] = "#eef0f3",
    [ASH_TOPOLOGY_GROUP] = "#e4e8ee",
    [ASH_TOPOLOGY_MEMORY] = "#f6dfd3",
    [ASH_TOPOLOGY_CACHE] = "#fbfbfb",
    [ASH_TOPOLOGY_CORE] = "#cfdcee",
    [ASH_TOPOLOGY_PU] = "#cfdcee",
    [ASH_TOPOLOGY_PCI] = "#d5e6c4",
    [ASH_TOPOLOGY_DEVICE] = "#e6f0da",
};

static void write_box(const struct ash_box *box, const struct ash_layout_unit *unit, FILE *out)
{
    const int pad_x = box->ellipsis ? 0 : unit->pad_x, pad_y = box->ellipsis ? 0 : unit->pad_y;
    if (!box->ellipsis)
        fprintf(out,
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\" fill=\"%s\""
            " stroke=\"%s\"/>\n",
            box->x, box->y, box->width, box->height, box->allowed ? colours[box->kind] : "#dddddd",
            box->allowed ? "#5a6472" : "#aaaaaa");
    for (int i = 0; i < box->lines; i++) {
        /* The baseline: three quarters down the line. */
        fprintf(out, "<text x=\"%d\" y=\"%d\"%s>", box->x + pad_x,
            box->y + pad_y + i * unit->line + unit->line * 3 / 4,
            box->allowed ? "" : " fill=\"#888888\"");
        ash_text_write_xml(box->line[i], out);
        fputs("</text>\n", out);
    }
}

enum ash_status ash_topology_svg(const struct ash_topology *topology, FILE *out)
{
    const struct ash_layout_unit unit = { .character = 8,
        .line = 17,
        .pad_x = 8,
        .pad_y = 6,
        .gap_x = 6,
        .gap_y = 6,
        .shape = 3,
        .width = 1500,
        .most_equal = 16 };
    struct ash_layout layout;
    ASH_TRY(ash_layout_make(topology, &unit, &layout));
    const int width = layout.box[0].width + 2, height = layout.box[0].height + 2;
    fprintf(out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\""
        " viewBox=\"-1 -1 %d %d\">\n<g font-family=\"ui-monospace, 'DejaVu Sans Mono', monospace\""
        " font-size=\"13\" fill=\"#1d232b\" xml:space=\"preserve\">\n",
        width, height, width, height);
    for (size_t i = 0; i < layout.count; i++)
        write_box(&layout.box[i], &unit, out);
    fputs("</g>\n</svg>\n", out);
    ash_free(layout.box);
    return check_written(out);
}

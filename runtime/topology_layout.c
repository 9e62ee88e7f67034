/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/topology_internal.h"

#include "runtime/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct work {
    const struct ash_topology *topology;
    const struct ash_layout_unit *unit;
    struct ash_layout *layout;
    uint64_t *looks; /* of each node: equal for subtrees that look alike */
};

/* ---- What looks alike ---- */

/* Is it memory, processors, or what hangs on them? Each gets its own rows. */
static int rank_of(enum ash_topology_kind kind)
{
    return kind == ASH_TOPOLOGY_MEMORY ? 0 : kind < ASH_TOPOLOGY_PCI ? 1 : 2;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15) ^ hash >> 29;
}

/* Children stand after their parents, so one pass from the end has them ready. */
static void find_looks(const struct work *work)
{
    const struct ash_topology *topology = work->topology;
    for (size_t i = topology->count; i-- > 0;) {
        const struct ash_topology_node *node = &topology->node[i];
        uint64_t look = mix(1, (uint64_t)node->kind);
        look = mix(look, (uint64_t)node->bytes);
        look = mix(look, (uint64_t)node->cache_level);
        look = mix(look, (uint64_t)node->pus_allowed);
        if (rank_of(node->kind) == 2) /* cards are told apart by their names */
            for (const char *at = node->name; *at; at++)
                look = mix(look, (unsigned char)*at);
        for (int child = node->first_child; child >= 0; child = topology->node[child].next)
            look = mix(look, work->looks[child]);
        work->looks[i] = look;
    }
}

/* ---- Words ---- */

static void say(struct ash_box *box, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One more line of the box; the last one ends in "..." when there is no room for more. */
static void say(struct ash_box *box, const char *format, ...)
{
    if (box->lines == ASH_BOX_LINES) {
        snprintf(box->line[ASH_BOX_LINES - 1], ASH_BOX_TEXT, "...");
        return;
    }
    va_list list;
    va_start(list, format);
    vsnprintf(box->line[box->lines++], ASH_BOX_TEXT, format, list);
    va_end(list);
}

/* "48 KiB", "1.5 MiB", "24 GiB" */
static void size_text(int64_t bytes, char *text, size_t capacity)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1024 && unit < 6; unit++)
        value /= 1024;
    const bool whole = value >= 100 || fabs(value - round(value)) < 0.05;
    snprintf(text, capacity, whole ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static void describe(const struct ash_topology_node *node, struct ash_box *box)
{
    char size[32];
    size_text(node->bytes, size, sizeof size);
    const int number = node->os_index >= 0 ? node->os_index : node->index;
    switch (node->kind) {
    case ASH_TOPOLOGY_PACKAGE:
        say(box, "Package %d%s%.60s", number, *node->name ? ": " : "", node->name);
        break;
    case ASH_TOPOLOGY_GROUP:
        say(box, "%.60s %d", *node->name ? node->name : "Group", number);
        break;
    case ASH_TOPOLOGY_MEMORY:
        say(box, "NUMA node %d: %s", number, size);
        break;
    case ASH_TOPOLOGY_CACHE:
        say(box, "L%d %s", node->cache_level, size);
        break;
    case ASH_TOPOLOGY_CORE:
        say(box, "Core %d", number);
        break;
    case ASH_TOPOLOGY_PU:
        say(box, node->pus_allowed ? "PU %d" : "(PU %d)", number);
        break;
    case ASH_TOPOLOGY_PCI:
        say(box, "PCI %.70s", node->name);
        break;
    default:
        say(box, "%.75s", node->name);
    }
}

static void describe_machine(const struct ash_topology *topology, struct ash_box *box)
{
    char size[32];
    const int64_t known = topology->memory_bytes > topology->kernel_bytes ? topology->memory_bytes
                                                                          : topology->kernel_bytes;
    size_text(known, size, sizeof size);
    const char *name = topology->node[0].name;
    say(box, "Machine%s%.40s, %s", *name ? ": " : "", name, size);
}

/* "PU 3, 19 (35)" for a core's hardware threads; brackets: may not be used. */
static void describe_pus(const struct ash_topology *topology, int first, struct ash_box *box)
{
    char text[ASH_BOX_TEXT] = "PU";
    size_t used = 2;
    for (int pu = first; pu >= 0 && used < sizeof text; pu = topology->node[pu].next) {
        const struct ash_topology_node *node = &topology->node[pu];
        const int number = node->os_index >= 0 ? node->os_index : node->index;
        used += (size_t)snprintf(text + used, sizeof text - used,
            node->pus_allowed ? "%s%d" : "%s(%d)", pu == first ? " " : ", ", number);
    }
    say(box, "%s", text);
}

/* ---- Boxes ---- */

static enum ash_status add_box(struct work *work, struct ash_box **box, int *place)
{
    struct ash_layout *layout = work->layout;
    ASH_TRY(ASH_GROW(layout->box, layout->capacity, layout->count));
    *place = (int)layout->count;
    *box = &layout->box[layout->count++];
    **box = (struct ash_box){ .child = -1, .next = -1, .allowed = true };
    return ASH_OK;
}

static int longest_line(const struct ash_box *box)
{
    size_t longest = 0;
    for (int i = 0; i < box->lines; i++) {
        size_t length = strlen(box->line[i]);
        longest = length > longest ? length : longest;
    }
    return (int)longest;
}

static bool only_of_kind(
    const struct ash_topology *topology, int first, enum ash_topology_kind kind)
{
    for (int child = first; child >= 0; child = topology->node[child].next)
        if (topology->node[child].kind != kind)
            return false;
    return first >= 0;
}

/*
 * Takes into the same box what would only nest: a cache of one core, a core's threads, a card's
 * devices. Returns the first child that still wants a box of its own, or -1.
 */
static int fold(const struct ash_topology *topology, int place, struct ash_box *box)
{
    for (;;) {
        const struct ash_topology_node *node = &topology->node[place];
        const int child = node->first_child;
        if (only_of_kind(topology, child, ASH_TOPOLOGY_PU)) {
            describe_pus(topology, child, box);
            return -1;
        }
        if (only_of_kind(topology, child, ASH_TOPOLOGY_DEVICE) && node->kind == ASH_TOPOLOGY_PCI) {
            for (int device = child; device >= 0; device = topology->node[device].next)
                describe(&topology->node[device], box);
            return -1;
        }
        const bool alone = child >= 0 && topology->node[child].next < 0;
        if (node->kind != ASH_TOPOLOGY_CACHE || !alone)
            return child;
        box->kind = topology->node[child].kind;
        describe(&topology->node[child], box);
        place = child;
    }
}

struct extent {
    int width, height;
};

/* Arranges the boxes from `first` on, `columns` to a row, at (0, top). Returns how far they reach. */
static struct extent arrange(const struct work *work, int first, int columns, int top)
{
    struct extent all = { 0, 0 };
    int x = 0, row_height = 0, column = 0;
    for (int i = first; i >= 0; i = work->layout->box[i].next) {
        struct ash_box *box = &work->layout->box[i];
        if (column == columns) {
            all.height += row_height + work->unit->gap_y;
            x = row_height = column = 0;
        }
        box->x = x;
        box->y = top + all.height;
        row_height = box->height > row_height ? box->height : row_height;
        all.width = x + box->width > all.width ? x + box->width : all.width;
        x += box->width + work->unit->gap_x;
        column++;
    }
    all.height += row_height;
    return all;
}

/* The number of columns whose shape is nearest to the wanted one, within the width. */
static int best_columns(const struct work *work, int first, int count)
{
    double best = HUGE_VAL;
    int columns = 1;
    for (int i = 1; i <= count; i++) {
        struct extent extent = arrange(work, first, i, 0);
        double shape = (double)extent.width / (extent.height > 0 ? extent.height : 1);
        double off = fabs(log(shape / work->unit->shape));
        if (count % i) /* a ragged last row only for a clearly better shape */
            off += 0.7;
        if (i > 1 && extent.width > work->unit->width)
            break;
        if (off < best) {
            best = off;
            columns = i;
        }
    }
    return columns;
}

static enum ash_status make_box(struct work *work, int place, int *out);

/* Stands between the first and the last of a row of equals. */
static enum ash_status make_ellipsis(struct work *work, int left_out, int *out)
{
    struct ash_box *box;
    ASH_TRY(add_box(work, &box, out));
    box->ellipsis = true;
    say(box, "... %d more", left_out);
    box->width = longest_line(box) * work->unit->character;
    box->height = work->unit->line;
    return ASH_OK;
}

/* How many siblings from `place` on look like it. */
static int run_of_equals(const struct work *work, int place)
{
    int count = 0;
    const uint64_t look = work->looks[place];
    for (int i = place; i >= 0 && work->looks[i] == look; i = work->topology->node[i].next)
        count++;
    return count;
}

static void append(struct work *work, int *first, int *last, int box)
{
    if (*last >= 0)
        work->layout->box[*last].next = box;
    else
        *first = box;
    *last = box;
}

/* Boxes for the siblings of one rank from *place on; moves *place behind them. */
static enum ash_status make_row(struct work *work, int *place, int *first, int *count)
{
    const struct ash_topology_node *node = work->topology->node;
    const int rank = rank_of(node[*place].kind), most = work->unit->most_equal;
    int last = -1, box;
    *first = -1;
    *count = 0;
    while (*place >= 0 && rank_of(node[*place].kind) == rank) {
        const int equals = run_of_equals(work, *place);
        for (int i = 0; i < equals; i++, *place = node[*place].next) {
            if (equals > most && i >= 2 && i < equals - 1) {
                if (i > 2)
                    continue;
                ASH_TRY(make_ellipsis(work, equals - 3, &box));
            } else {
                ASH_TRY(make_box(work, *place, &box));
            }
            append(work, first, &last, box);
            ++*count;
        }
    }
    return ASH_OK;
}

/* Neighbours of one kind get one size, so that rows and columns align. */
static void make_even(struct work *work, int first)
{
    struct extent most[ASH_TOPOLOGY_KINDS] = { 0 };
    struct ash_box *box = work->layout->box;
    for (int i = first; i >= 0; i = box[i].next) {
        struct extent *of_kind = &most[box[i].kind];
        of_kind->width = box[i].width > of_kind->width ? box[i].width : of_kind->width;
        of_kind->height = box[i].height > of_kind->height ? box[i].height : of_kind->height;
    }
    for (int i = first; i >= 0; i = box[i].next)
        if (!box[i].ellipsis) {
            box[i].width = most[box[i].kind].width;
            box[i].height = most[box[i].kind].height;
        }
}

/* Lays the children of `box` out below its words, and sizes it. Positions are within the box. */
static enum ash_status fill_box(struct work *work, int place, int child)
{
    const struct ash_layout_unit *unit = work->unit;
    struct ash_box *box = &work->layout->box[place];
    int width = longest_line(box) * unit->character, height = box->lines * unit->line, last = -1;
    while (child >= 0) {
        int first, count;
        ASH_TRY(make_row(work, &child, &first, &count));
        make_even(work, first);
        const int top = height + unit->gap_y;
        struct extent extent = arrange(work, first, best_columns(work, first, count), top);
        height = top + extent.height;
        width = extent.width > width ? extent.width : width;
        if (last >= 0)
            work->layout->box[last].next = first;
        else
            work->layout->box[place].child = first;
        for (last = first; work->layout->box[last].next >= 0;)
            last = work->layout->box[last].next;
    }
    box = &work->layout->box[place];
    box->width = width + 2 * unit->pad_x;
    box->height = height + 2 * unit->pad_y;
    return ASH_OK;
}

static enum ash_status make_box(struct work *work, int place, int *out)
{
    const struct ash_topology_node *node = &work->topology->node[place];
    struct ash_box *box;
    ASH_TRY(add_box(work, &box, out));
    box->kind = node->kind;
    box->allowed = node->pus == 0 || node->pus_allowed > 0;
    if (place == 0)
        describe_machine(work->topology, box);
    else
        describe(node, box);
    const int child = fold(work->topology, place, box);
    return fill_box(work, *out, child);
}

/* From positions within the parent to positions in the drawing; parents stand before children. */
static void place_boxes(struct work *work)
{
    struct ash_box *box = work->layout->box;
    const struct ash_layout_unit *unit = work->unit;
    for (size_t i = 0; i < work->layout->count; i++)
        for (int child = box[i].child; child >= 0; child = box[child].next) {
            box[child].x += box[i].x + unit->pad_x;
            box[child].y += box[i].y + unit->pad_y;
        }
}

enum ash_status ash_layout_make(
    const struct ash_topology *topology, const struct ash_layout_unit *unit, struct ash_layout *out)
{
    struct ash_layout layout = { 0 };
    struct work work = { .topology = topology, .unit = unit, .layout = &layout };
    int root;
    work.looks = ash_alloc_array(topology->count, sizeof *work.looks);
    if (!work.looks)
        return ash_fail_memory(topology->count * sizeof *work.looks, "a drawing");
    find_looks(&work);
    enum ash_status status = make_box(&work, 0, &root);
    ash_free(work.looks);
    if (status != ASH_OK) {
        ash_free(layout.box);
        return status;
    }
    place_boxes(&work);
    *out = layout;
    return ASH_OK;
}

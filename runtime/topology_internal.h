/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/topology.h"

/*
 * The machine laid out as nested boxes, in units of whatever it will be drawn with: one layout for
 * text and for SVG.
 */
enum { ASH_BOX_LINES = 8, ASH_BOX_TEXT = 80 };

struct ash_box {
    enum ash_topology_kind kind; /* decides the colour */
    bool allowed;                /* may be used by this process */
    bool ellipsis;               /* stands for parts that are left out; no border */
    int x, y, width, height;     /* outer edges; x and y from the drawing's corner once placed */
    int child, next;             /* places in ash_layout.box; -1 = none */
    int lines;
    char line[ASH_BOX_LINES][ASH_BOX_TEXT];
};

struct ash_layout {
    struct ash_box *box; /* box[0] holds all others */
    size_t count, capacity;
};

struct ash_layout_unit {
    int character, line; /* width and height of one */
    int pad_x, pad_y;    /* from a box's outer edge to what is in it */
    int gap_x, gap_y;    /* between neighbours */
    double shape;        /* of what children are arranged into: width / height */
    int width;           /* not to be exceeded, if at all possible */
    int most_equal;      /* this many equal neighbours are all drawn */
};

/* On failure there is nothing to free; else end it with ash_free(out->box). */
enum ash_status ash_layout_make(const struct ash_topology *topology,
    const struct ash_layout_unit *unit, struct ash_layout *out);

/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template_internal.h"

#include <string.h>

struct sorted {
    struct jinja_value key, item;
};

/* A text without regard to case is compared in lower case. */
static enum ash_status make_key(
    struct jinja_run *run, struct jinja_value value, bool fold, struct jinja_value *out)
{
    *out = value;
    if (!fold || value.kind != JINJA_TEXT)
        return ASH_OK;
    return ash_jinja_change_case(run, *value.text, JINJA_LOWER, out);
}

/* Merges two sorted runs; of equal ones the left first, so that the order is stable. */
static enum ash_status merge(struct jinja_run *run, const struct sorted *left, size_t left_count,
    const struct sorted *right, size_t right_count, bool reverse, struct sorted *out)
{
    size_t l = 0, r = 0;
    while (l < left_count || r < right_count) {
        int order = 0;
        if (l < left_count && r < right_count)
            ASH_TRY(ash_jinja_compare(run, right[r].key, left[l].key, "<", &order));
        bool take_left =
            r == right_count || (l < left_count && (reverse ? order <= 0 : order >= 0));
        out[l + r] = take_left ? left[l] : right[r];
        if (take_left)
            l++;
        else
            r++;
    }
    return ASH_OK;
}

enum ash_status ash_jinja_sort(struct jinja_run *run, struct jinja_list *list,
    const struct jinja_list *by, bool fold, bool reverse)
{
    struct sorted *from, *to;
    size_t count = list->count;
    ASH_TRY(JINJA_NEW(&run->arena, count, &from));
    ASH_TRY(JINJA_NEW(&run->arena, count, &to));
    for (size_t i = 0; i < count; i++) {
        from[i].item = list->item[i];
        ASH_TRY(make_key(run, by ? by->item[i] : list->item[i], fold, &from[i].key));
    }
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t at = 0; at < count; at += 2 * width) {
            size_t middle = at + width < count ? at + width : count;
            size_t end = at + 2 * width < count ? at + 2 * width : count;
            ASH_TRY(
                merge(run, from + at, middle - at, from + middle, end - middle, reverse, to + at));
        }
        struct sorted *old = from;
        from = to;
        to = old;
    }
    for (size_t i = 0; i < count; i++)
        list->item[i] = from[i].item;
    return ASH_OK;
}

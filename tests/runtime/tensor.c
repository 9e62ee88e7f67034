/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/tensor.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct {
    const char *name;
    enum ash_type type;
    int rank;
    int64_t dim[ASH_MAX_RANK + 1];
    enum ash_status expect;
    size_t bytes;
} shapes[] = {
    { "a vector", ASH_F32, 1, { 7 }, ASH_OK, 28 },
    { "a Q4_1 matrix", ASH_Q4_1, 2, { 3, 64 }, ASH_OK, 120 },
    { "a paged cache", ASH_F16, 4, { 2, 3, 4, 5 }, ASH_OK, 240 },
    { "rank 0", ASH_F32, 0, { 1 }, ASH_ERR_SHAPE, 0 },
    { "rank 5", ASH_F32, 5, { 1, 1, 1, 1, 1 }, ASH_ERR_SHAPE, 0 },
    { "an empty dimension", ASH_F32, 2, { 3, 0 }, ASH_ERR_SHAPE, 0 },
    { "a negative dimension", ASH_F32, 2, { -3, -3 }, ASH_ERR_SHAPE, 0 },
    { "a broken block", ASH_Q8_0, 2, { 3, 33 }, ASH_ERR_SHAPE, 0 },
    { "an overflow", ASH_F32, 3, { 1LL << 32, 1LL << 32, 32 }, ASH_ERR_SHAPE, 0 },
};

Test(tensor, shapes_are_checked_and_sized)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct ash_tensor tensor;
        cr_assert_eq(ash_tensor_init(shapes[i].type, shapes[i].rank, shapes[i].dim, &tensor),
            shapes[i].expect, "%s", shapes[i].name);
        if (shapes[i].expect == ASH_OK)
            cr_assert_eq(ash_tensor_bytes(&tensor), shapes[i].bytes, "%s", shapes[i].name);
    }
}

Test(tensor, describe_never_writes_past_its_capacity)
{
    struct ash_tensor tensor;
    cr_assert_eq(ash_tensor_init(ASH_Q4_1, 2, (int64_t[]){ 576, 576 }, &tensor), ASH_OK);
    char text[64];
    cr_assert_str_eq(ash_tensor_describe(&tensor, text, sizeof text), "Q4_1 (576, 576)");
    for (size_t capacity = 1; capacity < sizeof text; capacity++) {
        memset(text, '~', sizeof text);
        ash_tensor_describe(&tensor, text, capacity);
        cr_assert_eq(text[capacity], '~');
        cr_assert(memchr(text, '\0', capacity));
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

Test(memory, the_nth_allocation_and_all_later_ones_fail_on_request)
{
    ash_memory_fail_from(2);
    void *first = ash_alloc(1), *second = ash_alloc_zero(1);
    cr_assert(first && second);
    cr_assert_null(ash_alloc(1));
    cr_assert_null(ash_strdup("x"));
    cr_assert_null(ash_format("%d", 1));
    cr_assert_null(ash_realloc_array(first, 2, 2));
    cr_assert_null(ash_alloc_pages(1));
    cr_assert_eq(ash_memory_fail_from(-1), 7);
    ash_free(first);
    ash_free(second);
}

Test(memory, pages_begin_where_pages_begin_and_are_there_to_their_ends)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *one = ash_alloc_pages(page + 1), *none = ash_alloc_pages(0);
    cr_assert(one && none);
    cr_assert_eq((uintptr_t)one % page, 0u);
    cr_assert_eq((uintptr_t)none % page, 0u);
    memset(one, 1, page + 1);
    cr_assert(none >= one + 2 * page || none + page <= one);
    volatile size_t huge = SIZE_MAX;
    cr_assert_null(ash_alloc_pages(huge));
    ash_free(one);
    ash_free(none);
}

Test(memory, an_overflowing_product_is_no_allocation)
{
    volatile size_t huge = SIZE_MAX / 2; /* volatile: or gcc warns of what is tested here */
    cr_assert_null(ash_alloc_array(huge, 3));
    cr_assert_null(ash_realloc_array(NULL, huge, 3));
}

Test(memory, grow_doubles_and_keeps_the_items_when_it_fails)
{
    int *items = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 100; i++) {
        cr_assert_eq(ASH_GROW(items, capacity, i), ASH_OK);
        items[i] = (int)i;
    }
    cr_assert_eq(capacity, 128u);
    ash_memory_fail_from(0);
    cr_assert_eq(ASH_GROW(items, capacity, capacity), ASH_ERR_NO_MEMORY);
    ash_memory_fail_from(-1);
    cr_assert_eq(capacity, 128u);
    cr_assert_eq(items[99], 99);
    ash_free(items);
}

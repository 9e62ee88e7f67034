/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <time.h>

/* The moment at which make_golden.py renders: Monday, 23 November 2026, 14:05:09. */
static const struct tm template_now = { .tm_year = 126,
    .tm_mon = 10,
    .tm_mday = 23,
    .tm_hour = 14,
    .tm_min = 5,
    .tm_sec = 9,
    .tm_wday = 1,
    .tm_yday = 326 };

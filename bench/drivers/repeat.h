/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

/*
 * What one time of something takes, in seconds: the median of five rounds of run(context, times), which
 * returns when it is done, each of so many times that it takes a tenth of a second. One round before does
 * not count.
 */
enum ash_status repeat(
    enum ash_status (*run)(void *context, int times), void *context, double *seconds);

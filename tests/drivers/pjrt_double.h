/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * A PJRT plugin of our own, which says that it is one: two chips, one client at a time (as libtpu), arrays
 * that are kept and copied, and programs whose results are zeros, as it does not compute. It counts what
 * it gave out, and fails when told: by ASHLAR_TEST_PJRT_FAULT, read when it is opened ("old", "crash"; pjrt_faults.c
 * has them all), or by the library's `pjrt_double_state`.
 */
struct pjrt_double {
    int64_t live;       /* clients, arrays, events, errors, programs: given out and not destroyed */
    int64_t calls;      /* that may fail, so far */
    int64_t fail_at;    /* the call of this number fails; -1 = none */
    int64_t nothing_at; /* that call says that it succeeded, and gives nothing */
    int64_t copies;     /* from chip to chip */
    int64_t compiled;
};

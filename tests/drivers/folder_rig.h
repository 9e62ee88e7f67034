/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/config.h"

#include <stddef.h>

/* A folder of a test's own, and settings whose cache lies there. Whatever fails, fails the test. */

extern char rig_folder[];
extern struct ash_config rig_config;

void rig_folder_make(void);
void rig_folder_remove(void);

/* The same with rig_config. */
void rig_cache_set_up(void);
void rig_cache_tear_down(void);

void rig_set(const char *name, const char *value);
void rig_write_file(const char *name, const void *bytes, size_t length);

/*
 * What a driver that keeps programs on disk must do. run_once() opens a device with rig_config, has it run one
 * program, and closes it: the program lies in the cache's folder `driver` then, the next run uses it as it
 * is, a damaged one is made again, and where none can be written all goes on without.
 */
void rig_check_kept_programs(const char *driver, void (*run_once)(void));
void rig_check_programs_that_cannot_be_kept(const char *driver, void (*run_once)(void));

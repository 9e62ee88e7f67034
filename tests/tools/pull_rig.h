/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tools/pull/pull.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What the tests of ash_pull() share: a folder of their own with a sound model file in it (served.gguf,
 * about a megabyte), a models directory, a registry of the user's, a web server with faults.
 */
extern char rig_folder[64];
extern struct ash_pull rig_pull; /* models_dir below the folder; progress counts and may stop */
extern struct ash_pull_result
    rig_got;                 /* of the last rig_run() that succeeded; path freed by fini */
extern uint64_t rig_stop_at; /* progress() says no from this many downloaded bytes; 0 never */

void rig_init(void);
void rig_fini(void);

/* "FOLDER/name", in one of a few buffers that are used in turn. */
const char *rig_path(const char *name);

/* "http://127.0.0.1:PORT/how/name"; starts the server when it is first asked for. */
const char *rig_url(const char *how, const char *name);

/* Pulls, keeping the result. The registry is loaded the first time. */
enum ash_status rig_run(const char *what);

/* Writes FOLDER/models.json with one entry of served.gguf's name, as printf makes it. */
void rig_registry(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The SHA-256 and size of served.gguf. */
extern char rig_sha256[65];
extern uint64_t rig_size_bytes;

/* Replaces a file's content. */
void rig_write(const char *name, const void *bytes, size_t size_bytes);

/* Files in the models directory, hidden ones too; and whether one of them is `name`. */
size_t rig_count(void);
int rig_has(const char *name);

/* The server's record of requests. */
const char *rig_requests(void);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/cpu/ranking.h"

#include <stddef.h>

/* ranking_measure.c: the kernels that there is a choice of, in the order of their tables, without
 * figures; and the figures. */
void ranking_list(struct ash_ranking *ranking, uint64_t features);
enum ash_status ranking_measure(struct ash_ranking *ranking);

/* ranking_file.c. Whose ranking a file is: the processor and what may be used of it, and the build. */
enum { RANKING_TEXT_BYTES = 16384 };
struct ranking_key {
    const char *processor, *features, *build;
};

/* `directory`/kernels-<hash of processor and features>, fresh; NULL = no memory. */
char *ranking_path(const char *directory, const struct ranking_key *key);

/* Fills the figures of a listed ranking. False, *ranking as it was, if `text` is not whole or is not
 * of this key and these kernels. */
bool ranking_parse(
    struct ash_ranking *ranking, const struct ranking_key *key, const char *text, size_t length);
bool ranking_read(struct ash_ranking *ranking, const struct ranking_key *key, const char *path);

/* Writes `path`, all of it or nothing. ASH_ERR_IO, ASH_ERR_NO_MEMORY. */
enum ash_status ranking_write(
    const struct ash_ranking *ranking, const struct ranking_key *key, const char *path);

/* As the file has it, closed with 0; returns its length. For tests. */
size_t ranking_print(const struct ash_ranking *ranking, const struct ranking_key *key,
    char text[RANKING_TEXT_BYTES]);

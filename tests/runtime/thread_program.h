/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/memory.h"
#include "runtime/thread.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A program with a known number of chunks in each phase, which checks itself while it runs. */
struct program {
    int64_t phases, opened;
    int threads;
    int64_t *chunks; /* of each phase */
    int64_t *first;  /* the number of chunks in earlier phases */
    uint8_t *runs;   /* of each chunk: written without atomics, as every chunk runs once */
    int64_t plain;   /* counted by open() alone: TSan sees whether openers are ordered */
    _Atomic int64_t wrong;
    _Atomic int64_t complete;
};

static int64_t open_checked(void *ctx, int64_t phase)
{
    struct program *program = ctx;
    if (phase != program->opened++ || atomic_load(&program->complete) != program->first[phase])
        atomic_fetch_add(&program->wrong, 1);
    /* Every chunk of the phase before, by plain reads: they must be visible here. */
    for (int64_t i = phase ? program->first[phase - 1] : 0; i < program->first[phase]; i++)
        if (program->runs[i] != 1)
            atomic_fetch_add(&program->wrong, 1);
    program->plain++;
    return program->chunks[phase];
}

static void chunk_checked(void *ctx, int64_t phase, int64_t chunk, int worker)
{
    struct program *program = ctx;
    if (phase != program->opened - 1 || chunk < 0 || chunk >= program->chunks[phase] ||
        worker < 0 || worker >= program->threads)
        atomic_fetch_add(&program->wrong, 1);
    else
        program->runs[program->first[phase] + chunk]++;
    atomic_fetch_add(&program->complete, 1);
}

/* Phases of 0 to `most` chunks at random. Returns how much went wrong: 0. */
static int64_t ash_program_run(struct ash_team *team, int64_t phases, int64_t most, unsigned *seed)
{
    struct program program = { .phases = phases, .threads = ash_team_threads(team) };
    program.chunks = ash_alloc_array((size_t)phases + 1, sizeof(int64_t));
    program.first = ash_alloc_array((size_t)phases + 1, sizeof(int64_t));
    int64_t total = 0;
    for (int64_t i = 0; i < phases; i++) {
        program.first[i] = total;
        total += program.chunks[i] = rand_r(seed) % (most + 1);
    }
    program.runs = ash_alloc_array((size_t)total, 1);
    ash_team_run(team, &(struct ash_team_work){ phases, open_checked, chunk_checked, &program });
    int64_t wrong = program.wrong + (program.plain != phases) + (program.complete != total);
    for (int64_t i = 0; i < total; i++)
        wrong += program.runs[i] != 1;
    ash_free(program.chunks);
    ash_free(program.first);
    ash_free(program.runs);
    return wrong;
}

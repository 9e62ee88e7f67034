/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/model.h"
#include "tools/ashlar/cli.h"

/* What `ashlar run` was asked for, and what it works with; shared by one answer (run.c) and a
 * conversation (chat.c). */
struct ash_run_options {
    const char *system;
    const char *trace;
    int64_t max_tokens;
    double temperature, top_p, min_p, typical_p;
    int64_t top_k, penalty_last_n;
    double repeat_penalty, frequency_penalty, presence_penalty;
    struct ash_option_list stop;
    bool raw, json, verbose, ignore_end;
};

struct ash_run {
    struct ash_cli *cli;
    const struct ash_run_options *options;
    struct ash_runtime *runtime;
    struct ash_model *model;
    struct ash_session *session;
    struct ash_session_options sampling;
    const char *name; /* of the model, as the user calls it */
};

/*
 * Prints the answer to what was added to the session, as it comes, and a line end. Ctrl-C ends the
 * answer. *out tells how it ended. Stops early, with ASH_ERR_IO, when standard output takes no more.
 */
enum ash_status ash_run_answer(struct ash_run *run, enum ash_finish *out);

/* "12 tokens in (4 cached), 34 out; 310.0 and 95.2 tokens/s; 46 of 8192 positions" to standard error. */
void ash_run_print_usage(const struct ash_run *run);

/* A conversation on a terminal until its user ends it. */
enum ash_status ash_run_chat(struct ash_run *run);

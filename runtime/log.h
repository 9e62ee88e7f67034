/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/*
 * The log of a program: one line a record, one sink, text for people or JSON for collectors.
 *
 * Only programs log, and each failure once: libraries return a status and a message (status.h). A
 * record is written by one write(2) on an unbuffered stream, so lines of several threads or processes
 * never mix. Control characters are made visible: what a model file or a request carries can neither
 * forge a line nor steer the terminal. Threads: ash_log() any; ash_log_open() before the others start.
 */
enum ash_log_level {
    ASH_LOG_OFF,
    ASH_LOG_ERROR, /* something asked for was not done */
    ASH_LOG_WARN,  /* done, but not as one would wish */
    ASH_LOG_INFO,  /* what an operator wants to see once: started, loaded, listening */
    ASH_LOG_DEBUG,
};

enum ash_log_format {
    ASH_LOG_TEXT, /* "ashlar: no such model" */
    ASH_LOG_JSON, /* {"time":"2026-11-23T15:04:05.678Z","level":"error","message":"..."} */
};

struct ash_log_options {
    FILE *sink;               /* borrowed; NULL = standard error */
    const char *program;      /* borrowed: what text lines start with */
    enum ash_log_level level; /* the least important one that is written */
    enum ash_log_format format;
    bool color;
};

/* Until it is called the log writes text from level WARN on to standard error. */
void ash_log_open(const struct ash_log_options *options);

/* Messages longer than 1,023 bytes are cut. Never fails: a sink that refuses is left alone. */
void ash_log(enum ash_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* True when a record of `level` would be written; for messages that are expensive to make. */
bool ash_log_on(enum ash_log_level level);

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/drivers/hip_double/double_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
int card_error[MOST_DEVICES];
int64_t live_count;
static int64_t delay_ms, occasions[HIP_DOUBLE_FAULTS] = { -1, -1, -1, -1 };
static enum hip_double_kind held;

/* ---- Faults ---- */

EXPORT hip_double_fail_from hip_double_fail;
void hip_double_fail(enum hip_double_fault fault, int64_t nth)
{
    pthread_mutex_lock(&lock);
    occasions[fault] = nth;
    pthread_mutex_unlock(&lock);
}

EXPORT hip_double_delay hip_double_set_delay;
void hip_double_set_delay(int64_t milliseconds)
{
    pthread_mutex_lock(&lock);
    delay_ms = milliseconds;
    pthread_mutex_unlock(&lock);
}

EXPORT hip_double_hold hip_double_set_hold;
void hip_double_set_hold(enum hip_double_kind kind)
{
    pthread_mutex_lock(&lock);
    held = kind;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static bool is_held(const struct work *work)
{
    return (held == HIP_DOUBLE_KERNELS && work->kind == WORK_RUN) ||
           (held == HIP_DOUBLE_COPIES && work->kind == WORK_COPY);
}

EXPORT hip_double_live hip_double_count;
int64_t hip_double_count(void)
{
    pthread_mutex_lock(&lock);
    int64_t count = live_count;
    pthread_mutex_unlock(&lock);
    return count;
}

bool happens(enum hip_double_fault fault)
{
    if (occasions[fault] > 0)
        occasions[fault]--;
    else
        return occasions[fault] == 0;
    return false;
}

/* ---- Work ---- */

static void pause_for(int64_t milliseconds)
{
    struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
    if (milliseconds > 0)
        nanosleep(&time, NULL);
}

/* Called without the lock. */
static void perform(struct hip_stream *stream, const struct work *work)
{
    switch (work->kind) {
    case WORK_COPY:
        memmove(work->to, work->from, work->bytes);
        break;
    case WORK_SET:
        memset(work->to, work->value, work->bytes);
        break;
    case WORK_WAIT:
        (void)queue_wait(work->stream, work->point);
        break;
    case WORK_RUN:
        crew_run(stream->crew, &work->job);
        break;
    }
}

static void *work_off(void *argument)
{
    struct hip_stream *stream = argument;
    stream->crew = crew_create();
    pthread_mutex_lock(&lock);
    while (stream->first || !stream->ends) {
        struct work *work = stream->first;
        if (!work || is_held(work)) {
            pthread_cond_wait(&changed, &lock);
            continue;
        }
        int64_t wait_ms = delay_ms;
        pthread_mutex_unlock(&lock);
        pause_for(wait_ms);
        pthread_mutex_lock(&lock);
        if (work->kind == WORK_RUN && happens(HIP_DOUBLE_LOST))
            card_error[stream->device] = maker.death;
        bool dead = card_error[stream->device] != SUCCESS;
        pthread_mutex_unlock(&lock);
        if (!dead)
            perform(stream, work);
        pthread_mutex_lock(&lock);
        stream->first = work->next;
        if (!stream->first)
            stream->last = &stream->first;
        stream->done++;
        free(work);
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    crew_destroy(stream->crew);
    return NULL;
}

int queue_add(struct hip_stream *stream, const struct work *work)
{
    struct work *copy = malloc(sizeof *copy);
    *copy = *work;
    copy->next = NULL;
    *stream->last = copy;
    stream->last = &copy->next;
    stream->queued++;
    pthread_cond_broadcast(&changed);
    return SUCCESS;
}

int queue_wait(struct hip_stream *stream, uint64_t point)
{
    pthread_mutex_lock(&lock);
    while (stream->done < point)
        pthread_cond_wait(&changed, &lock);
    int error = card_error[stream->device];
    pthread_mutex_unlock(&lock);
    return error;
}

int stream_start(int device, struct hip_stream **out)
{
    struct hip_stream *stream = calloc(1, sizeof *stream);
    stream->device = device;
    stream->last = &stream->first;
    if (pthread_create(&stream->thread, NULL, work_off, stream) != 0) {
        free(stream);
        return OUT_OF_MEMORY;
    }
    *out = stream;
    return SUCCESS;
}

void stream_end(struct hip_stream *stream)
{
    pthread_mutex_lock(&lock);
    stream->ends = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(stream->thread, NULL);
    free(stream);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Streams, events, and the copies between them. */
#include "tests/drivers/hip_double/double_hip.h"

#include <stdlib.h>

static int64_t peer_copies, held_copies;
static struct hip_stream *streams[64];

void stream_wait_all(int device)
{
    for (int i = 0; i < 64; i++) {
        pthread_mutex_lock(&lock);
        struct hip_stream *stream = streams[i];
        uint64_t point = stream ? stream->queued : 0;
        pthread_mutex_unlock(&lock);
        if (stream && stream->device == device)
            (void)queue_wait(stream, point);
    }
}

int hipStreamCreateWithFlags(struct hip_stream **stream, unsigned flags)
{
    if (flags > 1)
        return INVALID_VALUE;
    int code = stream_start(current, stream);
    pthread_mutex_lock(&lock);
    for (int i = 0; code == SUCCESS && i < 64; i++)
        if (!streams[i]) {
            streams[i] = *stream;
            break;
        }
    live_count += code == SUCCESS;
    pthread_mutex_unlock(&lock);
    return code;
}

int hipStreamDestroy(struct hip_stream *stream)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 64; i++)
        if (streams[i] == stream)
            streams[i] = NULL;
    live_count--;
    pthread_mutex_unlock(&lock);
    stream_end(stream);
    return SUCCESS;
}

int hipStreamSynchronize(struct hip_stream *stream)
{
    pthread_mutex_lock(&lock);
    uint64_t point = stream->queued;
    pthread_mutex_unlock(&lock);
    return queue_wait(stream, point);
}

int hipEventCreateWithFlags(struct hip_event **event, unsigned flags)
{
    if (flags != 2)
        return INVALID_VALUE;
    *event = calloc(1, sizeof **event);
    (*event)->device = current;
    pthread_mutex_lock(&lock);
    live_count++;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

int hipEventDestroy(struct hip_event *event)
{
    pthread_mutex_lock(&lock);
    live_count--;
    pthread_mutex_unlock(&lock);
    free(event);
    return SUCCESS;
}

int hipEventRecord(struct hip_event *event, struct hip_stream *stream)
{
    if (event->device != stream->device)
        return INVALID_HANDLE;
    pthread_mutex_lock(&lock);
    event->stream = stream;
    event->point = stream->queued;
    int code = card_error[stream->device];
    pthread_mutex_unlock(&lock);
    return code;
}

int hipEventSynchronize(struct hip_event *event)
{
    return event->stream ? queue_wait(event->stream, event->point) : SUCCESS;
}

int stream_add(struct hip_stream *stream, bool allowed, struct work work)
{
    int code = card_error[stream->device];
    if (code == SUCCESS && stream->device != current)
        code = INVALID_HANDLE;
    if (code == SUCCESS && !allowed)
        code = INVALID_VALUE;
    return code == SUCCESS ? queue_add(stream, &work) : code;
}

int hipStreamWaitEvent(struct hip_stream *stream, struct hip_event *event, unsigned flags)
{
    pthread_mutex_lock(&lock);
    struct work work = { .kind = WORK_WAIT, .stream = event->stream, .point = event->point };
    int code = event->stream ? stream_add(stream, flags == 0, work) : SUCCESS;
    pthread_mutex_unlock(&lock);
    return code;
}

int hipMemsetAsync(void *memory, int value, size_t bytes, struct hip_stream *stream)
{
    pthread_mutex_lock(&lock);
    int code = stream_add(stream, is_on(memory, bytes, stream->device),
        (struct work){ .kind = WORK_SET, .to = memory, .value = value, .bytes = bytes });
    pthread_mutex_unlock(&lock);
    return code;
}

/* With memory of the host that may move, the calling thread is held until the copy is done. */
int hipMemcpyAsync(void *to, const void *from, size_t bytes, int kind, struct hip_stream *stream)
{
    pthread_mutex_lock(&lock);
    bool to_card = is_on(to, bytes, stream->device), from_card = is_on(from, bytes, stream->device);
    bool allowed = kind == 1   ? to_card && is_of_host(from)
                   : kind == 2 ? from_card && is_of_host(to)
                               : kind == 3 && to_card && from_card;
    int code = stream_add(stream, allowed,
        (struct work){ .kind = WORK_COPY, .to = to, .from = from, .bytes = bytes });
    bool holds = code == SUCCESS && kind != 3 && !is_pinned(kind == 1 ? from : to, bytes);
    uint64_t point = stream->queued;
    held_copies += holds;
    pthread_mutex_unlock(&lock);
    return holds ? queue_wait(stream, point) : code;
}

int hipMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes,
    struct hip_stream *stream)
{
    pthread_mutex_lock(&lock);
    bool allowed = is_on(to, bytes, to_device) && is_on(from, bytes, from_device) &&
                   (stream->device == to_device || stream->device == from_device);
    int code = stream_add(stream, allowed,
        (struct work){ .kind = WORK_COPY, .to = to, .from = from, .bytes = bytes });
    peer_copies += code == SUCCESS;
    pthread_mutex_unlock(&lock);
    return code;
}

EXPORT hip_double_peer_copies hip_double_count_peer_copies;
int64_t hip_double_count_peer_copies(void)
{
    pthread_mutex_lock(&lock);
    int64_t count = peer_copies;
    pthread_mutex_unlock(&lock);
    return count;
}

EXPORT hip_double_held_copies hip_double_count_held_copies;
int64_t hip_double_count_held_copies(void)
{
    pthread_mutex_lock(&lock);
    int64_t count = held_copies;
    pthread_mutex_unlock(&lock);
    return count;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/opencl/opencl_relay.h"

#include "runtime/memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

enum { MOST_WAITS = 64, LOOK_NS = 20000000 };

struct relay_wait {
    struct opencl_relay *relay;
    cl_event source; /* owned, as `target` is, until that is completed; of the other context */
    cl_event target; /* the user event; NULL = nothing is under way */
    bool awaited;    /* the callback is yet to come */
    bool happened;
};

struct opencl_relay {
    const struct opencl_api *api;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool runs, ends;
    bool idle; /* the thread does not look by itself until it is told to */
    int holders; /* the device, and callbacks to come: of a lost device some may come late, or never */
    struct relay_wait wait[MOST_WAITS];
};

enum ash_status opencl_relay_create(const struct opencl_api *api, struct opencl_relay **out)
{
    struct opencl_relay *relay = ash_alloc_zero(sizeof *relay);
    if (!relay)
        return ash_fail_memory(sizeof *relay, "a relay");
    relay->api = api;
    relay->holders = 1;
    pthread_mutex_init(&relay->lock, NULL);
    pthread_cond_init(&relay->changed, NULL);
    *out = relay;
    return ASH_OK;
}

/* Under the lock, which it gives back. */
static void let_go(struct opencl_relay *relay)
{
    bool is_last = --relay->holders == 0;
    pthread_mutex_unlock(&relay->lock);
    if (!is_last)
        return;
    pthread_cond_destroy(&relay->changed);
    pthread_mutex_destroy(&relay->lock);
    ash_free(relay);
}

/* ---- The thread: all under the lock, which what calls the driver gives back meanwhile ---- */

static struct relay_wait *find(struct opencl_relay *relay, bool happened)
{
    for (int i = 0; i < MOST_WAITS; i++)
        if (relay->wait[i].target && relay->wait[i].happened == happened)
            return &relay->wait[i];
    return NULL;
}

static void complete(struct opencl_relay *relay, struct relay_wait *wait)
{
    cl_event target = wait->target, source = wait->source;
    pthread_mutex_unlock(&relay->lock);
    (void)relay->api->SetUserEventStatus(target, CL_COMPLETE);
    (void)relay->api->ReleaseEvent(target);
    (void)relay->api->ReleaseEvent(source);
    pthread_mutex_lock(&relay->lock);
    wait->target = NULL;
}

/* Whether it has happened without a callback: a lost device may never call. */
static void look(struct opencl_relay *relay, struct relay_wait *wait)
{
    cl_event source = wait->source;
    cl_int status = CL_QUEUED;
    pthread_mutex_unlock(&relay->lock);
    cl_int code = relay->api->GetEventInfo(
        source, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
    pthread_mutex_lock(&relay->lock);
    wait->happened = wait->happened || code != CL_SUCCESS || status <= CL_COMPLETE;
}

/* For a callback; where one is under way, no longer than until it is time to look. */
static void rest(struct opencl_relay *relay)
{
    struct timespec until;
    relay->idle = !find(relay, false);
    if (relay->idle) {
        pthread_cond_wait(&relay->changed, &relay->lock);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (pthread_cond_timedwait(&relay->changed, &relay->lock, &until) == 0)
        return;
    for (int i = 0; i < MOST_WAITS; i++)
        if (relay->wait[i].target && !relay->wait[i].happened)
            look(relay, &relay->wait[i]);
}

static void *run(void *argument)
{
    struct opencl_relay *relay = argument;
    struct relay_wait *wait;
    pthread_mutex_lock(&relay->lock);
    while ((wait = find(relay, true)) || !relay->ends)
        if (wait)
            complete(relay, wait);
        else
            rest(relay);
    pthread_mutex_unlock(&relay->lock);
    return NULL;
}

/* ---- Waiting ---- */

/* The driver's callback, in some thread of its own, whatever became of the work. */
static void CL_CALLBACK note(cl_event event, cl_int status, void *argument)
{
    struct relay_wait *wait = argument;
    struct opencl_relay *relay = wait->relay;
    (void)event, (void)status;
    pthread_mutex_lock(&relay->lock);
    wait->happened = true;
    wait->awaited = false;
    pthread_cond_signal(&relay->changed);
    let_go(relay);
}

/* Under the lock. NULL where there is no room, or no thread. */
static struct relay_wait *take(struct opencl_relay *relay)
{
    int i = 0;
    if (!relay->runs)
        relay->runs = pthread_create(&relay->thread, NULL, run, relay) == 0;
    while (i < MOST_WAITS && (relay->wait[i].target || relay->wait[i].awaited))
        i++;
    return relay->runs && i < MOST_WAITS ? &relay->wait[i] : NULL;
}

/* Takes both events if it returns a wait. */
static struct relay_wait *add(struct opencl_relay *relay, cl_event source, cl_event target)
{
    pthread_mutex_lock(&relay->lock);
    struct relay_wait *wait = take(relay);
    if (wait) {
        *wait = (struct relay_wait){ relay, source, target, .awaited = true };
        relay->holders++;
        if (relay->idle)
            pthread_cond_signal(&relay->changed);
    }
    pthread_mutex_unlock(&relay->lock);
    return wait;
}

bool opencl_relay_follow(
    struct opencl_relay *relay, cl_context context, cl_command_queue commands, cl_event event)
{
    const struct opencl_api *api = relay->api;
    cl_int code;
    cl_event target = api->CreateUserEvent(context, &code);
    if (code != CL_SUCCESS)
        return false;
    (void)api->RetainEvent(event);
    (void)api->RetainEvent(target); /* the thread may be through with it at once */
    struct relay_wait *wait = add(relay, event, target);
    if (!wait) {
        (void)api->ReleaseEvent(event);
        (void)api->ReleaseEvent(target);
    } else if (api->SetEventCallback(event, CL_COMPLETE, note, wait) != CL_SUCCESS) {
        note(event, CL_COMPLETE, wait); /* nobody waits for it yet, nor will */
        wait = NULL;
    }
    code = wait ? api->EnqueueBarrierWithWaitList(commands, 1, &target, NULL) : CL_SUCCESS;
    (void)api->ReleaseEvent(target);
    return wait && code == CL_SUCCESS;
}

void opencl_relay_destroy(struct opencl_relay *relay)
{
    if (!relay)
        return;
    pthread_mutex_lock(&relay->lock);
    for (int i = 0; i < MOST_WAITS; i++)
        relay->wait[i].happened = true; /* nobody waits for it any more */
    relay->ends = true;
    pthread_cond_signal(&relay->changed);
    pthread_mutex_unlock(&relay->lock);
    if (relay->runs)
        pthread_join(relay->thread, NULL);
    pthread_mutex_lock(&relay->lock);
    let_go(relay);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work-items as coroutines: at a barrier an item hands over to the next, the last one to the first, so that
 * everybody has got there before anybody goes on. Their stacks are made by ucontext; handing over is two
 * builtins, as swapcontext() asks the kernel each time.
 */
#include "tests/drivers/hip_double/double_internal.h"

#include <stdlib.h>
#include <ucontext.h>

enum { STACK_BYTES = 128 << 10 };

struct item {
    void *resume[5];
    ucontext_t context; /* until it has begun */
};

struct crew {
    const struct job *job;
    void *home[5];
    ucontext_t maker;
    char *stacks;
    struct item item[DEVICE_GROUP];
};

_Thread_local struct device_item device_item;
static _Thread_local struct crew *crew;

/* In a function of its own, as the builtins demand. */
__attribute__((noinline, noreturn)) static void jump(void **to)
{
    __builtin_longjmp(to, 1);
}

void device_barrier(void)
{
    struct device_item mine = device_item;
    if (__builtin_setjmp(crew->item[mine.item].resume) == 0)
        jump(crew->item[(mine.item + 1) % DEVICE_GROUP].resume);
    device_item = mine;
}

__attribute__((noinline)) static void run_groups(i32 item)
{
    const struct job *job = crew->job;
    u8 *const *memory = job->memory;
    for (i32 group = 0; group < job->groups; group++) {
        if (group > 0)
            device_barrier(); /* everybody is through with the last one */
        device_item = (struct device_item){ item, group, job->groups };
        job->kernel(memory[0], memory[1], memory[2], memory[3], memory[4], memory[DEVICE_INPUTS],
            job->batch, job->args);
    }
}

/* Waits for a job, after which it is the next one's turn. */
__attribute__((noinline)) static void rest(i32 item, bool begins)
{
    struct item *self = &crew->item[item];
    if (__builtin_setjmp(self->resume) != 0)
        return;
    if (begins)
        swapcontext(&self->context, &crew->maker);
    else
        jump(item + 1 < DEVICE_GROUP ? crew->item[item + 1].resume : crew->home);
}

static void live(void)
{
    i32 item = device_item.item;
    rest(item, true);
    for (;;) {
        run_groups(item);
        rest(item, false);
    }
}

struct crew *crew_create(void)
{
    struct crew *made = calloc(1, sizeof *made);
    made->stacks = malloc((size_t)DEVICE_GROUP * STACK_BYTES);
    crew = made;
    for (i32 i = 0; i < DEVICE_GROUP; i++) {
        ucontext_t *context = &made->item[i].context;
        getcontext(context);
        context->uc_stack.ss_sp = made->stacks + (size_t)i * STACK_BYTES;
        context->uc_stack.ss_size = STACK_BYTES;
        makecontext(context, live, 0);
        device_item.item = i;
        swapcontext(&made->maker, context);
    }
    return made;
}

void crew_destroy(struct crew *made)
{
    free(made->stacks);
    free(made);
}

void crew_run(struct crew *made, const struct job *job)
{
    made->job = job;
    if (__builtin_setjmp(made->home) == 0)
        jump(made->item[0].resume);
}

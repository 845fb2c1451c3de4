/* See session_timers.h. */
#include "window/session_timers.h"

#include <stdlib.h>

#include "base/memory.h"

/* Timers of the overflow are looked at again so often that none is reached before it has got into the wheel. */
enum { OVERFLOW_STEPS = SESSION_TIMER_STEPS / 2 };

void session_timers_init(struct session_timers *timers, int64_t step_us)
{
    *timers = (struct session_timers){.step_us = step_us > 0 ? step_us : 1, .present = INT64_MIN};
}

static void list_deinit(struct session_timer_list *list)
{
    free(list->timers);
    *list = (struct session_timer_list){0};
}

void session_timers_deinit(struct session_timers *timers)
{
    list_deinit(&timers->heap);
    list_deinit(&timers->overflow);
    for (uint32_t i = 0; i < SESSION_TIMER_STEPS; i++)
        list_deinit(&timers->wheel[i]);
}

void session_timers_clear(struct session_timers *timers)
{
    timers->heap.count = timers->overflow.count = 0;
    for (uint32_t i = 0; i < SESSION_TIMER_STEPS; i++)
        timers->wheel[i].count = 0;
    timers->wheel_count = 0;
    timers->count = 0;
}

static void list_add(struct session_timer_list *list, struct session_timer timer)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 16;
        list->timers = memory_resize_array(list->timers, list->capacity, sizeof *list->timers);
    }
    list->timers[list->count++] = timer;
}

/* --- the present: a binary heap ------------------------------------------------------------------------------------------ */

static void heap_add(struct session_timer_list *heap, struct session_timer timer)
{
    list_add(heap, timer);
    uint32_t place = heap->count - 1;
    while (place > 0 && heap->timers[(place - 1) / 2].due_us > timer.due_us) {
        heap->timers[place] = heap->timers[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    heap->timers[place] = timer;
}

static struct session_timer heap_take(struct session_timer_list *heap)
{
    struct session_timer first = heap->timers[0], timer = heap->timers[--heap->count];
    uint32_t place = 0;
    for (uint32_t child; (child = place * 2 + 1) < heap->count; place = child) {
        if (child + 1 < heap->count && heap->timers[child + 1].due_us < heap->timers[child].due_us)
            child++;
        if (heap->timers[child].due_us >= timer.due_us)
            break;
        heap->timers[place] = heap->timers[child];
    }
    heap->timers[place] = timer;
    return first;
}

/* --- the wheel ----------------------------------------------------------------------------------------------------------- */

static int64_t step_of(const struct session_timers *timers, int64_t due_us)
{
    int64_t step = due_us / timers->step_us;
    return step - (due_us % timers->step_us < 0);
}

static struct session_timer_list *bucket_of(struct session_timers *timers, int64_t step)
{
    return &timers->wheel[(uint64_t)step % SESSION_TIMER_STEPS];
}

static void place(struct session_timers *timers, struct session_timer timer)
{
    int64_t step = step_of(timers, timer.due_us);
    if (step <= timers->present) {
        heap_add(&timers->heap, timer);
    } else if ((uint64_t)step - (uint64_t)timers->present < SESSION_TIMER_STEPS) {
        list_add(bucket_of(timers, step), timer);
        timers->wheel_count++;
    } else {
        list_add(&timers->overflow, timer);
    }
}

void session_timers_set(struct session_timers *timers, int64_t due_us, uint32_t row)
{
    timers->count++;
    place(timers, (struct session_timer){due_us, row});
}

static void spread_overflow(struct session_timers *timers)
{
    uint32_t count = timers->overflow.count;
    timers->overflow.count = 0;
    /* What stays is written behind what has been read. */
    for (uint32_t i = 0; i < count; i++)
        place(timers, timers->overflow.timers[i]);
}

/* The step of the first timer that is not in the heap; INT64_MAX for none. */
static int64_t next_step(const struct session_timers *timers)
{
    if (timers->wheel_count)
        return timers->present + 1;
    int64_t step = INT64_MAX;
    for (uint32_t i = 0; i < timers->overflow.count; i++) {
        int64_t other = step_of(timers, timers->overflow.timers[i].due_us);
        step = other < step ? other : step;
    }
    return step;
}

static void go_to(struct session_timers *timers, int64_t step)
{
    bool is_jump = timers->wheel_count == 0;
    timers->present = step;
    struct session_timer_list *bucket = bucket_of(timers, step);
    timers->wheel_count -= bucket->count;
    for (uint32_t i = 0; i < bucket->count; i++)
        heap_add(&timers->heap, bucket->timers[i]);
    bucket->count = 0;
    if (timers->overflow.count && (is_jump || (uint64_t)step % OVERFLOW_STEPS == 0))
        spread_overflow(timers);
}

bool session_timers_take(struct session_timers *timers, int64_t now_us, struct session_timer *timer)
{
    if (!timers->count)
        return false;
    int64_t now_step = step_of(timers, now_us);
    while (!timers->heap.count || timers->heap.timers[0].due_us > now_us) {
        if (timers->present >= now_step || (!timers->wheel_count && !timers->overflow.count))
            return false;
        int64_t step = next_step(timers);
        if (step > now_step) {
            /* Nothing until now. Times that are set from here on are near it. */
            if (!timers->wheel_count)
                go_to(timers, now_step);
            return false;
        }
        go_to(timers, step);
    }
    timers->count--;
    *timer = heap_take(&timers->heap);
    return true;
}

uint64_t session_timers_memory_size(const struct session_timers *timers)
{
    uint64_t capacity = timers->heap.capacity + (uint64_t)timers->overflow.capacity;
    for (uint32_t i = 0; i < SESSION_TIMER_STEPS; i++)
        capacity += timers->wheel[i].capacity;
    return capacity * sizeof(struct session_timer);
}

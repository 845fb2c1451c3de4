/* Latencies of the last minute: the running histograms are copied every ten seconds; the difference to the oldest copy is
 * the last minute. Copies are made when somebody asks; if nobody asked for longer, "the last minute" reaches back to the last question. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/engine_internal.h"

enum { LEDGER_SLOTS = 7, LEDGER_STEP_US = 10 * 1000 * 1000 };

struct ledger {
    pthread_mutex_t lock;                           /* guards everything below */
    struct histogram (*slots)[LATENCY_STAGE_COUNT]; /* [LEDGER_SLOTS] totals as they were, a ring */
    uint32_t slot_count, next_slot;
    int64_t next_copy_us;
};

struct ledger *ledger_create(void)
{
    struct ledger *ledger = memory_allocate(sizeof *ledger);
    pthread_mutex_init(&ledger->lock, NULL);
    ledger->slots = memory_allocate_array(LEDGER_SLOTS, sizeof *ledger->slots);
    return ledger;
}

void ledger_destroy(struct ledger *ledger)
{
    if (!ledger)
        return;
    pthread_mutex_destroy(&ledger->lock);
    free(ledger->slots);
    free(ledger);
}

static void fill_totals(struct engine *engine, struct histogram *latency)
{
    for (uint32_t i = 0; i < LATENCY_STAGE_COUNT; i++)
        histogram_init(&latency[i]);
    histogram_merge(&latency[LATENCY_ACCEPT], &engine->accept_latency);
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        histogram_merge(&latency[LATENCY_DECODE], &engine->shards[i].decode_latency);
        histogram_merge(&latency[LATENCY_WINDOW], &engine->shards[i].window_latency);
    }
    histogram_merge(&latency[LATENCY_MERGE], &engine->merger.latency);
    histogram_merge(&latency[LATENCY_STORE], &engine->store_latency);
    histogram_merge(&latency[LATENCY_SOCKET], &engine->socket_latency);
    histogram_merge(&latency[LATENCY_END_TO_END], &engine->end_to_end_latency);
    /* While nobody listens, the way ends in the store. */
    if (atomic_load(&engine->end_to_end_latency.count) == 0) {
        histogram_merge(&latency[LATENCY_END_TO_END], &engine->stored_latency);
    }
}

void ledger_fill(struct ledger *ledger, struct engine *engine, struct stats_snapshot *snapshot)
{
    int64_t now_us = clock_monotonic_us(engine->clock);
    pthread_mutex_lock(&ledger->lock);
    fill_totals(engine, snapshot->latency);
    uint32_t oldest = ledger->slot_count < LEDGER_SLOTS ? 0 : ledger->next_slot;
    for (uint32_t i = 0; i < LATENCY_STAGE_COUNT; i++) {
        const struct histogram *before = ledger->slot_count ? &ledger->slots[oldest][i] : NULL;
        struct histogram *difference = arena_allocate(&snapshot->arena, sizeof *difference);
        histogram_difference(difference, &snapshot->latency[i], before);
        snapshot->latency_minute[i] = histogram_summarize(difference);
    }
    if (now_us >= ledger->next_copy_us) {
        memcpy(ledger->slots[ledger->next_slot], snapshot->latency, sizeof ledger->slots[0]);
        ledger->next_slot = (ledger->next_slot + 1) % LEDGER_SLOTS;
        if (ledger->slot_count < LEDGER_SLOTS)
            ledger->slot_count++;
        ledger->next_copy_us = now_us + LEDGER_STEP_US;
    }
    pthread_mutex_unlock(&ledger->lock);
}

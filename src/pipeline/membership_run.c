/* Taking up partitions: from where, whether that can be done at all, and then in one moment of rest.
 *
 *   position of a partition:  what the group has committed, or what the store has recorded, by the larger epoch of its mark
 *                             (the store is ahead when the process died between its commit and the broker's; the broker is ahead
 *                             when another process was here, or when a transactional sink commits the offsets)
 *                             else as `start` says */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "pipeline/membership_internal.h"
#include "pipeline/partials.h"

enum { PART_MIN_SIZE = 20 }; /* bytes of a line `part` with eight words of one letter */

/* One partition of the run. */
struct start_position {
    bool is_own;                 /* read by this process; else its slot has a name only */
    struct kafka_position kafka; /* committed, and the bounds of the log */
    struct kafka_progress progress;
    bool has_progress; /* P, watermarks and epoch are known; else the offset alone */
    bool is_new;       /* the group has never been here */
};

struct run_plan {
    struct membership *membership;
    int64_t round; /* 0: alone */
    bool is_leader;
    struct arena arena;
    struct start_position *items;
    uint32_t count;
    uint64_t epoch;             /* the largest of all positions */
    int64_t *closed_through_us; /* of that epoch */
};

static const struct config_source *source_of(const struct run_plan *plan, const struct start_position *item)
{
    return &plan->membership->engine->config->sources[item->kafka.id.source_index];
}

/* --- where to go on ------------------------------------------------------------------------------------------------ */

static void read_committed(struct run_plan *plan, struct start_position *item)
{
    const struct engine *engine = plan->membership->engine;
    item->progress.closed_through_us =
        arena_allocate(&plan->arena, sizeof(int64_t) * (engine->plan->pipeline_count + 1));
    item->is_new = item->kafka.offset < 0;
    if (!item->is_new &&
        kafka_progress_read(item->kafka.metadata, engine, item->kafka.offset, &item->progress)) {
        item->has_progress = true;
        return;
    }
    item->progress.position = (struct partition_position){.position = item->kafka.offset,
                                                          .position_max_time_us = TIME_NONE,
                                                          .base = item->kafka.offset,
                                                          .base_watermark_us = TIME_NONE};
    if (!item->is_new)
        log_write(LOG_INFO, "kafka",
                  "group %s: offset %" PRId64
                  " of topic %s, partition %d was not committed by weir; beginning there",
                  plan->membership->group, item->kafka.offset, item->kafka.id.topic,
                  (int)item->kafka.id.partition);
}

/* What the store has recorded, where that is newer. A group whose offset was set by another tool is followed. */
static void read_recorded(struct run_plan *plan, const struct progress_mark *mark,
                          struct start_position *item)
{
    for (uint32_t i = 0; i < mark->position_count; i++) {
        const struct partition_position *position = &mark->positions[i];
        if (!position->topic || position->source_index != item->kafka.id.source_index ||
            position->topic_partition != item->kafka.id.partition ||
            strcmp(position->topic, item->kafka.id.topic) != 0 || position->position < 0)
            continue;
        bool is_newer = item->has_progress ? mark->epoch > item->progress.epoch : item->is_new;
        if (!is_newer)
            return;
        item->progress.epoch = mark->epoch;
        item->progress.position = *position;
        memcpy(item->progress.closed_through_us, mark->closed_through_us,
               sizeof(int64_t) * plan->membership->engine->plan->pipeline_count);
        item->has_progress = true;
        item->is_new = false;
        return;
    }
}

static void begin_new(const struct run_plan *plan, struct start_position *item)
{
    bool is_latest = source_of(plan, item)->kafka.start == KAFKA_START_LATEST;
    item->progress.position.base = item->progress.position.position =
        is_latest ? item->kafka.high : item->kafka.low;
}

static enum status find_positions(struct run_plan *plan, const struct kafka_partition *partitions,
                                  uint32_t count, struct error *error)
{
    struct membership *membership = plan->membership;
    plan->count = count;
    plan->items = arena_allocate_zeroed(&plan->arena, sizeof *plan->items * (count + 1));
    struct kafka_position *positions = arena_allocate_zeroed(&plan->arena, sizeof *positions * (count + 1));
    for (uint32_t i = 0; i < count; i++)
        positions[i].id = partitions[i];
    enum status status =
        kafka_consumer_committed(membership->consumer, positions, count, &plan->arena, error);
    if (status == STATUS_OK)
        status = kafka_consumer_bounds(membership->consumer, positions, count, error);
    if (status != STATUS_OK)
        return status == STATUS_INVALID ? STATUS_IO : status;
    struct progress_mark *mark = engine_durable(membership->engine);
    for (uint32_t i = 0; i < count; i++) {
        struct start_position *item = &plan->items[i];
        item->kafka = positions[i];
        item->is_own = true;
        read_committed(plan, item);
        if (mark)
            read_recorded(plan, mark, item);
        if (item->is_new)
            begin_new(plan, item);
    }
    progress_mark_destroy(mark);
    return STATUS_OK;
}

/* The times up to which windows are closed belong to one mark: the newest. */
static void find_epoch(struct run_plan *plan)
{
    uint32_t pipeline_count = plan->membership->engine->plan->pipeline_count;
    plan->closed_through_us = arena_allocate(&plan->arena, sizeof(int64_t) * (pipeline_count + 1));
    for (uint32_t i = 0; i < pipeline_count; i++)
        plan->closed_through_us[i] = TIME_NONE;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct start_position *item = &plan->items[i];
        if (!item->has_progress || (plan->epoch && item->progress.epoch <= plan->epoch))
            continue;
        plan->epoch = item->progress.epoch;
        memcpy(plan->closed_through_us, item->progress.closed_through_us, sizeof(int64_t) * pipeline_count);
    }
}

/* --- whether it can be done ---------------------------------------------------------------------------------------- */

static enum status check_bounds(const struct run_plan *plan, struct error *error)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct start_position *item = &plan->items[i];
        int64_t base = item->progress.position.base, position = item->progress.position.position;
        const char *topic = item->kafka.id.topic;
        int partition = (int)item->kafka.id.partition;
        if (base < item->kafka.low && position > base) {
            error_set(
                error,
                "topic %s, partition %d: the events from offset %" PRId64
                " on are needed to build the open windows again, but the topic begins at %" PRId64
                ": its retention has deleted them. To go on without them, set the offsets of group %s "
                "anew (kafka-consumer-groups.sh --reset-offsets --to-earliest) or use another `group`; then give the topic a longer "
                "retention",
                topic, partition, base, item->kafka.low, plan->membership->group);
            return STATUS_INVALID;
        }
        if (base < item->kafka.low) {
            error_set(
                error,
                "topic %s, partition %d: reading was to go on at offset %" PRId64
                ", but the topic begins at %" PRId64
                ": its retention has deleted events that were not read. To go on without them, set the "
                "offsets of group %s anew (kafka-consumer-groups.sh --reset-offsets --to-earliest) or use another `group`",
                topic, partition, base, item->kafka.low, plan->membership->group);
            return STATUS_INVALID;
        }
        if (position > item->kafka.high) {
            error_set(
                error,
                "topic %s, partition %d: events up to offset %" PRId64
                " were processed, but the topic ends at %" PRId64
                ": it was deleted and made anew, or truncated. To begin with what is there, set the "
                "offsets of group %s anew (kafka-consumer-groups.sh --reset-offsets --to-earliest), or use another `group`",
                topic, partition, position, item->kafka.high, plan->membership->group);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

/* --- taking up ----------------------------------------------------------------------------------------------------- */

static enum status check_room(const struct run_plan *plan, struct error *error)
{
    struct membership *membership = plan->membership;
    for (uint32_t s = 0; s < membership->source_count; s++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < plan->count; i++)
            count += plan->items[i].kafka.id.source_index == membership->source_indices[s];
        if (count <= CONFIG_MAX_PARTITIONS)
            continue;
        error_set(
            error,
            "source %s has %u partitions, but at most %d can be read by one process; start more processes",
            membership->engine->config->sources[membership->source_indices[s]].name, count,
            CONFIG_MAX_PARTITIONS);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static void take_up_partition(const struct run_plan *plan, const struct start_position *item,
                              struct engine_partition *partition)
{
    const struct config_source *config = source_of(plan, item);
    const struct partition_position *position = &item->progress.position;
    partition->kafka = item->kafka.id;
    partition->is_own = item->is_own;
    partition->state.is_idle = partition->state.is_ended = false;
    partition->is_failed = partition->has_error = false;
    partition->next_read_us = 0;
    partition->is_resumable = true;
    partition->state.next_offset = position->base;
    partition->replay_until = position->position;
    partition->expected_max_time_us = position->position_max_time_us;
    partition->state.watermark.max_event_time_us =
        position->base_watermark_us == TIME_NONE
            ? TIME_NONE
            : position->base_watermark_us + config->max_out_of_orderness_us;
    partition->state.last_record_us = partition->state.max_time_seen_us =
        clock_monotonic_us(plan->membership->engine->clock);
}

/* Slots are filled in the order of topic and partition, so ties between events are decided the same way each time. */
static struct engine_partition *slot_of(const struct run_plan *plan, uint32_t index)
{
    uint32_t source_index = plan->items[index].kafka.id.source_index, before = 0;
    for (uint32_t i = 0; i < index; i++)
        before += plan->items[i].kafka.id.source_index == source_index;
    return engine_find_partition(plan->membership->engine, source_index, before);
}

/* What the merger has to know of the others. With everything at rest. */
static void share_windows(const struct run_plan *plan)
{
    struct membership *membership = plan->membership;
    struct merger_share *share = &membership->engine->merger.share;
    share->membership = plan->round ? membership : NULL;
    share->partials = membership->partials;
    share->is_leader = plan->is_leader;
    share->round = plan->round;
    share->sequence = 0;
    atomic_store_explicit(&share->acknowledged, 0, memory_order_relaxed);
    atomic_store_explicit(&share->may_go_live, false, memory_order_relaxed);
    share->member_count = 0;
    for (uint32_t i = 0; i < membership->owner_count && plan->is_leader; i++) {
        if (strcmp(membership->owners[i], membership->engine->instance) == 0)
            continue;
        struct remote_member *member = &share->members[share->member_count++];
        memcpy(member->instance, membership->owners[i], sizeof member->instance);
        member->sequence = 0;
        atomic_store_explicit(&member->to_be_told, 0, memory_order_relaxed);
    }
}

static void log_run(const struct run_plan *plan)
{
    int64_t replayed = 0;
    uint32_t own = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        if (!plan->items[i].is_own)
            continue;
        own++;
        replayed += plan->items[i].progress.position.position - plan->items[i].progress.position.base;
    }
    log_write(LOG_INFO, "kafka",
              "group %s: %u of %u partitions taken up%s; %" PRId64 " events of open windows are read again",
              plan->membership->group, own, plan->count,
              !plan->round      ? ""
              : plan->is_leader ? ", windows are merged here"
                                : ", windows are merged elsewhere",
              replayed);
}

/* With everything at rest. The shards get their lists of partitions when the rest ends. */
static void take_up(struct run_plan *plan)
{
    struct membership *membership = plan->membership;
    struct engine *engine = membership->engine;
    for (uint32_t i = 0; i < plan->count; i++)
        take_up_partition(plan, &plan->items[i], slot_of(plan, i));
    uint32_t number = 0;
    for (uint32_t i = 0; i < engine->partition_count; i++) {
        struct engine_partition *partition = &engine->partitions[i];
        if (!partition->is_kafka || !partition->is_own || partition->reader)
            continue;
        partition->shard_index = number++ % engine->shard_count;
        const struct schema *schema = &engine->plan->sources[partition->state.source_index].schema;
        partition->reader = kafka_reader_open(membership->feeds[partition->shard_index], &partition->kafka,
                                              schema_reads_metadata(schema));
    }
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++) {
        if (engine->pipeline_memberships[i] != membership)
            continue;
        /* Before the group gave anything, these may have gone live with nothing in them. */
        if (plan_pipeline_is_chained(engine->plan, i))
            engine_reset_pipeline(engine, i);
        if (plan->closed_through_us[i] != TIME_NONE && (!plan->round || plan->is_leader))
            merger_recover_pipeline(&engine->merger, i, plan->closed_through_us[i]);
    }
    if (plan->epoch > engine->merger.epoch)
        engine->merger.epoch = plan->epoch;
    share_windows(plan);
    membership->run = atomic_fetch_add_explicit(&engine->run, 1, memory_order_relaxed) + 1;
}

/* What the run begins with, as a mark: committed at once where the group is new, so that a crash begins there again. */
static struct progress_mark *started_mark(const struct run_plan *plan)
{
    struct engine *engine = plan->membership->engine;
    struct progress_mark *mark = memory_allocate(sizeof *mark);
    mark->epoch = engine->merger.epoch;
    mark->run = plan->membership->run;
    mark->positions = memory_allocate_array(plan->count + 1, sizeof *mark->positions);
    mark->closed_through_us =
        memory_allocate_array(engine->plan->pipeline_count + 1, sizeof *mark->closed_through_us);
    memcpy(mark->closed_through_us, plan->closed_through_us, sizeof(int64_t) * engine->plan->pipeline_count);
    for (uint32_t i = 0; i < plan->count; i++) {
        struct partition_position *position = &mark->positions[mark->position_count++];
        *position = plan->items[i].progress.position;
        position->source_index = plan->items[i].kafka.id.source_index;
        position->topic = plan->items[i].kafka.id.topic;
        position->topic_partition = plan->items[i].kafka.id.partition;
    }
    return mark;
}

static enum status start_reading(const struct run_plan *plan, struct error *error)
{
    struct membership *membership = plan->membership;
    struct kafka_position *positions = memory_allocate_array(plan->count + 1, sizeof *positions);
    struct kafka_feed **feeds = memory_allocate_array(plan->count + 1, sizeof(struct kafka_feed *));
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        if (!plan->items[i].is_own)
            continue;
        positions[count] = plan->items[i].kafka;
        positions[count].offset = plan->items[i].progress.position.base;
        feeds[count++] = membership->feeds[slot_of(plan, i)->shard_index];
    }
    enum status status = kafka_consumer_start(membership->consumer, positions, feeds, count, error);
    free(positions);
    free(feeds);
    return status;
}

/* Takes up what the plan says. */
static enum status begin(struct run_plan *plan, struct error *error)
{
    struct membership *membership = plan->membership;
    enum status status = check_room(plan, error);
    if (status != STATUS_OK)
        return status;
    if (!engine_rest_begin(membership->engine, NULL, NULL))
        return STATUS_AGAIN;
    if (plan->is_leader)
        status = partials_listen(membership->partials, membership->panes_from, error);
    else if (plan->round)
        status = partials_begin_sending(membership->partials, error);
    if (status == STATUS_OK) {
        take_up(plan);
        membership->is_running = true;
        membership->round = plan->round;
    }
    engine_rest_end(membership->engine);
    if (status != STATUS_OK)
        return status;
    progress_mark_destroy(membership->started);
    membership->started = started_mark(plan);
    if (!plan->round || plan->is_leader)
        status = membership_commit_started(membership, error);
    if (status == STATUS_OK)
        status = start_reading(plan, error);
    if (status == STATUS_OK)
        log_run(plan);
    return status;
}

/* A transaction of the run before may still be on its way to the brokers, and what they answered until then would be too old. None begins
 * after this, since that run has been dropped. */
static enum status wait_for_commit(struct membership *membership, struct error *error)
{
    if (pthread_mutex_trylock(&membership->commit_lock) != 0) {
        error_set(error, "the last transaction is still being committed");
        return STATUS_AGAIN;
    }
    pthread_mutex_unlock(&membership->commit_lock);
    return STATUS_OK;
}

/* Where every partition goes on, as the brokers and the store say. */
static enum status ask(struct run_plan *plan, const struct kafka_partition *partitions, uint32_t count,
                       struct error *error)
{
    enum status status = wait_for_commit(plan->membership, error);
    if (status == STATUS_OK)
        status = find_positions(plan, partitions, count, error);
    if (status == STATUS_OK)
        status = check_bounds(plan, error);
    if (status == STATUS_OK)
        find_epoch(plan);
    return status;
}

enum status run_begin_alone(struct membership *membership, const struct kafka_partition *partitions,
                            uint32_t count, struct error *error)
{
    struct run_plan plan = {.membership = membership};
    arena_init(&plan.arena, 0);
    enum status status = ask(&plan, partitions, count, error);
    if (status == STATUS_OK)
        status = begin(&plan, error);
    arena_deinit(&plan.arena);
    return status;
}

/* --- a round of several processes ---------------------------------------------------------------------------------- */

static void append_time(struct buffer *out, int64_t time_us)
{
    if (time_us == TIME_NONE)
        buffer_append_text(out, " -");
    else
        buffer_format(out, " %" PRId64, time_us);
}

enum status run_write_start(struct membership *membership, const struct kafka_partition *partitions,
                            const char *const *owners, uint32_t count, int64_t number, struct buffer *out,
                            struct error *error)
{
    struct engine *engine = membership->engine;
    struct run_plan plan = {.membership = membership};
    arena_init(&plan.arena, 0);
    enum status status = ask(&plan, partitions, count, error);
    uint64_t epoch = plan.epoch > engine->merger.epoch ? plan.epoch : engine->merger.epoch;
    if (status == STATUS_OK)
        buffer_format(out, "start %s %" PRIu64 " %" PRId64 "\n", engine->instance, epoch, number);
    for (uint32_t i = 0; i < engine->plan->pipeline_count && status == STATUS_OK; i++) {
        if (plan.closed_through_us[i] != TIME_NONE)
            buffer_format(out, "closed %u %" PRId64 "\n", i, plan.closed_through_us[i]);
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct partition_position *position = &plan.items[i].progress.position;
        buffer_format(out, "part %s %u %s %d %" PRId64 " %" PRId64, owners[i], partitions[i].source_index,
                      partitions[i].topic, (int)partitions[i].partition, position->base, position->position);
        append_time(out, position->position_max_time_us);
        append_time(out, position->base_watermark_us);
        buffer_append_char(out, '\n');
    }
    arena_deinit(&plan.arena);
    return status;
}

static void add_owner(struct run_plan *plan, struct slice instance)
{
    struct membership *membership = plan->membership;
    for (uint32_t i = 0; i < membership->owner_count; i++) {
        if (partials_word_is(instance, membership->owners[i]))
            return;
    }
    if (membership->owner_count == PARTIALS_MEMBERS_MAX || instance.size >= sizeof membership->owners[0])
        return;
    char *owner = membership->owners[membership->owner_count++];
    memcpy(owner, instance.data, instance.size);
    owner[instance.size] = '\0';
}

static bool add_part(struct run_plan *plan, struct slice line)
{
    struct membership *membership = plan->membership;
    struct partials_part part;
    if (!partials_read_part(line, &part) || !membership_has_source(membership, part.source_index))
        return false;
    const char *topic = kafka_consumer_topic(membership->consumer, arena_copy(&plan->arena, part.topic).data);
    struct start_position *item = &plan->items[plan->count++];
    item->kafka.id = (struct kafka_partition){part.source_index, topic, part.partition};
    item->is_own = partials_word_is(part.instance, membership->engine->instance);
    item->progress.position = (struct partition_position){.position = part.position,
                                                          .position_max_time_us = part.position_max_time_us,
                                                          .base = part.base,
                                                          .base_watermark_us = part.base_watermark_us};
    add_owner(plan, part.instance);
    return true;
}

static bool read_start(struct run_plan *plan, struct slice text)
{
    struct engine *engine = plan->membership->engine;
    struct slice line, word;
    struct partials_start start;
    if (!partials_next_line(&text, &line) || !partials_next_word(&line, &word) ||
        !partials_read_start(line, &start))
        return false;
    plan->is_leader = partials_word_is(start.instance, engine->instance);
    plan->epoch = start.epoch;
    plan->items = arena_allocate_zeroed(&plan->arena, sizeof *plan->items * (text.size / PART_MIN_SIZE + 1));
    plan->closed_through_us =
        arena_allocate(&plan->arena, sizeof(int64_t) * (engine->plan->pipeline_count + 1));
    for (uint32_t i = 0; i < engine->plan->pipeline_count; i++)
        plan->closed_through_us[i] = TIME_NONE;
    plan->membership->owner_count = 0;
    while (partials_next_line(&text, &line)) {
        uint32_t pipeline_index;
        int64_t time_us;
        if (!partials_next_word(&line, &word))
            return false;
        if (partials_word_is(word, "part")) {
            if (!add_part(plan, line))
                return false;
            continue;
        }
        if (!partials_word_is(word, "closed") || !partials_read_closed(line, &pipeline_index, &time_us) ||
            pipeline_index >= engine->plan->pipeline_count)
            return false;
        plan->closed_through_us[pipeline_index] = time_us;
    }
    return true;
}

/* The partitions that the message gives this process are those that the group has assigned to it. */
static bool is_for_us(const struct run_plan *plan)
{
    uint32_t assigned, own = 0;
    const struct kafka_partition *assignment =
        kafka_consumer_assignment(plan->membership->consumer, &assigned);
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct kafka_partition *id = &plan->items[i].kafka.id;
        if (!plan->items[i].is_own)
            continue;
        bool is_assigned = false;
        for (uint32_t a = 0; a < assigned && !is_assigned; a++)
            is_assigned = assignment[a].topic == id->topic && assignment[a].partition == id->partition;
        if (!is_assigned)
            return false;
        own++;
    }
    return own == assigned && own > 0;
}

enum status run_begin_round(struct membership *membership, struct slice text, int64_t round,
                            struct error *error)
{
    struct run_plan plan = {.membership = membership, .round = round};
    arena_init(&plan.arena, 0);
    enum status status = STATUS_NOT_FOUND;
    if (!read_start(&plan, text)) {
        error_set(error, "a start message in the topic of partials is not understood");
    } else if (!is_for_us(&plan)) {
        error_set(error, "a start message is not about what is assigned to this process");
    } else {
        membership_end_run(membership, true);
        status = begin(&plan, error);
    }
    arena_deinit(&plan.arena);
    return status;
}

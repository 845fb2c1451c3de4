/* Several processes of one group. Who reads what is the group's decision; here they agree on when to begin and from where.
 *
 *   each member:  hello (what it owns)          each second, and at every change
 *   leader:       has the first partition of all; when the hellos cover every partition just once, it asks the brokers for the
 *                 committed positions and sends start. All begin anew there, in silence up to P, as after a restart.
 *   any change:   the leader's round ends (what was merged becomes durable and is committed), and the next begins
 *
 * The group itself fences: a leader that has lost the first partition cannot commit, and its start messages lead nowhere. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "pipeline/membership_internal.h"
#include "pipeline/partials.h"

enum {
    HELLO_INTERVAL_US = 1000 * 1000,
    HELLO_LIFE_US = 5 * 1000 * 1000,          /* of whom nothing is heard for so long is not counted with */
    START_PATIENCE_US = 5 * 1000 * 1000,      /* for the members to take up what start says; */
    START_PATIENCE_MAX_US = 40 * 1000 * 1000, /* doubled each time that they have not, up to this */
    REPEAT_INTERVAL_US = 500 * 1000,          /* of what members wait for */
    RETRY_US = 500 * 1000,                    /* after a round that could not begin */
    UNTOLD_PATIENCE = 3, /* messages that failed one after the other, before it is told */
    ACK_MESSAGES = PARTIALS_WINDOW_MESSAGES / 8,
};

/* What a process has said last. */
struct peer {
    char instance[17];
    uint64_t config_hash;
    int64_t generation, round, heard_us;
    struct kafka_partition *partitions;           /* source_index unused */
    uint32_t partition_count, partition_capacity; /* topic NULL: unknown here */
};

struct cluster {
    struct peer peers[PARTIALS_MEMBERS_MAX];
    uint32_t peer_count;
    uint64_t config_hash;
    char topic[256];
    int64_t next_hello_us, generation_told, round_told;
    int64_t next_start_us; /* not before */
    int64_t started_us;    /* when the last start was sent or heard */
    int64_t start_number;  /* of the last that was sent: others of this process come too late */
    int64_t patience_us;
    bool has_sent_start; /* and it has not been heard yet, and is still true */
    int64_t next_repeat_us;
    uint32_t untold_count;
    bool must_reopen; /* the topic is gone */
    uint64_t acknowledged[PARTIALS_MEMBERS_MAX];
};

static int64_t now_us(const struct membership *membership)
{
    return clock_monotonic_us(membership->engine->clock);
}

static const struct config_kafka_source *first_source(const struct membership *membership)
{
    return &membership->engine->config->sources[membership->source_indices[0]].kafka;
}

enum status cluster_enter(struct membership *membership, struct error *error)
{
    struct merger_share *share = &membership->engine->merger.share;
    if (share->membership && share->membership != membership) {
        error_set(
            error,
            "another consumer group of this process is shared with other processes already; one group can be");
        return STATUS_INVALID;
    }
    if (!membership->cluster) {
        struct cluster *cluster = membership->cluster = memory_allocate(sizeof *cluster);
        cluster->config_hash = partials_config_hash(membership->engine, membership);
        cluster->patience_us = START_PATIENCE_US;
        const char *topic = first_source(membership)->partials_topic;
        if (topic)
            snprintf(cluster->topic, sizeof cluster->topic, "%s", topic);
        else
            snprintf(cluster->topic, sizeof cluster->topic, "weir.%s.partials", membership->group);
    }
    cluster_note_change(membership);
    if (membership->partials)
        return STATUS_OK;
    const struct partials_options options = {
        .source = first_source(membership),
        .topic = membership->cluster->topic,
        .clock = membership->engine->clock,
        .merger_waker = &membership->engine->merger.waker,
    };
    return partials_open(&options, &membership->partials, error);
}

void cluster_destroy(struct membership *membership)
{
    struct cluster *cluster = membership->cluster;
    partials_close(membership->partials);
    for (uint32_t i = 0; cluster && i < cluster->peer_count; i++)
        free(cluster->peers[i].partitions);
    free(cluster);
}

bool cluster_is_unheard(const struct membership *membership)
{
    return membership->round && membership->cluster->untold_count > UNTOLD_PATIENCE;
}

void cluster_note_change(struct membership *membership)
{
    if (!membership->cluster)
        return;
    membership->cluster->next_hello_us = 0;
    membership->cluster->has_sent_start = false;
    membership->cluster->next_start_us = 0;
}

/* --- saying -------------------------------------------------------------------------------------------------------- */

/* A topic that was made a moment ago has no leader yet; what is not taken now is kept and sent again with the next. */
static void tell(struct membership *membership, const struct buffer *text)
{
    struct cluster *cluster = membership->cluster;
    struct error error = {{0}};
    enum status status = partials_tell(membership->partials, buffer_slice(text), &error);
    cluster->untold_count = status == STATUS_OK ? 0 : cluster->untold_count + 1;
    if (cluster->untold_count <= UNTOLD_PATIENCE)
        return;
    membership_report(membership, HEALTH_DEGRADED, error.text);
    cluster->must_reopen = status == STATUS_INVALID;
}

static void say_hello(struct membership *membership)
{
    struct cluster *cluster = membership->cluster;
    int64_t generation = kafka_consumer_generation(membership->consumer);
    bool is_due = now_us(membership) >= cluster->next_hello_us || generation != cluster->generation_told ||
                  membership->round != cluster->round_told;
    if (!is_due)
        return;
    cluster->next_hello_us = now_us(membership) + HELLO_INTERVAL_US;
    cluster->generation_told = generation;
    cluster->round_told = membership->round;
    struct buffer text = {0};
    buffer_format(&text, "hello %s %" PRIu64 " %" PRId64 " %" PRId64 "\n", membership->engine->instance,
                  cluster->config_hash >> 1, generation, membership->round);
    uint32_t count;
    const struct kafka_partition *assignment = kafka_consumer_assignment(membership->consumer, &count);
    for (uint32_t i = 0; i < count; i++)
        buffer_format(&text, "owns %s %d\n", assignment[i].topic, (int)assignment[i].partition);
    tell(membership, &text);
    buffer_deinit(&text);
}

/* --- hearing ------------------------------------------------------------------------------------------------------- */

static struct peer *find_peer(struct cluster *cluster, struct slice instance)
{
    for (uint32_t i = 0; i < cluster->peer_count; i++) {
        if (partials_word_is(instance, cluster->peers[i].instance))
            return &cluster->peers[i];
    }
    return NULL;
}

/* The one that has been silent for longest makes room. */
static struct peer *add_peer(struct cluster *cluster, struct slice instance)
{
    struct peer *peer = &cluster->peers[0];
    if (cluster->peer_count < PARTIALS_MEMBERS_MAX) {
        peer = &cluster->peers[cluster->peer_count++];
    } else {
        for (uint32_t i = 1; i < cluster->peer_count; i++)
            peer = cluster->peers[i].heard_us < peer->heard_us ? &cluster->peers[i] : peer;
    }
    memcpy(peer->instance, instance.data, instance.size);
    peer->instance[instance.size] = '\0';
    return peer;
}

/* NULL: no partition of it is known. What others write does not fill the table of names. */
static const char *known_topic(const struct membership *membership, struct slice name)
{
    uint32_t count;
    const struct kafka_partition *known = kafka_consumer_known(membership->consumer, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (slice_equal_text(name, known[i].topic))
            return known[i].topic;
    }
    return NULL;
}

static void note_owned(struct membership *membership, struct peer *peer, struct slice topic,
                       int32_t partition)
{
    if (peer->partition_count == peer->partition_capacity) {
        peer->partition_capacity = peer->partition_capacity ? peer->partition_capacity * 2 : 8;
        peer->partitions =
            memory_resize_array(peer->partitions, peer->partition_capacity, sizeof *peer->partitions);
    }
    peer->partitions[peer->partition_count++] =
        (struct kafka_partition){.topic = known_topic(membership, topic), .partition = partition};
}

static void hear_hello(struct membership *membership, struct slice line, struct slice text)
{
    struct cluster *cluster = membership->cluster;
    struct partials_hello hello;
    if (!partials_read_hello(line, &hello))
        return;
    struct peer *peer = find_peer(cluster, hello.instance);
    peer = peer ? peer : add_peer(cluster, hello.instance);
    peer->config_hash = hello.config_hash;
    peer->generation = hello.generation;
    peer->round = hello.round;
    peer->heard_us = now_us(membership);
    peer->partition_count = 0;
    while (partials_next_line(&text, &line)) {
        struct slice word, topic;
        int32_t partition;
        if (!partials_next_word(&line, &word) || !partials_word_is(word, "owns") ||
            !partials_read_owns(line, &topic, &partition))
            return;
        note_owned(membership, peer, topic, partition);
    }
}

/* A start of this process is good only while nothing has changed since it was sent: the positions in it would be too old. */
static bool is_own_and_late(const struct membership *membership, struct slice line)
{
    const struct cluster *cluster = membership->cluster;
    struct partials_start start;
    return partials_read_start(line, &start) &&
           partials_word_is(start.instance, membership->engine->instance) &&
           (!cluster->has_sent_start || start.number != cluster->start_number);
}

static void begin_round(struct membership *membership, struct slice line, struct slice text, int64_t round)
{
    struct cluster *cluster = membership->cluster;
    struct error error = {{0}};
    if (is_own_and_late(membership, line))
        return;
    enum status status = run_begin_round(membership, text, round, &error);
    if (status == STATUS_NOT_FOUND) {
        log_write(LOG_DEBUG, "kafka", "group %s: %s", membership->group, error.text);
        return;
    }
    cluster->has_sent_start = false;
    cluster->started_us = now_us(membership);
    if (status == STATUS_OK) {
        cluster->next_repeat_us = 0;
        memset(cluster->acknowledged, 0, sizeof cluster->acknowledged);
        membership_note_commit(membership);
        atomic_store_explicit(&membership->is_joined, true, memory_order_release);
        membership_report(membership, HEALTH_OK, NULL);
        return;
    }
    cluster->next_start_us = now_us(membership) + RETRY_US;
    membership_end_run(membership, true);
    membership_report(membership, status == STATUS_INVALID ? HEALTH_DOWN : HEALTH_DEGRADED, error.text);
}

static void hear_live(struct membership *membership, struct slice line)
{
    struct merger *merger = &membership->engine->merger;
    int64_t round;
    if (!partials_next_number(&line, &round) || round != membership->round)
        return;
    atomic_store_explicit(&merger->share.may_go_live, true, memory_order_release);
    waker_wake(&merger->waker);
}

static void hear_ack(struct membership *membership, struct slice line)
{
    struct merger *merger = &membership->engine->merger;
    struct slice instance;
    int64_t round, sequence;
    if (!partials_next_number(&line, &round) || round != membership->round ||
        !partials_next_word(&line, &instance) || !partials_word_is(instance, membership->engine->instance) ||
        !partials_next_number(&line, &sequence))
        return;
    atomic_store_explicit(&merger->share.acknowledged, (uint64_t)sequence, memory_order_release);
    waker_wake(&merger->waker);
}

static void hear(struct membership *membership)
{
    struct slice text, rest, line, word;
    int64_t offset;
    while (partials_hear(membership->partials, &text, &offset)) {
        rest = text;
        if (!partials_next_line(&rest, &line) || !partials_next_word(&line, &word))
            continue;
        if (partials_word_is(word, "hello"))
            hear_hello(membership, line, rest);
        else if (partials_word_is(word, "start"))
            begin_round(membership, line, text, offset + 1); /* 0 is no round */
        else if (partials_word_is(word, "live"))
            hear_live(membership, line);
        else if (partials_word_is(word, "ack"))
            hear_ack(membership, line);
    }
}

/* --- leading ------------------------------------------------------------------------------------------------------- */

static bool owns(const struct peer *peer, const struct kafka_partition *partition)
{
    for (uint32_t i = 0; i < peer->partition_count; i++) {
        if (peer->partitions[i].topic == partition->topic &&
            peer->partitions[i].partition == partition->partition)
            return true;
    }
    return false;
}

/* Who has the partition by what was heard lately; where two say so, the one of the later generation. */
static const struct peer *owner_of(const struct membership *membership,
                                   const struct kafka_partition *partition)
{
    const struct cluster *cluster = membership->cluster;
    const struct peer *owner = NULL;
    for (uint32_t i = 0; i < cluster->peer_count; i++) {
        const struct peer *peer = &cluster->peers[i];
        bool is_fresh = now_us(membership) - peer->heard_us < HELLO_LIFE_US;
        if (is_fresh && owns(peer, partition) && (!owner || peer->generation > owner->generation))
            owner = peer;
    }
    return owner;
}

/* Every partition has an owner, and what each owner says it has is its own. */
static bool find_owners(const struct membership *membership, const struct kafka_partition *known,
                        uint32_t count, const struct peer **owners)
{
    for (uint32_t i = 0; i < count; i++) {
        owners[i] = owner_of(membership, &known[i]);
        if (!owners[i])
            return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t own = 0;
        for (uint32_t k = 0; k < count; k++)
            own += owners[k] == owners[i];
        if (own != owners[i]->partition_count)
            return false;
    }
    return true;
}

static bool config_agrees(struct membership *membership, const struct peer *peer)
{
    if (peer->config_hash == membership->cluster->config_hash >> 1)
        return true;
    struct error error;
    error_set(
        &error,
        "process %s of group %s runs other pipelines, sources or sinks than this one: windows cannot be shared; give "
        "all processes of a group the same configuration",
        peer->instance, membership->group);
    membership_report(membership, HEALTH_DOWN, error.text);
    return false;
}

static bool configs_agree(struct membership *membership, const struct peer *const *owners, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!config_agrees(membership, owners[i]))
            return false;
    }
    return true;
}

/* Who does not lead would wait without knowing why. */
static void compare_configs(struct membership *membership)
{
    const struct cluster *cluster = membership->cluster;
    for (uint32_t i = 0; i < cluster->peer_count && !membership->is_running; i++) {
        const struct peer *peer = &cluster->peers[i];
        bool is_fresh = now_us(membership) - peer->heard_us < HELLO_LIFE_US;
        if (is_fresh && peer->partition_count && !config_agrees(membership, peer))
            return;
    }
}

/* The round goes on while those who are in it say so. */
static bool round_holds(const struct membership *membership, const struct peer *const *owners, uint32_t count)
{
    const struct cluster *cluster = membership->cluster;
    bool is_young = now_us(membership) - cluster->started_us < cluster->patience_us;
    for (uint32_t i = 0; i < count; i++) {
        if (owners[i]->round != membership->round && !is_young)
            return false;
    }
    const struct merger_share *share = &membership->engine->merger.share;
    for (uint32_t i = 0; i < share->member_count && !is_young; i++) {
        if (!atomic_load_explicit(&share->members[i].to_be_told, memory_order_relaxed))
            return false;
    }
    return true;
}

static void send_start(struct membership *membership, const struct kafka_partition *known, uint32_t count,
                       const struct peer *const *owners)
{
    const char **names = memory_allocate_array(count + 1, sizeof *names);
    for (uint32_t i = 0; i < count; i++)
        names[i] = owners[i]->instance;
    struct buffer text = {0};
    struct error error = {{0}};
    enum status status = partials_end(membership->partials, &membership->panes_from, &error);
    struct cluster *cluster = membership->cluster;
    cluster->start_number = now_us(membership);
    cluster->next_start_us = cluster->start_number + RETRY_US;
    if (status == STATUS_OK)
        status = run_write_start(membership, known, names, count, cluster->start_number, &text, &error);
    if (status == STATUS_OK) {
        cluster->has_sent_start = true;
        cluster->started_us = now_us(membership);
        tell(membership, &text);
    } else {
        membership_report(membership, status == STATUS_INVALID ? HEALTH_DOWN : HEALTH_DEGRADED, error.text);
        if (status == STATUS_INVALID && !atomic_load_explicit(&membership->is_joined, memory_order_relaxed))
            engine_fail(membership->engine, &error);
    }
    buffer_deinit(&text);
    free(names);
}

static void say_acknowledged(struct membership *membership, uint32_t member_index, uint64_t sequence)
{
    struct buffer text = {0};
    buffer_format(&text, "ack %" PRId64 " %s %" PRIu64 "\n", membership->round,
                  membership->engine->merger.share.members[member_index].instance, sequence);
    tell(membership, &text);
    membership->cluster->acknowledged[member_index] = sequence;
    buffer_deinit(&text);
}

static void say_live(struct membership *membership)
{
    struct buffer text = {0};
    buffer_format(&text, "live %" PRId64 "\n", membership->round);
    tell(membership, &text);
    buffer_deinit(&text);
}

/* Said again now and then, because members wait for it, and the topic may lose it. */
static void acknowledge(struct membership *membership)
{
    struct merger_share *share = &membership->engine->merger.share;
    struct cluster *cluster = membership->cluster;
    if (!membership->is_running || !membership->round || !share->is_leader)
        return;
    bool is_due = now_us(membership) >= cluster->next_repeat_us;
    for (uint32_t i = 0; i < share->member_count; i++) {
        uint64_t sequence = atomic_load_explicit(&share->members[i].to_be_told, memory_order_relaxed);
        if (is_due || sequence >= cluster->acknowledged[i] + ACK_MESSAGES)
            say_acknowledged(membership, i, sequence);
    }
    if (!is_due || atomic_load_explicit(&membership->engine->is_replaying, memory_order_acquire))
        return;
    say_live(membership);
    cluster->next_repeat_us = now_us(membership) + REPEAT_INTERVAL_US;
}

static int64_t longer(int64_t patience_us)
{
    return patience_us < START_PATIENCE_MAX_US / 2 ? patience_us * 2 : START_PATIENCE_MAX_US;
}

static void lead(struct membership *membership, const struct kafka_partition *known, uint32_t count)
{
    struct cluster *cluster = membership->cluster;
    const struct peer **owners = memory_allocate_array(count + 1, sizeof(struct peer *));
    bool is_covered = find_owners(membership, known, count, owners);
    bool is_young = now_us(membership) - cluster->started_us < cluster->patience_us;
    if (membership->is_running && is_covered && !is_young) {
        bool holds = round_holds(membership, owners, count);
        cluster->patience_us = holds ? START_PATIENCE_US : longer(cluster->patience_us);
        if (!holds)
            membership_end_run(membership, false);
    }
    bool is_waiting = (cluster->has_sent_start && is_young) || now_us(membership) < cluster->next_start_us;
    if (!membership->is_running && !is_waiting && is_covered && configs_agree(membership, owners, count))
        send_start(membership, known, count, owners);
    free(owners);
    acknowledge(membership);
}

/* Somebody has deleted the topic: it is made anew, and the members find each other again. */
static void reopen(struct membership *membership)
{
    membership->cluster->must_reopen = false;
    membership->cluster->untold_count = 0;
    membership_end_run(membership, true);
    partials_close(membership->partials);
    membership->partials = NULL;
    membership->should_start = true;
}

static bool is_leader(const struct membership *membership)
{
    uint32_t assigned, count;
    const struct kafka_partition *assignment = kafka_consumer_assignment(membership->consumer, &assigned);
    const struct kafka_partition *known = kafka_consumer_known(membership->consumer, &count);
    return assigned && count && assignment[0].topic == known[0].topic &&
           assignment[0].partition == known[0].partition &&
           assignment[0].source_index == known[0].source_index;
}

void cluster_turn(struct membership *membership)
{
    uint32_t assigned, count;
    kafka_consumer_assignment(membership->consumer, &assigned);
    if (!membership->partials)
        return;
    if (assigned)
        say_hello(membership);
    hear(membership);
    const struct kafka_partition *known = kafka_consumer_known(membership->consumer, &count);
    if (is_leader(membership))
        lead(membership, known, count);
    else if (assigned)
        compare_configs(membership);
    if (membership->cluster->must_reopen)
        reopen(membership);
}

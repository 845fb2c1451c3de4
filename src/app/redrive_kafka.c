/* Dead letters of a kafka source, out of its dead-letter topics and back to where the headers say they came from.
 *
 * What was sent is remembered where Kafka remembers such things: as committed offsets, one group per reason, since a run may be for
 * one reason only and must not pass over the others. A letter was sent when its offset is below what GROUP.redrive.REASON has committed for its
 * partition. Offsets are committed when all letters below them are acknowledged. */
#include <regex.h>
#include <stdlib.h>

#include "app/redrive_producer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "net/kafka_admin.h"

enum {
    REASON_COUNT = BAD_REASON_COUNT + 1, /* and too_late */
    KAFKA_TIMEOUT_US = 15 * MICROSECONDS_PER_SECOND,
    KAFKA_SILENCE_US = 30 * MICROSECONDS_PER_SECOND, /* without a record while there are some left */
    KAFKA_COMMIT_LETTERS = 10000,                    /* sent between two commits */
    KAFKA_HEADERS_MAX = 256,
};

#define DEAD_LETTER_SUFFIX ".dlq"

/* Reading of one partition of a dead-letter topic. */
struct letter_partition {
    const char *topic;
    struct kafka_partition_info *info;
    int64_t committed[REASON_COUNT]; /* 0 = nothing */
    int64_t next;                    /* letters below are dealt with */
    bool is_frozen;                  /* the limit was reached: `next` stays */
    bool is_over;
};

struct kafka_redrive {
    const struct redrive *redrive;
    struct redrive_counts *counts;
    struct arena arena;
    struct kafka_settings settings;
    struct kafka_client *client; /* reads and administers */
    struct kafka_admin *admin;
    struct kafka_topics topics; /* the dead-letter topics */
    struct letter_partition *partitions;
    uint32_t partition_count, open_count;
    struct redrive_producer *producer; /* NULL in a dry run */
    uint64_t since_commit;
    struct kafka_header headers[KAFKA_HEADERS_MAX];
};

static const char *reason_name(uint32_t reason)
{
    return reason == BAD_REASON_COUNT ? "too_late" : bad_reason_name((enum bad_reason)reason);
}

static bool is_wanted_reason(const struct kafka_redrive *state, uint32_t reason)
{
    return !state->redrive->reason || strcmp(state->redrive->reason, reason_name(reason)) == 0;
}

static const char *group_of(struct kafka_redrive *state, uint32_t reason)
{
    return arena_format(&state->arena, "%s.redrive.%s", state->redrive->source->kafka.group,
                        reason_name(reason));
}

/* --- what there is ------------------------------------------------------------------------------------------------- */

static bool matches(const char *pattern, const char *name)
{
    regex_t compiled;
    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool is_match = regexec(&compiled, name, 0, NULL, 0) == 0;
    regfree(&compiled);
    return is_match;
}

/* Is this topic of the cluster one where letters of the source go? */
static bool is_dead_letter_topic(const struct config_kafka_source *source, const char *name)
{
    if (source->dead_letter_topic)
        return strcmp(source->dead_letter_topic, name) == 0;
    size_t size = strlen(name), suffix = sizeof DEAD_LETTER_SUFFIX - 1;
    if (size <= suffix || size >= 256 || strcmp(name + size - suffix, DEAD_LETTER_SUFFIX) != 0)
        return false;
    char topic[256] = {0};
    memcpy(topic, name, size - suffix);
    for (uint32_t i = 0; i < source->topic_count; i++) {
        const char *wanted = source->topics[i];
        if (wanted[0] == '^' ? matches(wanted, topic) : strcmp(wanted, topic) == 0)
            return true;
    }
    return false;
}

/* Leaves the dead-letter topics only. Topics are made when the first letter is written, so there may be none. */
static enum status find_topics(struct kafka_redrive *state, struct error *error)
{
    enum status status = kafka_admin_read_topics(state->admin, NULL, 0, &state->topics, error);
    if (status != STATUS_OK)
        return status;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < state->topics.topic_count; i++) {
        struct kafka_topic_info *topic = &state->topics.topics[i];
        if (!is_dead_letter_topic(&state->redrive->source->kafka, topic->name))
            continue;
        state->partition_count += topic->partition_count;
        state->topics.topics[kept++] = *topic;
    }
    state->topics.topic_count = kept;
    return kafka_admin_read_offsets(state->admin, &state->topics, error);
}

static enum status read_groups(struct kafka_redrive *state, struct error *error)
{
    for (uint32_t reason = 0; reason < REASON_COUNT; reason++) {
        if (!is_wanted_reason(state, reason))
            continue;
        enum status status =
            kafka_admin_read_group(state->admin, group_of(state, reason), &state->topics, error);
        if (status != STATUS_OK)
            return status;
        for (uint32_t i = 0; i < state->partition_count; i++) {
            struct letter_partition *partition = &state->partitions[i];
            partition->committed[reason] =
                partition->info->committed == KAFKA_OFFSET_NONE ? 0 : partition->info->committed;
        }
    }
    return STATUS_OK;
}

/* Where the first letter may be that is wanted and was not sent. To say what was sent before, all are read. */
static enum status prepare_partitions(struct kafka_redrive *state, struct error *error)
{
    state->partitions =
        arena_allocate_zeroed(&state->arena, (state->partition_count + 1) * sizeof *state->partitions);
    uint32_t at = 0;
    for (uint32_t t = 0; t < state->topics.topic_count; t++) {
        for (uint32_t p = 0; p < state->topics.topics[t].partition_count; p++)
            state->partitions[at++] = (struct letter_partition){
                .topic = state->topics.topics[t].name, .info = &state->topics.topics[t].partitions[p]};
    }
    enum status status = read_groups(state, error);
    if (status != STATUS_OK)
        return status;
    rd_kafka_topic_partition_list_t *places = rd_kafka_topic_partition_list_new(16);
    for (uint32_t i = 0; i < state->partition_count; i++) {
        struct letter_partition *partition = &state->partitions[i];
        partition->next = partition->info->earliest < 0 ? 0 : partition->info->earliest;
        partition->is_over = partition->next >= partition->info->latest;
        if (partition->is_over)
            continue;
        state->open_count++;
        rd_kafka_topic_partition_list_add(places, partition->topic, partition->info->id)->offset =
            partition->next;
    }
    rd_kafka_t *handle = kafka_client_handle(state->client);
    rd_kafka_resp_err_t code = rd_kafka_poll_set_consumer(handle);
    if (!code)
        code = rd_kafka_assign(handle, places);
    rd_kafka_topic_partition_list_destroy(places);
    if (code)
        kafka_error_text(code, NULL, error);
    return code ? STATUS_IO : STATUS_OK;
}

/* --- one letter ---------------------------------------------------------------------------------------------------- */

/* What the headers say of it; the last of a name counts. */
struct letter_headers {
    struct slice source, reason, topic, partition, time;
    bool is_truncated;
    uint32_t own_count; /* of the record itself, in state->headers */
};

static void take_header(struct letter_headers *letter, struct slice name, struct slice value)
{
    const struct {
        const char *name;
        struct slice *target;
    } known[] = {{"weir.source", &letter->source},
                 {"weir.reason", &letter->reason},
                 {"weir.topic", &letter->topic},
                 {"weir.partition", &letter->partition},
                 {"weir.time", &letter->time}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (slice_equal_text(name, known[i].name))
            *known[i].target = value;
    }
    letter->is_truncated |= slice_equal_text(name, "weir.truncated");
}

static void read_headers(struct kafka_redrive *state, const rd_kafka_message_t *message,
                         struct letter_headers *letter)
{
    rd_kafka_headers_t *headers = NULL;
    memset(letter, 0, sizeof *letter);
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    const char *name;
    const void *value;
    size_t size;
    for (size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        if (strncmp(name, "weir.", 5) == 0)
            take_header(letter, slice_of(name), (struct slice){value, size});
        else if (letter->own_count < KAFKA_HEADERS_MAX)
            state->headers[letter->own_count++] = (struct kafka_header){slice_of(name), {value, size}};
    }
}

static int64_t number_of(struct slice text, int64_t otherwise)
{
    char digits[24];
    if (!text.size || text.size >= sizeof digits)
        return otherwise;
    memcpy(digits, text.data, text.size);
    digits[text.size] = '\0';
    char *end = NULL;
    int64_t number = strtoll(digits, &end, 10);
    return *end || number < 0 ? otherwise : number;
}

static enum status send_letter(struct kafka_redrive *state, const rd_kafka_message_t *message,
                               const struct letter_headers *letter, struct error *error)
{
    char *topic = memory_copy_text(letter->topic.data, letter->topic.size);
    const struct kafka_message copy = {
        .topic = topic,
        .partition = (int32_t)number_of(letter->partition, RD_KAFKA_PARTITION_UA),
        .key = {message->key, message->key_len},
        .value = {message->payload, message->len},
        .headers = state->headers,
        .header_count = letter->own_count,
        .time_ms = number_of(letter->time, 0),
    };
    enum status status = redrive_producer_send(state->producer, &copy, error);
    free(topic);
    return status;
}

/* Counts the letter, and sends it when it is to be sent. */
static enum status take_letter(struct kafka_redrive *state, struct letter_partition *partition,
                               const rd_kafka_message_t *message, struct error *error)
{
    const struct redrive *redrive = state->redrive;
    struct letter_headers letter;
    read_headers(state, message, &letter);
    uint32_t reason = 0;
    while (reason < REASON_COUNT && !slice_equal_text(letter.reason, reason_name(reason)))
        reason++;
    if (reason == REASON_COUNT || !is_wanted_reason(state, reason) ||
        !slice_equal_text(letter.source, redrive->source->name))
        return STATUS_OK;
    state->counts->found++;
    if (message->offset < partition->committed[reason] && !redrive->sends_again) {
        state->counts->before++;
    } else if (letter.is_truncated || !letter.topic.size) {
        state->counts->unsendable++;
    } else if (state->counts->sent >= redrive->limit) {
        partition->is_frozen = true;
    } else {
        state->counts->sent++;
        state->since_commit++;
        return redrive->is_dry_run ? STATUS_OK : send_letter(state, message, &letter, error);
    }
    return STATUS_OK;
}

/* --- all of them --------------------------------------------------------------------------------------------------- */

/* Never moves a group back: with --again letters below what it has committed are sent. */
static enum status commit(struct kafka_redrive *state, struct error *error)
{
    if (state->redrive->is_dry_run)
        return STATUS_OK;
    state->since_commit = 0;
    enum status status = redrive_producer_flush(state->producer, error);
    for (uint32_t reason = 0; reason < REASON_COUNT && status == STATUS_OK; reason++) {
        if (!is_wanted_reason(state, reason))
            continue;
        for (uint32_t i = 0; i < state->partition_count; i++) {
            struct letter_partition *partition = &state->partitions[i];
            bool is_further = partition->next > partition->committed[reason];
            partition->info->committed = is_further ? partition->next : KAFKA_OFFSET_NONE;
            if (is_further)
                partition->committed[reason] = partition->next;
        }
        status = kafka_admin_write_group(state->admin, group_of(state, reason), &state->topics, error);
    }
    return status;
}

static struct letter_partition *find_partition(struct kafka_redrive *state, const rd_kafka_message_t *message)
{
    const char *topic = message->rkt ? rd_kafka_topic_name(message->rkt) : "";
    for (uint32_t i = 0; i < state->partition_count; i++) {
        struct letter_partition *partition = &state->partitions[i];
        if (partition->info->id == message->partition && strcmp(partition->topic, topic) == 0)
            return partition;
    }
    return NULL;
}

/* Letters that came in after the start are for the next run: what is sent now may come back as one. */
static enum status take_message(struct kafka_redrive *state, const rd_kafka_message_t *message,
                                struct error *error)
{
    struct letter_partition *partition = find_partition(state, message);
    bool is_end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    if (!partition || partition->is_over)
        return STATUS_OK;
    if (message->err && !is_end) {
        kafka_error_text(message->err, rd_kafka_message_errstr(message), error);
        return STATUS_IO;
    }
    enum status status = STATUS_OK;
    if (!is_end && message->offset < partition->info->latest)
        status = take_letter(state, partition, message, error);
    int64_t next = is_end ? message->offset : message->offset + 1;
    next = next < partition->info->latest ? next : partition->info->latest;
    if (status == STATUS_OK && !partition->is_frozen)
        partition->next = next;
    if (next >= partition->info->latest) {
        partition->is_over = true;
        state->open_count--;
    }
    return status;
}

static enum status read_all(struct kafka_redrive *state, struct error *error)
{
    rd_kafka_t *handle = kafka_client_handle(state->client);
    int64_t heard_us = clock_monotonic_us(&clock_system);
    enum status status = STATUS_OK;
    while (state->open_count && status == STATUS_OK) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(handle, 100);
        int64_t now_us = clock_monotonic_us(&clock_system);
        if (message) {
            heard_us = now_us;
            status = take_message(state, message, error);
            rd_kafka_message_destroy(message);
        } else if (now_us - heard_us > KAFKA_SILENCE_US) {
            if (!kafka_client_trouble(state->client, error))
                error_set(error, "no more dead letters came from the brokers within %d s",
                          KAFKA_SILENCE_US / MICROSECONDS_PER_SECOND);
            status = STATUS_IO;
        }
        if (status == STATUS_OK && state->since_commit >= KAFKA_COMMIT_LETTERS)
            status = commit(state, error);
    }
    return status == STATUS_OK ? commit(state, error) : status;
}

static enum status open_client(struct kafka_redrive *state, struct error *error)
{
    const struct config_source *source = state->redrive->source;
    kafka_connection_settings(&source->kafka.connection, &state->arena, &state->settings);
    kafka_admin_prepare(&state->settings);
    kafka_settings_set(&state->settings, "auto.offset.reset", "earliest", "weir");
    kafka_settings_set(&state->settings, "enable.partition.eof", "true", "weir");
    kafka_settings_set(&state->settings, "queued.max.messages.kbytes", "65536", "weir");
    const struct kafka_client_options options = {
        .is_consumer = true, .settings = &state->settings, .name = "redrive"};
    enum status status = kafka_client_create(&options, &state->client, error);
    if (status == STATUS_OK)
        state->admin = kafka_admin_create(state->client, KAFKA_TIMEOUT_US);
    return status;
}

static enum status redrive_topics(const struct redrive *redrive, struct redrive_counts *counts,
                                  struct error *error)
{
    struct kafka_redrive *state = memory_allocate(sizeof *state);
    state->redrive = redrive;
    state->counts = counts;
    arena_init(&state->arena, ARENA_DEFAULT_BLOCK_SIZE);
    enum status status = open_client(state, error);
    if (status == STATUS_OK)
        status = find_topics(state, error);
    if (status == STATUS_OK)
        status = prepare_partitions(state, error);
    if (status == STATUS_OK && !redrive->is_dry_run)
        status = redrive_producer_open(redrive->source, &state->producer, error);
    if (status == STATUS_OK)
        status = read_all(state, error);
    redrive_producer_close(state->producer);
    if (state->topics.topics)
        kafka_topics_deinit(&state->topics);
    kafka_admin_destroy(state->admin);
    if (state->client)
        kafka_client_destroy(state->client);
    arena_deinit(&state->arena);
    free(state);
    return status;
}

enum status redrive_kafka(const struct redrive *redrive, struct redrive_counts *counts, struct error *error)
{
    const char *topic = redrive->source->kafka.dead_letter_topic;
    bool has_topic = !topic || *topic;
    return has_topic ? redrive_topics(redrive, counts, error) : redrive_kafka_store(redrive, counts, error);
}

/* Any bytes as what a member of a group has written into the topic of partials: text is refused or read into numbers within their
 * ranges and words within the text; an update is refused or written again as the same bytes. The first byte chooses. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pipeline/membership_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIPELINES = 3, SOURCES = 2, SLOTS = 4, NOW_US = 1000 * 1000 };

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static bool lies_within(struct slice word, struct slice text)
{
    return word.data >= text.data && word.data + word.size <= text.data + text.size;
}

static void read_line(struct slice line)
{
    struct slice rest = line, word, topic;
    if (!partials_next_word(&rest, &word))
        return;
    expect(word.size && lies_within(word, line) && lies_within(rest, line));
    struct partials_hello hello;
    struct partials_start start;
    struct partials_part part;
    uint32_t index;
    int32_t partition;
    int64_t time_us;
    if (partials_read_hello(rest, &hello))
        expect(lies_within(hello.instance, rest) && hello.instance.size <= PARTIALS_INSTANCE_SIZE);
    if (partials_read_start(rest, &start))
        expect(lies_within(start.instance, rest) && start.number >= 0);
    if (partials_read_part(rest, &part))
        expect(lies_within(part.instance, rest) && lies_within(part.topic, rest) && part.partition >= 0 &&
               part.base >= 0 && part.base <= part.position);
    if (partials_read_owns(rest, &topic, &partition))
        expect(lies_within(topic, rest) && topic.size && partition >= 0);
    if (partials_read_closed(rest, &index, &time_us))
        expect(rest.size >= 3);
}

static void read_text(struct slice text)
{
    struct slice left = text, line;
    while (partials_next_line(&left, &line)) {
        expect(lies_within(line, text));
        read_line(line);
    }
    expect(left.size == 0);
}

/* Enough of an engine for updates: all pipelines and sources are the membership's. */
static void read_update(struct slice message)
{
    uint32_t source_indices[SOURCES] = {0, 1}, first_partitions[SOURCES] = {0, SLOTS};
    struct membership membership = {.source_indices = source_indices, .source_count = SOURCES};
    struct membership *memberships[PIPELINES] = {&membership, &membership, &membership};
    struct engine_partition partitions[SOURCES * SLOTS] = {{.is_kafka = true}};
    struct config config = {.source_count = SOURCES};
    struct plan_source sources[SOURCES] = {{.partition_count = SLOTS}, {.partition_count = SLOTS}};
    struct plan plan = {.pipeline_count = PIPELINES, .sources = sources, .source_count = SOURCES};
    struct engine engine = {.config = &config,
                            .plan = &plan,
                            .pipeline_memberships = memberships,
                            .partitions = partitions,
                            .partition_count = SOURCES * SLOTS,
                            .first_partitions = first_partitions};
    for (uint32_t i = 0; i < SOURCES * SLOTS; i++)
        partitions[i].kafka.topic = "topic";
    struct partials_head head;
    struct slice body;
    if (!partials_read_head(message, &head, &body))
        return;
    expect(lies_within(body, message));
    struct shard_update *update = partials_read_update(&engine, &membership, body, NOW_US);
    if (!update)
        return;
    struct buffer again = {0};
    partials_write_update(&again, &engine, &membership, update, NOW_US);
    struct shard_update *second = partials_read_update(&engine, &membership, buffer_slice(&again), NOW_US);
    expect(second && second->position_count == update->position_count && second->is_live == update->is_live);
    for (uint32_t i = 0; i < update->position_count; i++)
        expect(second->positions[i].position == update->positions[i].position &&
               second->positions[i].base == update->positions[i].base);
    shard_update_destroy(second);
    shard_update_destroy(update);
    buffer_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    char *text = malloc(size); /* of this size, so that a read behind it is seen */
    memcpy(text, data + 1, size - 1);
    struct slice message = {text, size - 1};
    if (data[0] == 't')
        read_text(message);
    else
        read_update(message);
    free(text);
    return 0;
}

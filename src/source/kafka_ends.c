/* Where the partitions of a member end. Fetches tell it too, but while the engine cannot take more nothing is fetched, and that is when
 * lag matters most. So the brokers are asked now and then; the owner's thread asks and gets the answers, others look them up. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "source/kafka_internal.h"

enum { ENDS_INTERVAL_US = MICROSECONDS_PER_SECOND };

void kafka_ends_init(struct kafka_consumer *consumer)
{
    pthread_mutex_init(&consumer->ends.lock, NULL);
    consumer->ends.answers = rd_kafka_queue_new(consumer->handle);
}

void kafka_ends_deinit(struct kafka_consumer *consumer)
{
    if (!consumer->ends.answers)
        return;
    rd_kafka_queue_destroy(consumer->ends.answers);
    pthread_mutex_destroy(&consumer->ends.lock);
    free(consumer->ends.items);
}

static int compare_ends(const void *a, const void *b)
{
    const struct kafka_end *x = a, *y = b;
    int order = strcmp(x->topic, y->topic);
    return order ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static void ask(struct kafka_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)consumer->assignment.count);
    for (uint32_t i = 0; i < consumer->assignment.count; i++) {
        const struct kafka_partition *partition = &consumer->assignment.items[i];
        rd_kafka_topic_partition_list_add(list, partition->topic, partition->partition)->offset =
            RD_KAFKA_OFFSET_SPEC_LATEST;
    }
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(consumer->handle, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    char reason[256];
    rd_kafka_AdminOptions_set_request_timeout(options, KAFKA_CALL_TIMEOUT_MS, reason, sizeof reason);
    rd_kafka_ListOffsets(consumer->handle, list, options, consumer->ends.answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(list);
    consumer->ends.is_asked = true;
}

static void take(struct kafka_consumer *consumer, const rd_kafka_ListOffsets_result_t *result)
{
    size_t count = 0;
    const rd_kafka_ListOffsetsResultInfo_t **infos = rd_kafka_ListOffsets_result_infos(result, &count);
    struct kafka_end *items = memory_allocate_array(count + 1, sizeof *items), *before;
    uint32_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_t *one = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        if (one->err || one->offset < 0)
            continue;
        items[taken++] =
            (struct kafka_end){kafka_consumer_intern(consumer, one->topic), one->partition, one->offset};
    }
    qsort(items, taken, sizeof *items, compare_ends);
    pthread_mutex_lock(&consumer->ends.lock);
    before = consumer->ends.items;
    consumer->ends.items = items;
    consumer->ends.count = taken;
    pthread_mutex_unlock(&consumer->ends.lock);
    free(before);
}

void kafka_ends_poll(struct kafka_consumer *consumer)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(consumer->ends.answers, 0);
    if (event) {
        const rd_kafka_ListOffsets_result_t *result = rd_kafka_event_ListOffsets_result(event);
        if (result && !rd_kafka_event_error(event))
            take(consumer, result);
        rd_kafka_event_destroy(event);
        consumer->ends.is_asked = false;
    }
    int64_t now_us = clock_monotonic_us(consumer->clock);
    if (consumer->ends.is_asked || !consumer->assignment.count || now_us < consumer->ends.next_us)
        return;
    consumer->ends.next_us = now_us + ENDS_INTERVAL_US;
    ask(consumer);
}

int64_t kafka_consumer_end(struct kafka_consumer *consumer, const char *topic, int32_t partition)
{
    const struct kafka_end wanted = {topic, partition, 0};
    pthread_mutex_lock(&consumer->ends.lock);
    const struct kafka_end *found =
        consumer->ends.count
            ? bsearch(&wanted, consumer->ends.items, consumer->ends.count, sizeof wanted, compare_ends)
            : NULL;
    int64_t offset = found ? found->offset : -1;
    pthread_mutex_unlock(&consumer->ends.lock);
    return offset;
}

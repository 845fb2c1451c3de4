/* Dead letters of a kafka source without a dead-letter topic: out of the store, back to their topic, by their key. What was sent is noted
 * in redrive.db once it is acknowledged. */
#include <stdlib.h>

#include "app/redrive_producer.h"
#include "base/memory.h"
#include "store/dead_letter_scan.h"

enum { STORE_FLUSH_LETTERS = 1000, STORE_HEADERS_MAX = 256 };

struct store_sender {
    const struct redrive *redrive;
    struct redrive_counts *counts;
    struct redrive_producer *producer; /* NULL in a dry run */
    struct redrive_log *log;
    int64_t sent[STORE_FLUSH_LETTERS]; /* offsets, of the partition, that are not noted yet */
    uint32_t sent_count;
    struct kafka_header headers[STORE_HEADERS_MAX];
};

static enum status note_sent(struct store_sender *sender, uint32_t partition, struct error *error)
{
    enum status status = sender->sent_count ? redrive_producer_flush(sender->producer, error) : STATUS_OK;
    for (uint32_t i = 0; i < sender->sent_count && status == STATUS_OK; i++) {
        sender->counts->sent++;
        status = redrive_log_note(sender->log, sender->redrive->source->name, partition, sender->sent[i],
                                  (struct slice){0}, false, error);
    }
    sender->sent_count = 0;
    return status == STATUS_OK ? redrive_log_commit(sender->log, error) : status;
}

static enum status send_letter(struct store_sender *sender, const struct stored_letter *letter,
                               struct error *error)
{
    /* Letters of earlier versions say no topic; a source with one topic needs none said. */
    const struct config_kafka_source *source = &sender->redrive->source->kafka;
    char *topic = letter->topic.data ? memory_copy_text(letter->topic.data, letter->topic.size) : NULL;
    bool has_topic = topic || (source->topic_count == 1 && source->topics[0][0] != '^');
    struct kafka_message message = {.topic = topic ? topic : source->topics[0],
                                    .partition = RD_KAFKA_PARTITION_UA,
                                    .key = letter->key,
                                    .value = letter->raw,
                                    .headers = sender->headers,
                                    .time_ms = letter->time_us > 0 ? letter->time_us / 1000 : 0};
    for (uint32_t i = 0; i < letter->header_count && i < STORE_HEADERS_MAX; i++)
        sender->headers[message.header_count++] =
            (struct kafka_header){letter->headers[i].name, letter->headers[i].value};
    enum status status = STATUS_OK;
    if (has_topic) {
        status = redrive_producer_send(sender->producer, &message, error);
        sender->sent[sender->sent_count++] = letter->offset;
    } else {
        sender->counts->unsendable++;
    }
    free(topic);
    return status;
}

/* One letter of the scan. */
static enum status take_letter(struct store_sender *sender, uint32_t partition,
                               const struct stored_letter *letter, struct error *error)
{
    const struct redrive *redrive = sender->redrive;
    enum redrive_known known = REDRIVE_NEW;
    enum status status = redrive_log_find(sender->log, redrive->source->name, partition, letter->offset,
                                          letter->raw, &known, error);
    if (status != STATUS_OK)
        return status;
    sender->counts->found++;
    if (known != REDRIVE_NEW && !redrive->sends_again) {
        sender->counts->before++;
    } else if (sender->counts->sent + sender->sent_count < redrive->limit) {
        if (redrive->is_dry_run)
            sender->counts->sent++;
        else
            status = send_letter(sender, letter, error);
        if (status == STATUS_OK && sender->sent_count == STORE_FLUSH_LETTERS)
            status = note_sent(sender, partition, error);
    }
    return status;
}

static enum status send_partition(struct store_sender *sender, uint32_t partition, struct error *error)
{
    const struct redrive *redrive = sender->redrive;
    struct dead_letter_scan *scan = NULL;
    enum status status = dead_letter_scan_open(redrive->config->data_dir, redrive->source->name, partition,
                                               redrive->reason, &scan, error);
    while (status == STATUS_OK) {
        struct stored_letter letter;
        status = dead_letter_scan_next(scan, &letter, error);
        if (status == STATUS_OK)
            status = take_letter(sender, partition, &letter, error);
    }
    dead_letter_scan_close(scan);
    return status == STATUS_END ? note_sent(sender, partition, error) : status;
}

enum status redrive_kafka_store(const struct redrive *redrive, struct redrive_counts *counts,
                                struct error *error)
{
    uint32_t *partitions = memory_allocate_array(CONFIG_MAX_PARTITIONS, sizeof *partitions), count = 0;
    struct store_sender *sender = memory_allocate(sizeof *sender);
    sender->redrive = redrive;
    sender->counts = counts;
    enum status status =
        dead_letter_partitions(redrive->config->data_dir, redrive->source->name, redrive->reason, partitions,
                               CONFIG_MAX_PARTITIONS, &count, error);
    if (status == STATUS_OK)
        status = redrive_log_open(redrive->config->data_dir, redrive->is_dry_run, &sender->log, error);
    if (status == STATUS_OK && !redrive->is_dry_run)
        status = redrive_producer_open(redrive->source, &sender->producer, error);
    for (uint32_t i = 0; i < count && i < CONFIG_MAX_PARTITIONS && status == STATUS_OK; i++)
        status = send_partition(sender, partitions[i], error);
    redrive_producer_close(sender->producer);
    redrive_log_close(sender->log);
    free(sender);
    free(partitions);
    return status;
}

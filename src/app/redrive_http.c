/* Dead letters of an http source go to the ingest route of the running server, as lines of NDJSON with their original bytes. At most
 * as many per request as the answer describes one by one, so that each letter's fate is known before it is noted. */
#include <stdlib.h>
#include <unistd.h>

#include "app/http_client.h"
#include "app/redrive.h"
#include "base/clock.h"
#include "base/json_find.h"
#include "base/memory.h"
#include "pipeline/ingest.h"
#include "pipeline/ingest_split.h"
#include "store/dead_letter_scan.h"

enum {
    REDRIVE_REQUEST_LETTERS = INGEST_MAX_ERRORS,
    REDRIVE_REQUEST_SIZE = 1024 * 1024, /* of a request that takes no further letter */
    REDRIVE_TIMEOUT_US = 30 * MICROSECONDS_PER_SECOND,
    REDRIVE_TRIES_MAX = 30, /* a second apart, while the server answers 429 or 503 */
    REDRIVE_ANSWER_DEPTH = 8,
};

struct pending_letter {
    uint32_t partition;
    int64_t offset;
    size_t raw_start, raw_size; /* in body */
    bool is_rejected;
};

struct sender {
    const struct redrive *redrive;
    struct redrive_counts *counts;
    struct http_client *client;
    struct native_json *json;
    struct redrive_log *log;
    struct buffer path, body, answer;
    bool is_array; /* the body is one element in brackets */
    struct pending_letter letters[REDRIVE_REQUEST_LETTERS];
    uint32_t letter_count;
};

/* Of an answer 202: which of the letters were rejected. */
static enum status read_answer(struct sender *sender, struct error *error)
{
    struct native_json_document document;
    if (native_json_parse(sender->json, sender->answer.data, sender->answer.size, REDRIVE_ANSWER_DEPTH,
                          &document) != NATIVE_JSON_OK) {
        error_set(error, "the server's answer is no JSON; is it a weir?");
        return STATUS_INVALID;
    }
    sender->counts->rejected += (uint64_t)json_find_number(&document, document.nodes, "rejected", 0);
    for (const struct native_json_node *item = json_first(json_find(&document, document.nodes, "errors"));
         item; item = json_next(&document, item)) {
        double index = json_find_number(&document, item, "index", -1);
        if (index >= 0 && index < sender->letter_count)
            sender->letters[(uint32_t)index].is_rejected = true;
    }
    return STATUS_OK;
}

/* Asks until the server takes the body; a server under pressure says so and is given time. */
static enum status post(struct sender *sender, struct error *error)
{
    struct slice body = buffer_slice(&sender->body);
    for (int tries = 1;; tries++) {
        int code = 0;
        enum status status = http_client_ask(sender->client, sender->path.data, &body, REDRIVE_TIMEOUT_US,
                                             &code, &sender->answer, error);
        if (status != STATUS_OK)
            return status;
        if (code == 202)
            return read_answer(sender, error);
        http_client_problem(sender->path.data, code, &sender->answer, error);
        if ((code != 429 && code != 503) || tries == REDRIVE_TRIES_MAX)
            return STATUS_INVALID;
        sleep(1); /* what its Retry-After says */
    }
}

static enum status flush(struct sender *sender, struct error *error)
{
    if (!sender->letter_count)
        return STATUS_OK;
    if (sender->is_array)
        buffer_append_char(&sender->body, ']');
    enum status status = post(sender, error);
    for (uint32_t i = 0; i < sender->letter_count && status == STATUS_OK; i++) {
        const struct pending_letter *letter = &sender->letters[i];
        struct slice raw = {sender->body.data + letter->raw_start, letter->raw_size};
        sender->counts->sent++;
        status = redrive_log_note(sender->log, sender->redrive->source->name, letter->partition,
                                  letter->offset, raw, letter->is_rejected, error);
    }
    if (status == STATUS_OK)
        status = redrive_log_commit(sender->log, error);
    sender->letter_count = 0;
    sender->is_array = false;
    buffer_clear(&sender->body);
    return status;
}

/* True when a body of these bytes holds exactly them as its one record. */
static bool is_one_record(struct slice body, struct slice raw)
{
    struct body_splitter splitter;
    struct slice record;
    uint32_t index;
    return !body_splitter_init(&splitter, body) && body_splitter_next(&splitter, &record, &index) &&
           slice_equal(record, raw) && !body_splitter_next(&splitter, &record, &index);
}

/* Lines go together into a request. What came as an element of an array and spans lines gets a request of its own. */
static enum status add(struct sender *sender, uint32_t partition, const struct stored_letter *letter,
                       struct error *error)
{
    bool is_line = is_one_record(letter->raw, letter->raw);
    struct buffer wrapped = {0};
    if (!is_line) {
        buffer_append_char(&wrapped, '[');
        buffer_append_slice(&wrapped, letter->raw);
        buffer_append_char(&wrapped, ']');
    }
    bool is_element = !is_line && is_one_record(buffer_slice(&wrapped), letter->raw);
    buffer_deinit(&wrapped);
    bool fits = letter->raw.size + 2 <= INGEST_BODY_MAX_SIZE;
    if (!fits || (!is_line && !is_element)) {
        sender->counts->unsendable++;
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    if (is_element || sender->letter_count == REDRIVE_REQUEST_LETTERS ||
        sender->body.size >= REDRIVE_REQUEST_SIZE ||
        sender->body.size + letter->raw.size >= INGEST_BODY_MAX_SIZE)
        status = flush(sender, error);
    if (status != STATUS_OK)
        return status;
    if (is_element)
        buffer_append_char(&sender->body, '[');
    sender->letters[sender->letter_count++] = (struct pending_letter){.partition = partition,
                                                                      .offset = letter->offset,
                                                                      .raw_start = sender->body.size,
                                                                      .raw_size = letter->raw.size};
    buffer_append_slice(&sender->body, letter->raw);
    sender->is_array = is_element;
    if (is_element)
        return flush(sender, error);
    buffer_append_char(&sender->body, '\n');
    return STATUS_OK;
}

static bool is_wanted(const struct sender *sender, enum redrive_known known)
{
    return known == REDRIVE_NEW || (known == REDRIVE_SENT && sender->redrive->sends_again);
}

static bool has_room(const struct sender *sender)
{
    return sender->counts->sent + sender->letter_count < sender->redrive->limit;
}

static enum status send_partition(struct sender *sender, uint32_t partition, struct error *error)
{
    const struct redrive *redrive = sender->redrive;
    struct dead_letter_scan *scan = NULL;
    enum status status = dead_letter_scan_open(redrive->config->data_dir, redrive->source->name, partition,
                                               redrive->reason, &scan, error);
    while (status == STATUS_OK) {
        struct stored_letter letter;
        enum redrive_known known = REDRIVE_NEW;
        status = dead_letter_scan_next(scan, &letter, error);
        if (status != STATUS_OK)
            break;
        status = redrive_log_find(sender->log, redrive->source->name, partition, letter.offset, letter.raw,
                                  &known, error);
        sender->counts->found++;
        if (status != STATUS_OK || !is_wanted(sender, known))
            sender->counts->before += status == STATUS_OK;
        else if (!has_room(sender))
            continue;
        else if (redrive->is_dry_run)
            sender->counts->sent++;
        else
            status = add(sender, partition, &letter, error);
    }
    dead_letter_scan_close(scan);
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status send_all(struct sender *sender, struct error *error)
{
    const struct redrive *redrive = sender->redrive;
    uint32_t *partitions = memory_allocate_array(CONFIG_MAX_PARTITIONS, sizeof *partitions), count = 0;
    enum status status =
        dead_letter_partitions(redrive->config->data_dir, redrive->source->name, redrive->reason, partitions,
                               CONFIG_MAX_PARTITIONS, &count, error);
    for (uint32_t i = 0; i < count && i < CONFIG_MAX_PARTITIONS && status == STATUS_OK; i++)
        status = send_partition(sender, partitions[i], error);
    if (status == STATUS_OK)
        status = flush(sender, error);
    if (status == STATUS_OK)
        status = redrive_log_commit(sender->log, error); /* echoes that were found */
    free(partitions);
    return status;
}

enum status redrive_http(const struct redrive *redrive, struct redrive_counts *counts, struct error *error)
{
    struct sender *sender = memory_allocate(sizeof *sender);
    sender->redrive = redrive;
    sender->counts = counts;
    buffer_format(&sender->path, "/api/v1/sources/%s/events", redrive->source->name);
    buffer_append_char(&sender->path, '\0');
    uint32_t count = 0;
    enum status status = dead_letter_partitions(redrive->config->data_dir, redrive->source->name,
                                                redrive->reason, NULL, 0, &count, error);
    if (status == STATUS_OK)
        status = http_client_open(redrive->url, redrive->token, &sender->client, error);
    if (status == STATUS_OK)
        status = redrive_log_open(redrive->config->data_dir, redrive->is_dry_run, &sender->log, error);
    if (status == STATUS_OK) {
        sender->json = native_json_create(HTTP_CLIENT_ANSWER_SIZE_MAX);
        status = send_all(sender, error);
        native_json_destroy(sender->json);
    }
    redrive_log_close(sender->log);
    http_client_close(sender->client);
    buffer_deinit(&sender->path);
    buffer_deinit(&sender->body);
    buffer_deinit(&sender->answer);
    free(sender);
    return status;
}

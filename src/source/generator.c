/* Seeded events. See generator.h.
 *
 * The randomness of an event comes from (seed, partition, offset) alone, so a reader may begin anywhere. Events
 * are written straight into the batch by copying pieces; nothing is allocated, and the calendar is reckoned once
 * per second of event time. */
#include "source/generator.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "flow/event_time.h"

enum { SESSION_MINUTES = 30, PRODUCT_COUNT = 500, RATE_STEP_US = 1000, SECOND_TEXT_SIZE = 20 };
#define SECONDS_US INT64_C(1000000)
#define HOURS_US   (3600 * SECONDS_US)

struct generator {
    struct source_reader reader;
    struct config_generator_source config;
    const struct clock *clock;
    uint32_t partition, partitions;
    int64_t start_us;                        /* event time of number 0 */
    int64_t first_offset;                    /* of number 0 */
    int64_t next_index;                      /* offset - first_offset of the next event */
    int64_t paced_from_us, paced_from_index; /* monotonic clock, and the event that was due then */
    int64_t now_us;                          /* of the newest read */
    int64_t text_second;                     /* the second that second_text is about */
    char second_text[SECOND_TEXT_SIZE];      /* 2026-11-23T18:00:00. */
};

/* --- writing ------------------------------------------------------------------------------------------------------ */

static char *put(char *to, const char *text)
{
    return stpcpy(to, text);
}

static char *put_number(char *to, uint64_t number)
{
    char digits[20];
    size_t start = sizeof digits;
    do
        digits[--start] = (char)('0' + number % 10);
    while (number /= 10);
    memcpy(to, digits + start, sizeof digits - start);
    return to + (sizeof digits - start);
}

static char *put_cents(char *to, uint64_t cents)
{
    to = put_number(to, cents / 100);
    *to++ = '.';
    *to++ = (char)('0' + cents / 10 % 10);
    *to++ = (char)('0' + cents % 10);
    return to;
}

/* 2026-11-23T18:00:00.123Z */
static char *put_time(struct generator *generator, char *to, int64_t time_us)
{
    int64_t second_us = event_time_floor(time_us, SECONDS_US);
    if (second_us != generator->text_second) {
        struct buffer text = {0};
        event_time_format(&text, second_us); /* ends with Z, without a fraction */
        assert(text.size == SECOND_TEXT_SIZE);
        memcpy(generator->second_text, text.data, text.size);
        generator->second_text[SECOND_TEXT_SIZE - 1] = '.';
        buffer_deinit(&text);
        generator->text_second = second_us;
    }
    memcpy(to, generator->second_text, SECOND_TEXT_SIZE);
    to += SECOND_TEXT_SIZE;
    int64_t milliseconds = (time_us - second_us) / 1000;
    *to++ = (char)('0' + milliseconds / 100);
    *to++ = (char)('0' + milliseconds / 10 % 10);
    *to++ = (char)('0' + milliseconds % 10);
    *to++ = 'Z';
    return to;
}

/* --- one event ---------------------------------------------------------------------------------------------------- */

enum event_kind { PAGE_VIEW, CLICK, SEARCH, ADD_TO_CART, PURCHASE, EVENT_KIND_COUNT };

static const struct {
    const char *name;
    uint32_t below; /* of 100 */
} event_kinds[EVENT_KIND_COUNT] = {
    {"page_view", 55}, {"click", 75}, {"search", 82}, {"add_to_cart", 92}, {"purchase", 100}};

static const char *const countries[] = {"US", "DE", "FR", "GB", "JP", "BR", "IN", "ES", "IT", "NL"};
static const char *const devices[] = {"mobile", "mobile", "desktop", "tablet"};
static const char *const referrers[] = {"search", "social", "mail", "direct"};
static const char *const elements[] = {"buy_button", "image", "menu", "review", "banner"};
static const char *const queries[] = {"shoes", "lamp", "coffee", "tent", "headphones", "desk"};
#define PICK(random, list) (list)[random_below(random, sizeof(list) / sizeof *(list))]

/* What the parts of an event are made of. */
struct event_seed {
    int64_t index;
    int64_t time_us;
    uint64_t user;
    enum event_kind kind;
};

static uint64_t price_cents(uint64_t product)
{
    return 499 + product * product % 9973 * 2;
}

static char *put_details(char *to, enum event_kind kind, uint64_t product, struct random *random)
{
    if (kind == PAGE_VIEW) {
        to = put(put(to, ",\"referrer\":\""), PICK(random, referrers));
        return put(to, "\"}}");
    }
    if (kind == CLICK) {
        to = put(put(to, ",\"element\":\""), PICK(random, elements));
        return put(to, "\"}}");
    }
    if (kind == SEARCH) {
        to = put(put(to, ",\"query\":\""), PICK(random, queries));
        to = put_number(put(to, "\",\"results\":"), random_below(random, 60));
        return put(to, "}}");
    }
    uint64_t quantity = 1 + random_below(random, 3);
    to = put_number(put(to, ",\"product\":\"product-"), product);
    to = put_number(put(to, "\",\"quantity\":"), quantity);
    to = put_cents(put(to, ",\"amount\":"), quantity * price_cents(product));
    return put(to, "}}");
}

static char *put_event(struct generator *generator, char *to, const struct event_seed *seed,
                       struct random *random)
{
    struct random traits =
        random_seeded(generator->config.seed ^ (seed->user * 2 + 1) * UINT64_C(0x9E3779B97F4A7C15));
    /* The first countries have more users than the last. */
    double country = random_unit(&traits);
    size_t country_index = (size_t)(country * country * (double)(sizeof countries / sizeof *countries));
    uint64_t product = random_below(random, PRODUCT_COUNT);
    to = put_number(put(to, "{\"event_id\":\""), generator->partition);
    *to++ = '-';
    to = put_number(to, (uint64_t)(generator->first_offset + seed->index));
    to = put(put(to, "\",\"event_type\":\""), event_kinds[seed->kind].name);
    to = put_time(generator, put(to, "\",\"timestamp\":\""), seed->time_us);
    to = put_number(put(to, "\",\"user_id\":\"user-"), seed->user);
    to = put_number(put(to, "\",\"session_id\":\""), seed->user);
    *to++ = '-';
    int64_t session = event_time_floor(seed->time_us, SESSION_MINUTES * 60 * SECONDS_US) /
                      (SESSION_MINUTES * 60 * SECONDS_US);
    to = put_number(to, (uint64_t)(session < 0 ? -session : session));
    to = put(put(to, "\",\"properties\":{\"country\":\""), countries[country_index]);
    to = put(put(to, "\",\"device\":\""), PICK(&traits, devices));
    to = put_number(put(to, "\",\"page\":\"/products/"), product);
    *to++ = '"';
    return put_details(to, seed->kind, product, random);
}

/* Spoils a good event. Returns its end. */
static char *spoil(char *event, char *end, struct random *random)
{
    switch (random_below(random, 7)) {
    case 0: return event + (end - event) / 2;
    case 1: return put(event, "[\"page_view\",1]");
    case 2: return put(event, "{\"event_type\":\"page_view\",\"user_id\":\"user-1\"}");
    case 3: return put(event, "{\"event_type\":\"page_view\",\"timestamp\":\"yesterday\"}");
    case 4: return put(end - 1, ",\"user_id\":\"user-0\"}");
    case 5: return put(end - 1, ",\"note\":\"\xff\"}");
    default:
        end = put(end - 1, ",\"note\":");
        memset(end, '[', EVENT_MAX_DEPTH);
        memset(end + EVENT_MAX_DEPTH, ']', EVENT_MAX_DEPTH);
        end[2 * EVENT_MAX_DEPTH] = '}';
        return end + 2 * EVENT_MAX_DEPTH + 1;
    }
}

static enum event_kind choose_kind(struct random *random)
{
    uint64_t place = random_below(random, 100);
    enum event_kind kind = PAGE_VIEW;
    while (place >= event_kinds[kind].below)
        kind++;
    return kind;
}

/* Moves the event time by the shares. One draw decides, so the shares add up. */
static int64_t disturb(const struct config_generator_source *config, int64_t time_us, struct random *random)
{
    double draw = random_unit(random);
    double within = random_unit(random);
    if (draw < config->future_share)
        return time_us + HOURS_US + (int64_t)(within * 23 * (double)HOURS_US);
    draw -= config->future_share;
    if (draw < config->late_share)
        return time_us - config->disorder_us - 10 * SECONDS_US - (int64_t)(within * 60 * (double)SECONDS_US);
    draw -= config->late_share;
    if (draw < config->disorder_share)
        return time_us - (int64_t)(within * (double)config->disorder_us);
    return time_us;
}

/* The moment at which the event is made. */
static int64_t made_us(const struct generator *generator, int64_t index)
{
    double rate = generator->config.rate_per_second;
    double number = (double)index * generator->partitions + generator->partition;
    return generator->start_us + (int64_t)(number * 1e6 / (rate > 0 ? rate : 1e6));
}

static void make_record(struct generator *generator, struct batch *batch, int64_t index)
{
    const struct config_generator_source *config = &generator->config;
    const uint64_t place[] = {generator->partition, (uint64_t)index};
    struct random random = random_seeded(hash_bytes(place, sizeof place, config->seed));
    int64_t time_us = made_us(generator, index);
    double crowd = random_unit(&random);
    struct event_seed seed = {
        .index = index,
        .time_us = disturb(config, time_us, &random),
        .user = (uint64_t)(crowd * crowd * crowd * config->users),
        .kind = choose_kind(&random),
    };
    bool is_bad = random_unit(&random) < config->bad_share;
    char *text = batch_reserve_text(batch, GENERATOR_EVENT_MAX_SIZE);
    char *end = put_event(generator, text, &seed, &random);
    if (is_bad)
        end = spoil(text, end, &random);
    size_t text_offset = batch->text_size;
    batch->text_size += (size_t)(end - text);
    assert(end - text <= GENERATOR_EVENT_MAX_SIZE);
    *batch_add_record(batch) = (struct record){.text_offset = (uint32_t)text_offset,
                                               .text_size = (uint32_t)(end - text),
                                               .offset = generator->first_offset + index,
                                               .time_us = time_us};
}

/* --- the source --------------------------------------------------------------------------------------------------- */

/* How many events this partition has in all. */
static int64_t index_limit(const struct generator *generator)
{
    uint64_t count = generator->config.count;
    if (count == 0)
        return INT64_MAX;
    if (count <= generator->partition)
        return 0;
    return (int64_t)((count - generator->partition - 1) / generator->partitions) + 1;
}

/* One past the last event that is due. */
static int64_t due_index(const struct generator *generator, int64_t now_us)
{
    if (generator->config.rate_per_second <= 0)
        return INT64_MAX;
    double per_us = generator->config.rate_per_second / generator->partitions / 1e6;
    return generator->paced_from_index + 1 + (int64_t)((double)(now_us - generator->paced_from_us) * per_us);
}

static int64_t due_us(const struct generator *generator, int64_t index)
{
    double per_us = generator->config.rate_per_second / generator->partitions / 1e6;
    return generator->paced_from_us + (int64_t)((double)(index - generator->paced_from_index) / per_us) + 1;
}

static void start_pacing(struct generator *generator, int64_t now_us)
{
    generator->paced_from_us = now_us;
    generator->paced_from_index = generator->next_index;
}

static enum status generator_read(struct source_reader *reader, uint32_t max_records, int64_t end_offset,
                                  struct batch *batch, int64_t *next_us, struct error *error)
{
    (void)error;
    struct generator *generator = (struct generator *)reader;
    bool is_replay = end_offset != INT64_MAX;
    int64_t now_us = generator->now_us = clock_monotonic_us(generator->clock);
    int64_t limit = index_limit(generator);
    if (generator->next_index >= limit)
        return STATUS_END;
    if (is_replay || generator->paced_from_us == TIME_NONE)
        start_pacing(generator, now_us);
    int64_t end = is_replay ? end_offset - generator->first_offset : due_index(generator, now_us);
    if (end > limit)
        end = limit;
    if (generator->next_index >= end) {
        int64_t at_us = is_replay ? INT64_MAX : due_us(generator, generator->next_index);
        *next_us = at_us > now_us + RATE_STEP_US ? at_us : now_us + RATE_STEP_US;
        return STATUS_AGAIN;
    }
    while (generator->next_index < end && batch->record_count < max_records &&
           batch->text_size < BATCH_TEXT_SIZE)
        make_record(generator, batch, generator->next_index++);
    batch->arrival_us = now_us;
    batch->arrival_wall_us = clock_wall_us(generator->clock);
    return STATUS_OK;
}

static int64_t generator_end_offset(struct source_reader *reader)
{
    const struct generator *generator = (struct generator *)reader;
    if (generator->config.rate_per_second <= 0 || generator->paced_from_us == TIME_NONE)
        return -1;
    int64_t due = due_index(generator, generator->now_us), limit = index_limit(generator);
    return generator->first_offset + (due < limit ? due : limit);
}

static void generator_close(struct source_reader *reader)
{
    free(reader);
}

static const struct source_reader_operations generator_operations = {.kind = "generator",
                                                                     .read = generator_read,
                                                                     .end_offset = generator_end_offset,
                                                                     .close = generator_close};

struct source_reader *generator_reader_open(const struct config_generator_source *config, uint32_t partition,
                                            uint32_t partitions, struct source_position position,
                                            const struct clock *clock)
{
    struct generator *generator = memory_allocate(sizeof *generator);
    generator->reader.operations = &generator_operations;
    generator->config = *config;
    generator->clock = clock;
    generator->partition = partition;
    generator->partitions = partitions;
    generator->paced_from_us = TIME_NONE;
    generator->text_second = TIME_NONE;
    generator->start_us = config->start_us;
    if (config->start_us == TIME_NONE)
        generator->start_us = generator->first_offset = clock_wall_us(clock);
    if (position.offset > generator->first_offset)
        generator->next_index = position.offset - generator->first_offset;
    return &generator->reader;
}

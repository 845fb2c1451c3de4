/* What the members of a group say to each other through the topic of partials.
 *
 * Partition 0, control: lines of text, so that people can read along.
 *
 *   hello INSTANCE CONFIG_HASH GENERATION ROUND        each second, and at every change of the assignment
 *   owns TOPIC PARTITION                               one line for each partition
 *
 *   start INSTANCE EPOCH NUMBER                        from the leader, when the hellos cover every partition just once; the message's
 *   closed PIPELINE TIME                               offset + 1 names this round: what is sent in an earlier one is ignored. The number
 *                                                      is the leader's own: it follows no start of its own but the last
 *   part INSTANCE SOURCE TOPIC PARTITION B P LARGEST_TIME_BELOW_P WATERMARK_BEFORE_B
 *
 *   live ROUND                                         from the leader, again and again: every partition has reached its P
 *   ack ROUND INSTANCE SEQUENCE                        from the leader, again and again: what of a member it has taken
 *
 * Partition 1, panes: binary, little endian.
 *
 *   [ magic 4 | kind 4 | round 8 | instance 16 | sequence 8 | pipeline 4 | 0 4 ] [ a pane's message, an update, or a block of events ]
 *   update: [ flags 4 | clocks 4 | positions 4 | 0 4 | age of the newest event 8 ] [ clock 40 ]* [ position 40 ]*              */
#pragma once

#include "pipeline/engine_internal.h"

enum {
    PARTIALS_CONTROL = 0, /* partition */
    PARTIALS_PANES = 1,
    PARTIALS_PARTITION_COUNT = 2,
    PARTIALS_INSTANCE_SIZE = 16,
    PARTIALS_MEMBERS_MAX = 64, /* processes of one group that share windows */
    PARTIALS_WINDOW_MESSAGES =
        512, /* that a member has sent and the leader has not acknowledged; then it waits */
};

enum partials_kind { PARTIALS_PANE = 1, PARTIALS_UPDATE = 2, PARTIALS_OUTPUT = 3 };

struct partials_head {
    uint32_t magic, kind;
    int64_t round;
    char instance[16];
    uint64_t sequence; /* of the member in this round, from 1 */
    uint32_t pipeline_index, unused;
};

/* Puts the head in front. */
void partials_write_head(struct buffer *out, enum partials_kind kind, int64_t round, const char *instance,
                         uint64_t sequence, uint32_t pipeline_index);
/* False when it is no message of ours. */
bool partials_read_head(struct slice message, struct partials_head *head, struct slice *body);

/* Clocks and positions of an update, for the pipelines and sources of a membership; times by the clock are sent as ages. */
void partials_write_update(struct buffer *out, const struct engine *engine,
                           const struct membership *membership, const struct shard_update *update,
                           int64_t now_us);
/* NULL when it is damaged. Positions get the topics of this process's slots. */
struct shard_update *partials_read_update(const struct engine *engine, const struct membership *membership,
                                          struct slice body, int64_t now_us);

/* The words of a line, one after the other: false at its end. */
bool partials_next_word(struct slice *line, struct slice *word);
bool partials_next_line(struct slice *text, struct slice *line);
bool partials_word_is(struct slice word, const char *text);
/* A number, or `-` for TIME_NONE. */
bool partials_next_number(struct slice *line, int64_t *number);

/* What stands behind the first word of a line; the slices point into it. False: it is damaged. */
struct partials_hello {
    struct slice instance; /* at most PARTIALS_INSTANCE_SIZE */
    uint64_t config_hash;
    int64_t generation, round;
};

struct partials_start {
    struct slice instance;
    uint64_t epoch;
    int64_t number;
};

struct partials_part {
    struct slice instance, topic;
    uint32_t source_index;
    int32_t partition;
    int64_t base, position, position_max_time_us, base_watermark_us;
};

bool partials_read_hello(struct slice line, struct partials_hello *hello);
bool partials_read_owns(struct slice line, struct slice *topic, int32_t *partition);
bool partials_read_start(struct slice line, struct partials_start *start);
bool partials_read_part(struct slice line, struct partials_part *part);
bool partials_read_closed(struct slice line, uint32_t *pipeline_index, int64_t *time_us);

/* Hash of what the members must agree on: pipelines of the membership and their sources. */
uint64_t partials_config_hash(const struct engine *engine, const struct membership *membership);

/* What the files of the hub share. Only src/hub includes this.
 *
 *   hub_message.c       texts of clients → subscriptions, answers
 *   hub_group.c         equal subscriptions: index, pending frames, members
 *   hub_catch_up.c      a subscription that is not live: snapshot, missed rows, slow client
 *   hub_recent.c        blocks kept for `since`
 *   hub_known.c         rows of an earlier life that may be emitted again
 *   hub_encoder.c       messages → WebSocket frames
 *   hub.c               inputs → groups, clients, time */
#pragma once

#include "hub/hub.h"
#include "hub/hub_filter.h"
#include "hub/row_table.h"

enum {
    HUB_ID_SIZE = 32,
    HUB_CLIENT_ID_SIZE = 24,
    HUB_TICK_US = 1000 * 1000,
    HUB_CLOSE_TRY_AGAIN = 1013,
};

enum subscription_type {
    SUBSCRIBE_EVENTS,
    SUBSCRIBE_METRICS,
    SUBSCRIBE_ALERTS,
    SUBSCRIBE_PREDICTIONS,
    SUBSCRIBE_AGGREGATIONS,
    SUBSCRIBE_SYSTEM_STATUS,
    SUBSCRIBE_TYPE_COUNT
};
const char *subscription_type_name(enum subscription_type type);

struct hub_position {
    uint64_t boot_id, sequence;
};

/* --- hub_encoder.c --- */

/* Messages on their way into one frame block. */
struct hub_encoder {
    struct buffer frames; /* whole WebSocket frames */
    struct buffer batch;  /* messages of the open batch, with commas between them */
    uint32_t batch_count;
    uint32_t message_count; /* in frames and batch */
    struct buffer position; /* metadata of the message that is being added, later of the newest one */
    struct buffer head;     /* what the messages of one moment begin with */
    int64_t head_timestamp_ms;
    bool head_is_batch;
};

struct hub_envelope {
    const char *subscription_id;
    enum subscription_type type;
    bool is_batched;
    int64_t timestamp_ms;
};

/* What stands in a message besides the record. */
struct hub_metadata {
    struct hub_position position;
    bool is_result;    /* else the position is of the hub's own numbering and cannot be resumed from */
    bool is_conflated; /* older rows of the key were left out, because the client was slow */
    const struct event_block *event_block; /* its source, partition; NULL: none */
    uint32_t event_index;
};

void hub_encoder_deinit(struct hub_encoder *encoder);
void hub_encoder_add(struct hub_encoder *encoder, const struct hub_envelope *envelope, struct slice json,
                     const struct hub_metadata *metadata);
/* Closes the open batch. */
void hub_encoder_close_batch(struct hub_encoder *encoder, const struct hub_envelope *envelope);
static inline size_t hub_encoder_size(const struct hub_encoder *encoder)
{
    return encoder->frames.size + encoder->batch.size;
}
/* One text frame of any payload, appended. */
void hub_append_text_frame(struct buffer *out, struct slice payload);

/* --- groups and subscriptions --- */

enum subscription_state {
    SUBSCRIPTION_AWAITING, /* the store has been asked for missed rows */
    SUBSCRIPTION_LAGGING,  /* reads rows at its own speed: old ones first, then the group's pending ones */
    SUBSCRIPTION_LIVE,     /* gets the group's frames */
};

struct hub_subscription {
    struct hub_client *client;
    struct hub_group *group;
    uint32_t member_index; /* in the group */
    enum subscription_state state;

    /* While it is not live. */
    bool is_slow;                     /* it once was live: its rows are marked as conflated */
    struct row_cursor pending;        /* in the group's pending rows */
    struct row_cursor snapshot;       /* in the hub's current rows */
    uint64_t snapshot_end;            /* sequence of this life; later rows are among the pending ones */
    uint64_t recent_next, recent_end; /* sequences still to be sent from the recent blocks */
    struct buffer held;               /* rows of the store: struct held_row, then its text */
    size_t held_offset;
    struct hub_position asked; /* the store has been asked for rows behind this */
    bool is_confirmed, wants_next_page, wants_snapshot;
    uint64_t ticket; /* of the open request; 0 = none */
};

struct hub_group {
    struct hub *hub;
    struct hub_group *next_in_bucket;
    uint64_t hash;
    struct buffer canonical;
    char id[HUB_ID_SIZE];
    enum subscription_type type;
    struct hub_filter *filter;
    bool is_trivial;     /* the index has decided already */
    int64_t conflate_us; /* 0 = every row */
    bool is_batched;
    uint32_t *topics; /* pipelines or sources it is indexed under */
    uint32_t topic_count;

    struct hub_subscription **members;
    uint32_t member_count, member_capacity, live_count, lagging_count;

    struct hub_encoder encoder; /* for live members */
    bool is_dirty;              /* it is in hub->dirty */
    int64_t due_us;             /* batch or conflation; INT64_MAX = nothing waits */
    int64_t flushed_us;         /* when conflated rows left last */
    struct row_table pending;   /* rows that conflation or a lagging member waits for */
    struct row_cursor flushed;  /* conflating group: what live members have */
};

/* What is to be in a group. */
struct hub_request {
    enum subscription_type type;
    struct hub_filter *filter; /* taken over by hub_group_join */
    int64_t conflate_us;
    bool is_batched, wants_snapshot, wants_since;
    bool has_position; /* `since` could be read */
    struct hub_position since;
    uint32_t *topics;
    uint32_t topic_count;
};

struct hub_client {
    struct hub *hub;
    const struct hub_connection_operations *operations;
    void *connection;
    char id[HUB_CLIENT_ID_SIZE];
    struct hub_subscription **subscriptions;
    uint32_t subscription_count, subscription_capacity, not_live_count;
    bool is_closed;        /* the hub has closed it: nothing more is sent */
    bool is_ready;         /* in hub->ready: its queue has drained while it lags */
    uint32_t client_index; /* in hub->clients */
    uint64_t deliveries;
    int64_t *message_times; /* circular, of the accepted messages of the last minute */
    uint32_t message_time_count, message_time_first, message_time_capacity;
};

struct pointer_list {
    void **items;
    uint32_t count, capacity;
};
void pointer_list_add(struct pointer_list *list, void *item);
/* Takes the last one's place; false when it is not in it. */
bool pointer_list_remove(struct pointer_list *list, const void *item);

/* --- hub_recent.c --- */

struct recent_block {
    struct result_block *block;
    size_t size;
};

/* The newest result blocks, in the order of their sequence. */
struct hub_recent {
    struct recent_block *blocks; /* circular */
    uint32_t first, count, capacity;
    size_t size;
    uint64_t first_sequence; /* every row from here on is there */
    bool has_evicted_stored;
    uint64_t evicted_stored; /* newest sequence gone that the store should have */
};

/* --- hub_known.c --- */

struct known_row;
struct hub_known {
    struct known_row *rows; /* open addressing */
    uint32_t count, capacity;
    uint64_t seed;
};
void hub_known_deinit(struct hub_known *known);
/* At most HUB_KNOWN_ROWS_MAX; further ones are not remembered. */
void hub_known_add(struct hub_known *known, const struct hub_record *record);
/* Is the record a repeat, or an older state, of a row that was added? */
bool hub_known_has(const struct hub_known *known, const struct hub_record *record);

/* What the latency ledger wants to know of a block. */
struct hub_sent_block {
    int64_t arrival_us, emitted_us;
};

struct hub {
    struct hub_options options;
    size_t block_size; /* a group's frame is closed here: small beside a client's queue */
    int64_t now_us, wall_now_us, next_tick_us, next_due_us;
    uint64_t random_state, next_ticket, next_delivery;

    struct pointer_list clients, inputs;
    struct pointer_list closed; /* clients the hub has closed and not yet detached */
    struct pointer_list ready;  /* clients that can take more while they lag */
    struct pointer_list dirty;  /* groups with frames to hand out at the end of the turn */
    struct pointer_list timed;  /* groups with a due time */
    struct pointer_list asked;  /* subscriptions that wait for the store's answer */

    struct hub_group **buckets;
    uint32_t bucket_count, group_count;
    struct pointer_list *by_pipeline, *by_source; /* groups of aggregations and events */
    struct pointer_list by_type[SUBSCRIBE_TYPE_COUNT];

    struct hub_document message, record;
    struct batch *scratch;

    struct hub_recent recent;
    struct hub_known known;
    struct row_table current;
    bool needs_sort;        /* rows were restored */
    uint64_t next_sequence; /* one past the newest row seen */
    size_t pending_size;    /* of all groups' pending rows */

    struct result_block *block; /* the one that is being distributed */
    uint32_t block_row;
    struct event_block *events; /* likewise */
    uint32_t events_row;
    uint32_t most_subscriptions;     /* of any one client */
    struct hub_sent_block *finished; /* distributed in this turn */
    uint32_t finished_count, finished_capacity;
    bool has_sent_results; /* in this turn */
    struct hub_statistics statistics;
};

/* --- hub.c --- */

/* Gives the frame to the client, or closes the client when its queue would be too long. False when it is closed. The
 * frame stays the caller's. */
bool hub_client_push(struct hub_client *client, struct frame *frame, uint32_t deliveries);
void hub_client_close_slow(struct hub_client *client, const char *reason);
size_t hub_client_queued(const struct hub_client *client);
void hub_client_mark_ready(struct hub_client *client);
/* Removes what closed clients have; not inside a loop over members. */
void hub_reap(struct hub *hub);
struct hub_record hub_block_record(const struct hub *hub, const struct result_block *block, uint32_t row);
/* Does the group want the record that hub->record is set to? It is parsed at most once for all groups. */
bool hub_group_wants(const struct hub_group *group);

/* --- hub_group.c --- */

/* Makes the client a member of the group of that request, in state AWAITING; takes over the filter and topics. */
struct hub_subscription *hub_group_join(struct hub *hub, struct hub_client *client,
                                        struct hub_request *request);
/* Frees the subscription, and the group with its last member. */
void hub_subscription_destroy(struct hub_subscription *subscription);
struct hub_envelope hub_group_envelope(const struct hub_group *group);
/* A record that the group wants. */
void hub_group_add_result(struct hub_group *group, const struct hub_record *record);
void hub_group_add(struct hub_group *group, struct slice json, const struct hub_metadata *metadata);
/* Hands out what the encoder holds. */
void hub_group_flush(struct hub_group *group);
/* Sends conflated rows and batches that are due; returns the next due time. */
int64_t hub_groups_run_due(struct hub *hub);
void hub_groups_deinit(struct hub *hub);
/* Makes the subscription lag from now on: what comes is pending for it. */
void hub_subscription_lag(struct hub_subscription *subscription);
void hub_subscription_go_live(struct hub_subscription *subscription);
/* Forgets the pending rows that nobody needs. */
void hub_group_trim(struct hub_group *group);

/* --- hub_catch_up.c --- */

/* Confirms the subscription and lets it begin: live, by snapshot, or from a position. */
void hub_subscription_start(struct hub_subscription *subscription, const struct hub_request *request);
/* Sends as much as the client's queue takes now. */
void hub_subscription_catch_up(struct hub_subscription *subscription);

/* --- hub_recent.c --- */

void hub_recent_init(struct hub_recent *recent);
void hub_recent_deinit(struct hub_recent *recent);
/* Takes a reference. */
void hub_recent_add(struct hub_recent *recent, struct result_block *block, const bool *pipeline_is_stored);
/* The first row with this sequence or a later one; false when there is none. */
bool hub_recent_find(const struct hub_recent *recent, uint64_t sequence, const struct result_block **block,
                     uint32_t *row);

/* --- hub_message.c --- */

void hub_send_confirmation(struct hub_subscription *subscription, const bool *recovered);

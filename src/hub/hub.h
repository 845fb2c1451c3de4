/* The push hub: who subscribed to what, and the frames they get. It lives in the I/O thread and knows no sockets: the
 * server makes one hub_client per WebSocket, hands it the texts that the client sends, and queues the frames that
 * the hub gives it. Producers (the merger, shards) reach the hub through one hub_input each, two bounded rings.
 *
 *   rings ─▶ hub_turn ─▶ groups of equal subscriptions ─▶ one frame per group and turn ─▶ send() to each member
 *
 * Equal subscriptions (type, filters, where, conflate, batch) of different clients are one group with one subscription id, so
 * a record is filtered and framed once per group and a client costs a pointer. A frame here is a block of one or several whole
 * WebSocket text frames, unmasked and uncompressed, ready to be written.
 *
 * One turn of the I/O loop: sockets are read and written, hub_client_message() and hub_client_drained() as that
 * happens; then hub_turn(); then the server flushes the connections that got frames. */
#pragma once

#include "base/clock.h"
#include "base/ring.h"
#include "flow/result.h"
#include "net/frame.h"
#include "store/store.h"

enum {
    HUB_INPUT_CAPACITY = 1024,             /* blocks in each ring of an input */
    HUB_CLIENT_SUBSCRIPTIONS_MAX = 128,    /* of one client; the next is refused with an error */
    HUB_MESSAGE_MAX_DEPTH = 32,            /* nesting of a client's message */
    HUB_FILTER_CONDITIONS_MAX = 32,        /* paths in one `filters` */
    HUB_FILTER_VALUES_MAX = 256,           /* values of one path */
    HUB_BATCH_MESSAGES_MAX = 50,           /* messages of one frame with batch: true ... */
    HUB_BATCH_WAIT_US = 10 * 1000,         /* ... and how long the first of them waits */
    HUB_CONFLATE_MAX_US = 60 * 1000000,    /* longest `conflate` */
    HUB_RECENT_SIZE_MAX = 8 * 1024 * 1024, /* result blocks kept for `since`; then the oldest go */
    HUB_CURRENT_ROWS_MAX = 65536, /* newest rows per key, for snapshots; then the longest unchanged go */
    HUB_CURRENT_SIZE_MAX = 32 * 1024 * 1024, /* bytes of the same */
    HUB_KNOWN_ROWS_MAX = 65536, /* rows of an earlier life that are recognised when they are emitted again */
    HUB_PENDING_ROWS_MAX = 16384,                  /* newest rows per key that a group holds for conflation */
    HUB_PENDING_SIZE_MAX = 8 * 1024 * 1024,        /* bytes of the same */
    HUB_PENDING_TOTAL_SIZE_MAX = 64 * 1024 * 1024, /* bytes of the pending rows of all groups */
    HUB_CATCH_UP_ROWS_MAX = 4096,                  /* old rows that one turn looks at for one subscription */
    HUB_HISTORY_PAGE_ROWS = 1000,                  /* rows asked of the store at once */
    HUB_BLOCK_SIZE_MAX = 64 * 1024, /* bytes after which a group's frame is closed and handed out */
    HUB_TURN_SIZE_MAX = 256 * 1024, /* bytes of records of one turn; the rest waits for the next */
};

/* --- producers --- */

/* Raw events on their way to `events` subscribers. Immutable once pushed. */
struct event_block {
    const char *source;
    uint32_t source_index, partition;
    uint32_t event_count;
    int64_t arrival_us;  /* monotonic */
    struct slice *texts; /* [event_count] JSON objects, in `bytes` */
    int64_t *offsets;
    int64_t *event_times_us;
    struct buffer bytes;
};

/* Copies the given rows of a decoded batch. `source` outlives the block. */
struct event_block *event_block_create(const char *source, const struct batch *batch, const uint32_t *rows,
                                       uint32_t row_count);
void event_block_destroy(struct event_block *block);

struct hub_input {
    struct ring results;             /* struct result_block *, encoded, one reference each */
    struct ring events;              /* struct event_block * */
    _Atomic uint64_t dropped_events; /* relaxed statistic; producer adds, hub reads */
};

/* Producer: false when full. Results: the producer waits for room (its ring's producer waker). Events: it drops the
 * block and counts; live events are a sample for people, the log has them all. */
void hub_input_init(struct hub_input *input, struct waker *consumer, struct waker *producer);
/* Releases what nobody has taken out. */
void hub_input_deinit(struct hub_input *input);
/* Takes the block over; when the ring is full, destroys it and counts its events as dropped. Producer thread. */
void hub_input_push_events(struct hub_input *input, struct event_block *block);

/* --- the server's side; everything below: I/O thread --- */

struct hub;
struct hub_client;

/* The connection behind a client. None of these may call back into the hub. */
struct hub_connection_operations {
    /* Queues whole WebSocket frames, behind all earlier ones. Takes over one reference. Must not write to the socket
     * at once: the loop turn does that for all of them. */
    void (*send)(void *connection, struct frame *frame);
    /* Bytes that are queued and not yet written. */
    size_t (*queued_size)(const void *connection);
    /* Starts the closing handshake: what is queued may be dropped. Called at most once; the hub sends nothing after it.
     * The server still calls hub_client_destroy when the connection is gone. `reason` is static text. */
    void (*close)(void *connection, uint16_t code, const char *reason);
};

/* What the hub needs of its server. `context` is handed back. Any may be NULL. */
struct hub_server_operations {
    /* A source begins or ends having `events` subscribers. */
    void (*want_events)(void *context, uint32_t source_index, bool is_wanted);
    /* One JSON object each, appended; asked once a second while somebody subscribes. */
    void (*write_metrics)(void *context, struct buffer *out);
    void (*write_system_status)(void *context, struct buffer *out);
    /* Wants rows that were stored after (boot_id, sequence), at most `limit`, oldest first: store_read_since on another thread.
     * The server answers each request once by hub_history_answer() with the same ticket, never from inside this
     * call. False: there is no store. */
    bool (*read_history)(void *context, uint64_t ticket, uint64_t boot_id, uint64_t sequence, uint32_t limit);
    /* Records of this block have been handed to at least one client in this turn: for the latency ledger. */
    void (*results_sent)(void *context, int64_t arrival_us, int64_t emitted_us);
};

struct hub_options {
    uint64_t boot_id;
    uint64_t seed;                  /* client ids */
    const char *const *pipelines;   /* names by index; outlive the hub */
    const bool *pipeline_is_stored; /* by index: its rows are in the store (gaps can be filled); NULL = all */
    uint32_t pipeline_count;
    const char *const *sources; /* names by index; outlive the hub */
    uint32_t source_count;
    size_t client_queue_size;       /* server.client_queue, bytes */
    uint32_t rate_limit_per_minute; /* 0 = off */
    const struct hub_server_operations *server;
    void *server_context;
    int64_t now_us, wall_now_us;
};

struct hub *hub_create(const struct hub_options *options);
/* Every client must have been destroyed. */
void hub_destroy(struct hub *hub);
/* The hub becomes the consumer of the input, which must outlive it. */
void hub_add_input(struct hub *hub, struct hub_input *input);
/* A row of an earlier life, for snapshots, and so that it is not delivered once more when recovery emits it again. Before
 * the first turn. Rows of pipelines that are not known are ignored. */
void hub_restore_row(struct hub *hub, const struct store_result *row);

/* Takes what the inputs have (at most HUB_TURN_SIZE_MAX of records), hands frames to connections. Returns when it
 * wants to be called again at the latest (monotonic us; `now_us` itself: there is more, come back after a flush).
 * Call it once per turn of the loop, behind everything else but flushing. */
int64_t hub_turn(struct hub *hub, int64_t now_us, int64_t wall_now_us);

/* `status` as store_read_since gave it; rows are copied. Unknown tickets (the client has gone) are ignored. */
void hub_history_answer(struct hub *hub, uint64_t ticket, enum status status, const struct store_result *rows,
                        uint32_t row_count);

/* One client per WebSocket, after the handshake. `connection` is handed to `operations`. */
struct hub_client *hub_client_create(struct hub *hub, const struct hub_connection_operations *operations,
                                     void *connection);
/* The connection is gone, or going and not to be spoken to. Not from inside an operation. */
void hub_client_destroy(struct hub_client *client);
/* A whole text message (valid UTF-8, at most the server's message limit). Answers are sent at once. */
void hub_client_message(struct hub_client *client, struct slice text, int64_t now_us, int64_t wall_now_us);
/* The connection has written some of its queue: the hub may have more for it in the next hub_turn(). Cheap. */
void hub_client_drained(struct hub_client *client);
/* Clients have drained since the last turn and can be given more: do not sleep before the next one. For servers that
 * flush behind hub_turn(). */
bool hub_wants_turn(const struct hub *hub);
/* Stable, unique in this life; a short text that lives as long as the client. */
const char *hub_client_id(const struct hub_client *client);
/* Members of a JSON object without braces: "client_id":…,"queued_bytes":…,"deliveries":…,"subscriptions":[…]. For
 * /api/v1/clients; the server adds what it knows. */
void hub_client_describe(const struct hub_client *client, struct buffer *out);

struct hub_statistics {
    uint32_t clients, subscriptions, groups;
    uint64_t deliveries;      /* records handed to clients: one per record and client */
    uint64_t delivered_bytes; /* of frames handed to clients, answers too */
    uint64_t slow_consumers;  /* clients closed with 1013 */
    uint64_t conflated;       /* times that a slow client was switched to the newest row per key */
    uint64_t events_dropped;  /* by full rings */
    uint64_t oversized;       /* deliveries left out: the record is larger than half of a client's queue */
};
struct hub_statistics hub_statistics(const struct hub *hub);

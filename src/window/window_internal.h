/* What the files of window/ share: panes, and the operations of an aggregate. For the .c files of window/ alone.
 *
 *   pane->slots:  [ hash | row + 1 ] [ 0 ] [ hash | row + 1 ] ...      open addressing, linear, by the hash
 *   pane->rows:   [ header | key cells | states of the aggregates ] [ ... ] ...    one row per key, in order of appearance
 *   pane->text:   key text of more than 16 bytes, values of first() and last()
 *   pane->blocks: what else states need beyond their part of the row
 *
 * A row has all that an event of its key touches, so an event costs one or two cache lines of it whatever the number of
 * aggregates; the kernels still run over a whole batch, one aggregate at a time. A column of its own per aggregate
 * would be expected to miss the cache once for each when there are many keys. */
#pragma once

#include <stdatomic.h>

#include "window/pane_blocks.h"
#include "window/pane_codec.h"
#include "window/window.h"
#include "window/window_grid.h"

enum {
    PANE_POOL_MAX_LARGE = 4,  /* emptied panes that keep their memory, per operator and per merger */
    PANE_POOL_MAX_SMALL = 16, /* the same for those of at most PANE_SMALL_ROWS */
    PANE_SMALL_ROWS = 1024,
    WINDOW_EMPTY_MAX = 60, /* emit_empty: windows without events of a key for which it stays known */
    PANE_SMALL_BLOCKS_SIZE = 1 << 20, /* of blocks; a pane with more is a large one whatever its rows */
    PANE_TEXT_MAX_SIZE =
        1 << 30, /* text of one pane; then new keys overflow and first(), last() skip long values */
    WINDOW_MARKS_MAX = 65536, /* crossing marks kept; then the latest window ends lose theirs */
    WINDOW_DROPPED_PANES_MAX =
        64, /* windows whose dropped events are noted between two takes; further ones are not */
    KEY_INLINE_SIZE = 16,
};

/* Bit patterns decide equality: numbers are canonical (see pane_key_canonical), short text is padded with zeros. */
struct key_cell {
    uint8_t kind;
    uint8_t unused[3];
    uint32_t size; /* of text; else 0 */
    union {
        int64_t i;
        double d;
        char text[KEY_INLINE_SIZE]; /* size <= KEY_INLINE_SIZE */
        uint32_t offset;            /* longer: in pane->text; the upper half is zero */
        uint64_t bits[2];
    };
};

struct pane_row {
    uint32_t hash;
    uint32_t type_errors;
    uint64_t is_changed : 1; /* merger: noted in a change list */
    uint64_t event_count : 63;
    struct key_cell keys[];
};

/* --- kinds of windows: one operator and one merger each; see window.c ------------------------------------------------ */

/* What each means is said at the function of window.h with its name. */
struct window_operator_kind {
    struct window_operator *(*create)(const struct window_spec *spec);
    void (*destroy)(struct window_operator *op);
    void (*add)(struct window_operator *op, const struct window_rows *rows, struct window_counts *counts,
                uint32_t *too_late, uint32_t *too_late_count);
    struct pane *(*take)(struct window_operator *op, int64_t watermark_us, bool flush_open);
    int64_t (*oldest_offset)(const struct window_operator *op, uint32_t partition, int64_t *watermark_us);
    void (*set_horizon)(struct window_operator *op, int64_t closed_through_us);
};

struct window_merger_kind {
    struct window_merger *(*create)(const struct window_spec *spec, window_emit emit, void *context);
    void (*destroy)(struct window_merger *merger);
    void (*add)(struct window_merger *merger, struct pane *pane, int64_t arrival_us);
    enum status (*decode)(struct window_merger *merger, const struct pane_codec *codec, struct slice message,
                          struct pane **pane, struct error *error);
    void (*advance)(struct window_merger *merger, int64_t watermark_us, enum close_cause cause,
                    const struct clock *clock);
    int64_t (*tick)(struct window_merger *merger, const struct clock *clock);
    void (*reset)(struct window_merger *merger);
    void (*recover)(struct window_merger *merger, int64_t closed_through_us);
    void (*go_live)(struct window_merger *merger);
    int64_t (*oldest_offset)(const struct window_merger *merger, uint32_t partition, int64_t *watermark_us);
    struct window_merger_stats (*stats)(const struct window_merger *merger);
};

/* The first member of every kind's own struct. */
struct window_operator {
    const struct window_operator_kind *kind;
};
struct window_merger {
    const struct window_merger_kind *kind;
};

extern const struct window_operator_kind
    aligned_operator_kind; /* windows that are cut the same way for all keys */
extern const struct window_merger_kind aligned_merger_kind, sliding_merger_kind;
extern const struct window_operator_kind session_operator_kind; /* windows per key that end with a gap */
extern const struct window_merger_kind session_merger_kind;

/* --- aggregates ----------------------------------------------------------------------------------------------------- */

/* Rows of a batch and the pane rows they belong to. */
struct aggregate_input {
    const struct batch *batch;
    const struct column *column; /* NULL for count() */
    const uint32_t *rows;        /* [count] of the batch */
    char *const *entries;        /* [count] struct pane_row *; the state is at entry + state_offset */
    uint32_t count;
    size_t state_offset;
    struct pane *pane;
    uint32_t partition;
    uint32_t type_error_weight; /* aggregates that share this state: a wrong type counts for each of them */
    uint64_t type_errors;       /* added to, also in the rows */
};

struct aggregate_merge {
    char *const *into; /* [count] */
    const char *const *from;
    uint32_t count;
    size_t state_offset;
    struct pane *into_pane;
    const struct pane *from_pane;
};

struct aggregate_finish {
    const char *const *entries; /* [count] */
    uint32_t count;
    size_t state_offset;
    const struct pane *pane;
    double parameter;                                 /* of the aggregate: p of percentile(x, p) */
    const int64_t *window_starts_us, *window_ends_us; /* [count]; TIME_MAX for a window without end */
    uint8_t *kinds;                                   /* out, [count] */
    union value *values;                              /* out */
    struct buffer *bytes;                             /* text of values goes here */
};

struct aggregate_save {
    const struct pane *pane;
    const struct pane_partition_map *partitions;
    struct buffer *out;
};

struct aggregate_load {
    struct pane *pane;
    const struct pane_partition_map *partitions;
    struct slice in; /* what is left to read */
};

/* A constant behind the column, as 95 in percentile(x, 95). */
struct aggregate_parameter {
    const char *name;
    double smallest, largest;
    uint32_t decimals; /* at most; 0 = a whole number */
    double example;
};

/* State of all zeros is the empty state, so making a row makes its states. Kinds with the same `add` share one state when they
 * have the same input. */
struct aggregate_kind {
    const char *name;
    uint32_t argument_count;                     /* with the parameter */
    const struct aggregate_parameter *parameter; /* NULL: it has none */
    bool wants_number;
    uint32_t state_size; /* a multiple of 8 */
    void (*add)(struct aggregate_input *input);
    void (*merge)(const struct aggregate_merge *merge);
    size_t blocks_size_max; /* of the blocks and text that a state can have beside its row */
    /* Makes a state empty whose row lives on, or which is let go before its pane; NULL: by zeros. */
    void (*reset)(struct pane *pane, char *state);
    void (*finish)(const struct aggregate_finish *finish);
    /* A state as bytes that do not depend on the machine (messages, snapshots), and back into an empty state of another pane; the
     * empty state is one zero byte. load: false when the bytes are none that save writes; then the pane is of no more use. */
    void (*save)(const char *state, const struct aggregate_save *save);
    bool (*load)(char *state, struct aggregate_load *load);
};

extern const struct aggregate_kind count_aggregate, count_value_aggregate, sum_aggregate, mean_aggregate,
    min_aggregate, max_aggregate, stddev_aggregate, stddev_pop_aggregate, variance_aggregate, first_aggregate,
    last_aggregate, median_aggregate, percentile_aggregate, distinct_count_aggregate, top_aggregate,
    rate_aggregate;

static inline void aggregate_type_error(struct aggregate_input *input, uint32_t index)
{
    struct pane_row *row = (struct pane_row *)(void *)input->entries[index];
    row->type_errors += input->type_error_weight;
    input->type_errors += input->type_error_weight;
}

/* --- panes ---------------------------------------------------------------------------------------------------------- */

enum pane_kind {
    PANE_ON_TIME,
    PANE_LATE,
    PANE_DROPPED,  /* rows count events that were too late; no states */
    PANE_EARLY,    /* rows in the order of their early results; a key may come again; no table */
    PANE_MARKS,    /* no rows */
    PANE_SESSIONS, /* rows with spans, in the order in which they are to be merged; no table */
};

/* Where a row's parts are. */
struct pane_layout {
    const struct window_spec *spec;
    struct window_grid grid; /* of aligned windows */
    size_t row_size;
    size_t fetch_size;  /* what an event of its key touches of it */
    size_t span_offset; /* of the struct session_span in a row; 0 = there is none */
    size_t state_offsets[RESULT_MAX_AGGREGATES];
    uint32_t sharers
        [RESULT_MAX_AGGREGATES]; /* aggregates that use this state; 0 = it uses that of an earlier one */
};

/* Memory of panes that were let go, for those to come. The panes of an operator end at the merger, on another thread, so it has a
 * lock; it is taken once per pane. Lives until its owner and all its panes have gone. */
struct pane_pool;
struct pane_pool *pane_pool_create(const struct window_spec *spec);
/* The owner goes; panes may live on. */
void pane_pool_release(struct pane_pool *pool);
/* Where rows of panes made from this pool have their parts. */
const struct pane_layout *pane_pool_layout(const struct pane_pool *pool);

/* The first event of a partition in a pane: where reading must begin to build the pane again. */
struct pane_origin {
    uint32_t partition;
    int64_t offset;
    int64_t watermark_us;
};

struct pane {
    struct pane_pool *pool;
    const struct pane_layout *layout;
    enum pane_kind kind;
    bool is_replay; /* every event is from before the restart and was shown then */
    int64_t start_us, end_us;
    /* Late panes of sliding windows: the last window ends that the partition's watermark had reached, and had left behind by the
     * lateness. For windows that end later than the first the rows are on time, for those up to it late, up to the second too late. */
    int64_t reached_us, gone_us;

    uint64_t *slots; /* hash << 32 | row + 1; 0 = free */
    uint32_t slot_mask, slot_capacity;
    char *rows;
    uint32_t row_count, row_capacity;
    uint32_t overflow_row; /* index + 1; 0 = none */
    struct buffer text;
    struct pane_blocks blocks;

    struct pane_origin *origins;
    uint32_t origin_count, origin_capacity;
    int64_t *marks; /* ascending */
    uint32_t mark_count, mark_capacity;

    uint64_t *unshown; /* operator, emit.count: events of each row since its key was shown */
    uint32_t unshown_count, unshown_capacity;
    uint32_t touch; /* operator: index + 1 among the panes of the current batch */
};

/* An empty pane. expected_rows: how large the table should be at first. */
struct pane *pane_create(struct pane_pool *pool, enum pane_kind kind, int64_t start_us,
                         uint32_t expected_rows);

static inline struct pane_row *pane_row_at(const struct pane *pane, uint32_t index)
{
    return (struct pane_row *)(void *)(pane->rows + (size_t)index * pane->layout->row_size);
}

static inline const char *key_cell_text(const struct pane *pane, const struct key_cell *cell)
{
    return cell->size <= KEY_INLINE_SIZE ? cell->text : pane->text.data + cell->offset;
}

/* Forgets all rows and what their states had; for panes without a table. */
void pane_clear_rows(struct pane *pane);
/* Room for so many rows and no more. */
void pane_reserve_rows(struct pane *pane, uint32_t count);
/* Makes the states of a row empty. */
void pane_reset_states(struct pane *pane, struct pane_row *row);
/* Bytes that rows and their states have beside the rows. */
static inline size_t pane_side_size(const struct pane *pane)
{
    return pane->text.size + pane_blocks_used_size(&pane->blocks);
}

/* Room for text; false when the pane is full of it. */
NODISCARD
bool pane_add_text(struct pane *pane, const char *data, size_t size, uint32_t *offset);
/* Lowers *oldest to the origin of the partition in the pane, which may be NULL. */
void pane_find_oldest(const struct pane *pane, uint32_t partition, struct pane_origin *oldest);
void pane_note_origin(struct pane *pane, const struct pane_origin *origin);
void pane_note_mark(struct pane *pane, int64_t watermark_us);

/* window_merger_decode with the pool that the pane is made from. */
NODISCARD
enum status pane_decode(struct pane_pool *pool, const struct pane_codec *codec, struct slice message,
                        struct pane **pane, struct error *error);

/* Rows for keys; see pane_keys.c. */
struct key_lookup {
    const struct batch *batch;
    const struct column *keys;
    uint64_t *hashes;       /* scratch, [count] */
    uint64_t new_row_limit; /* keys that may be added; further ones go to the overflow row */
    uint64_t overflowed;    /* out: events that did */
};
/* Finds or makes the row of each batch row: entries[i] belongs to rows[i]. */
void pane_find_rows(struct pane *pane, struct key_lookup *lookup, const uint32_t *rows, uint32_t count,
                    char **entries);
/* The same for the rows of another pane of the same pipeline: [first, first + count). */
void pane_find_rows_of(struct pane *pane, const struct pane *from, const uint32_t *indices, uint32_t count,
                       struct key_lookup *lookup, char **entries);
/* The row with the key of `row` of pane `from`; NULL when there is none, or no pane. */
struct pane_row *pane_find(const struct pane *pane, const struct pane *from, const struct pane_row *row);
/* A row at the end, outside the table, with the key of `row`. */
struct pane_row *pane_append_row(struct pane *pane, const struct pane *from, const struct pane_row *row);

/* A row at the end, outside the table, with the key of the row at `index` of the same pane. */
struct pane_row *pane_append_twin(struct pane *pane, uint32_t index);

/* For a pane that is read row by row: an empty row at the end; its keys are then set, text by pane_set_key_text (false: the pane is
 * full of text); at last all rows are hashed and entered into the table. False when a key came twice, or when the row that
 * pane->overflow_row names has another key than that. */
struct pane_row *pane_add_row(struct pane *pane);
NODISCARD
bool pane_set_key_text(struct pane *pane, struct key_cell *cell, const char *text, uint32_t size);
NODISCARD
bool pane_enter_rows(struct pane *pane);

/* Adds the states and counts of from's rows to `into` rows. */
void pane_merge_rows(struct pane *into_pane, char *const *into, const struct pane *from_pane,
                     const char *const *from, uint32_t count);

/* A list of panes ordered by start. */
struct pane_list {
    struct pane **panes;
    uint32_t count, capacity;
};
/* Index of the pane that starts at start_us; else where it would be put, and *found is false. */
uint32_t pane_list_search(const struct pane_list *list, int64_t start_us, bool *found);
void pane_list_insert(struct pane_list *list, uint32_t index, struct pane *pane);
struct pane *pane_list_remove(struct pane_list *list, uint32_t index);
void pane_list_deinit(struct pane_list *list);

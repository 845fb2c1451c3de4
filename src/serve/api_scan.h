/* Looking back over the events of http sources: the log's records, newest first, through the same decoder that judged them,
 * in batches of one source. Bounded by API_EVENTS_SCAN_MAX_RECORDS and _SIZE. Query thread. */
#pragma once

#include "serve/api_internal.h"

enum { API_SCAN_PATHS_MAX = API_FILTER_COUNT_MAX + API_AGGREGATE_KEYS_MAX + 3 };

/* The good events of one batch. `partitions` is by record (batch->row_records), columns by path. */
struct api_scan_rows {
    uint32_t source_index;
    struct batch *batch;
    const uint32_t *partitions;
    const uint32_t *columns; /* [path_count] column of each path in the batch */
};

struct api_scan {
    const struct api_job *job; /* its path and text filters are applied; `source` and `hours` too */
    int64_t since_us;          /* events of this event time or later */
    struct slice paths[API_SCAN_PATHS_MAX]; /* further columns that `take` wants */
    uint32_t path_count;
    /* Called with the rows that pass all filters. false ends the scan. */
    bool (*take)(void *context, const struct api_scan_rows *rows, const uint32_t *selected,
                 uint32_t selected_count);
    void *context;
    /* Filled by the scan. */
    uint64_t records, size;
    bool is_complete; /* false: a bound was reached first */
};

NODISCARD
enum status api_scan_run(struct api_scan *scan, struct query_tools *tools, struct error *error);
/* The moment `hours` ago. */
int64_t api_scan_since(const struct api_query *query);
/* Refuses a source that keeps no events, and path filters that cannot be. */
bool api_scan_check(const struct api *api, const struct api_query *query, struct api_response *response);
/* The member ",\"scan\":{...}" that ends the answer of a scan, in `arena`. */
const char *api_scan_summary(const struct api_scan *scan, struct arena *arena);

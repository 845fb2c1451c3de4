/* Stored results for the hub: rows that a subscriber missed (`since`), read by the query thread, and the newest rows of
 * an earlier life for snapshots, read once before the server starts. See server_internal.h. */
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "serve/server_internal.h"

struct history_job {
    struct query_job job; /* first: the query thread hands it back */
    struct server *server;
    uint64_t ticket, boot_id, sequence;
    uint32_t limit;
    enum status status;
    struct arena arena; /* texts of the rows */
    struct store_result *rows;
    uint32_t row_count;
};

static bool keep_row(void *context, const struct store_result *row)
{
    struct history_job *history = context;
    struct store_result *copy = &history->rows[history->row_count++];
    *copy = *row;
    copy->json = arena_copy(&history->arena, row->json);
    copy->pipeline = arena_copy(&history->arena, row->pipeline);
    copy->key_json = arena_copy(&history->arena, row->key_json);
    return history->row_count < history->limit;
}

static void read_rows(struct query_job *job, struct query_tools *tools)
{
    struct history_job *history = (struct history_job *)job;
    struct store_reader *reader;
    struct error error = {{0}};
    history->rows = memory_allocate_array(history->limit, sizeof *history->rows);
    history->status = query_tools_reader(tools, &reader, &error);
    if (history->status == STATUS_OK)
        history->status = store_read_since(reader, history->boot_id, history->sequence, history->limit,
                                           keep_row, history, &error);
    if (history->status != STATUS_OK && history->status != STATUS_NOT_FOUND)
        log_write(LOG_WARN, "server", "missed results cannot be read: %s", error.text);
}

static void hand_rows_on(struct query_job *job)
{
    struct history_job *history = (struct history_job *)job;
    struct server *server = history->server;
    server->pending_count--;
    if (!atomic_load_explicit(&job->is_cancelled, memory_order_relaxed))
        hub_history_answer(server->hub, history->ticket, history->status, history->rows, history->row_count);
    arena_deinit(&history->arena);
    free(history->rows);
    free(history);
}

bool hub_history_read(void *context, uint64_t ticket, uint64_t boot_id, uint64_t sequence, uint32_t limit)
{
    struct server *server = context;
    struct history_job *history = memory_allocate(sizeof *history);
    history->job.run = read_rows;
    history->job.finish = hand_rows_on;
    history->server = server;
    history->ticket = ticket;
    history->boot_id = boot_id;
    history->sequence = sequence;
    history->limit = limit;
    history->status = STATUS_CLOSED;
    arena_init(&history->arena, ARENA_DEFAULT_BLOCK_SIZE);
    if (query_thread_submit(server->queries, &history->job)) {
        server->pending_count++;
        return true;
    }
    arena_deinit(&history->arena);
    free(history);
    return false;
}

static bool restore_row(void *context, const struct store_result *row)
{
    struct server *server = context;
    hub_restore_row(server->hub, row);
    return true;
}

void hub_history_restore(struct server *server)
{
    const struct config *config = server->config;
    uint32_t stored_count = 0;
    for (uint32_t i = 0; i < config->pipeline_count; i++)
        stored_count += config->pipelines[i].to_store;
    if (stored_count == 0)
        return;
    uint32_t limit = HUB_CURRENT_ROWS_MAX / stored_count;
    if (limit > STORE_PAGE_MAX_ROWS)
        limit = STORE_PAGE_MAX_ROWS;
    struct store_reader *reader;
    struct error error = {{0}};
    enum status status = store_reader_open(config->data_dir, &reader, &error);
    if (status == STATUS_OK) {
        for (uint32_t i = 0; i < config->pipeline_count && status == STATUS_OK; i++)
            if (config->pipelines[i].to_store)
                status =
                    store_read_newest(reader, config->pipelines[i].name, limit, restore_row, server, &error);
        store_reader_close(reader);
    }
    if (status != STATUS_OK)
        log_write(LOG_WARN, "server", "snapshots begin without the results of before: %s", error.text);
}

/* GET /api/v1/events: the newest events by event time, out of a log that is ordered by arrival. The scan looks at everything in
 * the time span; a heap with the oldest kept event on top holds one page. What falls out of it raises the floor: nothing older
 * may come back in, even if it were small enough for the page, or the page would have a hole. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/options.h"
#include "flow/event_time.h"
#include "serve/api_scan.h"

/* The order of the list: event time, then source, partition and offset, all downwards. */
struct place {
    int64_t time_us;
    uint32_t source_index, partition;
    int64_t offset;
};

struct event {
    struct place place;
    char *text;
    size_t size;
};

struct event_page {
    struct event *events; /* a heap, oldest first */
    uint32_t count, limit;
    size_t size;
    bool has_floor, has_cursor;
    struct place floor;  /* the newest that fell out */
    struct place cursor; /* the last of the page before */
};

static int compare_places(const struct place *a, const struct place *b)
{
    if (a->time_us != b->time_us)
        return a->time_us < b->time_us ? -1 : 1;
    if (a->source_index != b->source_index)
        return a->source_index < b->source_index ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

/* --- the heap --- */

static void sink_down(struct event_page *page, uint32_t i)
{
    struct event event = page->events[i];
    for (uint32_t child; (child = 2 * i + 1) < page->count; i = child) {
        if (child + 1 < page->count &&
            compare_places(&page->events[child + 1].place, &page->events[child].place) < 0)
            child++;
        if (compare_places(&event.place, &page->events[child].place) <= 0)
            break;
        page->events[i] = page->events[child];
    }
    page->events[i] = event;
}

static void rise_up(struct event_page *page, uint32_t i)
{
    struct event event = page->events[i];
    while (i > 0 && compare_places(&event.place, &page->events[(i - 1) / 2].place) < 0) {
        page->events[i] = page->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    page->events[i] = event;
}

static struct event take_oldest(struct event_page *page)
{
    struct event oldest = page->events[0];
    page->events[0] = page->events[--page->count];
    if (page->count > 0)
        sink_down(page, 0);
    page->size -= oldest.size;
    return oldest;
}

static bool is_wanted(const struct event_page *page, const struct place *place)
{
    return (!page->has_cursor || compare_places(place, &page->cursor) < 0) &&
           (!page->has_floor || compare_places(place, &page->floor) > 0);
}

static void add_event(struct event_page *page, const struct place *place, struct slice text)
{
    page->events[page->count] = (struct event){*place, memory_copy_text(text.data, text.size), text.size};
    page->size += text.size;
    rise_up(page, page->count++);
    while (page->count > page->limit || (page->count > 1 && page->size > API_PAGE_MAX_SIZE)) {
        struct event oldest = take_oldest(page);
        page->has_floor = true;
        page->floor = oldest.place;
        free(oldest.text);
    }
}

static bool take_rows(void *context, const struct api_scan_rows *rows, const uint32_t *selected,
                      uint32_t selected_count)
{
    struct event_page *page = context;
    const struct batch *batch = rows->batch;
    for (uint32_t i = 0; i < selected_count; i++) {
        uint32_t row = selected[i], record = batch->row_records[row];
        struct place place = {batch->event_times_us[row], rows->source_index, rows->partitions[record],
                              batch->offsets[row]};
        if (is_wanted(page, &place))
            add_event(page, &place, batch_record_text(batch, record));
    }
    return true;
}

/* --- cursors: time_source_partition_offset_since, so that all pages look back to the same moment --- */

static bool read_field(const char **text, int64_t *out)
{
    char *end;
    bool is_number = **text == '-' || (**text >= '0' && **text <= '9');
    *out = strtoll(*text, &end, 10);
    bool is_read = is_number && end != *text;
    *text = end;
    return is_read;
}

static bool read_cursor(struct slice text, struct place *place, int64_t *since_us)
{
    int64_t fields[5];
    const char *rest = text.data; /* ends with NUL */
    for (int i = 0; i < 5; i++) {
        if (i > 0 && *rest++ != '_')
            return false;
        if (!read_field(&rest, &fields[i]))
            return false;
    }
    *place = (struct place){fields[0], (uint32_t)fields[1], (uint32_t)fields[2], fields[3]};
    *since_us = fields[4];
    return rest == text.data + text.size && fields[1] >= 0 && fields[1] < CONFIG_MAX_SOURCES &&
           fields[2] >= 0 && fields[2] < CONFIG_MAX_PARTITIONS && fields[3] >= 0;
}

bool api_check_events(struct api *api, struct api_query *query, struct api_response *response)
{
    const struct api_value *cursor = api_query_value(query, "cursor");
    struct place place;
    int64_t since_us;
    if (!api_scan_check(api, query, response))
        return false;
    if (!cursor->is_set || read_cursor(cursor->text, &place, &since_us))
        return true;
    api_problem(response, 400,
                "parameter \"cursor\": \"%.*s\" was not given out for this list; take next_cursor of the "
                "page before, or leave it out",
                cursor->text.size < 80 ? (int)cursor->text.size : 80, cursor->text.data);
    return false;
}

/* --- the answer --- */

static void write_event(struct buffer *out, const struct config *config, const struct event *event)
{
    const struct place *place = &event->place;
    buffer_append_text(out, "{\"source\":");
    buffer_json_string(out, slice_of(config->sources[place->source_index].name));
    buffer_format(out, ",\"partition\":%u,\"offset\":%lld,\"event_time\":%lld,\"event\":", place->partition,
                  (long long)place->offset, (long long)(event_time_floor(place->time_us, 1000) / 1000));
    buffer_append(out, event->text, event->size);
    buffer_append_char(out, '}');
}

static int newest_first(const void *a, const void *b)
{
    return compare_places(&((const struct event *)b)->place, &((const struct event *)a)->place);
}

static void write_page(struct api_job *job, struct event_page *page, const struct api_scan *scan)
{
    struct buffer *out = &job->response.body;
    struct buffer cursor = {0};
    qsort(page->events, page->count, sizeof *page->events, newest_first);
    api_list_begin(&job->response);
    for (uint32_t i = 0; i < page->count; i++) {
        buffer_append_text(out, i ? "," : "");
        write_event(out, job->config, &page->events[i]);
    }
    if (page->has_floor) {
        const struct place *last = &page->events[page->count - 1].place;
        buffer_format(&cursor, "%lld_%u_%u_%lld_%lld", (long long)last->time_us, last->source_index,
                      last->partition, (long long)last->offset, (long long)scan->since_us);
    }
    api_list_end(&job->response, buffer_slice(&cursor), api_scan_summary(scan, &job->query.arena));
    buffer_deinit(&cursor);
}

void api_run_events(struct api_job *job, struct query_tools *tools)
{
    const struct api_value *cursor = api_query_value(&job->query, "cursor");
    struct event_page page = {.limit = (uint32_t)api_query_value(&job->query, "limit")->number,
                              .has_cursor = cursor->is_set};
    struct api_scan scan = {
        .job = job, .since_us = api_scan_since(&job->query), .take = take_rows, .context = &page};
    struct error error = {0};
    if (cursor->is_set)
        (void)read_cursor(cursor->text, &page.cursor, &scan.since_us); /* checked before */
    page.events = memory_allocate_array(page.limit + 1, sizeof *page.events);
    enum status status = api_scan_run(&scan, tools, &error);
    if (status == STATUS_OK)
        write_page(job, &page, &scan);
    else
        api_job_fail(job, tools, status, &error);
    for (uint32_t i = 0; i < page.count; i++)
        free(page.events[i].text);
    free(page.events);
}

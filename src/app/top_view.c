/* A table has its columns in the order of their worth: what does not fit into the width is left out from the right. */
#include "app/top_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    CELL_SIZE = 24,
    TABLE_COLUMNS = 9,
    NAME_WIDTH_MIN = 8,
    NAME_WIDTH_MAX = 28,
    GAP_WIDTH = 2,
    STAGES_HEIGHT_MIN = 20,
};

/* --- numbers ------------------------------------------------------------------------------------------------------- */

void top_write_number(double value, char *out, size_t size)
{
    static const char units[] = {'\0', 'k', 'M', 'G', 'T', 'P'};
    if (isnan(value)) {
        snprintf(out, size, "-");
        return;
    }
    size_t unit = 0;
    /* 9999.5 and more would be rounded to five digits. */
    for (; unit + 1 < sizeof units && (unit ? fabs(value) >= 999.5 : fabs(value) >= 9999.5); unit++)
        value /= 1000;
    int digits = unit == 0             ? (fabs(value) < 9.95 && value != floor(value))
                 : fabs(value) < 9.995 ? 2
                 : fabs(value) < 99.95 ? 1
                                       : 0;
    snprintf(out, size, "%.*f%.1s", digits, value, &units[unit]);
}

static void write_size(double bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    if (isnan(bytes)) {
        snprintf(out, size, "-");
        return;
    }
    size_t unit = 0;
    for (; unit < 4 && bytes >= 1024; unit++)
        bytes /= 1024;
    snprintf(out, size, "%.*f %s", unit && bytes < 100, bytes, units[unit]);
}

void top_write_duration(double ms, char *out, size_t size)
{
    if (isnan(ms)) {
        snprintf(out, size, "-");
    } else if (ms == 0) {
        snprintf(out, size, "0 s");
    } else if (ms < 1) {
        snprintf(out, size, "%.0f us", ms * 1000);
    } else if (ms < 999.5) {
        snprintf(out, size, "%.*f ms", ms < 9.95 && ms != floor(ms), ms);
    } else if (ms < 59950) {
        snprintf(out, size, "%.1f s", ms / 1000);
    } else {
        long long s = (long long)(ms / 1000 + 0.5);
        if (s < 3600)
            snprintf(out, size, "%lldm %llds", s / 60, s % 60);
        else if (s < 86400)
            snprintf(out, size, "%lldh %lldm", s / 3600, s % 3600 / 60);
        else
            snprintf(out, size, "%lldd %lldh", s / 86400, s % 86400 / 3600);
    }
}

/* --- lines --------------------------------------------------------------------------------------------------------- */

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_WARN, STYLE_BAD };

struct page {
    const struct top_frame *frame;
    struct buffer *out;
    struct buffer line;
    uint32_t lines_left;
};

/* At most `width` characters; what a terminal would take for a command becomes a question mark. */
static void append_cut(struct buffer *out, struct slice text, uint32_t width)
{
    uint32_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool begins_character = (c & 0xC0) != 0x80;
        if (begins_character && used++ == width)
            return;
        buffer_append_char(out, c < 0x20 || c == 0x7F ? '?' : text.data[i]);
    }
}

static void end_line(struct page *page, enum style style)
{
    static const char *const codes[] = {
        [STYLE_PLAIN] = "",        [STYLE_BOLD] = "\033[1m",  [STYLE_DIM] = "\033[2m",
        [STYLE_GOOD] = "\033[32m", [STYLE_WARN] = "\033[33m", [STYLE_BAD] = "\033[31m"};
    if (page->lines_left) {
        bool is_coloured = page->frame->has_colour && style != STYLE_PLAIN;
        page->lines_left--;
        if (is_coloured)
            buffer_append_text(page->out, codes[style]);
        append_cut(page->out, buffer_slice(&page->line), page->frame->width);
        buffer_append_text(page->out, is_coloured ? "\033[0m\n" : "\n");
    }
    buffer_clear(&page->line);
}

/* One "label value" of a line of totals, on the next line when this one is full. */
static void add_fact(struct page *page, const char *label, const char *value)
{
    if (page->line.size && page->line.size + 4 + strlen(label) + strlen(value) > page->frame->width)
        end_line(page, STYLE_PLAIN);
    buffer_format(&page->line, "%s%s %s", page->line.size ? "   " : "", label, value);
}

static void add_number(struct page *page, const char *label, double value, const char *unit)
{
    char text[CELL_SIZE], whole[2 * CELL_SIZE];
    top_write_number(value, text, sizeof text);
    snprintf(whole, sizeof whole, "%s%s", text, unit);
    add_fact(page, label, whole);
}

static void add_duration(struct page *page, const char *label, double ms)
{
    char text[CELL_SIZE];
    top_write_duration(ms, text, sizeof text);
    add_fact(page, label, text);
}

static void write_totals(struct page *page, const struct top_snapshot *snapshot)
{
    char size[CELL_SIZE];
    write_size(snapshot->memory_size, size, sizeof size);
    add_number(page, "events", snapshot->event_rate, "/s");
    add_number(page, "total", snapshot->event_total, "");
    add_number(page, "bad", snapshot->bad_total, "");
    add_number(page, "late", snapshot->late_total, "");
    add_number(page, "too late", snapshot->too_late_total, "");
    end_line(page, STYLE_PLAIN);
    add_number(page, "results", snapshot->result_rate, "/s");
    add_number(page, "total", snapshot->result_total, "");
    add_fact(page, "memory", size);
    add_number(page, "clients", snapshot->client_count, "");
    end_line(page, STYLE_PLAIN);
    if (!snapshot->stage_count)
        return;
    const struct top_stage *whole = &snapshot->stages[0];
    add_duration(page, "latency (last minute): p50", whole->p50_us / 1000);
    add_duration(page, "p95", whole->p95_us / 1000);
    add_duration(page, "p99", whole->p99_us / 1000);
    add_duration(page, "max", whole->max_us / 1000);
    end_line(page, STYLE_PLAIN);
    /* A small terminal is for the tables. */
    bool has_room = !page->frame->height || page->frame->height >= STAGES_HEIGHT_MIN;
    for (uint32_t i = 1; has_room && i < snapshot->stage_count; i++) {
        if (i == 1)
            buffer_append_text(&page->line, "p99 by stage:");
        add_duration(page, snapshot->stages[i].name, snapshot->stages[i].p99_us / 1000);
    }
    if (page->line.size)
        end_line(page, STYLE_PLAIN);
}

static void write_head(struct page *page, const struct top_snapshot *snapshot)
{
    enum style style = STYLE_BAD;
    buffer_format(&page->line, "weir %s  %s", snapshot ? snapshot->version : "", page->frame->url);
    if (snapshot) {
        char uptime[CELL_SIZE];
        top_write_duration(snapshot->uptime_s * 1000, uptime, sizeof uptime);
        buffer_format(&page->line, "  up %s  %s", uptime, page->frame->notice ? "away" : snapshot->status);
        bool is_well = !page->frame->notice && strcmp(snapshot->status, "ok") == 0;
        style = is_well                                                             ? STYLE_GOOD
                : !page->frame->notice && strcmp(snapshot->status, "degraded") == 0 ? STYLE_WARN
                                                                                    : STYLE_BAD;
    }
    end_line(page, style);
    const char *notice = page->frame->notice ? page->frame->notice : "";
    for (size_t left = strlen(notice); left;) { /* over as many lines as it takes */
        size_t size = left < page->frame->width ? left : page->frame->width;
        buffer_append(&page->line, notice, size);
        end_line(page, STYLE_BAD);
        notice += size;
        left -= size;
    }
    for (uint32_t i = 0; snapshot && i < snapshot->component_count; i++) {
        const struct top_component *component = &snapshot->components[i];
        buffer_format(&page->line, "%s %s: %s", component->name, component->status, component->reason);
        end_line(page, strcmp(component->status, "down") == 0 ? STYLE_BAD : STYLE_WARN);
    }
}

/* --- tables -------------------------------------------------------------------------------------------------------- */

struct table {
    const char *titles[TABLE_COLUMNS]; /* the first is that of the name */
    uint32_t column_count, name_width, shown_count;
};

struct row {
    const char *name;
    char cells[TABLE_COLUMNS][CELL_SIZE]; /* [0] is not used */
    enum style style;
};

static uint32_t column_width(const struct table *table, uint32_t column)
{
    uint32_t title = (uint32_t)strlen(table->titles[column]);
    return title < 8 ? 8 : title;
}

/* How wide names are, and how many columns there is room for. */
static void lay_out(struct table *table, const struct top_frame *frame, uint32_t longest_name)
{
    table->column_count = 0;
    while (table->column_count < TABLE_COLUMNS && table->titles[table->column_count])
        table->column_count++;
    table->name_width = longest_name < NAME_WIDTH_MIN   ? NAME_WIDTH_MIN
                        : longest_name > NAME_WIDTH_MAX ? NAME_WIDTH_MAX
                                                        : longest_name;
    uint32_t used = table->name_width;
    for (table->shown_count = 1; table->shown_count < table->column_count; table->shown_count++) {
        used += GAP_WIDTH + column_width(table, table->shown_count);
        if (used > frame->width)
            break;
    }
}

static void write_row(struct page *page, const struct table *table, const struct row *row)
{
    size_t start = page->line.size;
    append_cut(&page->line, slice_of(row->name), table->name_width);
    for (uint32_t used = (uint32_t)(page->line.size - start); used < table->name_width; used++)
        buffer_append_char(&page->line, ' ');
    for (uint32_t i = 1; i < table->shown_count; i++)
        buffer_format(&page->line, "%*s%*s", GAP_WIDTH, "", (int)column_width(table, i), row->cells[i]);
    end_line(page, row->style);
}

static void write_titles(struct page *page, const struct table *table)
{
    struct row row = {.name = table->titles[0], .style = STYLE_BOLD};
    for (uint32_t i = 1; i < table->column_count; i++)
        snprintf(row.cells[i], CELL_SIZE, "%s", table->titles[i]);
    end_line(page, STYLE_PLAIN);
    write_row(page, table, &row);
}

static void fill_source(const struct top_source *source, struct row *row)
{
    row->name = source->name;
    top_write_number(source->rate, row->cells[1], CELL_SIZE);
    top_write_number(source->lag, row->cells[2], CELL_SIZE);
    top_write_duration(source->lag_seconds * 1000, row->cells[3], CELL_SIZE);
    top_write_duration(source->delay_ms, row->cells[4], CELL_SIZE);
    top_write_number(source->in, row->cells[5], CELL_SIZE);
    top_write_number(source->bad, row->cells[6], CELL_SIZE);
    snprintf(row->cells[7], CELL_SIZE, "%s", source->is_ended ? "ended" : "running");
    row->style = source->is_ended ? STYLE_DIM : STYLE_PLAIN;
}

static void fill_pipeline(const struct top_pipeline *pipeline, struct row *row)
{
    row->name = pipeline->name;
    top_write_number(pipeline->used_rate, row->cells[1], CELL_SIZE);
    top_write_number(pipeline->result_rate, row->cells[2], CELL_SIZE);
    top_write_duration(pipeline->delay_ms, row->cells[3], CELL_SIZE);
    top_write_number(pipeline->keys, row->cells[4], CELL_SIZE);
    top_write_number(pipeline->open_windows, row->cells[5], CELL_SIZE);
    top_write_number(pipeline->results, row->cells[6], CELL_SIZE);
    top_write_number(pipeline->too_late, row->cells[7], CELL_SIZE);
    top_write_number(pipeline->filtered, row->cells[8], CELL_SIZE);
    row->style = STYLE_PLAIN;
}

/* Sources, then producers, in one table. */
static void fill_client(const struct top_snapshot *snapshot, uint32_t index, char *name, size_t name_size,
                        struct row *row)
{
    double rate, messages, trip_us;
    *row = (struct row){.name = name, .cells = {"", "-", "-", "-", "-", "-", "-", "-"}};
    if (index < snapshot->source_count) {
        const struct top_source *source = &snapshot->sources[index];
        snprintf(name, name_size, "source %s", source->name);
        rate = source->fetch_rate, messages = source->fetched, trip_us = source->round_trip_us;
        top_write_number(source->partitions, row->cells[4], CELL_SIZE);
        top_write_number(source->rebalances, row->cells[5], CELL_SIZE);
        snprintf(row->cells[6], CELL_SIZE, "%s", source->is_joined ? "joined" : "joining");
        snprintf(row->cells[7], CELL_SIZE, "%.*s", CELL_SIZE - 1, source->group);
        row->style = source->is_joined ? STYLE_PLAIN : STYLE_WARN;
    } else {
        const struct top_producer *producer = &snapshot->producers[index - snapshot->source_count];
        bool is_letters = strcmp(producer->role, "dead_letters") == 0;
        snprintf(name, name_size, "%s %s", is_letters ? "dead letters" : producer->role, producer->name);
        rate = producer->rate, messages = producer->messages, trip_us = producer->round_trip_us;
    }
    top_write_number(rate, row->cells[1], CELL_SIZE);
    top_write_duration(trip_us / 1000, row->cells[2], CELL_SIZE);
    top_write_number(messages, row->cells[3], CELL_SIZE);
}

/* How many of `count` rows fit, when `reserved` lines are wanted by others; one line is kept to say how many are left out. */
static uint32_t rows_that_fit(const struct page *page, uint32_t count, uint32_t reserved)
{
    uint32_t room = page->lines_left > reserved ? page->lines_left - reserved : 0;
    return count <= room ? count : room ? room - 1 : 0;
}

static void write_rest(struct page *page, uint32_t count)
{
    if (!count)
        return;
    buffer_format(&page->line, "... %u more", count);
    end_line(page, STYLE_DIM);
}

static void write_sources(struct page *page, const struct top_snapshot *snapshot)
{
    struct table table = {.titles = {"SOURCE", "EVENTS/S", "LAG", "LAG TIME", "DELAY", "IN", "BAD", "STATE"}};
    uint32_t longest = 0;
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        uint32_t size = (uint32_t)strlen(snapshot->sources[i].name);
        longest = size > longest ? size : longest;
    }
    lay_out(&table, page->frame, longest);
    write_titles(page, &table);
    /* The pipelines get a half of what there is, or what they need. */
    uint32_t wanted = snapshot->pipeline_count + 2;
    uint32_t reserved = wanted < page->lines_left / 2 ? wanted : page->lines_left / 2;
    uint32_t shown = rows_that_fit(page, snapshot->source_count, reserved);
    for (uint32_t i = 0; i < shown; i++) {
        struct row row;
        fill_source(&snapshot->sources[i], &row);
        write_row(page, &table, &row);
    }
    write_rest(page, snapshot->source_count - shown);
}

static bool is_of_kafka(const struct top_snapshot *snapshot, uint32_t index)
{
    return index >= snapshot->source_count || snapshot->sources[index].group[0];
}

/* Left out where Kafka is not used. */
static void write_kafka(struct page *page, const struct top_snapshot *snapshot)
{
    struct table table = {.titles = {"KAFKA", "MESSAGES/S", "ROUND TRIP", "MESSAGES", "PARTITIONS",
                                     "REBALANCES", "STATE", "GROUP"}};
    uint32_t all = snapshot->source_count + snapshot->producer_count, count = 0, longest = 0;
    char name[2 * TOP_NAME_SIZE];
    struct row row;
    for (uint32_t i = 0; i < all; i++) {
        if (!is_of_kafka(snapshot, i))
            continue;
        fill_client(snapshot, i, name, sizeof name, &row);
        longest = strlen(name) > longest ? (uint32_t)strlen(name) : longest;
        count++;
    }
    if (!count)
        return;
    lay_out(&table, page->frame, longest);
    write_titles(page, &table);
    uint32_t room = rows_that_fit(page, count, 0), shown = 0;
    for (uint32_t i = 0; i < all && shown < room; i++) {
        if (!is_of_kafka(snapshot, i))
            continue;
        fill_client(snapshot, i, name, sizeof name, &row);
        write_row(page, &table, &row);
        shown++;
    }
    write_rest(page, count - shown);
}

static void write_pipelines(struct page *page, const struct top_snapshot *snapshot)
{
    struct table table = {.titles = {"PIPELINE", "EVENTS/S", "RESULTS/S", "DELAY", "KEYS", "WINDOWS",
                                     "RESULTS", "TOO LATE", "FILTERED"}};
    uint32_t longest = 0;
    for (uint32_t i = 0; i < snapshot->pipeline_count; i++) {
        uint32_t size = (uint32_t)strlen(snapshot->pipelines[i].name);
        longest = size > longest ? size : longest;
    }
    lay_out(&table, page->frame, longest);
    write_titles(page, &table);
    uint32_t shown = rows_that_fit(page, snapshot->pipeline_count, 0);
    for (uint32_t i = 0; i < shown; i++) {
        struct row row;
        fill_pipeline(&snapshot->pipelines[i], &row);
        write_row(page, &table, &row);
    }
    write_rest(page, snapshot->pipeline_count - shown);
}

void top_view_write(const struct top_frame *frame, const struct top_snapshot *snapshot, struct buffer *out)
{
    struct page page = {.frame = frame, .out = out, .lines_left = frame->height ? frame->height : UINT32_MAX};
    write_head(&page, snapshot);
    if (snapshot) {
        write_totals(&page, snapshot);
        write_sources(&page, snapshot);
        write_pipelines(&page, snapshot);
        write_kafka(&page, snapshot);
    }
    buffer_deinit(&page.line);
}

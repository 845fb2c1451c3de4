/* `weir bench decode`: what strict decoding costs, CPU time per event. A whole file is put into
 * batches first, so that text comes from memory and not from a cache; decoding the batches is what counts. Of several
 * rounds the best is told, so that a busy neighbour does not count. bench/simdjson_decode.cc is the same job by simdjson. */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/arguments.h"
#include "app/bench_decode.h"
#include "base/clock.h"
#include "base/memory.h"
#include "decode/decoder.h"
#include "decode/event_check.h"
#include "source/generator.h"

enum { ROUNDS_DEFAULT = 5, ROUNDS_MAX = 1000, FIRST_BATCH_CAPACITY = 64, GENERATED_EVENTS = 200000 };

struct decode_job {
    const char *input_path;
    const char *time_path;
    const char *paths;       /* separated by commas */
    const char *config_path; /* whose schema events have to keep, or NULL */
    int round_count;
    bool use_shapes, as_json;

    struct batch **batches;
    size_t batch_count, batch_capacity;
    size_t line_count, text_size;
    struct schema schema;
    struct config *config;
    struct event_check *check;
    uint32_t time_column;
};

struct round_result {
    uint64_t bad_count;
    int64_t cpu_us;
    struct decoder_counters counters;
};

static const char usage_text[] =
    "usage: weir bench decode [--input FILE] [--paths a,b.c] [--time PATH] [--schema-of CONFIG]\n"
    "                         [--rounds N] [--no-shapes] [--format text|json]\n"
    "Decodes the lines of FILE (NDJSON) into columns and tells the CPU time per event of the best round.\n"
    "  --input FILE    one JSON object per line (default: made-up shop events)\n"
    "  --paths LIST    the columns (default user_id,properties.amount), besides the time\n"
    "  --time PATH     the event time (default timestamp)\n"
    "  --schema-of CONFIG  judge events by the schema of the first source there that has one\n"
    "  --rounds N      1 to 1000 (default 5)\n"
    "  --no-shapes     simdjson only, nothing remembered\n";

static int wrong_usage(const char *what, const char *value)
{
    fprintf(stderr, "weir bench decode: %s%s%s\n%s", what, value ? " " : "", value ? value : "", usage_text);
    return EXIT_USAGE;
}

/* Returns -1 to go on, else the exit code. */
static int parse_options(struct decode_job *job, int argc, char **argv)
{
    static const struct option options[] = {
        {"input", required_argument, NULL, 'i'},
        {"paths", required_argument, NULL, 'p'},
        {"time", required_argument, NULL, 't'},
        {"rounds", required_argument, NULL, 'r'},
        {"schema-of", required_argument, NULL, 'c'},
        {"no-shapes", no_argument, NULL, 's'},
        {"format", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    opterr = 0;
    optind = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'i': job->input_path = optarg; break;
        case 'p': job->paths = optarg; break;
        case 't': job->time_path = optarg; break;
        case 'c': job->config_path = optarg; break;
        case 'r': job->round_count = atoi(optarg); break;
        case 's': job->use_shapes = false; break;
        case 'f':
            job->as_json = strcmp(optarg, "json") == 0;
            if (!job->as_json && strcmp(optarg, "text") != 0)
                return wrong_usage("unknown format", optarg);
            break;
        case 'h': fputs(usage_text, stdout); return EXIT_SUCCESS;
        default: return wrong_usage("unknown option or missing value:", argv[optind - 1]);
        }
    }
    if (optind < argc)
        return wrong_usage("unexpected argument", argv[optind]);
    if (job->round_count < 1 || job->round_count > ROUNDS_MAX)
        return wrong_usage("--rounds is not a number from 1 to 1000", NULL);
    return -1;
}

static bool add_column(struct decode_job *job, struct slice path, uint32_t *column)
{
    struct error error = {{0}};
    if (schema_add_text(&job->schema, path, column, &error) == STATUS_OK)
        return true;
    fprintf(stderr, "weir bench decode: %s\n", error.text);
    return false;
}

static bool add_columns(struct decode_job *job)
{
    if (!add_column(job, slice_of(job->time_path), &job->time_column))
        return false;
    for (const char *begin = job->paths; *begin;) {
        size_t size = strcspn(begin, ",");
        uint32_t column;
        if (!add_column(job, (struct slice){begin, size}, &column))
            return false;
        begin += size + (begin[size] == ',');
    }
    return true;
}

static void report_check(void *context, struct config_place place, const char *message)
{
    (void)context;
    fprintf(stderr, "weir bench decode: %u:%u: %s\n", place.line, place.column, message);
}

static bool add_check(struct decode_job *job)
{
    if (!job->config_path)
        return true;
    job->config = load_config(job->config_path, NULL, NULL, 0);
    const struct event_schema *schema = NULL;
    for (uint32_t i = 0; job->config && i < job->config->source_count && !schema; i++)
        schema = job->config->sources[i].schema;
    if (schema)
        job->check =
            event_check_create(schema, &job->schema, &(struct event_check_report){report_check, NULL});
    else if (job->config)
        fprintf(stderr, "weir bench decode: no source of %s has a schema\n", job->config_path);
    return job->check != NULL;
}

static struct batch *add_batch(struct decode_job *job)
{
    if (job->batch_count == job->batch_capacity) {
        job->batch_capacity = job->batch_capacity ? 2 * job->batch_capacity : FIRST_BATCH_CAPACITY;
        job->batches = memory_resize_array(job->batches, job->batch_capacity, sizeof(struct batch *));
    }
    return job->batches[job->batch_count++] = batch_create();
}

static void fill_batches(struct decode_job *job, struct slice text)
{
    struct batch *batch = NULL;
    const char *at = text.data, *end = at + text.size;
    while (at < end) {
        if (!batch || batch->record_count == BATCH_DEFAULT_ROWS || batch->text_size >= BATCH_TEXT_SIZE)
            batch = add_batch(job);
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end ? line_end : end;
        batch_append(batch, (struct slice){at, (size_t)(line_end - at)}, (int64_t)job->line_count, TIME_NONE);
        job->line_count++;
        at = line_end + 1;
    }
    job->text_size = text.size;
}

static bool load_input(struct decode_job *job)
{
    int file = open(job->input_path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    void *data = MAP_FAILED;
    if (file >= 0 && fstat(file, &info) == 0 && info.st_size > 0)
        data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (file >= 0)
        close(file);
    if (data == MAP_FAILED) {
        fprintf(stderr, "weir bench decode: %s cannot be read or is empty\n", job->input_path);
        return false;
    }
    fill_batches(job, (struct slice){data, (size_t)info.st_size});
    munmap(data, (size_t)info.st_size);
    return true;
}

/* What `weir demo` runs on, without the bad ones. */
static void make_input(struct decode_job *job)
{
    const struct config_generator_source shop = {.seed = 1, .users = 5000, .count = GENERATED_EVENTS};
    struct source_reader *reader =
        generator_reader_open(&shop, 0, 1, (struct source_position){0}, &clock_system);
    struct error error;
    int64_t next_us = 0;
    while (job->line_count < GENERATED_EVENTS) {
        struct batch *batch = add_batch(job);
        if (source_read(reader, BATCH_DEFAULT_ROWS, INT64_MAX, batch, &next_us, &error) != STATUS_OK)
            break;
        job->line_count += batch->record_count;
        job->text_size += batch->text_size;
    }
    reader->operations->close(reader);
}

static struct round_result run_round(const struct decode_job *job)
{
    struct round_result result = {0};
    struct decoder_options options = {
        .schema = &job->schema,
        .time_column = job->time_column,
        .max_future_skew_us = INT64_MAX,
        .check = job->check,
        .use_shapes = job->use_shapes,
    };
    struct decoder *decoder = decoder_create(&options);
    int64_t start_us = clock_process_cpu_us();
    for (size_t i = 0; i < job->batch_count; i++) {
        decoder_run(decoder, job->batches[i]);
        result.bad_count += job->batches[i]->bad_count;
    }
    result.cpu_us = clock_process_cpu_us() - start_us;
    result.counters = decoder_counters(decoder);
    decoder_destroy(decoder);
    return result;
}

static void print_result(const struct decode_job *job, const struct round_result *best)
{
    struct buffer out = {0};
    double seconds = (double)best->cpu_us / MICROSECONDS_PER_SECOND;
    double events = (double)job->line_count, bytes = (double)job->text_size;
    const struct {
        const char *name;
        double value;
        int decimals;
    } figures[] = {
        {"events", events, 0},
        {"bad", (double)best->bad_count, 0},
        {"fast", (double)best->counters.fast_documents, 0},
        {"slow", (double)best->counters.slow_documents, 0},
        {"cpu_seconds", seconds, 6},
        {"ns_per_event", seconds * 1e9 / events, 1},
        {"bytes_per_second", seconds > 0 ? bytes / seconds : 0, 0},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const char *before = job->as_json ? (i ? ",\"" : "{\"") : "";
        const char *between = job->as_json ? "\":" : " ", *after = job->as_json ? "" : "\n";
        buffer_format(&out, "%s%s%s%.*f%s", before, figures[i].name, between, figures[i].decimals,
                      figures[i].value, after);
    }
    printf("%.*s%s", SLICE_ARG(buffer_slice(&out)), job->as_json ? "}\n" : "");
    buffer_deinit(&out);
}

static void run_rounds(const struct decode_job *job)
{
    struct round_result best = {.cpu_us = INT64_MAX};
    for (int i = 0; i < job->round_count; i++) {
        struct round_result result = run_round(job);
        if (result.cpu_us < best.cpu_us)
            best = result;
    }
    print_result(job, &best);
}

int bench_decode(int argc, char **argv)
{
    struct decode_job job = {
        .time_path = "timestamp",
        .paths = "user_id,properties.amount",
        .round_count = ROUNDS_DEFAULT,
        .use_shapes = true,
    };
    int exit_code = parse_options(&job, argc, argv);
    if (exit_code >= 0)
        return exit_code;
    schema_init(&job.schema);
    exit_code = EXIT_FAILURE;
    if (!job.input_path)
        make_input(&job);
    if (add_columns(&job) && add_check(&job) && (!job.input_path || load_input(&job))) {
        run_rounds(&job);
        exit_code = EXIT_SUCCESS;
    }
    for (size_t i = 0; i < job.batch_count; i++)
        batch_destroy(job.batches[i]);
    free(job.batches);
    event_check_destroy(job.check);
    config_destroy(job.config);
    schema_deinit(&job.schema);
    return exit_code;
}

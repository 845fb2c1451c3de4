/* weir doctor: looks at what a run will need and says what to do about what is missing. Nothing is changed: what it creates to try
 * something out, it removes. */
#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <netdb.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/arguments.h"
#include "app/commands.h"
#include "app/doctor.h"
#include "base/thread.h"
#include "pipeline/engine.h"

void doctor_add(struct doctor_report *report, enum doctor_verdict verdict, const char *what,
                const char *format, ...)
{
    static const char *const words[] = {[DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "FAIL"};
    static const char *const json_words[] = {
        [DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "fail"};
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    report->has_failure |= verdict == DOCTOR_FAIL;
    if (!report->as_json) {
        buffer_format(&report->out, "%-4s  %-10s  %s\n", words[verdict], what, text);
        return;
    }
    buffer_format(&report->out,
                  "%s{\"check\":\"%s\",\"verdict\":\"%s\",\"detail\":", report->has_items ? "," : "", what,
                  json_words[verdict]);
    buffer_json_string(&report->out, slice_of(text));
    buffer_append_char(&report->out, '}');
    report->has_items = true;
}

static void check_libraries(struct doctor_report *report)
{
    doctor_add(report, DOCTOR_OK, "weir", "version " WEIR_VERSION);
    if (sqlite3_threadsafe()) {
        doctor_add(report, DOCTOR_OK, "sqlite", "version %s", sqlite3_libversion());
    } else {
        doctor_add(report, DOCTOR_FAIL, "sqlite",
                   "version %s is built without threads; install Debian's libsqlite3-0",
                   sqlite3_libversion());
    }
    doctor_add(report, DOCTOR_OK, "librdkafka", "version %s", rd_kafka_version_str());
}

static void check_machine(struct doctor_report *report, const struct config *config)
{
    doctor_add(report, DOCTOR_OK, "processors", "%u usable, %u shard%s", thread_processor_count(),
               config ? config->shards : 0, config && config->shards == 1 ? "" : "s");
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    uint64_t wanted = (config ? config->server.max_connections : 1000) + 128;
    if (files.rlim_max < wanted) {
        doctor_add(report, DOCTOR_WARN, "files",
                   "at most %llu open files, but server.max_connections wants %llu; raise it with ulimit -n",
                   (unsigned long long)files.rlim_max, (unsigned long long)wanted);
    } else {
        doctor_add(report, DOCTOR_OK, "files", "at most %llu open files", (unsigned long long)files.rlim_max);
    }
}

static void check_lock(struct doctor_report *report, const char *data_dir)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/weir.lock", data_dir);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return;
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        doctor_add(report, DOCTOR_FAIL, "data_dir",
                   "%s is in use by another weir; stop it or choose another data_dir", data_dir);
    }
    close(descriptor);
}

/* The directory itself, or the one in which it would be made. */
static void check_data_dir(struct doctor_report *report, const struct config *config)
{
    struct stat found;
    char place[4096];
    snprintf(place, sizeof place, "%s", config->data_dir);
    bool exists = stat(place, &found) == 0;
    while (!exists && stat(place, &found) != 0) {
        char *slash = strrchr(place, '/');
        if (!slash || slash == place) {
            snprintf(place, sizeof place, "%s", slash ? "/" : ".");
            break;
        }
        *slash = '\0';
    }
    if (stat(place, &found) == 0 && !S_ISDIR(found.st_mode)) {
        doctor_add(report, DOCTOR_FAIL, "data_dir",
                   "%s cannot be made: %s is not a directory; choose another data_dir", config->data_dir,
                   place);
        return;
    }
    if (access(place, W_OK | X_OK) != 0) {
        doctor_add(report, DOCTOR_FAIL, "data_dir",
                   "%s cannot be written: %s: %s; change its owner or choose another data_dir",
                   config->data_dir, place, strerror(errno));
        return;
    }
    struct statvfs space;
    double free_gib = statvfs(place, &space) == 0
                          ? (double)space.f_bavail * (double)space.f_frsize / (1024.0 * 1024 * 1024)
                          : 0;
    doctor_add(report, free_gib < 1 ? DOCTOR_WARN : DOCTOR_OK, "data_dir", "%s is writable, %.1f GiB free%s",
               config->data_dir, free_gib, free_gib < 1 ? "; make room before the disk is full" : "");
    check_lock(report, config->data_dir);
}

static void check_port(struct doctor_report *report, const struct config *config)
{
    char port[8];
    snprintf(port, sizeof port, "%u", config->server.listen_port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *addresses = NULL;
    int failure = getaddrinfo(config->server.listen_host, port, &hints, &addresses);
    if (failure) {
        doctor_add(report, DOCTOR_FAIL, "port", "%s: %s; change server.listen", config->server.listen_host,
                   gai_strerror(failure));
        return;
    }
    int descriptor = socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(descriptor, addresses->ai_addr, addresses->ai_addrlen) == 0 && listen(descriptor, 1) == 0) {
        doctor_add(report, DOCTOR_OK, "port", "%s:%s is free", config->server.listen_host, port);
    } else {
        doctor_add(report, DOCTOR_FAIL, "port",
                   "%s:%s cannot be had: %s; stop what uses it or change server.listen",
                   config->server.listen_host, port, strerror(errno));
    }
    close(descriptor);
    freeaddrinfo(addresses);
}

static void check_sources(struct doctor_report *report, const struct config *config)
{
    for (uint32_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        if (source->kind == SOURCE_KAFKA) {
            doctor_check_kafka_source(report, source);
        } else if (source->kind != SOURCE_FILE) {
            doctor_add(report, DOCTOR_OK, "source", "%s", source->name);
        } else if (access(source->file.path, R_OK) != 0) {
            doctor_add(report, DOCTOR_FAIL, "source", "%s: %s: %s", source->name, source->file.path,
                       strerror(errno));
        } else {
            doctor_add(report, DOCTOR_OK, "source", "%s: %s is readable", source->name, source->file.path);
        }
    }
}

static void check_sinks(struct doctor_report *report, const struct config *config)
{
    for (uint32_t i = 0; i < config->sink_count; i++)
        if (config->sinks[i].kind == SINK_KAFKA && config->sinks[i].kafka.topic)
            doctor_check_kafka_sink(report, &config->sinks[i]);
}

static struct config *check_config(struct doctor_report *report, const char *file,
                                   const struct config_override *overrides, size_t count)
{
    struct config_errors errors;
    config_errors_init(&errors, file);
    struct buffer bounds = {0};
    struct config *config = config_load_partly(file, NULL, overrides, (uint32_t)count, &errors);
    if (config)
        engine_check(config, &errors, &bounds);
    buffer_append_char(&errors.text, '\0');
    if (errors.count) {
        doctor_add(report, DOCTOR_FAIL, "config", "%u error%s; the first: %.*s", errors.count,
                   errors.count == 1 ? "" : "s", (int)strcspn(errors.text.data, "\n"), errors.text.data);
    } else {
        doctor_add(report, DOCTOR_OK, "config", "%s is good", file);
    }
    config_errors_deinit(&errors);
    buffer_deinit(&bounds);
    return config;
}

int command_doctor(int argc, char **argv)
{
    const char *file = NULL, *format = "text";
    static struct argument_list sets;
    const struct argument arguments[] = {
        {"CONFIG", NULL, "the configuration file; weir.yaml by default", ARGUMENT_POSITIONAL, &file, NULL},
        {"--set", "KEY=VALUE", "override a value; may be repeated", ARGUMENT_LIST, &sets, NULL},
        {"--format", "FORMAT", "of the report", ARGUMENT_CHOICE, &format, "text|json"},
    };
    const struct usage usage = {
        "weir doctor",
        "Checks libraries, limits, configuration, data directory, port, inputs and Kafka, and says what to do.",
        "Exit code 1 when something would keep weir from running.\n", arguments,
        sizeof arguments / sizeof *arguments};
    int exit_code = EXIT_OK;
    if (!arguments_parse(&usage, argc, argv, &exit_code))
        return exit_code;
    static struct config_override overrides[ARGUMENTS_LIST_MAX];
    if (!arguments_overrides("weir doctor", &sets, overrides))
        return EXIT_USAGE;
    struct doctor_report report = {.as_json = strcmp(format, "json") == 0};
    if (report.as_json)
        buffer_append_text(&report.out, "{\"checks\":[");
    check_libraries(&report);
    struct config *config = check_config(&report, file ? file : "weir.yaml", overrides, sets.count);
    check_machine(&report, config);
    if (config) {
        check_data_dir(&report, config);
        check_port(&report, config);
        check_sources(&report, config);
        check_sinks(&report, config);
        config_destroy(config);
    }
    if (report.as_json)
        buffer_format(&report.out, "],\"ok\":%s}\n", report.has_failure ? "false" : "true");
    fwrite(report.out.data, 1, report.out.size, stdout);
    buffer_deinit(&report.out);
    return report.has_failure ? EXIT_FAILED : EXIT_OK;
}

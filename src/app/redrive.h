/* What the files of `weir redrive` share. Dead letters are never deleted by it: what was sent is remembered. */
#pragma once

#include "base/buffer.h"
#include "config/config.h"

struct redrive {
    const struct config *config;
    const struct config_source *source;
    const char *url, *token; /* of the running server */
    const char *reason;      /* NULL = all */
    uint64_t limit;          /* letters that may still be sent; UINT64_MAX = all */
    bool is_dry_run;
    bool sends_again; /* also what was sent before */
};

struct redrive_counts {
    uint64_t found;      /* that were asked for */
    uint64_t before;     /* of them: sent by an earlier run, or come back from one */
    uint64_t sent;       /* of them: sent now; in a dry run: that would be */
    uint64_t rejected;   /* of those sent: refused again by the server; they are dead letters anew */
    uint64_t unsendable; /* of them: cannot be put into a request as they are */
};

/* Dead letters of an http source, to the running server. */
NODISCARD
enum status redrive_http(const struct redrive *redrive, struct redrive_counts *counts, struct error *error);
/* Dead letters of a kafka source, to the topic they came from: out of its dead-letter topic, or out of the store when it has none. */
NODISCARD
enum status redrive_kafka(const struct redrive *redrive, struct redrive_counts *counts, struct error *error);

/* --- the memory of what was sent: data_dir/redrive.db ---------------------------------------------------------------- */

struct redrive_log;

enum redrive_known {
    REDRIVE_NEW,
    REDRIVE_SENT, /* by an earlier run */
    REDRIVE_ECHO, /* it is what an earlier run sent, and the server refused again: never sent, the original is */
};

/* The store of data_dir must exist. STATUS_BUSY: another redrive is at work on this data_dir. `is_read_only`: nothing is created or noted (a dry run). */
NODISCARD
enum status redrive_log_open(const char *data_dir, bool is_read_only, struct redrive_log **out,
                             struct error *error);
void redrive_log_close(struct redrive_log *log);
/* What is known of the letter; a letter that turns out to be an echo is noted as one. */
NODISCARD
enum status redrive_log_find(struct redrive_log *log, const char *source, uint32_t partition, int64_t offset,
                             struct slice raw, enum redrive_known *known, struct error *error);
/* Notes that the letter was sent; `is_rejected`: it will come back as a new dead letter with these bytes. */
NODISCARD
enum status redrive_log_note(struct redrive_log *log, const char *source, uint32_t partition, int64_t offset,
                             struct slice raw, bool is_rejected, struct error *error);
/* Makes what was noted since the last commit durable. */
NODISCARD
enum status redrive_log_commit(struct redrive_log *log, struct error *error);

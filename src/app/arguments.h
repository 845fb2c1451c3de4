/* Command lines: one table per command is parser and --help at once. Every command also takes --help, and those that log
 * --log-format and --log-level. Control thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BAD_CONFIG = 78 };
enum { ARGUMENTS_LIST_MAX = 1024 }; /* repetitions of one option */

enum argument_kind {
    ARGUMENT_FLAG,       /* bool: --keep-open */
    ARGUMENT_TEXT,       /* const char *: --output FILE */
    ARGUMENT_LIST,       /* struct argument_list: may be given again */
    ARGUMENT_NUMBER,     /* uint64_t */
    ARGUMENT_DURATION,   /* int64_t microseconds: 200ms, 5s */
    ARGUMENT_CHOICE,     /* const char *, one of `choices` */
    ARGUMENT_POSITIONAL, /* const char *; NULL when it is left out */
    ARGUMENT_REQUIRED,   /* the same, but it must be there */
    ARGUMENT_REST,       /* struct argument_list: every further positional one; at the end of the table */
};

struct argument_list {
    const char *items[ARGUMENTS_LIST_MAX];
    size_t count;
};

struct argument {
    const char *name;  /* "--output"; "CONFIG" for a positional one */
    const char *value; /* what --help calls the value: "FILE" */
    const char *help;
    enum argument_kind kind;
    void *target;        /* keeps its value when the option is not given */
    const char *choices; /* "text|json" */
};

struct usage {
    const char *command; /* "weir replay" */
    const char *summary; /* one sentence */
    const char *details; /* more lines under the options; may be NULL */
    const struct argument *arguments;
    size_t argument_count;
};

/* argv[0] is the command's own name and is passed over. False: the command is to end with *exit_code (--help was printed: 0; wrong usage
 * was described on stderr: 2). */
bool arguments_parse(const struct usage *usage, int argc, char **argv, int *exit_code);

/* "weir: error: ..., see weir X --help" on stderr; returns EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);
/* "weir: error: ..." on stderr; returns EXIT_FAILED. */
int command_error(const char *format, ...) PRINTF_LIKE(1, 2);

/* Turns repeated `--set a.b=value` into overrides; false after a message when one is none. `overrides` has room for the list. */
bool arguments_overrides(const char *command, const struct argument_list *list,
                         struct config_override *overrides);

/* Writes what was found to stderr. */
void print_config_errors(const struct config_errors *errors);

/* Loads a configuration, printing all its errors on stderr. NULL: the command ends with EXIT_BAD_CONFIG. `text` as in config_load(). */
struct config *load_config(const char *file, const char *text, const struct config_override *overrides,
                           size_t override_count);

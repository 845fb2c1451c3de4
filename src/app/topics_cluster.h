/* How weir topics reaches a cluster: brokers of the command line, or the connection of a source or sink of a configuration. */
#pragma once

#include "app/arguments.h"
#include "net/kafka_admin.h"

enum { TOPICS_TIMEOUT_US = 15 * 1000 * 1000, TOPIC_NAME_SIZE_MAX = 249 };

struct topics_place {
    const char *brokers;     /* --brokers */
    const char *from;        /* --from: name of a source or sink */
    const char *config_file; /* of the positional arguments */
    const char **names;      /* the others */
    size_t name_count;
};

/* Tells the configuration file from names of topics among positional arguments: it ends with .yaml or .yml, or has a slash. Checks the
 * names. `names` has room for the list. EXIT_OK, or the exit code after a message. */
int topics_place_read(const char *command, const struct argument_list *words, const char **names,
                      struct topics_place *place);

struct topics_cluster {
    struct config *config; /* NULL with --brokers */
    struct arena arena;
    struct kafka_settings settings;
    struct kafka_client *client;
    struct kafka_admin *admin;
};

/* EXIT_OK, or the exit code after a message. Does not wait for the brokers. */
int topics_cluster_open(const char *command, const struct topics_place *place, struct topics_cluster *out);
void topics_cluster_close(struct topics_cluster *cluster);

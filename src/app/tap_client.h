/* A small blocking WebSocket client for `weir tap`. One thread. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

struct tap_client;

/* Connects to http://host[:port] and upgrades. */
NODISCARD
enum status tap_client_open(const char *url, struct tap_client **out, struct error *error);
void tap_client_close(struct tap_client *client);
NODISCARD
enum status tap_client_send(struct tap_client *client, struct slice text, struct error *error);
/* The next text message, into `message` (with NATIVE_JSON_PADDING readable bytes behind it). STATUS_CLOSED: the server has gone; error says why. */
NODISCARD
enum status tap_client_receive(struct tap_client *client, struct buffer *message, struct error *error);

/* A WebSocket client for measuring programs: connects, subscribes, and finds the ends of frames. Anything unexpected ends the program. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WS_TEXT_SIZE_MAX = 125 }; /* of what a client sends */

/* To the loopback address, upgraded. */
int ws_connect(uint16_t port);
void ws_send_text(int client, const char *text);
/* Sizes of the header and the payload of the frame that begins at `bytes`. False: its header is not there whole. */
bool ws_parse_header(const uint8_t *bytes, size_t size, size_t *header_size, uint64_t *payload_size);
/* Says what went wrong, by errno too, and ends the program. */
_Noreturn void ws_fail(const char *what);

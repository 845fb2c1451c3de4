/* The terminal of `weir top`: the alternate screen while it runs, and the user's own again however it ends. Control thread; one at a time. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

enum top_event { TOP_EVENT_TIME, TOP_EVENT_RESIZED, TOP_EVENT_QUIT };

/* Standard output must be a terminal. */
NODISCARD
enum status top_screen_open(struct error *error);
void top_screen_close(void);

void top_screen_size(uint32_t *width, uint32_t *height);
/* Shows lines from the top; what was there goes. */
void top_screen_show(const struct buffer *lines);
/* Until the monotonic time `until_us`, a change of size, or q, Ctrl-C, SIGTERM, the end of input. */
enum top_event top_screen_wait(int64_t until_us);

/* Running a server in the foreground, for `weir run` and `weir demo`. */
#pragma once

#include "config/config.h"

/* Runs until SIGTERM or SIGINT, then drains; returns the exit code. `greeting` is printed on stdout once the server is
 * ready, followed by the address; NULL for none. Control thread. */
int serve(const struct config *config, const char *greeting);

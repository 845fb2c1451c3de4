/* Named points at which a test may have the process die as if by kill -9: WEIR_CRASH_AT=name, or name:N for the
 * N-th time the point is passed. Points lie on the commit paths only, never on a per-event path. */
#pragma once

/* Any thread. Does nothing unless the environment named this point. */
void crash_point(const char *name);

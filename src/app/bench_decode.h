/* The command `weir bench decode`. */
#pragma once

/* `argv[0]` is the command's name; options as its --help says. Prints the result to stdout. Returns the exit code: 0, 1 when
 * the input cannot be read, 2 for wrong usage. Main thread. */
int bench_decode(int argc, char **argv);

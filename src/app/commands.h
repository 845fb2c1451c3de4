/* The commands: argv[0] is the command's own name. Each returns the exit code of the process. */
#pragma once

int command_run(int argc, char **argv);
int command_demo(int argc, char **argv);
int command_check(int argc, char **argv);
int command_replay(int argc, char **argv);
int command_config(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_tap(int argc, char **argv);
int command_bench(int argc, char **argv);

/* bench_*.c: argv[0] is the benchmark's name. */
int bench_decode(int argc, char **argv);
int bench_window(int argc, char **argv);
int bench_fanout(int argc, char **argv);

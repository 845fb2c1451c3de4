/* The commands: argv[0] is the command's own name. Each returns the exit code of the process. */
#pragma once

int command_run(int argc, char **argv);
int command_demo(int argc, char **argv);
int command_check(int argc, char **argv);
int command_replay(int argc, char **argv);
int command_test(int argc, char **argv);
int command_config(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_tap(int argc, char **argv);
int command_top(int argc, char **argv);
int command_topics(int argc, char **argv);
int command_redrive(int argc, char **argv);
int command_bench(int argc, char **argv);

/* topics_*.c: argv[0] is "plan", "create", "list". */
int topics_plan(int argc, char **argv);
int topics_create(int argc, char **argv);
int topics_list(int argc, char **argv);

/* bench_*.c: argv[0] is the benchmark's name. */
int bench_decode(int argc, char **argv);
int bench_window(int argc, char **argv);
int bench_fanout(int argc, char **argv);

#!/usr/bin/env python3
"""The windows of the benchmarks computed by DuckDB on one thread, as the peer of weir.

    duckdb_groupby.py file FILE KEY         read_json + GROUP BY of KEY and 10 s windows (KEY: user_id or properties.country)
    duckdb_groupby.py memory KEYS ROWS      GROUP BY alone, over a table already in memory

Types are given, so DuckDB need not guess them, and results are counted, not printed. Prints one JSON line; the CPU time
is user plus system of this process for the query alone.
"""

import json
import resource
import sys
import time

import duckdb

AGGREGATES = "count(*) AS n, sum(amount) AS total, min(amount) AS low, max(amount) AS high, avg(amount) AS mean"
COLUMNS = """{event_id: 'VARCHAR', event_type: 'VARCHAR', user_id: 'VARCHAR', session_id: 'VARCHAR', timestamp: 'BIGINT',
              properties: 'STRUCT(amount DOUBLE, page VARCHAR, country VARCHAR)'}"""


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(connection, grouped):
    """Runs the grouping and sums over its rows, so that every row is made but none is printed."""
    wall, cpu = time.monotonic(), cpu_seconds()
    query = f"SELECT count(*), sum(n), sum(total), sum(low), sum(high), sum(mean) FROM ({grouped})"
    results, events, total, *_ = connection.execute(query).fetchone()
    cpu, wall = cpu_seconds() - cpu, time.monotonic() - wall
    return {"results": results, "events": int(events), "sum": total, "cpu_seconds": cpu, "wall_seconds": wall}


def from_file(connection, path, key):
    read = f"read_json(?, format = 'newline_delimited', columns = {COLUMNS})".replace(
        "?", "'" + path.replace("'", "''") + "'"
    )
    rows = f"SELECT {key} AS k, timestamp // 10000 AS w, properties.amount AS amount FROM {read}"
    return measure(connection, f"SELECT k, w, {AGGREGATES} FROM ({rows}) GROUP BY k, w")


def from_memory(connection, key_count, row_count):
    connection.execute(
        f"CREATE TABLE events AS SELECT hash(range) % {key_count} AS k, range // ({row_count} // 12 + 1) AS w, "
        f"(hash(range + 7) % 100000) / 100.0 AS amount FROM range({row_count})"
    )
    return measure(connection, f"SELECT k, w, {AGGREGATES} FROM events GROUP BY k, w")


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("file", "memory"):
        sys.exit(__doc__)
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    if sys.argv[1] == "file":
        result = from_file(connection, sys.argv[2], sys.argv[3])
    else:
        result = from_memory(connection, int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

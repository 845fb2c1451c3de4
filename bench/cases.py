"""What is measured: each function measures weir and its peer on the same input and yields rows of the table."""

import json
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

from kafka_cases import kafka, kafka_duckdb, kafka_latency
from measure import (
    AGGREGATES,
    PROGRAMS,
    ROOT,
    SCRATCH,
    WEIR,
    Failed,
    Row,
    Server,
    broadcast,
    run_json,
    run_process,
    wait_until,
)

EVENTS = 2_000_000
MIXED_EVENTS = 200_000
CLIENTS = 500
MESSAGE_SIZE = 300
PER_TURN = 64
BUN = ROOT / f"bench/node_modules/@oven/bun-linux-{'aarch64' if platform.machine() == 'aarch64' else 'x64'}/bin/bun"


def events_file(kind="stable"):
    """The input file, made on first use."""
    count = EVENTS if kind == "stable" else MIXED_EVENTS
    path = SCRATCH / f"{kind}-{count}.ndjson"
    if not path.exists():
        run_process(["python3", ROOT / "bench/make_events.py", kind, count, path])
    return path


def pipeline_config(key, shards, partitions, **source):
    file = {"path": str(events_file()), "rate": "max", "partitions": partitions}
    if partitions > 1:
        file["partition_by"] = "user_id"
    return {
        "engine": {"shards": shards},
        "sources": {
            "events": {"file": file | source, "time": "timestamp", "max_out_of_orderness": "2s"},
        },
        "pipelines": {
            "job": {
                "from": "events",
                "key": [key],
                "window": {"tumbling": "10s"},
                "aggregates": AGGREGATES,
                "to": ["hole"],
            }
        },
        "sinks": {"hole": {"blackhole": {}}},
    }


def run_job(key, shards, partitions):
    """Runs the file through a server into the blackhole. Returns (CPU seconds, events per second of wall time).

    The rate is taken between a tenth and nine tenths of the file, so that starting up does not count.
    """
    samples = []
    with Server(pipeline_config(key, shards, partitions)) as server:

        def finished():
            samples.append((time.monotonic(), server.accounted("events")))
            return samples[-1][1] >= EVENTS

        wait_until(finished, "the file was not read to its end")
        cpu = server.cpu_seconds()
        if samples[-1][1] != EVENTS:
            raise Failed(f"{samples[-1][1]} events accounted for, {EVENTS} in the file")
    middle = [sample for sample in samples if EVENTS * 0.1 <= sample[1] <= EVENTS * 0.9]
    if len(middle) < 2:
        raise Failed("the run was too short to take its rate")
    (start, first), (end, last) = middle[0], middle[-1]
    return cpu, (last - first) / (end - start)


def weir_bench(name, *arguments):
    return run_json([WEIR, "bench", name, *arguments, "--format", "json"])


def job():
    """NDJSON file to keyed windows, CPU of the whole server included."""
    for key, title in (("user_id", "per user (985,645 results)"), ("properties.country", "per country (650 results)")):
        peer = run_json([sys.executable, ROOT / "bench/duckdb_groupby.py", "file", events_file(), key])
        cpu, _ = run_job(key, 1, 1)
        yield Row(
            f"file to windows {title}, blackhole",
            EVENTS / cpu / 1e3,
            "DuckDB read_json + GROUP BY, 1 thread",
            EVENTS / peer["cpu_seconds"] / 1e3,
            goal=2.5 if key == "user_id" else None,
        )


def replay():
    """The same job in batch mode, every result ordered and written as JSON."""
    config = SCRATCH / "replay.yaml"
    config.write_text(json.dumps(pipeline_config("user_id", 1, 1)))
    peer = run_json([sys.executable, ROOT / "bench/duckdb_groupby.py", "file", events_file(), "user_id"])
    *_, cpu, _ = run_process([WEIR, "replay", config, "--input", f"events={events_file()}", "--output", "/dev/null"])
    yield Row(
        "weir replay per user, ordered, as JSON",
        EVENTS / cpu / 1e3,
        "DuckDB read_json + GROUP BY, results counted",
        EVENTS / peer["cpu_seconds"] / 1e3,
    )


def partition_files(count):
    """The input dealt out line by line to as many files."""
    paths = [SCRATCH / f"stable-{EVENTS}-{i}of{count}.ndjson" for i in range(count)]
    if not all(path.exists() for path in paths):
        files = [open(path, "wb") for path in paths]
        with open(events_file(), "rb") as lines:
            for number, line in enumerate(lines):
                files[number % count].write(line)
        for file in files:
            file.close()
    return paths


def shards():
    """Events per second of wall time with two shards and with one: batch mode, four partitions, best of three."""
    config = SCRATCH / "shards.yaml"
    config.write_text(json.dumps(pipeline_config("properties.country", 1, 1)))
    inputs = "events=" + ",".join(map(str, partition_files(4)))
    seconds = {1: [], 2: []}
    for count in (1, 2) * 3:
        command = [
            WEIR,
            "replay",
            config,
            "--input",
            inputs,
            "--set",
            f"engine.shards={count}",
            "--output",
            "/dev/null",
            "--format",
            "json",
        ]
        error = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True).stderr
        seconds[count].append(json.loads(error.splitlines()[-1])["seconds"])
    rates = [EVENTS / min(seconds[count]) for count in (1, 2)]
    yield Row("two shards", rates[1] / 1e3, "one shard", rates[0] / 1e3, "k events per second", goal=1.7)


def decode():
    """Strict decoding of three fields into columns."""
    for kind, mode, goal, peer_name in (
        ("stable", "ondemand", 1.5, "simdjson on-demand, nothing else checked"),
        ("stable", "walk", None, "simdjson, everything checked"),
        ("mixed", "walk", 0.75, "simdjson, everything checked"),
    ):
        peer = run_json([PROGRAMS / "simdjson_decode", mode, events_file(kind)])
        weir = weir_bench("decode", "--input", events_file(kind))
        yield Row(
            f"decode, {kind} shapes",
            weir["ns_per_event"],
            peer_name,
            peer["ns_per_event"],
            "ns per event",
            goal,
            lower_is_better=True,
        )


def window():
    """The window stage alone, columns already in memory."""
    for keys in (100, 1_000_000):
        rows = 10_000_000
        peer = run_json([sys.executable, ROOT / "bench/duckdb_groupby.py", "memory", keys, rows])
        weir = weir_bench("window", "--keys", keys, "--events", rows)
        yield Row(
            f"window stage, {keys:,} keys",
            1e6 / weir["ns_per_event"],
            "DuckDB GROUP BY in memory, 1 thread",
            rows / peer["cpu_seconds"] / 1e3,
        )


def sliding():
    """Sliding windows beside tumbling ones that give a result as often, in one run."""
    sums, extremes, percentile = ("count()", "sum(x)", "mean(x)"), ("min(x)", "max(x)"), ("percentile(x, 95)",)
    jobs = ((60, sums, 0.85), (60, sums + extremes, 0.75), (60, percentile, 0.6), (3600, sums, 0.85))
    for panes, aggregates, goal in jobs:
        options = ["--keys", 100, "--events", 40_000_000, "--windows", 4000]
        for aggregate in aggregates:
            options += ["--aggregate", aggregate]
        weir = weir_bench("window", *options, "--sliding", panes)
        yield Row(
            f"sliding windows of {panes} slides, 100 keys, {' '.join(aggregates)}",
            1e6 / weir["sliding"]["ns_per_event"],
            "tumbling windows of a slide",
            1e6 / weir["ns_per_event"],
            goal=goal,
        )


def fanout():
    """A busy stream, 64 messages a turn, to 500 clients."""
    naive = broadcast([PROGRAMS / "naive_fanout", CLIENTS, 400, MESSAGE_SIZE], CLIENTS, 400)
    bun = broadcast([BUN, ROOT / "bench/bun_publish.js", CLIENTS, 6400, MESSAGE_SIZE, PER_TURN], CLIENTS, 6400)
    weir = weir_bench(
        "fanout", "--clients", CLIENTS, "--messages", 6400, "--size", MESSAGE_SIZE, "--per-turn", PER_TURN
    )
    rate = weir["deliveries"] / weir["cpu_seconds"] / 1e3
    for name, peer, goal in (("one write per message", naive, 10), ("Bun publish, 64 a turn", bun, 0.95)):
        yield Row(
            "broadcast of 300 B to 500 clients, 64 a turn",
            rate,
            name,
            peer["deliveries"] / peer["cpu_seconds"] / 1e3,
            "k deliveries per CPU-second",
            goal,
        )


def post_batches(port, bodies):
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    for body in bodies:
        connection.request("POST", "/api/v1/sources/events/events", body, {"Content-Type": "application/x-ndjson"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 202:
            raise Failed(f"ingest answered {answer.status}: {text[:200]!r}")
    connection.close()


def ingest():
    """Durable HTTP ingest: each batch is on disk before its 202."""
    per_request, connections, total = 1000, 4, 400_000
    with open(events_file(), "rb") as file:
        lines = [file.readline() for _ in range(total)]
    bodies = [b"".join(lines[i : i + per_request]) for i in range(0, total, per_request)]
    config = pipeline_config("user_id", 1, 1)
    config["sources"]["events"] = {"http": {}, "time": "timestamp", "max_out_of_orderness": "2s"}
    with Server(config) as server:
        start, cpu = time.monotonic(), server.cpu_seconds()
        with ThreadPoolExecutor(connections) as pool:
            for future in [pool.submit(post_batches, server.port, bodies[i::connections]) for i in range(connections)]:
                future.result()
        wall, cpu = time.monotonic() - start, server.cpu_seconds() - cpu
        wait_until(lambda: server.accounted("events") >= total, "not every accepted event was processed")
    yield Row("HTTP ingest, 1,000 events a request, durable", total / wall / 1e3, unit="k events per second")
    yield Row("HTTP ingest, the same", total / cpu / 1e3)


def memory():
    """Resident size at 100,000 events/s with 100,000 keys."""
    config = pipeline_config("user_id", 1, 1, rate="100000/s")
    with Server(config) as server:
        wait_until(lambda: server.accounted("events") >= EVENTS, "the file was not read to its end")
        cpu, peak = server.cpu_seconds(), server.memory_peak()
    yield Row("peak RSS, 100k events/s, 100k keys", peak / 2**20, "goal", 64, "MiB", 1, lower_is_better=True)
    yield Row("CPU at 100k events/s", cpu / (EVENTS / 100_000) * 100, unit="% of one core")


CASES = [decode, window, sliding, job, replay, shards, fanout, ingest, memory, kafka, kafka_duckdb, kafka_latency]

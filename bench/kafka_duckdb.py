#!/usr/bin/env python3
"""The job of the Kafka benchmarks as a micro-batch program: confluent-kafka (librdkafka) and DuckDB on one thread.

    kafka_duckdb.py BROKERS TOPIC PARTITIONS MESSAGES KEY

Takes MESSAGES_PER_BATCH messages at a time, lets DuckDB read them as NDJSON from a file in memory, and adds the groups of the batch to a
table of open windows. A window is closed, and its groups counted, when every partition's watermark has passed it. Prints one JSON line.
"""

import json
import os
import resource
import sys
import time

import confluent_kafka
import duckdb

MESSAGES_PER_BATCH = 100_000
WINDOW_MS, DISORDER_MS = 10_000, 2_000
COLUMNS = "{user_id: 'VARCHAR', timestamp: 'BIGINT', properties: 'STRUCT(amount DOUBLE, country VARCHAR)'}"
SETTINGS = {
    "group.id": "micro-batches",
    "enable.auto.commit": False,
    "fetch.wait.max.ms": 50,
    "fetch.message.max.bytes": 1 << 20,
    "fetch.max.bytes": 16 << 20,
    "queued.min.messages": 50_000,
    "queued.max.messages.kbytes": 65_536,
    "fetch.queue.backoff.ms": 5,
}


def open_consumer(brokers, topic, partitions):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": brokers, **SETTINGS})
    parts = [confluent_kafka.TopicPartition(topic, p) for p in range(partitions)]
    consumer.assign(
        [confluent_kafka.TopicPartition(topic, p.partition, consumer.get_watermark_offsets(p)[0]) for p in parts]
    )
    return consumer


def take_batch(consumer, file, messages):
    """Writes the values as lines. Returns how many there were, and the last value of each partition."""
    last = {}
    values = []
    for message in messages:
        if message.error():
            raise SystemExit(str(message.error()))
        values.append(message.value())
        last[message.partition()] = values[-1]
    file.seek(0)
    file.truncate()
    file.write(b"\n".join(values))
    file.flush()
    return len(values), last


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    brokers, topic, partitions, wanted, key = sys.argv[1:]
    consumer = open_consumer(brokers, topic, int(partitions))
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.execute("CREATE TABLE open (k VARCHAR, w BIGINT, n BIGINT, total DOUBLE, low DOUBLE, high DOUBLE)")
    file = open(os.memfd_create("events"), "w+b")  # noqa: SIM115 - open to the end
    add = f"""INSERT INTO open SELECT {key}, timestamp // {WINDOW_MS} AS w, count(*), sum(properties.amount),
              min(properties.amount), max(properties.amount)
              FROM read_json('/proc/self/fd/{file.fileno()}', format = 'newline_delimited', columns = {COLUMNS})
              GROUP BY ALL"""
    close = """SELECT count(*), sum(n), sum(mean) FROM (SELECT k, w, sum(n) AS n, sum(total) AS total, min(low) AS low,
               max(high) AS high, sum(total) / sum(n) AS mean FROM open WHERE w < ? GROUP BY k, w)"""
    watermarks = {}
    events = results = counted = closed = 0
    started = time.monotonic()
    while events < int(wanted):
        taken, last = take_batch(consumer, file, consumer.consume(MESSAGES_PER_BATCH, 1.0))
        if not taken:
            continue
        events += taken
        connection.execute(add)
        watermarks |= {p: json.loads(value)["timestamp"] - DISORDER_MS for p, value in last.items()}
        through = min(watermarks.values()) // WINDOW_MS if len(watermarks) == int(partitions) else 0
        if events == int(wanted):
            through = max(watermarks.values()) // WINDOW_MS + 2  # what is open at the end too
        if through > closed:
            made, used, _ = connection.execute(close, [through]).fetchone()
            results, counted = results + made, counted + int(used or 0)
            connection.execute("DELETE FROM open WHERE w < ?", [through])
            closed = through
    usage = resource.getrusage(resource.RUSAGE_SELF)
    report = {"events": events, "counted": counted, "results": results, "wall_seconds": time.monotonic() - started}
    print(json.dumps(report | {"cpu_seconds": usage.ru_utime + usage.ru_stime, "rss_kib": usage.ru_maxrss}))


if __name__ == "__main__":
    main()

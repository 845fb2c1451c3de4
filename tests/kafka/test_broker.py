"""A broker that goes away, and a store that stands still: weir stays up, says so, loses nothing and catches up."""

import sqlite3
import threading
import time

import pytest
from oracle import health, kafka, kafka_flights, kafka_ticks, weir
from oracle.kafka import LONG

OUTAGES_S = {"stop": 60, "kill": 60} if LONG else {"stop": 10, "kill": 4}
LOCKED_S = 30 if LONG else 8
LOCKED_RATE = 50_000
MEMORY_LIMIT_MIB = 512
PARTITIONS = 8
LOG_LINES_MAX = 50  # in ten seconds
MIB = 1024 * 1024


def hold(seconds, look, interval_s=0.2):
    """Looks again and again for a while: what is claimed must hold all the time."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < end:
        look()
        pause.wait(interval_s)


@pytest.fixture
def topics(broker):
    return (
        kafka.create_topic(broker, kafka.unique("ticks"), PARTITIONS),
        kafka.create_topic(broker, kafka.unique("results"), 2),
    )


@pytest.mark.parametrize(("end", "outage_s"), OUTAGES_S.items())
def test_a_broker_that_goes_away_and_comes_back(broker, make_server, topics, end, outage_s):
    topic, results = topics
    source = kafka_flights.kafka_source(broker, [topic], kafka.unique("group"))
    sinks = {"out": kafka_flights.kafka_sink(broker, results, transactional=True)}
    server = make_server(kafka_ticks.config(source, sinks))
    count = 3_000 * (outage_s + 15)
    records = [*kafka_ticks.events(0, count, PARTITIONS), *kafka_ticks.pushes(PARTITIONS)]
    with kafka.Feed(broker, topic, records, rate=3_000) as feed:
        try:
            weir.eventually(lambda: server.source("s")["counters"]["in"] > 6_000, 30, "events")
            getattr(broker, end)()
            lines, gone = len(server.stderr().splitlines()), time.monotonic()
            health.wait_troubled(server, "kafka|broker", 20)

            def stays_up():
                assert server.running(), server.stderr()[-2000:]
                assert server.get("/health").status in (200, 503)

            hold(outage_s - (time.monotonic() - gone), stays_up)
            told = len(server.stderr().splitlines()) - lines
            assert told < max(LOG_LINES_MAX, LOG_LINES_MAX * outage_s / 10), f"{told} lines in the log"
            assert health.troubled(server, "kafka|broker"), "still away, and /health no longer says so"
        finally:
            if broker.process is None:
                broker.start()
    back = time.monotonic()
    health.wait_well(server, 60)
    print(f"{end}: away {back - gone:.0f} s, well again {time.monotonic() - back:.1f} s after it was back")
    feed.finish()
    kafka_ticks.check_topic(broker, results, count, timeout_s=120)
    kafka_ticks.check_store(server, count)
    assert server.terminate(10) == 0
    kafka_ticks.check_topic(broker, results, count)


def test_a_start_without_a_broker_waits_for_it(broker, make_server, topics):
    topic, _ = topics
    count = 20_000
    kafka.produce(broker, topic, [*kafka_ticks.events(0, count, PARTITIONS), *kafka_ticks.pushes(PARTITIONS)])
    config = kafka_ticks.config(kafka_flights.kafka_source(broker, [topic], kafka.unique("group")))
    broker.stop()
    try:
        server = make_server(config, start=False).start(wait=False)
        health.wait_troubled(server, "kafka|broker|connect", 20)
    finally:
        broker.start()
    kafka_ticks.check_store(server, count, timeout_s=90)
    health.wait_well(server, 20)


def test_a_stop_without_a_broker_is_in_time_and_loses_nothing(broker, make_server, topics):
    topic, results = topics
    count = 20_000
    source = kafka_flights.kafka_source(broker, [topic], kafka.unique("group"))
    sinks = {"out": kafka_flights.kafka_sink(broker, results, transactional=True)}
    server = make_server(kafka_ticks.config(source, sinks))
    kafka.produce(broker, topic, kafka_ticks.events(0, count, PARTITIONS))
    server.wait_counted("s", "p", count // 2)
    broker.stop()
    try:
        assert server.terminate(10) == 0
    finally:
        broker.start()
    server.start()
    kafka.produce(broker, topic, kafka_ticks.pushes(PARTITIONS))
    kafka_ticks.check_topic(broker, results, count, timeout_s=120)
    kafka_ticks.check_store(server, count)


def test_a_store_that_stands_still_pauses_the_source_and_not_the_group(broker, make_server, topics):
    """Memory stays under its limit, the member stays in the group, and what was held back comes in."""
    topic, _ = topics
    group = kafka.unique("group")
    config = kafka_ticks.config(
        kafka_flights.kafka_source(broker, [topic], group), memory_limit=f"{MEMORY_LIMIT_MIB}MiB"
    )
    server = make_server(config)
    count = LOCKED_RATE * (LOCKED_S + 4)
    records = (kafka_ticks.event(i, PARTITIONS) for i in range(count))
    locker = sqlite3.connect(server.data_dir / "weir.db", isolation_level=None, timeout=30)
    sizes = []
    with kafka.Feed(broker, topic, records, rate=LOCKED_RATE) as feed:
        try:
            weir.eventually(lambda: server.source("s")["counters"]["in"] > LOCKED_RATE, 30, "events")
            before = kafka.members(broker, group)
            assert list(before[1].values()) == [PARTITIONS], before
            locker.execute("BEGIN EXCLUSIVE")

            def bounded():
                sizes.append(server.rss_bytes())
                assert sizes[-1] < MEMORY_LIMIT_MIB * MIB, f"RSS {sizes[-1] // MIB} MiB"
                assert kafka.members(broker, group) == before, "the group lost its member"

            hold(LOCKED_S, bounded, 0.5)
            assert health.troubled(server, "store")
            assert feed.sent > LOCKED_RATE * LOCKED_S / 2, f"the feed was too slow: {feed.sent} events"
            locker.execute("ROLLBACK")
        finally:
            locker.close()
    freed = time.monotonic()
    feed.finish()
    kafka.produce(broker, topic, kafka_ticks.pushes(PARTITIONS))
    kafka_ticks.check_store(server, count, timeout_s=120)
    health.wait_well(server, 20)
    assert server.source("s")["counters"] == {"in": count + PARTITIONS, "bad": 0}
    assert kafka.members(broker, group) == before
    print(
        f"{count} events, store locked {LOCKED_S} s, RSS at most {max(sizes) // MIB} MiB, all in {time.monotonic() - freed:.1f} s later"
    )

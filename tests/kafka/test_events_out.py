"""Event in, event out, from topic to topic: `where`, `select`, `key`, and each selected event exactly once in transactions."""

import collections
import json
import re
import threading

import pytest
from oracle import kafka, kafka_flights, kafka_ticks, weir
from oracle.kafka import LONG

PARTITIONS = 4
KILLS = 20 if LONG else 5
SELECT = {"k": "k", "i": "i", "twice": "2 * i"}


def is_selected(i):
    return i % 10 != 3


def config_of(broker, source, topic, sink=None, **pipeline):
    return {
        "sources": {"s": {"kafka": source, "time": "ts"}},
        "pipelines": {"p": {"from": "s", "to": ["out"], **pipeline}},
        "sinks": {"out": kafka_flights.kafka_sink(broker, topic, **(sink or {}))},
    }


def selecting(broker, source, topic, **sink):
    return config_of(broker, source, topic, sink, where="i % 10 != 3", key="k", select=SELECT)


@pytest.fixture
def topics(broker):
    """From where, to where."""
    return (
        kafka.create_topic(broker, kafka.unique("in"), PARTITIONS),
        kafka.create_topic(broker, kafka.unique("out"), 3),
    )


def check_selected(broker, topic, count, once=True, timeout_s=60):
    """Each selected event of the first `count` is there, right, and (for who reads what is committed) once."""
    want = {i for i in range(count) if is_selected(i)}
    reader = kafka.Reader(broker, topic)
    try:
        weir.eventually(
            lambda: {json.loads(r.value)["i"] for r in reader.read()} >= want, timeout_s, "events", interval_s=0.25
        )
        seen = collections.Counter()
        for record in reader.records:
            i = json.loads(record.value)["i"]
            seen[i] += 1
            assert record.value == b'{"k":%d,"i":%d,"twice":%d}' % (i % kafka_ticks.KEYS, i, 2 * i)
            assert record.key == b"[%d]" % (i % kafka_ticks.KEYS)
            assert record.timestamp_ms == kafka_ticks.T0 + i * 1000 // kafka_ticks.PER_SECOND
            assert not record.headers
        assert set(seen) == want
        repeated = [i for i, n in seen.items() if n > 1]
        assert not (once and repeated), f"{len(repeated)} events more than once, such as {repeated[:5]}"
        check_order(reader.records, once)
        return len(repeated)
    finally:
        reader.close()


def check_order(records, once):
    """Events of one key, which were in one partition, stay in their order."""
    newest = {}
    for record in records if once else []:
        i = json.loads(record.value)["i"]
        assert newest.get(record.key, -1) < i, "events of one key changed places"
        newest[record.key] = i


def test_events_without_select_and_key_are_the_same_records_in_the_other_topic(broker, make_server, topics):
    begin, end = topics
    source = kafka_flights.kafka_source(broker, [begin], kafka.unique("group"))
    server = make_server(config_of(broker, source, end, where="!has(drop)"))
    records = [
        kafka.Record(0, b'{"ts":%d,  "a" : 1}' % kafka_ticks.T0, b"key"),
        kafka.Record(0, b'{"ts":%d,\n"a":2}' % kafka_ticks.T0, None),
        kafka.Record(1, b'{"ts":%d,"a":3,"big":12345678901234567890123}' % kafka_ticks.T0, b""),
        kafka.Record(1, b'{"ts":%d,"drop":true}' % kafka_ticks.T0, b"key"),
        kafka.Record(1, b"garbage", b"key"),
        kafka.Record(2, b'{"ts":%d,"a":4}' % kafka_ticks.T0, b"\xff\x00"),
    ]
    kafka.produce(broker, begin, records)
    kept = {(r.key, r.value) for r in records if b'"a"' in r.value}
    found = weir.eventually(lambda: (r := kafka.read(broker, end)) and len(r) >= 4 and r, 30, "events")
    assert len(found) == 4 and {(r.key, r.value) for r in found} == kept
    state = server.wait_counted("s", "p", len(records))
    assert state["pipelines"]["p"] == {"used": 4, "filtered": 1, "too_late": 0}


def test_every_selected_event_comes_once_after_kills(broker, make_server, topics):
    begin, end = topics
    count = 60_000 * KILLS // 5
    source = kafka_flights.kafka_source(
        broker, [begin], kafka.unique("group"), group_instance_id=kafka.unique("member")
    )
    config = selecting(broker, source, end, transactional=True)
    # Its open windows have the log read again from far behind what was passed on.
    config["pipelines"]["w"] = {
        "from": "s",
        "window": {"tumbling": "5s"},
        "aggregates": {"n": "count()"},
        "to": ["store"],
    }
    server = make_server(config)
    with kafka.Feed(broker, begin, kafka_ticks.events(0, count, PARTITIONS), rate=count / (KILLS * 3)) as feed:
        for kill in range(KILLS):
            seen = sum(kafka.end_offsets(broker, end).values())
            weir.eventually(
                lambda: sum(kafka.end_offsets(broker, end).values()) > seen + 500,  # noqa: B023
                60,
                "events since the last kill",
            )
            threading.Event().wait(0.07 * kill)  # at another point of the transaction each time
            assert feed.running(), "all was produced before the last kill: no load"
            server.kill()
            server.start(wait=False)
    feed.finish()
    check_selected(broker, end, count, timeout_s=120)
    again = re.findall(r"partitions taken up; (\d+) events of open windows are read again", server.stderr())
    assert sum(int(n) > 0 for n in again) > KILLS // 2, again
    aborted = len(kafka.read(broker, end, "read_uncommitted")) - len(kafka.read(broker, end))
    assert server.terminate(10) == 0
    check_selected(broker, end, count)
    print(f"{KILLS} kills, {count} events; {aborted} records of aborted transactions, none of them seen")


def test_no_event_is_lost_without_transactions(broker, make_server, topics):
    begin, end = topics
    count = 20_000
    source = kafka_flights.kafka_source(
        broker, [begin], kafka.unique("group"), group_instance_id=kafka.unique("member")
    )
    server = make_server(selecting(broker, source, end))
    with kafka.Feed(broker, begin, kafka_ticks.events(0, count, PARTITIONS), rate=count / 4) as feed:
        weir.eventually(lambda: sum(kafka.end_offsets(broker, end).values()) > count / 4, 30, "events")
        server.kill()
        server.start(wait=False)
    feed.finish()
    check_selected(broker, end, count, once=False)


def test_two_processes_of_a_group_pass_each_event_on_once(broker, make_server, topics):
    """The one that leads writes for both, in its transactions."""
    begin, end = topics
    count = 40_000
    group = kafka.unique("group")
    config = selecting(broker, kafka_flights.kafka_source(broker, [begin], group), end, transactional=True)
    servers = [make_server(config), make_server(config)]
    half = PARTITIONS // 2
    weir.eventually(
        lambda: sorted(kafka.members(broker, group)[1].values()) == [half, half], 30, "both have their share"
    )
    with kafka.Feed(broker, begin, kafka_ticks.events(0, count, PARTITIONS), rate=count / 4) as feed:
        feed.finish()
    check_selected(broker, end, count)
    counters = [server.source("s")["counters"]["in"] for server in servers]
    assert sum(counters) == count and all(counters), counters
    for server in servers:
        assert server.terminate(10) == 0
    check_selected(broker, end, count)


def test_a_process_that_dies_leaves_the_other_with_every_event_once(broker, make_server, topics):
    begin, end = topics
    count = 60_000
    group = kafka.unique("group")
    config = selecting(broker, kafka_flights.kafka_source(broker, [begin], group), end, transactional=True)
    servers = [make_server(config), make_server(config)]
    half = PARTITIONS // 2
    weir.eventually(
        lambda: sorted(kafka.members(broker, group)[1].values()) == [half, half], 30, "both have their share"
    )
    with kafka.Feed(broker, begin, kafka_ticks.events(0, count, PARTITIONS), rate=count / 8) as feed:
        for server in servers:  # whichever leads
            seen = sum(kafka.end_offsets(broker, end).values())
            weir.eventually(
                lambda: sum(kafka.end_offsets(broker, end).values()) > seen + count / 10,  # noqa: B023
                60,
                "events",
            )
            server.kill()
            server.start(wait=False)
    feed.finish()
    check_selected(broker, end, count, timeout_s=120)

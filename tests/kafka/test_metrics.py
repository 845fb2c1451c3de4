"""What is told of Kafka: lag in records and in seconds, rebalances, messages in and out, round trips.

Every number is compared with what an independent client has sent, read, or asked the broker for.
"""

import json
import re
import sqlite3
import time

import pytest
from oracle import kafka, kafka_flights, weir

T0 = 1_700_000_000_000
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')


def metrics(server):
    """{(name, frozenset of labels): value} of /metrics; a sample that stands there twice is an error."""
    found = {}
    for line in server.get("/metrics").text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = SAMPLE.match(line).groups()
        key = (name, frozenset(LABEL.findall(labels or "")))
        assert key not in found, f"twice: {line}"
        found[key] = float(value)
    return found


def value(server, name, **labels):
    return metrics(server).get((name, frozenset(labels.items())))


def event(at, **fields):
    return json.dumps({"ts": T0 + at, **fields}).encode()


def counting(broker, topics, **pipeline):
    """Results as good as one per event: each is a key of its own."""
    return {
        "sources": {
            "s": {
                "kafka": kafka_flights.kafka_source(broker, topics, kafka.unique("group")),
                "time": "ts",
                "max_out_of_orderness": "0s",
                "idle_timeout": "1h",
            }
        },
        "pipelines": {
            "p": {
                "from": "s",
                "key": ["k"],
                "window": {"tumbling": "1s"},
                "aggregates": {"n": "count()"},
                "to": ["store"],
                **pipeline,
            }
        },
    }


def group_of(config):
    return config["sources"]["s"]["kafka"]["group"]


# Lag --------------------------------------------------------------------------------------------------------


def ends_and_lags(broker, server, topic):
    """What is behind the offsets that weir has come to, as the broker has it, and what weir says of it."""
    state = server.source("s")
    ends = kafka.end_offsets(broker, topic)
    assert {p["topic"] for p in state["partitions"]} == {topic}
    behind = {p["partition"]: ends[p["partition"]] - p["offset"] for p in state["partitions"]}
    return state, behind, {p["partition"]: p["lag"] for p in state["partitions"]}


def test_lag_grows_while_a_locked_store_holds_weir_up_and_is_zero_after_it_has_caught_up(broker, make_server):
    """The records are an hour old. What comes while nothing is read counts as well."""
    topic = kafka.create_topic(broker, kafka.unique("lag"), 2)
    config = counting(broker, [topic])
    config["engine"] = {"batch_size": 1, "shards": 1}
    server = make_server(config)
    kafka.produce(broker, topic, [kafka.Record(p, event(0, k="first")) for p in (0, 1)])
    server.wait_counted("s", "p", 2)
    hour_ago_ms = int(time.time() * 1000) - 3_600_000

    def batch(begin, count):
        return [
            kafka.Record(i % 2, event(i * 1000, k=str(i)), timestamp_ms=hour_ago_ms)
            for i in range(begin, begin + count)
        ]

    seen = {"in": None, "since": 0}

    def held():
        """Nothing has moved for half a second, and what is told is what is there."""
        state, behind, told = ends_and_lags(broker, server, topic)
        now = time.monotonic()
        if state["counters"]["in"] != seen["in"]:
            seen.update({"in": state["counters"]["in"], "since": now})
        return state if now - seen["since"] > 0.5 and min(behind.values()) > 0 and told == behind else None

    store = sqlite3.connect(server.data_dir / "weir.db", isolation_level=None)
    try:
        store.execute("begin exclusive")
        kafka.produce(broker, topic, batch(1, 60_000))
        state = weir.eventually(held, 60, "weir held up, with the lag that the broker knows")
        kafka.produce(broker, topic, batch(60_001, 10_000))
        more = weir.eventually(held, 30, "lag of records that were never fetched")
        assert more["lag"] == state["lag"] + 10_000 == sum(p["lag"] for p in more["partitions"])
        for seconds in [more["lag_seconds"], *(p["lag_seconds"] for p in more["partitions"])]:
            assert 3600 <= seconds < 3600 + 300
        told = metrics(server)
        assert told[("weir_source_lag_records", frozenset({("source", "s")}))] == more["lag"]
        assert 3600 <= told[("weir_source_lag_seconds", frozenset({("source", "s")}))] < 3600 + 300
        for partition in more["partitions"]:
            labels = frozenset({("source", "s"), ("topic", topic), ("partition", str(partition["partition"]))})
            assert told[("weir_partition_lag_records", labels)] == partition["lag"]
            assert 3600 <= told[("weir_partition_lag_seconds", labels)] < 3600 + 300
        stats = server.get("/api/v1/stats").json()["sources"]["s"]
        assert stats["lag"] == more["lag"] and 3600 <= stats["lag_seconds"] < 3600 + 300
    finally:
        store.close()
    server.wait_counted("s", "p", 70_002, 120)

    def caught_up():
        state, behind, told = ends_and_lags(broker, server, topic)
        return set(behind.values()) == {0} == set(told.values()) and (state["lag"], state["lag_seconds"]) == (0, 0)

    weir.eventually(caught_up, 20, "no lag")
    assert value(server, "weir_source_lag_seconds", source="s") == 0


def test_marks_of_transactions_are_no_lag(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("marks"))
    server = make_server(counting(broker, [topic]))
    producer = kafka.Producer(broker, transactional_id=kafka.unique("t"), message_timeout_ms=30_000)
    producer.client.init_transactions(30)
    for turn in range(3):
        producer.client.begin_transaction()
        for i in range(10):
            producer.send(topic, kafka.Record(0, event(turn * 10 + i)))
        producer.client.commit_transaction(30)
    server.wait_counted("s", "p", 30)
    weir.eventually(lambda: server.source("s")["lag"] == 0, 20, "no lag behind the mark")
    looks = []

    def looked_often():
        """Longer than two answers of the broker about where the log ends."""
        (partition,) = server.source("s")["partitions"]
        looks.append((time.monotonic(), partition["offset"], partition["lag"]))
        return looks[-1][0] - looks[0][0] > 2.5

    weir.eventually(looked_often, 10, "looks for two and a half seconds")
    assert {look[1:] for look in looks} == {(32, 0)} and kafka.end_offsets(broker, topic) == {0: 33}


# Groups -----------------------------------------------------------------------------------------------------


def test_rebalances_assignment_and_commits_of_a_group_are_counted(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("rebalances"), 4)
    config = counting(broker, [topic])
    group = group_of(config)
    first = make_server(config)

    def holds(server, partitions):
        joined = value(server, "weir_kafka_group_joined", group=group)
        return joined == 1 and value(server, "weir_kafka_assigned_partitions", group=group) == partitions

    weir.eventually(lambda: holds(first, 4), 30, "all partitions")
    before = value(first, "weir_kafka_rebalances_total", group=group)
    assert before >= 1
    kafka.produce(broker, topic, [kafka.Record(i % 4, event(i, k="a")) for i in range(100)])
    first.wait_counted("s", "p", 100)
    weir.eventually(lambda: value(first, "weir_kafka_commit_seconds_count", group=group) > 0, 20, "a commit")
    assert value(first, "weir_kafka_commit_seconds_sum", group=group) > 0
    second = make_server(config, start=False).start(wait=False)
    weir.eventually(lambda: holds(first, 2) and holds(second, 2), 60, "two partitions each")
    after = value(first, "weir_kafka_rebalances_total", group=group)
    assert after > before and first.source("s")["kafka"]["rebalances"] == after
    second.terminate()
    weir.eventually(lambda: holds(first, 4), 60, "all partitions again")
    assert value(first, "weir_kafka_rebalances_total", group=group) > after
    kafka_state = first.source("s")["kafka"]
    assert (kafka_state["group"], kafka_state["joined"], kafka_state["group_partitions"]) == (group, True, 4)


# Messages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transactional", [False, True])
def test_fetched_and_produced_messages_and_bytes_are_those_that_were_sent(broker, make_server, transactional):
    topic = kafka.create_topic(broker, kafka.unique("in"), 3)
    results = kafka.create_topic(broker, kafka.unique("out"))
    config = counting(broker, [topic], to=["store", "out"])
    config["sinks"] = {"out": kafka_flights.kafka_sink(broker, results, transactional=transactional)}
    server = make_server(config)
    good = [kafka.Record(i % 3, event(i * 10, k=str(i % 7)), b"key") for i in range(3000)]
    bad = [kafka.Record(p, b"garbage", b"of", [("h", b"v")]) for p in range(3)]
    kafka.produce(broker, topic, good + bad)
    server.wait_counted("s", "p", 3003)
    size = sum(len(r.key) + len(r.value) for r in good + bad)
    group = group_of(config)
    assert value(server, "weir_kafka_fetched_messages_total", source="s", group=group) == 3003
    assert value(server, "weir_kafka_fetched_bytes_total", source="s", group=group) == size
    told = server.source("s")["kafka"]
    assert (told["fetched_messages"], told["fetched_bytes"]) == (3003, size)

    def as_read():
        """Windows are still closing at first: what is told and what is there must meet, and stay."""
        read = kafka.read(broker, results)
        want = (len(read), sum(len(r.key) + len(r.value) for r in read))
        found = tuple(
            value(server, f"weir_kafka_produced_{what}_total", role="sink", client="out")
            for what in ("messages", "bytes")
        )
        return read and want == found and want

    count, _ = weir.eventually(as_read, 30, "the counters of the sink equal what the topic has")
    assert count >= 29 * 7  # of three thousand events of ten milliseconds, in seven groups, but for the last second
    letters = kafka.read(broker, f"{topic}.dlq")
    assert len(letters) == 3
    labels = {"role": "dead_letters", "client": "s"}
    assert value(server, "weir_kafka_produced_messages_total", **labels) == 3
    assert value(server, "weir_kafka_produced_bytes_total", **labels) == sum(len(r.key) + len(r.value) for r in letters)
    producers = {(p["role"], p["name"]): p for p in server.get("/api/v1/stats").json()["kafka_producers"]}
    assert producers[("sink", "out")]["produced_messages"] == count
    assert producers[("dead_letters", "s")]["produced_messages"] == 3


def test_messages_that_are_read_again_after_a_restart_are_fetched_but_no_new_events(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("again"))
    config = counting(broker, [topic])
    server = make_server(config)
    kafka.produce(broker, topic, [kafka.Record(0, event(i, k="a")) for i in range(500)])
    server.wait_counted("s", "p", 500)
    weir.eventually(
        lambda: kafka.committed(broker, group_of(config), topic).get(0) == 0, 20, "the open window's offset"
    )
    server.terminate()
    server.start()
    weir.eventually(lambda: server.source("s")["kafka"]["fetched_messages"] == 500, 30, "the open window again")


# Connections ------------------------------------------------------------------------------------------------


def test_round_trips_of_every_connection_are_told(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("trips"))
    results = kafka.create_topic(broker, kafka.unique("out"))
    config = counting(broker, [topic], to=["out"])
    config["sinks"] = {"out": kafka_flights.kafka_sink(broker, results)}
    group = group_of(config)
    server = make_server(config)
    kafka.produce(broker, topic, [kafka.Record(0, event(i * 1000, k="a")) for i in range(100)])

    def trips(role, client, broker_name):
        labels = {"role": role, "client": client, "broker": broker_name}
        found = [value(server, f"weir_kafka_broker_rtt_seconds_{part}", **labels) for part in ("count", "sum")]
        half = value(server, "weir_kafka_broker_rtt_seconds", quantile="0.5", **labels)
        return half is not None and found[0] > 0 and 0 < found[1] < 60 and 0 < half < 10

    for role, client, name in [
        ("consumer", group, "GroupCoordinator"),
        ("consumer", group, f"{broker.address}/1"),
        ("sink", "out", f"{broker.address}/1"),
    ]:
        weir.eventually(lambda at=(role, client, name): trips(*at), 30, f"round trips of {role} {name}")
    assert 0 < server.source("s")["kafka"]["round_trip_us"] < 10_000_000
    text = weir.run("top", "--once", "--url", f"http://127.0.0.1:{server.port}").stdout
    assert group in text and re.search(r"^sink out +", text, re.M), text


def test_without_kafka_nothing_is_said_of_it(make_server):
    server = make_server(
        {
            "sources": {"h": {"http": {}, "time": "ts"}},
            "pipelines": {
                "p": {"from": "h", "window": {"tumbling": "1s"}, "aggregates": {"n": "count()"}, "to": ["store"]}
            },
        }
    )
    assert "weir_kafka" not in server.get("/metrics").text
    assert "kafka" not in server.source("h")
    assert server.source("h")["lag_seconds"] == 0

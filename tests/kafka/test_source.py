"""A Kafka source, from the outside: the flights over 8 partitions give DuckDB's results, whatever way they are read."""

import itertools
import json

import pytest
from oracle import bad_input, exactly_once, health, kafka, kafka_flights, weir
from oracle.flight_pipelines import NEVER_LATE_MS, OUT_OF_ORDERNESS_S, PIPELINES, YEAR
from oracle.kafka import LONG

T0 = 1_700_000_000_000
YEAR_MONTHS = tuple(range(1, 13))
# first and last of a tail number depend on which topic came first when there are several.
ORDERED = [p for p in PIPELINES if p.name in YEAR]


@pytest.fixture(scope="module")
def flight_topic(broker, flight_files):
    """A topic per (months, disorder, codec), read by as many groups as there are tests."""
    made = {}

    def topic(months, disorder, codec):
        key = (months, disorder, codec)
        if key not in made:
            files = flight_files(months, 8, disorder, split="flight")
            made[key] = kafka.create_topic(broker, kafka.unique("flights"), 8)
            kafka.produce(broker, made[key], kafka_flights.everything(files), codec)
        return made[key]

    return topic


def check_job(make_server, job, config, counted, timeout_s=120):
    server = make_server(config)
    state = server.wait_counted("flights", job.pipelines[0].name, counted, timeout_s)
    assert state["counters"] == {"in": counted, "bad": 0}
    job.check_store(server, timeout_s=timeout_s)
    return server


# fmt: off
SAMPLES = [
    ("high_throughput", "none", 1), ("low_latency", "gzip", 2), ("high_throughput", "snappy", 2),
    ("low_latency", "lz4", 1), ("high_throughput", "zstd", 2),
]
# fmt: on
WAYS = list(itertools.product(["high_throughput", "low_latency"], kafka.CODECS, [1, 2])) if LONG else SAMPLES


@pytest.mark.parametrize(("profile", "codec", "shards"), WAYS)
def test_flights_shuffled_within_bounds_equal_duckdb(
    make_server, make_job, flight_files, flight_topic, profile, codec, shards
):
    months = YEAR_MONTHS if LONG else (2,)
    job = make_job(
        flight_files(months, 8, NEVER_LATE_MS, split="flight"),
        pipelines=ORDERED if LONG else kafka_flights.FEW,
        topic=flight_topic(months, NEVER_LATE_MS, codec),
    )
    check_job(make_server, job, job.config(source={"profile": profile}, shards=shards), job.event_count + 8)


@pytest.mark.parametrize("shards", [1, 2])
def test_the_whole_year_far_out_of_order_equals_duckdb(make_server, make_job, flight_files, flight_topic, shards):
    """Late and too late events, each judged by its own partition: revisions and verdicts are DuckDB's too."""
    job = make_job(
        flight_files(YEAR_MONTHS, 8, "late", split="flight"),
        pipelines=kafka_flights.FEW + kafka_flights.pipelines_named("by_origin_an_hour", "long_delays"),
        out_of_orderness_s=kafka_flights.LATE_OUT_OF_ORDERNESS_S,
        topic=flight_topic(YEAR_MONTHS, "late", "lz4"),
    )
    server = check_job(make_server, job, job.config(shards=shards), job.event_count + 8)
    job.check_served(server)
    state = server.source("flights")
    assert len(state["partitions"]) == 8
    assert all(p["lag"] == 0 for p in state["partitions"]), state["partitions"]


def test_consumer_protocol_reads_the_same(make_server, make_job, flight_files, flight_topic):
    files = flight_files((2,), 8, NEVER_LATE_MS, split="flight")
    job = make_job(files, topic=flight_topic((2,), NEVER_LATE_MS, "none"))
    config = job.config()
    config["sources"]["flights"]["kafka"] = kafka_flights.kafka_source(job.broker, [job.topic], job.group, "consumer")
    check_job(make_server, job, config, job.event_count + 8)


# Which topics ---------------------------------------------------------------------------------------------


def split_over_topics(broker, files, topics):
    """Produces file i to partition i // n of topic i % n."""
    for topic in topics:
        kafka.create_topic(broker, topic, len(files) // len(topics))
    for at, topic in enumerate(topics):
        kafka.produce(broker, topic, kafka_flights.everything(files[at :: len(topics)]))


def test_several_topics_are_one_source(broker, make_server, make_job, flight_files):
    files = flight_files((2,), 8, NEVER_LATE_MS, split="flight")
    topics = [kafka.unique("several"), kafka.unique("several")]
    split_over_topics(broker, files, topics)
    # Which of two tied events is the last depends on the order of the topics.
    job = make_job(files, pipelines=kafka_flights.pipelines_named("by_carrier_a_day", "speed"), topic=topics[0])
    check_job(make_server, job, job.config(source={"topics": topics}), job.event_count + 8)


def test_a_pattern_takes_topics_that_appear_after_the_start_and_no_others(broker, make_server):
    prefix = kafka.unique("pattern")
    early, late, other = f"{prefix}.a", f"{prefix}.b", f"not-{prefix}.a"
    for topic in (early, other):
        kafka.create_topic(broker, topic, 2)
        kafka.produce(broker, topic, [kafka.Record(i % 2, event(i * 10)) for i in range(1000)])
    config = counting(broker, [f"^{prefix}[.].*"], key={"topic": "_topic"})
    config["sources"]["s"]["kafka"]["properties"] = {"topic.metadata.refresh.interval.ms": "1000"}
    server = make_server(config)
    server.wait_counted("s", "p", 1000, 60)
    kafka.create_topic(broker, late, 3)
    kafka.produce(broker, late, [kafka.Record(i % 3, event(100_000 + i * 10)) for i in range(1500)])
    server.wait_counted("s", "p", 2500, 60)
    push = [kafka.Record(p, event(200_000)) for p in range(3)]
    kafka.produce(broker, early, push[:2])
    kafka.produce(broker, late, push)
    rows = [r for r in wait_rows(server, 25) if r["window_start"] < T0 + 200_000]
    counted = {(r["key"]["topic"], (r["window_start"] - T0) // 1000): r["values"]["n"] for r in rows}
    assert counted == {(early, s): 100 for s in range(10)} | {(late, s): 100 for s in range(100, 115)}
    assert server.source("s")["counters"] == {"in": 2505, "bad": 0}, "events of a topic outside the pattern, or twice"


def test_an_empty_topic_is_no_trouble_and_is_read_when_events_come(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("empty"), 3)
    server = make_server(counting(broker, [topic]))
    health.wait_well(server, 20)
    assert server.source("s")["counters"] == {"in": 0, "bad": 0}
    kafka.produce(broker, topic, [kafka.Record(i % 3, event(i * 10)) for i in range(900)])
    server.wait_counted("s", "p", 900)
    assert health.all_well(server)


# What a record brings ---------------------------------------------------------------------------------------


def counting(broker, topics, time="ts", **pipeline):
    source = {
        "kafka": kafka_flights.kafka_source(broker, topics, kafka.unique("group")),
        "max_out_of_orderness": "1s",
        "idle_timeout": "1h",
        **({"time": time} if time else {}),
    }
    return {
        "sources": {"s": source},
        "pipelines": {
            "p": {
                "from": "s",
                "window": {"tumbling": "1s"},
                "aggregates": {"n": "count()"},
                "to": ["store"],
                **pipeline,
            }
        },
    }


def event(at_ms, **fields):
    return json.dumps({"ts": T0 + at_ms, **fields}).encode()


def wait_rows(server, count, timeout_s=30):
    return weir.eventually(
        lambda: (lambda rows: rows if len(rows) >= count else None)(server.results("p", limit=1000)),
        timeout_s,
        f"{count} results",
    )


def test_key_headers_topic_partition_offset_and_time_of_a_record_are_fields(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("fields"), 2)
    server = make_server(
        counting(
            broker,
            [topic],
            where=f'_headers.take == "yes" && _topic == "{topic}" && _offset >= 2',
            key={"who": "_key", "part": "_partition", "from": "_headers.from"},
            aggregates={"n": "count()", "first": "min(_offset)", "last": "max(_offset)", "newest": "max(_timestamp)"},
        )
    )
    records = [
        kafka.Record(
            i % 2,
            event(i),
            b"odd" if i % 2 else b"even",
            [("take", b"no" if i % 10 == 0 else b"yes"), ("from", b"here" if i % 4 < 2 else b"there")],
            T0 + 5_000 + i,
        )
        for i in range(400)
    ]
    kafka.produce(broker, topic, records + [kafka.Record(p, event(60_000), timestamp_ms=T0 + 60_000) for p in (0, 1)])
    want = {}
    for at, record in enumerate(records):
        offset = at // 2
        if at % 10 and offset >= 2:
            place = (record.key.decode(), at % 2, record.headers[1][1].decode())
            n, first, _, _ = want.get(place, (0, offset, 0, 0))
            want[place] = (n + 1, first, offset, record.timestamp_ms)
    rows = wait_rows(server, len(want))
    got = {tuple(r["key"][k] for k in ("who", "part", "from")): tuple(r["values"].values()) for r in rows}
    assert got == want


def test_without_a_path_the_time_of_an_event_is_that_of_its_record(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("times"))
    server = make_server(counting(broker, [topic], time=None))
    times = [T0 + i * 10 for i in range(1000)] + [T0 + 60_000]
    # The field of the event says another time, and nobody asked it.
    kafka.produce(broker, topic, [kafka.Record(0, b'{"ts":1}', timestamp_ms=t) for t in times])
    rows = wait_rows(server, 10)
    assert {r["window_start"]: r["values"]["n"] for r in rows} == {T0 + s * 1000: 100 for s in range(10)}


def test_future_is_judged_by_the_time_of_the_record(broker, make_server):
    """An event five minutes and more ahead of its record is bad, however old both are."""
    topic = kafka.create_topic(broker, kafka.unique("future"))
    kafka.create_topic(broker, f"{topic}.dlq")
    server = make_server(counting(broker, [topic]))
    record_ms = T0
    kafka.produce(
        broker,
        topic,
        [kafka.Record(0, event(at), timestamp_ms=record_ms) for at in (0, 299_000, 301_000, 3_600_000, 298_000)],
    )
    state = server.wait_counted("s", "p", 5)
    assert state["counters"]["bad"] == 2 and set(state["bad_by_reason"]) == {"future_time"}, state


def test_idle_and_empty_partitions_stop_holding_the_others_back(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("idle"), 4)
    config = counting(broker, [topic])
    config["sources"]["s"]["idle_timeout"] = "1s"
    # All there from the start: a partition whose first event comes a second later would be idle, and its event late.
    records = [kafka.Record(0, event(i * 10)) for i in range(3000)] + [kafka.Record(1, event(0))]
    kafka.produce(broker, topic, records)
    rows = wait_rows(make_server(config), 28)
    counted = {(r["window_start"] - T0) // 1000: r["values"]["n"] for r in rows}
    assert all(counted[s] == 100 + (s == 0) for s in range(28)), counted


# Going on ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_restart_goes_on_where_it_was(broker, make_server, make_job, flight_files, protocol):
    files = flight_files((2,), 8, NEVER_LATE_MS, split="flight")
    job = make_job(files)
    config = job.config()
    config["sources"]["flights"]["kafka"] = kafka_flights.kafka_source(broker, [job.topic], job.group, protocol)
    records = list(kafka_flights.everything(files))
    server = make_server(config)
    for part in (records[:9_000], records[9_000:18_000], records[18_000:]):
        seen = server.source("flights")["counters"]["in"]
        kafka.produce(broker, job.topic, part)
        server.wait_counted("flights", "speed", seen + len(part), 60)
        assert server.terminate(10) == 0
        server.start()
    job.check_store(server)
    before = exactly_once.stored(server.data_dir)
    assert server.terminate(10) == 0
    server.start()
    health.wait_well(server, 30)
    assert exactly_once.stored(server.data_dir) == before, "a start without new events changed results"
    lag = weir.eventually(lambda: kafka.committed(broker, job.group, job.topic), 10, "committed offsets")
    ends = kafka.end_offsets(broker, job.topic)
    assert set(lag) == set(ends) and all(lag[p] <= ends[p] for p in ends), (lag, ends)


def test_a_backlog_of_one_partition_does_not_stand_before_the_replay_of_another(broker, make_server):
    """Both have open windows to build again; one has far more to read behind them than is taken from the queue at a time."""
    topic = kafka.create_topic(broker, kafka.unique("backlog"), 2)
    config = {**counting(broker, [topic]), "engine": {"shards": 1}}
    server = make_server(config)
    kafka.produce(broker, topic, [kafka.Record(i % 2, event(i)) for i in range(900)])
    server.wait_counted("s", "p", 900)
    group = config["sources"]["s"]["kafka"]["group"]
    weir.eventually(lambda: kafka.committed(broker, group, topic), 10, "committed offsets")
    assert server.terminate(10) == 0
    kafka.produce(broker, topic, [kafka.Record(i % 2, event(1000 + i // 100)) for i in range(60_000)])
    server.start()
    assert server.wait_counted("s", "p", 60_000, 30)["counters"] == {"in": 60_000, "bad": 0}
    kafka.produce(broker, topic, [kafka.Record(p, event(60_000)) for p in range(2)])
    counted = {(r["window_start"] - T0) // 1000: r["values"]["n"] for r in wait_rows(server, 2)}
    assert counted == {0: 900, 1: 60_000}


def test_a_failed_partition_does_not_stand_before_another(broker, make_server):
    """`on_bad: fail` stops the partition with the bad record, for good, and no other."""
    topic = kafka.create_topic(broker, kafka.unique("failed"), 2)
    config = {**counting(broker, [topic]), "engine": {"shards": 1}}
    config["sources"]["s"]["on_bad"] = "fail"
    server = make_server(config)
    kafka.produce(broker, topic, [kafka.Record(0, b"nonsense")])
    health.wait_troubled(server, "source.s", 20)
    kafka.produce(broker, topic, [kafka.Record(i % 2, event(i // 100)) for i in range(60_000)])
    server.wait_counted("s", "p", 30_000, 30)


def test_start_latest_leaves_out_what_was_there_before(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("latest"))
    kafka.produce(broker, topic, [kafka.Record(0, event(i)) for i in range(100)])
    config = counting(broker, [topic])
    config["sources"]["s"]["kafka"]["start"] = "latest"
    server = make_server(config)
    group = config["sources"]["s"]["kafka"]["group"]
    weir.eventually(lambda: sum(kafka.members(broker, group)[1].values()) == 1, 20, "the assignment")
    # Its position is taken a moment after the assignment: events until then may be left out too.
    sent = itertools.count(100)

    def seen():
        kafka.produce(broker, topic, [kafka.Record(0, event(next(sent)))])
        return server.source("s")["counters"]["in"]

    weir.eventually(seen, 20, "new events", interval_s=0.2)
    assert server.source("s")["counters"]["in"] <= next(sent) - 100


def test_two_groups_in_one_process_are_refused_with_the_sources_named(broker, make_server):
    config = counting(broker, ["a"])
    other = counting(broker, ["b"])["sources"]["s"]
    config["sources"]["other"] = other
    server = make_server(config, start=False).start(wait=False)
    assert server.wait_exit(10) == 1
    told = server.stderr()
    assert all(name in told for name in ("sources s and other", other["kafka"]["group"], "two consumer groups")), told


# Bad input --------------------------------------------------------------------------------------------------

FUTURE = bad_input.Case("next_millennium", b'{"ts":"2999-01-01T00:00:00Z","x":1}', "future")
GARBAGE = [*bad_input.BAD, FUTURE]
ONE_IN = 1_000
HEADERS = [("trace", b"\x00\xff"), ("trace", b"again"), ("weir-like", b"")]


def with_garbage(records, cases):
    """One case of garbage before every ONE_IN records, in the partition of the next."""
    cases = itertools.cycle(cases)
    for at, record in enumerate(records):
        if at % ONE_IN == 0:
            case = next(cases)
            yield case, kafka.Record(record.partition, case.line, case.name.encode(), HEADERS)
        yield None, record


def check_letter(record, letter, case, topic):
    assert letter.value == record.value, f"{case.name}: {letter.value[:80]!r}"
    assert letter.key == record.key
    assert [h for h in letter.headers if not h[0].startswith("weir.")] == HEADERS, letter.headers
    assert letter.header("weir.reason") in bad_input.REASONS[case.fault], (case.name, letter.headers)
    assert letter.header("weir.detail")
    place = [letter.header(f"weir.{name}") for name in ("source", "topic", "partition", "offset")]
    assert place == ["flights", topic, str(record.partition), str(record.offset)], (case.name, place)
    assert letter.header("weir.time")


def test_one_record_in_a_thousand_of_garbage_stops_nothing_and_none_is_lost(
    broker, make_server, make_job, flight_files
):
    """Every class of garbage, between flights. Each is in the dead-letter topic with its bytes, key, headers and place."""
    files = flight_files((1, 2, 3, 4), 8, NEVER_LATE_MS, split="flight")
    job = make_job(files)
    dead = kafka.create_topic(broker, f"{job.topic}.dlq", max_message_bytes=8_000_000)
    stream = list(with_garbage(kafka_flights.everything(files), GARBAGE))
    counts = dict.fromkeys(range(8), 0)
    garbage = []
    for case, record in stream:
        record.offset = counts[record.partition]
        counts[record.partition] += 1
        if case:
            garbage.append((case, record))
    assert len({case.name for case, _ in garbage}) == len(GARBAGE), "not every case was used"
    kafka.produce(broker, job.topic, (record for _, record in stream), "lz4")

    server = make_server(job.config())
    state = server.wait_counted("flights", "speed", len(stream), 120)
    assert state["counters"] == {"in": len(stream), "bad": len(garbage)}
    job.check_store(server)
    reader = kafka.Reader(broker, dead)
    letters = weir.eventually(
        lambda: (lambda found: found if len(found) >= len(garbage) else None)(reader.read()), 30, "all dead letters"
    )
    reader.close()
    places = {(int(r.header("weir.partition")), int(r.header("weir.offset"))): r for r in letters}
    assert len(letters) == len(places) == len(garbage)
    for case, record in garbage:
        check_letter(record, places[record.partition, record.offset], case, job.topic)


def test_garbage_that_was_mended_is_fed_back_from_the_dead_letter_topic(broker, make_server):
    """The dead letters are a topic like any other: what the config now understands is used, from the bytes that first came."""
    topic = kafka.create_topic(broker, kafka.unique("redrive"))
    dead = kafka.create_topic(broker, f"{topic}.dlq")
    server = make_server(counting(broker, [topic], time="at"))
    kafka.produce(broker, topic, [kafka.Record(0, event(i * 10)) for i in range(1000)])
    assert server.wait_counted("s", "p", 1000)["counters"]["bad"] == 1000, "there is no field `at`"
    reader = kafka.Reader(broker, dead)
    weir.eventually(lambda: len(reader.read()) == 1000, 20, "dead letters")
    reader.close()
    assert server.terminate(10) == 0

    again = make_server(counting(broker, [dead], time="ts"))
    kafka.produce(broker, dead, [kafka.Record(0, event(60_000))])
    rows = wait_rows(again, 10)
    assert {r["window_start"]: r["values"]["n"] for r in rows} == {T0 + s * 1000: 100 for s in range(10)}


def test_on_bad_skip_writes_no_dead_letter(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("skip"))
    dead = kafka.create_topic(broker, f"{topic}.dlq")
    config = counting(broker, [topic])
    config["sources"]["s"]["on_bad"] = "skip"
    server = make_server(config)
    kafka.produce(broker, topic, [kafka.Record(0, b"nonsense"), kafka.Record(0, event(0))])
    assert server.wait_counted("s", "p", 2)["counters"] == {"in": 2, "bad": 1}
    assert server.terminate(10) == 0
    assert kafka.read(broker, dead) == []


def test_a_record_without_a_value_is_bad_like_any_other(broker, make_server):
    """A tombstone, and an empty text."""
    topic = kafka.create_topic(broker, kafka.unique("tombstone"))
    kafka.create_topic(broker, f"{topic}.dlq")
    server = make_server(counting(broker, [topic]))
    kafka.produce(broker, topic, [kafka.Record(0, None, b"k"), kafka.Record(0, b"", b"k"), kafka.Record(0, event(0))])
    assert server.wait_counted("s", "p", 3)["counters"] == {"in": 3, "bad": 2}


def test_flight_bounds_are_those_of_the_oracle():
    """Guards the tests above: the disorder stays within what the sources allow."""
    assert NEVER_LATE_MS == OUT_OF_ORDERNESS_S * 1000

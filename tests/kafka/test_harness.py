"""The tests' own tools: broker, producer, reader and checker do what the other tests take for granted."""

import copy
import json
import os
import signal
import subprocess
import sys

import confluent_kafka
import pytest
from oracle import duck, exactly_once, kafka, kafka_flights, kafka_ticks, weir

BY_DAY = kafka_flights.pipelines_named("an_hour_of_grace")[0]
LATE_S = kafka_flights.LATE_OUT_OF_ORDERNESS_S


# The broker and its client


@pytest.mark.parametrize("codec", kafka.CODECS)
def test_what_is_produced_is_read_back_in_order_with_keys_headers_and_times(broker, codec):
    topic = kafka.create_topic(broker, kafka.unique("back"), 3)
    records = [
        kafka.Record(i % 3, b"value %d" % i, b"k%d" % i, [("a", b"\xff\x00"), ("a", b"%d" % i)], 1_700_000_000_000 + i)
        for i in range(3000)
    ]
    assert kafka.produce(broker, topic, records, codec) == 3000
    assert kafka.end_offsets(broker, topic) == {0: 1000, 1: 1000, 2: 1000}
    for partition, found in kafka.per_partition(kafka.read(broker, topic)).items():
        sent = [r for r in records if r.partition == partition]
        assert [r.offset for r in found] == list(range(1000))
        for a, b in zip(sent, found, strict=True):
            assert (a.value, a.key, a.headers, a.timestamp_ms) == (b.value, b.key, b.headers, b.timestamp_ms)


def test_reader_goes_on_where_it_was_and_hides_what_was_not_committed(broker):
    topic = kafka.create_topic(broker, kafka.unique("transactions"), 2)
    producer = confluent_kafka.Producer(kafka.settings(broker, transactional_id=kafka.unique("id")))
    producer.init_transactions(30)

    def transaction(value, end):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.flush(30)
        end()

    committed, uncommitted = kafka.Reader(broker, topic), kafka.Reader(broker, topic, "read_uncommitted")
    transaction(b"kept", producer.commit_transaction)
    # A commit is answered before its mark is in the topic.
    weir.eventually(lambda: [r.value for r in committed.read()] == [b"kept"], 10, "the first transaction")
    transaction(b"dropped", producer.abort_transaction)
    transaction(b"kept too", producer.commit_transaction)
    weir.eventually(lambda: len(committed.read()) == 2, 10, "the second transaction")
    assert [r.value for r in committed.read()] == [b"kept", b"kept too"]
    assert [r.value for r in uncommitted.read()] == [b"kept", b"dropped", b"kept too"]
    producer.begin_transaction()
    producer.produce(topic, b"open", partition=1)
    producer.flush(30)
    assert len(committed.read()) == 2 and len(uncommitted.read()) == 4
    producer.abort_transaction()
    committed.close()
    uncommitted.close()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_broker_comes_back_with_its_data_while_a_feed_goes_on(broker, end):
    topic = kafka.create_topic(broker, kafka.unique("again"), 2)
    feed = kafka.Feed(broker, topic, kafka_ticks.events(0, 20_000, 2), rate=4_000)
    try:
        weir.eventually(lambda: feed.producer.acknowledged > 2_000, 20, "the feed")
        getattr(broker, end)()
        assert feed.running()
    finally:
        if broker.process is None:
            broker.start()
    assert feed.finish() == 20_000
    found = kafka.per_partition(kafka.read(broker, topic))
    assert [[json.loads(r.value)["i"] for r in found[p]] for p in (0, 1)] == [
        list(range(0, 20_000, 2)),
        list(range(1, 20_000, 2)),
    ]


ORPHAN = """
import sys, pathlib, time
sys.path.insert(0, {tests!r})
from oracle import kafka_broker
broker = kafka_broker.Broker(pathlib.Path({directory!r})).start()
print(broker.process.pid, flush=True)
sys.stdin.read()
"""


def test_broker_does_not_outlive_a_killed_test_run(tmp_path):
    script = ORPHAN.format(tests=str(weir.ROOT / "tests"), directory=str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
    finally:
        parent.kill()
        parent.wait()

    def gone():
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    weir.eventually(gone, 10, "the end of the broker")


def test_flights_in_kafka_are_those_that_duckdb_reads(broker, flight_files):
    """The topic is the oracle's input, byte by byte, so a difference in results is a difference in computing."""
    files = flight_files([2], 8, "late", split="flight")
    job = kafka_flights.Job(broker, files, out_of_orderness_s=LATE_S)
    assert job.produce("zstd") == job.event_count + 8 == 24_951 + 8
    found = kafka.per_partition(kafka.read(broker, job.topic))
    assert sorted(found) == list(range(8))
    for partition, path in enumerate(files):
        lines = path.read_bytes().splitlines()
        assert [r.value for r in found[partition][:-1]] == lines
        assert [json.loads(line)["seq"] for line in lines] == [r.offset for r in found[partition][:-1]]
        assert (
            found[partition][-1].key == b"push" and found[partition][0].key == json.loads(lines[0])["carrier"].encode()
        )


def test_windows_of_the_last_flights_end_before_the_bound_of_the_checker(broker, flight_files):
    files = flight_files([12], 8, "late", split="flight")
    for pipeline in kafka_flights.FEW:
        connection = duck.connect(files)
        bounded = duck.want(connection, pipeline, LATE_S, kafka_flights.CLOSED_BEFORE_MS)
        assert set(bounded) == set(duck.want(connection, pipeline, LATE_S))


# The checker, on results made by hand: it passes the right ones and names each kind of wrong one


def history(pipeline, wanted):
    """What a weir without faults would send: a final of each window, then an update per late event."""
    found = []
    for (start, key), (values, revision, on_time) in wanted.items():
        names = [path.split(".")[-1] for path in pipeline.key]
        for late in range(revision + 1):
            if late == 0 and on_time == 0:
                continue
            own = dict(zip(pipeline.aggregates, values, strict=True))
            if "n" in own:
                own["n"] = on_time + late
            found.append(
                {
                    "id": f"{pipeline.name}|{json.dumps(key)}|{start}",
                    "pipeline": pipeline.name,
                    "window_start": start,
                    "window_end": start + pipeline.size_s * 1000,
                    "key": dict(zip(names, key, strict=True)),
                    "values": own,
                    "emit": "update" if late else "final",
                    "revision": late,
                    "receipt": {"on_time": on_time, "late_accepted": late},
                }
            )
    return found


@pytest.fixture(scope="module")
def right(flight_files):
    connection = duck.connect(flight_files([1], 8, "late", split="flight"))
    wanted = duck.want(connection, BY_DAY, LATE_S)
    records = history(BY_DAY, wanted)
    assert sum(r["revision"] > 0 for r in records) > 10
    return wanted, records


def faults_of(right, change, once=True):
    wanted, records = right
    changed = copy.deepcopy(records)
    changed = change(changed) or changed
    found = exactly_once.judge(BY_DAY, wanted, changed, once).found
    return {kind for kind, what in found.items() if what}


def last(records, of=lambda r: True):
    """The newest record of an id, so that a change of it is not hidden by another."""
    best = exactly_once.newest(records)
    return next(r for r in best.values() if of(r))


def drop(records, victim):
    return [r for r in records if r is not victim]


def test_checker_passes_a_right_history_in_any_order(right):
    assert faults_of(right, lambda records: None) == set()
    assert faults_of(right, lambda records: records[::-1]) == set()
    assert exactly_once.complete(*right)


def test_checker_passes_repeats_only_where_they_are_allowed(right):
    assert faults_of(right, lambda records: records + records[:10]) == {"twice"}
    assert faults_of(right, lambda records: records + records[:10], once=False) == set()


def add(name, by=1):
    def change(records):
        last(records)["values"][name] += by

    return change


def set_of_last(of=lambda r: True, **changes):
    def change(records):
        last(records, of).update(changes)

    return change


def receipt(records, **changes):
    last(records)["receipt"].update(changes)


UNKNOWN = {"window_start": 0, "window_end": 900_000}
WRONG = {
    "a_result_lost": ({"missing"}, lambda rs: drop(rs, last(rs, lambda r: r["revision"] == 0))),
    "a_late_update_lost": ({"missing"}, lambda rs: drop(rs, last(rs, lambda r: r["revision"] > 0))),
    "all_lost": ({"missing"}, lambda rs: [rs[0]]),
    "an_event_counted_twice": ({"wrong"}, add("n")),
    "another_sum": ({"wrong"}, add("sum", 100)),
    "an_event_too_many_by_the_receipt_too": (
        {"wrong"}, lambda rs: (receipt(rs, on_time=10_000), add("n")(rs)) and None),
    "a_revision_that_cannot_be": ({"wrong"}, lambda rs: last(rs).update(revision=99) or receipt(rs, late_accepted=99)),
    "a_window_of_nothing": ({"unknown", "missing"}, set_of_last(**UNKNOWN)),
    "still_early": ({"missing"}, lambda rs: [{**r, "emit": "early"} for r in rs]),
    "an_id_for_the_window_of_another": (
        {"twice"}, lambda rs: rs + [{**last(rs), "id": "another"}]),
    "another_length": ({"wrong"}, lambda rs: last(rs).update(window_end=last(rs)["window_end"] + 1)),
    "an_aggregate_missing": ({"wrong"}, lambda rs: last(rs)["values"].pop("sum") and None),
    "a_wrong_state_that_a_right_one_replaced": (
        {"wrong", "twice"},
        lambda rs: rs + [{**rs[0], "values": {**rs[0]["values"], "n": 0}, "emit": "final"}]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_checker_names(right, name):
    kinds, change = WRONG[name]
    assert faults_of(right, change) == kinds


def test_checker_of_ticks_knows_their_windows():
    count = 12_345
    wanted = kafka_ticks.wanted(count)
    assert sum(on_time for _, _, on_time in wanted.values()) == count
    events = [json.loads(kafka_ticks.event(i, 8).value) for i in range(count)]
    for (start, (key,)), ((n, total), _, _) in list(wanted.items())[::37]:
        mine = [e["i"] for e in events if start <= e["ts"] < start + 1000 and e["k"] == key]
        assert (n, total) == (len(mine), sum(mine))


def test_checker_reads_a_result_topic_and_sees_only_what_was_committed(broker, flight_files):
    """A job without weir: its results sent by hand, once with a dead transaction between them, once with a repeat."""
    results = kafka.create_topic(broker, kafka.unique("results"), 3)
    job = kafka_flights.Job(
        broker, flight_files([1], 8, "late", split="flight"), [BY_DAY], LATE_S, result_topic=results
    )
    producer = confluent_kafka.Producer(kafka.settings(broker, transactional_id=kafka.unique("id")))
    producer.init_transactions(30)

    def send(records, end):
        producer.begin_transaction()
        for record in records:
            producer.produce(results, json.dumps(record), json.dumps(record["key"]))
        end()

    right = history(BY_DAY, job.wanted[BY_DAY.name])
    send(right[:500], producer.commit_transaction)
    send(right[:700], lambda: (producer.flush(30), producer.abort_transaction()))
    send(right[500:], producer.commit_transaction)
    assert job.check_topic(once=True) == len(job.wanted[BY_DAY.name])
    send(right[7:8], producer.commit_transaction)
    with pytest.raises(AssertionError, match="1 twice, 0 wrong"):
        weir.eventually(lambda: job.check_topic(once=True) is None, 10, "the repeat")
    job.check_topic(once=False)


def test_store_is_read_as_the_http_api_serves_it(make_server):
    """The checker's way past the API sees the same records, so a fault of either shows."""
    server = make_server(
        {
            "sources": {"s": {"http": {}, "time": "ts", "max_out_of_orderness": "0s"}},
            "pipelines": {
                "p": {"from": "s", "key": ["k"], "window": {"tumbling": "1s"}, "aggregates": {"n": "count()"}}
            },
        }
    )
    server.accept("s", [{"ts": kafka_ticks.T0 + i * 10, "k": i % 7} for i in range(1000)])
    rows = weir.eventually(lambda: (lambda r: r if len(r) >= 63 else None)(server.results("p")), 10, "results")
    assert sorted(exactly_once.stored(server.data_dir)["p"], key=lambda r: r["id"]) == sorted(
        rows, key=lambda r: r["id"]
    )
    assert server.terminate() == 0
    assert len(exactly_once.stored(server.data_dir)["p"]) >= len(rows)

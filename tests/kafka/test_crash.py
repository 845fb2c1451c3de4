"""Death at any moment, and death by sleep: no result is missing, none is there twice, none is wrong.

The checker is outside: a consumer that reads what is committed, and SQLite's own library on the store's file.
"""

import random
import signal
import threading
import time

import pytest
from oracle import exactly_once, kafka, kafka_flights, kafka_ticks, weir
from oracle.kafka import LONG

MONTHS = tuple(range(1, 13)) if LONG else (1,)
LATE_S = kafka_flights.LATE_OUT_OF_ORDERNESS_S
# protocol, kills, and seconds from kill to kill, for which the flights have to last. A member of the consumer protocol that died
# holds its partitions until its session ends.
KILLS = {"classic": (60, 4.0), "consumer": (20, 10.0)} if LONG else {"classic": (8, 2.5), "consumer": (2, 9.0)}
CRASH_POINTS = [
    "kafka_before_commit",
    "kafka_after_commit",
    "txn_before_commit",
    "txn_after_offsets",
    "txn_after_commit",
    "dlq_before_flush",
    "store_before_commit",
    "store_after_rows",
    "store_after_commit",
]


def counted(server, source="flights"):
    """Events taken since the process began; 0 while it does not answer."""
    try:
        answer = server.get(f"/api/v1/sources/{source}")
    except OSError:
        return 0
    return answer.json()["counters"]["in"] if answer.status == 200 else 0


def member(protocol, name):
    """A static member of a classic group is replaced at once when it comes back."""
    return {"group_instance_id": kafka.unique(name)} if protocol == "classic" else {}


def make_job(broker, files):
    results = kafka.create_topic(broker, kafka.unique("results"), 3)
    return kafka_flights.Job(broker, files, out_of_orderness_s=LATE_S, result_topic=results)


def config_of(job, protocol, name="member", **sink):
    config = job.config(sink={"transactional": True, **sink})
    config["sources"]["flights"]["kafka"] = kafka_flights.kafka_source(
        job.broker, [job.topic], job.group, protocol, **member(protocol, name)
    )
    return config


@pytest.mark.parametrize("protocol", KILLS)
def test_kills_at_random_under_load(broker, make_server, flight_files, seed, protocol):
    kills, pace_s = KILLS[protocol]
    rng = random.Random(seed)
    job = make_job(broker, flight_files(MONTHS, 8, "late", split="flight"))
    server = make_server(config_of(job, protocol))
    rate = job.event_count / (kills * pace_s)
    idle, begin = 0, time.monotonic()
    with job.feed(rate) as feed:
        for _ in range(kills):
            if rng.random() < 0.3:  # at any moment of starting, recovering and joining
                threading.Event().wait(rng.uniform(0, 1.0))
                idle += counted(server) == 0
            else:
                more = rng.randint(1, int(rate))
                seen = counted(server)
                weir.eventually(lambda: counted(server) > seen + more, 60, "events")  # noqa: B023
            assert feed.running(), "all flights were produced before the last kill: no load"
            server.kill()
            server.start(wait=False)
    took_s = time.monotonic() - begin
    feed.finish()
    in_topic = job.check_topic(once=True, timeout_s=180)
    in_store = job.check_store(server, timeout_s=60)
    assert server.terminate(10) == 0
    job.check_topic(once=True)  # nothing was added on the way out
    print(
        f"{protocol}: {kills} kills in {took_s:.0f} s ({idle} before the first event), {job.event_count} events at {rate:.0f}/s, "
        f"{in_topic} results in the topic, {in_store} in the store: 0 missing, 0 twice, 0 wrong; seed {seed}"
    )


GARBAGE_EVERY = 200
COUNT = 20_000


def ticks_with_garbage(begin, end):
    for record in kafka_ticks.events(begin, end, 4):
        yield record
        i = int(record.value.rsplit(b":", 1)[1][:-1])
        if i % GARBAGE_EVERY == 0:
            yield kafka.Record(record.partition, b"garbage %d" % i)


def check_dead_letters(broker, topic):
    """Each bad record is there, at least once: repeats can be told by their place."""
    reader = kafka.Reader(broker, topic)
    want = {b"garbage %d" % i for i in range(0, COUNT, GARBAGE_EVERY)}
    try:
        weir.eventually(lambda: {r.value for r in reader.read()} >= want, 30, "dead letters", interval_s=0.2)
        places = {(r.header("weir.partition"), r.header("weir.offset")) for r in reader.records}
        assert {r.value for r in reader.records} == want and len(places) == len(want)
    finally:
        reader.close()


@pytest.mark.parametrize("nth", [1, 2, 7] if LONG else [2])
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_crash_at_each_point_of_the_commit_path(broker, make_server, point, nth):
    topic = kafka.create_topic(broker, kafka.unique("crash"), 4)
    dead = kafka.create_topic(broker, f"{topic}.dlq")
    results = kafka.create_topic(broker, kafka.unique("results"), 2)
    source = kafka_flights.kafka_source(broker, [topic], kafka.unique("group"), **member("classic", "member"))
    # Where a transaction commits the offsets, the consumer does not.
    transactional = not point.startswith("kafka_")
    sinks = {"out": kafka_flights.kafka_sink(broker, results, transactional=transactional)}
    server = make_server(kafka_ticks.config(source, sinks), start=False)
    with kafka.Feed(broker, topic, [*ticks_with_garbage(0, COUNT), *kafka_ticks.pushes(4)], rate=COUNT / 4) as feed:
        server.start(wait=False, env={"WEIR_CRASH_AT": f"{point}:{nth}"})
        code = server.wait_exit(40)
        assert code == -signal.SIGKILL, f"the process passed {point} {nth} times without dying; exit {code}"
        server.start()
    feed.finish()
    kafka_ticks.check_topic(broker, results, COUNT, once=transactional, timeout_s=90)
    kafka_ticks.check_store(server, COUNT)
    check_dead_letters(broker, dead)
    assert server.terminate(10) == 0
    kafka_ticks.check_topic(broker, results, COUNT, once=transactional)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_nothing_of_a_zombie_is_accepted(broker, make_server, flight_files, protocol):
    """SIGSTOP for longer than the session; another process takes over; SIGCONT: the first finds that the world has moved on."""
    job = make_job(broker, flight_files((1,), 8, "late", split="flight"))
    # As two processes of one group are configured that nobody gave names of their own.
    config = config_of(job, protocol)
    config["sources"]["flights"]["kafka"].pop("group_instance_id", None)
    first = make_server(config)
    second = None
    with job.feed(job.event_count / 30) as feed:
        try:
            weir.eventually(lambda: counted(first) > 1000, 30, "events in the first")
            stopped = time.monotonic()
            first.process.send_signal(signal.SIGSTOP)
            second = make_server(config, start=False)
            second.start(wait=False)

            def taken_over():
                state, members = kafka.members(broker, job.group)
                return state == "STABLE" and list(members.values()) == [8]

            # That also says that the session of the first has ended, which began with its last heartbeat.
            weir.eventually(taken_over, 60, "the second process alone in the group", interval_s=0.2)
            weir.eventually(lambda: counted(second) > 1000, 60, "events in the second")
            slept_s = time.monotonic() - stopped
            assert feed.running(), "all flights were produced before the first woke up"
            first.process.send_signal(signal.SIGCONT)
            weir.eventually(
                lambda: sorted(kafka.members(broker, job.group)[1].values()) in ([4, 4], [3, 5]), 60, "the first back"
            )
        finally:
            if first.running():
                first.process.send_signal(signal.SIGCONT)
    feed.finish()
    count = job.check_topic(once=True, timeout_s=120, history=False)
    job.check_store(first, second, timeout_s=60)
    for server in (first, second):
        assert server.running(), server.stderr()[-2000:]
        assert server.terminate(10) == 0
    job.check_topic(once=True, history=False)
    print(f"{protocol}: slept {slept_s:.1f} s; {count} results, none of them the zombie's")


def test_another_node_goes_on_without_the_data_of_the_first(broker, make_server, flight_files):
    """kill -9, and the machine with its disk is gone: a process with an empty data_dir goes on from what Kafka knows."""
    job = make_job(broker, flight_files((1,), 8, "late", split="flight"))
    config = config_of(job, "classic")
    first = make_server(config)
    with job.feed(job.event_count / 10) as feed:
        weir.eventually(lambda: counted(first) > job.event_count / 3, 30, "events in the first")
        first.kill()
        second = make_server(config)
    feed.finish()
    job.check_topic(once=True, timeout_s=120, history=False)
    assert exactly_once.stored(first.data_dir) and exactly_once.stored(second.data_dir)
    job.check_store(first, second)

"""Windows over windows of a topic: exact when a process dies, without its data, and when two share the work."""

import random

import pytest
from oracle import kafka, kafka_flights, kafka_ticks, weir

PARTITIONS = 4
COUNT = 400_000
LARGE_MS = 10_000
KILLS = 4


def make_config(broker, topic, group, results):
    """The ticks' pipeline of a second, and one over it of ten."""
    source = kafka_flights.kafka_source(broker, [topic], group, "classic")
    sinks = {"out": kafka_flights.kafka_sink(broker, results, transactional=True)}
    config = kafka_ticks.config(source, sinks)
    config["pipelines"]["large"] = {
        "from": "p",
        "window": {"tumbling": f"{LARGE_MS // 1000}s"},
        "aggregates": {"windows": "count()", "n": "sum(values.n)", "sum": "sum(values.sum)"},
        "to": ["store", "out"],
    }
    return config


def wanted_large():
    """{window start: values} from the formula of the ticks."""
    rows = {}
    for (start, _), ((n, total), _, _) in kafka_ticks.wanted(COUNT).items():
        row = rows.setdefault(start // LARGE_MS * LARGE_MS, [0, 0, 0])
        row[0] += 1
        row[1] += n
        row[2] += total
    return rows


def check(broker, results):
    """Each result is in the topic once, as who reads what is committed sees it."""
    reader = kafka.Reader(broker, results)

    def large():
        records = [weir.json.loads(r.value) for r in reader.read()]
        return [r for r in records if r["pipeline"] == "large" and r["window_end"] <= kafka_ticks.BEFORE_MS]

    wanted = wanted_large()
    try:
        weir.eventually(lambda: len(large()) >= len(wanted), 90, "the large windows", interval_s=0.25)
        found = large()
    finally:
        reader.close()
    assert len({r["id"] for r in found}) == len(found) == len(wanted)
    assert {r["window_start"]: list(r["values"].values()) for r in found} == wanted


def counted(server):
    answer = server.get("/api/v1/sources/s")
    return answer.json()["counters"]["in"] if answer.status == 200 else 0


@pytest.fixture
def job(broker):
    topic = kafka.create_topic(broker, kafka.unique("chain"), PARTITIONS)
    results = kafka.create_topic(broker, kafka.unique("results"), 2)
    config = make_config(broker, topic, kafka.unique("group"), results)
    config["sources"]["s"]["kafka"]["group_instance_id"] = kafka.unique("member")
    events = [*kafka_ticks.events(0, COUNT, PARTITIONS), *kafka_ticks.pushes(PARTITIONS)]
    return config, results, topic, events


def test_a_chain_is_exact_after_kills_at_random(broker, make_server, job, seed):
    rng = random.Random(seed)
    config, results, topic, events = job
    server = make_server(config)
    with kafka.Feed(broker, topic, events, rate=COUNT / 20) as feed:
        for _ in range(KILLS):
            seen, more = counted(server), rng.randint(1, COUNT // 10)
            weir.eventually(lambda: counted(server) > seen + more, 60, "events")  # noqa: B023
            server.kill()
            server.start()
    feed.finish()
    check(broker, results)


def test_a_chain_goes_on_in_a_process_without_the_data_of_the_one_before(broker, make_server, job):
    config, results, topic, events = job
    first = make_server(config)
    with kafka.Feed(broker, topic, events, rate=COUNT / 15) as feed:
        weir.eventually(lambda: counted(first) > COUNT // 3, 60, "a third of the events")
        first.kill()
        make_server(config)
    feed.finish()
    check(broker, results)


def test_two_processes_share_a_chain(broker, make_server, job):
    config, results, topic, events = job
    del config["sources"]["s"]["kafka"]["group_instance_id"]
    first, second = make_server(config), make_server(config, start=False)
    with kafka.Feed(broker, topic, events, rate=COUNT / 25) as feed:
        weir.eventually(lambda: counted(first) > COUNT // 6, 60, "events in the first")
        second.start()
        weir.eventually(lambda: counted(second) > COUNT // 10, 60, "events in the second")
        first.terminate(10)
    feed.finish()
    check(broker, results)

"""The Kafka cases: a real broker of one node, a topic that is filled once, and whatever reads it.

The broker shares the machine but not the figures: CPU-seconds are those of the reading process, its start included. Each figure is the
median of REPEATS runs, and runs of weir and of its peers take turns.
"""

import atexit
import contextlib
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile

from measure import AGGREGATES, PROGRAMS, ROOT, SCRATCH, Failed, Row, Server, run_json, wait_until

sys.path.insert(0, str(ROOT / "tests"))

REPEATS = 3
PARTITIONS = 8
EVENTS, QUICK_EVENTS = 5_000_000, 2_000_000
EVENT_US = 60  # of event time, between two events: see kafka_load.c
WINDOW_US = 10_000_000
USER, COUNTRY = "user_id", "properties.country"
TOPIC = "bench-events"
SECONDS, WARM_UP_SECONDS, QUIET_MS = 10, 2, 5000
RATES = [20_000, 40_000, 80_000, 160_000, 320_000]  # events per second
KEPT_UP_MS = 500
EVENTS_SUBSCRIPTION = '{"type":"subscribe","data":{"type":"events"}}'
# A broker that lives for minutes: compiled well, unlike that of the tests.
JVM = ["-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-XX:-UsePerfData"]


class Cluster:
    """The broker of a run, started when the first case needs it, and its topics."""

    def __init__(self):
        self.broker = None
        self.events = EVENTS
        self.numbers = itertools.count(1)
        self.topics = set()

    def start(self):
        from oracle import kafka_broker  # needs jars and Java, which cases without Kafka do not

        SCRATCH.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(dir=SCRATCH, prefix="broker-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        kafka_broker.JVM = JVM
        self.broker = kafka_broker.Broker(folder)
        atexit.register(self.broker.close)
        self.broker.start()

    @property
    def address(self):
        if self.broker is None:
            self.start()
        return self.broker.address

    def unique(self, name):
        return f"{name}-{next(self.numbers)}"

    def create(self, name):
        from oracle import kafka

        self.address  # noqa: B018 - starts the broker
        kafka.create_topic(self.broker, name, PARTITIONS)
        self.topics.add(name)
        return name

    def loaded(self):
        """The topic of the job, filled on first use."""
        if TOPIC not in self.topics:
            self.create(TOPIC)
            self.load(TOPIC, self.events)
        return TOPIC

    def load(self, topic, count, *rate):
        return run_json([PROGRAMS / "kafka_load", self.address, topic, count, *rate])


cluster = Cluster()


def source(topic, **kafka):
    settings = {"brokers": [cluster.address], "topics": [topic], "group": cluster.unique("bench"), **kafka}
    return {"kafka": settings, "time": "timestamp", "max_out_of_orderness": "2s", "idle_timeout": "1h"}


def job_config(key, shards=1, to=("hole",), sinks=None):
    return {
        "engine": {"shards": shards},
        "sources": {"events": source(cluster.loaded())},
        "pipelines": {
            "job": {
                "from": "events",
                "key": [key],
                "window": {"tumbling": "10s"},
                "aggregates": AGGREGATES,
                "to": list(to),
            }
        },
        "sinks": {"hole": {"blackhole": {}}} if sinks is None else sinks,
    }


def settle(server):
    """CPU seconds of the server once it has nothing left to do."""
    readings = [server.cpu_seconds()]

    def is_quiet():
        readings.append(server.cpu_seconds())
        return readings[-1] - readings[-2] <= 0.01

    wait_until(is_quiet, "the server did not come to rest", 0.25)
    return readings[-1]


def run_job(key, **options):
    """Reads the whole topic. Returns events per CPU-second of the server, everything of it included."""
    config = job_config(key, **options)
    with Server(config) as server:
        wait_until(lambda: server.accounted("events") >= cluster.events, "the topic was not read to its end", 0.1)
        cpu = settle(server)
        if server.accounted("events") != cluster.events:
            raise Failed(f"{server.accounted('events')} events accounted for, {cluster.events} in the topic")
        check_results(key, server.get("/api/v1/pipelines/job")["counters"]["results"])
    return cluster.events / cpu


def check_results(key, made):
    """Every window but the last ones, which stay open, has a result for nearly all countries, or for four of five users."""
    windows = cluster.events * EVENT_US // WINDOW_US - 1
    expected = windows * (50 if key == COUNTRY else 81_100)
    if not 0.95 * expected <= made <= 1.1 * expected:
        raise Failed(f"{made} results by {key}, about {expected} were expected")


def count_only():
    """A librdkafka consumer that counts. Returns events per CPU-second."""
    command = [PROGRAMS / "kafka_count", cluster.address, cluster.loaded(), PARTITIONS, cluster.events]
    return cluster.events / run_json(command)["cpu_seconds"]


def medians(*runs, repeats=REPEATS):
    """The median of each function's results; the functions take turns."""
    turns = [[run() for run in runs] for _ in range(repeats)]
    return [statistics.median(turn) for turn in zip(*turns, strict=True)]


def duckdb_batches(key):
    command = [sys.executable, ROOT / "bench/kafka_duckdb.py", cluster.address, cluster.loaded(), PARTITIONS]
    report = run_json([*command, cluster.events, key])
    if report["counted"] != cluster.events:
        raise Failed(f"the micro-batches counted {report['counted']} of {cluster.events} events")
    return cluster.events / report["cpu_seconds"]


def kafka_sink():
    return {"out": {"kafka": {"brokers": [cluster.address], "topic": cluster.create(cluster.unique("results"))}}}


def kafka():
    """Kafka to windows, beside a librdkafka consumer that only counts."""
    floor = "librdkafka consumer, only counts"
    jobs = (
        ("per user (one result for two events), blackhole", 0.6, lambda: run_job(USER)),
        ("per user, two shards", None, lambda: run_job(USER, shards=2)),
        ("per country (few results), blackhole", 0.7, lambda: run_job(COUNTRY)),
        ("per user, SQLite store", None, lambda: run_job(USER, to=["store"], sinks={})),
        ("per user, Kafka sink", None, lambda: run_job(USER, to=["out"], sinks=kafka_sink())),
    )
    figures = medians(count_only, *(run for _, _, run in jobs))
    for (title, goal, _), figure in zip(jobs, figures[1:], strict=True):
        yield Row(f"Kafka {title}", figure / 1e3, floor, figures[0] / 1e3, goal=goal)


def kafka_duckdb():
    """Kafka to windows, beside micro-batches of confluent-kafka and DuckDB."""
    for key, title in ((USER, "user"), (COUNTRY, "country")):
        weir, peer = medians(lambda key=key: run_job(key), lambda key=key: duckdb_batches(key))
        yield Row(f"Kafka per {title}, blackhole", weir / 1e3, "confluent-kafka + DuckDB", peer / 1e3, goal=4)


# --- latency ---------------------------------------------------------------------------------------------------------


def deliver(port, topic, rate, subscription=()):
    """Sends events at a fixed rate while a client listens. Returns the client's report."""
    count = rate * SECONDS
    command = [PROGRAMS / "ws_latency", port, count, rate * WARM_UP_SECONDS, QUIET_MS, *subscription]
    client = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    try:
        json.loads(client.stdout.readline())
        cluster.load(topic, count, rate)
        report = json.loads(client.stdout.readline())
    finally:
        client.kill()
        client.wait()
    return report | {"sent": count}


@contextlib.contextmanager
def weir_path(topic):
    """weir between the topic and its `events` subscribers; the job is computed beside that."""
    config = job_config(COUNTRY)
    config["sources"]["events"] = source(topic, profile="low_latency", start="latest")
    with Server(config) as server:

        def is_reading():
            state = server.get("/api/v1/sources/events")["kafka"]
            return state["joined"] and state["group_partitions"] == PARTITIONS

        wait_until(is_reading, "the consumer did not join its group", 0.1)
        yield lambda rate: deliver(server.port, topic, rate, [EVENTS_SUBSCRIPTION])


@contextlib.contextmanager
def relay_path(topic):
    def measure(rate):
        command = [str(word) for word in (PROGRAMS / "kafka_relay", cluster.address, topic, PARTITIONS)]
        relay = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            return deliver(json.loads(relay.stdout.readline())["port"], topic, rate)
        finally:
            relay.kill()
            relay.wait()

    yield measure


def is_kept_up(report):
    return report["events"] == report["sent"] and report["p99_ms"] < KEPT_UP_MS


def highest_rate(measure):
    """The highest of RATES that is delivered whole and without a growing delay."""
    highest = 0
    for rate in RATES:
        if not is_kept_up(measure(rate)):
            break
        highest = rate
    return highest


def kafka_latency():
    """Producer to WebSocket client, open loop: weir's `events` beside a bare relay."""
    topic = cluster.create(cluster.unique("latency"))
    with weir_path(topic) as weir, relay_path(topic) as relay:
        highest = highest_rate(weir)
        yield Row("Kafka to WebSocket, highest rate kept up with", highest / 1e3, unit="k events per second")
        for rate in sorted({10_000, highest // 2}):
            turns = [(weir(rate), relay(rate)) for _ in range(REPEATS)]
            if lost := sum(ours["sent"] - ours["events"] for ours, _ in turns):
                raise Failed(f"{lost} events did not arrive at {rate} per second")
            for name, title in (("p50_ms", "p50"), ("p99_ms", "p99"), ("p999_ms", "p99.9")):
                ours, theirs = (statistics.median(report[name] for report in side) for side in zip(*turns, strict=True))
                yield Row(
                    f"Kafka to WebSocket, {rate // 1000}k/s, {title}",
                    ours,
                    "bare relay",
                    theirs,
                    "ms",
                    lower_is_better=True,
                )

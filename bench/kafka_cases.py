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

from measure import PROGRAMS, ROOT, SCRATCH, Failed, Server, run_json, wait_until

sys.path.insert(0, str(ROOT / "tests"))

REPEATS = 3
PARTITIONS = 8
EVENTS, QUICK_EVENTS = 5_000_000, 2_000_000
EVENT_US = 60  # of event time, between two events: see kafka_load.c
WINDOW_US = 10_000_000
USER, COUNTRY = "user_id", "properties.country"
TOPIC = "bench-events"
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
    from cases import AGGREGATES

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


def results_of(server):
    """Results that the pipeline has made, and those that the slowest sink has taken."""
    made = server.get("/api/v1/pipelines/job")["counters"]["emitted_final"]
    sinks = server.get("/api/v1/sinks")["sinks"]
    return made, min(sink["counters"]["written"] for sink in sinks)


def run_job(key, **options):
    """Reads the whole topic. Returns events per CPU-second of the server, everything of it included."""
    with Server(job_config(key, **options)) as server:

        def finished():
            return server.accounted("events") >= cluster.events

        wait_until(finished, "the topic was not read to its end", 0.1)
        wait_until(lambda: len(set(results_of(server))) == 1, "the results did not all arrive", 0.1)
        cpu = server.cpu_seconds()
        if server.accounted("events") != cluster.events:
            raise Failed(f"{server.accounted('events')} events accounted for, {cluster.events} in the topic")
    return cluster.events / cpu


def count_only():
    """A librdkafka consumer that counts. Returns events per CPU-second."""
    command = [PROGRAMS / "kafka_count", cluster.address, cluster.loaded(), PARTITIONS, cluster.events]
    return cluster.events / run_json(command)["cpu_seconds"]


def medians(*runs, repeats=REPEATS):
    """The median of each function's results; the functions take turns."""
    turns = [[run() for run in runs] for _ in range(repeats)]
    return [statistics.median(turn) for turn in zip(*turns, strict=True)]

"""The flights as Kafka topics, and jobs over them whose results DuckDB knows.

A partition of a topic is a file of oracle.flights: same events, same order. After the last flight a `push` in each partition
moves event time on, so that every window of the year closes by event time and none by the clock.
"""

import itertools
import json

from . import duck, exactly_once, kafka
from .flight_pipelines import OUT_OF_ORDERNESS_S, PIPELINES, config_of

PARTITIONS = 8
PUSH = "2014-06-01T00:00:00Z"
CLOSED_BEFORE_MS = 1_391_212_800_000  # 2014-02-01: all windows with flights in them, none with a push
LATE_OUT_OF_ORDERNESS_S = 3_600  # for the disorder "late" of oracle.flights


def lines_in_turn(files):
    """(partition, line) with the partitions taking turns, as if they were produced together."""
    opened = [path.read_bytes().splitlines() for path in files]
    for turn in itertools.zip_longest(*opened):
        for partition, line in enumerate(turn):
            if line is not None:
                yield partition, line


def records(files):
    for partition, line in lines_in_turn(files):
        carrier = line.split(b'"carrier":"', 1)[1].split(b'"', 1)[0]
        yield kafka.Record(partition, line, carrier)


def pushes(partitions=PARTITIONS):
    line = json.dumps({"ts": PUSH, "carrier": "push"}).encode()
    return [kafka.Record(partition, line, b"push") for partition in range(partitions)]


def everything(files):
    return itertools.chain(records(files), pushes(len(files)))


def pipelines_named(*names):
    return [p for p in PIPELINES if p.name in names]


# Of small results (a few thousand), one with late updates, one with doubles; for runs in which speed is not the question.
FEW = pipelines_named("by_carrier_a_day", "an_hour_of_grace", "speed")


def kafka_source(broker, names, group, protocol="classic", **others):
    """The `kafka` part of a source over topics of these names. Sessions are short; the consumer protocol takes them from the broker."""
    source = {"brokers": [broker.address], "topics": names, "group": group, "start": "earliest"}
    if protocol != "classic":
        source["group_protocol"] = protocol
    else:
        source["session_timeout"] = "6s"
    return {**source, **others}


def kafka_sink(broker, topic, **others):
    return {"kafka": {"brokers": [broker.address], "topic": topic, **others}}


class Job:
    """Flights from a topic through pipelines into the store and, when asked, a result topic; with DuckDB's answers."""

    def __init__(
        self, broker, files, pipelines=FEW, out_of_orderness_s=OUT_OF_ORDERNESS_S, result_topic=None, topic=None
    ):
        self.broker, self.files, self.pipelines = broker, files, pipelines
        self.out_of_orderness_s = out_of_orderness_s
        self.topic = topic or kafka.create_topic(broker, kafka.unique("flights"), len(files))
        self.group = kafka.unique("group")
        self.result_topic = result_topic
        connection = duck.connect(files)
        self.connection = connection
        self.event_count = connection.execute("select count(*) from flights").fetchone()[0]
        self.wanted = {p.name: duck.want(connection, p, out_of_orderness_s, CLOSED_BEFORE_MS) for p in pipelines}
        self.reader = None

    def config(self, sink=None, source=None, **engine):
        """`source`: more settings of the Kafka source; `sink`: of the Kafka sink."""
        config = config_of(
            self.pipelines,
            self.out_of_orderness_s,
            {"kafka": kafka_source(self.broker, [self.topic], self.group, **(source or {}))},
        )
        if engine:
            config["engine"] = engine
        if self.result_topic:
            config["sinks"] = {"results": kafka_sink(self.broker, self.result_topic, **(sink or {}))}
            for pipeline in config["pipelines"].values():
                pipeline["to"] = ["store", "results"]
        return config

    def produce(self, codec="none"):
        return kafka.produce(self.broker, self.topic, everything(self.files), codec)

    def feed(self, rate, codec="lz4"):
        return kafka.Feed(self.broker, self.topic, everything(self.files), rate, codec)

    def check(self, fetch, what, once=True, timeout_s=60, history=True):
        count = exactly_once.wait_and_judge(
            fetch, self.pipelines, self.wanted, once, CLOSED_BEFORE_MS, timeout_s, what, history
        )
        print(f"{what}: {count} results equal DuckDB's")
        return count

    def check_store(self, *servers, timeout_s=60):
        """The store of one process must hold each id once and right; those of several are put together by the newest."""
        alone = len(servers) == 1

        def fetch():
            stores = [exactly_once.stored(server.data_dir) for server in servers]
            for store in stores:
                for name, rows in store.items():
                    assert len({row["id"] for row in rows}) == len(rows), f"{name}: an id is stored twice"
            return {
                p.name: list(itertools.chain.from_iterable(store.get(p.name, []) for store in stores))
                for p in self.pipelines
            }

        return self.check(fetch, f"store of {len(servers)} process(es)", alone, timeout_s, alone)

    def check_served(self, server, timeout_s=60):
        return self.check(lambda: exactly_once.served(server, self.pipelines), "HTTP API", True, timeout_s)

    def check_topic(self, once=True, timeout_s=60, history=True):
        """The result topic as another program sees it that reads what is committed."""
        reader = kafka.Reader(self.broker, self.result_topic)
        try:
            return self.check(lambda: exactly_once.sent(reader.read()), "result topic", once, timeout_s, history)
        finally:
            reader.close()

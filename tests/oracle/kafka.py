"""Kafka by an independent client (confluent-kafka): topics, what goes in, what came out.

Nothing here knows weir. Records go to the partition they name, in the order they are given; what is read is read to the end.
"""

import collections
import dataclasses
import itertools
import os
import threading
import time

import confluent_kafka
from confluent_kafka import admin as kafka_admin

from . import weir

LONG = bool(os.environ.get("WEIR_TEST_LONG"))  # full counts instead of a few minutes in all
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
QUIET = {"log_level": 2, "allow.auto.create.topics": False}
DELIVERY_TIMEOUT_S = 180
_numbers = itertools.count(1)


def unique(name):
    """A name of topic, group or id that no other test has."""
    return f"{name}-{next(_numbers)}"


@dataclasses.dataclass
class Record:
    """One record of a topic. `headers` is a list of (name, bytes)."""

    partition: int
    value: bytes
    key: bytes = None
    headers: list = dataclasses.field(default_factory=list)
    timestamp_ms: int = 0  # 0: now
    offset: int = None
    topic: str = None

    def header(self, name):
        """The text of the only header of this name."""
        (value,) = [value for header, value in self.headers if header == name]
        return value.decode()


def check(error, what):
    if error is not None:
        raise AssertionError(f"{what}: {error}")


def settings(broker, **others):
    return {"bootstrap.servers": broker.address, **QUIET, **{k.replace("_", "."): v for k, v in others.items()}}


# Topics and groups ---------------------------------------------------------------------------------------


def administrator(broker):
    return kafka_admin.AdminClient(settings(broker))


def create_topic(broker, name, partitions=1, **config):
    """Makes a topic, and waits until the broker leads all its partitions."""
    client = administrator(broker)
    topic = kafka_admin.NewTopic(name, partitions, 1, config={k.replace("_", "."): str(v) for k, v in config.items()})
    client.create_topics([topic])[name].result(30)
    wait_led(client, name, partitions)
    return name


def wait_led(client, name, partitions):
    def led():
        found = client.list_topics(name, timeout=10).topics[name].partitions
        return len(found) == partitions and all(p.leader == 1 for p in found.values())

    weir.eventually(led, 20, f"topic {name}")


def grow_topic(broker, name, partitions):
    """Gives the topic more partitions, until there are as many."""
    client = administrator(broker)
    client.create_partitions([kafka_admin.NewPartitions(name, partitions)])[name].result(30)
    wait_led(client, name, partitions)


def delete_topic(broker, name):
    client = administrator(broker)
    client.delete_topics([name])[name].result(30)
    weir.eventually(lambda: name not in client.list_topics(timeout=10).topics, 20, f"{name} deleted")


def topic_names(broker):
    return set(administrator(broker).list_topics(timeout=10).topics)


def end_offsets(broker, topic):
    """{partition: offset after the last record}, of open transactions too."""
    client = administrator(broker)
    partitions = client.list_topics(topic, timeout=10).topics[topic].partitions
    wanted = {confluent_kafka.TopicPartition(topic, p): kafka_admin.OffsetSpec.latest() for p in partitions}
    return {place.partition: answer.result(30).offset for place, answer in client.list_offsets(wanted).items()}


def committed(broker, group, topic):
    """{partition: offset} that the group has committed."""
    request = [confluent_kafka.ConsumerGroupTopicPartitions(group)]
    client = administrator(broker)  # lives until the answer has come
    answer = client.list_consumer_group_offsets(request)[group].result(30)
    return {place.partition: place.offset for place in answer.topic_partitions if place.topic == topic}


def members(broker, group):
    """(state, {member id: number of partitions}) of a group."""
    client = administrator(broker)  # lives until the answer has come
    group = client.describe_consumer_groups([group])[group].result(30)
    return group.state.name, {m.member_id: len(m.assignment.topic_partitions) for m in group.members}


# In ------------------------------------------------------------------------------------------------------


class Producer:
    """Idempotent: each record is stored once, in order, also across a restart of the broker."""

    def __init__(self, broker, codec="none", **others):
        self.failures = []
        self.acknowledged = 0
        self.client = confluent_kafka.Producer(
            {
                **settings(broker),
                "enable.idempotence": True,
                "compression.type": codec,
                "linger.ms": 5,
                "message.max.bytes": 8_000_000,
                "queue.buffering.max.messages": 200_000,
                "message.timeout.ms": DELIVERY_TIMEOUT_S * 1000,
                **{k.replace("_", "."): v for k, v in others.items()},
            }
        )

    def _delivered(self, error, _message):
        if error is not None:
            self.failures.append(str(error))
        else:
            self.acknowledged += 1

    def send(self, topic, record):
        while True:
            try:
                return self.client.produce(
                    topic,
                    record.value,
                    record.key,
                    record.partition,
                    on_delivery=self._delivered,
                    timestamp=record.timestamp_ms,
                    headers=record.headers or None,
                )
            except BufferError:
                self.client.poll(0.1)

    def poll(self, timeout_s=0):
        self.client.poll(timeout_s)

    def flush(self):
        left = self.client.flush(DELIVERY_TIMEOUT_S)
        assert not left and not self.failures, f"{left} records not delivered; {self.failures[:3]}"


def produce(broker, topic, records, codec="none"):
    """Returns when the broker has all of them."""
    producer = Producer(broker, codec)
    count = 0
    for count, record in enumerate(records, 1):
        producer.send(topic, record)
        if count % 1000 == 0:
            producer.poll()
    producer.flush()
    return count


class Feed:
    """Produces from a thread at a rate, so that something is always on its way. Survives a broker that goes away.

    In a `with`, an exception stops it; without one it goes on, until `finish`.
    """

    TICK_S = 0.02

    def __init__(self, broker, topic, records, rate, codec="lz4"):
        self.topic, self.records, self.rate = topic, iter(records), rate
        self.producer = Producer(broker, codec)
        self.sent = 0
        self.hurry, self.stopped = threading.Event(), threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            begin = time.monotonic()
            while not self.stopped.is_set():
                due = self.sent + 5000 if self.hurry.is_set() else int((time.monotonic() - begin) * self.rate)
                batch = list(itertools.islice(self.records, max(0, due - self.sent)))
                for record in batch:
                    self.producer.send(self.topic, record)
                self.sent += len(batch)
                self.producer.poll()
                if due > self.sent:
                    break  # no more records
                if not self.hurry.is_set():
                    self.stopped.wait(self.TICK_S)
            self.producer.flush()
        except BaseException as failure:  # noqa: BLE001 (it is raised again where somebody sees it)
            self.failure = failure

    def running(self):
        return self.thread.is_alive() and not self.hurry.is_set()

    def finish(self):
        """Sends what is left as fast as it can, and returns when the broker has all of it."""
        self.hurry.set()
        self.thread.join()
        if self.failure:
            raise self.failure
        return self.sent

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.stopped.set()


# Out -----------------------------------------------------------------------------------------------------


class Reader:
    """Reads a topic from its beginning; `read` goes on to the end as it is now and returns everything so far."""

    def __init__(self, broker, topic, isolation="read_committed"):
        self.broker, self.topic = broker, topic
        self.records = []
        self.client = confluent_kafka.Consumer(
            {
                **settings(broker),
                "group.id": unique("reader"),
                "isolation.level": isolation,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
            }
        )
        partitions = self.client.list_topics(topic, timeout=20).topics[topic].partitions
        assert partitions, f"no topic {topic}"
        self.next = dict.fromkeys(partitions, 0)

    def _ends(self):
        """By its own isolation level: read_committed stops before the first open transaction."""
        place = confluent_kafka.TopicPartition
        return {p: self.client.get_watermark_offsets(place(self.topic, p), 20, cached=False) for p in self.next}

    def read(self, timeout_s=60):
        ends = self._ends()
        left = {p for p, (low, high) in ends.items() if max(self.next[p], low) < high}
        if not left:
            return self.records
        # Anew each time, so that the end of each partition is told again.
        self.client.assign([confluent_kafka.TopicPartition(self.topic, p, self.next[p]) for p in left])
        deadline = time.monotonic() + timeout_s * weir.PATIENCE
        while left:
            assert time.monotonic() < deadline, f"{self.topic}: partitions {sorted(left)} not read to their end"
            for message in self.client.consume(1000, 0.2):
                error = message.error()
                if error is None:
                    self.next[message.partition()] = message.offset() + 1
                    self.records.append(record_of(message))
                elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    self.next[message.partition()] = message.offset()
                    left.discard(message.partition())
        self.client.unassign()
        return self.records

    def close(self):
        self.client.close()


def record_of(message):
    _, timestamp_ms = message.timestamp()
    return Record(
        message.partition(),
        message.value(),
        message.key(),
        list(message.headers() or []),
        timestamp_ms,
        message.offset(),
        message.topic(),
    )


def read(broker, topic, isolation="read_committed"):
    """All records of a topic, to its end as it is now."""
    reader = Reader(broker, topic, isolation)
    try:
        return reader.read()
    finally:
        reader.close()


def per_partition(records):
    """{partition: its records by offset}."""
    places = collections.defaultdict(list)
    for record in records:
        places[record.partition].append(record)
    return {p: sorted(found, key=lambda r: r.offset) for p, found in sorted(places.items())}

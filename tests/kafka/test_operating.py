"""weir topics and weir redrive against a real broker, looked at by an independent client."""

import json
import os
import time

import confluent_kafka
import pytest
from confluent_kafka import admin as kafka_admin
from oracle import kafka, kafka_broker, weir

T0 = 1_700_000_000_000
PRESETS = {
    "high_throughput": {
        "cleanup.policy": "delete",
        "retention.ms": "86400000",
        "segment.ms": "3600000",
        "compression.type": "lz4",
        "min.insync.replicas": "1",
        "unclean.leader.election.enable": "true",
    },
    "high_durability": {
        "cleanup.policy": "delete",
        "retention.ms": "604800000",
        "segment.ms": "86400000",
        "compression.type": "gzip",
        "min.insync.replicas": "1",  # the preset's 2 by hand: there is one broker
        "unclean.leader.election.enable": "false",
    },
}


def topics(*arguments, code=0):
    answer = weir.run("topics", *arguments)
    assert answer.returncode == code, answer
    return answer


def own_settings(broker, topic):
    """What is set on the topic itself."""
    resource = kafka_admin.ConfigResource(kafka_admin.ResourceType.TOPIC, topic)
    client = kafka.administrator(broker)  # lives until the answer has come
    entries = client.describe_configs([resource])[resource].result(30)
    return {
        e.name: e.value for e in entries.values() if e.source == kafka_admin.ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    }


# create ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_is_what_the_broker_then_has(broker, preset):
    name = kafka.unique("preset")
    by_hand = ["--config", "min.insync.replicas=1"] if preset == "high_durability" else []
    text = topics("create", name, "--brokers", broker.address, "--preset", preset, "--partitions", 4, *by_hand).stdout
    assert own_settings(broker, name) == PRESETS[preset]
    assert len(kafka.end_offsets(broker, name)) == 4
    assert f"created {name}: 4 partitions, 1 replica" in text
    assert all(f"{key}={value}" in text for key, value in PRESETS[preset].items())


@pytest.mark.parametrize(
    "options, words",
    [
        (["--replication-factor", "3"], "--replication-factor 3 is more than the 1 broker"),
        (["--preset", "high_durability"], "min.insync.replicas=2"),
        (["--config", "retention.ms=abc"], "abc"),
        (["--config", "no.such=1"], "no.such"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_is_made(broker, options, words):
    name = kafka.unique("refused")
    answer = topics("create", name, "--brokers", broker.address, *options, code=1)
    assert words in answer.stderr and answer.stdout == ""
    assert name not in kafka.topic_names(broker)


def test_topic_that_exists_is_left_alone(broker):
    name = kafka.create_topic(broker, kafka.unique("there"), 2)
    again = ["create", name, "--brokers", broker.address, "--partitions", 5, "--config", "retention.ms=1000"]
    assert "--if-not-exists" in topics(*again, code=1).stderr
    made = json.loads(topics(*again, "--if-not-exists", "--format", "json").stdout)["topics"]
    assert made == [{"name": name, "created": False, "partitions": 2, "replication_factor": 1, "config": {}}]
    assert len(kafka.end_offsets(broker, name)) == 2 and own_settings(broker, name) == {}


def source(broker, *names, **others):
    return {"kafka": {"brokers": [broker.address], "topics": list(names), **others}, "time": "ts"}


def job(tmp_path, events, sources=None):
    return {
        "data_dir": str(tmp_path / "data"),
        "sources": {"events": events, **(sources or {})},
        "pipelines": {"p": {"from": "events", "window": {"tumbling": "10s"}, "aggregates": {"n": "count()"}}},
    }


def test_defaults_are_the_products_topics_and_those_of_the_config(broker, tmp_path):
    name, other, letters = kafka.unique("own"), kafka.unique("other"), kafka.unique("letters")
    sources = {"b": source(broker, other, dead_letter_topic=letters), "c": source(broker, "^x.*")}
    path = weir.write_config(tmp_path, job(tmp_path, source(broker, name), sources))
    topics("create", path, "--defaults", "--if-not-exists")
    default = {"analytics-events", "streaming-metrics", "streaming-alerts", "ml-predictions", "analytics-events.dlq"}
    assert default | {name, f"{name}.dlq", other, letters} <= kafka.topic_names(broker)
    assert f"{other}.dlq" not in kafka.topic_names(broker)


# list --------------------------------------------------------------------------------------------


@pytest.fixture
def behind(broker):
    """(topic, group): two partitions of 20 records, a second apart up to a minute ago; the group has read 15 and all."""
    topic, group = kafka.unique("behind"), kafka.unique("slow")
    kafka.create_topic(broker, topic, 3)
    now_ms = int(time.time() * 1000)
    records = [kafka.Record(p, b"x", timestamp_ms=now_ms - 80_000 + 1000 * i) for p in (0, 1) for i in range(20)]
    kafka.produce(broker, topic, records)
    offsets = [confluent_kafka.TopicPartition(topic, p, offset) for p, offset in ((0, 15), (1, 20))]
    request = [confluent_kafka.ConsumerGroupTopicPartitions(group, offsets)]
    client = kafka.administrator(broker)  # lives until the answer has come
    client.alter_consumer_group_offsets(request)[group].result(30)
    return topic, group, now_ms - 80_000 + 15_000


def test_lag_is_told_in_records_and_in_seconds(broker, behind):
    topic, group, first_unread_ms = behind
    before = time.time()
    answer = json.loads(topics("list", "--brokers", broker.address, "--group", group, "--format", "json").stdout)
    after = time.time()
    (found,) = answer["topics"]
    assert found["name"] == topic and found["records"] == 40
    first, second, third = found["partitions"]
    assert (first["committed"], first["lag"], first["earliest"], first["latest"]) == (15, 5, 0, 20)
    assert before - first_unread_ms / 1000 - 0.01 <= first["lag_seconds"] <= after - first_unread_ms / 1000 + 0.01
    assert (second["committed"], second["lag"], second["lag_seconds"]) == (20, 0, 0)
    assert (third["committed"], third["lag"], third["lag_seconds"], third["newest_time"]) == (None, None, None, None)
    assert second["newest_time"] == first_unread_ms + 4000
    text = topics("list", topic, "--brokers", broker.address, "--group", group).stdout
    assert f"group {group} is 5 records and 1m" in text


def test_list_shows_topics_and_describes_those_that_are_named(broker, behind):
    topic, _, _ = behind
    rows = [line.split() for line in topics("list", "--brokers", broker.address).stdout.splitlines()]
    (row,) = [row for row in rows if row[0] == topic]
    assert row[1:4] == ["3", "1", "1"] and row[-1] == "40"
    assert not any(row[0].startswith("__") for row in rows)
    named = topics("list", topic, "--brokers", broker.address).stdout.splitlines()
    assert [line.split()[:6] for line in named[2:]] == [
        ["0", "1", "1", "1", "0", "20"],
        ["1", "1", "1", "1", "0", "20"],
        ["2", "1", "1", "1", "0", "0"],
    ]


def test_what_is_not_there_is_named(broker):
    assert "nosuch" in topics("list", "nosuch", "--brokers", broker.address, code=1).stderr
    assert "nosuch has committed nothing" in topics("list", "--group", "nosuch", "--brokers", broker.address).stdout


def test_brokers_that_are_away_are_told_in_time(tmp_path):
    answer = topics("list", "--brokers", f"127.0.0.1:{weir.free_port()}", code=1)
    assert answer.stdout == "" and "listens" in answer.stderr


def test_connection_of_a_config_with_its_password(broker, tmp_path):
    access = {
        "brokers": [broker.secure_address],
        "tls": {"ca": str(broker.authority)},
        "sasl": {"mechanism": "scram-sha-256", "username": kafka_broker.USER, "password": kafka_broker.PASSWORD},
    }
    topic = kafka.create_topic(broker, kafka.unique("secure"))
    path = weir.write_config(tmp_path, job(tmp_path, {"kafka": {**access, "topics": [topic]}, "time": "ts"}))
    assert topic in topics("list", topic, path).stdout
    assert "nosuch" in topics("list", path, "--from", "nosuch", code=2).stderr
    access["sasl"]["password"] = "wrong"
    path = weir.write_config(tmp_path, job(tmp_path, {"kafka": {**access, "topics": [topic]}, "time": "ts"}))
    answer = topics("list", path, code=1)
    assert "wrong" not in answer.stderr and "login" in answer.stderr


# redrive -----------------------------------------------------------------------------------------


def letter(topic, number, reason, partition=0, **others):
    """A dead letter as weir writes it."""
    own = {
        "source": "events",
        "reason": reason,
        "topic": topic,
        "partition": number % 3,
        "offset": number,
        "time": T0 + number,
        **others,
    }
    headers = [("trace", b"%d" % number), ("none", None), ("trace", b"again")]
    headers += [(f"weir.{name}", str(value).encode()) for name, value in own.items()]
    key = b"key %d" % number if number % 2 else None
    return kafka.Record(partition, b"{ bad %d" % number, key, headers)


def original(number):
    record = letter("", number, "")
    return number % 3, record.value, record.key, record.headers[:3], T0 + number


def sent(broker, topic):
    records = kafka.read(broker, topic)
    return sorted((r.partition, r.value, r.key, r.headers, r.timestamp_ms) for r in records)


@pytest.fixture
def dead(broker, tmp_path):
    """(config, topic): 30 letters, a third each of three reasons, and one of another source."""
    topic = kafka.create_topic(broker, kafka.unique("orders"), 3)
    kafka.create_topic(broker, f"{topic}.dlq", 2)
    reasons = ["not_json", "no_time", "too_late"]
    letters = [letter(topic, n, reasons[n // 10], n % 2) for n in range(30)]
    kafka.produce(broker, f"{topic}.dlq", [*letters, letter(topic, 77, "not_json", source="another")])
    group = kafka.unique("group")
    return weir.write_config(tmp_path, job(tmp_path, source(broker, topic, group=group))), topic, group


def redrive(config, *options):
    answer = weir.run("redrive", config, "--format", "json", *options)
    assert answer.returncode == 0, answer.stderr
    counts = json.loads(answer.stdout)["sources"]["events"]
    return counts["found"], counts["sent"], counts["sent_before"]


def test_letters_go_back_as_they_were_and_once(broker, dead):
    config, topic, group = dead
    assert redrive(config, "--dry-run") == (30, 30, 0)
    assert sent(broker, topic) == []
    assert redrive(config) == (30, 30, 0)
    expected = sorted(original(n) for n in range(30))
    assert sent(broker, topic) == expected
    assert redrive(config) == (30, 0, 30)
    assert sent(broker, topic) == expected
    # Nothing is deleted, and how far it went is where Kafka's own tools show it.
    assert sum(kafka.end_offsets(broker, f"{topic}.dlq").values()) == 31
    assert kafka.committed(broker, f"{group}.redrive.no_time", f"{topic}.dlq") == {0: 16, 1: 15}
    assert redrive(config, "--again") == (30, 30, 0)
    assert sent(broker, topic) == sorted(expected + expected)


def test_one_reason_does_not_pass_over_the_others(broker, dead):
    config, topic, _ = dead
    assert redrive(config, "--reason", "too_late") == (10, 10, 0)
    assert redrive(config, "--reason", "not_json", "--limit", 4)[1] == 4
    assert redrive(config) == (30, 16, 14)
    assert sent(broker, topic) == sorted(original(n) for n in range(30))


def test_new_letters_are_sent_and_no_others(broker, dead):
    config, topic, _ = dead
    redrive(config)
    kafka.produce(broker, f"{topic}.dlq", [letter(topic, 40, "schema", 1), letter(topic, 41, "not_json", 0)])
    assert redrive(config) == (32, 2, 30)
    assert sent(broker, topic) == sorted(original(n) for n in [*range(30), 40, 41])


def test_letters_that_were_cut_stay(broker, dead):
    config, topic, _ = dead
    kafka.produce(broker, f"{topic}.dlq", [letter(topic, 50, "too_big", truncated=9_000_000)])
    answer = weir.run("redrive", config, "--reason", "too_big")
    assert answer.returncode == 0 and "1 dead letters, 0 sent" in answer.stdout, answer
    assert sent(broker, topic) == []


def test_letters_of_topics_by_pattern(broker, tmp_path):
    prefix = kafka.unique("web")
    names = [kafka.create_topic(broker, f"{prefix}.{place}", 3) for place in ("north", "south")]
    for name in names:
        kafka.create_topic(broker, f"{name}.dlq")
        kafka.produce(broker, f"{name}.dlq", [letter(name, n, "schema") for n in range(5)])
    config = job(tmp_path, source(broker, f"^{prefix}[.](north|south)$", group=kafka.unique("group")))
    assert redrive(weir.write_config(tmp_path, config)) == (10, 10, 0)
    assert all(sent(broker, name) == sorted(original(n) for n in range(5)) for name in names)


def test_source_without_letters_has_none(broker, tmp_path):
    topic = kafka.create_topic(broker, kafka.unique("clean"))
    config = weir.write_config(tmp_path, job(tmp_path, source(broker, topic, group=kafka.unique("group"))))
    assert redrive(config) == (0, 0, 0)


def test_letters_of_the_store_go_to_the_topic_when_there_is_no_other(broker, make_server, tmp_path):
    """The letters are made by an http source of the same name: what fills the store is not what is tested."""
    server = make_server(job(tmp_path, {"http": {}, "time": "ts"}))
    raws = [b"oops", b"true", b"{}"]
    assert server.post("events", b"\n".join(raws)).json()["rejected"] == 3
    weir.eventually(lambda: len(server.dead_letters()) == 3, what="dead letters")
    topic = kafka.create_topic(broker, kafka.unique("stored"), 2)
    os.makedirs(tmp_path / "kafka")
    config = weir.write_config(tmp_path / "kafka", job(tmp_path, source(broker, topic, dead_letter_topic="")))
    assert redrive(config, "--dry-run") == (len(raws), len(raws), 0)
    assert redrive(config, "--limit", 1) == (len(raws), 1, 0)
    assert redrive(config) == (len(raws), len(raws) - 1, 1)
    assert redrive(config) == (len(raws), 0, len(raws))
    assert sorted(value for _, value, *_ in sent(broker, topic)) == sorted(raws)

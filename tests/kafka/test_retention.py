"""A topic has to keep its events until no window needs them any more; weir looks before it begins."""

import dataclasses
import re

from confluent_kafka import admin as kafka_admin
from oracle import health, kafka, kafka_broker, kafka_flights, kafka_ticks

COUNT = 5_000
NEEDED_MS = 13_000  # window 1s + allowed_lateness 10s + max_out_of_orderness 2s
DEADLINE_S = 30


def source(broker, topics, **others):
    return kafka_flights.kafka_source(broker, topics, kafka.unique("group"), **others)


def config(broker, *topics, **others):
    made = kafka_ticks.config(source(broker, list(topics), **others))
    made["pipelines"]["p"]["allowed_lateness"] = "10s"
    return made


def fill(broker, topic):
    kafka.produce(broker, topic, [*kafka_ticks.events(0, COUNT, 1), *kafka_ticks.pushes(1)])


def start_and_fail(server):
    server.start(wait=False)
    code = server.wait_exit(DEADLINE_S)
    return code, server.stderr()


def lines_about(server, pattern):
    return [line for line in server.stderr().splitlines() if re.search(pattern, line)]


def set_topic(broker, topic, **settings):
    entries = [
        kafka_admin.ConfigEntry(
            name.replace("_", "."), str(value), incremental_operation=kafka_admin.AlterConfigOpType.SET
        )
        for name, value in settings.items()
    ]
    resource = kafka_admin.ConfigResource(kafka_admin.ResourceType.TOPIC, topic, incremental_configs=entries)
    client = kafka.administrator(broker)  # lives until the answer has come
    client.incremental_alter_configs([resource])[resource].result(30)


def test_a_topic_that_forgets_too_early_ends_the_start_with_what_to_do(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("short"), retention_ms=NEEDED_MS - 1)
    code, log = start_and_fail(make_server(config(broker, topic), start=False))
    assert code == 1, log
    assert f"retention.ms={NEEDED_MS - 1}" in log and f"retention.ms={NEEDED_MS} or more" in log, log
    assert topic in log and "window 1s" in log and "allowed_lateness 10s" in log and "max_out_of_orderness 2s" in log, (
        log
    )


def test_a_topic_that_keeps_events_just_long_enough_is_read(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("enough"), retention_ms=NEEDED_MS)
    server = make_server(config(broker, topic))
    fill(broker, topic)
    kafka_ticks.check_store(server, COUNT)
    assert not lines_about(server, "keeps events|cannot be seen|could not be found out")


def test_a_topic_that_keeps_events_for_ever_is_read(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("for-ever"), retention_ms=-1)
    server = make_server(config(broker, topic))
    fill(broker, topic)
    kafka_ticks.check_store(server, COUNT)


def test_the_longest_pipeline_of_a_source_counts(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("longest"), retention_ms=3_600_000)
    made = config(broker, topic)
    made["pipelines"]["long"] = {**made["pipelines"]["p"], "window": {"tumbling": "1h"}}
    code, log = start_and_fail(make_server(made, start=False))
    assert code == 1 and "pipeline long needs" in log and "retention.ms=3612000 or more" in log, log


def test_a_compacted_topic_is_read_with_a_warning(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("compacted"), cleanup_policy="compact", retention_ms=1000)
    server = make_server(config(broker, topic))
    keyed = [dataclasses.replace(push, key=b"push") for push in kafka_ticks.pushes(1)]  # such topics take no others
    kafka.produce(broker, topic, [*kafka_ticks.events(0, COUNT, 1), *keyed])
    kafka_ticks.check_store(server, COUNT)
    assert len(lines_about(server, f"{topic} has cleanup.policy=compact")) == 1, server.stderr()


def test_a_topic_found_later_that_forgets_too_early_is_down_until_it_is_mended(broker, make_server):
    prefix = kafka.unique("later")
    first = kafka.create_topic(broker, f"{prefix}.a")
    refresh = {"topic.metadata.refresh.interval.ms": "1000"}
    server = make_server(config(broker, f"^{prefix}[.].*", properties=refresh))
    short = kafka.create_topic(broker, f"{prefix}.b", retention_ms=1000)
    text = health.wait_troubled(server, f"{short} keeps events for 1s", DEADLINE_S)
    assert f"retention.ms={NEEDED_MS} or more" in text
    set_topic(broker, short, retention_ms=NEEDED_MS)
    health.wait_well(server, DEADLINE_S)
    fill(broker, first)
    kafka.produce(broker, short, kafka_ticks.pushes(1))
    kafka_ticks.check_store(server, COUNT)


def allow(broker, user, resource, name, *operations, pattern="LITERAL"):
    client = kafka.administrator(broker)
    bindings = [
        kafka_admin.AclBinding(
            kafka_admin.ResourceType[resource],
            name,
            kafka_admin.ResourcePatternType[pattern],
            f"User:{user}",
            "*",
            kafka_admin.AclOperation[operation],
            kafka_admin.AclPermissionType.ALLOW,
        )
        for operation in operations
    ]
    for answer in client.create_acls(bindings).values():
        answer.result(30)


def test_without_the_right_to_look_it_is_said_once_and_reading_begins(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("hidden"), retention_ms=3_600_000)
    access = {
        "brokers": [broker.secure_address],
        "tls": {"ca": str(broker.authority)},
        "sasl": {
            "mechanism": "plain",
            "username": kafka_broker.STRANGER,
            "password": kafka_broker.STRANGER_PASSWORD,
        },
        "dead_letter_topic": "",
    }
    made = config(broker, topic, **access)
    group = made["sources"]["s"]["kafka"]["group"]
    allow(broker, kafka_broker.STRANGER, "TOPIC", topic, "READ")
    allow(broker, kafka_broker.STRANGER, "GROUP", group, "READ")
    server = make_server(made)
    fill(broker, topic)
    kafka_ticks.check_store(server, COUNT)
    assert len(lines_about(server, f"settings of topic {topic} cannot be seen")) == 1, server.stderr()

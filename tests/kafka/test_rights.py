"""A user with the rights that docs/KAFKA.md lists, and no other: two processes share windows, and results and dead letters are written."""

import pytest
from confluent_kafka import admin as kafka_admin
from oracle import kafka, kafka_broker, kafka_flights, kafka_ticks, weir

COUNT = 20_000
BROKEN = 10


def allow(broker, resource, name, *operations, pattern="LITERAL"):
    client = kafka.administrator(broker)
    bindings = [
        kafka_admin.AclBinding(
            kafka_admin.ResourceType[resource],
            name,
            kafka_admin.ResourcePatternType[pattern],
            f"User:{kafka_broker.STRANGER}",
            "*",
            kafka_admin.AclOperation[operation],
            kafka_admin.AclPermissionType.ALLOW,
        )
        for operation in operations
    ]
    for answer in client.create_acls(bindings).values():
        answer.result(30)


@pytest.fixture
def access(broker):
    return {
        "brokers": [broker.secure_address],
        "tls": {"ca": str(broker.authority)},
        "sasl": {
            "mechanism": "scram-sha-512",
            "username": kafka_broker.STRANGER,
            "password": kafka_broker.STRANGER_PASSWORD,
        },
    }


def test_the_rights_of_the_manual_are_enough(broker, make_server, access):
    topic = kafka.create_topic(broker, kafka.unique("rights"), 2)
    results = kafka.create_topic(broker, kafka.unique("results"))
    group, transactions = kafka.unique("rights-group"), kafka.unique("rights-id")
    allow(broker, "TOPIC", topic, "READ", "DESCRIBE_CONFIGS")
    allow(broker, "GROUP", group, "READ")
    allow(broker, "TOPIC", f"{topic}.dlq", "CREATE", "WRITE")
    allow(broker, "TOPIC", f"weir.{group}.partials", "CREATE", "READ", "WRITE")
    allow(broker, "TOPIC", results, "WRITE")
    allow(broker, "TRANSACTIONAL_ID", f"{transactions}.", "WRITE", pattern="PREFIXED")

    sink = {"kafka": {**access, "topic": results, "transactional": True, "transactional_id": transactions}}
    source = kafka_flights.kafka_source(broker, [topic], group, **access)
    servers = [make_server(kafka_ticks.config(source, {"out": sink})) for _ in range(2)]
    weir.eventually(lambda: sorted(kafka.members(broker, group)[1].values()) == [1, 1], 60, "both have their share")
    kafka.produce(
        broker,
        topic,
        [
            *(kafka.Record(i % 2, b"broken") for i in range(BROKEN)),
            *kafka_ticks.events(0, COUNT, 2),
            *kafka_ticks.pushes(2),
        ],
    )
    kafka_ticks.check_topic(broker, results, COUNT, timeout_s=90)
    letters = kafka.Reader(broker, f"{topic}.dlq")
    assert len(letters.read()) == BROKEN
    letters.close()
    for server in servers:
        for words in ("authoriz", "cannot be seen", "could not be found out"):
            assert words not in server.stderr().lower(), server.stderr()

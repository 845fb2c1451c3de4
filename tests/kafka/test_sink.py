"""Results in a Kafka topic, as another program reads them."""

import json

import pytest
from oracle import exactly_once, kafka, kafka_flights
from oracle.kafka import LONG

FIELDS = {"id", "pipeline", "window_start", "window_end", "key", "values", "emit", "revision", "receipt"}
LATE_S = kafka_flights.LATE_OUT_OF_ORDERNESS_S
MONTHS = (1, 2, 3) if LONG else (1,)


@pytest.fixture
def job(broker, make_job, flight_files):
    """Flights far out of order, so that there are updates too, and results for three partitions."""
    files = flight_files(MONTHS, 8, "late", split="flight")
    return make_job(
        files, out_of_orderness_s=LATE_S, result_topic=kafka.create_topic(broker, kafka.unique("results"), 3)
    )


@pytest.mark.parametrize("compression", kafka.CODECS if LONG else ["none", "lz4"])
def test_each_result_is_a_record_with_the_key_of_the_result(broker, make_server, job, compression):
    server = make_server(job.config(sink={"compression": compression}))
    job.produce()
    job.check_topic(once=False)
    served = exactly_once.served(server, job.pipelines)
    assert server.terminate(10) == 0
    partition_of = {}
    records = kafka.read(broker, job.result_topic)
    for record in records:
        value = json.loads(record.value)
        assert set(value) == FIELDS, value
        assert json.loads(record.key) == list(value["key"].values())
        # All states of a result are in one partition, so that their order is the order of writing.
        assert partition_of.setdefault((value["pipeline"], record.key), record.partition) == record.partition, value
    assert len(set(partition_of.values())) == 3, "the results of all keys went to one partition"
    newest = exactly_once.newest(json.loads(r.value) for r in records)
    assert {r["id"]: r for rows in served.values() for r in rows}.items() <= newest.items()


@pytest.mark.parametrize("profile", ["high_throughput", "low_latency"])
def test_transactional_results_come_once_to_who_reads_what_is_committed(broker, make_server, job, profile):
    """Over a clean restart midway; test_crash.py has the unclean ones."""
    records = list(kafka_flights.everything(job.files))
    server = make_server(job.config(sink={"transactional": True, "profile": profile}))
    half = len(records) // 2
    kafka.produce(broker, job.topic, records[:half])
    server.wait_counted("flights", "speed", half)
    assert server.terminate(10) == 0
    server.start()
    kafka.produce(broker, job.topic, records[half:])
    job.check_topic(once=True)
    job.check_store(server)
    assert server.terminate(10) == 0
    job.check_topic(once=True)
    committed, written = (
        kafka.per_partition(kafka.read(broker, job.result_topic, isolation))
        for isolation in ("read_committed", "read_uncommitted")
    )
    assert committed == written, "aborted"


def test_results_without_transactions_come_at_least_once(broker, make_server, job):
    records = list(kafka_flights.everything(job.files))
    server = make_server(job.config(sink={"compression": "lz4"}))
    kafka.produce(broker, job.topic, records[: len(records) // 2])
    server.wait_counted("flights", "speed", len(records) // 4)
    server.kill()
    server.start()
    kafka.produce(broker, job.topic, records[len(records) // 2 :])
    job.check_topic(once=False)
    job.check_store(server)


def test_offsets_follow_the_results(broker, make_server, job):
    """What the group has committed never runs ahead of what was sent: a group of the same name sees only the rest."""
    server = make_server(job.config(sink={"transactional": True}))
    job.produce()
    job.check_topic(once=True)
    assert server.terminate(10) == 0
    committed = kafka.committed(broker, job.group, job.topic)
    ends = kafka.end_offsets(broker, job.topic)
    # The push at the end of each partition is in an open window, so its offset is not committed.
    assert all(0 < committed[p] < ends[p] for p in ends), (committed, ends)

"""Processes of one group where the shares do not come out even."""

import pytest
from oracle import kafka, kafka_flights, weir

LATE_S = kafka_flights.LATE_OUT_OF_ORDERNESS_S


def held(broker, job, *counts):
    def check():
        state, members = kafka.members(broker, job.group)
        return state == "STABLE" and sorted(members.values()) == sorted(counts)

    return check


def make_job(broker, flight_files, partitions):
    return kafka_flights.Job(
        broker,
        flight_files((1,), partitions, "late", split="flight"),
        out_of_orderness_s=LATE_S,
        result_topic=kafka.create_topic(broker, kafka.unique("results"), 3),
    )


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_process_too_many_waits_in_good_health_and_takes_over(broker, make_server, flight_files, protocol):
    job = make_job(broker, flight_files, 2)
    config = job.config(sink={"transactional": True})
    source = kafka_flights.kafka_source(broker, [job.topic], job.group, protocol)
    config["sources"]["flights"]["kafka"] = source
    servers = [make_server(config) for _ in range(3)]
    weir.eventually(held(broker, job, 0, 1, 1), 40, "two have a partition, one has none")
    for server in servers:
        weir.eventually(lambda server=server: server.get("/ready").status == 200, 20, "it is ready")
    with job.feed(job.event_count / 12) as feed:
        weir.eventually(lambda: feed.sent > feed.rate * 3, 30, "load")
        leaving = next(s for s in servers if any(p["partition"] == 0 for p in s.source("flights")["partitions"]))
        assert leaving.terminate(10) == 0
        weir.eventually(held(broker, job, 1, 1), 40, "the one that waited has taken over")
    feed.finish()
    job.check_topic(once=True, timeout_s=90, history=False)
    for server in servers:
        if server is not leaving:
            assert server.terminate(20) == 0
    job.check_topic(once=True, history=False)


def test_a_topic_may_grow_while_two_share_it(broker, make_server, flight_files):
    job = make_job(broker, flight_files, 8)
    config = job.config(
        sink={"transactional": True}, source={"properties": {"topic.metadata.refresh.interval.ms": "1000"}}
    )
    servers = [make_server(config), make_server(config)]
    weir.eventually(held(broker, job, 4, 4), 40, "both have their share")
    with job.feed(job.event_count / 15) as feed:
        weir.eventually(lambda: feed.sent > feed.rate * 3, 30, "load")
        kafka.grow_topic(broker, job.topic, 10)
        weir.eventually(held(broker, job, 5, 5), 60, "both have their share of the new partitions")
    feed.finish()
    # Nothing else is in the new partitions, and while they have no event they hold all windows open.
    kafka.produce(broker, job.topic, kafka_flights.pushes(10)[8:])
    job.check_topic(once=True, timeout_s=90, history=False)
    for server in servers:
        assert server.terminate(20) == 0
    job.check_topic(once=True, history=False)

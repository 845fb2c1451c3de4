"""Two processes of one group: whoever comes and goes, together they give what one alone would."""

import os
import random
import signal
import threading
import time

import pytest
from oracle import health, kafka, kafka_flights, weir
from oracle.kafka import LONG

MOVES = 20 if LONG else 2  # of each, a coming and a going
PACE_S = 7.0  # for which the flights have to last per move
MONTHS = tuple(range(1, 13)) if LONG else (1,)
LATE_S = kafka_flights.LATE_OUT_OF_ORDERNESS_S


class Pauses:
    """Watches from outside how far each partition has been read by any of the processes, and how long it stood still."""

    def __init__(self, servers, source="flights"):
        self.servers, self.source = servers, source
        self.offsets, self.since = {}, {}
        self.lock = threading.Lock()
        self.longest = {}
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _look(self):
        for server in self.servers:
            try:
                answer = server.get(f"/api/v1/sources/{self.source}")
            except OSError:
                continue
            if answer.status == 200:
                for place in answer.json()["partitions"]:
                    yield place["partition"], place["offset"]

    def _run(self):
        while not self.stopped.wait(0.05):
            found = list(self._look())
            now = time.monotonic()
            with self.lock:
                for partition, offset in found:
                    if offset is not None and offset > self.offsets.get(partition, -1):
                        self.offsets[partition], self.since[partition] = offset, now
                for partition, since in self.since.items():
                    self.longest[partition] = max(self.longest.get(partition, 0), now - since)

    def take(self):
        """Longest standstill of each partition since the last time it was asked, in ms, sorted."""
        with self.lock:
            longest, self.longest = self.longest, {}
        return sorted(round(s * 1000) for s in longest.values())

    def stop(self):
        self.stopped.set()
        self.thread.join()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_second_process_comes_and_goes_under_load(broker, make_server, flight_files, seed, protocol):
    rng = random.Random(seed)
    job = kafka_flights.Job(
        broker,
        flight_files(MONTHS, 8, "late", split="flight"),
        out_of_orderness_s=LATE_S,
        result_topic=kafka.create_topic(broker, kafka.unique("results"), 3),
    )
    config = job.config(sink={"transactional": True})
    source = kafka_flights.kafka_source(broker, [job.topic], job.group, protocol)
    config["sources"]["flights"]["kafka"] = source
    first, second = make_server(config), make_server(config, start=False)
    pauses = Pauses([first, second])

    def held(*counts):
        def check():
            state, members = kafka.members(broker, job.group)
            return state == "STABLE" and sorted(members.values()) == sorted(counts)

        return check

    moved_ms = {"comes": [], "goes": []}
    with job.feed(job.event_count / (MOVES * 2 * PACE_S)) as feed:
        try:
            weir.eventually(held(8), 30, "the first alone")
            weir.eventually(lambda: len(pauses.offsets) == 8, 30, "events in all partitions")
            for move in range(MOVES):
                for what in moved_ms:
                    assert feed.running(), "all flights were produced before the last move: no load"
                    pauses.take()
                    if what == "comes":
                        second.start(wait=False)
                        weir.eventually(held(4, 4), 40, "both have their share", interval_s=0.1)
                    else:
                        assert second.terminate(10) == 0
                        weir.eventually(held(8), 40, "the first alone again", interval_s=0.1)
                    target = feed.sent + rng.randint(1, int(feed.rate * 2))
                    weir.eventually(lambda: feed.sent >= target, 60, "more load")  # noqa: B023
                    found = pauses.take()
                    moved_ms[what].append(found[-1])
                    print(f"{protocol}, move {move + 1}: the second {what}; longest pauses by partition {found} ms")
        finally:
            pauses.stop()
    feed.finish()
    count = job.check_topic(once=True, timeout_s=120, history=False)
    job.check_store(first, second)
    assert first.terminate(10) == 0
    job.check_topic(once=True, history=False)
    for what, found in moved_ms.items():
        print(
            f"{protocol}: the second {what}: longest pause, median {sorted(found)[len(found) // 2]} ms, worst {max(found)} ms"
        )
    print(f"{protocol}: {2 * MOVES} moves, {job.event_count} events, {count} results equal DuckDB's; seed {seed}")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_two_processes_from_the_beginning_give_what_one_gives(broker, make_server, flight_files, protocol):
    """Keys lie in all partitions, so every result is made of what both have read."""
    job = kafka_flights.Job(broker, flight_files((2,), 8, "late", split="flight"), out_of_orderness_s=LATE_S)
    config = job.config()
    source = kafka_flights.kafka_source(broker, [job.topic], job.group, protocol)
    config["sources"]["flights"]["kafka"] = source
    servers = [make_server(config), make_server(config)]
    weir.eventually(lambda: sorted(kafka.members(broker, job.group)[1].values()) == [4, 4], 30, "both have their share")
    job.produce("lz4")
    job.check_store(*servers)
    counters = [server.source("flights")["counters"] for server in servers]
    assert sum(c["in"] for c in counters) == job.event_count + 8 and all(c["in"] for c in counters), counters


def test_a_new_broker_session_is_no_new_member_when_the_instance_has_a_name(broker, make_server, flight_files):
    """Static membership: a restart within the session moves nothing."""
    job = kafka_flights.Job(broker, flight_files((1,), 8, "late", split="flight"), out_of_orderness_s=LATE_S)
    configs = [job.config(source={"group_instance_id": name}) for name in ("one", "two")]
    servers = [make_server(config) for config in configs]
    weir.eventually(lambda: sorted(kafka.members(broker, job.group)[1].values()) == [4, 4], 30, "both have their share")

    def partitions():
        return {p["partition"] for p in servers[0].source("flights")["partitions"]}

    weir.eventually(lambda: len(partitions()) == 4, 30, "the first has taken up its share")
    mine = partitions()
    assert servers[1].terminate(10) == 0
    servers[1].start()
    weir.eventually(lambda: sorted(kafka.members(broker, job.group)[1].values()) == [4, 4], 30, "both again")
    weir.eventually(lambda: partitions() == mine, 30, "the first has the same share")
    job.produce()
    job.check_store(*servers)


def shared_job(broker, flight_files):
    return kafka_flights.Job(
        broker,
        flight_files((1,), 8, "late", split="flight"),
        out_of_orderness_s=LATE_S,
        result_topic=kafka.create_topic(broker, kafka.unique("results"), 3),
    )


def partitions_of(server):
    try:
        answer = server.get("/api/v1/sources/flights")
    except OSError:
        return set()
    return {p["partition"] for p in answer.json()["partitions"]} if answer.status == 200 else set()


def share_out(servers):
    """(the one that merges for all, the other), once both read their half."""
    weir.eventually(lambda: all(len(partitions_of(s)) == 4 for s in servers), 40, "both have taken up their share")
    return servers if 0 in partitions_of(servers[0]) else servers[::-1]


@pytest.mark.parametrize("seconds", [3, 12], ids=["less than the session", "more than the session"])
@pytest.mark.parametrize("who", ["leader", "sender"])
def test_a_member_that_was_stopped_for_a_while_does_no_harm(broker, make_server, flight_files, who, seconds):
    """What it was about to write or say when it was stopped is of the past when it goes on."""
    job = shared_job(broker, flight_files)
    config = job.config(sink={"transactional": True})
    servers = [make_server(config), make_server(config)]
    leader, sender = share_out(servers)
    zombie = leader if who == "leader" else sender
    with job.feed(job.event_count / (seconds + 10)) as feed:
        weir.eventually(lambda: feed.sent > feed.rate * 2, 30, "load")
        os.kill(zombie.process.pid, signal.SIGSTOP)
        try:
            target = feed.sent + feed.rate * seconds
            weir.eventually(lambda: feed.sent >= target, 2 * seconds + 30, "the sleep")
        finally:
            os.kill(zombie.process.pid, signal.SIGCONT)
    feed.finish()
    job.check_topic(once=True, timeout_s=120, history=False)
    for server in servers:
        assert server.terminate(20) == 0
    job.check_topic(once=True, history=False)


def test_a_process_with_another_configuration_is_told_and_waits(broker, make_server, flight_files):
    job = shared_job(broker, flight_files)
    config, other = job.config(sink={"transactional": True}), job.config(sink={"transactional": True})
    other["pipelines"][job.pipelines[0].name]["to"] = ["store"]  # the leader writes for all
    servers = [make_server(config, start=False), make_server(other, start=False)]
    for server in servers:
        server.start(wait=False)
    for server in servers:
        health.wait_troubled(server, "give all processes of a group the same configuration", 40)
    assert servers[1].terminate(20) == 0
    job.produce()
    job.check_topic(once=True, timeout_s=90)
    health.wait_well(servers[0], 20)


def test_the_topic_of_partials_may_be_deleted_under_load(broker, make_server, flight_files):
    job = shared_job(broker, flight_files)
    config = job.config(sink={"transactional": True})
    servers = [make_server(config), make_server(config)]
    share_out(servers)
    with job.feed(job.event_count / 20) as feed:
        weir.eventually(lambda: feed.sent > feed.rate * 2, 30, "load")
        name = f"weir.{job.group}.partials"
        client = kafka.administrator(broker)  # lives until the answer has come
        client.delete_topics([name])[name].result(30)
    feed.finish()
    job.check_topic(once=True, timeout_s=150, history=False)
    for server in servers:
        assert server.terminate(20) == 0
    job.check_topic(once=True, history=False)

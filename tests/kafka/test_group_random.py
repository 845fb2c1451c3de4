"""Three processes of one group, and whatever happens to processes: they come and go, are killed, and sleep for a while."""

import contextlib
import os
import random
import signal
import time

import pytest
from oracle import kafka, kafka_flights, weir
from oracle.kafka import LONG

PROCESSES = 3
# Blows, and seconds from one to the next, for which the flights have to last.
BLOWS, PACE_S = (60, 5.0) if LONG else (8, 4.0)
MONTHS = tuple(range(1, 13)) if LONG else (1,)
LATE_S = kafka_flights.LATE_OUT_OF_ORDERNESS_S
SESSION_S = 6


class Mortal:
    """A process that may be running, asleep or dead."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.wakes_at = None
        self.started_at = time.monotonic()

    def start(self):
        self.server.start(wait=False)
        self.started_at = time.monotonic()

    def alive(self):
        return self.server.running()

    def strike(self, rng):
        """Does something to it; says what."""
        if not self.alive():
            self.start()
            return f"{self.name} starts"
        if self.wakes_at is not None:
            return f"{self.name} sleeps on"
        what = rng.choice(["end", "kill", "kill and start", "doze", "sleep"])
        if what == "end":
            code = self.server.terminate(20)
            # One that was started just now does not listen to signals yet.
            was_young = time.monotonic() - self.started_at < 1
            assert code == 0 or (was_young and code == -signal.SIGTERM), f"{self.name} ended with {code}"
        elif what in ("kill", "kill and start"):
            self.server.kill()
            if what == "kill and start":
                self.start()
        else:
            # For less than the session, or for longer: then the group goes on without it.
            seconds = rng.uniform(0.2, SESSION_S / 2) if what == "doze" else rng.uniform(SESSION_S, 2.5 * SESSION_S)
            os.kill(self.server.process.pid, signal.SIGSTOP)
            self.wakes_at = time.monotonic() + seconds
            what = f"{what} {seconds:.1f} s"
        return f"{self.name}: {what}"

    def wake(self, now=None):
        if self.wakes_at is not None and (now is None or now >= self.wakes_at):
            self.wakes_at = None
            os.kill(self.server.process.pid, signal.SIGCONT)


def wait_s(mortals, seconds, feed):
    """Lets events flow for a while, and wakes those whose time has come."""
    until = time.monotonic() + seconds

    def over():
        now = time.monotonic()
        for mortal in mortals:
            mortal.wake(now)
        return now >= until or not feed.running()

    weir.eventually(over, seconds + 10, "the next blow")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_three_processes_and_random_blows(broker, make_server, flight_files, seed, protocol):
    rng = random.Random(seed)
    print(f"seed {seed}")
    job = kafka_flights.Job(
        broker,
        flight_files(MONTHS, 8, "late", split="flight"),
        out_of_orderness_s=LATE_S,
        result_topic=kafka.create_topic(broker, kafka.unique("results"), 3),
    )
    config = job.config(sink={"transactional": True})
    config["sources"]["flights"]["kafka"] = kafka_flights.kafka_source(broker, [job.topic], job.group, protocol)
    mortals = [Mortal(make_server(config, start=False), name) for name in "ABC"[:PROCESSES]]
    begin = time.monotonic()
    with job.feed(job.event_count / (BLOWS * PACE_S)) as feed:
        try:
            for mortal in mortals:
                mortal.server.start(wait=False)
            for _blow in range(BLOWS):
                wait_s(mortals, rng.uniform(0, 2 * PACE_S), feed)
                what = rng.choice(mortals).strike(rng)
                print(f"{time.monotonic() - begin:6.1f} s, {feed.sent} events: {what}", flush=True)
        finally:
            for mortal in mortals:
                with contextlib.suppress(ProcessLookupError):
                    mortal.wake()
        feed.finish()
    for mortal in mortals:
        if not mortal.alive():
            mortal.server.start(wait=False)
    count = job.check_topic(once=True, timeout_s=120, history=False)
    for mortal in mortals:
        assert mortal.server.terminate(20) == 0, f"{mortal.name} did not end as it should"
    job.check_topic(once=True, history=False)
    print(f"{protocol}: {BLOWS} blows, {job.event_count} events, {count} results equal DuckDB's; seed {seed}")

"""Ingest under load, with a ledger of what was promised.

Every request has a key of its own and puts all its events into one window, so the results say exactly what became of it:
a request that was answered 202 must be there with all its events, once; one that got no answer, with all or none.
"""

import http.client
import itertools
import json
import random
import threading

from . import weir

T0 = 1_700_000_000_000
WINDOW_MS = 1000
STEP_MS = 20
DISORDER_MS = 10_000


def config(**source):
    """A server that counts per request."""
    return {
        "sources": {
            "s": {"http": source, "time": "ts", "max_out_of_orderness": f"{DISORDER_MS}ms", "idle_timeout": "1h"}
        },
        "pipelines": {
            "p": {
                "from": "s",
                "key": ["request"],
                "window": {"tumbling": f"{WINDOW_MS}ms"},
                "allowed_lateness": "5s",
                "aggregates": {"n": "count()", "sum": "sum(i)", "last": "last(i)"},
            }
        },
    }


class Load:
    """Threads that post for as long as they are let; survives the server's death and return."""

    def __init__(self, server, seed, threads=3, events=(1, 40)):
        self.server = server
        self.events = events
        self.numbers = itertools.count()
        self.lock = threading.Lock()
        self.accepted, self.unknown = {}, {}
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(random.Random(f"{seed}-{i}"),)) for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, rng):
        connection = None
        while not self.stopped.is_set():
            number, count = next(self.numbers), rng.randint(*self.events)
            time_ms = T0 + number * STEP_MS
            window_end = time_ms - time_ms % WINDOW_MS + WINDOW_MS
            body = "".join(
                json.dumps({"ts": rng.randrange(window_end - WINDOW_MS, window_end), "request": number, "i": i}) + "\n"
                for i in range(count)
            )
            try:
                connection = connection or self.server.connect(timeout_s=10)
                connection.request("POST", "/api/v1/sources/s/events", body)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                connection = None
                with self.lock:
                    self.unknown[number] = count
                self.stopped.wait(0.005)
                continue
            with self.lock:
                if answer.status == 202:
                    assert json.loads(text)["accepted"] == count
                    self.accepted[number] = count
                elif answer.status not in (429, 503):
                    self.unknown[number] = count
                    raise AssertionError((answer.status, text))
            if answer.status != 202:
                self.stopped.wait(0.02)

    def count(self):
        with self.lock:
            return len(self.accepted)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def flush(self):
        """Moves event time on until every window of the load has closed, in every partition that a key may lead to."""
        now_ms = T0 + next(self.numbers) * STEP_MS + 2 * (DISORDER_MS + WINDOW_MS)
        self.server.accept("s", [{"ts": now_ms, "request": f"end {i}", "i": 0} for i in range(64)])

    def check(self):
        """Every accepted request is in the results with all its events, once; no other is there in part."""
        expected = set(self.accepted)

        def found():
            rows = {
                r["key"]["request"]: r
                for r in self.server.results("p", limit=10_000)
                if isinstance(r["key"]["request"], int)
            }
            return rows if expected <= set(rows) and all(r["emit"] != "early" for r in rows.values()) else None

        rows = weir.eventually(found, 30, f"{len(expected)} accepted requests in the results", interval_s=0.1)
        for number, row in rows.items():
            count = self.accepted.get(number) or self.unknown.get(number)
            assert count, f"request {number} was refused, and is in the results: {row}"
            assert row["values"] == {"n": count, "sum": count * (count - 1) // 2, "last": row["values"]["last"]}, (
                count,
                row,
            )
        return len(rows)

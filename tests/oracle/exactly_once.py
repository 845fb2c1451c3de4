"""The outside checker: of all results that were stored or sent, is one missing, there twice, or wrong?

It sees records only (section 6 of the contract) and what DuckDB says of the same events, so it works for a result topic, for
the HTTP API and for the store's file alike, for one process or for several.
"""

import collections
import json
import sqlite3

from . import weir
from .flight_pipelines import equal

SHOWN = 3  # of each kind, in a failure


def events_of(record):
    return record["receipt"]["on_time"] + record["receipt"]["late_accepted"]


def rank(record):
    """A record replaces one of the same id that ranks lower."""
    return (record["emit"] != "early", record["revision"], events_of(record))


def newest(records):
    """{id: the record that replaces all others of that id}."""
    best = {}
    for record in records:
        other = best.get(record["id"])
        if other is None or rank(record) > rank(other):
            best[record["id"]] = record
    return best


class Verdict:
    """What is wrong with the results of one pipeline, by kind."""

    KINDS = ["missing", "twice", "wrong", "unknown"]

    def __init__(self):
        self.count = 0
        self.found = {kind: [] for kind in self.KINDS}

    def add(self, kind, what):
        self.found[kind].append(what)

    def clean(self):
        return not any(self.found.values())

    def __repr__(self):
        figures = ", ".join(f"{len(self.found[kind])} {kind}" for kind in self.KINDS)
        shown = [f"  {kind}: {what}" for kind in self.KINDS for what in self.found[kind][:SHOWN]]
        return "\n".join([f"{self.count} results: {figures}", *shown])


def impossible(pipeline, record, wanted):
    """Why this record can never have been right, whatever came after it; None if it may have been."""
    _, revision, on_time = wanted
    receipt = record["receipt"]
    if record["window_end"] - record["window_start"] != pipeline.size_s * 1000:
        return "another length of window"
    if list(record["values"]) != list(pipeline.aggregates):
        return "other aggregates"
    if record["revision"] != receipt["late_accepted"] or record["revision"] > revision:
        return f"revision beyond the {revision} late events"
    if record["emit"] == "early":
        return None if receipt["on_time"] <= on_time else f"more than the {on_time} events on time"
    if receipt["on_time"] != on_time:
        return f"not the {on_time} events on time"
    if record["emit"] != ("update" if record["revision"] else "final"):
        return "emit and revision contradict each other"
    if "n" in record["values"] and pipeline.aggregates["n"][0] == "count()":
        return None if record["values"]["n"] == events_of(record) else "n is not the events of the receipt"
    return None


def judge(pipeline, wanted, records, once=True, before_ms=None, history=True):
    """Compares records of one pipeline, in any order, with DuckDB's rows {(window start, key): (values, revision, on time)}.

    `once`: each (id, emit, revision, events) may come only once; else repeats are fine as long as they are right. Windows that end
    after `before_ms` are left out. `history`: also what was replaced must have been right; of two processes that hand over to
    each other only the newest is looked at.
    """
    verdict = Verdict()
    seen = collections.Counter()
    by_id = collections.defaultdict(list)
    for record in records:
        if before_ms is not None and record["window_end"] > before_ms:
            continue
        by_id[record["id"]].append(record)
        if record["emit"] != "early":
            seen[record["id"], record["emit"], record["revision"], events_of(record)] += 1
    places = set()
    for found in by_id.values():
        best = newest(found).popitem()[1]
        place = (best["window_start"], tuple(best["key"].values()))
        if place in places:
            verdict.add("twice", f"two ids for {place}")
        places.add(place)
        if place not in wanted:
            verdict.add("unknown", best)
            continue
        for record in found if history else [best]:
            if why := impossible(pipeline, record, wanted[place]):
                verdict.add("wrong", f"{why}: {record}")
        values, revision, _ = wanted[place]
        if best["emit"] == "early" or best["revision"] < revision:
            verdict.add("missing", f"revision {revision} of {best}")
        elif not all(map(equal, values, best["values"].values())):
            verdict.add("wrong", f"want {values}: {best}")
    if once:
        for what, count in seen.items():
            if count > 1:
                verdict.add("twice", f"{count} × {what}")
    for place in set(wanted) - places:
        verdict.add("missing", place)
    verdict.count = len(by_id)
    return verdict


def complete(wanted, records, before_ms=None):
    """All events that DuckDB has in its rows are in the newest records: nothing more is to be waited for."""
    got = sum(
        events_of(r)
        for r in newest(records).values()
        if r["emit"] != "early" and (before_ms is None or r["window_end"] <= before_ms)
    )
    return got >= sum(revision + on_time for _, revision, on_time in wanted.values())


def stored(data_dir):
    """{pipeline: records} straight from the store's file; a row that is there twice comes twice."""
    connection = sqlite3.connect(data_dir / "weir.db", timeout=10)
    try:
        connection.execute("pragma query_only = on")
        rows = connection.execute(
            "select p.name, r.json from results r join pipelines p on p.id = r.pipeline_id"
        ).fetchall()
    finally:
        connection.close()
    found = collections.defaultdict(list)
    for pipeline, text in rows:
        found[pipeline].append(json.loads(text))
    return found


def served(server, pipelines):
    """{pipeline: records} by the HTTP API."""
    return {p.name: server.results(p.name, limit=1000) for p in pipelines}


def sent(records):
    """{pipeline: records} of a result topic, in the order of each partition."""
    found = collections.defaultdict(list)
    for record in records:
        value = json.loads(record.value)
        found[value["pipeline"]].append(value)
    return found


def wait_and_judge(fetch, pipelines, wanted, once=True, before_ms=None, timeout_s=60, what="results", history=True):
    """Polls `fetch` → {pipeline: records} until every event is in some result, then judges. Returns the number of results."""

    def arrived():
        found = fetch()
        return all(complete(wanted[p.name], found.get(p.name, []), before_ms) for p in pipelines)

    try:
        weir.eventually(arrived, timeout_s, what, interval_s=0.25)
    except AssertionError:
        print(f"{what}: not complete within {timeout_s} s")  # the verdict below says what is missing
    found = fetch()
    total = 0
    for pipeline in pipelines:
        verdict = judge(pipeline, wanted[pipeline.name], found.get(pipeline.name, []), once, before_ms, history)
        assert verdict.clean(), f"{what}, {pipeline.name}: {verdict}"
        total += verdict.count
    return total

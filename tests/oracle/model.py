"""A model of tumbling and sliding windows, event by event, written to be obviously right rather than fast.

It follows the words of the specification: what an event does depends on the log of its own
partition alone, so each partition is judged by itself and the windows are put together at the
end. Times are integer microseconds. `null` and a missing field are the same thing here.
"""

import dataclasses
import json
import math
from collections import Counter
from fractions import Fraction

MISSING = None
EMPTY_WINDOWS = 60  # docs/LIMITS.md: WINDOW_EMPTY_MAX


@dataclasses.dataclass
class Pipeline:
    """One pipeline; tumbling windows slide by their size. `where` maps an event to True, False or None (null)."""

    name: str
    size_us: int
    aggregates: dict  # name → (function, path or None[, constant])
    key: list = dataclasses.field(default_factory=list)  # [(name, path)]
    where: object = None
    lateness_us: int = 10_000_000
    late: str = "update"
    offset_us: int = 0
    slide_us: int = 0  # 0 = the size
    emit_empty: bool = False  # tumbling windows over one partition

    def starts(self, time_us):
        """Starts of all windows that cover the time."""
        slide_us = self.slide_us or self.size_us
        start = time_us - (time_us - self.offset_us) % slide_us
        while start + self.size_us > time_us:
            yield start
            start -= slide_us


@dataclasses.dataclass
class Row:
    """A usable event at its place in the log."""

    time_us: int
    partition: int
    offset: int
    event: dict

    def age(self):
        return (self.time_us, self.partition, self.offset)


def lookup(event, path):
    value = event
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value


def canonical_key_value(value):
    """Integral doubles and integers are the same key; true is not 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


NUMERIC = {"sum", "mean", "min", "max", "stddev", "stddev_pop", "variance", "median", "percentile"}


@dataclasses.dataclass
class Within:
    """What an approximate value must be: no further from `value` than this part of it."""

    value: float
    part: float


def aggregate(function, path, rows, parameter=None, window_us=1):
    """(value, number of values of a wrong type) over rows in any order."""
    if function == "rate":
        return len(rows) * 1e6 / window_us, 0
    if path is None:
        return len(rows), 0
    rows = sorted(rows, key=Row.age)
    present = [v for v in (lookup(row.event, path) for row in rows) if v is not MISSING]
    if function == "count":
        return len(present), 0
    if function == "first":
        return (present[0] if present else None), 0
    if function == "last":
        return (present[-1] if present else None), 0
    if function in ("distinct_count", "top"):
        return (distinct_count(present) if function == "distinct_count" else top(present, parameter)), 0
    assert function in NUMERIC, function
    numbers = [v for v in present if is_number(v)]
    if function in ("median", "percentile"):
        return percentile(numbers, 50 if parameter is None else parameter), len(present) - len(numbers)
    return number_aggregate(function, numbers), len(present) - len(numbers)


def percentile(numbers, p):
    """Nearest rank; `p` is an int or the text of a decimal."""
    if not numbers:
        return None
    value = sorted(numbers)[max(1, math.ceil(Fraction(p) * len(numbers) / 100)) - 1]
    return value if len(numbers) <= 64 else Within(value, 0.01)


def distinct_count(values):
    count = len({json.dumps(canonical_key_value(v)) for v in values})
    return count if count <= 1024 else Within(count, 5 * 0.0082)


def top(values, k):
    """[{"value", "count"}], the most frequent first, then false, true, numbers, strings, each in its order."""
    counts = Counter(json.dumps(canonical_key_value(v)) for v in values)
    if len(counts) > 768:
        counts = {v: n for v, n in counts.items() if n * 200 > len(values)}

    def order(item):
        value = json.loads(item[0])
        kind = 0 if isinstance(value, bool) else 1 if is_number(value) else 2
        return -item[1], kind, value.encode() if kind == 2 else value

    return [{"value": json.loads(v), "count": n} for v, n in sorted(counts.items(), key=order)[:k]]


def number_aggregate(function, numbers):
    """Exact rational arithmetic, rounded once at the end."""
    if not numbers:
        return None
    if function in ("min", "max"):
        return {"min": min, "max": max}[function](numbers)
    total = sum(map(Fraction, numbers))
    if function == "sum":
        return int(total) if all(isinstance(v, int) for v in numbers) else float(total)
    mean = total / len(numbers)
    if function == "mean":
        return float(mean)
    squares = sum((Fraction(v) - mean) ** 2 for v in numbers)
    if function == "stddev_pop":
        return math.sqrt(squares / len(numbers))
    if len(numbers) < 2:
        return None
    variance = squares / (len(numbers) - 1)
    return float(variance) if function == "variance" else math.sqrt(variance)


@dataclasses.dataclass
class Group:
    """One key in one window."""

    start_us: int
    key: tuple
    on_time: list = dataclasses.field(default_factory=list)
    late: list = dataclasses.field(default_factory=list)
    dropped: int = 0


class Result:
    """What a pipeline makes of a source: groups by (window start, key), counters, watermarks."""

    def __init__(self, pipeline, partitions, bad, max_out_of_orderness_us):
        self.pipeline = pipeline
        self.groups = {}
        self.counters = Counter(used=0, filtered=0, too_late=0)
        self.bad = sum(bad)
        self.dead = []  # rows dead-lettered because they came too late
        self.watermarks = []  # per partition the watermark after each of its rows
        for rows in partitions:
            self.watermarks.append(self._run_partition(rows, max_out_of_orderness_us))

    def _run_partition(self, rows, max_out_of_orderness_us):
        watermark, steps = None, []
        for row in rows:
            # Every event with a usable time counts, before any `where`. An event can never make
            # itself late, so it does not matter that the watermark moves first.
            seen = row.time_us - max_out_of_orderness_us
            watermark = seen if watermark is None else max(watermark, seen)
            steps.append(watermark)
            self._take(row, watermark)
        return steps

    def _take(self, row, watermark):
        pipeline = self.pipeline
        if pipeline.where is not None and pipeline.where(row.event) is not True:
            self.counters["filtered"] += 1
            return
        key = tuple(canonical_key_value(lookup(row.event, path)) for _, path in pipeline.key)
        taken = [self._offer(row, watermark, start, key) for start in pipeline.starts(row.time_us)]
        if not taken:
            self.counters["filtered"] += 1  # between windows that do not meet
            return
        self.counters["used" if any(taken) else "too_late"] += 1
        if not any(taken) and pipeline.late == "dlq":
            self.dead.append(row)

    def _offer(self, row, watermark, start, key):
        """Whether the window takes the event: each judges by itself."""
        pipeline = self.pipeline
        end = start + pipeline.size_us
        # JSON text tells true from 1, which Python's equality does not.
        group_id = (start, json.dumps(key))
        late = watermark >= end
        if late and (pipeline.late != "update" or watermark >= end + pipeline.lateness_us):
            if group_id in self.groups:
                self.groups[group_id].dropped += 1
            return False
        group = self.groups.setdefault(group_id, Group(start, key))
        (group.late if late else group.on_time).append(row)
        return True

    def reached(self, end_us):
        """Per partition the watermark with which it first reached `end_us`, or None."""
        return [next((w for w in steps if w >= end_us), None) for steps in self.watermarks]

    def empty_groups(self, keep_open):
        """Keys in windows without their events: 60 windows behind each that has one on time, as far as windows close."""
        size, (steps,) = self.pipeline.size_us, self.watermarks if self.pipeline.emit_empty else ([],)
        if not steps:
            return []
        ends = [group.start_us + size for group in self.groups.values()]
        last_end = steps[-1] if keep_open else max([*ends, steps[-1]])
        made = {}
        for (start, key_text), group in self.groups.items():
            if not group.on_time:
                continue
            for number in range(1, EMPTY_WINDOWS + 1):
                place = (start + number * size, key_text)
                if place[0] + size <= last_end and place not in self.groups:
                    made[place] = Group(place[0], group.key)
        return made.values()

    def records(self, keep_open=False):
        """The last state of every window by id, in the shape of the result record.

        With several partitions a window that only some of them reached is closed by whatever comes
        first: the others' end, or the end of all input. Its `closed_by` is left open (None), and
        with `keep_open` it is marked as optional."""
        records = {}
        for group in [*self.groups.values(), *self.empty_groups(keep_open)]:
            reached = self.reached(group.start_us + self.pipeline.size_us)
            by_all = bool(reached) and all(w is not None for w in reached)
            by_none = all(w is None for w in reached)
            if keep_open and by_none:
                continue
            record = self.record(group, group.late)
            record["optional"] = keep_open and not by_all
            if by_all:
                record["receipt"].update(closed_by="watermark", watermark=min(reached) // 1000)
            elif by_none:
                record["receipt"]["closed_by"] = "end_of_input"
            records[record["id"]] = record
        return records

    def record(self, group, late_rows):
        """The record of a group with the given late events accepted in it."""
        pipeline = self.pipeline
        rows = group.on_time + late_rows
        values, type_errors = {}, 0
        for name, (function, path, *parameter) in pipeline.aggregates.items():
            values[name], wrong = aggregate(function, path, rows, *parameter, window_us=pipeline.size_us)
            type_errors += wrong
        return {
            "id": record_id(pipeline.name, group.key, group.start_us // 1000),
            "pipeline": pipeline.name,
            "window_start": group.start_us // 1000,
            "window_end": (group.start_us + pipeline.size_us) // 1000,
            "key": dict(zip([name for name, _ in pipeline.key], group.key, strict=True)),
            "values": values,
            "emit": "update" if late_rows else "final",
            "revision": len(late_rows),
            "receipt": {"on_time": len(group.on_time), "late_accepted": len(late_rows), "type_errors": type_errors},
        }


def record_id(pipeline, key, start_ms):
    return f"{pipeline}|{json.dumps(list(key), separators=(',', ':'), ensure_ascii=False)}|{start_ms}"


def same_value(want, got):
    """Equal; doubles to 1e-9 relative; an integer that fits in a double may come as one."""
    if isinstance(want, Within):
        return is_number(got) and abs(got - want.value) <= want.part * abs(want.value)
    if isinstance(want, list):
        return json.dumps(want) == json.dumps(got)
    if is_number(want) and is_number(got):
        if isinstance(want, int) and isinstance(got, int):
            return want == got
        return want == got or math.isclose(want, got, rel_tol=1e-9, abs_tol=1e-12)
    return type(want) is type(got) and want == got


def difference(want, got):
    """What is wrong with a record, or None. `late_dropped` is bounded by the caller."""
    for field in ("id", "pipeline", "window_start", "window_end", "emit", "revision"):
        if want[field] != got[field]:
            return f"{field}: want {want[field]!r}, got {got[field]!r}"
    for field in ("key", "values"):
        if list(want[field]) != list(got[field]):
            return f"{field}: want fields {list(want[field])}, got {list(got[field])}"
        for name, value in want[field].items():
            if not same_value(value, got[field][name]):
                return f"{field}.{name}: want {value!r}, got {got[field][name]!r}"
    for name, value in want["receipt"].items():
        if got["receipt"].get(name) != value:
            return f"receipt.{name}: want {value!r}, got {got['receipt'].get(name)!r}"
    return None


def compare(want_by_id, got_records):
    """Asserts that exactly the wanted records came, each once and right."""
    got_by_id = {}
    for record in got_records:
        assert record["id"] not in got_by_id, f"{record['id']} came twice"
        got_by_id[record["id"]] = record
    missing = sorted(i for i in set(want_by_id) - set(got_by_id) if not want_by_id[i].get("optional"))
    unwanted = sorted(set(got_by_id) - set(want_by_id))
    assert not missing and not unwanted, f"missing {missing[:5]}, not wanted {unwanted[:5]}"
    for name, got in got_by_id.items():
        wrong = difference(want_by_id[name], got)
        assert wrong is None, f"{name}: {wrong}\nwant {want_by_id[name]}\ngot  {got}"


def replay_order(records):
    """The order of `weir replay`: by pipeline, window start, key."""
    return [(r["pipeline"], r["window_start"]) for r in records]

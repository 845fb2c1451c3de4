"""Percentiles, distinct counts, most frequent values and rates of real data against DuckDB: equal where exactness is promised,
else within the bound; and the same bytes for any shards and batches."""

from decimal import Decimal

import pytest
from oracle import duck, weir
from oracle.duck import FlightPipeline
from oracle.flight_pipelines import config_of

OUT_OF_ORDERNESS_S = 3_600


def percentile(path, p):
    """(weir's words, DuckDB's): the element, and of how many values."""
    part = Decimal(str(p)) / 100
    return f"percentile({path}, {p})", f"{{'element': quantile_disc({path}, {part}), 'count': count({path})}}"


def median(path):
    return f"median({path})", percentile(path, 50)[1]


def distinct(path):
    return f"distinct_count({path})", f"count(distinct {path})"


def top(path, k):
    return f"top({path}, {k})", f"histogram({path}) filter ({path} is not null)"


PIPELINES = [
    FlightPipeline(
        "few_values",
        "1h",
        3_600,
        {
            "median": median("dep_delay"),
            "p0": percentile("arr_delay", 0),
            "p90": percentile("dep_delay", 90),
            "p99.9": percentile("dep_delay", 99.9),
            "speed": percentile("speed", 25),
            "tails": distinct("tailnum"),
            "to": top("route.dest", 3),
            "rate": ("rate()", "count(*) / 3600.0"),
        },
        ["route.origin", "carrier"],
    ),
    FlightPipeline(
        "many_values",
        "7d",
        604_800,
        {
            "p1": percentile("speed", 1),
            "median": median("speed"),
            "p99": percentile("speed", 99),
            "p100": percentile("speed", 100),
            "delay": percentile("arr_delay", 95),
            "negative": percentile("arr_delay", 5),
            "miles": median("distance"),
            "tails": distinct("tailnum"),
            "flights": distinct("flight"),
            "to": top("route.dest", 10),
            "by": top("tailnum", 100),
            "rate": ("rate()", "count(*) / 604800.0"),
        },
        ["route.origin"],
    ),
    FlightPipeline(
        "everything_in_a_month",
        "30d",
        30 * 86_400,
        {
            "tails": distinct("tailnum"),
            "ways": distinct("route"),
            "by": top("flight", 100),
            "p75": percentile("speed", 75),
        },
    ),
]


def check_percentile(want, got):
    element, count = want["element"], want["count"]
    if element is None or count <= 64:
        assert got == element
    else:
        assert abs(got - element) <= 0.01 * abs(element)
    return count > 64


def check_distinct(want, got):
    assert abs(got - want) <= (0 if want <= 1024 else 3 * 0.0082 * want)
    return want > 1024


def check_top(want, got, k):
    counts = want or {}
    if len(counts) <= 768:
        # DuckDB's strings order by bytes, as weir's do.
        best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:k]
        assert got == [{"value": value, "count": count} for value, count in best]
        return False
    total = sum(counts.values())
    listed = {entry["value"]: entry["count"] for entry in got}
    assert {value for value, count in counts.items() if count * 200 > total} <= set(listed) or len(got) == k
    for value, count in listed.items():
        assert counts[value] <= count <= counts[value] + total / 512
    assert [e["count"] for e in got] == sorted(listed.values(), reverse=True)
    return True


def check(words, want, got):
    """True for a value that a sketch has made."""
    if words.startswith(("percentile", "median")):
        return check_percentile(want, got)
    if words.startswith("distinct_count"):
        return check_distinct(want, got)
    if words.startswith("top"):
        return check_top(want, got, int(words.split(",")[1].rstrip(")")))
    assert got == pytest.approx(want, rel=1e-12)
    return False


@pytest.mark.parametrize("disorder", [None, "late"], ids=["in_order", "late"])
def test_flights_are_those_of_duckdb_for_any_shards_and_batches(tmp_path, flight_files, disorder):
    files = flight_files([1, 2, 3], 4, disorder)
    config = weir.write_config(tmp_path, config_of(PIPELINES, OUT_OF_ORDERNESS_S))
    first = weir.replay(config, {"flights": files}, env={"WEIR_ENGINE__SHARDS": "1"})
    connection = duck.connect(files)
    made = {}  # words → how many values were exact, how many made by a sketch
    for pipeline in PIPELINES:
        wanted = duck.want(connection, pipeline, OUT_OF_ORDERNESS_S)
        records = [r for r in first.records if r["pipeline"] == pipeline.name]
        assert len(records) == len(wanted)
        for record in records:
            values, revision, on_time = wanted[record["window_start"], tuple(record["key"].values())]
            assert (record["revision"], record["receipt"]["on_time"]) == (revision, on_time)
            assert record["receipt"]["type_errors"] == 0
            for (words, _), want, got in zip(
                pipeline.aggregates.values(), values, record["values"].values(), strict=True
            ):
                made.setdefault(words, [0, 0])[check(words, want, got)] += 1
    # Both sides of every bound were met.
    for kind in ("percentile", "median", "distinct_count", "top"):
        exact, sketched = map(sum, zip(*(n for words, n in made.items() if words.startswith(kind)), strict=True))
        assert exact > 20 and sketched > 3, (kind, made)
    for shards, batch_size in ((2, 137), (4, 4096), (4, 1), (3, 10)):
        env = {"WEIR_ENGINE__SHARDS": str(shards), "WEIR_ENGINE__BATCH_SIZE": str(batch_size)}
        again = weir.replay(config, {"flights": files}, env=env)
        assert again.text == first.text, f"{shards} shards, batches of {batch_size}: other bytes"


def test_constants_that_are_none_are_refused_at_their_place(tmp_path):
    """The line and column of the constant, and what it should be."""
    pipeline = FlightPipeline("p", "1h", 3_600, {"a": ("percentile(speed, 101)", ""), "b": ("top(speed, k)", "")})
    config = weir.write_config(tmp_path, config_of([pipeline], 0))
    answer = weir.run("check", config)
    assert answer.returncode != 0
    text = config.read_text().splitlines()
    for words, reason in (("101", "from 0 to 100"), ("k)", "a whole number from 1 to 100")):
        line = next(i for i, t in enumerate(text, 1) if words in t)
        place = f"{config}:{line}:{text[line - 1].index(words) + 1}: error: "
        assert any(place in t and reason in t for t in answer.stderr.splitlines()), answer.stderr

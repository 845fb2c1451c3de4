"""Pipelines over the flights, the same in weir's words and in DuckDB's, and what equal results mean."""

import math

from .duck import FlightPipeline

COUNT = ("count()", "count(*)")
NEVER_LATE_MS = 30 * 60_000  # arrival disorder; max_out_of_orderness is the same, so nothing is late
OUT_OF_ORDERNESS_S = NEVER_LATE_MS // 1000

PIPELINES = [
    FlightPipeline(
        "by_carrier_a_day",
        "1d",
        86_400,
        {
            "n": COUNT,
            "delayed": ("count(dep_delay)", "count(dep_delay)"),
            "mean": ("mean(dep_delay)", "avg(dep_delay)"),
            "least": ("min(dep_delay)", "min(dep_delay)"),
            "most": ("max(dep_delay)", "max(dep_delay)"),
        },
        ["carrier"],
    ),
    FlightPipeline(
        "by_origin_an_hour", "1h", 3_600, {"n": COUNT, "total": ("sum(arr_delay)", "sum(arr_delay)")}, ["route.origin"]
    ),
    FlightPipeline(
        "by_route_a_day",
        "1d",
        86_400,
        {"n": COUNT, "miles": ("sum(distance)", "sum(distance)")},
        ["route.origin", "route.dest"],
    ),
    FlightPipeline("each_minute", "1m", 60, {"n": COUNT, "late": ("max(dep_delay)", "max(dep_delay)")}),
    FlightPipeline(
        "by_tail_of_kennedy",
        "6h",
        21_600,
        {
            "n": COUNT,
            "first": ("first(flight)", "arg_min(flight, age)"),
            "last": ("last(route.dest)", "arg_max(route.dest, age)"),
        },
        ["tailnum"],
        ('route.origin == "JFK"', "route.origin = 'JFK'"),
    ),
    FlightPipeline(
        "long_delays",
        "10m",
        600,
        {"n": COUNT, "mean": ("mean(dep_delay)", "avg(dep_delay)")},
        ["carrier"],
        (
            'dep_delay > 60 && (route.origin == "JFK" || route.origin == "LGA")',
            "dep_delay > 60 and route.origin in ('JFK', 'LGA')",
        ),
    ),
    FlightPipeline(
        "cancelled",
        "3h",
        10_800,
        {"n": COUNT, "none": ("sum(dep_delay)", "sum(dep_delay)")},
        ["cancelled"],
        ("cancelled", "cancelled"),
    ),
    FlightPipeline(
        "speed",
        "12h",
        43_200,
        {
            "n": ("count(speed)", "count(speed)"),
            "sum": ("sum(speed)", "sum(speed)"),
            "mean": ("mean(speed)", "avg(speed)"),
            "sd": ("stddev(speed)", "stddev_samp(speed)"),
            "sd_pop": ("stddev_pop(speed)", "stddev_pop(speed)"),
            "var": ("variance(speed)", "var_samp(speed)"),
        },
        ["carrier"],
    ),
    FlightPipeline(
        "whole_year_in_weeks",
        "7d",
        604_800,
        {"n": COUNT, "sum": ("sum(speed)", "sum(speed)")},
        ["carrier", "cancelled"],
    ),
    FlightPipeline("late_is_dropped", "30m", 1_800, {"n": COUNT}, ["route.origin"], late="drop"),
    FlightPipeline(
        "an_hour_of_grace",
        "15m",
        900,
        {"n": COUNT, "last": ("last(flight)", "arg_max(flight, age)"), "sum": ("sum(distance)", "sum(distance)")},
        ["carrier"],
        lateness_s=3_600,
    ),
    FlightPipeline("no_grace", "5m", 300, {"n": COUNT}, ["route.origin"], lateness_s=0),
    FlightPipeline(
        "sliding_hour",
        "1h",
        3_600,
        {
            "n": COUNT,
            "mean": ("mean(speed)", "avg(speed)"),
            "least": ("min(dep_delay)", "min(dep_delay)"),
            "most": ("max(dep_delay)", "max(dep_delay)"),
            "sd": ("stddev(speed)", "stddev_samp(speed)"),
        },
        ["carrier"],
        slide="10m",
        slide_s=600,
        lateness_s=1_800,
    ),
    FlightPipeline(
        "sliding_by_what_does_not_divide",
        "50m",
        3_000,
        {
            "n": COUNT,
            "last": ("last(flight)", "arg_max(flight, age)"),
            "first": ("first(tailnum)", "arg_min(tailnum, age) filter (tailnum is not null)"),
            "sum": ("sum(distance)", "sum(distance)"),
        },
        ["route.origin"],
        slide="35m",
        slide_s=2_100,
        offset_s=420,
        lateness_s=600,
    ),
    FlightPipeline(
        "sliding_late_is_dropped",
        "2h",
        7_200,
        {"n": COUNT, "sum": ("sum(dep_delay)", "sum(dep_delay)")},
        ["route.origin", "carrier"],
        slide="30m",
        slide_s=1_800,
        late="dlq",
    ),
    FlightPipeline(
        "sliding_that_do_not_meet", "10m", 600, {"n": COUNT}, slide="25m", slide_s=1_500, offset_s=-60, lateness_s=7_200
    ),
]
YEAR = [
    "by_carrier_a_day",
    "by_origin_an_hour",
    "by_route_a_day",
    "long_delays",
    "cancelled",
    "speed",
    "whole_year_in_weeks",
    "an_hour_of_grace",
    "sliding_hour",
    "sliding_by_what_does_not_divide",
]


def config_of(pipelines, out_of_orderness_s, source=None):
    return {
        "sources": {
            "flights": {
                **(source or {"http": {}}),
                "time": "ts",
                "max_out_of_orderness": f"{out_of_orderness_s}s",
                "idle_timeout": "1h",
            }
        },
        "pipelines": {p.name: p.config() for p in pipelines},
    }


def equal(want, got):
    if isinstance(want, float) or isinstance(got, float):
        return want is not None and got is not None and math.isclose(want, got, rel_tol=1e-9, abs_tol=1e-9)
    return want == got


def compare(pipeline, wanted, records):
    """Every record is DuckDB's row, and every row of DuckDB has its record."""
    seen = set()
    for record in records:
        place = (record["window_start"], tuple(record["key"].values()))
        assert place not in seen, f"{record['id']} came twice"
        seen.add(place)
        assert place in wanted, f"{record} is none of DuckDB's"
        values, revision, on_time = wanted[place]
        assert list(record["values"]) == list(pipeline.aggregates), record
        assert all(map(equal, values, record["values"].values())), f"want {values}, got {record}"
        receipt = record["receipt"]
        assert (record["revision"], receipt["late_accepted"], receipt["on_time"]) == (revision, revision, on_time), (
            record
        )
        assert record["emit"] == ("update" if revision else "final"), record
        assert record["window_end"] - record["window_start"] == pipeline.size_s * 1000
    assert len(seen) == len(wanted), f"missing: {sorted(set(wanted) - seen, key=str)[:3]}"

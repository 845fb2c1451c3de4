"""Real data against DuckDB: a year of departures through every way into weir."""

import json
import math

import pytest
from oracle import duck, weir
from oracle.duck import FlightPipeline

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


def check_replay(tmp_path, files, pipelines, out_of_orderness_s, event_count, **env):
    config = weir.write_config(tmp_path, config_of(pipelines, out_of_orderness_s))
    answer = weir.replay(config, {"flights": files}, env=env)
    connection = duck.connect(files)
    state = answer.source("flights")
    weir.check_conservation(state)
    assert state["counters"] == {"in": event_count, "bad": 0}
    by_pipeline = {p.name: [] for p in pipelines}
    for record in answer.records:
        by_pipeline[record["pipeline"]].append(record)
    for pipeline in pipelines:
        compare(pipeline, duck.want(connection, pipeline, out_of_orderness_s), by_pipeline[pipeline.name])
        got = {k: state["pipelines"][pipeline.name][k] for k in ("used", "filtered", "too_late")}
        assert got == duck.verdicts(connection, pipeline, out_of_orderness_s), pipeline.name
    return answer.text


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("disorder", [None, NEVER_LATE_MS, "late"], ids=["in_order", "shuffled_within_bounds", "late"])
def test_replay_of_a_month_equals_duckdb_for_any_shards_and_batches(tmp_path, flight_files, partitions, disorder):
    files = flight_files([1], partitions, disorder)
    out_of_orderness_s = 0 if disorder is None else OUT_OF_ORDERNESS_S if disorder == NEVER_LATE_MS else 3_600
    first = check_replay(tmp_path, files, PIPELINES, out_of_orderness_s, 27_004, WEIR_ENGINE__SHARDS="1")
    for shards, batch_size in ((2, 1), (4, 137), (4, 4096), (1, 10)):
        again = weir.replay(
            tmp_path / "weir.yaml",
            {"flights": files},
            env={"WEIR_ENGINE__SHARDS": str(shards), "WEIR_ENGINE__BATCH_SIZE": str(batch_size)},
        )
        assert again.text == first, f"{shards} shards, batches of {batch_size}: other bytes"


def test_replay_of_the_whole_year_equals_duckdb(tmp_path, flight_files):
    """All 336,776 departures, out of order far beyond the bound, in four partitions."""
    pipelines = [p for p in PIPELINES if p.name in YEAR]
    check_replay(tmp_path, flight_files(range(1, 13), 4, "late"), pipelines, 3_600, 336_776, WEIR_ENGINE__SHARDS="2")


def test_replay_of_the_whole_year_in_order_equals_duckdb(tmp_path, flight_files):
    pipelines = [p for p in PIPELINES if p.name in YEAR]
    check_replay(tmp_path, flight_files(range(1, 13), 1), pipelines, 0, 336_776)


def test_late_flights_do_exist_in_the_disordered_stream(flight_files):
    """Guards the tests above: without late and too late events they would prove little."""
    connection = duck.connect(flight_files([1], 4, "late"))
    grace = next(p for p in PIPELINES if p.name == "an_hour_of_grace")
    assert duck.verdicts(connection, grace, 3_600)["too_late"] > 50
    assert sum(revision for _, revision, _ in duck.want(connection, grace, 3_600).values()) > 20


def depends_on_partitions(pipeline, partitions):
    """Ties of first and last go by (partition, offset), and which carrier goes to which partition
    is weir's choice; a tail number may fly for several carriers."""
    return partitions > 1 and pipeline.name == "by_tail_of_kennedy"


def wait_and_compare(server, pipelines, connection, out_of_orderness_s, event_count, closed_before_ms=None):
    state = server.wait_counted("flights", pipelines[0].name, event_count, 60)
    for pipeline in pipelines:
        wanted = duck.want(connection, pipeline, out_of_orderness_s, closed_before_ms)
        total = sum(revision + on_time for _, revision, on_time in wanted.values())

        def arrived(name=pipeline.name, total=total):
            records = server.results(name, limit=1000)
            receipts = [r["receipt"] for r in records]
            return records if sum(r["on_time"] + r["late_accepted"] for r in receipts) >= total else None

        compare(pipeline, wanted, weir.eventually(arrived, 60, f"results of {pipeline.name}", interval_s=0.2))
    return state


@pytest.mark.parametrize("partitions", [1, 4])
def test_file_source_of_a_running_server_equals_duckdb(make_server, flight_files, partitions):
    """An ended file closes its windows; partitions are split by key inside weir."""
    files = flight_files([2], 1, NEVER_LATE_MS)
    source = {"file": {"path": str(files[0]), "rate": "max", "partitions": partitions, "partition_by": "carrier"}}
    pipelines = [p for p in PIPELINES if p.name != "each_minute" and not depends_on_partitions(p, partitions)]
    server = make_server(config_of(pipelines, OUT_OF_ORDERNESS_S, source))
    state = wait_and_compare(server, pipelines, duck.connect(files), OUT_OF_ORDERNESS_S, 24_951)
    assert state["counters"] == {"in": 24_951, "bad": 0}
    assert len(state["partitions"]) == partitions


@pytest.mark.parametrize("partitions", [1, 4])
def test_http_source_of_a_running_server_equals_duckdb(make_server, flight_files, partitions):
    """Closed by event time alone: departures of a later month push every partition's watermark
    past the end of the month looked at."""
    files = flight_files([2], 1, NEVER_LATE_MS)
    http = {"http": {"partitions": partitions, "partition_by": "carrier"} if partitions > 1 else {}}
    pipelines = [
        p
        for p in PIPELINES
        if p.name
        in ("by_carrier_a_day", "by_origin_an_hour", "long_delays", "speed", "by_tail_of_kennedy", "each_minute")
        and not depends_on_partitions(p, partitions)
    ]
    server = make_server(config_of(pipelines, OUT_OF_ORDERNESS_S, http))
    lines = files[0].read_text().splitlines()
    for at in range(0, len(lines), 2_500):
        server.accept("flights", "\n".join(lines[at : at + 2_500]))
    # One event per carrier, and more names than partitions, so that every partition gets one.
    pushes = [{"ts": "2013-04-01T00:00:00Z", "carrier": f"push{i}"} for i in range(64)]
    server.accept("flights", pushes)
    # The window that holds the push stays open, and no window of February ends after it.
    wait_and_compare(
        server,
        pipelines,
        duck.connect(files),
        OUT_OF_ORDERNESS_S,
        len(lines) + len(pushes),
        closed_before_ms=1_364_774_400_000,
    )
    state = server.source("flights")
    assert len(state["partitions"]) == partitions
    # A reader that asks for small pages sees the same records, each once.
    name = pipelines[0].name
    small = server.results(name, limit=7)
    assert sorted(json.dumps(r, sort_keys=True) for r in small) == sorted(
        json.dumps(r, sort_keys=True) for r in server.results(name)
    )


def test_results_of_a_key_and_a_time_range_are_those_of_duckdb(make_server, flight_files):
    files = flight_files([2], 1, None)
    pipeline = next(p for p in PIPELINES if p.name == "by_carrier_a_day")
    server = make_server(config_of([pipeline], 0, {"file": {"path": str(files[0])}}))
    wait_and_compare(server, [pipeline], duck.connect(files), 0, 24_951)
    everything = server.results(pipeline.name)
    some = server.results(pipeline.name, **{"key.carrier": "UA", "from": 1_360_540_800_000, "to": 1_360_886_400_000})
    wanted = [
        r
        for r in everything
        if r["key"]["carrier"] == "UA" and 1_360_540_800_000 <= r["window_start"] < 1_360_886_400_000
    ]
    assert len(wanted) == 4 and sorted(map(str, some)) == sorted(map(str, wanted))

"""Real data against DuckDB: a year of departures through every way into weir."""

import json

import pytest
from oracle import duck, weir
from oracle.flight_pipelines import NEVER_LATE_MS, OUT_OF_ORDERNESS_S, PIPELINES, YEAR, compare, config_of


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
    is weir's choice; a tail number or an origin is that of several carriers."""
    return partitions > 1 and pipeline.name in ("by_tail_of_kennedy", "sliding_by_what_does_not_divide")


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
